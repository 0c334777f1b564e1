//! Blocks as real programs write them; the golden files hold each of them.

use shmflow::meta::{
    ActiveFormat, AudioLayout, AudioLevel, Caption, Clock, Crop, CustomMeta, Detections, Finding, Flags,
    Kind, MAX_ENTRIES, Meta, Object, Plane, ReferenceTimestamp, Region, Relation, SerializedMeta, Tags,
    TimeCode, Times, Track, VideoLayout,
};

/// Name of the golden file, and what it holds.
pub(crate) fn samples() -> Vec<(&'static str, Meta)> {
    vec![
        ("bare", Meta::default()),
        ("bgrx", bgrx()),
        ("nv12_padded_cropped", nv12_padded_cropped()),
        ("i420_interlaced", i420_interlaced()),
        ("bottom_up", bottom_up()),
        ("h264_caps_only", h264_caps_only()),
        ("audio_stereo", audio_stereo()),
        ("audio_planar", audio_planar()),
        ("packet", packet()),
        ("extremes", extremes()),
        ("private", private()),
        ("attached", attached()),
        ("detections", detections()),
    ]
}

fn attached() -> Meta {
    let region = Region::new("face", 10, 20, 64, 48)
        .id(3)
        .parent_id(-1)
        .params(vec!["detection, confidence=(double)0.9".to_owned()]);
    let code =
        TimeCode::new((30_000, 1001), 10, 59, 59, 29).flags(1_u32).daily_jam((1_700_000_000_000_001, -3600));
    let clock = ReferenceTimestamp::new("timestamp/x-ntp", 3_900_000_000_000_000_000).duration(40_000_000);
    let bars = ActiveFormat::Bars { field: 1, is_letterbox: true, first: 60, second: 1020 };
    bgrx()
        .entry(&Tags::new("taglist, title=(string)film"))
        .and_then(|meta| meta.entry(&region))
        .and_then(|meta| meta.entry(&code))
        .and_then(|meta| meta.entry(&Caption::new(3, [0xfc, 0x94, 0x2c])))
        .and_then(|meta| meta.entry(&clock))
        .and_then(|meta| meta.entry(&ActiveFormat::Afd { field: 0, spec: 2, code: 8 }))
        .and_then(|meta| meta.entry(&bars))
        .and_then(|meta| meta.entry(&SerializedMeta::new(*b"\x0d\0\0\0\x03\0\0\0abc\0\0")))
        .and_then(|meta| meta.entry(&AudioLevel::new(31, true)))
        .and_then(|meta| meta.entry(&CustomMeta::new("app-meta", "app-meta, x=(int)1")))
        .unwrap()
}

fn detections() -> Meta {
    let findings = vec![
        Finding::Object(Object::new("person", 0.5, -4, 20, 64, 128).rotation(0.25)),
        Finding::Classification(vec![("adult".to_owned(), 0.75), ("child".to_owned(), 0.25)]),
        Finding::Track(Track::new(7).first_seen(1_000_000_000).last_seen(2_000_000_000).lost(true)),
        Finding::Other { kind: 99, data: b"8 bytes.".to_vec() },
    ];
    // A circle, which is allowed.
    let relations =
        [(0, 1), (1, 2), (2, 0)].map(|(from, to)| Relation { from, to, kind: Relation::RELATES_TO });
    bgrx().entry(&Detections::new(findings, relations.to_vec())).unwrap()
}

fn bgrx() -> Meta {
    let times = Times::default()
        .capture_ns(86_400_000_000_123)
        .clock(Clock::Monotonic)
        .pts(33_333_333)
        .duration(33_333_333)
        .latency_ns(0);
    Meta::new(Kind::Video)
        .flags(Flags::DISCONT)
        .caps("video/x-raw, format=(string)BGRx, width=(int)640, height=(int)480, framerate=(fraction)30/1")
        .video(VideoLayout::new("BGRx", 640, 480, [Plane { offset: 0, stride: 2560 }]).fps(30, 1))
        .times(times)
        .offset(1)
        .offset_end(2)
}

fn nv12_padded_cropped() -> Meta {
    let planes = [Plane { offset: 4096, stride: 2048 }, Plane { offset: 4096 + 2048 * 1088, stride: 2048 }];
    Meta::new(Kind::Video)
        .caps("video/x-raw, format=NV12, width=1920, height=1080, framerate=30000/1001")
        .video(VideoLayout::new("NV12", 1920, 1080, planes).fps(30_000, 1001))
        .times(Times::default().pts(0).duration(33_366_666))
        .crop(Crop { x: 8, y: 16, width: 1904, height: 1048 })
}

