//! How many frames a ring has, and how large their slots are.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use gstreamer as gst;

use shmflow::Error;

use crate::common::content::Content;
use crate::common::validate::MIN_SLOTS;

use super::settings::Settings;

/// The depth for pictures, and until it is known what comes.
const PICTURES: u32 = 8;
/// For encoded media: four seconds of video, and more of audio.
const PACKETS: u32 = 128;
/// For audio: as many buffers as make a second, within this.
const AUDIO: (u32, u32) = (8, 512);
/// Of packets and bytes, which may be large, as many as fit into so many bytes; but never fewer than of pictures.
const MOST_BYTES: u64 = 128 << 20;

/// Bytes of metadata that every slot has room for. More makes the ring grow.
pub(super) const INITIAL_META: usize = 4096;

/// What a stream wants of its ring, where the user leaves it to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) depth: u32,
    /// Packets: they differ in size, a key frame may be much larger than the one before it; and those who join late want
    /// all since the last key frame.
    pub(super) packets: bool,
}

impl Wanted {
    /// For a stream of buffers like this one.
    pub(super) fn of(content: &Content, buffer: &gst::BufferRef) -> Self {
        match content {
            Content::Video(_) => Self { depth: PICTURES, packets: false },
            Content::Audio(info) => {
                let frames = (buffer.size() as u64).checked_div(info.bpf().into()).unwrap_or(0);
                let second = u64::from(info.rate()).checked_div(frames).unwrap_or(0).saturating_add(1);
                let (least, most) = AUDIO;
                Self { depth: u32::try_from(second).unwrap_or(most).clamp(least, most), packets: false }
            }
            Content::Packets | Content::Bytes => Self { depth: PACKETS, packets: true },
        }
    }
}

/// How large the ring may be and is wanted.
#[derive(Debug)]
pub(super) struct Size {
    depth: AtomicU32,
    max_depth: AtomicU32,
    /// The user gave a depth.
    fixed: bool,
    /// What the user's other settings need.
    least: u32,
    /// The ring is deeper than it is to be from now on.
    lowered: AtomicBool,
    /// What the stream was last found to want; 0 before that, and the highest bit for packets.
    wanted: AtomicU32,
    /// Bytes; 0 is no limit.
    max_bytes: u64,
    spare_slots: u32,
}

/// In `Size::wanted`.
const OF_PACKETS: u32 = 1 << 31;

impl Size {
    pub(super) fn of(settings: &Settings) -> Self {
        let fixed = settings.max_buffers != 0;
        let least = settings.history.max(settings.spare_slots.saturating_add(1));
        let depth = if fixed { settings.max_buffers } else { PICTURES.max(least) };
        Self {
            depth: depth.into(),
            max_depth: settings.max_depth.into(),
            fixed,
            least,
            lowered: AtomicBool::new(false),
            wanted: AtomicU32::new(0),
            max_bytes: settings.max_bytes,
            spare_slots: settings.spare_slots,
        }
    }

    /// Takes what the stream wants; whether that is another depth than before.
    pub(super) fn expect(&self, wanted: Wanted) -> bool {
        let word = wanted.depth | if wanted.packets { OF_PACKETS } else { 0 };
        if self.wanted.load(Relaxed) == word {
            return false;
        }
        self.wanted.store(word, Relaxed);
        if self.fixed {
            return false;
        }
        let depth = wanted.depth.max(self.least);
        let before = self.depth.swap(depth, Relaxed);
        self.lowered.store(depth < before, Relaxed);
        before != depth
    }

    /// The size of slots for frames of `len` bytes with room for `meta` bytes of metadata, when they are made anew: for packets
    /// twice as much, if `max-bytes` has room for it.
    pub(super) fn capacity(&self, len: usize, meta: usize) -> usize {
        let packets = self.wanted.load(Relaxed) & OF_PACKETS != 0;
        let twice = len.saturating_mul(2).checked_next_multiple_of(4096);
        twice.filter(|twice| packets && self.depth_within(*twice, meta).is_ok()).unwrap_or(len)
    }

    /// The depth for slots of `len` bytes with room for `meta` bytes of metadata (a page of which does not count).
    ///
    /// # Errors
    /// `max-bytes` has no room for the least number of them.
    pub(super) fn depth_within(&self, len: usize, meta: usize) -> Result<u32, Error> {
        let wanted = self.depth.load(Relaxed);
        let frame = (len as u64).max(1).checked_next_multiple_of(4096).unwrap_or(u64::MAX);
        let frame = frame.saturating_add(meta.saturating_sub(INITIAL_META) as u64);
        let wanted = if self.bounds_bytes() {
            let room = u32::try_from(MOST_BYTES / frame).unwrap_or(u32::MAX);
            wanted.min(room.max(PICTURES.max(self.least)))
        } else {
            wanted
        };
        if self.max_bytes == 0 {
            return Ok(wanted);
        }
        let slots = u32::try_from(self.max_bytes / frame).unwrap_or(u32::MAX);
        let least = MIN_SLOTS.max(self.spare_slots.saturating_add(1));
        if slots < least {
            let needed = frame.saturating_mul(u64::from(least));
            return Err(Error::InvalidArgument {
                what: format!(
                    "max-bytes={} has room for {slots} frames of {len} bytes; at least {needed} bytes are needed",
                    self.max_bytes
                ),
            });
        }
        Ok(slots.saturating_sub(self.spare_slots).min(wanted))
    }

