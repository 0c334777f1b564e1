//! The bytes of `ring` and `holds`: one epoch of a topic.

use std::mem::{offset_of, size_of};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::VERSION;

/// `SHMFRING`, little-endian.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"SHMFRING");
/// `SHMFHOLD`, little-endian.
pub(crate) const HOLDS_MAGIC: u64 = u64::from_le_bytes(*b"SHMFHOLD");

/// Most slots of a ring. One page of holder words for every 64 of them.
pub(crate) const MAX_SLOTS: u32 = 16_384;
/// Most bytes of a frame.
pub(crate) const MAX_CAPACITY: u64 = 1 << 38;
/// Most bytes of a frame's metadata.
pub(crate) const MAX_META: u64 = 1 << 24;
/// Payloads begin at multiples of this, as pages do.
pub(crate) const PAGE: u64 = 4096;
/// Distance between holder words, and between slot headers: a cache line each.
pub(crate) const LINE: usize = 64;

/// Bits of [`Header::flags`].
pub(crate) mod flags {
    /// The permissions allow read-only consumers, which cannot set a sleeper bit.
    pub(crate) const ADMITS_READERS: u64 = 1;
}

/// The first page of `ring`. All but `first`, `head` and `wake` is written before the file gets its name, and never
/// again.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) magic: AtomicU64,
    pub(crate) version: AtomicU64,
    pub(crate) epoch: AtomicU64,
    /// Name of the `holds` file that belongs to this epoch.
    pub(crate) holds: AtomicU64,
    pub(crate) slots: AtomicU64,
    pub(crate) depth: AtomicU64,
    pub(crate) history: AtomicU64,
    pub(crate) slot_capacity: AtomicU64,

    pub(crate) meta_capacity: AtomicU64,
    pub(crate) flags: AtomicU64,
    /// Derived from the above; for programs that do not want to compute them.
    pub(crate) index_len: AtomicU64,
    pub(crate) index_at: AtomicU64,
    pub(crate) slots_at: AtomicU64,
    pub(crate) meta_at: AtomicU64,
    pub(crate) payload_at: AtomicU64,
    pub(crate) payload_stride: AtomicU64,

    /// First sequence of the epoch; 0 until its predecessor is sealed.
    pub(crate) first: AtomicU64,
    /// Non-zero: all of the file has memory. Until then a producer that claims a slot reserves that slot's memory first.
    pub(crate) reserved: AtomicU64,
    _pad0: [AtomicU64; 6],

    /// Next sequence, or a little behind it. On one line with `wake`: a publication writes both.
    pub(crate) head: AtomicU64,
    /// Futex word, changed with each publication.
    pub(crate) wake: AtomicU32,
    _pad1: AtomicU32,
    _pad2: [AtomicU64; 6],
}

/// What is known of one slot.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Slot {
    /// See [`super::words::State`].
    pub(crate) state: AtomicU64,
    /// Bytes of payload.
    pub(crate) len: AtomicU64,
    /// Bytes of metadata.
    pub(crate) meta_len: AtomicU64,
    /// Generation of the producer that wrote the frame.
    pub(crate) generation: AtomicU64,
    /// When it was published, the machine's CLOCK_MONOTONIC in nanoseconds: for those who measure, never for the protocol.
    pub(crate) published: AtomicU64,
    _pad: [AtomicU64; 3],
}

/// The first page of `holds`; the holder words follow, a cache line each.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct HoldsHeader {
    pub(crate) magic: AtomicU64,
    pub(crate) version: AtomicU64,
    pub(crate) epoch: AtomicU64,
    pub(crate) id: AtomicU64,
    pub(crate) slots: AtomicU64,
    _pad: [AtomicU64; 11],
}

const _: () = {
    assert!(size_of::<Header>() == 256);
    assert!(offset_of!(Header, meta_capacity) == 64);
    assert!(offset_of!(Header, payload_stride) == 8 * (GEOMETRY_WORDS - 1));
    assert!(offset_of!(Header, first) == 128 && offset_of!(Header, reserved) == 136);
    assert!(offset_of!(Header, head) == 192);
    assert!(offset_of!(Header, wake) == 200);
    assert!(size_of::<Slot>() == LINE && offset_of!(Slot, published) == 32);
    assert!(size_of::<HoldsHeader>() == 128);
};

/// The geometry of an epoch: fixed for its life, checked once against the file, kept in private memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RingGeometry {
    pub(crate) epoch: u64,
    pub(crate) holds: u64,
    pub(crate) slots: u16,
    pub(crate) depth: u32,
    pub(crate) history: u32,
    pub(crate) slot_capacity: u64,
    pub(crate) meta_capacity: u64,
    pub(crate) flags: u64,
}

