//! A frame as a JPEG, with what its metadata say.

use axum::body::Bytes;
use serde_json::json;
use shmflow::Frame;
use shmflow::meta::MetaView;

use crate::meta_json;
use crate::picture::{self, Picture};
use shmflow::meta::Content;

/// How large a picture is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// As it is.
    Full,
    /// For a page of many: at most so many columns and rows.
    Small,
}

pub(super) const SIZES: [Size; 2] = [Size::Full, Size::Small];
const SMALL: (u32, u32) = (640, 480);

/// A copy of a frame: the slot is the producers' again.
#[derive(Debug, Default)]
pub(super) struct Copied {
    seq: u64,
    published_ns: u64,
    bytes: Vec<u8>,
    meta: Vec<u8>,
}

impl Copied {
    /// Replaces what is here, in the memory that is here.
    pub(super) fn take(&mut self, frame: Frame) {
        (self.seq, self.published_ns) = (frame.seq(), frame.published_ns());
        self.bytes.resize(frame.len(), 0);
        frame.copy_to(&mut self.bytes);
        frame.read_meta(&mut self.meta);
    }

    /// Names the frame: another one of that number, of a topic that was made again, was published at another time.
    pub(super) fn tag(&self) -> String {
        format!("{}-{:x}", self.seq, self.published_ns)
    }

    /// The picture, or why there is none.
    pub(super) fn shot(&self, size: Size, quality: u8) -> Result<Shot, String> {
        let meta =
            MetaView::parse(&self.meta).map_err(|error| format!("its metadata cannot be read: {error}"))?;
        if let Some(why) = picture::missing(&meta) {
            return Err(why);
        }
        let (jpeg, size) = if picture::is_jpeg(&meta) {
            (picture::jpeg_file(&self.bytes)?.to_vec(), Content::of(&meta).size)
        } else {
            let picture = Picture::new(&meta, &self.bytes)?;
            let (width, height) = picture.size();
            let step = match size {
                Size::Full => 1,
                Size::Small => width.div_ceil(SMALL.0).max(height.div_ceil(SMALL.1)),
            };
            (picture::jpeg(&picture.pixels_of(step)?, quality)?, Some((width, height)))
        };
        let about = json!({
            "seq": self.seq,
            "bytes": self.bytes.len(),
            "published_ns": self.published_ns,
            "width": size.map(|size| size.0),
            "height": size.map(|size| size.1),
            "meta": meta_json::meta(&meta),
        });
        Ok(Shot { tag: self.tag(), seq: self.seq, jpeg: jpeg.into(), about: about.to_string().into() })
    }
}

/// One picture, for all who look at it.
#[derive(Debug)]
pub(super) struct Shot {
    pub(super) tag: String,
    pub(super) seq: u64,
    pub(super) jpeg: Bytes,
    /// Number, size and metadata of its frame, as JSON.
    pub(super) about: Bytes,
}
