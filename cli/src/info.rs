//! `shmflow info`.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use shmflow::{Liveness, ParticipantInfo, Role, TopicInfo};

use crate::outcome::{Failure, Outcome};
use crate::state::State;
use crate::table::{Align, Table};
use crate::{json, text};

/// Between the two looks that a rate takes, where nobody said how long.
const SAMPLE: Duration = Duration::from_millis(250);

/// How to show it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) json: bool,
    pub(crate) watch: bool,
    pub(crate) interval: Duration,
    /// Somebody sits before it: a new look replaces the last one.
    pub(crate) terminal: bool,
}

pub(crate) fn run(
    out: &mut dyn Write,
    dir: Option<&Path>,
    topic: &str,
    style: Style,
) -> Result<Outcome, Failure> {
    let mut earlier = shmflow::inspect(topic, dir)?;
    if !style.watch {
        // Without a producer there is no rate to be seen.
        if State::of(&earlier) != State::Live {
            show(out, &earlier, None, style)?;
            return Ok(Outcome::Done);
        }
        std::thread::sleep(SAMPLE);
        let now = shmflow::inspect(topic, dir)?;
        show(out, &now, Some(&earlier), style)?;
        return Ok(Outcome::Done);
    }
    show(out, &earlier, None, style)?;
    loop {
        std::thread::sleep(style.interval);
        let now = match shmflow::inspect(topic, dir) {
            Ok(now) => now,
            Err(shmflow::Error::NoTopic { .. }) => {
                Failure::note(&format!("topic `{}` is gone", text::safe(topic)));
                return Ok(Outcome::Done);
            }
            Err(error) => return Err(error.into()),
        };
        show(out, &now, Some(&earlier), style)?;
        earlier = now;
    }
}

fn show(
    out: &mut dyn Write,
    info: &TopicInfo,
    earlier: Option<&TopicInfo>,
    style: Style,
) -> Result<(), Failure> {
    if style.json {
        let value = json::topic(info, earlier);
        // One line each, so that programs can tell where one ends.
        if style.watch { writeln!(out, "{value}")? } else { writeln!(out, "{value:#}")? }
    } else {
        if style.watch && style.terminal {
            // Home, and clear what was there.
            write!(out, "\x1b[H\x1b[2J")?;
        }
        facts(out, info, earlier)?;
        table(out, info, earlier)?;
        wishes(out, info)?;
        if style.watch && !style.terminal {
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(())
}

fn facts(out: &mut dyn Write, info: &TopicInfo, earlier: Option<&TopicInfo>) -> std::io::Result<()> {
    let mut fact = |name: &str, value: String| writeln!(out, "{name:<12} {value}");
    fact("topic", text::safe(&info.topic))?;
    fact("state", state(info))?;
    let mut published = text::several(info.published(), "frame");
    if let Some(rate) = earlier.and_then(|earlier| info.rate_since(earlier)) {
        published += &format!("; now {:.1}/s, {}", rate.frames, text::byte_rate(rate.bytes));
    }
    fact("published", published)?;
    if let Some(g) = info.geometry {
        let capacity = text::bytes(g.capacity as u64);
        let meta = text::bytes(g.meta_capacity as u64);
        let depth = format!(
            "{} deep + {} in reserve, history {}",
            g.depth,
            g.slots - g.depth.min(g.slots),
            g.history
        );
        fact("geometry", format!("epoch {}: {depth}; {capacity} per frame, {meta} metadata", g.epoch))?;
    }
    let epochs = match info.epochs {
        0 | 1 => String::new(),
        n => format!(", {} old included", text::several(u64::from(n - 1), "epoch")),
    };
    fact("memory", format!("{} in {}{epochs}", text::bytes(info.shared_bytes), info.dir.display()))?;
    let readers = if info.admits_readers { "; admits readers who may not write" } else { "" };
    let owner = text::user(info.owner_uid);
    fact("permissions", format!("{:04o}, owner {owner}{readers}", info.permissions))
}

fn state(info: &TopicInfo) -> String {
    let state = match State::of(info) {
        State::Live => "live",
        State::Waiting => "waiting for a producer",
        State::Idle => "idle: nobody takes part",
        State::Dead => "dead: all who took part died; `shmflow gc` removes it",
        State::Unfinished => "unfinished: it has no ring (yet)",
        State::Removed => "removed: the last ones let go of it",
    };
    let mut state = state.to_owned();
    if info.persistent {
        state += ", persistent";
    }
    if info.ended {
        state += ", the stream has ended";
    }
    state
}

fn table(out: &mut dyn Write, info: &TopicInfo, earlier: Option<&TopicInfo>) -> std::io::Result<()> {
    if info.participants.is_empty() {
        return Ok(());
    }
    let mut table = Table::new([
        ("ROLE", Align::Left),
        ("ID", Align::Right),
        ("NAME", Align::Left),
        ("PID", Align::Right),
        ("STATE", Align::Left),
        ("FRAMES", Align::Right),
        ("RATE/s", Align::Right),
        ("BYTES", Align::Right),
        ("LAG", Align::Right),
        ("LOST", Align::Right),
        ("COPIED", Align::Right),
        ("HOLDS", Align::Right),
        ("SINCE", Align::Right),
    ]);
    for p in &info.participants {
        let rate = earlier.and_then(|earlier| info.rate_of(p, earlier));
        let unless_producer = |text: String| if p.role == Role::Producer { "-".to_owned() } else { text };
        table.row([
            match p.role {
                Role::Producer => "producer".to_owned(),
                Role::Consumer => "consumer".to_owned(),
            },
            p.id.id.to_string(),
            text::safe(&p.name),
            p.pid.to_string(),
            condition(p),
            text::count(p.frames),
            rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.1}", rate.frames)),
            text::bytes(p.bytes),
            unless_producer(p.lag.map_or_else(|| "-".to_owned(), text::count)),
            text::count(p.lost),
            unless_producer(text::count(p.copied)),
            p.holding.map_or_else(|| "?".to_owned(), |holding| holding.to_string()),
            text::age(p.age),
        ]);
    }
    writeln!(out)?;
    table.write(out, "")
}

/// How a participant is, in a few words.
fn condition(p: &ParticipantInfo) -> String {
    let mut words = vec![match p.liveness {
        Liveness::Alive if !p.active => "closed",
        Liveness::Alive => "alive",
        Liveness::Dead => "dead",
        _ => "unknown",
    }];
    if p.liveness != Liveness::Dead {
        words.extend(
            [(p.primary, "primary"), (p.exclusive, "exclusive"), (p.waiting, "waiting")]
                .iter()
                .filter_map(|(is, word)| is.then_some(*word)),
        );
        if p.ended.is_some() {
            words.push("ended");
        }
    }
    words.join(", ")
}

fn wishes(out: &mut dyn Write, info: &TopicInfo) -> std::io::Result<()> {
    let wishes: Vec<_> = info.consumers().filter_map(|p| Some((p, p.wish.as_ref()?))).collect();
    if wishes.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    for (p, wish) in wishes {
        writeln!(out, "consumer {} ({}) wishes {}", p.id.id, text::safe(&p.name), text::safe(wish))?;
    }
    Ok(())
}
