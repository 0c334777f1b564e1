//! Makes the frames that the producer pushes, in memory that is chosen as GStreamer's own base classes choose it.

use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

use crate::Result;
use crate::cli::{Memory, ProducerSetup, Touch};
use crate::frame::{self, Header, Phase};
use crate::packets::{self, Packet};
use crate::peer;
use crate::row::{Format, Row, Stream};

/// Buffers in a pool over an allocator that a sink offered. Less than `peer::BUFFERS`: a pool that holds the whole area
/// of a shmsink stops for ever behind a consumer slower than the producer.
const OWN_BUFFERS: u32 = peer::BUFFERS - 2;
/// What a padded picture has at the right, as decoders that work in blocks of 64 have it.
const PADDING: u32 = 64;

/// What a stream is made of.
#[derive(Debug)]
enum Source {
    Pool(gst::BufferPool),
    /// Drawn into padded memory, and copied where the sink does not take such
    Padded {
        own: gst::BufferPool,
        packed: Option<(gst::BufferPool, gst_video::VideoInfo)>,
    },
    /// Copied into memory that the sink offered, if it did, or the system's; as encoders do
    Packets(Vec<Packet>, Option<gst::Allocator>),
    /// Buffers of so many bytes in such memory
    Plain(usize, Option<gst::Allocator>),
}

#[derive(Debug)]
pub(crate) struct Maker {
    pub(crate) caps: gst::Caps,
    info: Option<gst_video::VideoInfo>,
    source: Source,
    touch: Touch,
}

impl Maker {
    /// For a row, before its sink has been asked for memory.
    pub(crate) fn new(row: &Row, setup: &ProducerSetup) -> Result<Self> {
        let (caps, info, source) = match row.stream {
            Stream::Video { format, width, height } => {
                let format = match format {
                    Format::Bgrx => gst_video::VideoFormat::Bgrx,
                    Format::Nv12 => gst_video::VideoFormat::Nv12,
                    Format::I420 => gst_video::VideoFormat::I420,
                };
                let fps = gst::Fraction::new(i32::try_from(row.fps.max(1))?, 1);
                let info = gst_video::VideoInfo::builder(format, width, height).fps(fps).build()?;
                (info.to_caps()?, Some(info), Source::Plain(0, None))
            }
            Stream::Packets => {
                let path = setup.packets.as_ref().ok_or("no packets were encoded")?;
                (packets::CAPS.parse()?, None, Source::Packets(packets::load(path)?, None))
            }
            Stream::Audio => {
                let caps = "audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=2";
                (caps.parse()?, None, Source::Plain(usize::try_from(row.bytes())?, None))
            }
        };
        Ok(Self { caps, info, source, touch: row.touch })
    }

    /// Chooses the memory, after the caps were sent through this pad.
    pub(crate) fn allocate(&mut self, pad: &gst::Pad, memory: Memory) -> Result<()> {
        let Some(info) = &self.info else {
            if let Source::Packets(_, allocator) | Source::Plain(_, allocator) = &mut self.source {
                let mut query = gst::query::Allocation::new(Some(&self.caps), true);
                if pad.peer_query(&mut query) {
                    *allocator = query.allocation_params().next().and_then(|(allocator, _)| allocator);
                }
            }
            return Ok(());
        };
        let source = match memory {
            Memory::Pool => Source::Pool(offered_pool(pad, &self.caps, info.size())?),
            Memory::System => Source::Pool(plain_pool(&self.caps, info.size(), 0, None)?),
            Memory::Padded => {
                let mut query = gst::query::Allocation::new(Some(&self.caps), true);
                let takes_padding = pad.peer_query(&mut query)
                    && query.find_allocation_meta::<gst_video::VideoMeta>().is_some();
                let packed = if takes_padding {
                    None
                } else {
                    Some((offered_pool(pad, &self.caps, info.size())?, info.clone()))
                };
                Source::Padded { own: padded_pool(&self.caps, info)?, packed }
            }
        };
        let pools = match &source {
            Source::Pool(pool) => vec![pool],
            Source::Padded { own, packed } => {
                std::iter::once(own).chain(packed.iter().map(|(pool, _)| pool)).collect()
            }
            _ => Vec::new(),
        };
        for pool in pools {
            pool.set_active(true)?;
        }
        self.source = source;
        Ok(())
    }

