//! What the buffers of a stream hold, as their caps say.

use gstreamer as gst;
use gstreamer_audio as gst_audio;
use gstreamer_video as gst_video;

use gst_video::VideoFormat;
use shmflow::meta::Kind;

use super::{formats, layout};

/// What buffers hold.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// One uncompressed picture each.
    Video(gst_video::VideoInfo),
    /// Uncompressed audio.
    Audio(gst_audio::AudioInfo),
    /// Encoded media: worth nothing without what came before it, as a rule.
    Packets,
    /// Anything, with or without caps.
    Bytes,
}

impl Content {
    /// What buffers with these caps hold.
    ///
    /// # Errors
    /// Why they cannot be carried: a sentence for display, with the remedy.
    pub(crate) fn of(caps: &gst::CapsRef) -> Result<Self, String> {
        let Some(structure) = caps.structure(0).filter(|_| caps.is_fixed()) else {
            return Err(format!("Caps must be fixed, and these are not: {caps}."));
        };
        if let Some(features) = caps.features(0).filter(|features| !formats::is_system_memory(features)) {
            return Err(format!(
                "Only system memory can be shared between processes, and this has {features}: put a download element \
                 (gldownload, vapostproc, …) or a converter (videoconvert, audioconvert) in front. Caps: {caps}."
            ));
        }
        let name = structure.name();
        if name != "video/x-raw" && name != "audio/x-raw" {
            let kind = Kind::of_caps(name);
            return Ok(if kind == Kind::Packet { Self::Packets } else { Self::Bytes });
        }
        // Raw media that do not say how they lie in memory are bytes to everybody.
        if !structure.has_field("format") {
            return Ok(Self::Bytes);
        }
        let unlike = |what: &str, error: &dyn std::fmt::Display| {
            format!("GStreamer does not understand these {what} caps ({error}): {caps}.")
        };
        if name == "audio/x-raw" {
            let info = gst_audio::AudioInfo::from_caps(caps).map_err(|error| unlike("audio", &error))?;
            return match info.format() {
                gst_audio::AudioFormat::Unknown | gst_audio::AudioFormat::Encoded => {
                    Err(format!("Audio of unknown format is not supported: {caps}."))
                }
                _ => Ok(Self::Audio(info)),
            };
        }
        let info = gst_video::VideoInfo::from_caps(caps).map_err(|error| unlike("video", &error))?;
        match info.format() {
            VideoFormat::Encoded | VideoFormat::Unknown => {
                Err(format!("Video of unknown format is not supported: {caps}."))
            }
            _ => Ok(Self::Video(info)),
        }
    }

    /// The same in a frame's metadata.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Video(_) => Kind::Video,
            Self::Audio(_) => Kind::Audio,
            Self::Packets => Kind::Packet,
            Self::Bytes => Kind::Bytes,
        }
    }

    /// The description of a raw picture.
    pub(crate) fn video(&self) -> Option<&gst_video::VideoInfo> {
        if let Self::Video(info) = self { Some(info) } else { None }
    }

    /// Buffers per second that the caps imply; 0/1 when unknown.
    pub(crate) fn rate(&self) -> (u32, u32) {
        self.video().map_or((0, 1), |info| {
            let (pictures, seconds) = layout::rate(info);
            (pictures.saturating_mul(layout::fields(info)), seconds)
        })
    }

    /// In a few words, for people.
    pub(crate) fn describe(&self, caps: Option<&gst::CapsRef>) -> String {
        match self {
            Self::Video(info) => {
                format!("{}, {}×{}, {} frames a second", info.name(), info.width(), info.height(), info.fps())
            }
            Self::Audio(info) => {
                format!("{}, {} Hz, channels: {}", info.format(), info.rate(), info.channels())
            }
            Self::Packets | Self::Bytes => caps
                .and_then(|caps| caps.structure(0))
                .map_or_else(|| "bytes without caps".to_owned(), |structure| structure.name().to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Content, String> {
        gst::init().expect("GStreamer starts");
        Content::of(&text.parse::<gst::Caps>().expect("caps of the test"))
    }

    #[test]
    fn every_stream_in_system_memory_is_something() {
        for (text, kind) in [
            ("video/x-raw,format=I420,width=320,height=240,framerate=30/1", Kind::Video),
            ("video/x-raw,format=NV12,width=1,height=1", Kind::Video),
            ("video/x-raw,width=320,height=240", Kind::Bytes),
            (
                "audio/x-raw,format=S16LE,rate=48000,channels=2,layout=interleaved,channel-mask=(bitmask)3",
                Kind::Audio,
            ),
            ("audio/x-raw,format=F32LE,rate=44100,channels=1,layout=non-interleaved", Kind::Audio),
            ("audio/x-raw,rate=48000", Kind::Bytes),
            ("video/x-h264,stream-format=avc,alignment=au,codec_data=(buffer)01640028ffe1", Kind::Packet),
            ("audio/x-opus,channels=2", Kind::Packet),
            ("image/jpeg", Kind::Packet),
            ("application/x-rtp,media=video", Kind::Packet),
            ("application/x-rtp-stream", Kind::Packet),
            ("application/x-robot-state,version=1", Kind::Bytes),
        ] {
            assert_eq!(of(text).map(|content| content.kind()), Ok(kind), "{text}");
        }
        let fields =
            "video/x-raw(format:Interlaced),format=I420,width=320,height=240,interlace-mode=alternate";
        assert_eq!(
            of(fields).map(|content| content.video().map(|info| info.size())),
            Ok(Some(320 * 120 * 3 / 2))
        );
    }

    #[test]
    fn what_cannot_be_carried_is_refused_with_a_reason() {
        for (text, reason) in [
            ("video/x-raw,format=I420", "understand"),
            ("audio/x-raw,format=S16LE", "understand"),
            ("video/x-raw(memory:GLMemory),format=RGBA,width=320,height=240", "system memory"),
            ("video/x-h264(memory:DMABuf)", "system memory"),
            (
                "video/x-raw(meta:GstVideoOverlayComposition),format=RGBA,width=320,height=240",
                "system memory",
            ),
            ("video/x-raw,format=I420,width=320,height=240,interlace-mode=alternate", "understand"),
            (
                "video/x-raw(format:Interlaced,memory:DMABuf),format=I420,width=320,height=240",
                "system memory",
            ),
            ("video/x-h264,width=[1,2]", "fixed"),
        ] {
            assert!(of(text).is_err_and(|m| m.contains(reason)), "{text}");
        }
    }
}
