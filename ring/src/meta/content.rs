//! What a frame is, for people and programs that choose among topics.

use std::time::Duration;

use super::structure::Structure;
use super::{Crop, Kind, MetaError, MetaView, Tags};

/// What the frames of a topic are, as their metadata say: format, size, rate. From
/// [`TopicInfo::content`](crate::TopicInfo::content) and [`FrameInfo::content`](crate::FrameInfo::content).
///
/// ```
/// use shmflow::meta::{Content, Kind, Meta, MetaView, Plane, VideoLayout};
///
/// let layout = VideoLayout::new("GRAY8", 640, 480, [Plane { offset: 0, stride: 640 }]).fps(30, 1);
/// let block = Meta::new(Kind::Video).video(layout).to_vec()?;
/// let content = Content::of(&MetaView::parse(&block)?);
/// assert_eq!(content.summary, "GRAY8 640×480 @ 30");
/// assert_eq!((content.size, content.nominal_rate), (Some((640, 480)), Some((30, 1))));
/// # Ok::<(), shmflow::meta::MetaError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Content {
    /// In a few words, without characters that steer a terminal: `I420 640×480 @ 30`, `h264`, `F32LE 48 kHz, 2 ch`, `bytes`.
    pub summary: String,
    /// The caps as they were written.
    pub caps: Option<String>,
    /// Pixel or sample format.
    pub format: Option<String>,
    /// Columns and rows of the visible part of a picture.
    pub size: Option<(u32, u32)>,
    /// Frames a second that the stream is said to have: numerator and denominator, neither of them 0.
    pub nominal_rate: Option<(u32, u32)>,
    /// Samples a second, and channels, of sound.
    pub sound: Option<(u32, u32)>,
    /// For people: what the topic was [described as](crate::ProducerBuilder::description), or else what the stream's tags say, its
    /// description or title.
    pub description: Option<String>,
    /// What is wrong with the metadata.
    pub error: Option<String>,
}

impl Content {
    /// Of a frame with this metadata.
    #[must_use]
    pub fn of(meta: &MetaView<'_>) -> Self {
        let caps = meta.caps().map(Structure::parse);
        let field = |name| caps.as_ref().and_then(|caps| caps.number(name));
        let said = field("width").zip(field("height")).map(|(width, height)| match &caps {
            // A frame is one field.
            Some(caps) if caps.get("interlace-mode") == Some("alternate") => (width, height.div_ceil(2)),
            _ => (width, height),
        });
        let video = meta.video();
        let size = match video {
            Some(video) => {
                let whole = (video.width(), video.height());
                Crop::visible(whole, meta.crop(), said).map(|part| (part.width, part.height)).or(Some(whole))
            }
            None => said,
        };
        let rate = caps.as_ref().and_then(|caps| caps.fraction("framerate"));
        let is_known = |fps: &(u32, u32)| fps.0 != 0 && fps.1 != 0;
        let nominal = video.map(|video| video.fps()).filter(is_known).or(rate.filter(is_known));
        let audio = meta.audio();
        let sound = audio
            .map(|audio| (audio.rate(), audio.channels()))
            .or_else(|| field("rate").map(|rate| (rate, field("channels").unwrap_or(1))));
        let format = video
            .map(|video| video.format())
            .or_else(|| audio.map(|audio| audio.format()))
            .or_else(|| caps.as_ref().and_then(|caps| caps.get("format")));
        let mut words = Vec::new();
        match (format, &caps) {
            (Some(format), _) => words.push(format.to_owned()),
            (None, Some(caps)) => words.push(short(caps.name())),
            (None, None) => words.push(kind(meta.kind())),
        }
        if let Some((width, height)) = size {
            words.push(format!("{width}×{height}"));
        }
        if let Some(fps) = nominal {
            words.push(format!("@ {}", fraction(fps)));
        }
        if let (Some((rate, channels)), None) = (sound, size) {
            words.push(format!("{} kHz, {channels} ch", f64::from(rate) / 1000.0));
        }
        Self {
            summary: words.join(" ").chars().filter(|c| !steers(*c)).collect(),
            caps: meta.caps().map(str::to_owned),
            size,
            format: format.map(str::to_owned),
            nominal_rate: nominal,
            sound: sound.filter(|_| size.is_none()),
            description: description(meta),
            error: None,
        }
    }

