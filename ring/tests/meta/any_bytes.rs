//! Reading is total: any bytes give a value or an error.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use shmflow::meta::{HEADER_LEN, Meta, MetaError, VERSION_MAJOR, VERSION_MINOR};

use super::check::check;
use super::samples::{entry, with_total};
use super::strategies::meta;

/// One way in which a peer, a bit error or an attacker changes a block.
#[derive(Debug, Clone)]
enum Change {
    Byte(Index, u8),
    Bit(Index, u8),
    /// A 32-bit number at a multiple of 4, where lengths and counts are.
    Number(Index, u32),
    Cut(Index),
    Append(Vec<u8>),
    /// Copies eight bytes from one place to another.
    Repeat(Index, Index),
}

fn change() -> impl Strategy<Value = Change> {
    let number = prop_oneof![
        any::<u32>(),
        prop::sample::select(vec![
            0,
            1,
            7,
            8,
            9,
            127,
            128,
            129,
            136,
            0x7fff_ffff,
            0x8000_0000,
            u32::MAX - 7,
            u32::MAX
        ]),
    ];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Change::Bit(at, bit)),
        (any::<Index>(), number).prop_map(|(at, number)| Change::Number(at, number)),
        any::<Index>().prop_map(Change::Cut),
        vec(any::<u8>(), 1..40).prop_map(Change::Append),
        any::<(Index, Index)>().prop_map(|(from, to)| Change::Repeat(from, to)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    if bytes.len() < 8 {
        return;
    }
    match change {
        Change::Byte(at, byte) => {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        Change::Bit(at, bit) => {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        Change::Number(at, number) => {
            let at = at.index(bytes.len() / 4) * 4;
            bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        Change::Cut(at) => {
            let len = at.index(bytes.len());
            bytes.truncate(len);
        }
        Change::Append(more) => bytes.extend(more),
        Change::Repeat(from, to) => {
            let (from, to) = (from.index(bytes.len() / 8) * 8, to.index(bytes.len() / 8) * 8);
            bytes.copy_within(from..from + 8, to);
        }
    }
}

proptest! {
    #[test]
    fn random_bytes(bytes in vec(any::<u8>(), 0..400)) {
        check(&bytes);
    }

    /// Behind a header that is in order, where the entries' reader is reached every time.
    #[test]
    fn random_entries(bytes in vec(any::<u8>(), 0..400)) {
        let mut block = Meta::default().to_vec()?;
        block.extend(bytes);
        block.resize(block.len().next_multiple_of(8), 0);
        check(&with_total(block));
    }

    /// Entries that are in order, with random values of the types that are read.
    #[test]
    fn random_values(entries in vec((0..6_u16, vec(any::<u8>(), 0..130)), 0..6)) {
        let mut block = Meta::default().to_vec()?;
        block.extend(entries.iter().flat_map(|(ty, value)| entry(*ty, value)));
        check(&with_total(block));
    }

    #[test]
    fn a_changed_block(meta in meta(), changes in vec(change(), 1..6)) {
        let mut block = meta.to_vec()?;
        for change in &changes {
            apply(&mut block, change);
        }
        check(&block);
    }

    #[test]
    fn a_changed_block_whose_length_is_right(meta in meta(), changes in vec(change(), 1..4)) {
        let mut block = meta.to_vec()?;
        for change in &changes {
            apply(&mut block, change);
        }
        block.resize(block.len().next_multiple_of(8).max(HEADER_LEN), 0);
        check(&with_total(block));
    }

    #[test]
    fn a_block_that_is_cut_off_anywhere_is_an_error(meta in meta(), cut: Index) {
        let block = meta.to_vec()?;
        let have = 1 + cut.index(block.len() - 1);
        match Meta::decode(&block[..have]) {
            Err(MetaError::Truncated { needed, have: said }) => {
                prop_assert_eq!(said, have);
                prop_assert_eq!(needed, if have < HEADER_LEN { HEADER_LEN } else { block.len() });
            }
            other => prop_assert!(false, "{have} of {} bytes gave {other:?}", block.len()),
        }
    }

    #[test]
    fn another_major_version_is_named_whatever_follows(major: u16, minor: u16, rest in vec(any::<u8>(), 0..200)) {
        prop_assume!(major != VERSION_MAJOR);
        let mut block = b"SFMD".to_vec();
        block.extend(major.to_le_bytes());
        block.extend(minor.to_le_bytes());
        block.extend(rest);
        let error = Meta::decode(&block).unwrap_err();
        prop_assert_eq!(&error, &MetaError::Version { found: (major, minor), expected: (VERSION_MAJOR, VERSION_MINOR) });
        let (found, expected) = (format!("{major}.{minor}"), format!("{VERSION_MAJOR}."));
        prop_assert!(error.to_string().contains(&found) && error.to_string().contains(&expected), "{}", error);
    }
}