/// The offsets of the parts of `ring`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offsets {
    pub(crate) index_len: u64,
    pub(crate) index_at: u64,
    pub(crate) slots_at: u64,
    pub(crate) meta_at: u64,
    pub(crate) payload_at: u64,
    pub(crate) payload_stride: u64,
    pub(crate) file_len: u64,
}

impl Offsets {
    /// Where a slot's payload begins.
    pub(crate) fn payload_of(&self, slot: u64) -> u64 {
        self.payload_at.saturating_add(slot.saturating_mul(self.payload_stride))
    }
}

impl RingGeometry {
    /// The offsets that follow from the geometry. No overflow: every input is bounded by [`RingGeometry::check`].
    pub(crate) fn offsets(&self) -> Offsets {
        let slots = u64::from(self.slots);
        let index_len = (2 * slots).next_power_of_two();
        let index_at = PAGE;
        let slots_at = index_at + (index_len * 8).next_multiple_of(LINE as u64);
        let meta_at = slots_at + slots * LINE as u64;
        let payload_at = (meta_at + slots * self.meta_capacity).next_multiple_of(PAGE);
        let payload_stride = self.slot_capacity.next_multiple_of(PAGE);
        let file_len = payload_at + slots * payload_stride;
        Offsets { index_len, index_at, slots_at, meta_at, payload_at, payload_stride, file_len }
    }

    /// Bytes of the `holds` file.
    pub(crate) fn holds_len(&self) -> u64 {
        PAGE + (u64::from(self.slots) * LINE as u64).next_multiple_of(PAGE)
    }

    /// Whether read-only consumers may map the ring.
    pub(crate) fn allows_read_only(&self) -> bool {
        self.flags & flags::ADMITS_READERS != 0
    }

    /// Why no ring can have this geometry.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.slots == 0 || u32::from(self.slots) > MAX_SLOTS {
            Err("its number of slots is out of range")
        } else if self.depth == 0 || self.depth > u32::from(self.slots) {
            Err("its depth is out of range")
        } else if self.history > self.depth {
            Err("its history is longer than its depth")
        } else if self.slot_capacity == 0 || self.slot_capacity > MAX_CAPACITY {
            Err("its slot capacity is out of range")
        } else if self.meta_capacity > MAX_META || !self.meta_capacity.is_multiple_of(LINE as u64) {
            Err("its metadata capacity is out of range")
        } else if self.epoch == 0 {
            Err("it has no epoch")
        } else {
            Ok(())
        }
    }

    /// Writes the geometry into a new file.
    pub(crate) fn write(&self, header: &Header) {
        let o = self.offsets();
        for (word, value) in [
            (&header.magic, MAGIC),
            (&header.version, VERSION),
            (&header.epoch, self.epoch),
            (&header.holds, self.holds),
            (&header.slots, self.slots.into()),
            (&header.depth, self.depth.into()),
            (&header.history, self.history.into()),
            (&header.slot_capacity, self.slot_capacity),
            (&header.meta_capacity, self.meta_capacity),
            (&header.flags, self.flags),
            (&header.index_len, o.index_len),
            (&header.index_at, o.index_at),
            (&header.slots_at, o.slots_at),
            (&header.meta_at, o.meta_at),
            (&header.payload_at, o.payload_at),
            (&header.payload_stride, o.payload_stride),
        ] {
            word.store(value, Relaxed);
        }
    }

    /// Reads the geometry of a file of `file_len` bytes, each word once, and checks it.
    pub(crate) fn read(header: &Header, file_len: u64) -> Result<Self, BadGeometry> {
        let words = [
            &header.magic,
            &header.version,
            &header.epoch,
            &header.holds,
            &header.slots,
            &header.depth,
            &header.history,
            &header.slot_capacity,
            &header.meta_capacity,
            &header.flags,
            &header.index_len,
            &header.index_at,
            &header.slots_at,
            &header.meta_at,
            &header.payload_at,
            &header.payload_stride,
        ];
        Self::parse(words.map(|word| word.load(Relaxed)), file_len)
    }

    /// As [`read`](Self::read), from the words that the file begins with.
    pub(crate) fn parse(words: [u64; GEOMETRY_WORDS], file_len: u64) -> Result<Self, BadGeometry> {
        let [
            magic,
            version,
            epoch,
            holds,
            slots,
            depth,
            history,
            slot_capacity,
            meta_capacity,
            flags,
            offsets @ ..,
        ] = words;
        if magic != MAGIC {
            return Err(BadGeometry::Other("it does not start with the magic number of a ring"));
        }
        if version != VERSION {
            return Err(BadGeometry::Version(version));
        }
        let narrow = |word: u64, what| u32::try_from(word).map_err(|_| BadGeometry::Other(what));
        let geometry = Self {
            epoch,
            holds,
            slots: u16::try_from(slots)
                .map_err(|_| BadGeometry::Other("its number of slots is out of range"))?,
            depth: narrow(depth, "its depth is out of range")?,
            history: narrow(history, "its history is out of range")?,
            slot_capacity,
            meta_capacity,
            flags,
        };
        geometry.check().map_err(BadGeometry::Other)?;
        let o = geometry.offsets();
        if offsets != [o.index_len, o.index_at, o.slots_at, o.meta_at, o.payload_at, o.payload_stride] {
            return Err(BadGeometry::Other("its offsets do not follow from its geometry"));
        }
        if file_len != o.file_len {
            return Err(BadGeometry::Other("its length does not follow from its geometry"));
        }
        Ok(geometry)
    }
}

