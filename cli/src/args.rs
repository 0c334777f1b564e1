//! The command's arguments, and its help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::measure::Measure;

const EXIT_STATUS: &str = "\
Exit status:
  0  done
  1  an error, printed to the standard error output
  2  invalid command line
  3  there is no such topic
  4  the topic is in use, or busy
  5  doctor found a problem, or size found too little room

Environment:
  SHMFLOW_DIR  directory of the topics, without --dir";

/// Lists, inspects, measures and removes shared-memory topics
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

    Info(crate::info::Info),
    Top(crate::top::Top),

    /// Measure how often frames are published
    ///
    /// As `ros2 topic hz`: the mean rate, and the shortest and longest time between two
    /// frames of the window, by the times at which they were published. Nothing joins the
    /// topic.
    #[command(verbatim_doc_comment, after_help = HZ)]
    Hz(Measure),

    /// Measure how long after their capture frames are published
    ///
    /// As `ros2 topic delay`, in seconds: from a frame's capture time to its publication.
    #[command(verbatim_doc_comment)]
    Delay(Measure),

    /// Measure how many bytes are published
    ///
    /// As `ros2 topic bw`: bytes of payload a second, and the sizes of the frames in the
    /// window.
    #[command(verbatim_doc_comment)]
    Bw(Measure),

    Echo(crate::echo::Echo),
    Grab(crate::grab::Grab),
    View(crate::view::View),
    Metrics(crate::metrics::Metrics),
    Serve(crate::serve::Serve),
    Send(crate::send::Send),
    Recv(crate::recv::Recv),
    Record(crate::record::Record),
    Replay(crate::replay::Replay),
    Size(crate::size::Size),
    Doctor(crate::doctor::Doctor),
    Bench(crate::bench::Bench),
    #[command(hide = true)]
    BenchPeer(crate::bench::BenchPeer),

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
  shmflow rm --force robot/cam0     even if it is in use, or its files are corrupt
  shmflow rm a b --json             as JSON: what was removed, and what was not"
    )]
    Rm {
        /// Names of topics
        #[arg(required = true, value_name = "TOPIC", add = crate::completions::topics())]
        topics: Vec<String>,
        /// Remove it even if it is in use, or its files are corrupt
        #[arg(long, short)]
        force: bool,
        /// Write a JSON object instead
        #[arg(long)]
        json: bool,
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

    Completions(crate::completions::Completions),
    Man(crate::completions::Man),
}

const HZ: &str = "\
Examples:
  shmflow hz cam0                  each second, until Ctrl-C
  shmflow hz cam0 --window 60      of the newest 60 frames
  shmflow hz cam0 -c 1 --json      once, for scripts";

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
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
