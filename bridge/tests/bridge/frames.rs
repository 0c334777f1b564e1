//! What arrives is what was sent.

use shmflow::Error;
use shmflow::meta::{
    Clock, Crop, Detections, Finding, Flags, Kind, Meta, Object, Plane, Region, Tags, Times, VideoLayout,
};

use crate::support::{Two, meta, next, wait_until};

const ALL: &[&str] = &["--topic", "*"];

fn picture(number: u64) -> Meta {
    let now = u64::try_from(
        std::time::Duration::from(nix::time::ClockId::CLOCK_MONOTONIC.now().unwrap()).as_nanos(),
    )
    .unwrap();
    let times = Times::default()
        .capture_ns(now)
        .clock(Clock::Monotonic)
        .pts(number * 40)
        .dts(number * 40 + 1)
        .duration(40)
        .latency_ns(5);
    let video = VideoLayout::new("BGRx", 64, 48, [Plane { offset: 16, stride: -256 }]).fps(30, 1);
    let person = Finding::Object(Object::new("person", 0.9, 1, 2, 3, 4));
    Meta::new(Kind::Video)
        .caps("video/x-raw, format=(string)BGRx, width=(int)64, height=(int)48, framerate=(fraction)30/1")
        .flags(Flags::LIVE | Flags::MARKER | Flags::TFF)
        .video(video)
        .crop(Crop { x: 2, y: 4, width: 60, height: 40 })
        .times(times)
        .offset(number)
        .offset_end(number + 1)
        .entry(&Tags::new("taglist, title=(string)\"Front door\""))
        .unwrap()
        .entry(&Detections::new(vec![person], vec![]))
        .unwrap()
        .entry(&Region::new("face", 10, 20, 30, 40))
        .unwrap()
        .extension(0x8001, b"exposure=12ms")
}

#[test]
fn frames_arrive_with_all_that_they_came_with_whatever_their_size() {
    let two = Two::new(ALL, ALL);
    let producer = two.a.producer("cam0");
    let mut consumer = two.b.consumer("cam0");
    two.bridge_a().wait_until_active("sent", "cam0", true);
    // Within a slot, beyond it, and more than a packet of the network has; each changes the format.
    for (number, len) in [0_usize, 5, 12_288, 1, 700_000, 3_000_000, 100].into_iter().enumerate() {
        let payload: Vec<u8> = (0..len).map(|at| (at * 7 + number) as u8).collect();
        let number = u64::try_from(number).unwrap();
        let mut sent = picture(number);
        sent.extensions
            .push(shmflow::meta::Extension::new(0x8002, vec![number as u8; 3000 * number as usize]));
        producer.write_with(&payload, &sent).unwrap();
        let frame = next(&mut consumer);
        assert_eq!(&*frame, payload);
        assert_eq!(frame.lost_before(), 0);
        let mut came = meta(&frame).unwrap();
        // Both are the same host, so the times should be the same, too.
        let (before, after) = (sent.times.capture_ns.unwrap(), came.times.capture_ns.unwrap());
        let error = two.bridge_b().fresh_stats()["received"]["cam0"]["clock_error_ns"].as_u64().unwrap();
        assert!(before.abs_diff(after) <= error, "{before} became {after}, more than {error} off");
        came.times.capture_ns = sent.times.capture_ns;
        assert_eq!(came, sent);
    }
    assert_eq!(two.bridge_b().count("received", "cam0", "lost"), 0);
}

#[test]
fn bare_bytes_stay_bare() {
    let two = Two::new(ALL, ALL);
    let producer = two.a.producer("log");
    let mut consumer = two.b.consumer("log");
    two.bridge_a().wait_until_active("sent", "log", true);
    for line in [&b"one"[..], b"", b"three"] {
        producer.write(line).unwrap();
        let frame = next(&mut consumer);
        assert_eq!((&*frame, frame.meta_bytes().len()), (line, 0));
    }
}

