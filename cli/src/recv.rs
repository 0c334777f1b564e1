//! `shmflow recv`: frames into a pipe or a file.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use shmflow::meta::MetaView;
use shmflow::{Consumer, Delivery, Error, StartAt};

use crate::outcome::{Failure, Outcome};
use crate::picture::Picture;
use crate::text;

/// Write the payloads of frames to the standard output or a file
///
/// One after the other, as they are; --visible leaves out of raw pictures what is not
/// visible and the padding of rows. Ends with the stream. Frames that were overwritten
/// before they were read are counted on the standard error output.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  shmflow recv log --lines
  shmflow recv cam0 --visible | ffplay -f rawvideo -pixel_format yuv420p -video_size 640x480 -
  shmflow recv cam0 -n 100 frames.bin"
)]
pub(crate) struct Recv {
    /// Name of the topic
    #[arg(add = crate::completions::topics())]
    topic: String,
    /// The file to write [default: the standard output]
    #[arg(value_name = "FILE")]
    to: Option<PathBuf>,
    /// End after so many frames
    #[arg(long, short = 'n', value_name = "FRAMES", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// A line break after each frame
    #[arg(long, conflicts_with = "visible")]
    lines: bool,
    /// Of raw pictures only the visible rows, without padding
    #[arg(long)]
    visible: bool,
    /// The frame to begin with, of those that are there
    #[arg(long, value_enum, default_value = "oldest")]
    start: Start,
    /// Not waited for by producers that are lossless
    #[arg(long)]
    latest: bool,
    /// Wait for the topic if there is none yet
    #[arg(long)]
    wait: bool,
    /// Seconds without a frame after which it fails
    #[arg(long, value_name = "SECONDS", value_parser = crate::args::seconds)]
    timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Start {
    Oldest,
    Newest,
    Next,
}

fn open(dir: Option<&Path>, args: &Recv) -> Result<Consumer, Error> {
    let builder = || {
        let start = match args.start {
            Start::Oldest => StartAt::Oldest,
            Start::Newest => StartAt::Newest,
            Start::Next => StartAt::Next,
        };
        let delivery = if args.latest { Delivery::Latest } else { Delivery::All };
        let mut builder = Consumer::builder(&args.topic).name("shmflow recv").start(start).delivery(delivery);
        if let Some(dir) = dir {
            builder = builder.dir(dir);
        }
        if args.wait { builder.connect_timeout(args.timeout) } else { builder }
    };
    match builder().open() {
        Err(Error::PermissionDenied { .. } | Error::ForeignOwner { .. }) => {
            builder().read_only(true).allow_foreign_owner(true).open()
        }
        opened => opened,
    }
}

pub(crate) fn run(out: &mut dyn Write, dir: Option<&Path>, args: &Recv) -> Result<Outcome, Failure> {
    let mut consumer = open(dir, args)?;
    let mut file = match &args.to {
        Some(to) => Some(File::create(to).map_err(|error| cannot_write(to, &error))?),
        None => None,
    };
    let (mut left, mut lost) = (args.count.unwrap_or(u64::MAX), 0_u64);
    while left != 0 {
        // Asked first: what is published between the two is no end.
        let ended = consumer.stream_status().ended;
        let received = match consumer.try_recv() {
            Ok(Some(frame)) => Ok(frame),
            // One that had ended before it came here is not waited for.
            Ok(None) if ended => break,
            Ok(None) => match args.timeout {
                Some(timeout) => consumer.recv_timeout(timeout),
                None => consumer.recv(),
            },
            Err(error) => Err(error),
        };
        let frame = match received {
            Ok(frame) => frame,
            Err(Error::Ended { .. }) => break,
            Err(error) => return Err(error.into()),
        };
        // Those before the first frame were never meant for this consumer.
        lost = lost.saturating_add(frame.lost_before());
        let mut bytes = frame.to_vec();
        if args.visible {
            let block = frame.meta_bytes();
            let meta = MetaView::parse(&block).map_err(Error::Meta)?;
            let picture = Picture::new(&meta, &bytes).and_then(|picture| picture.raw());
            bytes = picture.map_err(|why| {
                Failure::Other(format!("frame {} of topic `{}`: {why}", frame.seq(), text::safe(&args.topic)))
            })?;
        }
        if args.lines {
            bytes.push(b'\n');
        }
        match (&mut file, &args.to) {
            (Some(file), Some(to)) => file.write_all(&bytes).map_err(|error| cannot_write(to, &error))?,
            _ => {
                out.write_all(&bytes)?;
                // Whoever reads waits for this frame, and not for a full buffer.
                out.flush()?;
            }
        }
        left = left.saturating_sub(1);
    }
    if lost != 0 {
        Failure::note(&format!("{} overwritten before they were read", text::several(lost, "frame")));
    }
    Ok(Outcome::Done)
}

fn cannot_write(to: &Path, error: &io::Error) -> Failure {
    Failure::Other(format!("cannot write {}: {error}", to.display()))
}
