//! `shmflow send`: frames from a pipe or a file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use shmflow::meta::{Clock, Flags, Kind, Meta, Plane, Tags, Times, VideoLayout, plane_extents};
use shmflow::{OverflowPolicy, Producer};

use crate::outcome::{Failure, Outcome};
use crate::text;
use shmflow::meta::Structure;

/// Publish frames from the standard input or a file
///
/// Where frames end, one of these says: --frame-bytes; the caps of a raw picture, whose
/// rows then follow each other without padding, as `shmflow recv --visible` and `ffmpeg -f
/// rawvideo` write them, or, with --padded, as GStreamer's filesink does; --lines, a frame
/// for each line; --whole, all in one. What is shorter at the end is not published, and
/// told. Each frame carries the caps and the time at which it was read. The stream ends
/// with the input.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  shmflow send log --lines < events.txt
  ffmpeg -i film.mp4 -f rawvideo -pix_fmt rgb24 - | shmflow send film --rate 25 \\
      --caps video/x-raw,format=RGB,width=1280,height=720,framerate=25/1
  shmflow send map map.bin --whole --persistent"
)]
pub(crate) struct Send {
    /// Name of the topic
    #[arg(add = crate::completions::topics())]
    topic: String,
    /// The file to read [default: the standard input]
    #[arg(value_name = "FILE")]
    from: Option<PathBuf>,
    /// Caps that each frame carries, as GStreamer writes them
    #[arg(long)]
    caps: Option<String>,
    /// Bytes of each frame
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..=1 << 38), group = "framing")]
    frame_bytes: Option<u64>,
    /// Rows of raw pictures are padded as GStreamer pads them, mostly to a multiple of 4 bytes
    #[arg(long, requires = "caps", conflicts_with_all = ["lines", "whole"])]
    padded: bool,
    /// A frame for each line, without its end
    #[arg(long, group = "framing")]
    lines: bool,
    /// One frame with all
    #[arg(long, group = "framing")]
    whole: bool,
    /// Frames a second at most
    #[arg(long, value_name = "FPS", value_parser = rate)]
    rate: Option<f64>,
    /// Begin again at the end of the file
    #[arg(long = "loop", requires = "from")]
    again: bool,
    /// Wait for consumers instead of overwriting frames that they have not read
    #[arg(long)]
    lossless: bool,
    /// Wait for a first consumer before the first frame
    #[arg(long)]
    wait: bool,
    /// Keep the topic, with its newest frames, when all have left
    #[arg(long)]
    persistent: bool,
    /// Permissions of the topic's files, octal
    #[arg(long, default_value = "0600", value_parser = octal)]
    perms: u32,
    /// Frames that the ring holds for consumers
    #[arg(long, value_name = "FRAMES", default_value = "8", value_parser = clap::value_parser!(u32).range(1..=16_000))]
    max_buffers: u32,
    /// Describe the topic, for those who list topics
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().map_err(|_| "it is not a number".to_owned())?;
    if (0.001..=1e6).contains(&rate) { Ok(rate) } else { Err("it must be between 0.001 and 1000000".into()) }
}

fn octal(text: &str) -> Result<u32, String> {
    let perms = u32::from_str_radix(text, 8).map_err(|_| "it is not an octal number, as 0640".to_owned())?;
    if perms <= 0o777 { Ok(perms) } else { Err("it must be at most 0777".into()) }
}

/// Where a frame ends.
#[derive(Debug)]
enum Framing {
    Bytes(u64),
    Lines,
    Whole,
}

/// Frames longer than this are no lines.
const LONGEST_LINE: u64 = 1 << 28;

impl Framing {
    fn of(args: &Send, layout: Option<&(VideoLayout, u64)>) -> Result<Self, Failure> {
        match (args.frame_bytes, layout) {
            (Some(bytes), _) => Ok(Self::Bytes(bytes)),
            _ if args.lines => Ok(Self::Lines),
            _ if args.whole => Ok(Self::Whole),
            (None, Some((_, len))) => Ok(Self::Bytes(*len)),
            (None, None) => Err(Failure::Other(
                "where frames end is not known: give --frame-bytes, --lines, --whole, or the caps of a raw picture".into(),
            )),
        }
    }

