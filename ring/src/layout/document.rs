//! Holds `docs/layout.md`, and a golden first page, against the code.

use std::collections::BTreeMap;
use std::mem::offset_of;

use super::{peers, ring};

macro_rules! offsets {
    ($type:ty: $($field:ident),+ $(,)?) => {
        vec![$((offset_of!($type, $field) as u64, stringify!($field))),+]
    };
}

/// Tables of the document: heading → rows of offset, size and field.
fn tables() -> BTreeMap<String, Vec<(u64, u64, String)>> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/layout.md")).unwrap();
    let (mut part, mut heading) = (String::new(), String::new());
    let mut tables = BTreeMap::<_, Vec<_>>::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            part = name.trim_matches('`').to_owned();
        } else if let Some(name) = line.strip_prefix("### ") {
            heading = format!("{part}: {name}");
        } else if let [offset, size, field, ..] =
            line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>()[..]
            && let (Ok(offset), Ok(size)) = (offset.parse(), size.parse())
        {
            tables.entry(heading.clone()).or_default().push((
                offset,
                size,
                field.trim_matches('`').to_owned(),
            ));
        }
    }
    tables
}

#[test]
fn the_document_gives_the_offsets_of_the_code() {
    let code = BTreeMap::from([
        (
            "peers: Header at 0",
            offsets!(peers::Header: magic, version, flags, removed, epoch, generation, active, latest, sleepers, events,
                watchers, key_requests, ended, primary, exclusive, last_producer, freed, waiters, description_lock, description_len, description),
        ),
        (
            "peers: Participant at 4096 + 192 × id",
            offsets!(peers::Participant: generation, pid, joined, caps_lock, caps_len, name, cursor, frames, bytes,
                lost, copied, epoch, ended, waits),
        ),
        (
            "ring: Header at 0",
            offsets!(ring::Header: magic, version, epoch, holds, slots, depth, history, slot_capacity, meta_capacity, flags,
                index_len, index_at, slots_at, meta_at, payload_at, payload_stride, first, reserved, head, wake),
        ),
        (
            "ring: Slot at slots_at + 64 × slot",
            offsets!(ring::Slot: state, len, meta_len, generation, published),
        ),
        ("holds: Header of holds at 0", offsets!(ring::HoldsHeader: magic, version, epoch, id, slots)),
    ]);
    let document = tables();
    assert_eq!(
        document.keys().map(String::as_str).collect::<Vec<_>>(),
        code.keys().copied().collect::<Vec<_>>()
    );
    for (heading, fields) in code {
        let stated: Vec<_> =
            document[heading].iter().map(|(offset, _, field)| (*offset, field.as_str())).collect();
        assert_eq!(stated, fields, "{heading}");
        for pair in document[heading].windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{heading}: {} overlaps {}", pair[0].2, pair[1].2);
        }
    }
    assert_eq!((peers::PARTICIPANTS_AT, peers::PARTICIPANT_STRIDE, peers::CAPS_AT), (4096, 192, 16384));
}

#[test]
fn a_first_page_is_what_it_always_was() {
    let geometry = ring::RingGeometry {
        epoch: 3,
        holds: 0x0123_4567_89ab_cdef,
        slots: 10,
        depth: 8,
        history: 1,
        slot_capacity: 1920 * 1080 * 4,
        meta_capacity: 4096,
        flags: 1,
    };
    let header = ring::Header::zeroed();
    geometry.write(&header);
    let words = header.words();
    let golden = include_str!("../../tests/golden/layout/ring-header.txt");
    let golden: Vec<u64> = golden
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| u64::from_str_radix(line.split_whitespace().next().unwrap(), 16).unwrap())
        .collect();
    assert_eq!(words.as_slice(), golden);
}
