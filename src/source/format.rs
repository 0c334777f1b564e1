//! What frames are, and what they become for the elements downstream.
//!
//! One value holds all of it: the caps, what downstream can read, where the picture lies, and the next buffer, made
//! while there is nothing else to do. It is made from the first frame of its caps, and again when downstream wants to be
//! asked again. From frame to frame only times and flags change: as long as the rest of the metadata is the same, byte
//! for byte, it is not parsed and checked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gstreamer as gst;
use gstreamer_audio as gst_audio;
use gstreamer_video as gst_video;

use gst_video::prelude::*;
use shmflow::Frame;
use shmflow::meta::{Crop, Entries, Flags, Kind, MetaHeader, MetaView, PerFrame, VideoView, is_of_frame};

use crate::common::clock::clock_time;
use crate::common::content::Content;
use crate::common::cut::{Part, is_convertible};
use crate::common::{audio, caps_text, flags, layout};

use super::metas;

/// The flags of video, which a frame's `VideoMeta` repeats.
const OF_VIDEO: u32 = 0xffff_0000;

/// Why there is no buffer of a frame.
#[derive(Debug)]
pub(super) enum FrameError {
    /// This one frame is damaged; the next may not be.
    Corrupt(String),
    /// The user has to do something.
    Unsupported(String),
    /// The elements downstream do not take its caps, but its producer may still change them.
    NotAccepted,
    /// The stream is over, and if something was wrong it was told.
    Flow(gst::FlowError),
}

/// What the elements downstream read, besides the pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Downstream {
    /// Strides and offsets in a `VideoMeta`.
    pub(super) strides: bool,
    /// A `VideoCropMeta`.
    pub(super) crop: bool,
}

/// Caps of frames.
#[derive(Debug)]
pub(super) struct FrameCaps {
    /// As frames carry them; `None` if they carry none.
    text: Option<String>,
    /// Those, or the ones that the user says they have.
    pub(super) caps: Option<gst::Caps>,
    pub(super) content: Content,
}

impl FrameCaps {
    /// Of a frame, or those that the user says frames without caps have.
    pub(super) fn of(view: &MetaView<'_>, fallback: Option<&gst::Caps>) -> Result<Self, FrameError> {
        let text = view.caps().map(str::to_owned);
        let caps = match &text {
            Some(text) => Some(caps_text::parse_fixed(text).ok_or_else(|| {
                let start: String = text.chars().take(200).collect();
                FrameError::Corrupt(format!("its caps cannot be parsed: {start}"))
            })?),
            None => fallback.cloned(),
        };
        let content = match &caps {
            Some(caps) => Content::of(caps).map_err(FrameError::Unsupported)?,
            None => Content::Bytes,
        };
        Ok(Self { text, caps, content })
    }
}

/// What frames are.
#[derive(Debug)]
pub(super) struct Format {
    of: FrameCaps,
    downstream: Downstream,
    /// Buffers per second; 0 when unknown.
    pub(super) rate: (u32, u32),
    /// What the frame that was last parsed has in common with the next.
    known: Option<Known>,
    /// The next frame's buffer without its memory, and the flags it was made for.
    ready: Option<(gst::Buffer, Flags)>,
    last: Flags,
}

/// The metadata of a frame that was parsed, but for times and flags, and what it means.
#[derive(Debug)]
struct Known {
    kind: Kind,
    /// Without those at the end that belong to one frame.
    entries: Vec<u8>,
    /// Those are not at the end: every frame that differs is read as a whole.
    mixed: bool,
    /// The payload's length for which they were checked.
    len: usize,
    /// `None` if frames say nothing of their layout.
    place: Option<Place>,
}

/// Where what a frame holds lies in it.
#[derive(Debug)]
enum Place {
    Picture(Picture),
    /// Samples of each channel, and where they start: not beside each other.
    Planes(usize, Vec<usize>),
}