/// Words at the start of a ring that say its geometry, in the order of [`Header`].
pub(crate) const GEOMETRY_WORDS: usize = 16;

/// Why a file is not a ring of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadGeometry {
    Version(u64),
    Other(&'static str),
}

#[cfg(test)]
impl Header {
    /// As in a new file.
    pub(crate) fn zeroed() -> Self {
        let z = AtomicU64::default;
        Self {
            magic: z(),
            version: z(),
            epoch: z(),
            holds: z(),
            slots: z(),
            depth: z(),
            history: z(),
            slot_capacity: z(),
            meta_capacity: z(),
            flags: z(),
            index_len: z(),
            index_at: z(),
            slots_at: z(),
            meta_at: z(),
            payload_at: z(),
            payload_stride: z(),
            first: z(),
            reserved: z(),
            _pad0: Default::default(),
            head: z(),
            wake: AtomicU32::default(),
            _pad1: AtomicU32::default(),
            _pad2: Default::default(),
        }
    }

    /// The words that never change.
    pub(crate) fn words(&self) -> [u64; 16] {
        [
            &self.magic,
            &self.version,
            &self.epoch,
            &self.holds,
            &self.slots,
            &self.depth,
            &self.history,
            &self.slot_capacity,
            &self.meta_capacity,
            &self.flags,
            &self.index_len,
            &self.index_at,
            &self.slots_at,
            &self.meta_at,
            &self.payload_at,
            &self.payload_stride,
        ]
        .map(|word| word.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn geometries() -> impl Strategy<Value = RingGeometry> {
        (1..=MAX_SLOTS as u16, 1..=MAX_CAPACITY, 0..=MAX_META / 64, 1..u64::MAX).prop_flat_map(
            |(slots, slot_capacity, meta, epoch)| {
                (1..=u32::from(slots)).prop_flat_map(move |depth| {
                    (0..=depth).prop_map(move |history| RingGeometry {
                        epoch,
                        holds: 7,
                        slots,
                        depth,
                        history,
                        slot_capacity,
                        meta_capacity: meta * 64,
                        flags: 0,
                    })
                })
            },
        )
    }

    proptest! {
        #[test]
        fn a_shape_survives_its_file(geometry in geometries()) {
            let header = Header::zeroed();
            geometry.write(&header);
            prop_assert_eq!(RingGeometry::read(&header, geometry.offsets().file_len), Ok(geometry));
        }

        #[test]
        fn regions_follow_each_other_without_overlap(geometry in geometries()) {
            let o = geometry.offsets();
            let slots = u64::from(geometry.slots);
            prop_assert!(o.index_len >= 2 * slots && o.index_len.is_power_of_two());
            prop_assert!(o.slots_at >= o.index_at + 8 * o.index_len);
            prop_assert!(o.meta_at >= o.slots_at + 64 * slots);
            prop_assert!(o.payload_at >= o.meta_at + geometry.meta_capacity * slots);
            prop_assert!(o.payload_at % PAGE == 0 && o.payload_stride % PAGE == 0);
            prop_assert!(o.payload_stride >= geometry.slot_capacity);
        }

        #[test]
        fn any_header_is_a_shape_or_an_error(words in proptest::array::uniform16(any::<u64>()), len: u64) {
            let header = Header::zeroed();
            let fields = [&header.magic, &header.version, &header.epoch, &header.holds, &header.slots, &header.depth,
                &header.history, &header.slot_capacity, &header.meta_capacity, &header.flags];
            for (field, word) in fields.iter().zip(words) {
                field.store(word, Relaxed);
            }
            prop_assert!(RingGeometry::read(&header, len).is_err());
            header.magic.store(MAGIC, Relaxed);
            header.version.store(VERSION, Relaxed);
            let _ = RingGeometry::read(&header, len);
        }
    }
}
