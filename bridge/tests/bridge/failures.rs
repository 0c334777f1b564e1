//! Bridges that die, and links that are cut: the producer never notices, and consumers are told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use shmflow::meta::{Flags, Kind, Meta};
use shmflow::{Consumer, Producer};

use crate::support::{Link, Two, next, wait_until};

const ALL: &[&str] = &["--topic", "*"];

/// Publishes numbered frames at a steady rate while `test` runs. No frame may fail, or take long.
fn while_publishing<T>(producer: &Producer, test: impl FnOnce(&AtomicU64) -> T) -> T {
    let (stop, published) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            while !stop.load(Relaxed) {
                let number = published.load(Relaxed) + 1;
                let meta = Meta::new(Kind::Bytes).caps("application/x-test").offset(number);
                producer.write_with(&number.to_le_bytes(), &meta).unwrap();
                published.store(number, Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        // Also when the test fails, which would wait for the thread for ever.
        let stopping = crate::support::SetOnDrop(&stop);
        let result = test(&published);
        drop(stopping);
        thread.join().unwrap();
        result
    })
}

/// What a consumer saw of numbered frames.
#[derive(Debug, Default)]
struct Seen {
    last: u64,
    frames: u64,
    /// Missing numbers, and how often some were missing.
    missing: u64,
    gaps: u64,
}

impl Seen {
    /// Takes the next frame; it comes after the last one, and says so if some are missing.
    fn take(&mut self, consumer: &mut Consumer) {
        let frame = next(consumer);
        assert_eq!(frame.lost_before(), 0, "this host's ring loses nothing");
        let number = u64::from_le_bytes(frame[..8].try_into().unwrap());
        assert!(number > self.last, "{number} after {}", self.last);
        let missing = if self.last == 0 { 0 } else { number - self.last - 1 };
        let is_told = frame.meta().unwrap().unwrap().flags.contains(Flags::DISCONT);
        assert_eq!(is_told, missing != 0, "{missing} missing before {number}");
        (self.last, self.frames) = (number, self.frames + 1);
        self.missing += missing;
        self.gaps += u64::from(missing != 0);
    }

    fn take_until(&mut self, consumer: &mut Consumer, number: u64) {
        while self.last < number {
            self.take(consumer);
        }
    }
}

fn deep(two: &Two) -> Producer {
    // The consumer here is never lapped, however busy the machine is.
    Producer::builder("cam0").dir(&two.a.0).depth(512).open().unwrap()
}

#[test]
fn the_sending_bridge_is_killed_and_restarted() {
    let mut two = Two::new(ALL, ALL);
    let producer = deep(&two);
    let mut consumer = two.b.consumer("cam0");
    while_publishing(&producer, |published| {
        let mut seen = Seen::default();
        seen.take_until(&mut consumer, 50);
        two.bridge_a.take().unwrap().kill();
        let then = published.load(Relaxed);
        // More than the ring has.
        wait_until("many are published", || (published.load(Relaxed) > then + 700).then_some(()));
        two.start_a();
        seen.take_until(&mut consumer, then + 900);
        assert_eq!(seen.gaps, 1, "{seen:?}");
        wait_until("the loss is counted", || {
            (two.bridge_b().count("received", "cam0", "lost") == seen.missing).then_some(())
        });
    });
    let stats = producer.stats();
    assert_eq!((stats.dropped, stats.stalls), (0, 0));
}

#[test]
fn the_receiving_bridge_is_killed_and_restarted() {
    let mut two = Two::new(ALL, ALL);
    let producer = deep(&two);
    let mut consumer = two.b.consumer("cam0");
    while_publishing(&producer, |published| {
        let mut seen = Seen::default();
        seen.take_until(&mut consumer, 50);
        two.bridge_b.take().unwrap().kill();
        let then = published.load(Relaxed);
        wait_until("many are published", || (published.load(Relaxed) > then + 700).then_some(()));
        two.start_b();
        seen.take_until(&mut consumer, then + 900);
        assert_eq!(seen.gaps, 1, "nothing is repeated, and what is missing is told: {seen:?}");
        wait_until("the loss is counted", || {
            (two.bridge_b().count("received", "cam0", "lost") == seen.missing).then_some(())
        });
    });
    assert_eq!(producer.stats().dropped, 0);
}

