//! What must hold for any bytes read as a metadata block. The fuzz target, the replay of its corpus and the property
//! tests all call this.

use shmflow::meta::{
    ActiveFormat, AudioLevel, Caption, CustomMeta, Detections, EncodedMeta, Entries, Meta, MetaEntry,
    MetaError, MetaHeader, MetaView, ReferenceTimestamp, Region, SerializedMeta, Tags, TimeCode, VideoView,
    is_of_frame, plane_extents,
};

/// Reads `bytes` in every way there is and panics if two ways disagree. Says whether they were a block.
pub(crate) fn check(bytes: &[u8]) -> bool {
    let header = MetaHeader::parse(bytes);
    let view = match MetaView::parse(bytes) {
        Ok(view) => view,
        Err(error) => {
            let from_header = header.and_then(MetaHeader::view).map(|view| view.to_meta());
            assert_eq!(from_header, Err(error.clone()), "the reader in two steps disagrees");
            assert_eq!(Meta::decode(bytes), Err(error.clone()), "the owned reader disagrees");
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let meta = view.to_meta();
    assert_eq!(Meta::decode(bytes).as_ref(), Ok(&meta), "the owned reader disagrees");
    assert!(view.as_bytes().len() <= bytes.len().max(128), "the block reaches beyond its bytes");
    let header = header.expect("the header of a block is in order");
    assert_eq!((header.kind(), header.per_frame()), (meta.kind, meta.per_frame()));
    assert_eq!(header.entry_bytes(), view.entry_bytes());
    assert_eq!(view.extensions().count(), meta.extensions.len());

    // What was read can be written, is not longer than what was read, and reads the same again.
    let again = meta.to_vec().expect("a block that was read can be written");
    assert!(again.len() <= view.as_bytes().len(), "writing it again made it longer");
    assert_eq!(Meta::decode(&again).as_ref(), Ok(&meta), "the block changed on its way");

    // A block taken over as it is means the same.
    let encoded = EncodedMeta::from(&view);
    let mut copy = vec![0xa5; encoded.len() + 8];
    let len = encoded.write_to(&mut copy).expect("there is room");
    let (copy, behind) = copy.split_at(len);
    assert_eq!(Meta::decode(copy), Ok(meta), "the taken-over block differs");
    assert_eq!(behind, [0xa5; 8], "it wrote behind its end");
    assert_eq!(encoded.entry_bytes(), view.entry_bytes());

    check_entries(&view);
    if let Some(video) = view.video() {
        for len in [0, 1, 4096, 8 << 20, usize::MAX] {
            check_fits(video, len);
        }
    }
    true
}

/// What is attached is read or refused; what was read can be written, and reads the same again.
fn check_entries(view: &MetaView<'_>) {
    fn one<E: MetaEntry + std::fmt::Debug>(view: &MetaView<'_>) {
        for entry in view.entries::<E>() {
            let Ok(entry) = entry else { continue };
            let value = entry.to_value().expect("an entry that was read can be written");
            let again = E::from_value(&value).expect("an entry that was written can be read");
            // Not compared as they are: a score may be no number.
            assert_eq!(format!("{again:?}"), format!("{entry:?}"), "the entry changed on its way");
        }
    }
    one::<Region>(view);
    one::<TimeCode>(view);
    one::<Caption>(view);
    one::<ReferenceTimestamp>(view);
    one::<ActiveFormat>(view);
    one::<AudioLevel>(view);
    one::<CustomMeta>(view);
    one::<SerializedMeta>(view);
    one::<Tags>(view);
    one::<Detections>(view);

    let bytes = view.entry_bytes();
    if let Some(len) = Entries::stream_len(bytes) {
        let (stream, frame) = bytes.split_at(len);
        assert!(Entries::new(stream).all(|entry| entry.is_ok_and(|(ty, _)| !is_of_frame(ty))));
        assert!(Entries::new(frame).all(|entry| entry.is_ok_and(|(ty, _)| is_of_frame(ty))));
    }
}

/// A layout that fits has the first and the last row of each plane inside, in arithmetic too wide to overflow.
fn check_fits(video: &VideoView<'_>, len: usize) {
    match video.fits(len) {
        Ok(()) => {
            let extents = plane_extents(video.format(), video.width(), video.height()).expect("it was known");
            assert_eq!(extents.len(), video.planes().len());
            for (plane, extent) in video.planes().iter().zip(extents) {
                let first = i128::from(plane.offset);
                let last = first + i128::from(plane.stride) * (i128::from(extent.rows) - 1);
                assert!(first >= 0 && last >= 0, "a row starts before the payload");
                let end = first.max(last) + i128::from(extent.row_bytes);
                assert!(end <= len as i128, "a row ends behind the payload");
            }
        }
        Err(MetaError::UnknownFormat { .. }) => {
            assert!(plane_extents(video.format(), video.width(), video.height()).is_none());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
