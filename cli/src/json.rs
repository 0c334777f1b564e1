//! What programs read. Field names stay; new ones may come.

use serde_json::{Value, json};
use shmflow::{Delivery, FrameInfo, GcReport, Liveness, ParticipantInfo, Role, SkipReason, TopicInfo};

use crate::sample::meter::{Meter, Pace};
use crate::sample::overview::Watched;

/// `pace` is that of the topic now, and `meter` has measured its participants.
pub(crate) fn topic(info: &TopicInfo, pace: Option<Pace>, meter: Option<&Meter>) -> Value {
    let pace_of = |p: &ParticipantInfo| meter?.pace_of(p);
    topic_with(info, pace, pace_of, |p| meter.map(|meter| meter.has_stalled(p)))
}

/// A topic that is looked at again and again.
pub(crate) fn watched(topic: &Watched) -> Value {
    let bytes = topic.info.newest.as_ref().map_or(0.0, |frame| frame.bytes as f64);
    let pace = Pace::Measured { frames: topic.rate, bytes: bytes * topic.rate };
    let pace_of = |p: &ParticipantInfo| {
        let rate = topic.paces.get(&(p.id.id, p.id.generation))?;
        Some(Pace::Measured { frames: rate.frames, bytes: rate.bytes })
    };
    let mut value = topic_with(&topic.info, Some(pace), pace_of, |p| Some(topic.has_stalled(p)));
    value["jitter_seconds"] = topic.jitter().map(|jitter| jitter.as_secs_f64()).into();
    value["lag"] = topic.lag().into();
    value["lost"] = topic.lost().into();
    value["copied"] = topic.copied().into();
    value["leases"] = topic.leases().into();
    value
}

fn topic_with(
    info: &TopicInfo,
    pace: Option<Pace>,
    pace_of: impl Fn(&ParticipantInfo) -> Option<Pace>,
    stalled: impl Fn(&ParticipantInfo) -> Option<bool>,
) -> Value {
    let what = info.content();
    // Of a topic with one producer all frames are that producer's.
    let own =
        |p: &ParticipantInfo| pace.filter(|_| p.role == Role::Producer && info.producers().count() == 1);
    let told = |p: &ParticipantInfo| participant(p, own(p).or_else(|| pace_of(p)), stalled(p));
    let participants: Vec<_> = info.participants.iter().map(told).collect();
    json!({
        "topic": info.topic,
        "directory": info.dir.to_string_lossy(),
        "state": info.state().name(),
        "published": info.published(),
        "next_seq": info.next_seq,
        "rate": rate(pace),
        "rate_below": rate_below(pace),
        "what": what.summary,
        "caps": what.caps,
        "format": what.format,
        "width": what.size.map(|size| size.0),
        "height": what.size.map(|size| size.1),
        "nominal_rate": what.nominal_rate.map(|(frames, seconds)| json!([frames, seconds])),
        "sample_rate": what.sound.map(|sound| sound.0),
        "channels": what.sound.map(|sound| sound.1),
        "description": what.description,
        "metadata_error": what.error,
        "newest": info.newest.as_ref().map(newest),
        "geometry": info.geometry.map(|g| json!({
            "epoch": g.epoch,
            "slots": g.slots,
            "depth": g.depth,
            "history": g.history,
            "slot_capacity": g.slot_capacity,
            "metadata_capacity": g.meta_capacity,
            "reserved_bytes": g.reserved_bytes,
        })),
        "participants": participants,
        "permissions": format!("{:04o}", info.permissions),
        "owner_uid": info.owner_uid,
        "owner_gid": info.owner_gid,
        "shared_bytes": info.shared_bytes,
        "epochs": info.epochs,
        "persistent": info.persistent,
        "ended": info.ended,
        "removed": info.removed,
        "lossless": info.lossless,
        "allows_read_only": info.allows_read_only,
    })
}

fn newest(frame: &FrameInfo) -> Value {
    let times = frame.meta().ok().map(|meta| meta.times());
    json!({
        "seq": frame.seq,
        "bytes": frame.bytes,
        "published_ns": frame.published_ns,
        "age_seconds": frame.age().as_secs_f64(),
        "latency_seconds": frame.latency().map(|latency| latency.as_secs_f64()),
        "declared_latency_seconds": times.and_then(|times| times.latency_ns).map(|ns| ns as f64 / 1e9),
    })
}

fn participant(p: &ParticipantInfo, pace: Option<Pace>, stalled: Option<bool>) -> Value {
    json!({
        "role": match p.role { Role::Producer => "producer", Role::Consumer => "consumer" },
        "id": p.id.id,
        "generation": p.id.generation,
        "name": p.name,
        "pid": p.pid,
        "liveness": match p.liveness {
            Liveness::Alive => "alive",
            Liveness::Dead => "dead",
            _ => "unknown",
        },
        "stopped": p.stopped,
        "stalled": stalled,
        "active": p.active,
        "age_seconds": p.age.as_secs_f64(),
        "epoch": p.epoch,
        "cursor": p.cursor,
        "lag": p.lag,
        "frames": p.frames,
        "bytes": p.bytes,
        "lost": p.lost,
        "copied": p.copied,
        "held_slots": p.held_slots,
        "claimed_slots": p.claimed_slots,
        "accepted_caps": p.accepted_caps,
        "delivery": p.delivery.map(|delivery| if delivery == Delivery::Latest { "latest" } else { "all" }),
        "waiting": p.waiting,
        "end_seq": p.end_seq,
        "primary": p.primary,
        "exclusive": p.exclusive,
        "rate": rate(pace),
        "rate_below": rate_below(pace),
    })
}

/// Null where nothing was measured.
fn rate(pace: Option<Pace>) -> Value {
    match pace {
        Some(Pace::Measured { frames, bytes }) => {
            json!({ "frames_per_second": frames, "bytes_per_second": bytes })
        }
        _ => Value::Null,
    }
}

/// Fewer frames a second than this, where they are too few to be measured.
fn rate_below(pace: Option<Pace>) -> Value {
    match pace {
        Some(Pace::Below(rate)) if rate.is_finite() => rate.into(),
        _ => Value::Null,
    }
}

/// A topic that could not be inspected, with its permission bits and owner.
pub(crate) fn unreadable(topic: &str, error: &shmflow::Error, access: Option<(u32, u32)>) -> Value {
    json!({
        "topic": topic,
        "state": "unreadable",
        "error": error.to_string(),
        "permissions": access.map(|(mode, _)| format!("{mode:04o}")),
        "owner_uid": access.map(|(_, owner)| owner),
    })
}

pub(crate) fn collected(collected: &GcReport) -> Value {
    let kept: Vec<_> = collected
        .skipped
        .iter()
        .map(|kept| match &kept.reason {
            SkipReason::InUse(alive) => json!({ "topic": kept.topic, "reason": "in use", "alive": alive }),
            SkipReason::Persistent => json!({ "topic": kept.topic, "reason": "persistent" }),
            SkipReason::Failed(error) => {
                json!({ "topic": kept.topic, "reason": "failed", "error": error.to_string() })
            }
            _ => json!({ "topic": kept.topic, "reason": "other" }),
        })
        .collect();
    json!({
        "removed": collected.removed,
        "temp_files": collected.temp_files,
        "freed_bytes": collected.freed_bytes,
        "skipped": kept,
    })
}
