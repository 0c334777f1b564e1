//! `make demo`: a real H.264 video is decoded in one process into two topics; other processes show it, check and
//! measure every frame, and encode it anew. Nothing is downloaded: the video is made once, from moving test pictures.
//!
//! ```text
//!                    ┌─ openh264dec ─ shmflowsink demo/full ─────────────┬─ meter    checks and times every frame
//! source.mp4 ─ tee ──┤                                                   ├─ viewer   a window; is killed, comes back
//!                    │                                                   └─ encoder  gst-launch-1.0 … x264enc …
//!                    └─ avdec_h264 ── videoscale ─ shmflowsink demo/small ── meter
//! ```
//!
//! Every box is a process of its own, started by this one. At the end there are a summary, a contact sheet of what was
//! sent beside what arrived, a picture of the screen, and what `shmflow ls` said of the topics. The exit code is not 0 if any frame arrived changed.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a demo talks to the person in front of it")]
#![deny(unsafe_code)]

mod built;
mod child;
mod command;
mod frames;
mod pipeline;
mod receiver;
mod screen;
mod sender;
mod sheet;
mod show;
mod summary;
mod video;

use std::path::PathBuf;
use std::process::ExitCode;

use gstreamer as gst;

/// What goes wrong in a demo is told to a person.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "Usage: demo [OPTIONS]
  --out DIR        where everything is written (default: demo-out)
  --seconds N      length of the video, 2 to 600 (default: 10)
  --prefix NAME    first part of the topics' names (default: demo)
  --no-window      show nothing on a display, and start no display server";

/// What the person chose.
#[derive(Debug)]
struct Options {
    out: PathBuf,
    seconds: u32,
    prefix: String,
    window: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        // The roles in which the program starts itself.
        ["sender", video, prefix, work] => {
            initialise()?;
            sender::run(video, prefix, work.as_ref())
        }
        ["meter", topic, work] => {
            initialise()?;
            receiver::meter(topic, (!work.is_empty()).then(|| work.as_ref()))
        }
        ["viewer", topic, "window"] => {
            initialise()?;
            receiver::viewer(topic, true)
        }
        ["viewer", topic, "hidden"] => {
            initialise()?;
            receiver::viewer(topic, false)
        }
        ["-h" | "--help"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => {
            let options = parse(arguments)?;
            initialise()?;
            show::run(&options)
        }
    }
}

fn initialise() -> Result<()> {
    gst::init()?;
    gst::Plugin::load_file(built::find(built::PLUGIN)?)?;
    Ok(())
}

fn parse(arguments: &[&str]) -> Result<Options> {
    let mut options = Options { out: "demo-out".into(), seconds: 10, prefix: "demo".into(), window: true };
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"));
        match *name {
            "--out" => options.out = value()?.into(),
            "--prefix" => options.prefix = (*value()?).to_owned(),
            "--no-window" => options.window = false,
            "--seconds" => {
                let text = value()?;
                options.seconds = text
                    .parse()
                    .ok()
                    .filter(|seconds| (2..=600).contains(seconds))
                    .ok_or_else(|| format!("--seconds {text}: a number from 2 to 600 is needed"))?;
            }
            _ => return Err(format!("{name} is not known\n{USAGE}").into()),
        }
    }
    Ok(options)
}
