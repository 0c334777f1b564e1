//! Following a topic's frames from outside.

use std::mem::offset_of;
use std::path::Path;

use super::frame_info::FrameInfo;
use super::ring_snapshot::RingFile;
use super::similar::suggest;
use super::snapshot::File;
use crate::error::{Error, Result};
use crate::layout::VERSION;
use crate::layout::peers::{Header, MAGIC};
use crate::lifecycle::recovery::KEPT_EPOCHS;
use crate::topic::{FileKind, Topic};

/// Follows the frames of a topic without taking part: it registers nowhere, holds no slot, writes nothing, and neither
/// producers nor consumers notice it. It sees what a frame's slot and metadata say; payloads it does not read.
///
/// A look costs a few system calls. Between two looks frames may be overwritten: those are counted, not seen.
///
/// ```
/// # let dir = std::env::temp_dir().join(format!("shmflow-doc-monitor-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// let producer = shmflow::Producer::builder("doc/monitor").dir(&dir).open()?;
/// let mut monitor = shmflow::Monitor::open("doc/monitor", Some(&dir))?;
/// producer.write(b"one")?;
/// producer.write(b"three")?;
/// let look = monitor.look()?;
/// let seen: Vec<_> = look.frames.iter().map(|frame| (frame.seq, frame.bytes)).collect();
/// assert_eq!((seen, look.missed), (vec![(1, 3), (2, 5)], 0));
/// # drop(producer); std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), shmflow::Error>(())
/// ```
#[derive(Debug)]
pub struct Monitor {
    topic: Topic,
    peers: File,
    /// The ring that frames are looked for in; `None` if the topic has none yet.
    ring: Option<RingFile>,
    next: u64,
}

/// What a [`Monitor`] saw since its last look.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MonitorLook {
    /// The frames that came, the oldest first.
    pub frames: Vec<FrameInfo>,
    /// Frames that came and were overwritten before this look.
    pub missed: u64,
    /// Sequence number of the next frame.
    pub next_seq: u64,
    /// Another topic has the name now: sequences begin again.
    pub recreated: bool,
}

impl Monitor {
    /// Begins to follow a topic, with the frames to come. `dir` as for [`inspect`](super::inspect).
    ///
    /// # Errors
    /// As [`inspect`](super::inspect).
    pub fn open(topic: &str, dir: Option<&Path>) -> Result<Self> {
        let topic = Topic::new(topic, dir)?;
        let mut monitor = suggest(&topic, Self::attach(topic.clone()))?;
        if let Some(ring) = &monitor.ring {
            monitor.next = ring.frames(u64::MAX)?.0;
        }
        Ok(monitor)
    }

    fn attach(topic: Topic) -> Result<Self> {
        let peers = File::open(&topic, &topic.peers_path())?;
        let words = peers.part(0, size_of::<Header>())?;
        if words.word(offset_of!(Header, magic)) != MAGIC {
            return Err(peers.not_a_ring("it does not start with the magic number of a participant table"));
        }
        let version = words.word(offset_of!(Header, version));
        if version != VERSION {
            return Err(peers.version(version));
        }
        let ring = open_ring(&topic)?;
        Ok(Self { topic, peers, ring, next: 1 })
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.topic.name()
    }

    /// The frames that came since the last look.
    ///
    /// # Errors
    /// [`Error::TopicNotFound`] once the topic is gone, and its last frames were told; [`Error::Corrupt`] and others if its files are not in order.
    pub fn look(&mut self) -> Result<MonitorLook> {
        let words = self.peers.part(0, size_of::<Header>())?;
        let mut found = MonitorLook { next_seq: self.next, ..MonitorLook::default() };
        self.read_frames(&mut found)?;
        if words.word(offset_of!(Header, removed)) != 0 || self.peers.has_lost_its_name() {
            if found.missed != 0 || !found.frames.is_empty() {
                // That it is gone is told at the next look.
                return Ok(found);
            }
            *self = Self::attach(self.topic.clone())?;
            found = MonitorLook { recreated: true, ..MonitorLook::default() };
            self.read_frames(&mut found)?;
            return Ok(found);
        }
        let epoch = words.word(offset_of!(Header, epoch));
        let current = self.ring.as_ref().map_or(0, |ring| ring.geometry.epoch);
        if current < epoch || self.ring.is_none() {
            // A ring is replaced once it is sealed: what came before was read above, is in a ring that is kept for consumers, or
            // is lost.
            for between in epoch.saturating_sub(KEPT_EPOCHS).max(current.saturating_add(1))..epoch {
                let path = self.topic.path(FileKind::OldRing(between));
                if let Ok(ring) = RingFile::open(&self.topic, &path) {
                    self.ring = Some(ring);
                    self.read_frames(&mut found)?;
                }
            }
            if let Some(ring) = open_ring(&self.topic)? {
                self.ring = Some(ring);
                self.read_frames(&mut found)?;
            }
        }
        Ok(found)
    }

    fn read_frames(&mut self, found: &mut MonitorLook) -> Result<()> {
        let Some(ring) = &self.ring else { return Ok(()) };
        let (next, stamps) = ring.frames(self.next)?;
        let new = next.saturating_sub(self.next);
        let before = found.frames.len();
        for stamp in &stamps {
            if let Some(meta) = ring.meta(stamp)? {
                found.frames.push(FrameInfo::new(stamp, meta));
            }
        }
        let seen = found.frames.len().saturating_sub(before) as u64;
        found.missed = found.missed.saturating_add(new.saturating_sub(seen));
        self.next = self.next.max(next);
        found.next_seq = self.next;
        Ok(())
    }
}

/// The ring with the newest frames; `None` if the topic has none yet. One that has not started has its frames to come, and
/// its predecessor those that are there.
fn open_ring(topic: &Topic) -> Result<Option<RingFile>> {
    match RingFile::open(topic, &topic.ring_path()) {
        Ok(ring) if ring.geometry.epoch > 1 && !ring.has_started()? => {
            let old = FileKind::OldRing(ring.geometry.epoch.saturating_sub(1));
            Ok(Some(RingFile::open(topic, &topic.path(old)).unwrap_or(ring)))
        }
        Ok(ring) => Ok(Some(ring)),
        Err(Error::TopicNotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
