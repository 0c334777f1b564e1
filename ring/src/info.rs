//! Public types that describe a topic and its participants.

use std::sync::atomic::Ordering::Relaxed;

use crate::layout::ring::RingGeometry;
use crate::layout::words::bit;
use crate::lifecycle::open::Delivery;
use crate::protocol::accepted_caps;
use crate::shm::participants::ParticipantTable;
use crate::shm::shared::CapsOf;

/// A participant of a topic. Ids are used again, generations never are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParticipantId {
    /// Its place in the table: 0–7 are producers, 8–63 consumers.
    pub id: u8,
    /// Counts the participants that ever joined.
    pub generation: u64,
}

/// The geometry of a topic's ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Geometry {
    /// Counts the geometries that the topic has had, from 1.
    pub epoch: u64,
    /// Slots: depth plus spare slots.
    pub slots: u32,
    /// Frames it holds for its consumers.
    pub depth: u32,
    /// Newest frames that stay for late joiners.
    pub history: u32,
    /// Bytes of a slot's payload.
    pub slot_capacity: usize,
    /// Bytes of a slot's metadata.
    pub meta_capacity: usize,
    /// Bytes of shared memory that this epoch takes.
    pub reserved_bytes: u64,
}

impl Geometry {
    pub(crate) fn of(geometry: &RingGeometry) -> Self {
        Self {
            epoch: geometry.epoch,
            slots: geometry.slots.into(),
            depth: geometry.depth,
            history: geometry.history,
            slot_capacity: usize::try_from(geometry.slot_capacity).unwrap_or(usize::MAX),
            meta_capacity: usize::try_from(geometry.meta_capacity).unwrap_or(usize::MAX),
            reserved_bytes: geometry.offsets().file_len + geometry.holds_len(),
        }
    }
}

/// A registered consumer, as producers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerInfo {
    /// Its id.
    pub id: ParticipantId,
    /// Its name.
    pub name: String,
    /// The caps that it accepts, as GStreamer writes them; `None` if it has not stated any, or is changing them for longer
    /// than one would wait. From another process: parse them with care.
    pub accepted_caps: Option<String>,
    /// Whether a lossless producer waits for it.
    pub delivery: Delivery,
}

impl ConsumerInfo {
    /// Reads a consumer's entry.
    pub(crate) fn read(peers: &ParticipantTable, id: u8) -> Self {
        let read = accepted_caps::read(&CapsOf { peers, id, stops: true });
        let (generation, text) =
            read.unwrap_or_else(|| (peers.participant(id).generation.load(Relaxed), Vec::new()));
        let accepted_caps = String::from_utf8(text).ok().filter(|caps| !caps.is_empty());
        let latest = peers.load(&peers.header().latest) & bit(id) != 0;
        let delivery = if latest { Delivery::Latest } else { Delivery::All };
        Self { id: ParticipantId { id, generation }, name: peers.name_of(id), accepted_caps, delivery }
    }

    /// Writes the accepted caps of the participant that we are. One writer at a time.
    pub(crate) fn write(peers: &ParticipantTable, id: u8, caps: &str) {
        accepted_caps::write(&CapsOf { peers, id, stops: true }, caps.as_bytes());
        peers.notify();
    }
}

/// The name of this process, for display.
pub(crate) fn process_name() -> String {
    std::fs::read_to_string("/proc/self/comm").map(|name| name.trim().to_owned()).unwrap_or_default()
}
