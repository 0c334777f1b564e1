//! A frame's metadata, as they hold on this host.
//!
//! The block crosses as it is. What is said on the other host's `CLOCK_MONOTONIC` is said on this one's, and the first frame after
//! some that are missing says so. Times of a calendar (`CLOCK_REALTIME`, `CLOCK_TAI`) mean the same everywhere, and stay.

use std::borrow::Cow;

use shmflow::meta::{Clock, EncodedMeta, Flags, Kind, MetaEntry, MetaError, MetaView};

use crate::clock::Offset;

/// Where a frame comes from: a private entry of its metadata. A bridge that is started again finds its place by it, so that it
/// repeats nothing, and knows what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which topic of its name.
    pub stream: u64,
    /// The sequence number there.
    pub seq: u64,
}

impl MetaEntry for Place {
    const TYPE: u16 = 0xB51D;

    fn to_value(&self) -> Result<Vec<u8>, MetaError> {
        Ok([self.stream.to_le_bytes(), self.seq.to_le_bytes()].concat())
    }

    fn from_value(value: &[u8]) -> Result<Self, MetaError> {
        let short = MetaError::BadEntry { ty: Self::TYPE, at: 0, why: "it is shorter than 16 bytes" };
        let (stream, rest) = value.split_first_chunk().ok_or(short.clone())?;
        let seq = rest.first_chunk().ok_or(short)?;
        Ok(Self { stream: u64::from_le_bytes(*stream), seq: u64::from_le_bytes(*seq) })
    }
}

/// What a frame is to those that come after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// It depends on nothing, or decoding can begin with it.
    Key,
    /// Worth nothing without what came before it.
    Delta,
}

/// Of a block that was checked.
pub(crate) fn unit(view: &MetaView<'_>) -> Unit {
    let flags = view.per_frame().flags;
    let delta =
        view.kind() == Kind::Packet && flags.contains(Flags::DELTA_UNIT) && !flags.contains(Flags::HEADER);
    if delta { Unit::Delta } else { Unit::Key }
}

/// The block for this host. `capture_ns`: the capture time on the sender's `CLOCK_MONOTONIC`, if it is of that. Without an offset
/// nothing is known of it here, and nothing said. Bare bytes without a block have none afterwards, unless something has to be said.
pub(crate) fn localise<'a>(
    block: &'a [u8],
    view: &MetaView<'_>,
    capture_ns: Option<u64>,
    offset: Option<Offset>,
    discont: bool,
    place: Place,
) -> Result<Cow<'a, [u8]>, MetaError> {
    let mut frame = view.per_frame();
    let before = frame;
    if frame.times.clock == Clock::Monotonic && frame.times.capture_ns.is_some() {
        frame.times.capture_ns = capture_ns.and_then(|ns| offset?.to_ours(ns));
        if frame.times.capture_ns.is_none() {
            frame.times.clock = Clock::Unknown;
        }
    }
    if discont {
        frame.flags |= Flags::DISCONT;
    }
    if frame == before && block.is_empty() {
        return Ok(Cow::Borrowed(block));
    }
    let mut encoded = if view.extensions().any(|(ty, _)| ty == Place::TYPE) {
        // It has come from another host before, and was published again.
        let mut meta = view.to_meta();
        meta.extensions.retain(|one| one.ty != Place::TYPE);
        EncodedMeta::new(&meta)?
    } else {
        EncodedMeta::from(view)
    };
    encoded.patch(&frame);
    encoded.push_entry(&place)?;
    let mut bytes = vec![0; encoded.len()];
    encoded.write_to(&mut bytes)?;
    Ok(Cow::Owned(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shmflow::meta::{Meta, Times};

    const PLACE: Place = Place { stream: 3, seq: 4 };

    fn meta(clock: Clock) -> Meta {
        let times = Times::default().capture_ns(5_000).clock(clock).pts(7).latency_ns(9);
        let meta = Meta::new(Kind::Packet).flags(Flags::DELTA_UNIT).caps("video/x-h264").times(times);
        meta.extension(0x8123, b"private")
    }

    fn localised(meta: &Meta, offset: Option<Offset>, discont: bool) -> Meta {
        let block = meta.to_vec().unwrap();
        let view = MetaView::parse(&block).unwrap();
        Meta::decode(&localise(&block, &view, Some(5_000), offset, discont, PLACE).unwrap()).unwrap()
    }

    #[test]
    fn times_of_the_other_host_become_ours_and_all_else_stays() {
        let ahead = Offset { ns: 1_000_000, error_ns: 3 };
        let mut expected = meta(Clock::Monotonic).entry(&PLACE).unwrap();
        expected.times.capture_ns = Some(1_005_000);
        assert_eq!(localised(&meta(Clock::Monotonic), Some(ahead), false), expected);
        expected.flags |= Flags::DISCONT;
        assert_eq!(localised(&meta(Clock::Monotonic), Some(ahead), true), expected);
    }

    #[test]
    fn a_time_that_is_not_known_here_is_not_said() {
        for offset in [None, Some(Offset { ns: -5_001, error_ns: 0 })] {
            let times = localised(&meta(Clock::Monotonic), offset, false).times;
            assert_eq!((times.capture_ns, times.clock, times.pts), (None, Clock::Unknown, Some(7)));
        }
    }

    #[test]
    fn calendars_and_bare_bytes_are_left_alone() {
        for clock in [Clock::Realtime, Clock::Tai, Clock::Unknown] {
            let localised = localised(&meta(clock), Some(Offset { ns: 5, error_ns: 0 }), false);
            assert_eq!(localised, meta(clock).entry(&PLACE).unwrap());
        }
        let view = MetaView::parse(&[]).unwrap();
        assert!(localise(&[], &view, None, None, false, PLACE).unwrap().is_empty());
        let told = localise(&[], &view, None, None, true, PLACE).unwrap();
        assert_eq!(Meta::decode(&told).unwrap().flags, Flags::DISCONT);
    }

    #[test]
    fn a_frame_has_one_place() {
        let twice = meta(Clock::Tai).entry(&Place { stream: 1, seq: 1 }).unwrap();
        assert_eq!(localised(&twice, None, false), meta(Clock::Tai).entry(&PLACE).unwrap());
        assert!((0..16).all(|len| Place::from_value(&[0; 16][..len]).is_err()));
    }

    #[test]
    fn delta_units_are_known() {
        let of = |meta: &Meta| unit(&MetaView::parse(&meta.to_vec().unwrap()).unwrap());
        assert_eq!(of(&meta(Clock::Tai)), Unit::Delta);
        assert_eq!(of(&Meta::default()), Unit::Key);
        assert_eq!(of(&Meta::new(Kind::Packet).flags(Flags::DELTA_UNIT | Flags::HEADER)), Unit::Key);
    }
}