    /// The next frame, empty at the end of the input.
    fn next(&self, input: &mut dyn BufRead, frame: &mut Vec<u8>) -> io::Result<bool> {
        frame.clear();
        match self {
            Self::Bytes(len) => {
                input.take(*len).read_to_end(frame)?;
            }
            Self::Whole => {
                input.read_to_end(frame)?;
            }
            Self::Lines => {
                if input.take(LONGEST_LINE).read_until(b'\n', frame)? == 0 {
                    return Ok(false);
                }
                if frame.pop_if(|last| *last == b'\n').is_none() && frame.len() as u64 == LONGEST_LINE {
                    return Err(io::Error::other(
                        "a line has more than 256 MiB; --whole or --frame-bytes take any bytes",
                    ));
                }
                return Ok(true);
            }
        }
        Ok(!frame.is_empty())
    }
}

/// The layout of a raw picture whose rows follow each other, and its bytes.
fn tight(caps: &Structure<'_>) -> Option<(VideoLayout, u64)> {
    let (format, width, height) = (caps.get("format")?, caps.number("width")?, caps.number("height")?);
    let (mut planes, mut at) = (Vec::new(), 0_u64);
    for extent in plane_extents(format, width, height)? {
        planes.push(Plane { offset: at, stride: i32::try_from(extent.row_bytes).ok()? });
        at = at.checked_add(extent.row_bytes.checked_mul(extent.rows.into())?)?;
    }
    Some((VideoLayout::new(format, width, height, planes), at))
}

/// The layout that GStreamer gives such pictures, and its bytes.
fn padded(caps: &Structure<'_>) -> Option<(VideoLayout, u64)> {
    VideoLayout::standard(caps.get("format")?, caps.number("width")?, caps.number("height")?)
}

/// What all frames carry.
fn described(args: &Send, layout: Option<&(VideoLayout, u64)>) -> Result<Meta, Failure> {
    let kind = match &args.caps {
        Some(_) if layout.is_some() => Kind::Video,
        Some(caps) => Kind::of_caps(caps),
        None => Kind::Bytes,
    };
    let mut meta = Meta::new(kind).video(layout.map(|(layout, _)| layout.clone()));
    if let Some(caps) = &args.caps {
        meta = meta.caps(caps);
    }
    if let Some(description) = &args.description {
        let quoted = description.replace('\\', "\\\\").replace('"', "\\\"");
        let tags = Tags::new(format!("taglist, description=(string)\"{quoted}\""));
        meta = meta.entry(&tags).map_err(shmflow::Error::Meta)?;
    }
    Ok(meta)
}

