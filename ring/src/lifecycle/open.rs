//! Opening a topic: create it, join it, or adopt what the dead left.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use rustix::fs::fstat;

use super::files::{self, Mode};
use super::recovery::{recover, remove_but_peers};
use super::whole::{self, Parts, no_topic};
use super::{GeometryRequest, OPEN_TIMEOUT, Options, crowd, grow, leave, reap};
use crate::error::{Error, Result, SpaceLimit};
use crate::layout::peers::{FILE_LEN, flags};
use crate::layout::view::LoadAcquire;
use crate::layout::words::{PARTICIPANTS, PRODUCERS, bit};
use crate::protocol::fail_points::fail_point;
use crate::protocol::lease::{next_seq, start_of_history};
use crate::protocol::{FailPoint, Memory, accepted_caps};
use crate::shm::epoch::Epoch;
use crate::shm::participants::{End, ParticipantTable};
use crate::shm::registration::{Registration, Role, owner_id, owner_word};
use crate::shm::shared::DescriptionOf;
use crate::sys::files::{create_temp, may_unlink, random, same_file, unlink};
use crate::sys::map::Access;
use crate::topic::{FileKind, Topic};
use crate::trace::{self, Fields, Level};

/// How often an open starts again because the topic was removed or made under its hands.
const ATTEMPTS: usize = 100;

/// Where a consumer starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartAt {
    /// At the oldest frame that is still there.
    #[default]
    Oldest,
    /// At the newest frame that is there, or else the next.
    Newest,
    /// At the next frame to be published.
    Next,
}

/// Whether a lossless producer waits for a consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// It does: the consumer gets all frames, unless it takes none for longer than the producer's
    /// [`stall_timeout`](crate::ProducerBuilder::stall_timeout).
    #[default]
    All,
    /// It never does: the consumer gets what is there when it looks, such as a preview beside a recorder.
    Latest,
}

