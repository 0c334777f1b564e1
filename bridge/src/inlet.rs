//! Messages of another host's topic into the ring of its mirror.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use shmflow::meta::MetaView;
use shmflow::{Error, Producer};
use zenoh::bytes::ZBytes;

use crate::clock::{self, Offset};
use crate::localise::{Place, Unit, localise, unit};
use crate::stats::{Counters, note};
use crate::wire::{FrameHeader, What};

/// Whoever needs a key frame asks so often at most.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// And whatever goes wrong with each frame is told so often.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// What is to be done after a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Then {
    /// Decoding cannot go on without a key frame.
    pub(crate) key_frame: bool,
    /// The topic was removed at its origin.
    pub(crate) removed: bool,
    /// The mirror's own topic was removed, or cannot be written to.
    pub(crate) lost_topic: bool,
}

/// Which message was the last.
#[derive(Clone, Copy, Debug)]
struct Position {
    stream: u64,
    turn: u64,
    index: u64,
    seq: u64,
    omitted: u64,
}

/// Writes what comes.
#[derive(Debug)]
pub(crate) struct Inlet {
    topic: String,
    counters: Arc<Counters>,
    producer: Option<Arc<Producer>>,
    position: Option<Position>,
    /// What is missing now was not wanted.
    resumes: bool,
    /// The next frame does not continue the one before it.
    discont: bool,
    /// Delta units are worth nothing now.
    broken: bool,
    asked: Option<Instant>,
    told: Option<Instant>,
    lost_untold: u64,
}

impl Inlet {
    pub(crate) fn new(topic: &str, counters: Arc<Counters>) -> Self {
        Self {
            topic: topic.to_owned(),
            counters,
            producer: None,
            position: None,
            resumes: false,
            discont: false,
            broken: false,
            asked: None,
            told: None,
            lost_untold: 0,
        }
    }

    /// Writes to this ring from now on, whose newest frame has this place.
    pub(crate) fn set_producer(&mut self, producer: Option<Arc<Producer>>, newest: Option<Place>) {
        self.producer = producer;
        // No turn is 0.
        self.position =
            newest.map(|Place { stream, seq }| Position { stream, seq, turn: 0, index: 0, omitted: 0 });
        (self.resumes, self.discont, self.broken, self.asked) = (false, false, false, None);
    }

    /// It is read again: what was missed in between was not wanted.
    pub(crate) fn resume(&mut self) {
        self.resumes = true;
    }

    /// Takes a message.
    ///
    /// # Errors
    /// What is wrong with it, or with the topic here. It is left out then.
    pub(crate) fn take(
        &mut self,
        header: &FrameHeader,
        block: &[u8],
        payload: &ZBytes,
        offset: Option<Offset>,
    ) -> Result<Then, Error> {
        let Some(producer) = self.producer.clone() else {
            return Ok(Then { lost_topic: true, ..Then::default() });
        };
        let before = self.position.filter(|one| one.stream == header.stream);
        if before.is_some_and(|one| one.turn == header.turn && header.index <= one.index) {
            return Ok(Then::default());
        }
        let is_known = self.position.is_some();
        let position = Position {
            stream: header.stream,
            turn: header.turn,
            index: header.index,
            seq: before.map_or(header.seq, |one| one.seq.max(header.seq)),
            omitted: header.omitted,
        };
        match header.what {
            What::Removed => return Ok(Then { removed: true, ..Then::default() }),
            What::End => {
                self.position = Some(position);
                // What is missing before it is missing before the next frame.
                self.count_missing(header, header.seq.saturating_add(1), before, is_known);
                producer.end();
                return Ok(Then::default());
            }
            What::Frame => {}
        }
        // Checked before it counts as anything.
        let view = MetaView::parse(block)?;
        self.position = Some(position);
        if before.is_some_and(|one| header.seq <= one.seq) {
            // It came before: the sender begins with the oldest frame that its ring has.
            return Ok(Then::default());
        }
        self.count_missing(header, header.seq, before, is_known);
        if unit(&view) == Unit::Key {
            self.broken = false;
        } else if self.broken {
            self.counters.omitted.fetch_add(1, Relaxed);
            return Ok(Then { key_frame: self.may_ask(), ..Then::default() });
        }
        let place = Place { stream: header.stream, seq: header.seq };
        let written = localise(block, &view, header.capture_ns, offset, self.discont, place)
            .map_err(Error::from)
            .and_then(|block| write(&producer, &block, payload));
        if let Err(error) = written {
            self.gap(true);
            return Err(error);
        }
        self.discont = false;
        self.counters.frames.fetch_add(1, Relaxed);
        self.counters.bytes.fetch_add(payload.len() as u64, Relaxed);
        let published = offset.and_then(|offset| offset.to_ours(header.published_ns));
        let transit =
            published.map_or(0, |at| clock::now().monotonic_ns.saturating_sub(at).saturating_add(1));
        self.counters.transit_ns.store(transit, Relaxed);
        Ok(Then::default())
    }

