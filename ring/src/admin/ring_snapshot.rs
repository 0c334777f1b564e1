//! One epoch's `ring` as it is at one moment, read and not mapped: its control words, and the frames that it holds.

use std::mem::offset_of;
use std::path::Path;

use super::snapshot::{File, Part};
use crate::error::{Error, Result};
use crate::layout::ring::{
    BadGeometry, GEOMETRY_WORDS, HOLDS_MAGIC, Header as RingHeader, HoldsHeader, LINE, Offsets, PAGE,
    RingGeometry, Slot,
};
use crate::layout::words::{Entry, PARTICIPANTS, State};
use crate::protocol::lease::follow_index;
use crate::sys::machine_time::from_machine;
use crate::topic::{FileKind, Topic};

/// An open `ring` that was checked.
#[derive(Debug)]
pub(super) struct RingFile {
    pub(super) geometry: RingGeometry,
    topic: Topic,
    offsets: Offsets,
    file: File,
}

/// What the ring says of a frame that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) seq: u64,
    pub(super) slot: u16,
    pub(super) owner: u8,
    pub(super) generation: u64,
    pub(super) len: u64,
    pub(super) meta_len: u64,
    /// On this process's `CLOCK_MONOTONIC`.
    pub(super) published: u64,
}

impl RingFile {
    pub(super) fn open(topic: &Topic, path: &Path) -> Result<Self> {
        let file = File::open(topic, path)?;
        if file.len() < PAGE {
            return Err(file.not_a_ring("it is too short"));
        }
        let header = file.part(0, 8 * GEOMETRY_WORDS)?;
        let mut words = [0; GEOMETRY_WORDS];
        for (i, word) in words.iter_mut().enumerate() {
            *word = header.word(8 * i);
        }
        let geometry = RingGeometry::parse(words, file.len()).map_err(|bad| match bad {
            BadGeometry::Version(found) => file.version(found),
            BadGeometry::Other(why) => file.not_a_ring(why),
        })?;
        let offsets = geometry.offsets();
        if usize::try_from(offsets.payload_at).is_err() {
            return Err(file.not_a_ring("it is larger than this machine's memory"));
        }
        Ok(Self { geometry, topic: topic.clone(), offsets, file })
    }

    /// Everything before the payloads is in reach of a `usize`: see [`open`](Self::open).
    fn part(&self, at: u64, len: u64) -> Result<Part> {
        let narrow = |value| usize::try_from(value).unwrap_or(usize::MAX);
        self.file.part(narrow(at), narrow(len))
    }

    /// Whether its predecessor was sealed, so that frames are published in it.
    pub(super) fn has_started(&self) -> Result<bool> {
        let header = self.file.part(0, size_of::<RingHeader>())?;
        Ok(header.word(offset_of!(RingHeader, first)) != 0)
    }

    /// The first sequence of the epoch (0: not started), the one that is published next, and the index.
    fn positions(&self) -> Result<(u64, u64, Part)> {
        let header = self.file.part(0, size_of::<RingHeader>())?;
        let index = self.part(self.offsets.index_at, self.offsets.index_len.saturating_mul(8))?;
        let head = header.word(offset_of!(RingHeader, head));
        let next = follow_index(head, self.offsets.index_len, |seq| self.entry(&index, seq));
        let (next, _) = next.ok_or_else(|| Error::Corrupt {
            topic: self.topic.name().into(),
            what: crate::protocol::Corruption::Head.what().into(),
        })?;
        Ok((header.word(offset_of!(RingHeader, first)), next, index))
    }

    fn entry(&self, index: &Part, seq: u64) -> Entry {
        let entry = usize::try_from(seq & self.offsets.index_len.saturating_sub(1)).unwrap_or(0);
        Entry::unpack(index.word(entry.saturating_mul(8)))
    }

    fn slots(&self) -> Result<Part> {
        self.part(self.offsets.slots_at, u64::from(self.geometry.slots).saturating_mul(LINE as u64))
    }

    /// The frames that are in the ring, from `from` on, the oldest first.
    fn stamps(&self, from: u64, next: u64, index: &Part, slots: &Part) -> Result<Vec<Stamp>> {
        let oldest = next.saturating_sub(self.geometry.slots.into()).max(from).max(1);
        let word = |slots: &Part, slot: u16, offset| slots.word(usize::from(slot) * LINE + offset);
        let mut found = Vec::new();
        for seq in oldest..next {
            let Entry { seq: there, slot } = self.entry(index, seq);
            if there != seq || slot >= self.geometry.slots {
                continue;
            }
            let word = |offset| word(slots, slot, offset);
            if let State::Published { seq: there, owner } = State::unpack(word(offset_of!(Slot, state)))
                && there == seq
            {
                found.push(Stamp {
                    seq,
                    slot,
                    owner,
                    generation: word(offset_of!(Slot, generation)),
                    len: word(offset_of!(Slot, len)).min(self.geometry.slot_capacity),
                    meta_len: word(offset_of!(Slot, meta_len)),
                    published: from_machine(word(offset_of!(Slot, published))),
                });
            }
        }
        if !found.is_empty() {
            // A producer may have claimed a slot between two words of it.
            let after = self.slots()?;
            found.retain(|stamp| {
                let state = word(&after, stamp.slot, offset_of!(Slot, state));
                State::unpack(state).is_published(stamp.seq)
            });
        }
        Ok(found)
    }

