//! The metadata of a stream's frames, decoded once as long as they stay the same.

use std::sync::{Arc, Mutex, PoisonError};

use shmflow::meta::{AudioLayout, Crop, Extension, Kind, MetaError, MetaHeader, PerFrame, VideoLayout};

use crate::caps::Caps;

/// The part of a metadata block that does not change from frame to frame.
#[derive(Debug)]
pub(crate) struct Described {
    /// The entries it was read from.
    entries: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) caps: Option<String>,
    /// As in the frame's metadata.
    pub(crate) video: Option<VideoLayout>,
    pub(crate) audio: Option<AudioLayout>,
    pub(crate) crop: Option<Crop>,
    pub(crate) extensions: Vec<Extension>,
    /// The frame's layout: its own, or the one that its caps imply, or the consumer's fallback.
    pub(crate) layout: Option<VideoLayout>,
    /// Which part of the layout is the picture, or the size in the caps if that is larger than the layout.
    pub(crate) visible: Result<Crop, (u32, u32)>,
}

/// A frame's metadata, decoded.
#[derive(Clone, Debug)]
pub(crate) struct Decoded {
    /// Whether there was a block.
    pub(crate) present: bool,
    pub(crate) frame: PerFrame,
    pub(crate) described: Arc<Described>,
}

/// The metadata of the previous frames, and the fallback for frames without.
#[derive(Debug, Default)]
pub(crate) struct Known {
    last: Mutex<Option<Arc<Described>>>,
    fallback: Option<(VideoLayout, String)>,
}

impl Known {
    /// `fallback` is for frames that carry no caps: their layout, and the caps it was taken from.
    pub(crate) fn new(fallback: Option<(VideoLayout, String)>) -> Self {
        Self { last: Mutex::default(), fallback }
    }

    /// Reads a block.
    pub(crate) fn decode(&self, block: &[u8]) -> Result<Decoded, MetaError> {
        let header = MetaHeader::parse(block)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let described = match &*last {
            Some(known) if known.entries == header.entry_bytes() && known.kind == header.kind() => {
                Arc::clone(known)
            }
            _ => Arc::clone(last.insert(Arc::new(self.describe(header)?))),
        };
        Ok(Decoded { present: !block.is_empty(), frame: header.per_frame(), described })
    }

    fn describe(&self, header: MetaHeader<'_>) -> Result<Described, MetaError> {
        let entries = header.entry_bytes().to_vec();
        let meta = header.view()?.to_meta();
        let implied = || meta.caps.as_deref().and_then(Caps::parse)?.layout().map(|(layout, _)| layout);
        let layout = match (&meta.video, &meta.caps) {
            (Some(video), _) => Some(video.clone()),
            (None, Some(_)) => implied(),
            (None, None) => self.fallback.as_ref().map(|(layout, _)| layout.clone()),
        };
        // The consumer's fallback is for frames without metadata of their own.
        let size = meta.caps.as_deref().and_then(Caps::parse).and_then(|caps| caps.size());
        let whole = layout.as_ref().map_or((0, 0), |layout| (layout.width, layout.height));
        let visible = Crop::visible(whole, meta.crop, size).ok_or(size.unwrap_or(whole));
        let caps = meta.caps.or_else(|| self.fallback.as_ref().map(|(_, caps)| caps.clone()));
        Ok(Described {
            entries,
            kind: meta.kind,
            caps,
            video: meta.video,
            audio: meta.audio,
            crop: meta.crop,
            extensions: meta.extensions,
            layout,
            visible,
        })
    }
}