/// Where the picture lies, as its `VideoMeta` has it.
#[derive(Debug)]
struct Picture {
    size: (u32, u32),
    offsets: Vec<usize>,
    strides: Vec<i32>,
    /// Set for those downstream who said that they read it.
    crop: Option<Crop>,
    /// Downstream would misread it: it is copied into the layout that its caps imply.
    copied: Option<Part>,
    /// The pixel of the frame that is the first that downstream gets.
    origin: (u32, u32),
}

impl Known {
    /// Whether a frame's entries are the same, but for those that belong to one frame.
    fn has_entries_of(&self, bytes: &[u8]) -> bool {
        match bytes.strip_prefix(&self.entries[..]) {
            Some([]) => true,
            Some(rest) if !self.mixed => {
                Entries::new(rest).all(|entry| entry.is_ok_and(|(ty, _)| is_of_frame(ty)))
            }
            _ => false,
        }
    }
}

impl Format {
    pub(super) fn new(of: FrameCaps, downstream: Downstream) -> Self {
        let rate = of.content.rate();
        Self { of, downstream, rate, known: None, ready: None, last: Flags::EMPTY }
    }

    /// Whether a frame is as the one that was parsed.
    pub(super) fn fits(&self, header: &MetaHeader<'_>, len: usize) -> bool {
        self.known.as_ref().is_some_and(|known| {
            (len == known.len || !self.is_raw())
                && header.kind() == known.kind
                && known.has_entries_of(header.entry_bytes())
        })
    }

    /// Whether a frame's size says something of what is in it.
    fn is_raw(&self) -> bool {
        matches!(self.of.content, Content::Video(_) | Content::Audio(_))
    }

    /// Whether a frame has these caps.
    pub(super) fn is_of(&self, view: &MetaView<'_>) -> bool {
        self.of.text.as_deref() == view.caps()
    }

    /// Takes a frame of these caps that was parsed: checks that it is what its caps say.
    pub(super) fn learn(&mut self, view: &MetaView<'_>, len: usize) -> Result<(), FrameError> {
        (self.known, self.ready) = (None, None);
        let place = match (&self.of.content, view.video()) {
            (Content::Video(info), Some(video)) => {
                let crop = view.crop().filter(|crop| crop.within(video.width(), video.height()));
                Some(Place::Picture(self.picture(info, video, crop, len)?))
            }
            (Content::Video(info), None) => {
                self.check_size(info, len)?;
                None
            }
            (Content::Audio(info), _) => {
                let planes = audio::planes(view.audio(), info, len).map_err(FrameError::Corrupt)?;
                self.rate = (info.rate(), audio::samples(view.audio(), info, len));
                planes.map(|(samples, offsets)| Place::Planes(samples, offsets))
            }
            (Content::Packets | Content::Bytes, _) => None,
        };
        let bytes = view.entry_bytes();
        let stream_len = Entries::stream_len(bytes);
        let entries = bytes.get(..stream_len.unwrap_or(bytes.len())).unwrap_or(bytes).to_vec();
        self.known = Some(Known { kind: view.kind(), entries, mixed: stream_len.is_none(), len, place });
        Ok(())
    }

    /// Hangs what a frame that fits brings of its own on its buffer; how much of it this process's GStreamer does not know.
    pub(super) fn attach(&self, buffer: &mut gst::BufferRef, entries: &[u8]) -> Result<u32, FrameError> {
        let Some(known) = &self.known else { return Ok(0) };
        let of_frame = if known.mixed { entries } else { entries.get(known.entries.len()..).unwrap_or(&[]) };
        if of_frame.is_empty() {
            return Ok(0);
        }
        let origin = match &known.place {
            Some(Place::Picture(picture)) => picture.origin,
            _ => (0, 0),
        };
        metas::attach(buffer, of_frame, origin).map_err(FrameError::Corrupt)
    }