#[test]
fn a_short_absence_of_the_receiving_bridge_costs_no_frame() {
    let mut two = Two::new(ALL, ALL);
    let producer = Producer::builder("cam0").dir(&two.a.0).depth(64).open().unwrap();
    let mut consumer = two.b.consumer("cam0");
    let publish = |numbers: std::ops::Range<u64>| {
        for number in numbers {
            let meta = Meta::new(Kind::Bytes).offset(number);
            producer.write_with(&number.to_le_bytes(), &meta).unwrap();
        }
    };
    two.bridge_a().wait_until_active("sent", "cam0", true);
    publish(1..11);
    let mut seen = Seen::default();
    seen.take_until(&mut consumer, 10);
    two.bridge_b.take().unwrap().kill();
    // The ring there still has them when the bridge comes back.
    publish(11..41);
    two.start_b();
    seen.take_until(&mut consumer, 40);
    assert_eq!((seen.frames, seen.gaps), (40, 0));
}

#[test]
fn a_link_that_is_cut_and_mended_is_told_as_a_gap() {
    let link = std::cell::OnceCell::new();
    let two = Two::with_port_of_b(ALL, ALL, |port| link.get_or_init(|| Link::to(port)).port);
    let link = link.get().unwrap();
    let producer = deep(&two);
    let mut consumer = two.b.consumer("cam0");
    while_publishing(&producer, |published| {
        let mut seen = Seen::default();
        for round in 1..=2 {
            seen.take_until(&mut consumer, published.load(Relaxed) + 50);
            link.cut();
            let then = published.load(Relaxed);
            wait_until("many are published", || (published.load(Relaxed) > then + 700).then_some(()));
            link.mend();
            seen.take_until(&mut consumer, then + 900);
            assert_eq!(seen.gaps, round, "{seen:?}");
        }
        wait_until("the losses are counted", || {
            (two.bridge_b().count("received", "cam0", "lost") == seen.missing).then_some(())
        });
    });
    assert_eq!(producer.stats().dropped, 0);
}

#[test]
fn after_a_gap_an_encoded_stream_goes_on_at_a_key_frame_that_is_asked_for() {
    let link = std::cell::OnceCell::new();
    let two = Two::with_port_of_b(ALL, ALL, |port| link.get_or_init(|| Link::to(port)).port);
    let link = link.get().unwrap();
    let producer = Producer::builder("cam0").dir(&two.a.0).depth(4).open().unwrap();
    let mut consumer = two.b.consumer("cam0");
    two.bridge_a().wait_until_active("sent", "cam0", true);
    let publish = |number: u8, flags: Flags| {
        producer.write_with(&[number], &Meta::new(Kind::Packet).caps("video/x-h264").flags(flags)).unwrap();
    };
    publish(1, Flags::default());
    publish(2, Flags::DELTA_UNIT);
    assert_eq!((next(&mut consumer)[0], next(&mut consumer)[0]), (1, 2));
    link.cut();
    two.bridge_a().wait_until_active("sent", "cam0", false);
    (3..20).for_each(|number| publish(number, Flags::DELTA_UNIT));
    let before = producer.key_frame_requests();
    link.mend();
    let mut number = 20;
    wait_until("a key frame is asked for", || {
        publish(number, Flags::DELTA_UNIT);
        number = number.wrapping_add(1).max(20);
        std::thread::sleep(Duration::from_millis(20));
        (producer.key_frame_requests() > before).then_some(())
    });
    publish(255, Flags::default());
    let frame = next(&mut consumer);
    assert_eq!((frame[0], frame.meta().unwrap().unwrap().flags), (255, Flags::DISCONT));
}

#[test]
fn a_bridge_that_is_stopped_holds_up_nobody() {
    let two = Two::new(ALL, ALL);
    // What comes at once when it goes on fits into the ring here.
    let producer = Producer::builder("cam0").dir(&two.a.0).depth(1000).open().unwrap();
    let mut consumer = two.b.consumer("cam0");
    let signal = |bridge: &crate::support::Bridge, signal| {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(bridge.pid().try_into().unwrap()), signal).unwrap();
    };
    while_publishing(&producer, |published| {
        let mut seen = Seen::default();
        for bridge in [two.bridge_a(), two.bridge_b()] {
            seen.take_until(&mut consumer, published.load(Relaxed) + 20);
            signal(bridge, nix::sys::signal::Signal::SIGSTOP);
            let then = published.load(Relaxed);
            wait_until("many are published", || (published.load(Relaxed) > then + 700).then_some(()));
            signal(bridge, nix::sys::signal::Signal::SIGCONT);
            seen.take_until(&mut consumer, then + 900);
        }
        let counted = || {
            // Lost in the ring there, and on the way.
            two.bridge_b().count("received", "cam0", "lost")
        };
        wait_until("the loss is counted", || (counted() == seen.missing).then_some(()));
    });
    assert_eq!(producer.stats().dropped, 0);
}
