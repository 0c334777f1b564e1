//! `shmflow size`: how much shared memory a topic will take.

use std::io::Write;
use std::path::Path;

use clap::Args;
use serde_json::json;
use shmflow::Producer;
use shmflow::meta::VideoLayout;

use crate::outcome::{Failure, Outcome};
use crate::{ls, text};
use shmflow::meta::Structure;

/// Say how much shared memory a topic will take
///
/// By the rules of shmflowsink: raw pictures have slots of their size; sound (interleaved)
/// as many buffers as make a second, 8 to 512, by default; packets and bytes 128 slots of
/// twice the largest, or as many as fit into 128 MiB, 8 at least. With --max-buffers there
/// are so many, and the spare slots.
///
/// Exits with 5 if the directory has less room than that.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  shmflow size --caps video/x-raw,format=I420,width=1920,height=1080
  shmflow size --caps video/x-raw,format=BGRx,width=3840,height=2160 --max-buffers 3
  shmflow size --frame-bytes 500000 --max-buffers 16"
)]
pub(crate) struct Size {
    /// Caps of the stream, as GStreamer writes them
    #[arg(long, required_unless_present = "frame_bytes")]
    caps: Option<String>,
    /// Bytes of the largest frame, where the caps do not say it
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    frame_bytes: Option<u64>,
    /// Frames that the ring holds for consumers; 0 for what is usual for the stream
    #[arg(long, value_name = "FRAMES", default_value = "0", value_parser = clap::value_parser!(u32).range(0..=16_000))]
    max_buffers: u32,
    /// Slots beyond them
    #[arg(long, value_name = "SLOTS", default_value = "2", value_parser = clap::value_parser!(u32).range(1..=16_000))]
    spare_slots: u32,
    /// Bytes of metadata of a frame
    #[arg(long, value_name = "BYTES", default_value = "4096", value_parser = clap::value_parser!(u32).range(0..=16_777_216))]
    meta_bytes: u32,
    /// Write a JSON object instead
    #[arg(long)]
    json: bool,
}

/// Frames of pictures, by default.
const PICTURES: u32 = 8;
/// Packets, by default, in so many bytes.
const PACKETS: u64 = 128;
const PACKET_BYTES: u64 = 128 << 20;

/// Bytes of a slot, and how many frames the ring holds.
fn slots(args: &Size) -> Result<(u64, u32), String> {
    let chosen = |usual: u32| if args.max_buffers == 0 { usual } else { args.max_buffers };
    let caps = args.caps.as_deref().map(Structure::parse);
    match caps.as_ref().map(Structure::name) {
        Some("video/x-raw") => {
            let frame = args.frame_bytes.map_or_else(|| picture(caps.as_ref()), Ok)?;
            Ok((frame, chosen(PICTURES)))
        }
        Some("audio/x-raw") => {
            let rate = bytes_a_second(caps.as_ref())?;
            // Buffers of 10 ms, as most sources have them.
            let frame = args.frame_bytes.unwrap_or(rate.div_ceil(100)).max(1);
            // A second of them, and the one that is being written.
            let usual = u32::try_from((rate / frame).saturating_add(1).clamp(8, 512)).unwrap_or(512);
            Ok((frame, chosen(usual)))
        }
        _ => {
            let frame = args.frame_bytes.ok_or("how large such frames are, only --frame-bytes can say")?;
            let slot = frame.saturating_mul(2);
            let usual = u32::try_from((PACKET_BYTES / slot.max(1)).clamp(8, PACKETS)).unwrap_or(8);
            Ok((slot, chosen(usual)))
        }
    }
}

fn picture(caps: Option<&Structure<'_>>) -> Result<u64, String> {
    let field = |name: &str| caps.and_then(|caps| caps.number(name)).filter(|number| *number != 0);
    let format = caps.and_then(|caps| caps.get("format")).ok_or("the caps name no format, as format=I420")?;
    let (Some(width), Some(height)) = (field("width"), field("height")) else {
        return Err("the caps name no size, as width=1920,height=1080".into());
    };
    let standard = VideoLayout::standard(format, width, height);
    standard.map(|(_, len)| len).ok_or_else(|| {
        format!(
            "the size of pictures of format {} is not known; say it with --frame-bytes",
            text::safe(format)
        )
    })
}

