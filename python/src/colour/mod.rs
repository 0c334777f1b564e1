//! Pictures of any format as BGR or RGB of 8 bits: what `Frame.bgr` and `Frame.rgb` give.
//!
//! The `yuv` crate converts, with the matrix and range of the frame. Formats that it does not know are brought to planes
//! of 8 bits first. Chroma is repeated, not interpolated.

mod convert;
mod matrix;
mod planes;
mod target;

pub(crate) use convert::Colours;
pub(crate) use matrix::Colorimetry;
pub(crate) use target::Target;

/// The order of the channels in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Bgr,
    Rgb,
}

/// Why a picture has no colours.
#[derive(Debug)]
pub(crate) enum NoColours {
    /// Of this format.
    Unknown,
    /// What the library says.
    Failed(String),
}

impl From<yuv::YuvError> for NoColours {
    fn from(error: yuv::YuvError) -> Self {
        Self::Failed(error.to_string())
    }
}