    /// The next frame. It counts as pushed once it is drawn: what it is copied for afterwards is the sink's affair.
    pub(crate) fn make(
        &self,
        number: u64,
        phase: Phase,
        time: Option<gst::ClockTime>,
    ) -> Result<gst::Buffer> {
        let header = |now: Duration| Header { number, pushed_ns: now.as_nanos() as u64, phase };
        let mut buffer = match &self.source {
            Source::Pool(pool) => self.drawn(pool.acquire_buffer(None)?, number, header)?,
            Source::Padded { own, packed: None } => self.drawn(own.acquire_buffer(None)?, number, header)?,
            Source::Padded { own, packed: Some((pool, info)) } => {
                let padded = self.drawn(own.acquire_buffer(None)?, number, header)?;
                let from = gst_video::VideoFrameRef::from_buffer_ref_readable(&padded, info)?;
                let mut copy = pool.acquire_buffer(None)?;
                let whole = copy.get_mut().ok_or("a fresh buffer that somebody else holds")?;
                let mut to = gst_video::VideoFrameRef::from_buffer_ref_writable(whole, info)?;
                from.copy(&mut to)?;
                drop(to);
                copy
            }
            Source::Packets(packets, allocator) => {
                let index = usize::try_from(number)?.checked_rem(packets.len()).unwrap_or_default();
                let packet = packets.get(index).ok_or("no packets")?;
                let mut buffer = buffer_of(packet.bytes.len(), allocator.as_ref())?;
                let whole = buffer.get_mut().ok_or("a fresh buffer that somebody else holds")?;
                if !packet.is_key {
                    whole.set_flags(gst::BufferFlags::DELTA_UNIT);
                }
                let mut map = whole.map_writable()?;
                map.copy_from_slice(&packet.bytes);
                header(frame::now()?).write_sei(&mut map);
                drop(map);
                buffer
            }
            Source::Plain(bytes, allocator) => {
                self.drawn(buffer_of(*bytes, allocator.as_ref())?, number, header)?
            }
        };
        buffer.get_mut().ok_or("a fresh buffer that somebody else holds")?.set_pts(time);
        Ok(buffer)
    }

    fn drawn(
        &self,
        mut buffer: gst::Buffer,
        number: u64,
        header: impl Fn(Duration) -> Header,
    ) -> Result<gst::Buffer> {
        let whole = buffer.get_mut().ok_or("a fresh buffer that somebody else holds")?;
        let mut map = whole.map_writable()?;
        if self.touch == Touch::Whole {
            frame::fill(&mut map, number);
        }
        header(frame::now()?).write(&mut map);
        drop(map);
        Ok(buffer)
    }
}

/// A buffer of exactly so many bytes.
fn buffer_of(bytes: usize, allocator: Option<&gst::Allocator>) -> Result<gst::Buffer> {
    let Some(allocator) = allocator else { return Ok(gst::Buffer::with_size(bytes)?) };
    let mut buffer = gst::Buffer::new();
    let whole = buffer.get_mut().ok_or("a fresh buffer that somebody else holds")?;
    whole.append_memory(allocator.alloc(bytes, None)?);
    Ok(buffer)
}

