//! What the next frame's buffer will look like, got ready while there is nothing else to do.
//!
//! From frame to frame only times and flags change. As long as the rest of the metadata is the same, byte for byte, it
//! need not be parsed and checked again, and the buffer with its `VideoMeta` can be made before the frame is there. At
//! the pace of video the code for that has left the caches by the time a frame comes: done before the wait it costs a
//! third, and none of it lies between a frame's publication and its arrival downstream.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use gstreamer as gst;
use gstreamer_video as gst_video;

use gst_video::prelude::*;
use shmflow::Frame;
use shmflow::meta::{Crop, Flags, Kind, MetaHeader, MetaView, PerFrame, VideoView};

use crate::common::{flags, layout};

use super::decode::{self, Format, LeasedBytes, Unusable};

/// The flags of video, which a frame's `VideoMeta` repeats.
const OF_VIDEO: u32 = 0xffff_0000;

/// What frames are, apart from times and flags, and the next one's buffer.
#[derive(Debug)]
pub(super) struct Template {
    kind: Kind,
    /// The metadata's entries as they were in the frame that was parsed.
    entries: Vec<u8>,
    /// The payload's length for which they were checked.
    len: usize,
    /// What its buffers' `VideoMeta` says; `None` if frames say nothing of their layout.
    video: Option<Layout>,
    crop: Option<Crop>,
    /// Whether downstream would misread such frames: see [`decode::packed`].
    pub(super) packs: bool,
    /// The next frame's buffer without its memory, and the flags it was made for.
    ready: Option<(gst::Buffer, Flags)>,
    last: Flags,
}

#[derive(Debug)]
struct Layout {
    info: gst_video::VideoInfo,
    offsets: Vec<usize>,
    strides: Vec<i32>,
}

impl Template {
    /// Of a frame that was parsed: checks that it is what its caps say.
    pub(super) fn new(view: &MetaView<'_>, format: &Format, len: usize) -> Result<Self, Unusable> {
        decode::check_size(len, view, format)?;
        let video = view.video().map(|video| Layout::new(video, format)).transpose()?;
        let crop = view
            .crop()
            .filter(|crop| view.video().is_some_and(|video| crop.within(video.width(), video.height())));
        let packs = decode::needs_packing(view, format);
        let entries = view.entry_bytes().to_vec();
        Ok(Self { kind: view.kind(), entries, len, video, crop, packs, ready: None, last: Flags::EMPTY })
    }

    /// Whether a frame is as the one that was parsed.
    pub(super) fn fits(&self, header: &MetaHeader<'_>, len: usize) -> bool {
        len == self.len && header.kind() == self.kind && header.entry_bytes() == self.entries
    }

    /// Makes the next frame's buffer, unless that is done.
    pub(super) fn prepare(&mut self) {
        if self.ready.is_none() {
            self.ready = self.make(self.last).ok().map(|buffer| (buffer, self.last));
        }
    }

    /// A buffer around a frame that fits, without times.
    pub(super) fn wrap(
        &mut self,
        frame: Frame,
        per_frame: &PerFrame,
        leases: &Arc<AtomicU64>,
    ) -> Result<gst::Buffer, Unusable> {
        self.last = Flags::from_bits(per_frame.flags.bits() & OF_VIDEO);
        let mut buffer = match self.ready.take() {
            Some((buffer, made_for)) if made_for == self.last => buffer,
            _ => self.make(self.last)?,
        };
        let fresh = buffer.make_mut();
        fresh.append_memory(LeasedBytes::memory(frame, leases));
        fresh.unset_flags(gst::BufferFlags::TAG_MEMORY);
        flags::to_buffer(per_frame.flags, fresh);
        if let Some(duration) = per_frame.times.duration {
            fresh.set_duration(gst::ClockTime::from_nseconds(duration.min(gst::ClockTime::MAX.nseconds())));
        }
        fresh.set_offset(per_frame.offset.unwrap_or(gst::format::Buffers::OFFSET_NONE));
        fresh.set_offset_end(per_frame.offset_end.unwrap_or(gst::format::Buffers::OFFSET_NONE));
        Ok(buffer)
    }

    fn make(&self, video_flags: Flags) -> Result<gst::Buffer, Unusable> {
        let mut buffer = gst::Buffer::new();
        let Some(video) = &self.video else { return Ok(buffer) };
        let fresh = buffer.make_mut();
        // The buffer flags and those of the meta are the same bits, 20 places apart.
        flags::to_buffer(video_flags, fresh);
        let bits = gst_video::VideoFrameFlags::from_bits_truncate(fresh.video_flags().bits() >> 20);
        video.describe(fresh, bits)?;
        if let Some(crop) = self.crop {
            gst_video::VideoCropMeta::add(fresh, (crop.x, crop.y, crop.width, crop.height));
        }
        Ok(buffer)
    }
}

impl Layout {
    fn new(video: &VideoView<'_>, format: &Format) -> Result<Self, Unusable> {
        let (offsets, strides) = layout::of_view(video).map_err(Unusable::Damaged)?;
        Ok(Self { info: format.info.clone(), offsets, strides })
    }

    fn describe(
        &self,
        buffer: &mut gst::BufferRef,
        flags: gst_video::VideoFrameFlags,
    ) -> Result<(), Unusable> {
        let info = &self.info;
        gst_video::VideoMeta::add_full(
            buffer,
            flags,
            info.format(),
            info.width(),
            info.height(),
            &self.offsets,
            &self.strides,
        )
        .map(drop)
        .map_err(|error| Unusable::Damaged(error.to_string()))
    }
}