    /// Counts what is missing in front of the frame `seq`.
    fn count_missing(&mut self, header: &FrameHeader, seq: u64, before: Option<Position>, is_known: bool) {
        let resumes = std::mem::take(&mut self.resumes);
        let Some(before) = before else {
            // Another topic of this name, or the first: what it had before is not known.
            self.gap(is_known);
            return;
        };
        let gap = seq.saturating_sub(before.seq).saturating_sub(1);
        let lost = if before.turn == header.turn {
            gap.saturating_sub(header.omitted.saturating_sub(before.omitted))
        } else if header.thinned {
            // How many of these would have been sent nobody knows.
            self.gap(true);
            return;
        } else {
            gap
        };
        self.gap(lost != 0);
        if lost != 0 && !resumes {
            self.counters.lost.fetch_add(lost, Relaxed);
            self.lost_untold = self.lost_untold.saturating_add(lost);
            if self.may_tell() {
                let lost = std::mem::take(&mut self.lost_untold);
                note(&format!("topic `{}`: {lost} frames were lost on the way", self.topic));
            }
        }
    }

    fn gap(&mut self, is_there: bool) {
        self.discont |= is_there;
        self.broken |= is_there;
    }

    fn may_ask(&mut self) -> bool {
        let may = self.asked.is_none_or(|asked| asked.elapsed() > ASK_EVERY);
        if may {
            self.asked = Some(Instant::now());
        }
        may
    }

    /// Whether it is time to tell something again.
    pub(crate) fn may_tell(&mut self) -> bool {
        let may = self.told.is_none_or(|told| told.elapsed() > TELL_EVERY);
        if may {
            self.told = Some(Instant::now());
        }
        may
    }
}

