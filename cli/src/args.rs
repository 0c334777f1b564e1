//! What the command takes, and its help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

const EXIT_STATUS: &str = "\
Exit status:
  0  done
  1  an error, told on the standard error output
  2  the command line is not understood
  3  there is no such topic
  4  the topic is in use, or busy

Environment:
  SHMFLOW_DIR  where topics are looked for, if there is no --dir";

/// Lists, inspects and removes shared-memory topics
///
/// A topic is a ring of frames in shared memory: producers write them, consumers
/// read them in place. This command looks at topics from outside: it takes no
/// part, and looking changes nothing.
#[derive(Debug, Parser)]
#[command(verbatim_doc_comment)]
#[command(name = "shmflow", version, after_help = EXIT_STATUS)]
#[command(disable_help_subcommand = true, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    /// Directory of the topics [default: $SHMFLOW_DIR, or else /dev/shm]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List topics
    ///
    /// One line for each: its state, who takes part, how many frames were published,
    /// how many a second now (it looks for half a second; `<2` is too few to say
    /// more) and what it takes of the memory. A topic is `live` with a producer alive,
    /// `waiting` with consumers only, `idle` if it is persistent and nobody takes
    /// part, `dead` if all who took part died (`shmflow gc` removes it), `unfinished`
    /// if it has no ring yet, and `removed` while the last ones let go of it.
    #[command(verbatim_doc_comment)]
    #[command(
        visible_alias = "list",
        after_help = "\
Examples:
  shmflow ls                        all topics
  shmflow ls --json                 for programs
  shmflow ls --dir /run/cameras     topics of another directory"
    )]
    Ls {
        /// Write a JSON array instead
        #[arg(long)]
        json: bool,
    },

    /// Tell everything about one topic
    ///
    /// Geometry, permissions, memory, and for each participant how far it is: LAG is
    /// the number of frames that a consumer has not read yet, LOST those that were
    /// overwritten before it did (or, for a producer, that it had to drop), COPIED
    /// those it got as copies, HELD the slots it keeps from being used again. RATE is
    /// measured for a quarter to half a second; `<2` is too few to say more, for which
    /// there is --watch.
    ///
    /// Consumers without permission to write do not register, and do not show.
    #[command(verbatim_doc_comment)]
    #[command(after_help = "\
Examples:
  shmflow info robot/cam0                     once
  shmflow info robot/cam0 --watch             every second, until Ctrl-C
  shmflow info robot/cam0 --watch --json      one JSON object per line, for programs")]
    Info {
        /// Its name
        topic: String,
        /// Write JSON instead
        #[arg(long)]
        json: bool,
        /// Again and again, until the topic is gone
        #[arg(long, short)]
        watch: bool,
        /// Seconds between two looks, with --watch
        #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds, requires = "watch")]
        interval: Duration,
    },

    /// Remove a topic
    ///
    /// While somebody takes part it is refused, unless forced: consumers that wait
    /// are then told at once, producers at their next frame, and frames that are
    /// still held stay valid until they are dropped.
    #[command(verbatim_doc_comment)]
    #[command(
        visible_alias = "remove",
        after_help = "\
Examples:
  shmflow rm robot/cam0             if nobody uses it
  shmflow rm --force robot/cam0     whoever uses it, and whatever is in its files"
    )]
    Rm {
        /// Names of topics
        #[arg(required = true, value_name = "TOPIC")]
        topics: Vec<String>,
        /// Even if it is in use, or its files are damaged
        #[arg(long, short)]
        force: bool,
    },

    /// Remove what dead processes left
    ///
    /// Topics whose participants are all dead, unless they are persistent; topics
    /// that were never finished; files that were being made. Nothing that is in use
    /// is touched, and what may not be removed is reported and left.
    #[command(verbatim_doc_comment)]
    #[command(after_help = "\
Examples:
  shmflow gc               clear away, and say what
  sudo shmflow gc          also what other users left
  shmflow gc --json        for programs")]
    Gc {
        /// Write a JSON object instead
        #[arg(long)]
        json: bool,
    },
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if !(0.01..=86_400.0).contains(&seconds) {
        return Err("it must be between 0.01 and 86400 seconds".into());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn seconds_are_positive_and_not_too_many() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["", "x", "0", "-1", "NaN", "inf", "1e9"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