    /// A frame must be as large as what it says it holds: whoever maps it downstream does not check again.
    fn picture(
        &self,
        info: &gst_video::VideoInfo,
        video: &VideoView<'_>,
        crop: Option<Crop>,
        len: usize,
    ) -> Result<Picture, FrameError> {
        let downstream = self.downstream;
        let corrupt = |why: String| FrameError::Corrupt(why);
        let part = layout::part_of_view(video, crop, info).map_err(corrupt)?;
        layout::check_view_fits(video, info, len).map_err(|error| corrupt(error.to_string()))?;
        let (offsets, strides) = layout::of_view(video).map_err(corrupt)?;
        let size = (info.width(), info.height());
        let mut picture = Picture { size, offsets, strides, crop: None, copied: None, origin: (0, 0) };
        let Some(part) = part else {
            picture.crop = crop.filter(|_| downstream.crop);
            if !downstream.strides && !layout::is_default(video, info) {
                let (offsets, strides) = (picture.offsets.clone(), picture.strides.clone());
                picture.copied = Some(Part { at: (0, 0), whole: size, offsets, strides });
            }
            return Ok(picture);
        };
        let cropped = crop.filter(|crop| (crop.x, crop.y) == part.at && part.at != (0, 0));
        if let Some(crop) = cropped.filter(|_| downstream.crop && downstream.strides) {
            (picture.size, picture.crop) = (part.whole, Some(crop));
        } else if let Some(moved) =
            part.moved(info).filter(|moved| downstream.strides && is_convertible(info, moved))
        {
            picture.origin = part.at;
            // It is within the larger picture, which is within the payload. Looked at once more: nobody after this does.
            let layout = layout::of_planes(&moved, &picture.strides, info);
            layout::check_fits(&layout, info, len).map_err(|error| corrupt(error.to_string()))?;
            picture.offsets = moved;
        } else {
            picture.origin = part.at;
            picture.copied = Some(part);
        }
        Ok(picture)
    }

    fn check_size(&self, info: &gst_video::VideoInfo, len: usize) -> Result<(), FrameError> {
        let needed = info.size();
        match &self.of.text {
            _ if len >= needed => Ok(()),
            Some(_) => Err(FrameError::Corrupt(format!("it has {len} bytes, and its caps need {needed}"))),
            None => Err(FrameError::Unsupported(format!(
                "A frame has {len} bytes, but the caps property describes frames of {needed} bytes. Caps: {}.",
                self.of.caps.as_ref().map(ToString::to_string).unwrap_or_default()
            ))),
        }
    }

    /// Whether frames are copied so that downstream reads them right.
    pub(super) fn copies(&self) -> bool {
        self.copied().is_some()
    }

    fn copied(&self) -> Option<&Part> {
        match self.known.as_ref()?.place.as_ref()? {
            Place::Picture(picture) => picture.copied.as_ref(),
            Place::Planes(..) => None,
        }
    }

    /// Makes the next frame's buffer, unless that is done.
    pub(super) fn prepare(&mut self) {
        if self.ready.is_none() {
            self.ready = self.make(self.last).ok().map(|buffer| (buffer, self.last));
        }
    }

    /// A buffer around a frame that fits, or around a copy of it, without a timestamp.
    pub(super) fn wrap(
        &mut self,
        frame: Frame,
        per_frame: &PerFrame,
        leases: &Arc<AtomicU64>,
    ) -> Result<gst::Buffer, FrameError> {
        self.last = Flags::from_bits(per_frame.flags.bits() & OF_VIDEO);
        let mut buffer = match self.ready.take() {
            Some((buffer, made_for)) if made_for == self.last => buffer,
            _ => self.make(self.last)?,
        };
        let fresh = buffer.make_mut();
        let memory = LeasedBytes::memory(frame, leases);
        match (self.copied(), &self.of.content) {
            (Some(part), Content::Video(info)) => {
                fresh.append_memory(self.copy(info, part, memory, self.last)?)
            }
            _ => fresh.append_memory(memory),
        }
        // Looks at the buffer's size: it comes after its memory.
        self.add_planes(fresh)?;
        fresh.unset_flags(gst::BufferFlags::TAG_MEMORY);
        flags::to_buffer(per_frame.flags, fresh);
        fresh.set_duration(per_frame.times.duration.and_then(clock_time));
        fresh.set_offset(per_frame.offset.unwrap_or(gst::format::Buffers::OFFSET_NONE));
        fresh.set_offset_end(per_frame.offset_end.unwrap_or(gst::format::Buffers::OFFSET_NONE));
        Ok(buffer)
    }

