//! From the `colorimetry` of caps to a matrix and a range.

use yuv::{YuvRange, YuvStandardMatrix};

/// How YUV becomes RGB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Colorimetry {
    pub(crate) range: YuvRange,
    pub(crate) matrix: YuvStandardMatrix,
}

impl Colorimetry {
    /// That of the caps, or GStreamer's default for a picture of `height` rows, both fields. Another process wrote the text.
    pub(crate) fn of(text: Option<&str>, height: u32) -> Self {
        let standard = if height > 576 { YuvStandardMatrix::Bt709 } else { YuvStandardMatrix::Bt601 };
        let limited = |matrix| Self { range: YuvRange::Limited, matrix };
        let Some(text) = text else { return limited(standard) };
        // "bt2100-pq" is bt2100 with another transfer function.
        let name = text.split_once('-').map_or(text, |(name, _)| name);
        match name {
            "bt601" => return limited(YuvStandardMatrix::Bt601),
            "bt709" => return limited(YuvStandardMatrix::Bt709),
            "smpte240m" => return limited(YuvStandardMatrix::Smpte240),
            "bt2020" | "bt2100" => return limited(YuvStandardMatrix::Bt2020),
            _ => {}
        }
        // range:matrix:transfer:primaries, as GStreamer's numbers.
        let parts: Vec<&str> = text.splitn(5, ':').collect();
        let [range, matrix, _, _] = parts.as_slice() else { return limited(standard) };
        Self {
            range: if *range == "1" { YuvRange::Full } else { YuvRange::Limited },
            matrix: match *matrix {
                "2" => YuvStandardMatrix::Fcc,
                "3" => YuvStandardMatrix::Bt709,
                "4" => YuvStandardMatrix::Bt601,
                "5" => YuvStandardMatrix::Smpte240,
                "6" => YuvStandardMatrix::Bt2020,
                _ => standard,
            },
        }
    }
}
