//! What is written is read again, by the owned reader, in place, and through a template.

use proptest::prelude::*;
use shmflow::meta::{
    AudioLayout, ENTRY_AUDIO, ENTRY_CAPS, ENTRY_CROP, ENTRY_PADDING, ENTRY_VIDEO, EncodedMeta, Extension,
    Flags, Kind, MAX_ENTRIES, Meta, MetaError, MetaView, Plane, VideoLayout,
};

use super::strategies::{meta, per_frame};

proptest! {
    #[test]
    fn a_block_reads_as_it_was_written(meta in meta()) {
        let bytes = meta.to_vec()?;
        prop_assert_eq!(bytes.len() % 8, 0);
        prop_assert_eq!(bytes.len(), meta.encoded_len()?);
        prop_assert_eq!(Meta::decode(&bytes), Ok(meta.clone()));

        let view = MetaView::parse(&bytes)?;
        prop_assert_eq!(view.kind(), meta.kind);
        prop_assert_eq!(view.flags(), meta.flags);
        prop_assert_eq!(view.times(), meta.times);
        prop_assert_eq!((view.offset(), view.offset_end()), (meta.offset, meta.offset_end));
        prop_assert_eq!(view.caps(), meta.caps.as_deref());
        prop_assert_eq!(view.crop(), meta.crop);
        prop_assert_eq!(view.video().map(|video| video.to_layout()), meta.video.clone());
        prop_assert_eq!(view.audio().map(|audio| audio.to_layout()), meta.audio.clone());
        let extensions = view.extensions().map(|(ty, data)| Extension::new(ty, data));
        prop_assert_eq!(extensions.collect::<Vec<_>>(), meta.extensions);
    }

    #[test]
    fn encoding_fills_exactly_its_length_whatever_the_buffer_held(meta in meta(), junk: u8, more in 0..64_usize) {
        let clean = meta.to_vec()?;
        let mut buffer = vec![junk; clean.len() + more];
        let len = meta.encode(&mut buffer)?;
        prop_assert_eq!(&buffer[..len], &clean[..]);
        prop_assert!(buffer[len..].iter().all(|&byte| byte == junk));
    }

    #[test]
    fn a_buffer_that_is_too_small_is_left_alone(meta in meta(), missing in 1..400_usize) {
        let needed = meta.encoded_len()?;
        let have = needed.saturating_sub(missing);
        let mut buffer = vec![0x5a; have];
        prop_assert_eq!(meta.encode(&mut buffer), Err(MetaError::NoRoom { needed, have }));
        prop_assert_eq!(EncodedMeta::new(&meta)?.write_to(&mut buffer), Err(MetaError::NoRoom { needed, have }));
        prop_assert!(buffer.iter().all(|&byte| byte == 0x5a));
    }

    #[test]
    fn a_patched_template_is_what_encoding_gives(mut meta in meta(), frames in prop::collection::vec(per_frame(), 1..4)) {
        let mut template = EncodedMeta::new(&meta)?;
        for frame in frames {
            template.patch(&frame);
            meta.set_per_frame(&frame);
            prop_assert_eq!(meta.per_frame(), frame);
            let mut buffer = vec![0xff; template.len()];
            prop_assert_eq!(template.write_to(&mut buffer)?, buffer.len());
            prop_assert_eq!(buffer, meta.to_vec()?);
        }
    }

    #[test]
    fn entry_bytes_are_equal_exactly_if_nothing_but_the_header_differs(
        one in meta(), other in meta(), frame in per_frame()
    ) {
        let mut later = one.clone();
        later.set_per_frame(&frame);
        later.kind = other.kind;
        let (one_block, later_block, other_block) = (one.to_vec()?, later.to_vec()?, other.to_vec()?);
        let entries = MetaView::parse(&one_block)?.entry_bytes();
        prop_assert_eq!(entries, MetaView::parse(&later_block)?.entry_bytes());
        let same = (&one.caps, &one.video, &one.audio, &one.crop, &one.extensions)
            == (&other.caps, &other.video, &other.audio, &other.crop, &other.extensions);
        prop_assert_eq!(entries == MetaView::parse(&other_block)?.entry_bytes(), same);
    }
}