/// Copies a message into a slot.
fn write(producer: &Producer, block: &[u8], payload: &ZBytes) -> Result<(), Error> {
    if block.len() > producer.geometry().meta_capacity {
        producer.grow_meta(block.len())?;
    }
    let mut claim = producer.claim(payload.len())?;
    let mut slices = payload.slices();
    match (slices.next(), slices.next()) {
        // Large ones go around the caches.
        (Some(all), None) => claim.copy_from(all),
        (first, second) => {
            let mut room = &mut *claim;
            for slice in first.into_iter().chain(second).chain(slices) {
                let Some((front, rest)) = room.split_at_mut_checked(slice.len()) else { break };
                front.copy_from_slice(slice);
                room = rest;
            }
        }
    }
    claim.set_meta_bytes(block)?;
    claim.publish().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use shmflow::meta::{Flags, Kind, Meta};
    use shmflow::{Consumer, StartAt};

    /// A ring that an inlet writes to, and its reader.
    struct Here {
        inlet: Inlet,
        counters: Arc<Counters>,
        consumer: Consumer,
        dir: std::path::PathBuf,
    }

    impl Here {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("shmflow-inlet-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            let producer = Arc::new(Producer::builder("t").dir(&dir).open().unwrap());
            let consumer = Consumer::builder("t").dir(&dir).start(StartAt::Oldest).open().unwrap();
            let counters = Arc::<Counters>::default();
            let mut inlet = Inlet::new("t", Arc::clone(&counters));
            inlet.set_producer(Some(producer), None);
            Self { inlet, counters, consumer, dir }
        }

        fn take(
            &mut self,
            what: What,
            stream: u64,
            index: u64,
            seq: u64,
            meta: &Meta,
        ) -> Result<Then, Error> {
            let header = FrameHeader {
                what,
                lossless: false,
                thinned: false,
                base: true,
                stream,
                turn: 1,
                index,
                seq,
                omitted: 0,
                capture_ns: None,
                published_ns: 0,
            };
            self.inlet.take(&header, &meta.to_vec().unwrap(), &ZBytes::from("x"), None)
        }

        fn frame(&mut self, stream: u64, index: u64, seq: u64, flags: Flags) -> Result<Then, Error> {
            self.take(What::Frame, stream, index, seq, &Meta::new(Kind::Packet).flags(flags))
        }

        fn end(&mut self, stream: u64, index: u64, seq: u64) {
            self.take(What::End, stream, index, seq, &Meta::default()).unwrap();
        }

        /// The next frame's flags.
        fn flags(&mut self) -> Flags {
            self.consumer.try_recv().unwrap().unwrap().meta().unwrap().unwrap().flags
        }

        fn lost(&self) -> u64 {
            self.counters.lost.load(Relaxed)
        }
    }

    impl Drop for Here {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }

    #[test]
    fn what_is_missing_before_an_end_is_counted_and_told_after_it() {
        let mut here = Here::new("end");
        here.frame(1, 1, 1, Flags::default()).unwrap();
        assert_eq!(here.flags(), Flags::default());
        // Frames 2 and 3 are lost.
        here.end(1, 4, 3);
        assert_eq!(here.lost(), 2);
        assert!(here.frame(1, 5, 4, Flags::DELTA_UNIT).unwrap().key_frame);
        here.frame(1, 6, 5, Flags::default()).unwrap();
        assert_eq!(here.flags(), Flags::DISCONT);
        // Nothing is missing here.
        here.end(1, 7, 5);
        here.frame(1, 8, 6, Flags::DELTA_UNIT).unwrap();
        assert_eq!((here.flags(), here.lost()), (Flags::DELTA_UNIT, 2));
    }

    #[test]
    fn another_stream_that_begins_with_its_end_does_not_continue_the_one_before_it() {
        let mut here = Here::new("other");
        here.frame(1, 1, 1, Flags::default()).unwrap();
        here.flags();
        here.end(2, 2, 5);
        here.frame(2, 3, 6, Flags::default()).unwrap();
        assert_eq!(here.flags(), Flags::DISCONT);
    }

    #[test]
    fn a_frame_that_cannot_be_written_is_missing_for_those_after_it() {
        let mut here = Here::new("write");
        here.frame(1, 1, 1, Flags::default()).unwrap();
        here.flags();
        // With the place that the bridge adds it has more entries than a block may have.
        let mut full = Meta::new(Kind::Packet);
        while full.to_vec().is_ok() {
            full = full.extension(0x8000, b"");
        }
        full.extensions.pop();
        assert!(here.take(What::Frame, 1, 2, 2, &full).is_err());
        assert!(
            here.frame(1, 3, 3, Flags::DELTA_UNIT).unwrap().key_frame,
            "a delta unit is worth nothing now"
        );
        here.frame(1, 4, 4, Flags::default()).unwrap();
        assert_eq!(here.flags(), Flags::DISCONT);
    }
}
