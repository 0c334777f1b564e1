//! The topics that are worth a device: those with a living producer and a frame.

use std::path::{Path, PathBuf};

use gstreamer as gst;

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};
use shmflow::meta::{MetaView, Tags};
use shmflow::{Liveness, TopicInfo};

use crate::common::caps_text;
use crate::common::metas::tags;

/// The longest description in a name, in characters: it is another process's text.
const MAX_DESCRIPTION: usize = 100;

/// A topic that may be a device, as it is now.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Live {
    pub(super) topic: String,
    pub(super) directory: PathBuf,
    pub(super) caps: gst::Caps,
    /// The frames do not say their caps: these are what their layout implies.
    pub(super) caps_are_implied: bool,
    pub(super) description: Option<String>,
    /// Living producers.
    pub(super) producers: u32,
    /// User id of the owner.
    pub(super) owner: u32,
    /// This user may read its files, and no more.
    pub(super) read_only: bool,
}

impl Live {
    /// Of a topic, if it is one that lives.
    fn of(info: &TopicInfo) -> Option<Self> {
        let producers = info.producers().filter(|one| one.active && one.liveness != Liveness::Dead).count();
        if info.removed || info.ended || producers == 0 {
            return None;
        }
        let meta = info.newest.as_ref()?.meta().ok()?;
        let (caps, caps_are_implied) = match meta.caps() {
            Some(text) => (caps_text::parse_fixed(text)?, false),
            None => (implied(&meta)?, true),
        };
        Some(Self {
            topic: info.topic.clone(),
            directory: info.dir.clone(),
            caps,
            caps_are_implied,
            description: description(info, &meta),
            producers: u32::try_from(producers).unwrap_or(u32::MAX),
            owner: info.owner_uid,
            read_only: info.allows_read_only && !is_writable(info),
        })
    }

    /// The name for people: the description if there is one, and the topic.
    pub(super) fn display_name(&self) -> String {
        match &self.description {
            Some(description) => format!("{description} ({})", self.topic),
            None => self.topic.clone(),
        }
    }

    /// The class by which applications choose devices.
    pub(super) fn class(&self) -> &'static str {
        let Some(structure) = self.caps.structure(0) else { return "Source" };
        let name = structure.name();
        // Of RTP packets the caps say it.
        let media = structure.get::<&str>("media").unwrap_or_default();
        if name.starts_with("video/") || name.starts_with("image/") || media == "video" {
            "Video/Source"
        } else if name.starts_with("audio/") || media == "audio" {
            "Audio/Source"
        } else {
            "Source"
        }
    }
}

/// The living topics, by name. Those that cannot be read are none for this user; a directory that is not there has none.
pub(super) fn topics(directory: &Path) -> Vec<Live> {
    let found = shmflow::inspect_all(Some(directory)).unwrap_or_default();
    found.iter().filter_map(|(_, info)| Live::of(info.as_ref().ok()?)).collect()
}

/// The caps of frames that programs write without any, if they say how they lie in memory.
fn implied(meta: &MetaView<'_>) -> Option<gst::Caps> {
    let number = |value: u32| i32::try_from(value).ok();
    let caps = if let Some(video) = meta.video() {
        let (numerator, denominator) = video.fps();
        gst::Caps::builder("video/x-raw")
            .field("format", video.format())
            .field("width", number(video.width())?)
            .field("height", number(video.height())?)
            .field("framerate", gst::Fraction::new(number(numerator)?, number(denominator)?.max(1)))
            .build()
    } else {
        let audio = meta.audio()?;
        let layout = if audio.planes().len() == 0 { "interleaved" } else { "non-interleaved" };
        // Without one, more than two channels are none that GStreamer knows.
        let mask = Some(audio.channel_mask()).filter(|mask| *mask != 0 || audio.channels() > 2);
        gst::Caps::builder("audio/x-raw")
            .field("format", audio.format())
            .field("rate", number(audio.rate())?)
            .field("channels", number(audio.channels())?)
            .field("layout", layout)
            .field_if_some("channel-mask", mask.map(gst::Bitmask::new))
            .build()
    };
    Some(caps)
}

/// What the topic is described as, or else what the stream's tags say of it.
fn description(info: &TopicInfo, meta: &MetaView<'_>) -> Option<String> {
    let lists: Vec<gst::TagList> =
        meta.entries::<Tags>().filter_map(Result::ok).filter_map(|text| tags::of_text(&text).ok()).collect();
    let text = |list: &gst::TagList| list.get::<gst::tags::Description>().map(|tag| tag.get().to_owned());
    let title = |list: &gst::TagList| list.get::<gst::tags::Title>().map(|tag| tag.get().to_owned());
    let of_tags = || lists.iter().find_map(text).or_else(|| lists.iter().find_map(title));
    let found = info.description.clone().or_else(of_tags)?;
    let short: String = found.chars().filter(|char| !char.is_control()).take(MAX_DESCRIPTION).collect();
    Some(short).filter(|text| !text.trim().is_empty())
}

/// Whether this process may take part, and not only read.
fn is_writable(info: &TopicInfo) -> bool {
    let topic = shmflow::Topic::new(&info.topic, Some(&info.dir));
    let writable = |topic: shmflow::Topic| {
        faccessat(AT_FDCWD, &topic.peers_path(), AccessFlags::W_OK, AtFlags::AT_EACCESS).is_ok()
    };
    topic.is_ok_and(writable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(caps: &str, description: Option<&str>) -> Live {
        gst::init().expect("GStreamer starts");
        Live {
            topic: "robot/cam0".into(),
            directory: "/dev/shm".into(),
            caps: caps.parse().expect("caps of the test"),
            caps_are_implied: false,
            description: description.map(str::to_owned),
            producers: 1,
            owner: 0,
            read_only: false,
        }
    }

    #[test]
    fn the_class_follows_from_the_caps() {
        for (caps, class) in [
            ("video/x-raw,format=I420,width=2,height=2", "Video/Source"),
            ("image/jpeg", "Video/Source"),
            ("video/x-h264", "Video/Source"),
            ("audio/x-opus", "Audio/Source"),
            ("application/x-rtp,media=video", "Video/Source"),
            ("application/x-rtp,media=audio", "Audio/Source"),
            ("application/x-lidar", "Source"),
        ] {
            assert_eq!(live(caps, None).class(), class, "{caps}");
        }
    }

    #[test]
    fn the_name_has_the_topic_in_any_case() {
        assert_eq!(live("image/jpeg", None).display_name(), "robot/cam0");
        assert_eq!(live("image/jpeg", Some("Front door")).display_name(), "Front door (robot/cam0)");
    }
}
