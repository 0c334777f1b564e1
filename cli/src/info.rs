//! `shmflow info`.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use shmflow::{Delivery, FrameInfo, Liveness, ParticipantInfo, Role, TopicInfo};

use crate::outcome::{Failure, Outcome};
use crate::sample::meter::{Meter, Pace};
use crate::table::{Table, left, right};
use crate::{json, term, text};
use shmflow::TopicState;

/// How long a rate is measured by default.
const SAMPLE: Duration = Duration::from_millis(250);
/// How long at most, where too few frames come.
const LIMIT: Duration = Duration::from_millis(500);
/// Between two looks.
const STEP: Duration = Duration::from_millis(1);

/// Show one topic in detail
///
/// Geometry, permissions, memory, and for each participant its position: LAG is
/// the number of frames that a consumer has not read yet, LOST the number that were
/// overwritten before it read them (for a producer: that it dropped), COPIED those
/// it received as copies, HELD the slots that it holds. A participant is `stopped` if
/// its process is, and a consumer `stalled` if it lags as far as the ring holds frames
/// and took none while others came. RATE is measured for a
/// quarter to half a second; `<2` is an upper limit when frames are too few: use
/// --watch then.
///
/// Read-only consumers do not register, so they are not listed.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  shmflow info robot/cam0                     once
  shmflow info robot/cam0 --watch             every second, until Ctrl-C
  shmflow info robot/cam0 --watch --json      one JSON object per line"
)]
pub(crate) struct Info {
    /// Name of the topic
    #[arg(add = crate::completions::topics())]
    topic: String,
    /// Write JSON instead
    #[arg(long)]
    json: bool,
    /// Repeat until the topic is gone
    #[arg(long, short)]
    watch: bool,
    /// Seconds between two reports, with --watch
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = crate::args::seconds, requires = "watch")]
    interval: Duration,
}

/// How to show it.
#[derive(Clone, Copy, Debug)]
struct Style {
    json: bool,
    watch: bool,
    interval: Duration,
    /// Somebody sits before it: a new look replaces the last one.
    terminal: bool,
}

pub(crate) fn run(out: &mut dyn Write, dir: Option<&Path>, args: &Info) -> Result<Outcome, Failure> {
    let Info { topic, json, watch, interval } = args;
    let terminal = std::io::stdout().is_terminal();
    let style = Style { json: *json, watch: *watch, interval: *interval, terminal };
    let mut meter = Meter::new(topic, dir)?;
    if !style.watch {
        // Without a producer there is no rate to be seen.
        let live = meter.info().state().has_producer();
        if live {
            meter.measure(dir, SAMPLE, LIMIT, STEP)?;
        }
        show(out, &meter, live, style)?;
        return Ok(Outcome::Done);
    }
    show(out, &meter, false, style)?;
    // It may run for days.
    let step = (style.interval / 200).max(STEP).min(Duration::from_millis(10));
    loop {
        meter.go_on();
        match meter.measure(dir, style.interval, style.interval, step) {
            Ok(()) => {}
            Err(shmflow::Error::TopicNotFound { .. }) => {
                Failure::note(&format!("topic `{}` is gone", text::safe(topic)));
                return Ok(Outcome::Done);
            }
            Err(error) => return Err(error.into()),
        }
        show(out, &meter, true, style)?;
    }
}

