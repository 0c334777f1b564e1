//! The results of an inspection.

use std::path::PathBuf;
use std::time::Duration;

use super::frame_info::{FrameInfo, FrameTime};
use super::state::TopicState;
use crate::info::{Geometry, ParticipantId};
use crate::lifecycle::open::Delivery;
use crate::shm::registration::Role;

/// Whether a participant lives, by the lock that it holds as long as it lives; never by its pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Liveness {
    /// It holds its lock; it may be stopped.
    Alive,
    /// Its lock is free: it died, and was not reaped yet.
    Dead,
    /// The lock could not be examined.
    Unknown,
}

/// A topic at one moment. From [`inspect`](super::inspect).
///
/// The numbers of a running topic are from slightly different moments; none is older than the call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TopicInfo {
    /// Its name.
    pub topic: String,
    /// The directory of its files.
    pub dir: PathBuf,
    /// The geometry of its ring; `None` if the process that created the topic has not created one yet, or died before.
    pub geometry: Option<Geometry>,
    /// The participants, by id. Read-only consumers do not register, and are not listed.
    pub participants: Vec<ParticipantInfo>,
    /// Sequence number of the next frame: one more than the frames that were ever published.
    pub next_seq: u64,
    /// The newest frame, if the ring still holds it: what is on the topic, by its caps and layout.
    pub newest: Option<FrameInfo>,
    /// When the frames that the ring still holds were published, the oldest first: the present rate, without a second look.
    pub recent: Vec<FrameTime>,
    /// Slots in which a frame is being written.
    pub claimed_slots: u32,
    /// Permission bits of the files; `ring` never has the write bits of group and others.
    pub permissions: u32,
    /// User id of the owner.
    pub owner_uid: u32,
    /// Group id of the files.
    pub owner_gid: u32,
    /// Bytes of shared memory that its files take, those of old epochs included.
    pub shared_bytes: u64,
    /// Epochs whose rings have names: the current one, and those between it and the consumer that is furthest behind.
    pub epochs: u32,
    /// It stays when its last participant leaves.
    pub persistent: bool,
    /// Its producers have ended the stream.
    pub ended: bool,
    /// It was removed; its participants get [`Error::Removed`](crate::Error::Removed).
    pub removed: bool,
    /// A lossless producer is here, or was.
    pub lossless: bool,
    /// Its permissions allow read-only consumers.
    pub allows_read_only: bool,
    /// What the topic shows, for people: what a producer [described it as](crate::ProducerBuilder::description). What its frames say
    /// of themselves is in [`content`](Self::content).
    pub description: Option<String>,
    /// When this was read, CLOCK_MONOTONIC in nanoseconds.
    pub(super) taken: u64,
    /// Device and inode of `peers`: another topic of the same name has others.
    pub(super) identity: (u64, u64),
}

/// A participant of a topic at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ParticipantInfo {
    /// Its id and generation.
    pub id: ParticipantId,
    /// Its role.
    pub role: Role,
    /// Its name, for display.
    pub name: String,
    /// Its process, as numbered in its own PID namespace: for display.
    pub pid: u32,
    /// Whether it lives.
    pub liveness: Liveness,
    /// Its process is stopped (SIGSTOP, Ctrl-Z, a debugger), as far as `/proc` shows it: that of another user, or of another
    /// PID namespace, does not show.
    pub stopped: bool,
    /// `false` for one that has closed its handle and still holds frames.
    pub active: bool,
    /// How long ago it joined.
    pub age: Duration,
    /// The epoch that it reads or writes.
    pub epoch: u64,
    /// Consumer: the sequence that it wants next.
    pub cursor: Option<u64>,
    /// Consumer: how many published frames it has not read.
    pub lag: Option<u64>,
    /// Frames received, or published.
    pub frames: u64,
    /// Payload bytes received, or published.
    pub bytes: u64,
    /// Frames that it lost because they were overwritten (consumer), or dropped because no slot was free (producer).
    pub lost: u64,
    /// Consumer: frames received as copies.
    pub copied: u64,
    /// Slots that it holds: leases of a consumer; claims and frames still in use of a producer. `None` if the holder
    /// words may not be read.
    pub held_slots: Option<u32>,
    /// Producer: slots into which it is writing.
    pub claimed_slots: u32,
    /// Consumer: the caps that it accepts.
    pub accepted_caps: Option<String>,
    /// Consumer: whether a lossless producer waits for it.
    pub delivery: Option<Delivery>,
    /// Consumer: it waits for a frame. Lossless producer: it waits for a slot. (One that was killed while it waited shows it, too.)
    pub waiting: bool,
    /// Producer: its stream ended before this sequence.
    pub end_seq: Option<u64>,
    /// Producer: it is the primary.
    pub primary: bool,
    /// Producer: it excludes others.
    pub exclusive: bool,
}