fn i420_interlaced() -> Meta {
    let planes = [
        Plane { offset: 0, stride: 720 },
        Plane { offset: 414_720, stride: 360 },
        Plane { offset: 518_400, stride: 360 },
    ];
    let times = Times::default()
        .capture_ns(1_700_000_000_000_000_000)
        .clock(Clock::Tai)
        .pts(40_000_000)
        .dts(0)
        .duration(40_000_000)
        .latency_ns(20_000_000);
    Meta::new(Kind::Video)
        .flags(Flags::INTERLACED | Flags::TFF | Flags::LIVE | Flags::MARKER)
        .caps("video/x-raw, format=I420, width=720, height=576, interlace-mode=interleaved")
        .video(VideoLayout::new("I420", 720, 576, planes).fps(25, 1))
        .times(times)
}

fn bottom_up() -> Meta {
    Meta::new(Kind::Video).video(VideoLayout::new("BGR", 3, 2, [Plane { offset: 12, stride: -12 }]))
}

fn h264_caps_only() -> Meta {
    Meta::default()
        .flags(Flags::DELTA_UNIT | Flags::HEADER)
        .caps("video/x-h264, stream-format=byte-stream, alignment=au, title=\"Größe ≥ 1\"")
        .times(Times::default().pts(80_000_000).dts(40_000_000).clock(Clock::Realtime))
}

fn audio_stereo() -> Meta {
    Meta::new(Kind::Audio)
        .caps("audio/x-raw, format=S16LE, layout=interleaved, rate=48000, channels=2, channel-mask=(bitmask)0x3")
        .audio(AudioLayout::new("S16LE", 48_000, 2, 240).channel_mask(3))
        .times(Times::default().capture_ns(1_000_000_000).clock(Clock::Monotonic).pts(5_000_000).duration(5_000_000))
        .offset(240)
        .offset_end(480)
}

fn audio_planar() -> Meta {
    Meta::new(Kind::Audio)
        .caps("audio/x-raw, format=F32LE, layout=non-interleaved, rate=44100, channels=3")
        .audio(AudioLayout::new("F32LE", 44_100, 3, 64).planes([0, 256, 512]))
}

fn packet() -> Meta {
    Meta::new(Kind::Packet)
        .flags(Flags::DELTA_UNIT | Flags::MARKER)
        .caps("video/x-h264, stream-format=avc, alignment=au, codec_data=(buffer)01640028ffe1")
        .times(Times::default().pts(80_000_000).dts(40_000_000))
}

fn extremes() -> Meta {
    let planes = [Plane { offset: u64::MAX, stride: i32::MIN }; 4];
    let times = Times::default()
        .capture_ns(u64::MAX)
        .clock(Clock::Other(u16::MAX))
        .pts(u64::MAX)
        .dts(u64::MAX)
        .duration(u64::MAX)
        .latency_ns(u64::MAX);
    Meta::new(Kind::Other(u16::MAX))
        .flags(Flags::from_bits(u32::MAX))
        .caps("")
        .video(
            VideoLayout::new("A_FORMAT_OF_24_CHARACTER", u32::MAX, u32::MAX, planes).fps(u32::MAX, u32::MAX),
        )
        .times(times)
        .offset(u64::MAX)
        .offset_end(u64::MAX)
        .crop(Crop { x: u32::MAX, y: u32::MAX, width: u32::MAX, height: u32::MAX })
        .extension(u16::MAX, [0xff; 9])
}

fn private() -> Meta {
    Meta::default()
        .extension(0x8000, [])
        .extension(0x8001, b"exposure=12ms")
        .extension(0x8001, b"gain=4")
        .extension(5, [1, 2, 3, 4, 5, 6, 7, 8])
}

/// The value of an audio entry with so many planes.
fn audio_value(rate: u32, channels: u32, layout: u32, planes: usize) -> Vec<u8> {
    let mut value = vec![0; 56 + 8 * planes];
    value[..4].copy_from_slice(&rate.to_le_bytes());
    value[4..8].copy_from_slice(&channels.to_le_bytes());
    value[24..28].copy_from_slice(&layout.to_le_bytes());
    value[32..37].copy_from_slice(b"S16LE");
    value
}