#[test]
fn no_block_at_all_is_bytes_of_no_kind() {
    assert_eq!(Meta::decode(&[]), Ok(Meta::default()));
    assert_eq!(MetaView::parse(&[]).unwrap().as_bytes(), Meta::default().to_vec().unwrap());
}

#[test]
fn what_a_block_cannot_say_is_refused_when_writing() {
    let layout = VideoLayout::new("GRAY8", 1, 1, [Plane { offset: 0, stride: 1 }]);
    let refused = |change: &dyn Fn(&mut Meta)| {
        let mut meta = Meta::new(Kind::Video).video(layout.clone());
        assert!(meta.to_vec().is_ok());
        change(&mut meta);
        let error = meta.encode(&mut [0; 8192]).unwrap_err();
        assert_eq!(meta.to_vec(), Err(error.clone()));
        error
    };
    let refused_video = |change: &dyn Fn(&mut VideoLayout)| {
        let error = refused(&|meta| change(meta.video.as_mut().unwrap()));
        assert!(matches!(error, MetaError::BadEntry { ty: ENTRY_VIDEO, at: 0, .. }), "{error}");
    };
    refused_video(&|video| video.format = String::new());
    refused_video(&|video| video.format = "25_characters_are_too_many".into());
    refused_video(&|video| video.format = "two words".into());
    refused_video(&|video| video.width = 0);
    refused_video(&|video| video.height = 0);
    refused_video(&|video| video.planes.clear());
    refused_video(&|video| video.planes = vec![Plane::default(); 5]);
    refused_video(&|video| video.fps = (30, 0));

    let refused_audio = |change: &dyn Fn(&mut AudioLayout)| {
        let error = refused(&|meta| {
            let mut audio = AudioLayout::new("S16LE", 48_000, 2, 240);
            change(&mut audio);
            meta.audio = Some(audio);
        });
        assert!(matches!(error, MetaError::BadEntry { ty: ENTRY_AUDIO, at: 0, .. }), "{error}");
    };
    refused_audio(&|audio| audio.format = String::new());
    refused_audio(&|audio| audio.format = "25_characters_are_too_many".into());
    refused_audio(&|audio| audio.rate = 0);
    refused_audio(&|audio| audio.channels = 0);
    refused_audio(&|audio| audio.channels = 1025);
    refused_audio(&|audio| audio.planes = vec![0; 3]);

    let error = refused(&|meta| meta.caps = Some("video/x-raw\0".into()));
    assert!(matches!(error, MetaError::BadEntry { ty: ENTRY_CAPS, .. }), "{error}");
    for ty in [ENTRY_PADDING, ENTRY_CAPS, ENTRY_VIDEO, ENTRY_CROP, ENTRY_AUDIO] {
        let error = refused(&|meta| meta.extensions.push(Extension::new(ty, [])));
        assert_eq!(error, MetaError::ReservedType { ty });
    }
    let error = refused(&|meta| meta.extensions = vec![Extension::new(0x8000, []); MAX_ENTRIES]);
    assert_eq!(error, MetaError::TooManyEntries);
}

#[test]
fn as_many_entries_as_may_be_are_written_and_read() {
    let meta =
        (0..MAX_ENTRIES).fold(Meta::default(), |meta, n| meta.extension(0x8000 | n as u16, [n as u8; 3]));
    assert_eq!(Meta::decode(&meta.to_vec().unwrap()), Ok(meta));
}

#[test]
fn flags_have_the_numbers_and_names_that_never_change() {
    let named: Vec<_> = Flags::NAMED.iter().map(|&(flag, bit, name)| (flag.bits(), bit, name)).collect();
    let expected = [
        (0, "discont"),
        (1, "corrupted"),
        (2, "gap"),
        (3, "marker"),
        (4, "header"),
        (5, "delta-unit"),
        (6, "droppable"),
        (7, "non-droppable"),
        (8, "resync"),
        (9, "live"),
        (10, "decode-only"),
        (16, "interlaced"),
        (17, "tff"),
        (18, "rff"),
        (19, "onefield"),
        (20, "multiple-view"),
        (21, "first-in-bundle"),
    ];
    assert_eq!(named, expected.map(|(bit, name)| (1 << bit, bit, name)));
    assert_eq!((Flags::GAP | Flags::from_bits(1 << 31)).to_string(), "gap,0x80000000");
    assert_eq!(Flags::EMPTY.to_string(), "");
}
