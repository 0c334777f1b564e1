//! The command's arguments, and its help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

const EXIT_STATUS: &str = "\
Exit status:
  0  done
  1  an error, printed to the standard error output
  2  invalid command line
  3  there is no such topic
  4  the topic is in use, or busy

Environment:
  SHMFLOW_DIR  directory of the topics, without --dir";

/// Lists, inspects and removes shared-memory topics
///
/// A topic is a ring of frames in shared memory: producers write them, consumers
/// read them in place. This command inspects topics from outside: it does not
/// join them, and inspection changes nothing.
#[derive(Debug, Parser)]
#[command(verbatim_doc_comment)]
#[command(name = "shmflow", version, after_help = EXIT_STATUS)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    /// Directory of the topics [default: $SHMFLOW_DIR, or else /dev/shm]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(visible_alias = "list")]
    Ls(crate::ls::Ls),

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
    #[command(verbatim_doc_comment)]
    #[command(after_help = "\
Examples:
  shmflow info robot/cam0                     once
  shmflow info robot/cam0 --watch             every second, until Ctrl-C
  shmflow info robot/cam0 --watch --json      one JSON object per line")]
    Info {
        /// Name of the topic
        topic: String,
        /// Write JSON instead
        #[arg(long)]
        json: bool,
        /// Repeat until the topic is gone
        #[arg(long, short)]
        watch: bool,
        /// Seconds between two reports, with --watch
        #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds, requires = "watch")]
        interval: Duration,
    },

    /// Remove a topic
    ///
    /// A topic with live participants is removed only with --force: consumers that
    /// wait then get an error at once, producers at their next frame, and frames that
    /// are still held stay valid until they are released.
    #[command(verbatim_doc_comment)]
    #[command(
        visible_alias = "remove",
        after_help = "\
Examples:
  shmflow rm robot/cam0             if it is not in use
  shmflow rm --force robot/cam0     even if it is in use, or its files are corrupt"
    )]
    Rm {
        /// Names of topics
        #[arg(required = true, value_name = "TOPIC")]
        topics: Vec<String>,
        /// Remove it even if it is in use, or its files are corrupt
        #[arg(long, short)]
        force: bool,
    },

    /// Remove what dead processes left
    ///
    /// Topics whose participants are all dead, unless they are persistent; topics
    /// that were never finished; temporary files of dead processes. Topics in use are
    /// not touched, and topics that cannot be removed are reported.
    #[command(verbatim_doc_comment)]
    #[command(after_help = "\
Examples:
  shmflow gc               remove, and list what was removed
  sudo shmflow gc          also what other users left
  shmflow gc --json        as JSON")]
    Gc {
        /// Write a JSON object instead
        #[arg(long)]
        json: bool,
    },

    /// Show where the GStreamer plugin of this installation is
    ///
    /// Prints the folder that has the elements shmflowsink and shmflowsrc, installed
    /// together with this command by pip or `make install`.
    #[command(verbatim_doc_comment)]
    #[command(after_help = "\
Examples:
  shmflow plugin                                           the folder
  gst-inspect-1.0 $(shmflow plugin)/libgstshmflow.so       what is in it")]
    Plugin,

    /// Print the shell command that lets GStreamer find the plugin
    ///
    /// It puts the plugin's folder first into GST_PLUGIN_PATH. Nothing is printed if
    /// GStreamer finds the plugin by itself, as after `make install`.
    #[command(verbatim_doc_comment)]
    #[command(after_help = "\
Examples:
  eval $(shmflow env)               for this shell; in ~/.profile, for each session
  eval \"$(shmflow env)\"             where folders have unusual names")]
    Env,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
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
