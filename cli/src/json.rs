//! What programs read. Field names stay; new ones may come.

use serde_json::{Value, json};
use shmflow::{GcReport, Liveness, ParticipantInfo, Role, SkipReason, TopicInfo};

use crate::meter::{Meter, Pace};
use crate::state::State;

/// `meter` has measured for a while what is told now.
pub(crate) fn topic(info: &TopicInfo, meter: Option<&Meter>) -> Value {
    let participants: Vec<_> = info.participants.iter().map(|p| participant(p, meter)).collect();
    json!({
        "topic": info.topic,
        "directory": info.dir.to_string_lossy(),
        "state": State::of(info).name(),
        "published": info.published(),
        "next_seq": info.next_seq,
        "rate": rate(meter.map(Meter::pace)),
        "rate_below": rate_below(meter.map(Meter::pace)),
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
        "allows_read_only": info.allows_read_only,
    })
}

fn participant(p: &ParticipantInfo, meter: Option<&Meter>) -> Value {
    let pace = meter.and_then(|meter| meter.pace_of(p));
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

/// A topic that could not be inspected.
pub(crate) fn unreadable(topic: &str, error: &shmflow::Error) -> Value {
    json!({ "topic": topic, "state": "unreadable", "error": error.to_string() })
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