/// The pool that the sink offers, or one over the allocator that it offers, or a plain one, as base classes do it.
fn offered_pool(pad: &gst::Pad, caps: &gst::Caps, bytes: usize) -> Result<gst::BufferPool> {
    let mut query = gst::query::Allocation::new(Some(caps), true);
    if !pad.peer_query(&mut query) {
        return plain_pool(caps, bytes, 0, None);
    }
    let offer = query.allocation_pools().next();
    let Some((Some(pool), size, least, most)) = offer else {
        let allocator = query.allocation_params().next().and_then(|(allocator, _)| allocator);
        let most = if allocator.is_some() { OWN_BUFFERS } else { 0 };
        return plain_pool(caps, bytes, most, allocator);
    };
    let mut config = pool.config();
    config.set_params(Some(caps), size, least, most);
    if query.find_allocation_meta::<gst_video::VideoMeta>().is_some()
        && pool.has_option("GstBufferPoolOptionVideoMeta")
    {
        config.add_option("GstBufferPoolOptionVideoMeta");
    }
    pool.set_config(config)?;
    Ok(pool)
}

fn plain_pool(
    caps: &gst::Caps,
    bytes: usize,
    most: u32,
    allocator: Option<gst::Allocator>,
) -> Result<gst::BufferPool> {
    let pool: gst::BufferPool = gst_video::VideoBufferPool::new().upcast();
    let mut config = pool.config();
    config.set_params(Some(caps), u32::try_from(bytes)?, 0, most);
    if let Some(allocator) = allocator {
        config.set_allocator(Some(&allocator), None);
    }
    pool.set_config(config)?;
    Ok(pool)
}

/// A pool of system memory whose lines are longer than the picture is wide.
fn padded_pool(caps: &gst::Caps, info: &gst_video::VideoInfo) -> Result<gst::BufferPool> {
    let pool: gst::BufferPool = gst_video::VideoBufferPool::new().upcast();
    let mut config = pool.config();
    config.set_params(Some(caps), u32::try_from(info.size())?, 0, 0);
    config.add_option("GstBufferPoolOptionVideoMeta");
    config.add_option("GstBufferPoolOptionVideoAlignment");
    config.set_video_alignment(&gst_video::VideoAlignment::new(0, 0, 0, PADDING, &[0; 4]));
    pool.set_config(config)?;
    Ok(pool)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> ProducerSetup {
        ProducerSetup {
            peer: peer::Peer::None,
            address: String::new(),
            row: "padded".into(),
            seconds: 1.0,
            packets: None,
            plugin: None,
        }
    }

    #[test]
    fn padded_frames_have_longer_lines_and_are_packed_for_a_sink_that_takes_no_layouts() {
        gst::init().unwrap();
        let row = Row::find("padded").unwrap();
        let mut maker = Maker::new(row, &setup()).unwrap();
        // Nobody is linked to this pad, so nobody says that padding is welcome.
        let pad = gst::Pad::builder(gst::PadDirection::Src).build();
        maker.allocate(&pad, row.memory).unwrap();
        let Source::Padded { own, packed: Some(_) } = &maker.source else { panic!("{:?}", maker.source) };
        let padded = own.acquire_buffer(None).unwrap();
        assert!(padded.meta::<gst_video::VideoMeta>().unwrap().stride()[0] > 1920);
        let buffer = maker.make(3, Phase::Measured, None).unwrap();
        assert_eq!(buffer.size() as u64, row.bytes());
        let map = buffer.map_readable().unwrap();
        assert_eq!(Header::read(&map).unwrap().number, 3);
        assert_eq!(map.last(), Some(&3), "filled to the end");
    }

    #[test]
    fn audio_comes_in_buffers_of_ten_milliseconds() {
        gst::init().unwrap();
        let row = Row::find("audio").unwrap();
        let buffer = Maker::new(row, &setup()).unwrap().make(0, Phase::WarmUp, None).unwrap();
        assert_eq!(buffer.size(), 48_000 / 100 * 4);
    }

    #[test]
    fn a_row_of_packets_without_packets_says_so() {
        gst::init().unwrap();
        let error = Maker::new(Row::find("packets").unwrap(), &setup()).unwrap_err();
        assert!(error.to_string().contains("packets"), "{error}");
    }
}