    /// A buffer with all that is known before the frame.
    fn make(&self, video_flags: Flags) -> Result<gst::Buffer, FrameError> {
        let mut buffer = gst::Buffer::new();
        let place = self.known.as_ref().and_then(|known| known.place.as_ref());
        let fresh = buffer.make_mut();
        let (picture, info) = match (place, &self.of.content) {
            (Some(Place::Picture(picture)), Content::Video(info)) => (picture, info),
            _ => return Ok(buffer),
        };
        // The buffer flags and those of the meta are the same bits, 20 places apart.
        flags::to_buffer(video_flags, fresh);
        if picture.copied.is_none() {
            let bits = gst_video::VideoFrameFlags::from_bits_truncate(fresh.video_flags().bits() >> 20);
            let (format, (width, height)) = (info.format(), picture.size);
            let (offsets, strides) = (&picture.offsets, &picture.strides);
            gst_video::VideoMeta::add_full(fresh, bits, format, width, height, offsets, strides)
                .map_err(|error| FrameError::Corrupt(error.to_string()))?;
        }
        if let Some(crop) = picture.crop {
            gst_video::VideoCropMeta::add(fresh, (crop.x, crop.y, crop.width, crop.height));
        }
        Ok(buffer)
    }

    /// Says where the samples of each channel lie, if they are not beside each other.
    fn add_planes(&self, buffer: &mut gst::BufferRef) -> Result<(), FrameError> {
        let place = self.known.as_ref().and_then(|known| known.place.as_ref());
        if let (Some(Place::Planes(samples, offsets)), Content::Audio(info)) = (place, &self.of.content) {
            gst_audio::AudioMeta::add(buffer, info, *samples, offsets)
                .map_err(|error| FrameError::Corrupt(error.to_string()))?;
        }
        Ok(())
    }

    /// The picture, or the part of it that is meant, as caps alone imply.
    fn copy(
        &self,
        info: &gst_video::VideoInfo,
        part: &Part,
        memory: gst::Memory,
        video_flags: Flags,
    ) -> Result<gst::Memory, FrameError> {
        let unusable = |_| FrameError::Corrupt("it cannot be copied into the layout of its caps".to_owned());
        let mut from = gst::Buffer::new();
        let source = from.make_mut();
        source.append_memory(memory);
        flags::to_buffer(video_flags, source);
        // Zeroed: what lies between rows is not copied, and must not be what this process has freed before.
        let mut target = gst::Buffer::from_mut_slice(vec![0_u8; info.size()]);
        part.copy(&from, info, target.make_mut()).map_err(unusable)?;
        target.memory(0).ok_or_else(|| FrameError::Corrupt("it cannot be copied".to_owned()))
    }
}

/// A frame's bytes as a `GstMemory` owns them. They may outlive the element; the slot is free when they go.
struct LeasedBytes {
    frame: Frame,
    leases: Option<Arc<AtomicU64>>,
}

impl LeasedBytes {
    /// A read-only memory around a frame, counted in `leases` while it lives, unless it is a copy.
    fn memory(frame: Frame, leases: &Arc<AtomicU64>) -> gst::Memory {
        let leases = (!frame.is_copy()).then(|| Arc::clone(leases));
        if let Some(leases) = &leases {
            leases.fetch_add(1, Ordering::Relaxed);
        }
        gst::Memory::from_slice(Self { frame, leases })
    }
}

impl AsRef<[u8]> for LeasedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

impl Drop for LeasedBytes {
    fn drop(&mut self) {
        if let Some(leases) = &self.leases {
            leases.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