/// Opens a topic as a producer, making it if it is not there.
pub(crate) fn producer(
    topic: &Topic,
    options: &Options,
    wanted: &GeometryRequest,
    exclusive: bool,
) -> Result<Arc<Epoch>> {
    wanted.geometry(1, 1, options.perms)?; // before anything is made
    let _events = trace::hold();
    let (mut has_made_room, mut has_repaired) = (false, false);
    for _ in 0..ATTEMPTS {
        let peers = match ParticipantTable::open(topic, Access::ReadWrite, options.allow_foreign) {
            Ok(peers) => peers,
            Err(Error::TopicNotFound { .. }) => {
                create_peers(topic, options.perms, options.persistent)?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let member = Arc::new(Registration::new(peers, leave::leave));
        let locked = member.peers.lock(OPEN_TIMEOUT, "open")?;
        if !is_current(&member)? {
            continue;
        }
        fail_point(FailPoint::OpenLocked);
        let is_damaged = |error: &Error| matches!(error, Error::NotARing { .. } | Error::Corrupt { .. });
        let parts = whole::parts(&member, options.allow_foreign);
        if parts.as_ref().is_err_and(is_damaged) && !has_repaired && repairs(&member) {
            has_repaired = true;
            continue;
        }
        if let Parts::Missing(part) = parts? {
            // Its participants get an error, and open the one that is created here.
            if !leave::remove(&member, "one of its files was deleted")? {
                return Err(whole::deleted(topic, &part));
            }
            continue;
        }
        let joined = join_as_producer(&member, options, wanted, exclusive);
        if joined.is_err() {
            // No room for a ring, say: then no list of participants stays behind that we have made for it.
            leave::give_up(&member);
        }
        if let Err(Error::NoSpace { needed, free, ref limit, .. }) = joined
            && *limit != SpaceLimit::FileSize
            && !has_made_room
            && gives_room(&member, needed.saturating_sub(free))
        {
            has_made_room = true;
            continue;
        }
        if joined.as_ref().is_err_and(is_damaged) && !has_repaired && repairs(&member) {
            has_repaired = true;
            continue;
        }
        drop(locked);
        if let Err(Error::Removed { .. }) = joined {
            // One of its files was deleted under our hands: it is recreated.
            continue;
        }
        if let Ok(epoch) = &joined {
            epoch.start_backing(options.prefault);
        }
        return joined;
    }
    Err(Error::Busy { topic: topic.name().into(), waited: OPEN_TIMEOUT, what: "open".into() })
}

/// Frees the ring of a topic in which nobody takes part, if that makes so much room: what comes after it would have been
/// made beside it. Its list stays, so that the topic keeps its owner, its permissions and its persistence. Under the
/// lifecycle lock.
fn gives_room(member: &Registration, missing: u64) -> bool {
    let ring = fs::symlink_metadata(member.peers.topic().ring_path());
    let enough = ring.is_ok_and(|ring| ring.blocks().saturating_mul(512) >= missing);
    let is_dead = (0..PARTICIPANTS).all(|id| !member.peers.is_alive(id));
    enough && is_dead && remove_but_peers(member).is_ok()
}

/// Removes the damaged rings of a topic of our own that `gc` would remove, because nobody takes part in it: it is made
/// again. A persistent one is left to who wants what is in it. Under the lifecycle lock.
fn repairs(member: &Registration) -> bool {
    let owner = member.peers.fd().ok().and_then(|fd| fstat(fd).ok()).map(|status| status.st_uid);
    let persistent = member.peers.header().flags.load(SeqCst) & flags::PERSISTENT != 0;
    let is_dead = (0..PARTICIPANTS).all(|id| !member.peers.is_alive(id));
    let repaired = !persistent
        && is_dead
        && owner == Some(nix::unistd::geteuid().as_raw())
        && remove_but_peers(member).is_ok();
    if repaired {
        let fields = Fields::because("the files that the dead left were damaged");
        trace::event(Level::Warn, "topic repaired", member.topic_name(), fields);
    }
    repaired
}

/// Takes a place among the producers. Under the lifecycle lock.
fn join_as_producer(
    member: &Arc<Registration>,
    options: &Options,
    wanted: &GeometryRequest,
    exclusive: bool,
) -> Result<Arc<Epoch>> {
    if member.peers.header().epoch.load(SeqCst) == 0 {
        // See `whole::parts`: it would be another list's.
        remove_but_peers(member)?;
    }
    recover(member, options.allow_foreign)?;
    check_exclusive(member, exclusive)?;
    let others = member.peers.producers() != 0;
    let mut epoch = open_ring(member, options, wanted)?;
    // Before it takes an id: stopped afterwards, a new participant would keep what the id's last owner left from being reaped by
    // others.
    reap::reap_dead(&epoch)?;
    let Some(id) = member.reserve(Role::Producer)? else {
        return Err(Error::TooManyProducers { topic: member.topic_name().into() });
    };
    reap::clear_dead(&epoch, id);
    fail_point(FailPoint::JoinCleaned);
    if !satisfies(&epoch, wanted, others) {
        let wanted = if others { union(&epoch, wanted) } else { *wanted };
        epoch = grow::replace(&epoch, &wanted, options.allow_foreign)?;
    }
    if options.persistent {
        member.peers.header().flags.fetch_or(flags::PERSISTENT, SeqCst);
    }
    if let Some(description) = &options.description {
        accepted_caps::write(&DescriptionOf(&member.peers), description.as_bytes());
    }
    member.activate(&options.name, &options.accepted_caps, epoch.geometry.epoch, 0, false);
    if exclusive {
        member.peers.header().exclusive.store(owner_word(id, member.generation()), SeqCst);
    }
    Ok(epoch)
}

/// Opens a topic as a consumer that registers. [`Error::TopicNotFound`] if there is none.
pub(crate) fn consumer(topic: &Topic, options: &Options, start: StartAt) -> Result<Opened> {
    let _events = trace::hold();
    for _ in 0..ATTEMPTS {
        let peers = ParticipantTable::open(topic, Access::ReadWrite, options.allow_foreign)?;
        let member = Arc::new(Registration::new(peers, leave::leave));
        let locked = member.peers.lock(OPEN_TIMEOUT, "open")?;
        if !is_current(&member)? {
            continue;
        }
        fail_point(FailPoint::OpenLocked);
        match whole::parts(&member, options.allow_foreign)? {
            Parts::Whole => {}
            Parts::NotMade => return Err(no_topic(topic)),
            Parts::Missing(part) => return Err(whole::deleted(topic, &part)),
        }
        let mode = Mode {
            write_ring: false,
            write_holds: true,
            allow_foreign: options.allow_foreign,
            prefault: options.prefault,
            copy_on_write: options.copy_on_write,
        };
        let epoch = Arc::new(map_started(&member, mode)?);
        reap::reap_dead(&epoch)?; // as above
        let id = member.reserve(Role::Consumer)?;
        if let Some(id) = id {
            reap::clear_dead(&epoch, id);
            fail_point(FailPoint::JoinCleaned);
        } else {
            crowd::enter(&member)?;
        }
        let (cursor, joined_at) = start_at(&epoch, start)?;
        // Before a producer sees us and ends the stream because of us.
        let initial_end = member.peers.end();
        let latest = options.delivery == Delivery::Latest;
        member.activate(&options.name, &options.accepted_caps, epoch.geometry.epoch, cursor, latest);
        let cursor = settle(&epoch, cursor)?;
        drop(locked);
        epoch.start_backing(mode.prefault);
        return Ok(Opened { epoch, cursor, joined_at, initial_end });
    }
    Err(Error::Busy { topic: topic.name().into(), waited: OPEN_TIMEOUT, what: "open".into() })
}

/// Opens a topic without writing anything, but for a flag if its permissions admit no readers. [`Error::TopicNotFound`] if there
/// is none.
pub(crate) fn reader(topic: &Topic, options: &Options, start: StartAt) -> Result<Opened> {
    let member = Arc::new(Registration::new(
        ParticipantTable::open(topic, Access::ReadOnly, options.allow_foreign)?,
        leave::leave,
    ));
    if member.peers.load(&member.peers.header().removed) != 0 {
        // Whoever was removing it may be dead.
        return Err(no_topic(topic));
    }
    let mode = Mode {
        write_ring: false,
        write_holds: false,
        allow_foreign: options.allow_foreign,
        prefault: options.prefault,
        copy_on_write: false,
    };
    let epoch = match map_started(&member, mode) {
        // Without the lock, in this order: a removal is marked before any file goes.
        Err(Error::TopicNotFound { .. })
            if !whole::is_deserted(&member) && member.peers.load(&member.peers.header().removed) == 0 =>
        {
            return Err(whole::deleted(topic, &topic.ring_path()));
        }
        found => Arc::new(found?),
    };
    if !epoch.geometry.allows_read_only() {
        crowd::enter_reading(&epoch.member, options.allow_foreign)?;
    }
    let (cursor, joined_at) = start_at(&epoch, start)?;
    let initial_end = epoch.member.peers.end();
    epoch.start_backing(mode.prefault);
    Ok(Opened { epoch, cursor, joined_at, initial_end })
}

/// A consumer's view of a topic.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) epoch: Arc<Epoch>,
    pub(crate) cursor: u64,
    /// What was published from this sequence number on, was published after the opening.
    pub(crate) joined_at: u64,
    /// The stream had ended when it came, like this.
    pub(crate) initial_end: Option<End>,
}

/// Whether the locked `peers` is still the topic's. One whose removal began is removed to the end here.
fn is_current(member: &Arc<Registration>) -> Result<bool> {
    let topic = member.peers.topic();
    let io = |e| Error::io(topic.name(), "examine the list of participants", e);
    if !same_file(member.peers.fd()?, &topic.peers_path()).map_err(io)? {
        return Ok(false);
    }
    if member.peers.header().removed.load(SeqCst) != 0 {
        let owner = fstat(member.peers.fd()?).map_err(|e| io(e.into()))?.st_uid;
        if !may_unlink(topic.dir(), owner).map_err(io)? {
            // Its owner was killed in the middle of a removal; the topic is gone, and we cannot recreate it.
            return Err(no_topic(topic));
        }
        remove_but_peers(member)?;
        unlink(&topic.peers_path()).map_err(io)?;
        fail_point(FailPoint::RemovePeers);
        return Ok(false);
    }
    Ok(true)
}

/// Makes an empty list of participants, unless the topic has one.
pub(crate) fn create_peers(topic: &Topic, perms: u32, persistent: bool) -> Result<()> {
    let mut file = create_temp(topic, perms, FILE_LEN as u64)?;
    ParticipantTable::initialise(topic, file.view()?, persistent)?;
    fail_point(FailPoint::OpenPeersTemp);
    // Another process may have been faster; then its file is the topic.
    file.commit_new(&topic.peers_path())?;
    fail_point(FailPoint::OpenPeersCommit);
    Ok(())
}

/// The current ring for a producer; a new one if the topic has none.
fn open_ring(member: &Arc<Registration>, options: &Options, wanted: &GeometryRequest) -> Result<Arc<Epoch>> {
    let topic = member.peers.topic();
    let mode = Mode { prefault: options.prefault, ..Mode::writing(options.allow_foreign) };
    match files::map(member, &topic.ring_path(), mode) {
        Err(Error::TopicNotFound { .. }) => {}
        other => {
            let epoch = other.map(Arc::new)?;
            if member.peers.active() & (bit(PRODUCERS) - 1) == 0 {
                let reason = "it has no producer";
                let fields = Fields { epoch: Some(epoch.geometry.epoch), ..Fields::because(reason) };
                trace::event(Level::Info, "topic adopted", topic.name(), fields);
            }
            return Ok(epoch);
        }
    }
    let geometry = wanted.geometry(1, random(), files::topic_perms(member)?)?;
    let mut new = files::create(member, geometry, 1, [FailPoint::OpenHolds, FailPoint::OpenRingTemp])?;
    // Before the ring has its name: see `whole::parts`.
    member.peers.header().epoch.store(geometry.epoch, SeqCst);
    if !new.ring.commit_new(&topic.ring_path())? {
        // Impossible under the lock, unless a process breaks the protocol.
        return Err(Error::Busy { topic: topic.name().into(), waited: OPEN_TIMEOUT, what: "make".into() });
    }
    fail_point(FailPoint::OpenRingCommit);
    let bytes = Some(geometry.slot_capacity);
    trace::event(
        Level::Info,
        "topic made",
        topic.name(),
        Fields { epoch: Some(1), bytes, ..Fields::default() },
    );
    Ok(Arc::new(new.into_epoch(Arc::clone(member))?))
}

/// The ring to start reading in. One that has not started yet (its maker stopped or died before it sealed the one
/// before) is entered through its predecessor, where the frames still are.
fn map_started(member: &Arc<Registration>, mode: Mode) -> Result<Epoch> {
    let topic = member.peers.topic();
    let epoch = files::map(member, &topic.ring_path(), mode)?;
    if epoch.first().load_acquire() != 0 {
        return Ok(epoch);
    }
    match files::map(member, &topic.path(FileKind::OldRing(epoch.geometry.epoch.saturating_sub(1))), mode) {
        Ok(old) => Ok(old),
        Err(Error::TopicNotFound { .. }) => Ok(epoch),
        Err(error) => Err(error),
    }
}

/// Where to start reading, and what is published next.
fn start_at(epoch: &Epoch, start: StartAt) -> Result<(u64, u64)> {
    let corrupt = |corruption| epoch.corrupt(corruption);
    let history = u64::from(epoch.geometry.history);
    let next = next_seq(epoch).map_err(corrupt)?.0;
    let seq = match start {
        StartAt::Oldest => start_of_history(epoch, history).map_err(corrupt)?,
        StartAt::Newest => start_of_history(epoch, history.min(1)).map_err(corrupt)?,
        StartAt::Next => next,
    };
    Ok((seq.max(1), next.max(1)))
}

/// Where a consumer starts that is registered from `cursor` on: not before what was overwritten while it was not.
fn settle(epoch: &Epoch, cursor: u64) -> Result<u64> {
    let unbroken = start_of_history(epoch, u64::MAX).map_err(|corruption| epoch.corrupt(corruption))?;
    if let (Some(entry), true) = (epoch.member.entry(), unbroken > cursor) {
        entry.cursor.store(unbroken, SeqCst);
    }
    Ok(cursor.max(unbroken))
}

fn check_exclusive(member: &Registration, exclusive: bool) -> Result<()> {
    let producers = member.peers.producers();
    let word = member.peers.header().exclusive.load(SeqCst);
    // The id of one that was killed may be another's by now.
    let is_owner = |id: u8| {
        let generation = member.peers.participant(id).generation.load(SeqCst);
        producers & bit(id) != 0 && owner_word(id, generation) == word
    };
    let owner = owner_id(word).filter(|&id| is_owner(id));
    let first = (producers != 0).then(|| producers.trailing_zeros() as u8).filter(|_| exclusive);
    match owner.or(first) {
        Some(id) => Err(Error::InUse {
            topic: member.topic_name().into(),
            by: format!(
                "producer `{}` (pid {})",
                member.peers.name_of(id),
                member.peers.participant(id).pid.load(std::sync::atomic::Ordering::Relaxed)
            ),
        }),
        None => Ok(()),
    }
}

/// Whether the ring that is there will do. With other producers at work only a frame that does not fit is a reason
/// to change it: the producer that created the topic set the geometry.
fn satisfies(epoch: &Epoch, wanted: &GeometryRequest, others: bool) -> bool {
    let geometry = &epoch.geometry;
    let fits =
        geometry.slot_capacity >= wanted.slot_capacity && geometry.meta_capacity >= wanted.meta_capacity;
    let same = wanted.geometry(
        geometry.epoch,
        geometry.holds,
        if geometry.allows_read_only() { 0o644 } else { 0o600 },
    );
    let same = same
        .is_ok_and(|w| (w.slots, w.depth, w.history) == (geometry.slots, geometry.depth, geometry.history));
    fits && (others || same)
}

fn union(epoch: &Epoch, wanted: &GeometryRequest) -> GeometryRequest {
    let geometry = &epoch.geometry;
    GeometryRequest {
        depth: geometry.depth,
        spare_slots: u32::from(geometry.slots).saturating_sub(geometry.depth),
        history: geometry.history,
        slot_capacity: geometry.slot_capacity.max(wanted.slot_capacity),
        meta_capacity: geometry.meta_capacity.max(wanted.meta_capacity),
    }
}
