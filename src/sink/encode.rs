//! From a buffer to a frame's metadata.

use gstreamer as gst;
use gstreamer_base as gst_base;
use gstreamer_video as gst_video;

use gst_base::prelude::*;
use shmflow::meta::{Clock, Crop, EncodedMeta, Kind, Meta, PerFrame, Times};

use crate::common::clock::{ClockBridge, monotonic_ns};
use crate::common::cut::Part;
use crate::common::timing::running_duration;
use crate::common::{flags, layout};

/// Writes frames' metadata. Between two frames of a stream only times and flags change; caps, layout and crop are
/// examined, and rebuilt when they differ.
#[derive(Debug)]
pub(super) struct Encoder {
    info: gst_video::VideoInfo,
    meta: Meta,
    /// `meta` as it goes into a slot; `None` after it changed.
    encoded: Option<EncodedMeta>,
    /// The least size in bytes that a buffer of the present layout was found to be large enough with.
    fits: usize,
}

/// The times of a frame that a buffer alone does not know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Of its capture, on `CLOCK_MONOTONIC`.
    pub(super) capture_ns: u64,
    /// How long it lasts in running time.
    duration_ns: Option<u64>,
    /// Of the pipeline.
    pub(super) latency_ns: u64,
}

impl Moment {
    /// When `buffer` was captured: its running time after the base time, without any latency. `held_ns` is how much longer
    /// than that the stream was held. A buffer that has no running time was captured when it came, as far as anyone can say.
    pub(super) fn of(
        sink: &super::ShmflowSink,
        clocks: &mut ClockBridge,
        held_ns: i64,
        buffer: &gst::BufferRef,
    ) -> Self {
        let segment = sink.segment().downcast::<gst::ClockTime>().ok();
        let running = buffer.pts().or(buffer.dts()).and_then(|time| {
            Some(match segment.as_ref()?.to_running_time_full(time)? {
                gst::Signed::Positive(time) => i128::from(time.nseconds()),
                gst::Signed::Negative(time) => -i128::from(time.nseconds()),
            })
        });
        let clock = clocks.running(sink);
        let capture = running.zip(clock).and_then(|(ns, clock)| clock.monotonic_ns(ns + i128::from(held_ns)));
        let rate = segment.map_or(1.0, |segment| segment.rate());
        Self {
            capture_ns: capture.unwrap_or_else(monotonic_ns),
            duration_ns: buffer.duration().map(|duration| running_duration(duration.nseconds(), rate)),
            latency_ns: sink.latency().nseconds(),
        }
    }
}

impl Encoder {
    pub(super) fn new(caps: &gst::CapsRef, info: gst_video::VideoInfo) -> Self {
        let meta = Meta::new(Kind::Video).caps(caps.to_string()).video(layout::of_info(&info));
        Self { info, meta, encoded: None, fits: usize::MAX }
    }

    /// The part of a buffer's picture that is to be published, if that is not all of it.
    ///
    /// # Errors
    /// A sentence for display, when the buffer is not what its caps say.
    pub(super) fn part(&self, buffer: &gst::BufferRef) -> Result<Option<Part>, String> {
        layout::cropped_part(buffer, &self.info)
    }

    /// The caps in use.
    pub(super) fn info(&self) -> &gst_video::VideoInfo {
        &self.info
    }

    /// The metadata for `buffer`, or for a `part` of it that is cut out.
    ///
    /// # Errors
    /// A sentence for display, when the buffer is not what its caps or its `VideoMeta` say.
    pub(super) fn encode(
        &mut self,
        buffer: &gst::BufferRef,
        part: Option<&Part>,
        moment: Moment,
    ) -> Result<&EncodedMeta, String> {
        if part.is_some() {
            self.follow_layout(None, self.info.size())?;
            self.follow_crop(None);
        } else {
            self.follow_layout(buffer.meta::<gst_video::VideoMeta>().as_deref(), buffer.size())?;
            self.follow_crop(layout::crop_of(buffer));
        }
        let encoded = match self.encoded.take() {
            Some(encoded) => encoded,
            None => EncodedMeta::new(&self.meta).map_err(|error| error.to_string())?,
        };
        let encoded = self.encoded.insert(encoded);
        encoded.patch(&per_frame(buffer, moment));
        Ok(encoded)
    }

    /// Sees that the layout is that of a `VideoMeta`, or without one what the caps imply, and fits into `size` bytes.
    fn follow_layout(&mut self, of_buffer: Option<&gst_video::VideoMeta>, size: usize) -> Result<(), String> {
        let (offsets, strides) = match of_buffer {
            Some(of_buffer) => (of_buffer.offset(), of_buffer.stride()),
            None => (self.info.offset(), self.info.stride()),
        };
        let known =
            self.meta.video.as_ref().is_some_and(|video| layout::is_of_planes(video, offsets, strides));
        if known && size >= self.fits {
            return Ok(());
        }
        let video = layout::of_planes(offsets, strides, &self.info);
        layout::check_fits(&video, &self.info, size).map_err(|error| {
            format!(
                "A frame of {size} bytes does not match its caps: {error}. Caps: {}.",
                self.meta.caps.as_deref().unwrap_or("none")
            )
        })?;
        self.meta.video = Some(video);
        self.encoded = None;
        self.fits = size;
        Ok(())
    }

    fn follow_crop(&mut self, crop: Option<Crop>) {
        // A crop outside the picture says nothing that a consumer could use.
        let video = self.meta.video.as_ref();
        let crop = crop.filter(|crop| video.is_some_and(|video| crop.within(video.width, video.height)));
        if crop != self.meta.crop {
            self.meta.crop = crop;
            self.encoded = None;
        }
    }
}

/// What changes with every frame.
fn per_frame(buffer: &gst::BufferRef, moment: Moment) -> PerFrame {
    let nanoseconds = |time: Option<gst::ClockTime>| time.map(gst::ClockTime::nseconds);
    let known = |offset: u64| Some(offset).filter(|offset| *offset != gst::format::Buffers::OFFSET_NONE);
    let times = Times::default()
        .capture_ns(moment.capture_ns)
        .clock(Clock::Monotonic)
        .pts(nanoseconds(buffer.pts()))
        .dts(nanoseconds(buffer.dts()))
        .duration(moment.duration_ns)
        .latency_ns(moment.latency_ns);
    PerFrame::default()
        .flags(flags::from_buffer(buffer))
        .times(times)
        .offset(known(buffer.offset()))
        .offset_end(known(buffer.offset_end()))
}
