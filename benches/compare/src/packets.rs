//! Packets of H.264 that are encoded once, before anything is measured, and sent in turn.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::Result;
use crate::frame::SEI_BYTES;
use crate::peer;

pub(crate) const CAPS: &str =
    "video/x-h264,stream-format=byte-stream,alignment=au,profile=main,width=1920,height=1080,framerate=60/1";
/// Two seconds, with a key frame at the beginning of each.
const COUNT: i32 = 120;

/// One access unit, with room for the measurement before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) is_key: bool,
    pub(crate) bytes: Vec<u8>,
}

/// Encodes a moving picture at about 8 Mbit/s and saves it.
///
/// # Errors
/// If GStreamer has no encoder, or it fails.
pub(crate) fn encode(path: &Path) -> Result<()> {
    let encoder = if gst::ElementFactory::find("x264enc").is_some() {
        "x264enc bitrate=8000 speed-preset=ultrafast key-int-max=60 bframes=0"
    } else {
        "openh264enc bitrate=8000000 gop-size=60"
    };
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc num-buffers={COUNT} pattern=zone-plate kx2=8 ky2=8 kt=20 \
         ! video/x-raw,format=I420,width=1920,height=1080,framerate=60/1 ! {encoder} ! h264parse \
         ! video/x-h264,stream-format=byte-stream,alignment=au ! fakesink name=end sync=false"
    ))?
    .downcast::<gst::Pipeline>()
    .map_err(|_| "no pipeline")?;
    let packets = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&packets);
    let pad =
        pipeline.by_name("end").and_then(|end| end.static_pad("sink")).ok_or("a fakesink without a pad")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(map) =
            info.buffer().and_then(|buffer| Some((buffer.flags(), buffer.map_readable().ok()?)))
        {
            let mut bytes = vec![0; SEI_BYTES];
            bytes.extend_from_slice(&map.1);
            let packet = Packet { is_key: !map.0.contains(gst::BufferFlags::DELTA_UNIT), bytes };
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(packet);
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing)?;
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    let end = bus.timed_pop_filtered(
        gst::ClockTime::from_seconds(60),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    peer::stop(&pipeline);
    let end = end.ok_or("encoding took longer than a minute")?;
    if let Some(error) = peer::error_in(&end) {
        return Err(error.into());
    }
    let packets = packets.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::fs::write(path, to_bytes(&packets))?)
}

pub(crate) fn load(path: &Path) -> Result<Vec<Packet>> {
    let packets = from_bytes(&std::fs::read(path)?).ok_or("the file of packets is damaged")?;
    if packets.is_empty() { Err("the file of packets is empty".into()) } else { Ok(packets) }
}

/// For each: its length (4 bytes), whether it is a key frame (1 byte), itself.
fn to_bytes(packets: &[Packet]) -> Vec<u8> {
    let mut all = Vec::new();
    for packet in packets {
        all.extend_from_slice(&u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        all.push(u8::from(packet.is_key));
        all.extend_from_slice(&packet.bytes);
    }
    all
}

fn from_bytes(mut rest: &[u8]) -> Option<Vec<Packet>> {
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (is_key, after) = after.split_first()?;
        let (bytes, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        packets.push(Packet { is_key: *is_key != 0, bytes: bytes.to_vec() });
        rest = after;
    }
    Some(packets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_as_they_were_written() {
        let packets = vec![
            Packet { is_key: true, bytes: vec![1, 2, 3] },
            Packet { is_key: false, bytes: Vec::new() },
            Packet { is_key: false, bytes: vec![4] },
        ];
        let bytes = to_bytes(&packets);
        assert_eq!(from_bytes(&bytes), Some(packets));
        assert_eq!(from_bytes(bytes.get(..bytes.len() - 1).unwrap()), None);
    }
}
