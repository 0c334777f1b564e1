//! From a buffer to a frame's metadata.

use gstreamer as gst;
use gstreamer_video as gst_video;

use shmflow::meta::{Clock, Crop, EncodedMeta, Kind, Meta, PerFrame, Times};

use crate::common::{flags, layout};

/// Writes frames' metadata. Between two frames of a stream only times and flags change; caps, layout and crop are
/// looked at, and built anew when they differ.
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
    /// On `CLOCK_MONOTONIC`.
    pub(super) capture_ns: Option<u64>,
    /// Of the pipeline.
    pub(super) latency_ns: u64,
}

impl Encoder {
    pub(super) fn new(caps: &gst::CapsRef, info: gst_video::VideoInfo) -> Self {
        let meta = Meta {
            kind: Kind::Video,
            caps: Some(caps.to_string()),
            video: Some(layout::of_info(&info)),
            ..Meta::default()
        };
        Self { info, meta, encoded: None, fits: usize::MAX }
    }

    /// The metadata for `buffer`.
    ///
    /// # Errors
    /// A sentence for people, when the buffer is not what its caps or its `VideoMeta` say.
    pub(super) fn encode(&mut self, buffer: &gst::BufferRef, moment: Moment) -> Result<&EncodedMeta, String> {
        self.follow_layout(buffer)?;
        self.follow_crop(layout::crop_of(buffer));
        let encoded = match self.encoded.take() {
            Some(encoded) => encoded,
            None => EncodedMeta::new(&self.meta).map_err(|error| error.to_string())?,
        };
        let encoded = self.encoded.insert(encoded);
        encoded.patch(&per_frame(buffer, moment));
        Ok(encoded)
    }

    fn follow_layout(&mut self, buffer: &gst::BufferRef) -> Result<(), String> {
        let of_buffer = buffer.meta::<gst_video::VideoMeta>();
        let same = match (&of_buffer, &self.meta.video) {
            (Some(of_buffer), Some(video)) => layout::is_of_meta(video, of_buffer, &self.info),
            (None, Some(video)) => self.is_default(video),
            (_, None) => false,
        };
        if same && buffer.size() >= self.fits {
            return Ok(());
        }
        let video = match &of_buffer {
            Some(of_buffer) => layout::of_meta(of_buffer, &self.info),
            None => layout::of_info(&self.info),
        };
        layout::check_fits(&video, &self.info, buffer.size()).map_err(|error| {
            format!(
                "A frame of {} bytes is not what it says it is: {error}. Caps: {}.",
                buffer.size(),
                self.meta.caps.as_deref().unwrap_or("none")
            )
        })?;
        self.meta.video = Some(video);
        self.encoded = None;
        self.fits = buffer.size();
        Ok(())
    }

    /// Whether the layout is what caps alone imply.
    fn is_default(&self, video: &shmflow::meta::VideoLayout) -> bool {
        let offsets = self.info.offset().iter().map(|offset| *offset as u64);
        video
            .planes
            .iter()
            .map(|plane| (plane.offset, plane.stride))
            .eq(offsets.zip(self.info.stride().iter().copied()))
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
    PerFrame {
        flags: flags::from_buffer(buffer),
        times: Times {
            capture_ns: moment.capture_ns,
            clock: if moment.capture_ns.is_some() { Clock::Monotonic } else { Clock::Unknown },
            pts: nanoseconds(buffer.pts()),
            dts: nanoseconds(buffer.dts()),
            duration: nanoseconds(buffer.duration()),
            latency_ns: Some(moment.latency_ns),
        },
        offset: known(buffer.offset()),
        offset_end: known(buffer.offset_end()),
    }
}