#[test]
fn who_comes_late_gets_what_the_ring_has_and_then_each_frame_once() {
    let two = Two::new(ALL, ALL);
    let producer = two.a.producer("cam0");
    for number in 0..20 {
        producer.write_with(&[number], &picture(number.into())).unwrap();
    }
    let mut consumer = two.b.consumer("cam0");
    // The depth is 8.
    for number in 12..20 {
        assert_eq!(next(&mut consumer)[0], number);
    }
    producer.write_with(&[20], &picture(20)).unwrap();
    assert_eq!(next(&mut consumer)[0], 20);
    // A second one here gets what the ring here has.
    let mut second = two.b.consumer("cam0");
    assert!(next(&mut second)[0] <= 20);
    assert_eq!(two.bridge_a().fresh_stats()["sent"]["cam0"]["frames"], 9);
}

#[test]
fn what_was_left_on_purpose_is_there_for_another_host() {
    let two = Two::new(ALL, ALL);
    let map = shmflow::Producer::builder("map").dir(&two.a.0).persistent(true).description("The map");
    map.open().unwrap().write(b"all of it").unwrap();
    assert_eq!(&*next(&mut two.b.consumer("map")), b"all of it");
    let info = shmflow::inspect("map", Some(&two.b.0)).unwrap();
    assert_eq!(info.description.as_deref(), Some("The map"));
    shmflow::remove("map", Some(&two.a.0), true).unwrap();
}

#[test]
fn an_end_arrives_after_the_last_frame_and_the_stream_may_go_on() {
    let two = Two::new(ALL, ALL);
    let producer = two.a.producer("film");
    let mut consumer = two.b.consumer("film");
    two.bridge_a().wait_until_active("sent", "film", true);
    for _ in 0..2 {
        producer.write(b"frame").unwrap();
        producer.end();
        assert_eq!(&*next(&mut consumer), b"frame");
        assert!(matches!(
            consumer.recv_timeout(std::time::Duration::from_secs(60)),
            Err(Error::Ended { .. })
        ));
    }
    // Who comes to a stream that has ended learns it, too.
    let late = two.b.consumer("film");
    wait_until("it has ended", || late.stream_status().ended.then_some(()));
}

#[test]
fn a_topic_that_is_removed_is_removed_here_and_may_come_again() {
    let two = Two::new(ALL, ALL);
    let producer = two.a.producer("cam0");
    let mut consumer = two.b.consumer("cam0");
    two.bridge_a().wait_until_active("sent", "cam0", true);
    producer.write(b"old").unwrap();
    assert_eq!(&*next(&mut consumer), b"old");
    shmflow::remove("cam0", Some(&two.a.0), true).unwrap();
    let removed = wait_until("it is told", || consumer.try_recv().err());
    assert!(matches!(removed, Error::Removed { .. }), "{removed}");
    drop((producer, consumer));
    let producer = two.a.producer("cam0");
    producer.write(b"new").unwrap();
    assert_eq!(&*next(&mut two.b.consumer("cam0")), b"new");
}

#[test]
fn a_topic_whose_last_producer_leaves_goes_when_nobody_reads_it() {
    let two = Two::new(ALL, ALL);
    let producer = two.a.producer("cam0");
    two.b.wait_for("cam0");
    drop(producer);
    two.b.wait_until_gone("cam0");
}

#[test]
fn several_producers_and_restarts_make_one_stream() {
    let two = Two::new(ALL, ALL);
    let mut first = two.a.producer("chat");
    let second = two.a.producer("chat");
    let mut consumer = two.b.consumer("chat");
    two.bridge_a().wait_until_active("sent", "chat", true);
    for round in 0..5_u8 {
        first.write(&[0, round]).unwrap();
        second.write(&[1, round]).unwrap();
        assert_eq!((&*next(&mut consumer), &*next(&mut consumer)), (&[0, round][..], &[1, round][..]));
        drop(first);
        first = two.a.producer("chat");
    }
    assert_eq!(two.bridge_b().fresh_stats()["received"]["chat"]["lost"], 0);
}

