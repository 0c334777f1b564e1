//! The golden files pin every byte: a block written today is read by every later version, in every language.
//!
//! `SHMFLOW_REGENERATE=1 cargo test -p shmflow --test meta golden` writes them anew; do that only together with a new
//! version number, or for files that are new.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use shmflow::meta::{Clock, Flags, Kind, Meta};

use super::samples::{faulty, foreign, samples};

fn path(name: &str, ending: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/meta/{name}.{ending}"))
}

/// Compares with the golden file, or writes it if that was asked for.
fn pinned(name: &str, ending: &str, bytes: &[u8]) {
    let path = path(name, ending);
    if std::env::var_os("SHMFLOW_REGENERATE").is_some() {
        fs::write(&path, bytes).unwrap();
    }
    let golden = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if golden != bytes {
        let at = golden.iter().zip(bytes).position(|(a, b)| a != b).unwrap_or(golden.len().min(bytes.len()));
        panic!(
            "{}: {} bytes, now {}; the first difference is at {at}",
            path.display(),
            golden.len(),
            bytes.len()
        );
    }
}

fn text(value: &Value) -> Vec<u8> {
    let mut text = serde_json::to_string_pretty(value).unwrap();
    text.push('\n');
    text.into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A block for people and for the tests of other languages.
fn describe(meta: &Meta) -> Value {
    let kind = match meta.kind {
        Kind::Bytes => "bytes",
        Kind::Video => "video",
        Kind::Audio => "audio",
        Kind::Packet => "packet",
        _ => "other",
    };
    let clock = match meta.times.clock {
        Clock::Unknown => "unknown",
        Clock::Monotonic => "monotonic",
        Clock::Realtime => "realtime",
        Clock::Tai => "tai",
        _ => "other",
    };
    let flags = Flags::NAMED.iter().filter(|(flag, ..)| meta.flags.contains(*flag)).map(|&(.., name)| name);
    json!({
        "kind": kind,
        "kind_number": meta.kind.to_raw(),
        "flags": flags.collect::<Vec<_>>(),
        "flags_number": meta.flags.bits(),
        "capture_ns": meta.times.capture_ns,
        "clock": clock,
        "clock_number": meta.times.clock.to_raw(),
        "pts": meta.times.pts,
        "dts": meta.times.dts,
        "duration": meta.times.duration,
        "latency_ns": meta.times.latency_ns,
        "offset": meta.offset,
        "offset_end": meta.offset_end,
        "caps": meta.caps,
        "video": meta.video.as_ref().map(|video| json!({
            "format": video.format,
            "width": video.width,
            "height": video.height,
            "fps": [video.fps.0, video.fps.1],
            "planes": video.planes.iter().map(|plane| json!({"offset": plane.offset, "stride": plane.stride}))
                .collect::<Vec<_>>(),
        })),
        "audio": meta.audio.as_ref().map(|audio| json!({
            "format": audio.format,
            "rate": audio.rate,
            "channels": audio.channels,
            "channel_mask": audio.channel_mask,
            "samples": audio.samples,
            "planes": audio.planes,
        })),
        "crop": meta.crop.map(|crop| json!({"x": crop.x, "y": crop.y, "width": crop.width, "height": crop.height})),
        "extensions": meta.extensions.iter().map(|extension| json!({"type": extension.ty, "hex": hex(&extension.data)}))
            .collect::<Vec<_>>(),
    })
}

fn golden(name: &str) -> Vec<u8> {
    fs::read(path(name, "bin")).unwrap()
}

#[test]
fn a_block_encodes_to_its_golden_bytes_and_back() {
    for (name, meta) in samples() {
        pinned(name, "bin", &meta.to_vec().unwrap());
        pinned(name, "json", &text(&describe(&meta)));
        assert_eq!(Meta::decode(&golden(name)), Ok(meta), "{name}");
    }
}

#[test]
fn a_block_of_a_later_minor_version_gives_what_is_known_and_keeps_unknown_entries() {
    for (name, bytes, meta) in foreign() {
        pinned(name, "bin", &bytes);
        pinned(name, "json", &text(&describe(&meta)));
        assert_eq!(Meta::decode(&golden(name)), Ok(meta), "{name}");
    }
}

#[test]
fn a_faulty_block_is_refused_with_a_reason() {
    for (name, bytes) in faulty() {
        pinned(name, "bin", &bytes);
        let error = Meta::decode(&golden(name)).expect_err(name);
        pinned(name, "json", &text(&json!({ "error": error.to_string() })));
    }
}

#[test]
fn no_golden_file_is_left_over() {
    let mut known: Vec<String> = samples().iter().map(|(name, _)| (*name).to_owned()).collect();
    known.extend(foreign().iter().map(|(name, ..)| (*name).to_owned()));
    known.extend(faulty().iter().map(|(name, _)| (*name).to_owned()));
    for file in fs::read_dir(path("any", "bin").parent().unwrap()).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(known.contains(&name), "{} belongs to no test", path.display());
    }
}
