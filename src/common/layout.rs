//! The positions of the planes of a video frame: GStreamer's `VideoInfo` and `VideoMeta` ↔ the frame's `VideoLayout`.

use gstreamer as gst;
use gstreamer_video as gst_video;

use super::cut::Part;

use shmflow::meta::{Crop, MetaError, Plane, PlaneExtent, VideoLayout, VideoView};

/// How many buffers make a picture: two if each holds one field.
pub(crate) fn fields(info: &gst_video::VideoInfo) -> u32 {
    if info.interlace_mode() == gst_video::VideoInterlaceMode::Alternate { 2 } else { 1 }
}

/// The rows that a buffer has, of a picture that is `height` rows high: half of them if it holds one field only. (Caps and
/// `VideoMeta` give the height of the whole picture even then; a frame's layout says what is there.)
fn rows(height: u32, info: &gst_video::VideoInfo) -> u32 {
    height.div_ceil(fields(info))
}

/// The layout that caps alone imply.
pub(crate) fn of_info(info: &gst_video::VideoInfo) -> VideoLayout {
    of_planes(info.offset(), info.stride(), info)
}

/// The layout of a picture whose planes lie so.
pub(crate) fn of_planes(offsets: &[usize], strides: &[i32], info: &gst_video::VideoInfo) -> VideoLayout {
    let (numerator, denominator) = rate(info);
    VideoLayout::new(info.name(), info.width(), rows(info.height(), info), planes(offsets, strides))
        .fps(numerator, denominator)
}

/// Whether planes still lie as a layout says.
pub(crate) fn is_of_planes(layout: &VideoLayout, offsets: &[usize], strides: &[i32]) -> bool {
    layout.planes.iter().copied().eq(planes(offsets, strides))
}

/// The part of a buffer's picture that its caps mean, if it was cropped: what is around it is not to be seen.
///
/// # Errors
/// A sentence for display, when the buffer's picture is smaller than its caps.
pub(crate) fn cropped_part(
    buffer: &gst::BufferRef,
    info: &gst_video::VideoInfo,
) -> Result<Option<Part>, String> {
    let Some(meta) = buffer.meta::<gst_video::VideoMeta>() else { return Ok(None) };
    let (whole, shown) = ((meta.width(), meta.height()), (info.width(), info.height()));
    if whole == shown && meta.format() == info.format() {
        return Ok(None);
    }
    if whole.0 < shown.0 || whole.1 < shown.1 || meta.format() != info.format() {
        return Err(format!(
            "A buffer holds {} {}×{}, but its caps are {} {}×{}.",
            meta.format(),
            whole.0,
            whole.1,
            info.format(),
            shown.0,
            shown.1
        ));
    }
    let Some(crop) =
        crop_of(buffer).filter(|crop| (crop.width, crop.height) == shown && crop.within(whole.0, whole.1))
    else {
        return Ok(None);
    };
    let mut layout = of_planes(meta.offset(), meta.stride(), info);
    (layout.width, layout.height) = (whole.0, rows(whole.1, info));
    check_fits(&layout, info, buffer.size())
        .map_err(|error| format!("A frame of {} bytes does not match its caps: {error}.", buffer.size()))?;
    Ok(Some(Part {
        at: (crop.x, crop.y / fields(info)),
        whole,
        offsets: meta.offset().to_vec(),
        strides: meta.stride().to_vec(),
    }))
}

/// Offsets and strides as planes.
fn planes<'a>(offsets: &'a [usize], strides: &'a [i32]) -> impl Iterator<Item = Plane> + 'a {
    offsets.iter().zip(strides).map(|(offset, stride)| Plane { offset: *offset as u64, stride: *stride })
}

/// Pictures per second; 0/1 when unknown.
pub(crate) fn rate(info: &gst_video::VideoInfo) -> (u32, u32) {
    let fps = info.fps();
    match (u32::try_from(fps.numer()), u32::try_from(fps.denom())) {
        (Ok(numerator), Ok(denominator)) if denominator > 0 => (numerator, denominator),
        _ => (0, 1),
    }
}

/// Checks that a layout is within `len` bytes, whatever the format. The layout that caps alone imply needs what
/// GStreamer says it needs, which for very narrow pictures of packed formats is less than their pixels take.
///
/// # Errors
/// Which plane does not.
pub(crate) fn check_fits(
    layout: &VideoLayout,
    info: &gst_video::VideoInfo,
    len: usize,
) -> Result<(), MetaError> {
    match layout.fits(len) {
        Err(_) if len >= info.size() && *layout == of_info(info) => Ok(()),
        Err(unknown @ MetaError::UnknownFormat { .. }) => {
            let whole = larger(info, layout.width, layout.height).ok_or(unknown)?;
            layout.fits_extents(extents(&whole, &layout.planes), len)
        }
        result => result,
    }
}

/// [`check_fits`] for a layout that is still in the frame's metadata.
///
/// # Errors
/// Which plane does not fit.
pub(crate) fn check_view_fits(
    view: &VideoView<'_>,
    info: &gst_video::VideoInfo,
    len: usize,
) -> Result<(), MetaError> {
    match view.fits(len) {
        Err(_) if len >= info.size() && is_default(view, info) => Ok(()),
        Err(unknown @ MetaError::UnknownFormat { .. }) => {
            let whole = larger(info, view.width(), view.height()).ok_or(unknown)?;
            view.fits_extents(extents(&whole, view.planes()), len)
        }
        result => result,
    }
}

