//! Pictures that are part of a larger one.
//!
//! GStreamer's contract: caps have the size of what is to be seen; a buffer's `VideoMeta` may say that a larger picture
//! is in it, and then a `VideoCropMeta` which part is meant. Only elements that announced it look at the latter. For all
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
        if let Some(offsets) = self.moved(info).filter(|_| !ends_in_half_a_pair(info)) {
            let (format, width, height) = (info.format(), info.width(), info.height());
            gst_video::VideoMeta::add_full(fresh, flags, format, width, height, &offsets, &self.strides)?;
            return gst_video::VideoFrameRef::from_buffer_ref_readable(fresh, info)?.copy(&mut to);
        }
        let (width, height) = self.whole;
        let (offsets, strides) = (&self.offsets, &self.strides);
        gst_video::VideoMeta::add_full(fresh, flags, info.format(), width, height, offsets, strides)?;
        self.copy_pixels(fresh, info, &mut to)
    }

    /// Pixel by pixel, for places where no address begins: unpacked, a pixel is a few bytes of its own. (A converter that
    /// is told where the part begins unpacks some formats from elsewhere.)
    fn copy_pixels(
        &self,
        from: &gst::BufferRef,
        info: &gst_video::VideoInfo,
        to: &mut gst_video::VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), glib::BoolError> {
        let like = |format, (width, height): (u32, u32)| {
            gst_video::VideoInfo::builder(format, width, height)
                .fps(info.fps())
                .interlace_mode(info.interlace_mode())
                .colorimetry(&info.colorimetry())
                .chroma_site(info.chroma_site())
                .build()
        };
        // Values stay as they are.
        let as_is = || {
            let mut config = gst_video::VideoConverterConfig::new();
            config.set_chroma_mode(gst_video::VideoChromaMode::None);
            config.set_dither_method(gst_video::VideoDitherMethod::None);
            Some(config)
        };
        let (whole, unpacked) = (like(info.format(), self.whole)?, info.format_info().unpack_format());
        let (pixels, shown) = (like(unpacked, self.whole)?, like(unpacked, (info.width(), info.height()))?);
        // Unpacked, a pixel takes 8 bytes, and 2 of them at least 2 where they came from. Other sizes are not of this memory.
        if pixels.size() / 16 > from.size() {
            return Err(glib::bool_error!("a picture that is larger than its memory"));
        }
        let mut all = gst::Buffer::from_mut_slice(vec![0_u8; pixels.size()]);
        {
            let from = gst_video::VideoFrameRef::from_buffer_ref_readable(from, &whole)?;
            let mut all = gst_video::VideoFrameRef::from_buffer_ref_writable(all.make_mut(), &pixels)?;
            gst_video::VideoConverter::new(&whole, &pixels, as_is())?.frame_ref(&from, &mut all);
        }
        let part = Self {
            at: self.at,
            whole: self.whole,
            offsets: pixels.offset().to_vec(),
            strides: pixels.stride().to_vec(),
        };
        // Into memory of its own: what converts several pixels at once wants them to be aligned.
        let mut cut = gst::Buffer::from_mut_slice(vec![0_u8; shown.size()]);
        part.copy(&all, &shown, cut.make_mut())?;
        let from = gst_video::VideoFrameRef::from_buffer_ref_readable(&cut, &shown)?;
        gst_video::VideoConverter::new(&shown, info, as_is())?.frame_ref(&from, to);
        Ok(())
    }
}

/// Whether GStreamer's converters can read planes that begin there: two pixels of AYUV at once, which must be aligned.
pub(crate) fn is_convertible(info: &gst_video::VideoInfo, offsets: &[usize]) -> bool {
    use gst_video::VideoFormat as F;
    !matches!(info.format(), F::Ayuv | F::Vuya) || offsets.iter().all(|offset| offset % 8 == 0)
}

/// Whether rows end with one of two pixels that share their colour in one plane: `gst_video_frame_copy` leaves that out.
fn ends_in_half_a_pair(info: &gst_video::VideoInfo) -> bool {
    let format = info.format_info();
    info.width() % 2 == 1 && format.n_planes() == 1 && format.w_sub().iter().any(|shared| *shared > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(info: &gst_video::VideoInfo, at: (u32, u32)) -> Part {
        let whole = (info.width(), info.height());
        Part { at, whole, offsets: info.offset().to_vec(), strides: info.stride().to_vec() }
    }

    fn info(format: gst_video::VideoFormat, width: u32, height: u32) -> gst_video::VideoInfo {
        gst_video::VideoInfo::builder(format, width, height).fps((30, 1)).build().expect("a description")
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
            // All bytes alike, so that each part is that begins where no word of several pixels is cut.
            let from = gst::Buffer::from_mut_slice(vec![0x40_u8; whole.size()]);
            let mut to = gst::Buffer::from_mut_slice(vec![0_u8; small.size()]);
            let copied = part(&whole, (36, 16)).copy(&from, &small, to.make_mut());
            assert!(copied.is_ok(), "{format}: {copied:?}");
            let map = to.map_readable().expect("readable");
            assert!(map.contains(&0x40), "{format}: nothing was copied");
        }
    }
}