fn bytes_a_second(caps: Option<&Structure<'_>>) -> Result<u64, String> {
    let field = |name: &str| caps.and_then(|caps| caps.number(name)).map(u64::from);
    let format =
        caps.and_then(|caps| caps.get("format")).ok_or("the caps name no format, as format=S16LE")?;
    let digits = |c: &char| c.is_ascii_digit();
    let bits: String = format.chars().skip_while(|c| !c.is_ascii_digit()).take_while(digits).collect();
    let bytes = match (format.contains("_32"), bits.parse::<u64>()) {
        (true, _) => 4,
        (false, Ok(bits @ 8..=64)) => bits.div_ceil(8),
        _ => return Err(format!("the size of samples of format {} is not known", text::safe(format))),
    };
    let rate = field("rate").ok_or("the caps name no rate, as rate=48000")?;
    Ok(rate.saturating_mul(field("channels").unwrap_or(1)).saturating_mul(bytes))
}

pub(crate) fn run(out: &mut dyn Write, dir: Option<&Path>, args: &Size) -> Result<Outcome, Failure> {
    let (slot, depth) = slots(args).map_err(Failure::Other)?;
    let settings = Producer::builder("size").depth(depth).spare_slots(args.spare_slots);
    let settings = settings.slot_capacity(usize::try_from(slot).unwrap_or(usize::MAX));
    let needed = settings.meta_capacity(args.meta_bytes as usize).shared_bytes()?;
    let place = ls::place(dir);
    let found = rustix::fs::statvfs(place.as_str()).ok().filter(|found| found.f_blocks != 0);
    let free = found.map(|found| found.f_bavail.saturating_mul(found.f_frsize));
    let fits = free.is_none_or(|free| free >= needed);
    if args.json {
        let value = json!({
            "bytes": needed, "slots": depth + args.spare_slots, "depth": depth, "slot_bytes": slot,
            "directory": place, "free_bytes": free, "fits": fits,
        });
        writeln!(out, "{value:#}")?;
    } else {
        let (spare, size) = (args.spare_slots, text::bytes(slot));
        writeln!(out, "{}: {depth} + {spare} slots of {size}, with metadata", text::bytes(needed))?;
        if let Some(free) = free {
            let verdict = if fits { "" } else { ": too little" };
            writeln!(out, "{place} has {} free{verdict}", text::bytes(free))?;
        }
    }
    Ok(if fits { Outcome::Done } else { Outcome::Problems })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(caps: Option<&str>, frame_bytes: Option<u64>, max_buffers: u32) -> Result<(u64, u32), String> {
        let caps = caps.map(str::to_owned);
        slots(&Size { caps, frame_bytes, max_buffers, spare_slots: 2, meta_bytes: 0, json: false })
    }

    #[test]
    fn each_kind_of_stream_has_its_slots() {
        let video = Some("video/x-raw, format=(string)I420, width=(int)1920, height=(int)1080");
        assert_eq!(of(video, None, 0), Ok((3_110_400, 8)));
        assert_eq!(of(video, None, 3), Ok((3_110_400, 3)));
        assert_eq!(of(Some("audio/x-raw,format=S16LE,rate=48000,channels=2"), None, 0), Ok((1920, 101)));
        assert_eq!(of(Some("audio/x-raw,format=S24_32LE,rate=100,channels=1"), Some(4), 0), Ok((4, 101)));
        assert_eq!(of(Some("video/x-h264"), Some(1 << 20), 0), Ok((2 << 20, 64)));
        assert_eq!(of(None, Some(1000), 0), Ok((2000, 128)));
        for (caps, said) in [
            ("video/x-raw,width=1,height=1", "format"),
            ("video/x-raw,format=I420", "size"),
            ("video/x-raw,format=odd,width=1,height=1", "--frame-bytes"),
            ("audio/x-raw,format=x", "samples"),
            ("video/x-h264", "--frame-bytes"),
        ] {
            let why = of(Some(caps), None, 0).unwrap_err();
            assert!(why.contains(said), "{caps}: {why}");
        }
    }
}