    /// Of a frame without metadata.
    pub(crate) fn bytes() -> Self {
        Self { summary: "bytes".into(), ..Self::default() }
    }

    /// Of a frame whose metadata are wrong.
    pub(crate) fn unreadable(error: &MetaError) -> Self {
        Self { summary: "unreadable metadata".into(), error: Some(error.to_string()), ..Self::default() }
    }

    /// The time between two frames, if the stream says how many come in a second.
    #[must_use]
    pub fn interval(&self) -> Option<Duration> {
        self.nominal_rate
            .map(|(frames, seconds)| Duration::from_secs_f64(f64::from(seconds) / f64::from(frames)))
    }
}

fn description(meta: &MetaView<'_>) -> Option<String> {
    let tags: Vec<Tags> = meta.entries::<Tags>().filter_map(Result::ok).collect();
    let found = |name| tags.iter().find_map(|tags| Structure::parse(&tags.text).text(name));
    found("description").or_else(|| found("title")).filter(|text| !text.is_empty())
}

/// `video/x-h264` is `h264`; of other types the whole name says more.
fn short(name: &str) -> String {
    let short = name.strip_prefix("video/x-").or_else(|| name.strip_prefix("audio/x-"));
    short.or_else(|| name.strip_prefix("image/")).unwrap_or(name).to_owned()
}

/// A character that could steer a terminal, or turn the direction of writing.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Video => "video".into(),
        Kind::Audio => "audio".into(),
        Kind::Packet => "packets".into(),
        Kind::Bytes => "bytes".into(),
        other => format!("kind {}", other.to_raw()),
    }
}

/// Frames a second, with at most two digits behind the point.
fn fraction((numerator, denominator): (u32, u32)) -> String {
    let value = f64::from(numerator) / f64::from(denominator.max(1));
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::{AudioLayout, Meta, Plane, VideoLayout};

    fn what(meta: &Meta) -> Content {
        let block = meta.to_vec().unwrap();
        Content::of(&MetaView::parse(&block).unwrap())
    }

    #[test]
    fn each_kind_of_stream_is_told_in_a_few_words() {
        let layout = |height| VideoLayout::new("GRAY8", 640, height, [Plane { offset: 0, stride: 640 }]);
        let video = Meta::new(Kind::Video).video(layout(480).fps(30000, 1001));
        assert_eq!(what(&video).summary, "GRAY8 640×480 @ 29.97");
        let cropped = Meta::new(Kind::Video)
            .caps("video/x-raw, format=GRAY8, width=640, height=480, framerate=0/1")
            .video(layout(488));
        assert_eq!((what(&cropped).summary.as_str(), what(&cropped).nominal_rate), ("GRAY8 640×480", None));
        let audio = Meta::new(Kind::Audio).audio(AudioLayout::new("F32LE", 44_100, 2, 10));
        assert_eq!(what(&audio).summary, "F32LE 44.1 kHz, 2 ch");
        let packet = Meta::new(Kind::Packet)
            .caps("video/x-h264, stream-format=(string)byte-stream, width=(int)64, height=(int)48, framerate=(fraction)25/1");
        assert_eq!(what(&packet).summary, "h264 64×48 @ 25");
        assert_eq!(what(&Meta::new(Kind::Bytes).caps("application/x-lidar")).summary, "application/x-lidar");
        assert_eq!(what(&Meta::new(Kind::Bytes)).summary, "bytes");
        assert_eq!(what(&Meta::new(Kind::Other(0x9000))).summary, "kind 36864");
    }

    #[test]
    fn the_description_comes_from_the_tags() {
        let meta = |text: &str| Meta::new(Kind::Bytes).entry(&Tags::new(text)).unwrap();
        let both = meta("taglist, title=(string)Cam, description=(string)\"At\\ the\\ door\"");
        assert_eq!(what(&both).description.as_deref(), Some("At the door"));
        assert_eq!(what(&meta("taglist, title=(string)Cam")).description.as_deref(), Some("Cam"));
        assert_eq!(what(&meta("taglist, artist=x")).description, None);
    }
}
