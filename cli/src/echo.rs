//! `shmflow echo`: the metadata of frames as they come.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;
use shmflow::{Error, FrameInfo};

use crate::outcome::{Failure, Outcome};
use crate::sample::follow::Follower;
use crate::{meta_json, text};

/// Print the metadata of frames as they come
///
/// Begins with the newest frame. Each frame is told in lines, `---` follows it; with
/// --json it is one line. Payloads are not read, and neither producers nor consumers
/// notice. Frames that are overwritten before they are seen are counted on the standard
/// error output.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  shmflow echo cam0 -n 1                         the newest frame
  shmflow echo cam0 --json | jq .meta.detections as they come"
)]
pub(crate) struct Echo {
    /// Name of the topic
    #[arg(add = crate::completions::topics())]
    topic: String,
    /// End after so many frames
    #[arg(long, short = 'n', value_name = "FRAMES", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Write each frame as a line of JSON
    #[arg(long)]
    json: bool,
}

/// A look without frames ends so late; then the next begins.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) fn run(out: &mut dyn Write, dir: Option<&Path>, args: &Echo) -> Result<Outcome, Failure> {
    let mut follower = Follower::open(&args.topic, dir)?;
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut next = 0;
    if let Some(newest) = shmflow::inspect(&args.topic, dir)?.newest {
        next = newest.seq.saturating_add(1);
        print(out, &newest, args.json)?;
        left = left.saturating_sub(1);
    }
    let mut missed = 0;
    while left != 0 {
        let look = match follower.next(Instant::now() + LOOK) {
            Err(Error::TopicNotFound { .. }) => {
                Failure::note(&format!("topic `{}` is gone", text::safe(&args.topic)));
                break;
            }
            look => look?,
        };
        if look.recreated {
            next = 0;
        }
        missed += look.missed;
        for frame in look
            .frames
            .iter()
            .filter(|frame| frame.seq >= next)
            .take(usize::try_from(left).unwrap_or(usize::MAX))
        {
            print(out, frame, args.json)?;
            left = left.saturating_sub(1);
        }
    }
    if missed != 0 {
        Failure::note(&format!("{} overwritten before they were seen", text::several(missed, "frame")));
    }
    Ok(Outcome::Done)
}

fn print(out: &mut dyn Write, frame: &FrameInfo, as_json: bool) -> Result<(), Failure> {
    let value = meta_json::frame(frame);
    if as_json {
        writeln!(out, "{value}")?;
    } else {
        lines(out, &value, 0)?;
        writeln!(out, "---")?;
    }
    out.flush()?;
    Ok(())
}

/// An object as lines of names and values, what is in it indented.
fn lines(out: &mut dyn Write, value: &Value, indent: usize) -> std::io::Result<()> {
    let Value::Object(map) = value else { return writeln!(out, "{:indent$}{}", "", plain(value)) };
    for (name, value) in map.iter().filter(|(_, value)| !value.is_null()) {
        match value {
            Value::Object(_) => {
                writeln!(out, "{:indent$}{name}:", "")?;
                lines(out, value, indent + 2)?;
            }
            Value::Array(list) if list.iter().any(Value::is_object) => {
                writeln!(out, "{:indent$}{name}:", "")?;
                for one in list {
                    let mut text = Vec::new();
                    lines(&mut text, one, indent + 4)?;
                    // The first line begins with the dash of the list.
                    if let Some(dash) = text.get_mut(indent + 2) {
                        *dash = b'-';
                    }
                    out.write_all(&text)?;
                }
            }
            value => writeln!(out, "{:indent$}{name}: {}", "", plain(value))?,
        }
    }
    Ok(())
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text::safe(text),
        Value::Array(list) => format!("[{}]", list.iter().map(plain).collect::<Vec<_>>().join(", ")),
        other => text::safe(&other.to_string()),
    }
}
