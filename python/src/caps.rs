//! Caps texts, as far as they describe the layout of raw video.
//!
//! Other processes write them; a text that cannot be parsed gives no fields.

use shmflow::meta::VideoLayout;

/// Longer ones are not read.
const MAX: usize = 8 << 10;

/// The fields of the first structure of a caps text that this package knows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Caps<'a> {
    pub(crate) media: &'a str,
    /// Between the brackets behind it: `memory:SystemMemory`, `format:Interlaced`.
    features: Option<&'a str>,
    pub(crate) format: Option<&'a str>,
    pub(crate) width: Option<u32>,
    pub(crate) height: Option<u32>,
    pub(crate) fps: Option<(u32, u32)>,
    pub(crate) colorimetry: Option<&'a str>,
    interlace_mode: Option<&'a str>,
}

impl<'a> Caps<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        if text.len() > MAX {
            return None;
        }
        let mut fields = fields(text).into_iter();
        let media = fields.next()?.trim();
        let (media, features) = match media.split_once('(') {
            Some((media, features)) => (media.trim(), Some(features.trim_end_matches(')').trim())),
            None => (media, None),
        };
        let mut caps = Self { media, features, ..Self::default() };
        for field in fields {
            let Some((name, value)) = field.split_once('=') else { continue };
            let value = plain(value);
            match name.trim() {
                "format" => caps.format = Some(value),
                "width" => caps.width = value.parse().ok(),
                "height" => caps.height = value.parse().ok(),
                "framerate" => caps.fps = fraction(value),
                "colorimetry" => caps.colorimetry = Some(value),
                "interlace-mode" => caps.interlace_mode = Some(value),
                _ => {}
            }
        }
        Some(caps)
    }

    /// Columns and rows that a frame shows, which is one field where fields come on their own.
    pub(crate) fn size(&self) -> Option<(u32, u32)> {
        let (width, height) = (self.width?, self.height?);
        Some((width, if self.interlace_mode == Some("alternate") { height.div_ceil(2) } else { height }))
    }

    /// Whether a frame with this flag, or without, has two fields, every other row each.
    pub(crate) fn has_two_fields(&self, flagged: bool) -> bool {
        match self.interlace_mode {
            Some("interleaved" | "fields") => true,
            None | Some("mixed") => flagged,
            Some(_) => false,
        }
    }

    /// How GStreamer lays out such a frame, and its size; `None` if it is not raw video, or something is left open.
    pub(crate) fn layout(&self) -> Option<(VideoLayout, u64)> {
        // Fields on their own have half the rows, other memory has nothing to look at.
        if self.media != "video/x-raw"
            || self.features.is_some_and(|features| features != "memory:SystemMemory")
        {
            return None;
        }
        let (mut layout, size) = VideoLayout::standard(self.format?, self.width?, self.height?)?;
        layout.fps = self.fps.unwrap_or((0, 1));
        Some((layout, size))
    }
}

/// What commas separate, up to the end of the first structure. Commas within quotes and brackets do not count.
fn fields(text: &str) -> Vec<&str> {
    let (mut fields, mut start, mut depth, mut quoted, mut escaped) = (Vec::new(), 0, 0_u32, false, false);
    let mut end = text.len();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' | b'<' | b'(' => depth = depth.saturating_add(1),
            b'}' | b']' | b'>' | b')' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => {
                end = at;
                break;
            }
            b',' if depth == 0 => {
                fields.extend(text.get(start..at));
                start = at.saturating_add(1);
            }
            _ => {}
        }
    }
    fields.extend(text.get(start..end));
    fields
}

/// A value without its type and quotes.
fn plain(value: &str) -> &str {
    let value = value.trim();
    let value = match value.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((_, value)) => value.trim(),
        None => value,
    };
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

fn fraction(value: &str) -> Option<(u32, u32)> {
    let (numerator, denominator) = value.split_once('/').unwrap_or((value, "1"));
    let fraction = (numerator.trim().parse().ok()?, denominator.trim().parse().ok()?);
    (fraction.1 != 0).then_some(fraction)
}

/// The caps of frames with this layout.
pub(crate) fn text(layout: &VideoLayout) -> String {
    let VideoLayout { format, width, height, fps: (numerator, denominator), .. } = layout;
    format!(
        "video/x-raw, format=(string){format}, width=(int){width}, height=(int){height}, \
         framerate=(fraction){numerator}/{denominator}"
    )
}