/// The frame rate of a topic, or of a participant. From [`TopicInfo::rate_since`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Rate {
    /// Frames per second.
    pub frames: f64,
    /// Payload bytes per second.
    pub bytes: f64,
}

impl TopicInfo {
    /// Its state, in one word.
    #[must_use]
    pub fn state(&self) -> TopicState {
        TopicState::of(self)
    }

    /// Frames that were ever published.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.next_seq.saturating_sub(1)
    }

    /// The producers, dead ones included.
    pub fn producers(&self) -> impl Iterator<Item = &ParticipantInfo> {
        self.participants.iter().filter(|p| p.role == Role::Producer)
    }

    /// The registered consumers, dead ones included.
    pub fn consumers(&self) -> impl Iterator<Item = &ParticipantInfo> {
        self.participants.iter().filter(|p| p.role == Role::Consumer)
    }

    /// Whether it has a participant that lives, or may live.
    #[must_use]
    pub fn in_use(&self) -> bool {
        self.participants.iter().any(|p| p.liveness != Liveness::Dead)
    }

    /// The rate at which frames were published between two inspections. `None` if they were at the same time, or the topic
    /// was recreated meanwhile.
    ///
    /// Bytes are those of the producers that were registered at both moments or joined in between; what a producer
    /// published that has left meanwhile is not known any more.
    ///
    /// ```
    /// # let dir = std::env::temp_dir().join(format!("shmflow-doc-rate-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir).unwrap();
    /// let producer = shmflow::Producer::builder("doc/rate").dir(&dir).open()?;
    /// let before = shmflow::inspect("doc/rate", Some(&dir))?;
    /// producer.write(b"0123456789")?;
    /// let rate = shmflow::inspect("doc/rate", Some(&dir))?.rate_since(&before).unwrap();
    /// assert!((rate.bytes / rate.frames - 10.0).abs() < 1e-6);
    /// # drop(producer); std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), shmflow::Error>(())
    /// ```
    #[must_use]
    pub fn rate_since(&self, earlier: &Self) -> Option<Rate> {
        let seconds = self.seconds_since(earlier)?;
        let frames = self.next_seq.checked_sub(earlier.next_seq)?;
        let bytes = self.producers().map(|now| gained(earlier, now).1).fold(0, u64::saturating_add);
        Some(Rate { frames: frames as f64 / seconds, bytes: bytes as f64 / seconds })
    }

    /// How fast one participant of this inspection published or received, as [`rate_since`](Self::rate_since).
    #[must_use]
    pub fn rate_of(&self, participant: &ParticipantInfo, earlier: &Self) -> Option<Rate> {
        let seconds = self.seconds_since(earlier)?;
        let (frames, bytes) = gained(earlier, participant);
        Some(Rate { frames: frames as f64 / seconds, bytes: bytes as f64 / seconds })
    }

    fn seconds_since(&self, earlier: &Self) -> Option<f64> {
        let same = self.identity == earlier.identity && self.topic == earlier.topic;
        let elapsed = self.taken.checked_sub(earlier.taken).filter(|ns| *ns != 0 && same)?;
        Some(Duration::from_nanos(elapsed).as_secs_f64())
    }
}

/// Frames and bytes that a participant has gained since an earlier inspection.
fn gained(earlier: &TopicInfo, now: &ParticipantInfo) -> (u64, u64) {
    let before = earlier.participants.iter().find(|p| p.id == now.id);
    let (frames, bytes) = before.map_or((0, 0), |p| (p.frames, p.bytes));
    (now.frames.saturating_sub(frames), now.bytes.saturating_sub(bytes))
}
