//! `shmflow replay`: frames of a recording into topics.

mod player;
mod reader;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::outcome::{Failure, Outcome};
use crate::table::{Table, left, right};
use crate::{term, text};

use player::Player;
use reader::{End, Recording};

/// Publish the frames of a recording again
///
/// Payloads and metadata are those that were recorded, to the bit, and the intervals
/// between frames, too. Several files are played one after the other. What was cut off, by
/// a killed recorder or a full disk, is played up to there.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  shmflow replay run.mcap --wait                      begin when all topics have consumers
  shmflow replay run.mcap --topic cam0 --rename cam0:test/cam0 --rate 0.5 --loop
  shmflow replay run-*.mcap --start 90 --rate max --lossless"
)]
pub(crate) struct Replay {
    /// The files to play
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How many times as fast as it was; `max` is without pauses
    #[arg(long, default_value = "1", value_name = "FACTOR", value_parser = rate)]
    rate: Rate,
    /// Begin again at the end
    #[arg(long = "loop")]
    again: bool,
    /// Begin so many seconds after the first frame
    #[arg(long, value_name = "SECONDS", value_parser = crate::args::seconds)]
    start: Option<Duration>,
    /// End after so many seconds of the recording
    #[arg(long, value_name = "SECONDS", value_parser = crate::args::seconds)]
    duration: Option<Duration>,
    /// Only these topics, as they were recorded
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    /// Publish a topic under another name
    #[arg(long = "rename", value_name = "OLD:NEW", value_parser = renamed)]
    renames: Vec<(String, String)>,
    /// Wait until every topic has a consumer
    #[arg(long)]
    wait: bool,
    /// Wait for consumers instead of overwriting frames that they have not read
    #[arg(long)]
    lossless: bool,
    /// Frames that each ring holds for consumers
    #[arg(long, value_name = "FRAMES", default_value = "8", value_parser = clap::value_parser!(u32).range(1..=16_000))]
    max_buffers: u32,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Replay {
    /// Recorded topics that were named, of which each is expected to be there.
    fn named(&self) -> impl Iterator<Item = &String> {
        self.topics.iter().chain(self.renames.iter().map(|(old, _)| old))
    }
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rate {
    Times(f64),
    Max,
}

fn rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    let rate = text
        .trim_end_matches(['x', '×'])
        .parse()
        .map_err(|_| "it is not a number, and not `max`".to_owned())?;
    if (0.001..=1000.0).contains(&rate) {
        Ok(Rate::Times(rate))
    } else {
        Err("it must be between 0.001 and 1000".into())
    }
}

fn renamed(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.into(), new.into())),
        _ => Err("it must be the old name, a colon, and the new name".into()),
    }
}

pub(crate) fn run(out: &mut dyn Write, dir: Option<&Path>, args: &Replay) -> Result<Outcome, Failure> {
    let mut recordings = Vec::new();
    for path in &args.files {
        recordings.push(Recording::open(path).map_err(Failure::Other)?);
    }
    let mut player = Player::new(dir, args, &recordings)?;
    let mut result = Ok(());
    'all: loop {
        let before = player.frames();
        for (recording, path) in recordings.iter_mut().zip(&args.files) {
            match player.play(recording) {
                Ok(End::Whole) => {}
                Ok(End::CutOff) => {
                    player.clear_progress();
                    Failure::note(&format!(
                        "{} was cut off, and was played up to there: its recorder was killed, or had no room, or is still at it",
                        text::safe(&path.display().to_string())
                    ));
                }
                Ok(End::Stopped) => break 'all,
                Err(error) => {
                    result = Err(error);
                    break 'all;
                }
            }
        }
        if !args.again || player.frames() == before {
            break;
        }
        player.rewind();
    }
    player.end();
    report(out, &player, args.json)?;
    result?;
    let unplayed = args.topics.iter().find(|topic| !player.has(topic));
    if let Some(missing) = unplayed.or_else(|| player.unknown()) {
        return Err(player.not_played(missing));
    }
    Ok(Outcome::Done)
}

fn report(out: &mut dyn Write, player: &Player<'_>, as_json: bool) -> Result<(), Failure> {
    if as_json {
        let topics: Vec<_> = player
            .topics()
            .map(|(recorded, topic)| {
                json!({ "recorded": recorded, "topic": topic.name, "frames": topic.frames, "bytes": topic.bytes })
            })
            .collect();
        let value = json!({
            "topics": topics, "frames": player.frames(), "seconds": player.elapsed().as_secs_f64(),
            "latest_ns": player.latest().as_nanos() as u64,
        });
        writeln!(out, "{value}")?;
        return Ok(());
    }
    let mut table =
        Table::new([left("TOPIC", 0), right("FRAMES", 0), right("BYTES", 1), left("RECORDED AS", 2)]);
    for (recorded, topic) in player.topics() {
        table.row([
            text::safe(&topic.name),
            text::count(topic.frames),
            text::bytes(topic.bytes),
            text::safe(recorded),
        ]);
    }
    table.write(out, term::width())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_names() {
        assert_eq!(
            (rate("2x"), rate("0.5"), rate("max")),
            (Ok(Rate::Times(2.0)), Ok(Rate::Times(0.5)), Ok(Rate::Max))
        );
        for bad in ["", "0", "-1", "NaN", "fast", "1e9"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
        assert_eq!(renamed("a/b:c"), Ok(("a/b".into(), "c".into())));
        for bad in ["", "a", ":b", "a:"] {
            assert!(renamed(bad).is_err(), "{bad}");
        }
    }
}
