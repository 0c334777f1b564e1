//! Random metadata that a block can say.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use shmflow::meta::{
    AudioLayout, Clock, Crop, Extension, Flags, Kind, Meta, PerFrame, Plane, Times, VideoLayout,
};

pub(crate) fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Bytes),
        Just(Kind::Video),
        Just(Kind::Audio),
        Just(Kind::Packet),
        any::<u16>().prop_map(Kind::from_raw)
    ]
}

fn clock() -> impl Strategy<Value = Clock> {
    prop_oneof![(0..4_u16).prop_map(Clock::from_raw), any::<u16>().prop_map(Clock::from_raw)]
}

fn times() -> impl Strategy<Value = Times> {
    let number = option::of(any::<u64>());
    (number.clone(), clock(), number.clone(), number.clone(), number.clone(), number).prop_map(
        |(capture_ns, clock, pts, dts, duration, latency_ns)| {
            Times::default()
                .capture_ns(capture_ns)
                .clock(clock)
                .pts(pts)
                .dts(dts)
                .duration(duration)
                .latency_ns(latency_ns)
        },
    )
}

pub(crate) fn per_frame() -> impl Strategy<Value = PerFrame> {
    (any::<u32>(), times(), option::of(any::<u64>()), option::of(any::<u64>())).prop_map(
        |(flags, times, offset, offset_end)| {
            let flags = Flags::from_bits(flags);
            PerFrame::default().flags(flags).times(times).offset(offset).offset_end(offset_end)
        },
    )
}

fn plane() -> impl Strategy<Value = Plane> {
    (prop_oneof![any::<u64>(), 0..100_000_u64], prop_oneof![any::<i32>(), -4096..4096])
        .prop_map(|(offset, stride)| Plane { offset, stride })
}

pub(crate) fn video() -> impl Strategy<Value = VideoLayout> {
    let format = prop_oneof![
        prop::sample::select(vec!["I420", "NV12", "BGRx", "BGR", "YUY2", "v210", "GRAY16_LE", "A420"])
            .prop_map(str::to_owned),
        "[!-~]{1,24}",
    ];
    let size = prop_oneof![1..=u32::MAX, 1..5000_u32];
    (format, size.clone(), size, vec(plane(), 1..=4), any::<u32>(), 1..=u32::MAX).prop_map(
        |(format, width, height, planes, fps_n, fps_d)| {
            VideoLayout::new(format, width, height, planes).fps(fps_n, fps_d)
        },
    )
}

pub(crate) fn audio() -> impl Strategy<Value = AudioLayout> {
    let format = prop_oneof![
        prop::sample::select(vec!["S8", "S16LE", "S24_32BE", "F64LE"]).prop_map(str::to_owned),
        "[!-~]{1,24}",
    ];
    let samples = prop_oneof![any::<u64>(), 0..5000_u64];
    (format, 1..=u32::MAX, 1..=64_u32, any::<u64>(), samples, any::<bool>(), any::<u64>()).prop_map(
        |(format, rate, channels, mask, samples, planar, first)| {
            let planes = (0..u64::from(channels)).map(|n| first.wrapping_add(n)).filter(|_| planar);
            AudioLayout::new(format, rate, channels, samples).channel_mask(mask).planes(planes)
        },
    )
}

fn crop() -> impl Strategy<Value = Crop> {
    any::<(u32, u32, u32, u32)>().prop_map(|(x, y, width, height)| Crop { x, y, width, height })
}

fn extension() -> impl Strategy<Value = Extension> {
    (5..=u16::MAX, vec(any::<u8>(), 0..40)).prop_map(|(ty, data)| Extension::new(ty, data))
}

pub(crate) fn meta() -> impl Strategy<Value = Meta> {
    let caps = option::of("[^\0]{0,200}");
    let layouts = (option::of(video()), option::of(audio()), option::of(crop()));
    (kind(), per_frame(), caps, layouts, vec(extension(), 0..6)).prop_map(
        |(kind, frame, caps, (video, audio, crop), extensions)| {
            let mut meta = Meta::new(kind).video(video).audio(audio).crop(crop);
            (meta.caps, meta.extensions) = (caps, extensions);
            meta.set_per_frame(&frame);
            meta
        },
    )
}
