//! Pictures that are part of a larger one.
//!
//! GStreamer's contract: caps have the size of what is to be seen; a buffer's `VideoMeta` may say that a larger picture
//! lies in it, and then a `VideoCropMeta` which part is meant. Only elements that announced it look at the latter. For all
//! others the part is cut out: by moving the planes' offsets, or by a copy.

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_video as gst_video;

use gst_video::prelude::*;

/// A picture in a larger one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Pixels left of it and above it.
    pub(crate) at: (u32, u32),
    /// Width and height of the larger one, as its `VideoMeta` has them.
    pub(crate) whole: (u32, u32),
    /// Where the planes of the larger one lie.
    pub(crate) offsets: Vec<usize>,
    pub(crate) strides: Vec<i32>,
}

impl Part {
    /// Where its planes begin, which `info` describes; `None` for formats and places where that is not a whole byte, or not
    /// the same one for all components of a plane.
    pub(crate) fn moved(&self, info: &gst_video::VideoInfo) -> Option<Vec<usize>> {
        let format = info.format_info();
        if format
            .flags()
            .intersects(gst_video::VideoFormatFlags::COMPLEX | gst_video::VideoFormatFlags::TILED)
        {
            return None;
        }
        let mut moved: Vec<Option<usize>> = vec![None; self.offsets.len()];
        let components =
            format.plane().iter().zip(format.w_sub()).zip(format.h_sub()).zip(format.pixel_stride());
        for (((plane, w_sub), h_sub), pixel_stride) in components {
            let plane = usize::try_from(*plane).ok()?;
            if plane == 1 && format.flags().contains(gst_video::VideoFormatFlags::PALETTE) {
                continue;
            }
            let (offset, stride) = (*self.offsets.get(plane)?, *self.strides.get(plane)?);
            let right = i64::from(self.at.0 >> w_sub) * i64::from(*pixel_stride);
            let down = i64::from(self.at.1 >> h_sub) * i64::from(stride);
            let begins =
                usize::try_from(i64::try_from(offset).ok()?.checked_add(right)?.checked_add(down)?).ok()?;
            match moved.get_mut(plane)? {
                Some(before) if *before != begins => return None,
                place => *place = Some(begins),
            }
        }
        // A palette stays where it is.
        Some(moved.into_iter().zip(&self.offsets).map(|(moved, offset)| moved.unwrap_or(*offset)).collect())
    }

    /// Copies it from the memory of `from` into `to`, which lies as `info` implies.
    ///
    /// # Errors
    /// When the memory cannot be mapped so.
    pub(crate) fn copy(
        &self,
        from: &gst::BufferRef,
        info: &gst_video::VideoInfo,
        to: &mut gst::BufferRef,
    ) -> Result<(), glib::BoolError> {
        let mut view = gst::Buffer::new();
        let fresh = view.make_mut();
        for memory in from.iter_memories_owned() {
            fresh.append_memory(memory);
        }
        let flags = gst_video::VideoFrameFlags::from_bits_truncate(from.video_flags().bits() >> 20);
        let mut to = gst_video::VideoFrameRef::from_buffer_ref_writable(to, info)?;
        if let Some(offsets) = self.moved(info) {
            let (format, width, height) = (info.format(), info.width(), info.height());
            gst_video::VideoMeta::add_full(fresh, flags, format, width, height, &offsets, &self.strides)?;
            return gst_video::VideoFrameRef::from_buffer_ref_readable(fresh, info)?.copy(&mut to);
        }
        if self.at.0 != 0 && info.format_info().flags().contains(gst_video::VideoFormatFlags::TILED) {
            // GStreamer 1.26 aborts where it begins to read such a format (MT2110R) anywhere else than at its left.
            return Err(glib::bool_error!("a part of a tiled picture that does not begin at its left"));
        }
        let (width, height) = self.whole;
        gst_video::VideoMeta::add_full(
            fresh,
            flags,
            info.format(),
            width,
            height,
            &self.offsets,
            &self.strides,
        )?;
        let whole = gst_video::VideoInfo::builder(info.format(), width, height)
            .interlace_mode(info.interlace_mode())
            .colorimetry(&info.colorimetry())
            .chroma_site(info.chroma_site())
            .build()?;
        let mut config = gst_video::VideoConverterConfig::new();
        let within = |pixels: u32| i32::try_from(pixels).unwrap_or(i32::MAX);
        config.set_src_x(within(self.at.0));
        config.set_src_y(within(self.at.1));
        config.set_src_width(Some(within(info.width())));
        config.set_src_height(Some(within(info.height())));
        let converter = gst_video::VideoConverter::new(&whole, info, Some(config))?;
        let from = gst_video::VideoFrameRef::from_buffer_ref_readable(fresh, &whole)?;
        converter.frame_ref(&from, &mut to);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(info: &gst_video::VideoInfo, at: (u32, u32)) -> Part {
        let whole = (info.width(), info.height());
        Part { at, whole, offsets: info.offset().to_vec(), strides: info.stride().to_vec() }
    }

    fn info(format: gst_video::VideoFormat, width: u32, height: u32) -> gst_video::VideoInfo {
        gst_video::VideoInfo::builder(format, width, height).build().expect("a description")
    }

    #[test]
    fn planes_begin_at_the_part() {
        gst::init().expect("GStreamer starts");
        use gst_video::VideoFormat as F;
        for (format, at, moves) in [
            (F::I420, (16, 8), Some(vec![16 + 8 * 64, 8 + 4 * 32, 8 + 4 * 32])),
            (F::I420, (1, 1), Some(vec![1 + 64, 0, 0])),
            (F::Nv12, (16, 8), Some(vec![16 + 8 * 64, 16 + 4 * 64])),
            (F::Bgr, (3, 2), Some(vec![9 + 2 * 192])),
            (F::Uyvy, (4, 2), Some(vec![8 + 2 * 128])),
            (F::Rgb8p, (3, 2), Some(vec![3 + 2 * 64, 0])),
            // In the middle of two pixels that share their colour.
            (F::Uyvy, (3, 2), None),
            (F::V210, (6, 0), None),
        ] {
            let whole = info(format, 64, 48);
            let moved = part(&whole, at).moved(&whole);
            let moves = moves.map(|moves| {
                moves.into_iter().zip(whole.offset()).map(|(by, offset)| by + offset).collect::<Vec<usize>>()
            });
            assert_eq!(moved, moves, "{format} at {at:?}");
        }
    }

    #[test]
    fn of_every_format_a_part_of_an_even_picture_can_be_copied() {
        gst::init().expect("GStreamer starts");
        for format in gst_video::VIDEO_FORMATS_ALL.iter().copied() {
            let (whole, small) = (info(format, 128, 64), info(format, 64, 32));
            // All bytes alike, so that each part is.
            let from = gst::Buffer::from_mut_slice(vec![0x40_u8; whole.size()]);
            let mut to = gst::Buffer::from_mut_slice(vec![0_u8; small.size()]);
            let tiled = whole.format_info().flags().contains(gst_video::VideoFormatFlags::TILED);
            let at = if tiled { (0, 16) } else { (32, 16) };
            let copied = part(&whole, at).copy(&from, &small, to.make_mut());
            assert!(copied.is_ok(), "{format}: {copied:?}");
            let map = to.map_readable().expect("readable");
            assert!(map.contains(&0x40), "{format}: nothing was copied");
        }
    }
}
