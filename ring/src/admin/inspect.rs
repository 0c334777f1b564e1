//! Looking at a topic without touching it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::frame_info::{FrameInfo, FrameTime};
use super::ring_snapshot::RingSnapshot;
use super::scan;
use super::snapshot::{File, ParticipantSnapshot, PeersSnapshot, accepted_caps, description};
use super::stopped::is_stopped;
use super::types::{Liveness, ParticipantInfo, TopicInfo};
use crate::error::{Error, Result};
use crate::info::{Geometry, ParticipantId};
use crate::layout::peers::{end_of, flags};
use crate::layout::words::{PARTICIPANTS, PRODUCERS, bit};
use crate::lifecycle::open::Delivery;
use crate::lifecycle::recovery;
use crate::shm::registration::{Role, owner_id};
use crate::sys::clock::monotonic_ns;
use crate::sys::files::files_of;
use crate::sys::lock::{self, Probe};
use crate::topic::{FileKind, Topic};

/// Inspects a topic: its geometry, its participants, the position of each, and the memory that it takes. `dir` is the
/// directory of its files; `None` for `$SHMFLOW_DIR`, or else `/dev/shm`.
///
/// It never writes, needs only read permission, and does not disturb the topic. A participant lives if it holds its lock;
/// if the caller may not test the lock, liveness is [`Liveness::Unknown`].
///
/// ```
/// # let dir = std::env::temp_dir().join(format!("shmflow-doc-inspect-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// let producer = shmflow::Producer::builder("doc/inspect").dir(&dir).name("camera").open()?;
/// let mut consumer = shmflow::Consumer::builder("doc/inspect").dir(&dir).open()?;
/// producer.write(b"1")?;
/// producer.write(b"2")?;
/// let held = consumer.recv()?;
/// let info = shmflow::inspect("doc/inspect", Some(&dir))?;
/// assert_eq!(info.published(), 2);
/// assert_eq!(info.producers().next().unwrap().name, "camera");
/// let consumer = info.consumers().next().unwrap();
/// assert_eq!((consumer.lag, consumer.held_slots), (Some(1), Some(1)));
/// # drop((held, producer)); std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), shmflow::Error>(())
/// ```
///
/// # Errors
/// [`Error::TopicNotFound`]; [`Error::PermissionDenied`] without permission to read its files; [`Error::NotARing`],
/// [`Error::VersionMismatch`] and [`Error::Corrupt`] for files that are not what their names say.
pub fn inspect(topic: &str, dir: Option<&Path>) -> Result<TopicInfo> {
    let topic = Topic::new(topic, dir)?;
    super::suggest(&topic, inspect_topic(&topic, None))
}

/// Inspects all topics in `dir` (as for [`inspect`]), sorted by name: each with what [`inspect`] gives. Many topics take
/// much less time than one by one, because the directory is listed once.
///
/// ```
/// # let dir = std::env::temp_dir().join(format!("shmflow-doc-inspect-all-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// let producer = shmflow::Producer::builder("doc/all").dir(&dir).open()?;
/// for (name, info) in shmflow::inspect_all(Some(&dir))? {
///     println!("{name}: {:?} frames", info.map(|info| info.published()));
/// }
/// # drop(producer); std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), shmflow::Error>(())
/// ```
///
/// # Errors
/// As [`topics`](super::topics). One that was removed since the directory was listed is left out.
pub fn inspect_all(dir: Option<&Path>) -> Result<Vec<(String, Result<TopicInfo>)>> {
    let mut found = Vec::new();
    for (name, files) in scan(&crate::topic::directory(dir))? {
        if !files.iter().any(|(kind, _)| kind.makes_a_topic()) {
            continue;
        }
        match Topic::new(&name, dir).and_then(|topic| inspect_topic(&topic, Some(files))) {
            Err(Error::TopicNotFound { .. }) => {}
            result => found.push((name, result)),
        }
    }
    Ok(found)
}

/// How often an inspection starts again because the topic changed its ring meanwhile.
const ATTEMPTS: usize = 5;

/// Names of old rings that are read, the newest of them. No topic has more; anybody may make files of such names.
const MOST_OLD: usize = recovery::KEPT_EPOCHS as usize + 2;

/// The files of a topic.
type Files = Vec<(FileKind, PathBuf)>;

