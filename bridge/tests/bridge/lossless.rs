//! Lossless topics stay lossless, with back-pressure as far as their producers.

use std::time::Duration;

use shmflow::meta::{Kind, Meta};
use shmflow::{Consumer, OverflowPolicy, Producer};
use zenoh::Wait;

use crate::hostile::session;
use crate::support::{Bridge, Host, Link, Two, free_port, next, wait_until};

const LOSSLESS: &[&str] = &["--topic", "*", "--lossless"];
const ALL: &[&str] = &["--topic", "*"];

fn producer(two: &Two) -> Producer {
    lossless(&two.a)
}

fn lossless(host: &Host) -> Producer {
    let builder = Producer::builder("log").dir(&host.0).depth(4);
    builder.overflow_policy(OverflowPolicy::Lossless).stall_timeout(Duration::from_secs(60)).open().unwrap()
}

fn consume(consumer: &mut Consumer, numbers: std::ops::Range<u32>, mut between: impl FnMut(u32)) {
    for number in numbers {
        between(number);
        let frame = next(consumer);
        assert_eq!(u32::from_le_bytes(frame[..4].try_into().unwrap()), number);
        assert_eq!(frame.lost_before(), 0);
    }
}

fn publish_all(producer: &Producer, count: u32) {
    for number in 0..count {
        let mut frame = vec![0; 20_000];
        frame[..4].copy_from_slice(&number.to_le_bytes());
        // With metadata, which say where it comes from.
        producer.write_with(&frame, &Meta::new(Kind::Bytes)).unwrap();
    }
}

#[test]
fn every_frame_arrives_however_slow_the_consumer_is() {
    let two = Two::new(LOSSLESS, ALL);
    let producer = producer(&two);
    let mut consumer = two.b.consumer("log");
    two.bridge_a().wait_until_active("sent", "log", true);
    std::thread::scope(|scope| {
        scope.spawn(|| publish_all(&producer, 400));
        consume(&mut consumer, 0..400, |number| {
            if number.is_multiple_of(40) {
                std::thread::sleep(Duration::from_millis(200));
                // The producer waits: it is not further ahead than the rings and the network hold.
                let ahead = producer.stats().published.saturating_sub(number.into());
                assert!(ahead < 80, "{ahead} frames ahead of its consumer");
            }
        });
    });
    assert_eq!(two.bridge_b().count("received", "log", "lost"), 0);
}

#[test]
fn a_link_that_is_cut_costs_time_and_no_frame() {
    let link = std::cell::OnceCell::new();
    let two = Two::with_port_of_b(LOSSLESS, ALL, |port| link.get_or_init(|| Link::to(port)).port);
    let link = link.get().unwrap();
    let producer = producer(&two);
    let mut consumer = two.b.consumer("log");
    two.bridge_a().wait_until_active("sent", "log", true);
    std::thread::scope(|scope| {
        scope.spawn(|| publish_all(&producer, 600));
        consume(&mut consumer, 0..600, |number| {
            if number % 150 == 100 {
                link.cut();
                std::thread::sleep(Duration::from_millis(300));
                link.mend();
            }
        });
    });
    assert_eq!(two.bridge_b().fresh_stats()["received"]["log"]["lost"], 0);
}

#[test]
fn a_reader_that_dies_is_not_waited_for() {
    let mut two = Two::new(LOSSLESS, ALL);
    let producer = producer(&two);
    let consumer = two.b.consumer("log");
    two.bridge_a().wait_until_active("sent", "log", true);
    two.bridge_b.take().unwrap().kill();
    // More than all rings and windows hold.
    publish_all(&producer, 200);
    two.bridge_a().wait_until_active("sent", "log", false);
    drop(consumer);
}

#[test]
fn a_reader_that_is_killed_and_comes_back_gets_every_frame_and_holds_up_nobody() {
    let mut two = Two::new(LOSSLESS, ALL);
    let producer = producer(&two);
    let mut consumer = two.b.consumer("log");
    two.bridge_a().wait_until_active("sent", "log", true);
    std::thread::scope(|scope| {
        scope.spawn(|| publish_all(&producer, 400));
        consume(&mut consumer, 0..400, |number| {
            if number == 100 {
                two.bridge_b.take().unwrap().kill();
                two.start_b();
            }
        });
    });
}

#[test]
fn a_reader_that_leaves_is_not_waited_for_by_the_others() {
    let two = Two::new(LOSSLESS, ALL);
    let other = Host::new();
    let bridge_c = Bridge::start(&other, &["--topic", "*", "--connect", two.endpoint()]);
    let producer = producer(&two);
    let (mut leaves, mut stays) = (two.b.consumer("log"), other.consumer("log"));
    for bridge in [two.bridge_b(), &bridge_c] {
        bridge.wait_until_active("received", "log", true);
    }
    std::thread::scope(|scope| {
        scope.spawn(|| publish_all(&producer, 300));
        consume(&mut leaves, 0..5, |_| {});
        consume(&mut stays, 0..12, |_| {});
        // All that may be on the way to the one that leaves is: what it has not got yet it acknowledges after it has left.
        let count = || producer.stats().published;
        wait_until("the producer waits", || {
            let before = count();
            std::thread::sleep(Duration::from_millis(300));
            (count() == before).then_some(())
        });
        drop(leaves);
        consume(&mut stays, 12..300, |_| {});
    });
}

#[test]
fn a_topic_that_becomes_lossless_is_so_for_those_who_read_it_already() {
    let mut two = Two::new(ALL, ALL);
    let producer = producer(&two);
    let mut consumer = two.b.consumer("log");
    two.bridge_a().wait_until_active("sent", "log", true);
    two.bridge_a.take().unwrap().kill();
    let args = ["--topic", "*", "--lossless", "--listen", two.endpoint()];
    two.bridge_a = Some(Bridge::start(&two.a, &args));
    two.bridge_a().wait_until_active("sent", "log", true);
    std::thread::scope(|scope| {
        scope.spawn(|| publish_all(&producer, 200));
        consume(&mut consumer, 0..200, |number| {
            if number.is_multiple_of(40) {
                std::thread::sleep(Duration::from_millis(200));
            }
        });
    });
}

/// As `z_sub '**'`, or a storage: it takes all frames and acknowledges none.
#[test]
fn what_takes_frames_and_is_no_bridge_holds_up_the_producer_for_some_seconds_only() {
    let (port, host) = (free_port(), Host::new());
    let endpoint = format!("tcp/127.0.0.1:{port}");
    let bridge = Bridge::start(&host, &["--topic", "*", "--lossless", "--listen", &endpoint]);
    let producer = lossless(&host);
    let session = session(port);
    let subscriber = session.declare_subscriber("**").wait().unwrap();
    bridge.wait_until_active("sent", "log", true);
    // After a minute the producer would pass the bridge over.
    publish_all(&producer, 200);
    let stats = producer.stats();
    assert_eq!((stats.published, stats.dropped, stats.stalls), (200, 0, 0));
    drop(subscriber);
}