pub(crate) fn run(dir: Option<&Path>, args: &Send) -> Result<Outcome, Failure> {
    let caps = args.caps.as_deref().map(Structure::parse).filter(|caps| caps.name() == "video/x-raw");
    let layout = caps.as_ref().and_then(if args.padded { padded } else { tight });
    if args.padded && layout.is_none() {
        return Err(Failure::Other(
            "--padded needs the caps of a raw picture, of a format that is known".into(),
        ));
    }
    let fps = caps.as_ref().and_then(|caps| caps.fraction("framerate")).unwrap_or((0, 1));
    let layout = layout
        .map(|(layout, len)| (layout.fps(fps.0, fps.1), len))
        .filter(|(_, len)| args.frame_bytes.is_none_or(|bytes| bytes >= *len));
    let framing = Framing::of(args, layout.as_ref())?;
    let meta = described(args, layout.as_ref())?;
    let policy = if args.lossless { OverflowPolicy::Lossless } else { OverflowPolicy::default() };
    let mut builder = Producer::builder(&args.topic).name("shmflow send").depth(args.max_buffers);
    builder = builder.perms(args.perms).persistent(args.persistent).overflow_policy(policy);
    builder = builder.meta_capacity(meta.encoded_len().map_err(shmflow::Error::Meta)?.max(512));
    if let Some(dir) = dir {
        builder = builder.dir(dir);
    }
    if let Some(description) = &args.description {
        builder = builder.description(description);
    }
    let producer = builder.open()?;
    if let Some(warning) = producer.directory_warning() {
        Failure::note(&text::safe(&warning));
    }
    if args.wait {
        while producer.consumer_count() == 0 {
            let before = producer.events();
            if producer.consumer_count() == 0 {
                producer.wait_event(before, Some(Duration::from_secs(1)), &producer.cancel_token())?;
            }
        }
    }
    let mut published = 0_u64;
    let mut begun = Instant::now();
    loop {
        let before = published;
        let rest = publish_all(&producer, args, &framing, &meta, &mut published, &mut begun)?;
        if let (Framing::Bytes(len), true) = (&framing, rest != 0) {
            let padded = caps.as_ref().and_then(padded).filter(|(_, padded)| !args.padded && padded != len);
            let hint = padded.map_or_else(String::new, |(_, padded)| {
                format!("; with rows as GStreamer's filesink writes them it has {padded}: --padded")
            });
            Failure::note(&format!(
                "{rest} bytes at the end are no whole frame of {len}, and were not published{hint}"
            ));
        }
        if !args.again || published == before {
            break;
        }
    }
    producer.end();
    Failure::note(&format!(
        "{} published on topic `{}`",
        text::several(published, "frame"),
        text::safe(&args.topic)
    ));
    Ok(Outcome::Done)
}

/// Publishes the input once; how many bytes were left at its end.
fn publish_all(
    producer: &Producer,
    args: &Send,
    framing: &Framing,
    meta: &Meta,
    published: &mut u64,
    begun: &mut Instant,
) -> Result<usize, Failure> {
    let name =
        args.from.as_ref().map_or_else(|| "the standard input".to_owned(), |from| from.display().to_string());
    let failed = |error: io::Error| Failure::Other(format!("cannot read {name}: {error}"));
    let mut input: Box<dyn BufRead> = match &args.from {
        Some(from) => Box::new(BufReader::new(File::open(from).map_err(failed)?)),
        None => Box::new(io::stdin().lock()),
    };
    let mut frame = Vec::new();
    while framing.next(&mut input, &mut frame).map_err(failed)? {
        if let Framing::Bytes(len) = framing
            && (frame.len() as u64) < *len
        {
            return Ok(frame.len());
        }
        if let Some(rate) = args.rate {
            let due = Duration::from_secs_f64(*published as f64 / rate);
            let late = begun.elapsed().checked_sub(due);
            // After a long pause of the input frames are not hurried through.
            if late.is_some_and(|late| late > Duration::from_secs(1)) {
                *begun = Instant::now().checked_sub(due).unwrap_or(*begun);
            }
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
        let now = nix::time::ClockId::CLOCK_MONOTONIC.now().map_err(io::Error::from)?;
        let now = u64::try_from(Duration::from(now).as_nanos()).unwrap_or(u64::MAX);
        let mut meta = meta.clone();
        meta.times = Times::default().capture_ns(now).clock(Clock::Monotonic);
        meta.offset = Some(*published);
        if *published == 0 {
            meta.flags = Flags::DISCONT;
        }
        producer.write_with(&frame, &meta)?;
        *published += 1;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_an_end_is_an_error_and_not_two_lines() {
        let mut endless = BufReader::new(io::repeat(b'x'));
        let error = Framing::Lines.next(&mut endless, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("256 MiB"), "{error}");
        let mut last = io::Cursor::new(b"one\ntwo");
        let mut line = Vec::new();
        for expected in ["one", "two"] {
            assert!(Framing::Lines.next(&mut last, &mut line).unwrap());
            assert_eq!(line, expected.as_bytes());
        }
        assert!(!Framing::Lines.next(&mut last, &mut line).unwrap());
    }
}