    /// Whether the next ring may have to be less deep than the one before: there is a limit in bytes, ours or the user's,
    /// or another stream.
    pub(super) fn may_shrink(&self) -> bool {
        self.lowered.swap(false, Relaxed) || self.max_bytes != 0 || self.bounds_bytes()
    }

    fn bounds_bytes(&self) -> bool {
        !self.fixed && self.wanted.load(Relaxed) & OF_PACKETS != 0
    }

    /// Twice the depth, as far as it may be; `None` if it may not. And the depth before.
    pub(super) fn deepen(&self) -> Option<u32> {
        let before = self.depth.load(Relaxed);
        let wanted = before.saturating_mul(2).min(self.max_depth.load(Relaxed));
        (wanted > before).then(|| {
            self.depth.store(wanted, Relaxed);
            before
        })
    }

    /// It did not become deeper than this.
    pub(super) fn restore(&self, depth: u32) {
        self.depth.store(depth, Relaxed);
    }

    /// There is no room for more than this.
    pub(super) fn stay(&self, depth: u32) {
        self.restore(depth);
        self.max_depth.store(depth, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(max_buffers: u32, max_bytes: u64) -> Size {
        Size::of(&Settings { max_buffers, max_bytes, ..Settings::default() })
    }

    #[test]
    fn a_limit_in_bytes_lowers_the_depth_and_too_low_a_one_is_an_error_with_numbers() {
        assert!(matches!(size(8, 0).depth_within(1 << 40, INITIAL_META), Ok(8)));
        assert!(matches!(size(8, 10 * 4096).depth_within(4096, INITIAL_META), Ok(8)));
        assert!(matches!(size(8, 9 * 4096).depth_within(4000, INITIAL_META), Ok(7)));
        assert!(matches!(size(8, 18 * 4096).depth_within(4096, 8192), Ok(7)));
        assert!(matches!(size(8, 3 * 4096).depth_within(1, INITIAL_META), Ok(1)));
        let error = size(8, 2 * 4096)
            .depth_within(4096, INITIAL_META)
            .expect_err("two frames are not enough")
            .to_string();
        assert!(error.contains("8192") && error.contains("12288"), "{error}");
    }

    #[test]
    fn the_depth_follows_the_stream_unless_the_user_gave_one() {
        let packets = Wanted { depth: PACKETS, packets: true };
        let ours = size(0, 0);
        assert!(matches!(ours.depth_within(100, INITIAL_META), Ok(8)));
        assert!(ours.expect(packets) && !ours.expect(packets));
        assert!(matches!(ours.depth_within(10_000, INITIAL_META), Ok(128)));
        assert!(matches!(ours.depth_within(64 << 20, INITIAL_META), Ok(8)), "large packets are fewer");
        assert_eq!(ours.capacity(10_000, INITIAL_META), 20_480);
        let limited = size(0, 3 * 12_288);
        assert!(limited.expect(packets));
        assert_eq!(limited.capacity(10_000, INITIAL_META), 10_000, "there is no room for more");
        assert!(limited.depth_within(10_000, INITIAL_META).is_ok());
        assert!(ours.expect(Wanted { depth: PICTURES, packets: false }));
        assert_eq!(
            (ours.capacity(10_000, INITIAL_META), ours.depth_within(33 << 20, INITIAL_META).ok()),
            (10_000, Some(8))
        );
        let theirs = size(16, 0);
        assert!(!theirs.expect(packets));
        assert!(matches!(theirs.depth_within(64 << 20, INITIAL_META), Ok(16)));
    }

    #[test]
    fn max_depth_holds_after_a_stream_that_was_deeper() {
        let size = Size::of(&Settings { max_depth: 16, ..Settings::default() });
        assert!(size.expect(Wanted { depth: PACKETS, packets: true }));
        assert_eq!(size.deepen(), None, "deeper already");
        assert!(size.expect(Wanted { depth: PICTURES, packets: false }));
        assert_eq!((size.deepen(), size.deepen()), (Some(8), None));
        let never = Size::of(&Settings { max_depth: 0, ..Settings::default() });
        never.expect(Wanted { depth: PACKETS, packets: true });
        never.expect(Wanted { depth: PICTURES, packets: false });
        assert_eq!(never.deepen(), None);
    }

    #[test]
    fn audio_gets_a_second() {
        gst::init().expect("GStreamer starts");
        let caps: gst::Caps =
            "audio/x-raw,format=S16LE,rate=48000,channels=2,layout=interleaved,channel-mask=(bitmask)3"
                .parse()
                .expect("caps of the test");
        let content = Content::of(&caps).expect("raw audio");
        for (milliseconds, depth) in [(5, 201), (20, 51), (1000, 8), (1, 512)] {
            let buffer = gst::Buffer::with_size(48 * 4 * milliseconds).expect("memory");
            assert_eq!(Wanted::of(&content, &buffer), Wanted { depth, packets: false }, "{milliseconds} ms");
        }
    }
}
