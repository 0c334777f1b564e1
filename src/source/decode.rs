//! From a frame to a buffer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gstreamer as gst;
use gstreamer_video as gst_video;

use shmflow::Frame;
use shmflow::meta::{Clock, MetaView, Times};

use crate::common::{formats, layout};

/// A frame's bytes as a `GstMemory` owns them. They may outlive the element; the slot is free when they go.
pub(super) struct LeasedBytes {
    frame: Frame,
    leases: Option<Arc<AtomicU64>>,
}

impl LeasedBytes {
    /// A read-only memory around a frame, counted in `leases` while it lives, unless it is a copy.
    pub(super) fn memory(frame: Frame, leases: &Arc<AtomicU64>) -> gst::Memory {
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

/// What frames are now.
#[derive(Debug)]
pub(super) struct Format {
    /// The caps text as frames carry it; `None` if they carry none.
    text: Option<String>,
    pub(super) caps: gst::Caps,
    pub(super) info: gst_video::VideoInfo,
    /// Frames per second; 0/0 when unknown.
    pub(super) rate: (u32, u32),
    /// Whether downstream reads strides and offsets from a `VideoMeta`.
    pub(super) strides_understood: bool,
}

/// Frames per second; 0/0 when unknown.
fn rate(info: &gst_video::VideoInfo) -> (u32, u32) {
    let fps = info.fps();
    // Where each buffer holds one field, two of them make a picture.
    let fields = if info.interlace_mode() == gst_video::VideoInterlaceMode::Alternate { 2 } else { 1 };
    let numerator = u32::try_from(fps.numer()).unwrap_or(0).saturating_mul(fields);
    (numerator, u32::try_from(fps.denom()).unwrap_or(0))
}

/// Why a frame cannot be given downstream.
#[derive(Debug)]
pub(super) enum Unusable {
    /// This one frame is damaged; the next may not be.
    Damaged(String),
    /// The user has to do something.
    Wrong(String),
}

/// What a frame says of its format.
#[derive(Debug)]
pub(super) enum Described {
    /// As the frames before it.
    Same,
    /// Something new.
    New(Format),
}

/// Compares a frame's format with `known`.
pub(super) fn describe(
    view: &MetaView<'_>,
    known: Option<&Format>,
    fallback: Option<&gst::Caps>,
) -> Result<Described, Unusable> {
    if known.is_some_and(|known| known.text.as_deref() == view.caps()) {
        return Ok(Described::Same);
    }
    let caps = match view.caps() {
        Some(text) => formats::parse(text)
            .ok_or_else(|| Unusable::Damaged("its caps cannot be parsed".to_owned()))?,
        None => fallback.cloned().ok_or_else(|| {
            Unusable::Wrong(
                "The frames of this topic are bare bytes that do not say what they are. Set the property caps to what \
                 they are, for example caps=video/x-raw,format=BGR,width=640,height=480,framerate=30/1."
                    .to_owned(),
            )
        })?,
    };
    let info = formats::check(&caps).map_err(Unusable::Wrong)?;
    let (text, rate) = (view.caps().map(str::to_owned), rate(&info));
    Ok(Described::New(Format { text, caps, info, rate, strides_understood: false }))
}

/// A frame must be as large as what it says it holds: whoever maps it downstream does not check again.
pub(super) fn check_size(len: usize, view: &MetaView<'_>, format: &Format) -> Result<(), Unusable> {
    let info = &format.info;
    match view.video() {
        Some(video) => {
            if !layout::agrees(video, info) {
                return Err(Unusable::Damaged(format!(
                    "its layout ({} {}×{}) is not of its caps ({})",
                    video.format(),
                    video.width(),
                    video.height(),
                    format.caps
                )));
            }
            layout::check_view_fits(video, info, len).map_err(|error| Unusable::Damaged(error.to_string()))
        }
        None if len >= info.size() => Ok(()),
        None if format.text.is_some() => {
            Err(Unusable::Damaged(format!("it has {len} bytes, and its caps need {}", info.size())))
        }
        None => Err(Unusable::Wrong(format!(
            "A frame has {len} bytes, and the caps property describes frames of {} bytes: they do not fit each other. \
             Caps: {}.",
            info.size(),
            format.caps
        ))),
    }
}

/// Whether downstream would misread the frame, because it lies otherwise than its caps imply and downstream does not
/// look at where it lies.
pub(super) fn needs_packing(view: &MetaView<'_>, format: &Format) -> bool {
    !format.strides_understood && view.video().is_some_and(|video| !layout::is_default(video, &format.info))
}

/// A copy of the frame that lies as caps alone imply.
pub(super) fn packed(buffer: gst::Buffer, format: &Format) -> Result<gst::Buffer, Unusable> {
    let unusable = |_| Unusable::Damaged("it cannot be copied into the layout of its caps".to_owned());
    // Zeroed: what lies between rows is not copied, and must not be what this process has freed before.
    let mut target = gst::Buffer::from_mut_slice(vec![0_u8; format.info.size()]);
    let (keep, all) = (gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS, ..);
    buffer.copy_into(target.make_mut(), keep, all).map_err(unusable)?;
    let from = gst_video::VideoFrameRef::from_buffer_ref_readable(&buffer, &format.info).map_err(unusable)?;
    let mut to = gst_video::VideoFrameRef::from_buffer_ref_writable(target.make_mut(), &format.info)
        .map_err(unusable)?;
    from.copy(&mut to).map_err(unusable)?;
    drop(to);
    // Which part of the picture is to be shown does not depend on where it lies.
    if let Some(crop) = buffer.meta::<gst_video::VideoCropMeta>() {
        gst_video::VideoCropMeta::add(target.make_mut(), crop.rect());
    }
    Ok(target)
}

/// When a frame was captured, on `CLOCK_MONOTONIC`, if it says so.
pub(super) fn capture_ns(times: &Times) -> Option<u64> {
    times.capture_ns.filter(|_| times.clock == Clock::Monotonic)
}
