//! A frame's metadata as JSON: all that `docs/metadata.md` has a name for, and the rest as bytes in hexadecimal.

use serde_json::{Map, Value, json};
use shmflow::FrameInfo;
use shmflow::meta::{
    ActiveFormat, AudioLevel, Caption, Clock, CustomMeta, Detections, ENTRY_AUDIO, ENTRY_CAPS, ENTRY_CROP,
    ENTRY_PADDING, ENTRY_VIDEO, Finding, Kind, MetaEntry, MetaView, ReferenceTimestamp, Region, Tags,
    TimeCode,
};

/// A frame, as `echo` tells it.
pub(crate) fn frame(frame: &FrameInfo) -> Value {
    let mut value = json!({
        "seq": frame.seq,
        "bytes": frame.bytes,
        "producer": { "id": frame.producer.id, "generation": frame.producer.generation },
        "published_ns": frame.published_ns,
        "latency_ns": frame.latency().map(|latency| latency.as_nanos() as u64),
    });
    match frame.meta() {
        Ok(_) if frame.meta_bytes.is_empty() => {}
        Ok(view) => value["meta"] = Value::Object(meta(&view)),
        Err(error) => value["meta_error"] = error.to_string().into(),
    }
    value
}

/// What a frame's metadata say.
pub(crate) fn meta(meta: &MetaView<'_>) -> Map<String, Value> {
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            map.insert(name.to_owned(), value);
        }
    };
    put("kind", kind(meta.kind()));
    let flags = meta.flags().to_string();
    if !flags.is_empty() {
        put("flags", flags.split(',').collect::<Vec<_>>().into());
    }
    put("caps", meta.caps().into());
    if let Some(video) = meta.video() {
        let planes: Vec<_> = video
            .planes()
            .iter()
            .map(|plane| json!({ "offset": plane.offset, "stride": plane.stride }))
            .collect();
        let (width, height, (numerator, denominator)) = (video.width(), video.height(), video.fps());
        let value = json!({ "format": video.format(), "width": width, "height": height, "planes": planes, "fps": [numerator, denominator] });
        put("video", value);
    }
    if let Some(crop) = meta.crop() {
        put("crop", json!({ "x": crop.x, "y": crop.y, "width": crop.width, "height": crop.height }));
    }
    if let Some(audio) = meta.audio() {
        let audio = audio.to_layout();
        let value = json!({
            "format": audio.format, "rate": audio.rate, "channels": audio.channels, "channel_mask": audio.channel_mask,
            "samples": audio.samples, "planes": audio.planes,
        });
        put("audio", value);
    }
    let times = meta.times();
    put("capture_ns", times.capture_ns.into());
    put("clock", if times.capture_ns.is_some() { clock(times.clock) } else { Value::Null });
    put("pts", times.pts.into());
    put("dts", times.dts.into());
    put("duration", times.duration.into());
    put("declared_latency_ns", times.latency_ns.into());
    put("offset", meta.offset().into());
    put("offset_end", meta.offset_end().into());
    for (ty, value) in meta.extensions() {
        let (name, value) = entry(ty, value);
        match map.get_mut(name) {
            Some(Value::Array(list)) => list.push(value),
            _ => drop(map.insert(name.to_owned(), Value::Array(vec![value]))),
        }
    }
    map
}

fn kind(kind: Kind) -> Value {
    match kind {
        Kind::Bytes => "bytes".into(),
        Kind::Video => "video".into(),
        Kind::Audio => "audio".into(),
        Kind::Packet => "packet".into(),
        other => other.to_raw().into(),
    }
}

fn clock(clock: Clock) -> Value {
    match clock {
        Clock::Unknown => "unknown".into(),
        Clock::Monotonic => "monotonic".into(),
        Clock::Realtime => "realtime".into(),
        Clock::Tai => "tai".into(),
        other => other.to_raw().into(),
    }
}

/// The name of an entry's type, and its value; one that cannot be read, or has no name, as its bytes.
fn entry(ty: u16, value: &[u8]) -> (&'static str, Value) {
    fn read<E: MetaEntry>(value: &[u8], tell: impl FnOnce(E) -> Value) -> Value {
        E::from_value(value)
            .map_or_else(|error| json!({ "error": error.to_string(), "hex": hex(value) }), tell)
    }
    match ty {
        Region::TYPE => ("regions", read(value, region)),
        TimeCode::TYPE => ("timecodes", read(value, timecode)),
        Caption::TYPE => {
            ("captions", read(value, |it: Caption| json!({ "kind": it.kind, "hex": hex(&it.data) })))
        }
        ReferenceTimestamp::TYPE => ("references", read(value, reference)),
        ActiveFormat::TYPE => ("active_formats", json!({ "hex": hex(value) })),
        AudioLevel::TYPE => {
            ("levels", read(value, |it: AudioLevel| json!({ "level": it.level, "voice": it.voice })))
        }
        CustomMeta::TYPE => {
            ("custom", read(value, |it: CustomMeta| json!({ "name": it.name, "structure": it.structure })))
        }
        Tags::TYPE => ("tags", read(value, |it: Tags| json!({ "text": it.text, "global": it.is_global }))),
        Detections::TYPE => ("detections", read(value, detections)),
        ENTRY_PADDING | ENTRY_CAPS | ENTRY_VIDEO | ENTRY_AUDIO | ENTRY_CROP => ("others", Value::Null),
        _ => ("others", json!({ "type": ty, "hex": hex(value) })),
    }
}

fn region(it: Region) -> Value {
    json!({
        "kind": it.kind, "x": it.x, "y": it.y, "width": it.width, "height": it.height,
        "id": it.id, "parent_id": it.parent_id, "params": it.params,
    })
}

fn timecode(it: TimeCode) -> Value {
    json!({
        "fps": [it.fps.0, it.fps.1], "flags": it.flags, "hours": it.hours, "minutes": it.minutes,
        "seconds": it.seconds, "frames": it.frames, "field_count": it.field_count, "daily_jam": it.daily_jam,
    })
}

fn reference(it: ReferenceTimestamp) -> Value {
    json!({
        "reference": it.reference, "timestamp": it.timestamp, "duration": it.duration, "info": it.info,
    })
}

fn detections(it: Detections) -> Value {
    let findings: Vec<_> = it.findings.iter().map(finding).collect();
    let relations: Vec<_> =
        it.relations.iter().map(|one| json!({ "from": one.from, "to": one.to, "kind": one.kind })).collect();
    json!({ "findings": findings, "relations": relations })
}

fn finding(it: &Finding) -> Value {
    match it {
        Finding::Object(it) => json!({
            "label": it.label, "score": it.score, "x": it.x, "y": it.y, "width": it.width, "height": it.height,
            "rotation": it.rotation,
        }),
        Finding::Classification(labels) => json!({ "labels": labels }),
        Finding::Track(it) => json!({
            "track": it.id, "first_seen": it.first_seen, "last_seen": it.last_seen, "lost": it.lost,
        }),
        Finding::Other { kind, data } => json!({ "kind": kind, "hex": hex(data) }),
        _ => Value::Null,
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