#[test]
fn every_name_of_a_topic_crosses() {
    let two = Two::new(&["--topic", "*", "--prefix", "robot 1"], ALL);
    let names = ["a b*?#$@é", "/", "a//b", "..", "%2F", "@/$*/**", &"x".repeat(190)];
    let producers = names.map(|name| two.a.producer(name));
    for (name, producer) in names.iter().zip(&producers) {
        producer.write(name.as_bytes()).unwrap();
        let here = format!("robot 1/{name}");
        if shmflow::Topic::new(&here, None).is_ok() {
            assert_eq!(&*next(&mut two.b.consumer(&here)), name.as_bytes());
        } else {
            wait_until("it is told", || two.bridge_b().told().contains("too long").then_some(()));
        }
    }
    assert!(two.b.topics().iter().all(|name| name.starts_with("robot 1/")), "{:?}", two.b.topics());
}

#[test]
fn a_key_frame_that_is_asked_for_here_is_asked_for_there() {
    let two = Two::new(ALL, ALL);
    let producer = two.a.producer("cam0.h264");
    let consumer = two.b.consumer("cam0.h264");
    two.bridge_a().wait_until_active("sent", "cam0.h264", true);
    let before = producer.key_frame_requests();
    assert!(consumer.request_key_frame().unwrap());
    wait_until("it is asked for", || (producer.key_frame_requests() > before).then_some(()));
}

#[test]
fn a_rate_is_kept_and_what_it_leaves_out_is_not_lost() {
    let two = Two::new(&["--topic", "*", "--max-rate", "20"], ALL);
    let producer = two.a.producer("cam0");
    let mut consumer = two.b.consumer("cam0");
    two.bridge_a().wait_until_active("sent", "cam0", true);
    let start = std::time::Instant::now();
    let mut published = 0_u32;
    while two.bridge_b().count("received", "cam0", "frames") < 20 {
        producer.write_with(&published.to_le_bytes(), &picture(published.into())).unwrap();
        published += 1;
        std::thread::sleep(std::time::Duration::from_millis(4));
    }
    let rate = 20.0 / start.elapsed().as_secs_f64();
    assert!(rate < 25.0, "{rate} frames a second");
    let stats = two.bridge_b().fresh_stats();
    assert_eq!(stats["received"]["cam0"]["lost"], 0);
    assert!(two.bridge_a().count("sent", "cam0", "omitted") > 0);
    assert!(!next(&mut consumer).meta().unwrap().unwrap().flags.contains(Flags::DISCONT));
}

#[test]
fn with_a_rate_an_encoded_stream_is_whole_or_goes_on_at_a_key_frame() {
    let two = Two::new(&["--topic", "*", "--max-rate", "0.5"], ALL);
    let producer = two.a.producer("cam0");
    let mut consumer = two.b.consumer("cam0");
    two.bridge_a().wait_until_active("sent", "cam0", true);
    let publish = |number: u8, flags: Flags| {
        producer.write_with(&[number], &Meta::new(Kind::Packet).caps("video/x-h264").flags(flags)).unwrap();
    };
    publish(1, Flags::default());
    assert_eq!(next(&mut consumer)[0], 1);
    // The bridge rests for two seconds now, and takes the newest then.
    (2..5).for_each(|number| publish(number, Flags::DELTA_UNIT));
    let before = producer.key_frame_requests();
    wait_until("a key frame is asked for", || (producer.key_frame_requests() > before).then_some(()));
    publish(5, Flags::default());
    publish(6, Flags::DELTA_UNIT);
    let frame = next(&mut consumer);
    assert_eq!((frame[0], frame.meta().unwrap().unwrap().flags), (5, Flags::DISCONT));
    assert_eq!(next(&mut consumer)[0], 6, "it keeps to no rate any more");
    assert_eq!(two.bridge_b().fresh_stats()["received"]["cam0"]["lost"], 2);
}