    /// The sequence that is published next, and the frames in the ring from `from` on, the oldest first.
    pub(super) fn frames(&self, from: u64) -> Result<(u64, Vec<Stamp>)> {
        let (first, next, index) = self.positions()?;
        let next = next.max(first).max(1);
        if next <= from {
            return Ok((next, Vec::new()));
        }
        let slots = self.slots()?;
        Ok((next, self.stamps(from, next, &index, &slots)?))
    }

    /// The metadata of a frame; `None` if it was overwritten meanwhile.
    pub(super) fn meta(&self, stamp: &Stamp) -> Result<Option<Vec<u8>>> {
        let (len, capacity) = (stamp.meta_len, self.geometry.meta_capacity);
        let at = self.offsets.meta_at + u64::from(stamp.slot) * capacity;
        // Who makes a ring of holes, which takes no memory, is to cost others none.
        let is_none = len == 0 || len > capacity || (len > PAGE && self.file.has_hole(at, len)?);
        let block = if is_none { Vec::new() } else { self.part(at, len)?.0 };
        let state_at = self.offsets.slots_at + u64::from(stamp.slot) * LINE as u64;
        let state = self.part(state_at, 8)?.word(offset_of!(Slot, state));
        Ok(State::unpack(state).is_published(stamp.seq).then_some(block))
    }
}

/// The control words of one epoch at one moment.
#[derive(Debug)]
pub(super) struct RingSnapshot {
    pub(super) ring: RingFile,
    pub(super) first: u64,
    /// Next sequence to be published.
    pub(super) next: u64,
    /// The frames that it holds, the oldest first.
    pub(super) stamps: Vec<Stamp>,
    slots: Part,
    holders: Option<Part>,
}

impl RingSnapshot {
    /// Reads and checks the ring of this name, and its holder words if they can be read.
    pub(super) fn read(topic: &Topic, path: &Path) -> Result<Self> {
        let ring = RingFile::open(topic, path)?;
        let (first, next, index) = ring.positions()?;
        // After the index: a slot whose frame is newer by now shows as newer, never as older.
        let slots = ring.slots()?;
        let stamps = ring.stamps(0, next, &index, &slots)?;
        let holders = read_holders(topic, &ring.geometry).ok().flatten();
        Ok(Self { ring, first, next, stamps, slots, holders })
    }

    /// How many slots each participant holds; `None` if the holder words cannot be read.
    pub(super) fn held(&self) -> Option<[u32; PARTICIPANTS as usize]> {
        let holders = self.holders.as_ref()?;
        let mut held = [0_u32; PARTICIPANTS as usize];
        for slot in 0..usize::from(self.ring.geometry.slots) {
            let word = holders.word(slot.saturating_mul(LINE));
            for (id, count) in held.iter_mut().enumerate() {
                *count = count.saturating_add((word >> id & 1) as u32);
            }
        }
        Some(held)
    }

    /// How many slots each participant is writing into.
    pub(super) fn writing(&self) -> [u32; PARTICIPANTS as usize] {
        let mut writing = [0_u32; PARTICIPANTS as usize];
        for slot in 0..usize::from(self.ring.geometry.slots) {
            let word = self.slots.word(slot.saturating_mul(LINE).saturating_add(offset_of!(Slot, state)));
            if let State::Writing { owner } = State::unpack(word)
                && let Some(count) = writing.get_mut(usize::from(owner))
            {
                *count = count.saturating_add(1);
            }
        }
        writing
    }
}

fn read_holders(topic: &Topic, geometry: &RingGeometry) -> Result<Option<Part>> {
    let file = File::open(topic, &topic.path(FileKind::Holds(geometry.holds)))?;
    let header = file.part(0, size_of::<HoldsHeader>())?;
    let right = header.word(offset_of!(HoldsHeader, magic)) == HOLDS_MAGIC
        && header.word(offset_of!(HoldsHeader, id)) == geometry.holds
        && header.word(offset_of!(HoldsHeader, slots)) == u64::from(geometry.slots);
    if !right {
        return Ok(None);
    }
    file.part(PAGE as usize, usize::from(geometry.slots).saturating_mul(LINE)).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::words::MAX_SEQ;

    #[test]
    fn the_next_sequence_comes_from_the_index_where_head_lags() {
        let index = |seq: u64| Entry::new(if seq < 8 { seq } else { 0 }, 1);
        assert_eq!(follow_index(1, 16, index), Some((8, false)));
        assert_eq!(follow_index(8, 16, index), Some((8, false)));
        assert_eq!(follow_index(0, 16, index), Some((0, false)), "an epoch that has not started");
        assert_eq!(
            follow_index(5, 16, |seq| if seq == 6 { Entry::seal(6) } else { index(seq) }),
            Some((6, true))
        );
    }

    #[test]
    fn no_index_makes_the_search_long_or_wrong() {
        assert_eq!(follow_index(1, 16, |seq| Entry::new(seq, 0)), Some((17, false)));
        for head in [MAX_SEQ - 1, MAX_SEQ, u64::MAX] {
            assert_eq!(follow_index(head, 16, |seq| Entry::new(seq, 0)), None, "{head}");
        }
    }
}
