//! What of a frame is its picture: the arrays over its bytes, and the picture in other colours.

use pyo3::prelude::*;
use shmflow::meta::{Crop, Flags, VideoLayout};

use super::Frame;
use crate::caps::Caps;
use crate::colour::{Colorimetry, Colours, NoColours, Order, Target};
use crate::described::Decoded;
use crate::errors::raise;
use crate::forms::{NoViews, View, around, is_packed, views};

impl Frame {
    pub(super) fn decoded(&self, py: Python<'_>) -> PyResult<&Decoded> {
        self.decoded
            .get_or_init(|| self.known.decode(&self.block))
            .as_ref()
            .map_err(|error| raise(py, "MetadataError", error.to_string()))
    }

    /// What the frame is as one array. Its shape stays where it is as long as the frame.
    pub(super) fn single(&self, py: Python<'_>) -> PyResult<&View> {
        if let Some(view) = self.single.get() {
            return Ok(view);
        }
        let Some(views) = self.views(py)? else { return Ok(&self.whole) };
        let format = self.layout(py)?.map_or("", |layout| layout.format.as_str());
        match views.into_iter().next() {
            Some(view) if is_packed(format) => Ok(self.single.get_or_init(|| view)),
            _ => Err(self.refuse(
                py,
                &format!(
                    "{format} has no single array; use frame.planes, frame.payload for its bytes, or frame.bgr() for a converted copy"
                ),
            )),
        }
    }

    /// In a few words.
    pub(super) fn what(&self) -> String {
        match self.decoded.get_or_init(|| self.known.decode(&self.block)) {
            Ok(Decoded { described, .. }) => match &described.layout {
                Some(layout) => {
                    let (width, height) = described
                        .visible
                        .map_or((layout.width, layout.height), |part| (part.width, part.height));
                    format!("{} {width}x{height}", layout.format)
                }
                None => "bytes".into(),
            },
            Err(_) => "unusable metadata".into(),
        }
    }

    /// The frame's layout.
    pub(super) fn layout(&self, py: Python<'_>) -> PyResult<Option<&VideoLayout>> {
        Ok(self.decoded(py)?.described.layout.as_ref())
    }

    /// Which part of the layout is the picture of the caps.
    pub(super) fn visible(&self, py: Python<'_>, layout: &VideoLayout) -> PyResult<Crop> {
        self.decoded(py)?.described.visible.map_err(|(width, height)| {
            let text = format!(
                "its caps have {width}x{height}, but its layout has only {}x{}; use bytes(frame)",
                layout.width, layout.height
            );
            self.refuse(py, &text)
        })
    }

    /// Columns and rows of the picture; those of the layout if the caps are impossible.
    pub(super) fn size(&self, py: Python<'_>) -> PyResult<Option<(u32, u32)>> {
        let described = &self.decoded(py)?.described;
        Ok(described.layout.as_ref().map(|layout| {
            described.visible.map_or((layout.width, layout.height), |part| (part.width, part.height))
        }))
    }

    /// The arrays of a video frame, checked to be within it.
    pub(crate) fn views(&self, py: Python<'_>) -> PyResult<Option<Vec<View>>> {
        let Some(layout) = self.layout(py)? else { return Ok(None) };
        self.views_of(py, layout, self.visible(py, layout)?).map(Some)
    }

    /// The arrays of a part of it.
    pub(super) fn views_of(&self, py: Python<'_>, layout: &VideoLayout, part: Crop) -> PyResult<Vec<View>> {
        match views(layout, part, self.len) {
            Ok(views) => Ok(views),
            Err(NoViews::Cut(part)) => Err(self.refuse(
                py,
                &format!(
                    "its picture begins at column {} of {}, where pixels share bytes; use frame.bgr() or frame.rgb(), or \
                     put videoconvert in front of the sink",
                    part.x, layout.format
                ),
            )),
            Err(NoViews::Unknown) => Err(self.refuse(
                py,
                &format!("its format {} has no arrays; use bytes(frame)", layout.format),
            )),
            Err(NoViews::Bad(why)) => Err(self.refuse(
                py,
                &format!(
                    "it has {} bytes, which do not fit {} of {}x{}: {why}",
                    self.len, layout.format, layout.width, layout.height
                ),
            )),
        }
    }

    /// The picture in other colours and of another size.
    pub(super) fn converted<'py>(
        &self,
        py: Python<'py>,
        order: Order,
        out: Option<&Bound<'py, PyAny>>,
        size: Option<(u32, u32)>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let lease = self.lease(py)?;
        let Some(layout) = self.layout(py)? else {
            let why = "it carries no video layout, so that it has no colours; give the consumer caps=, or format=, width= \
                       and height=";
            return Err(self.refuse(py, why));
        };
        let visible = self.visible(py, layout)?;
        let decoded = self.decoded(py)?;
        let caps = decoded.described.caps.as_deref().and_then(Caps::parse).unwrap_or_default();
        let interlaced = caps.has_two_fields(decoded.frame.flags.contains(Flags::INTERLACED));
        // A picture may begin within chroma that pixels share: then what is converted begins a little before it.
        let part = around(layout, visible, interlaced);
        let colours = Colours {
            payload: lease.bytes(),
            format: &layout.format,
            views: &self.views_of(py, layout, part)?,
            width: part.width,
            height: part.height,
            interlaced,
            // By the rows of the whole picture, also where a frame is one field.
            colorimetry: Colorimetry::of(caps.colorimetry, caps.height.unwrap_or(visible.height)),
        };
        let (width, height) = (visible.width, visible.height);
        let before = (visible.x.saturating_sub(part.x), visible.y.saturating_sub(part.y));
        let target = Target::of(py, out, size.unwrap_or((width, height)))?;
        match target.fill(py, &colours, order, before) {
            Ok(()) => Ok(target.array),
            Err(NoColours::Failed(why)) => Err(self.refuse(py, &why)),
            Err(NoColours::Unknown) => Err(self.refuse(
                py,
                &format!(
                    "bgr() and rgb() do not know its format {}; put videoconvert in front of the sink, or convert \
                     frame.planes",
                    layout.format
                ),
            )),
        }
    }
}