/// What `info` would be of a picture of this size; `None` if GStreamer cannot describe it.
fn larger(info: &gst_video::VideoInfo, width: u32, rows: u32) -> Option<gst_video::VideoInfo> {
    gst_video::VideoInfo::builder(info.format(), width, rows.checked_mul(fields(info))?)
        .interlace_mode(info.interlace_mode())
        .build()
        .ok()
}

/// Sizes of the planes as GStreamer lays them out by default, for formats that the ring's own table leaves out (tiled
/// and packed ones). A default row is never shorter than what is accessed of it, so this errs on the safe side.
fn extents(info: &gst_video::VideoInfo, planes: &[Plane]) -> impl ExactSizeIterator<Item = PlaneExtent> {
    let starts = info.offset().iter().map(|offset| *offset as u64);
    let ends = info.offset().iter().skip(1).map(|offset| *offset as u64).chain([info.size() as u64]);
    let is_tiled = info.format_info().flags().contains(gst_video::VideoFormatFlags::TILED);
    let sizes: Vec<PlaneExtent> = starts
        .zip(ends)
        .zip(info.stride().iter().zip(planes))
        .map(|((start, end), (stride, plane))| {
            let size = end.saturating_sub(start);
            match u64::try_from(*stride) {
                _ if is_tiled => PlaneExtent { rows: 1, row_bytes: tiles_size(size, *stride, plane.stride) },
                Ok(stride) if stride > 0 => PlaneExtent {
                    rows: u32::try_from(size.div_ceil(stride)).unwrap_or(u32::MAX),
                    row_bytes: stride,
                },
                _ => PlaneExtent { rows: 1, row_bytes: size },
            }
        })
        .collect();
    sizes.into_iter()
}

/// The bytes of a plane whose stride says how many tiles it has, across and down, given its size with the default number.
/// Fewer tiles than the picture needs never fit.
fn tiles_size(default_size: u64, default_stride: i32, stride: i32) -> u64 {
    let tiles = |stride: i32| {
        let bits = u64::from(stride.cast_unsigned());
        (bits & 0xffff, bits >> 16)
    };
    let ((least_across, least_down), (across, down)) = (tiles(default_stride), tiles(stride));
    if across < least_across || down < least_down {
        return u64::MAX;
    }
    let tile = default_size.div_ceil((least_across * least_down).max(1));
    (across * down).saturating_mul(tile)
}

/// Whether a layout is what caps alone imply, so that no meta is needed.
pub(crate) fn is_default(view: &VideoView<'_>, info: &gst_video::VideoInfo) -> bool {
    view.width() == info.width()
        && view.height() == rows(info.height(), info)
        && view.planes().iter().copied().eq(planes(info.offset(), info.stride()))
}

/// Which part of a frame its caps mean, `None` if all of it: see [`Crop::visible`].
///
/// # Errors
/// When the layout is not of a picture with these caps.
pub(crate) fn part_of_view(
    view: &VideoView<'_>,
    crop: Option<Crop>,
    info: &gst_video::VideoInfo,
) -> Result<Option<Part>, String> {
    let (whole, shown) = ((view.width(), view.height()), (info.width(), rows(info.height(), info)));
    let alike = view.format() == info.name() && view.planes().len() == info.n_planes() as usize;
    let Some(visible) = Crop::visible(whole, crop, Some(shown)).filter(|_| alike) else {
        return Err(format!(
            "its layout ({} {}×{}) does not match its caps ({} {}×{})",
            view.format(),
            whole.0,
            whole.1,
            info.name(),
            shown.0,
            shown.1
        ));
    };
    if whole == shown {
        return Ok(None);
    }
    let (offsets, strides) = of_view(view)?;
    // A `VideoMeta` has the height of the whole picture even where a buffer holds one field.
    let whole = (whole.0, whole.1.saturating_mul(fields(info)));
    Ok(Some(Part { at: (visible.x, visible.y), whole, offsets, strides }))
}

/// A buffer's crop rectangle.
pub(crate) fn crop_of(buffer: &gst::BufferRef) -> Option<Crop> {
    buffer.meta::<gst_video::VideoCropMeta>().map(|crop| {
        let (x, y, width, height) = crop.rect();
        Crop { x, y, width, height }
    })
}

/// Offsets and strides of a frame's planes, as a `VideoMeta` has them.
///
/// # Errors
/// When an offset does not fit this machine's address space, or there are more planes than GStreamer has.
pub(crate) fn of_view(view: &VideoView<'_>) -> Result<(Vec<usize>, Vec<i32>), String> {
    let planes = view.planes();
    if planes.len() > gst_video::VIDEO_MAX_PLANES {
        return Err("more planes than GStreamer supports".to_owned());
    }
    let offsets = planes.iter().map(|plane| usize::try_from(plane.offset)).collect::<Result<_, _>>();
    let offsets = offsets.map_err(|_| "a plane is beyond the address space".to_owned())?;
    Ok((offsets, planes.iter().map(|plane| plane.stride).collect()))
}
