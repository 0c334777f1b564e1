//! Encoded metadata that a program passes on as bytes.

use pyo3::prelude::*;
use shmflow::meta::{MetaError, MetaView, VideoLayout, VideoView};

use crate::errors::raise;

/// A metadata block that a program passes on.
///
/// What no consumer can read is refused, and the layout of another picture than `ours`: consumers would read this one by it.
pub(crate) fn decode<'a>(
    py: Python<'_>,
    block: &'a [u8],
    ours: Option<&VideoLayout>,
) -> PyResult<MetaView<'a>> {
    let view = MetaView::parse(block).map_err(|error| {
        let what = format!(
            "metadata is {} bytes that are no metadata block ({error}): pass Frame.metadata_bytes, or a dictionary as \
             Frame.metadata has it; bytes of your own belong in {{\"extensions\": [(0x8001, b\"...\")]}}",
            block.len()
        );
        raise(py, "MetadataError", what)
    })?;
    let (Some(ours), Some(theirs)) = (ours, view.video().map(VideoView::to_layout)) else { return Ok(view) };
    let same = (&theirs.format, theirs.width, theirs.height, &theirs.planes)
        == (&ours.format, ours.width, ours.height, &ours.planes);
    if same {
        return Ok(view);
    }
    let what = format!(
        "metadata says that the picture is {} of {}x{}, laid out as another producer has it, but this one writes {} of \
         {}x{}: pass a dictionary, metadata=frame.metadata, of which the layout is left out",
        theirs.format, theirs.width, theirs.height, ours.format, ours.width, ours.height
    );
    Err(raise(py, "MetadataError", what))
}

/// Refuses a layout that does not fit the frame's bytes: its consumers could not read it.
pub(crate) fn check_fit(py: Python<'_>, view: &MetaView<'_>, len: usize) -> PyResult<()> {
    match view.video().map(|video| video.fits(len)) {
        None | Some(Ok(()) | Err(MetaError::UnknownFormat { .. })) => Ok(()),
        Some(Err(error)) => Err(raise(py, "MetadataError", format!("metadata[\"video\"]: {error}"))),
    }
}