/// `listed`: the topic's files, if they were listed just now.
fn inspect_topic(topic: &Topic, listed: Option<Files>) -> Result<TopicInfo> {
    let file = File::open(topic, &topic.peers_path())?;
    let peers = PeersSnapshot::read(&file)?;
    let list = || files_of(topic).map_err(|error| Error::io(topic.name(), "list its files", error));
    let mut files = listed.map_or_else(list, Ok)?;
    let mut rings = Vec::new();
    for attempt in 1..=ATTEMPTS {
        rings = read_rings(topic, &files)?;
        if rings.iter().all(|ring| ring.held().is_some()) || attempt == ATTEMPTS {
            break;
        }
        files = list()?;
    }
    let (shared_bytes, epochs) = usage(&files);
    let newest = rings.iter().max_by_key(|ring| ring.ring.geometry.epoch);
    // An epoch that was made and not started yet has no sequence of its own.
    let next_seq = rings.iter().map(|ring| ring.next.max(ring.first)).max().unwrap_or(0).max(1);
    let now = monotonic_ns();
    let alive = liveness(&file);
    let active = peers.active();
    let mut participants = Vec::new();
    for id in 0..PARTICIPANTS {
        let entry = peers.entry(id);
        let holding = sum(&rings, id);
        let writing = rings.iter().map(|ring| at(&ring.writing(), id)).fold(0, u32::saturating_add);
        let is_active = active & bit(id) != 0;
        // One that left holds its lock, or what it died with, until the last of its frames is dropped.
        let lingers = at(&alive, id) == Liveness::Alive || holding.unwrap_or(0) != 0 || writing != 0;
        if is_active || lingers {
            let mut found = describe(&peers, id, entry, next_seq, now);
            (found.active, found.liveness) = (is_active, at(&alive, id));
            found.stopped = found.liveness == Liveness::Alive && is_stopped(found.pid, &file.status);
            (found.held_slots, found.claimed_slots) = (holding, writing);
            if found.role == Role::Consumer && is_active {
                found.accepted_caps = accepted_caps(&file, id)?;
            }
            participants.push(found);
        }
    }
    Ok(TopicInfo {
        topic: topic.name().into(),
        dir: topic.dir().into(),
        geometry: newest.map(|ring| Geometry::of(&ring.ring.geometry)),
        ended: has_ended(&peers, &participants),
        claimed_slots: participants.iter().map(|p| p.claimed_slots).fold(0, u32::saturating_add),
        participants,
        next_seq,
        newest: newest_frame(&rings)?,
        recent: rings.iter().flat_map(|ring| &ring.stamps).map(FrameTime::new).collect(),
        permissions: file.status.st_mode & 0o777,
        owner_uid: file.status.st_uid,
        owner_gid: file.status.st_gid,
        shared_bytes,
        epochs,
        persistent: peers.flags() & flags::PERSISTENT != 0,
        removed: peers.removed() != 0,
        lossless: peers.flags() & flags::LOSSLESS != 0,
        description: description(&file, &peers)?,
        allows_read_only: newest.is_some_and(|ring| ring.ring.geometry.allows_read_only()),
        taken: now,
        identity: (file.status.st_dev, file.status.st_ino),
    })
}