/// Blocks of versions to come, and what this version makes of them.
pub(crate) fn foreign() -> Vec<(&'static str, Vec<u8>, Meta)> {
    let meta = nv12_padded_cropped();
    let block = meta.to_vec().unwrap();
    let (header, entries) = block.split_at(128);

    // Version 1.7: a header of 144 bytes, unknown bits, an unknown entry of the common range, a longer video entry.
    let mut newer = header.to_vec();
    newer[6] = 7;
    newer[12] = 144;
    newer[23] = 0x80;
    newer[28..32].fill(0xee);
    newer[88..].fill(0xee);
    newer.extend([0xee; 16]);
    let caps_len = 8 + meta.caps.as_ref().unwrap().len().next_multiple_of(8);
    newer.extend(entry(0x1234, b"of a later version"));
    newer.extend(&entries[..caps_len]);
    let video = &entries[caps_len + 8..caps_len + 8 + 112];
    newer.extend(entry(2, &[video, &[0xee; 12]].concat()));
    newer.extend(&entries[caps_len + 8 + 112..]);
    let newer_meta = meta.clone().extension(0x1234, b"of a later version");

    // Padding entries, entry flags, an unusual order, and bytes behind the block.
    let mut padded = header.to_vec();
    padded.extend(entry(0, &[0xee; 24]));
    padded.extend(&entries[caps_len..]);
    padded.extend(entry(0, &[]));
    let caps_at = padded.len();
    padded.extend(&entries[..caps_len]);
    padded[caps_at + 2..caps_at + 4].fill(0xee);
    let mut padded = with_total(padded);
    padded.extend([0xee; 5]);

    vec![("newer_minor", with_total(newer), newer_meta), ("padded_reordered", padded, meta)]
}

/// One entry with its header and padding, as any program would write it.
pub(crate) fn entry(ty: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = ty.to_le_bytes().to_vec();
    bytes.extend([0, 0]);
    bytes.extend((value.len() as u32).to_le_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// The block with its total length set.
pub(crate) fn with_total(mut block: Vec<u8>) -> Vec<u8> {
    let len = block.len() as u32;
    block[8..12].copy_from_slice(&len.to_le_bytes());
    block
}

/// Blocks with one fault each.
pub(crate) fn faulty() -> Vec<(&'static str, Vec<u8>)> {
    let good = bgrx().to_vec().unwrap();
    let edit = |at: usize, bytes: &[u8]| {
        let mut block = good.clone();
        block[at..at + bytes.len()].copy_from_slice(bytes);
        block
    };
    let append = |entry: Vec<u8>| with_total([good.clone(), entry].concat());
    let caps_len = 8 + bgrx().caps.unwrap().len().next_multiple_of(8);
    let video_at = 128 + caps_len + 8;
    let header = |entries: Vec<u8>| with_total([good[..128].to_vec(), entries].concat());
    vec![
        ("bad_magic", edit(0, b"RIFF")),
        ("bad_major", edit(4, &[2, 0, 3, 0])),
        ("bad_major_short", edit(4, &[2, 0, 3, 0])[..16].to_vec()),
        ("bad_truncated_header", good[..127].to_vec()),
        ("bad_truncated_block", good[..good.len() - 1].to_vec()),
        ("bad_header_length", edit(12, &[120, 0])),
        ("bad_header_alignment", edit(12, &[129, 0])),
        ("bad_header_beyond_total", edit(12, &[0xf8, 0xff])),
        ("bad_total_less_than_header", edit(8, &[64, 0, 0, 0])),
        ("bad_total_alignment", edit(8, &[132, 0, 0, 0])),
        ("bad_total_huge", edit(8, &[0xf8, 0xff, 0xff, 0xff])),
        ("bad_entry_length", edit(132, &[0xff, 0xff, 0xff, 0xff])),
        (
            "bad_entry_one_too_long",
            append({
                let mut entry = entry(0x8000, &[1; 8]);
                entry[4] = 9;
                entry
            }),
        ),
        ("bad_caps_utf8", edit(136, &[0xc3, 0x28])),
        ("bad_caps_nul", edit(136, &[0])),
        ("bad_caps_twice", append(entry(1, b"video/x-raw"))),
        ("bad_video_short", header(entry(2, &[0; 111]))),
        ("bad_video_width", edit(video_at, &[0; 4])),
        ("bad_video_rate", edit(video_at + 12, &[0; 4])),
        ("bad_video_no_plane", edit(video_at + 16, &[0; 4])),
        ("bad_video_planes", edit(video_at + 16, &[5])),
        ("bad_video_many_planes", edit(video_at + 16, &[0xff; 4])),
        ("bad_video_no_format", edit(video_at + 24, &[0])),
        ("bad_video_format", edit(video_at + 24, b"BG x")),
        ("bad_crop_short", append(entry(3, &[0; 15]))),
        ("bad_audio_short", append(entry(4, &[1; 55]))),
        ("bad_audio_planes", append(entry(4, &audio_value(48_000, 3, 1, 2)))),
        ("bad_audio_layout", append(entry(4, &audio_value(48_000, 1, 2, 1)))),
        ("bad_audio_channels", append(entry(4, &audio_value(48_000, 1025, 0, 0)))),
        ("bad_audio_rate", append(entry(4, &audio_value(0, 1, 0, 0)))),
        ("bad_too_many_entries", header(entry(0x8000, &[]).repeat(MAX_ENTRIES + 1))),
    ]
}