fn show(out: &mut dyn Write, meter: &Meter, measured: bool, style: Style) -> Result<(), Failure> {
    if style.json {
        let pace = measured.then(|| meter.pace());
        let value = json::topic(meter.info(), pace, Some(meter).filter(|_| measured));
        // One line each, so that programs can tell where one ends.
        if style.watch { writeln!(out, "{value}")? } else { writeln!(out, "{value:#}")? }
    } else {
        if style.watch && style.terminal {
            // Home, and clear what was there.
            write!(out, "\x1b[H\x1b[2J")?;
        }
        facts(out, meter, measured)?;
        table(out, meter, measured)?;
        accepted_caps(out, meter)?;
        if style.watch && !style.terminal {
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(())
}

fn facts(out: &mut dyn Write, meter: &Meter, measured: bool) -> std::io::Result<()> {
    let info = meter.info();
    let mut fact = |name: &str, value: String| writeln!(out, "{name:<12} {value}");
    fact("topic", text::safe(&info.topic))?;
    fact("state", state(info))?;
    let what = info.content();
    if info.newest.is_some() {
        let error = what.error.map_or_else(String::new, |error| format!(": {}", text::safe(&error)));
        fact("what", format!("{}{error}", what.summary))?;
    }
    if let Some(caps) = what.caps {
        fact("caps", text::safe(&caps))?;
    }
    if let Some((frames, seconds)) = what.nominal_rate {
        fact("nominal rate", format!("{} frames/s", text::nominal_rate(frames, seconds)))?;
    }
    if let Some(description) = what.description {
        fact("description", text::safe(&description))?;
    }
    if let Some(frame) = &info.newest {
        fact("newest frame", newest(frame))?;
    }
    let mut published = text::several(info.published(), "frame");
    match meter.pace() {
        Pace::Measured { frames, bytes } if measured => {
            published += &format!("; now {}/s, {}", text::rate(frames), text::byte_rate(bytes));
        }
        Pace::Below(rate) if measured && rate.is_finite() => {
            published += &format!("; now fewer than {}/s", text::limit(rate));
        }
        _ => {}
    }
    fact("published", published)?;
    if let Some(g) = info.geometry {
        let capacity = text::bytes(g.slot_capacity as u64);
        let meta = text::bytes(g.meta_capacity as u64);
        let depth =
            format!("{} deep + {} spare, history {}", g.depth, g.slots - g.depth.min(g.slots), g.history);
        fact("geometry", format!("epoch {}: {depth}; {capacity} per frame, {meta} metadata", g.epoch))?;
    }
    let epochs = match info.epochs {
        0 | 1 => String::new(),
        n => format!(", {} old included", text::several(u64::from(n - 1), "epoch")),
    };
    fact("memory", format!("{} in {}{epochs}", text::bytes(info.shared_bytes), info.dir.display()))?;
    let readers = if info.allows_read_only { "; allows read-only consumers" } else { "" };
    let owner = text::user(info.owner_uid);
    fact("permissions", format!("{:04o}, owner {owner}{readers}", info.permissions))
}

/// "number 7, 460.8 KB, 12 ms ago; published 3 ms after its capture".
fn newest(frame: &FrameInfo) -> String {
    let ago = text::short_time(frame.age());
    let mut newest = format!("number {}, {}, {ago} ago", text::count(frame.seq), text::bytes(frame.bytes));
    if let Some(latency) = frame.latency() {
        newest += &format!("; published {} after its capture", text::short_time(latency));
    }
    let declared = frame.meta().ok().and_then(|meta| meta.times().latency_ns).filter(|ns| *ns != 0);
    if let Some(ns) = declared {
        newest += &format!(", within {} as declared", text::short_time(Duration::from_nanos(ns)));
    }
    newest
}

fn state(info: &TopicInfo) -> String {
    let state = match info.state() {
        TopicState::Live => "live",
        TopicState::Stalled => "stalled: its producer lives, and has published nothing for long",
        TopicState::Stopped => {
            "stopped: the process of its producer is stopped (SIGSTOP, Ctrl-Z or a debugger)"
        }
        TopicState::Waiting => "waiting for a producer",
        TopicState::Idle => "idle: no participants",
        TopicState::Dead => "dead: all participants died; `shmflow gc` removes it",
        TopicState::Unfinished => "unfinished: it has no ring (yet)",
        TopicState::Removed => "removed: its last participants still have it open",
        other => other.name(),
    };
    let mut state = state.to_owned();
    if info.persistent {
        state += ", persistent";
    }
    if info.lossless {
        state += ", lossless";
    }
    if info.ended {
        state += ", the stream has ended";
    }
    state
}

fn table(out: &mut dyn Write, meter: &Meter, measured: bool) -> std::io::Result<()> {
    let info = meter.info();
    if info.participants.is_empty() {
        return Ok(());
    }
    let mut table = Table::new([
        left("ROLE", 0),
        right("ID", 9),
        left("NAME", 0),
        right("PID", 6),
        left("STATE", 0),
        right("FRAMES", 7),
        right("RATE/s", 1),
        right("BYTES", 10),
        right("LAG", 2),
        right("LOST", 3),
        right("COPIED", 5),
        right("HELD", 4),
        right("SINCE", 8),
    ]);
    for p in &info.participants {
        let pace = meter.pace_of(p).filter(|_| measured);
        let unless_producer = |text: String| if p.role == Role::Producer { "-".to_owned() } else { text };
        table.row([
            match p.role {
                Role::Producer => "producer".to_owned(),
                Role::Consumer => "consumer".to_owned(),
            },
            p.id.id.to_string(),
            text::safe(&p.name),
            p.pid.to_string(),
            condition(p, measured && meter.has_stalled(p)),
            text::count(p.frames),
            pace.map_or_else(|| "-".to_owned(), cell),
            text::bytes(p.bytes),
            unless_producer(p.lag.map_or_else(|| "-".to_owned(), text::count)),
            text::count(p.lost),
            unless_producer(text::count(p.copied)),
            p.held_slots.map_or_else(|| "?".to_owned(), |held| held.to_string()),
            text::age(p.age),
        ]);
    }
    writeln!(out)?;
    table.write(out, term::width())
}

/// A rate in a table.
pub(crate) fn cell(pace: Pace) -> String {
    match pace {
        Pace::Measured { frames, .. } => text::rate(frames),
        Pace::Below(rate) if rate.is_finite() => format!("<{}", text::limit(rate)),
        Pace::Below(_) => "-".to_owned(),
    }
}

/// How a participant is, in a few words.
pub(crate) fn condition(p: &ParticipantInfo, stalled: bool) -> String {
    let mut words = vec![match p.liveness {
        Liveness::Alive if p.stopped => "stopped",
        Liveness::Alive if !p.active => "closed",
        Liveness::Alive if stalled => "stalled",
        Liveness::Alive => "alive",
        Liveness::Dead => "dead",
        _ => "unknown",
    }];
    if p.liveness != Liveness::Dead {
        words.extend(
            [
                (p.primary, "primary"),
                (p.exclusive, "exclusive"),
                (p.delivery == Some(Delivery::Latest), "latest"),
                (p.waiting, "waiting"),
            ]
            .iter()
            .filter_map(|(is, word)| is.then_some(*word)),
        );
        if p.end_seq.is_some() {
            words.push("ended");
        }
    }
    words.join(", ")
}

fn accepted_caps(out: &mut dyn Write, meter: &Meter) -> std::io::Result<()> {
    let stated: Vec<_> =
        meter.info().consumers().filter_map(|p| Some((p, p.accepted_caps.as_ref()?))).collect();
    if stated.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    for (p, caps) in stated {
        writeln!(out, "consumer {} ({}) accepts {}", p.id.id, text::safe(&p.name), text::safe(caps))?;
    }
    Ok(())
}
