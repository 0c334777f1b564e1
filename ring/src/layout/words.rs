//! The packed words of the protocol: index entries and slot states.

/// Sequence numbers use 48 bits: at a million frames a second that lasts nine years.
pub(crate) const MAX_SEQ: u64 = (1 << 48) - 1;
/// Slot number that marks an index entry as the seal of its epoch.
pub(crate) const SEAL: u16 = u16::MAX;
/// Participants of a topic: one bit each in a holder word.
pub(crate) const PARTICIPANTS: u8 = 64;
/// Bits `0..PRODUCERS` are producers, the rest leasing consumers.
pub(crate) const PRODUCERS: u8 = 8;
/// The holder bits of all consumers.
pub(crate) const CONSUMER_BITS: u64 = !((1 << PRODUCERS) - 1);

/// The bit of participant `id` in holder words, masks and the sleeper word.
#[inline(always)]
pub(crate) const fn bit(id: u8) -> u64 {
    1 << (id & (PARTICIPANTS - 1))
}

/// An entry of the publish index: `seq:48 | slot:16`. All zero means never used (sequences start at 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) slot: u16,
}

impl Entry {
    #[inline(always)]
    pub(crate) const fn new(seq: u64, slot: u16) -> Self {
        Self { seq, slot }
    }

    #[inline(always)]
    pub(crate) const fn seal(seq: u64) -> Self {
        Self { seq, slot: SEAL }
    }

    #[inline(always)]
    pub(crate) const fn unpack(word: u64) -> Self {
        Self { seq: word >> 16, slot: word as u16 }
    }

    #[inline(always)]
    pub(crate) const fn pack(self) -> u64 {
        self.seq << 16 | self.slot as u64
    }

    #[inline(always)]
    pub(crate) const fn is_seal(self) -> bool {
        self.slot == SEAL
    }
}

/// The state of a slot: `seq:48 | owner:8 | tag:8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Holds nothing that a consumer may read.
    Free,
    /// A producer writes into it.
    Writing {
        /// Participant id of that producer.
        owner: u8,
    },
    /// Stamped with a sequence; published only if the index names the slot, too.
    Published {
        /// Its sequence number.
        seq: u64,
        /// Participant id of the producer that wrote it.
        owner: u8,
    },
    /// No participant of this version writes such a word.
    Corrupt,
}

impl State {
    const FREE: u8 = 0;
    const WRITING: u8 = 1;
    const PUBLISHED: u8 = 2;

    #[inline(always)]
    pub(crate) const fn unpack(word: u64) -> Self {
        let owner = (word >> 8) as u8;
        match word as u8 {
            Self::FREE if word == 0 => Self::Free,
            Self::WRITING if word >> 16 == 0 && owner < PARTICIPANTS => Self::Writing { owner },
            Self::PUBLISHED if owner < PARTICIPANTS => Self::Published { seq: word >> 16, owner },
            _ => Self::Corrupt,
        }
    }

    #[inline(always)]
    pub(crate) const fn pack(self) -> u64 {
        match self {
            Self::Free => 0,
            Self::Writing { owner } => (owner as u64) << 8 | Self::WRITING as u64,
            Self::Published { seq, owner } => seq << 16 | (owner as u64) << 8 | Self::PUBLISHED as u64,
            Self::Corrupt => u64::MAX,
        }
    }

    #[inline(always)]
    pub(crate) const fn is_published(self, wanted: u64) -> bool {
        matches!(self, Self::Published { seq, .. } if seq == wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_entry_survives_packing(seq in 0..=MAX_SEQ, slot: u16) {
            prop_assert_eq!(Entry::unpack(Entry::new(seq, slot).pack()), Entry::new(seq, slot));
        }

        #[test]
        fn a_state_survives_packing(seq in 0..=MAX_SEQ, owner in 0..PARTICIPANTS) {
            for state in [State::Free, State::Writing { owner }, State::Published { seq, owner }] {
                prop_assert_eq!(State::unpack(state.pack()), state);
            }
        }

        #[test]
        fn any_word_is_a_state_or_corrupt(word: u64) {
            let state = State::unpack(word);
            prop_assert!(state == State::Corrupt || state.pack() == word);
        }
    }

    #[test]
    fn producers_and_consumers_share_no_bit() {
        for id in 0..PARTICIPANTS {
            assert_eq!(CONSUMER_BITS & bit(id) != 0, id >= PRODUCERS);
        }
    }
}
