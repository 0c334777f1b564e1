//! From a buffer to a frame's metadata.

use gstreamer as gst;
use gstreamer_base as gst_base;
use gstreamer_video as gst_video;

use gst_base::prelude::*;
use shmflow::meta::{Clock, Crop, EncodedMeta, Meta, PerFrame, Times};

use crate::common::clock::{ClockBridge, monotonic_ns};
use crate::common::content::Content;
use crate::common::cut::Part;
use crate::common::timing::running_duration;
use crate::common::{audio, flags, layout};

use super::depth::Wanted;

use super::metas::{self, LeftOut};
use super::tags::StreamTags;

/// Writes frames' metadata. Between two frames of a stream only times and flags change; caps, layout and crop are
/// examined, and rebuilt when they differ.
#[derive(Debug)]
pub(super) struct Encoder {
    content: Content,
    meta: Meta,
    /// Which of the stream's tags it has.
    tags: u64,
    /// `meta` as it goes into a slot; `None` after it changed.
    encoded: Option<EncodedMeta>,
    /// The least size in bytes that a buffer of the present layout was found to be large enough with.
    fits: usize,
    /// What the ring is to be like, once a buffer was seen.
    wanted: Option<Wanted>,
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
    /// How fast the stream is played.
    rate: f64,
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
            rate,
        }
    }

    /// When a buffer is decoded, as long before it is shown as in running time. Played backwards, that says nothing.
    fn dts_ns(&self, buffer: &gst::BufferRef) -> Option<u64> {
        let dts = buffer.dts()?.nseconds();
        let Some(pts) = buffer.pts().filter(|_| self.rate != 1.0) else { return Some(dts) };
        let pts = pts.nseconds();
        let distance = running_duration(pts.abs_diff(dts), self.rate);
        let shown_later = pts >= dts;
        (self.rate > 0.0)
            .then(|| if shown_later { pts.checked_sub(distance) } else { pts.checked_add(distance) })
            .flatten()
    }
}

impl Encoder {
    /// For buffers with these caps, or without any.
    pub(super) fn new(caps: Option<&gst::CapsRef>, content: Content) -> Self {
        let mut meta = Meta::new(content.kind()).video(content.video().map(layout::of_info));
        meta.caps = caps.map(|caps| caps.to_string());
        Self { content, meta, tags: 0, encoded: None, fits: usize::MAX, wanted: None }
    }

    /// The part of a buffer's picture that is to be published, if that is not all of it, and what it becomes.
    ///
    /// # Errors
    /// A sentence for display, when the buffer is not what its caps say.
    pub(super) fn part(
        &self,
        buffer: &gst::BufferRef,
    ) -> Result<Option<(Part, gst_video::VideoInfo)>, String> {
        let Some(info) = self.content.video() else { return Ok(None) };
        Ok(layout::cropped_part(buffer, info)?.map(|part| (part, info.clone())))
    }

    /// What the stream is.
    pub(super) fn content(&self) -> &Content {
        &self.content
    }

    /// What the ring is to be like for buffers like this one, if the user does not say.
    pub(super) fn wanted(&mut self, buffer: &gst::BufferRef) -> Wanted {
        *self.wanted.get_or_insert_with(|| Wanted::of(&self.content, buffer))
    }

    /// The metadata for `buffer`, or for the part of its picture that is `cut` out.
    ///
    /// # Errors
    /// A sentence for display, when the buffer is not what its caps or its metas say.
    pub(super) fn encode(
        &mut self,
        buffer: &gst::BufferRef,
        cut: Option<&Part>,
        moment: Moment,
        left_out: &mut LeftOut,
    ) -> Result<&EncodedMeta, String> {
        match &self.content {
            Content::Video(info) if cut.is_some() => {
                let size = info.size();
                self.follow_layout(None, size)?;
                self.follow_crop(None);
            }
            Content::Video(_) => {
                self.follow_layout(buffer.meta::<gst_video::VideoMeta>().as_deref(), buffer.size())?;
                self.follow_crop(layout::crop_of(buffer));
            }
            Content::Audio(info) => {
                let audio = audio::layout(buffer, info)?;
                if self.meta.audio.as_ref() != Some(&audio) {
                    self.meta.audio = Some(audio);
                    self.encoded = None;
                }
            }
            Content::Packets | Content::Bytes => {}
        }
        let encoded = match self.encoded.take() {
            Some(encoded) => encoded,
            None => EncodedMeta::new(&self.meta).map_err(|error| error.to_string())?,
        };
        let encoded = self.encoded.insert(encoded);
        encoded.patch(&per_frame(buffer, moment));
        metas::push(encoded, buffer, cut.map_or((0, 0), |part| part.at), left_out);
        Ok(encoded)
    }

    /// Sees that the layout is that of a `VideoMeta`, or without one what the caps imply, and fits into `size` bytes.
    fn follow_layout(&mut self, of_buffer: Option<&gst_video::VideoMeta>, size: usize) -> Result<(), String> {
        let Content::Video(info) = &self.content else { return Ok(()) };
        let (offsets, strides) = match of_buffer {
            Some(of_buffer) => (of_buffer.offset(), of_buffer.stride()),
            None => (info.offset(), info.stride()),
        };
        let known =
            self.meta.video.as_ref().is_some_and(|video| layout::is_of_planes(video, offsets, strides));
        if known && size >= self.fits {
            return Ok(());
        }
        let video = layout::of_planes(offsets, strides, info);
        layout::check_fits(&video, info, size).map_err(|error| {
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

    /// Sees that the metadata has these tags of the stream.
    pub(super) fn follow_tags(&mut self, tags: &StreamTags) {
        if std::mem::replace(&mut self.tags, tags.version()) != tags.version() {
            tags.put(&mut self.meta);
            self.encoded = None;
        }
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
        .dts(moment.dts_ns(buffer))
        .duration(moment.duration_ns)
        .latency_ns(moment.latency_ns);
    PerFrame::default()
        .flags(flags::from_buffer(buffer))
        .times(times)
        .offset(known(buffer.offset()))
        .offset_end(known(buffer.offset_end()))
}
