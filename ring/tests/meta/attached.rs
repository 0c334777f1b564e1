//! Entries that have a type of their own: what was written is read, and anything else is an error and nothing worse.

use proptest::prelude::*;
use shmflow::meta::{
    ActiveFormat, Caption, CustomMeta, Detections, EncodedMeta, Entries, Finding, MAX_ENTRIES, MAX_LEN, Meta,
    MetaEntry, MetaError, MetaHeader, Object, PerFrame, Region, Relation, Tags,
};

use super::samples::samples;

fn sample(name: &str) -> Meta {
    samples().into_iter().find(|(of, _)| *of == name).unwrap().1
}

#[test]
fn values_that_are_cut_off_or_count_too_much_are_errors() {
    for name in ["attached", "detections"] {
        for entry in sample(name).extensions {
            for len in 0..entry.data.len() {
                let cut = Meta::default().extension(entry.ty, &entry.data[..len]).to_vec().unwrap();
                assert!(crate::check::check(&cut));
            }
            for at in 0..entry.data.len() {
                let mut data = entry.data.clone();
                data[at] = 0xff;
                let changed = Meta::default().extension(entry.ty, data).to_vec().unwrap();
                assert!(crate::check::check(&changed));
            }
        }
    }
    let mut region = Region::new("face", 0, 0, 1, 1).to_value().unwrap();
    // So many structures that the memory for them alone would be too much.
    region[24..28].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(Region::from_value(&region), Err(MetaError::BadEntry { ty: 5, .. })));
    for counts in [[u32::MAX, 0], [0, u32::MAX], [1, 0]] {
        let value = counts.map(u32::to_le_bytes).concat();
        assert!(matches!(Detections::from_value(&value), Err(MetaError::BadEntry { ty: 15, .. })));
    }
    assert!(Region::from_value(b"").is_err() && Tags::from_value(b"").is_err());
    assert!(CustomMeta::new("a\0", "b").to_value().is_err());
    assert!(ActiveFormat::from_value(&[9; 24]).is_err());
}

#[test]
fn relations_may_go_in_circles_and_may_not_lead_to_nothing() {
    let objects = vec![Finding::Object(Object::new("a", 1.0, 0, 0, 1, 1)); 2];
    let circle =
        [(0, 1), (1, 0), (0, 0)].map(|(from, to)| Relation { from, to, kind: Relation::CONTAINS }).to_vec();
    let found = Detections::new(objects.clone(), circle);
    assert_eq!(Detections::from_value(&found.to_value().unwrap()), Ok(found));
    let nowhere = Detections::new(objects, vec![Relation { from: 0, to: 2, kind: 8 }]);
    assert!(nowhere.to_value().is_err());
    let mut value = Detections::new(Vec::new(), Vec::new()).to_value().unwrap();
    value[4..8].copy_from_slice(&1_u32.to_le_bytes());
    value.extend_from_slice(&[0; 16]);
    assert!(matches!(Detections::from_value(&value), Err(MetaError::BadEntry { ty: 15, .. })));
}

#[test]
fn entries_of_the_frame_come_and_go_and_the_rest_of_the_block_stays() {
    let stream = Meta::default().caps("video/x-h264").entry(&Tags::new("taglist")).unwrap();
    let mut block = EncodedMeta::new(&stream).unwrap();
    let plain = block.clone();
    let written = |block: &EncodedMeta| {
        let mut bytes = vec![0xa5; block.len()];
        assert_eq!(block.write_to(&mut bytes), Ok(bytes.len()));
        bytes
    };
    for frame in 0..3 {
        block.clear_entries();
        block.patch(&PerFrame::default().offset(frame));
        let regions: Vec<_> = (0..frame as u32).map(|n| Region::new("r", n, 0, 1, 1)).collect();
        for region in &regions {
            block.push_entry(region).unwrap();
        }
        let bytes = written(&block);
        let meta = Meta::decode(&bytes).unwrap();
        assert_eq!(meta.entries::<Region>().collect::<Result<Vec<_>, _>>(), Ok(regions));
        assert_eq!((meta.caps.as_deref(), meta.offset), (Some("video/x-h264"), Some(frame)));
        let entries = MetaHeader::parse(&bytes).unwrap().entry_bytes();
        assert_eq!(Entries::stream_len(entries), Some(plain.entry_bytes().len()));
        assert_eq!(&entries[..plain.entry_bytes().len()], plain.entry_bytes());
    }
    block.clear_entries();
    block.patch(&PerFrame::default());
    assert_eq!(written(&block), written(&plain));
}

#[test]
fn a_block_takes_no_more_entries_and_bytes_than_may_be() {
    let mut block = EncodedMeta::new(&Meta::default().caps("a/b")).unwrap();
    for _ in 1..MAX_ENTRIES {
        block.push_entry(&Caption::new(1, [])).unwrap();
    }
    assert_eq!(block.push_entry(&Caption::new(1, [])), Err(MetaError::TooManyEntries));
    block.clear_entries();
    assert_eq!(block.push_entry(&Caption::new(1, vec![0; MAX_LEN])), Err(MetaError::TooLarge));
    let len = MAX_LEN - block.len() - 16;
    block.push_entry(&Caption::new(1, vec![0; len])).unwrap();
    assert_eq!(block.len(), MAX_LEN);
    let caps = "x".repeat(1 << 20);
    let large = Meta::default().caps(caps);
    assert_eq!(Meta::decode(&large.to_vec().unwrap()), Ok(large));
    let too_large = Meta::default().extension(0x8000, vec![0; MAX_LEN]);
    assert_eq!(too_large.to_vec(), Err(MetaError::TooLarge));
}

#[test]
fn entries_of_stream_and_frame_that_are_mixed_are_read_as_a_whole() {
    let mixed = Meta::default().extension(5, [1]).extension(14, [1]);
    let bytes = mixed.to_vec().unwrap();
    assert_eq!(Entries::stream_len(MetaHeader::parse(&bytes).unwrap().entry_bytes()), None);
}

proptest! {
    #[test]
    fn any_value_of_any_type_is_read_or_refused(ty in 5_u16..16, data in proptest::collection::vec(any::<u8>(), 0..200)) {
        let block = Meta::default().extension(ty, data).to_vec().unwrap();
        prop_assert!(crate::check::check(&block));
    }
}