/// The rings of all epochs that have names, each once, the oldest first.
fn read_rings(topic: &Topic, files: &Files) -> Result<Vec<RingSnapshot>> {
    let mut rings = BTreeMap::new();
    match RingSnapshot::read(topic, &topic.ring_path()) {
        Ok(ring) => drop(rings.insert(ring.ring.geometry.epoch, ring)),
        // Not made yet, or its maker died before.
        Err(Error::TopicNotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    let epoch = |kind: &FileKind| if let FileKind::OldRing(epoch) = *kind { Some(epoch) } else { None };
    let mut old: Vec<_> = files.iter().filter_map(|(kind, path)| Some((epoch(kind)?, path))).collect();
    old.sort_unstable_by_key(|(epoch, _)| std::cmp::Reverse(*epoch));
    for (_, path) in old.into_iter().take(MOST_OLD) {
        // One that cannot be read, or is gone by now, is not listed.
        if let Ok(ring) = RingSnapshot::read(topic, path) {
            rings.entry(ring.ring.geometry.epoch).or_insert(ring);
        }
    }
    Ok(rings.into_values().collect())
}

/// The newest frame that is still there. Frames go while they are looked at: then the next.
fn newest_frame(rings: &[RingSnapshot]) -> Result<Option<FrameInfo>> {
    for ring in rings.iter().rev() {
        let mut stamps = ring.stamps.clone();
        for _ in 0..ATTEMPTS {
            let Some(stamp) = stamps.last() else { break };
            if let Some(meta) = ring.ring.meta(stamp)? {
                return Ok(Some(FrameInfo::new(stamp, meta)));
            }
            stamps = ring.ring.frames(0)?.1;
        }
    }
    Ok(None)
}

/// Bytes that the topic's files take, each file once however many names it has, and how many of them are rings.
fn usage(files: &Files) -> (u64, u32) {
    let mut found = BTreeMap::new();
    for (kind, path) in files {
        // Gone between the listing and now: no memory of this topic.
        let Ok(status) = fs::symlink_metadata(path) else { continue };
        let is_ring = matches!(kind, FileKind::Ring | FileKind::OldRing(_));
        found.insert((status.dev(), status.ino()), (status.blocks().saturating_mul(512), is_ring));
    }
    let bytes = found.values().map(|(bytes, _)| *bytes).fold(0, u64::saturating_add);
    let rings = found.values().filter(|(_, is_ring)| *is_ring).count();
    (bytes, u32::try_from(rings).unwrap_or(u32::MAX))
}

/// Whether each participant lives. Asking for a lock, other than taking one, works on a descriptor that only reads.
fn liveness(file: &File) -> [Liveness; PARTICIPANTS as usize] {
    let mut found = [Liveness::Unknown; PARTICIPANTS as usize];
    let Ok(fd) = file.fd() else { return found };
    for (id, liveness) in (0..PARTICIPANTS).zip(&mut found) {
        *liveness = match lock::probe(fd, lock::participant_byte(id)) {
            Ok(Probe::WriteLocked) => Liveness::Alive,
            // Read-locked: others clean up behind it.
            Ok(Probe::Free | Probe::ReadLocked) => Liveness::Dead,
            Err(_) => Liveness::Unknown,
        };
    }
    found
}

fn at<T: Copy>(table: &[T; PARTICIPANTS as usize], id: u8) -> T {
    // Ids are below the length of the table, everywhere here.
    let [first, ..] = table;
    *table.get(usize::from(id)).unwrap_or(first)
}

/// Slots that a participant holds in all epochs; `None` if that cannot be read of one.
fn sum(rings: &[RingSnapshot], id: u8) -> Option<u32> {
    rings.iter().try_fold(0, |sum: u32, ring| Some(sum.saturating_add(at(&ring.held()?, id))))
}

/// What an entry says.
fn describe(
    peers: &PeersSnapshot,
    id: u8,
    entry: ParticipantSnapshot,
    next_seq: u64,
    now: u64,
) -> ParticipantInfo {
    let role = Role::of(id);
    let consumer = role == Role::Consumer;
    // The word that marks those who are gone is no position.
    let cursor = Some(entry.cursor).filter(|cursor| consumer && *cursor != u64::MAX);
    ParticipantInfo {
        id: ParticipantId { id, generation: entry.generation },
        role,
        name: entry.name,
        pid: u32::try_from(entry.pid).unwrap_or(0),
        liveness: Liveness::Unknown,
        stopped: false,
        active: false,
        age: Duration::from_nanos(now.saturating_sub(entry.joined)),
        epoch: entry.epoch,
        cursor,
        lag: cursor.map(|cursor| next_seq.saturating_sub(cursor)),
        frames: entry.frames,
        bytes: entry.bytes,
        lost: entry.lost,
        copied: entry.copied,
        held_slots: None,
        claimed_slots: 0,
        accepted_caps: None,
        delivery: consumer
            .then(|| if peers.latest() & bit(id) != 0 { Delivery::Latest } else { Delivery::All }),
        waiting: if consumer { peers.sleepers() } else { peers.waiters() } & bit(id) != 0,
        end_seq: Some(entry.ended).filter(|ended| !consumer && *ended != 0),
        primary: !consumer && names(peers.primary(), id, entry.generation),
        exclusive: !consumer && names(peers.exclusive(), id, entry.generation),
    }
}

/// Whether a word that names a producer means this one.
fn names(word: u64, id: u8, generation: u64) -> bool {
    owner_id(word) == Some(id) && word >> 8 == generation & (u64::MAX >> 8)
}

/// Every active producer that lives has ended its stream, or the last one had when it left.
fn has_ended(peers: &PeersSnapshot, participants: &[ParticipantInfo]) -> bool {
    if peers.active() & (bit(PRODUCERS) - 1) == 0 {
        return end_of(peers.ended()) != 0;
    }
    let mut producers = participants.iter().filter(|p| p.role == Role::Producer && p.active);
    producers.clone().any(|p| p.end_seq.is_some())
        && producers.all(|p| p.end_seq.is_some() || p.liveness == Liveness::Dead)
}
