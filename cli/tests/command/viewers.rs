//! `serve` and those who watch: topics that end and come again, viewers that do not read, too many of them, or none.

use std::collections::HashSet;
use std::time::Duration;

use shmflow::meta::{Kind, Meta, VideoLayout};

use crate::support::Dir;
use crate::web::{Server, Stream, coloured, picture, viewers, wait};

#[test]
fn a_stream_goes_on_when_its_topic_is_removed_and_made_again() {
    let dir = Dir::new();
    let producer = picture(&dir, "cam", [255, 0, 0]);
    let server = Server::start(&dir, &[]);
    let mut stream = Stream::open(&server, "/topics/cam.mjpg");
    let red = stream.next();
    let (meta, bytes) = coloured([0, 255, 0]);
    producer.write_with(&bytes, &meta).unwrap();
    let green = stream.next();
    assert!(red.starts_with(b"\xff\xd8") && green.starts_with(b"\xff\xd8") && red != green);
    assert_eq!(dir.run(&["rm", "--force", "cam"]).status(), 0);
    drop(producer);
    wait("its place is free again", || dir.is_empty());
    wait("the topic is unknown", || server.get("/topics/cam.jpg").status == 404);
    // Number 1 again, and another frame.
    let producer = picture(&dir, "cam", [0, 255, 0]);
    assert_eq!(stream.next(), green);
    // The end of the stream is not the end of the viewer either.
    producer.end();
    drop(producer);
    wait("nobody keeps a topic that has ended", || dir.is_empty());
    let _producer = picture(&dir, "cam", [255, 0, 0]);
    assert_eq!(stream.next(), red);
}

/// Pictures that the server has made.
fn made(server: &Server) -> usize {
    let metrics = server.get("/metrics").text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("shmflow_serve_pictures_total "));
    line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

#[test]
fn a_picture_is_made_once_for_all_who_look() {
    let dir = Dir::new();
    let producer = picture(&dir, "cam", [0, 0, 0]);
    let server = Server::start(&dir, &["--fps", "240"]);
    assert_eq!(made(&server), 0, "nobody has looked yet");
    let mut viewers: Vec<_> = (0..5).map(|_| Stream::open(&server, "/topics/cam.mjpg")).collect();
    let mut distinct = HashSet::new();
    for shade in 1..=20 {
        // Each is shown to all before there is another one.
        let shown: HashSet<_> = viewers.iter_mut().map(Stream::next).collect();
        assert_eq!(shown.len(), 1, "all see the same");
        distinct.extend(shown);
        let (meta, bytes) = coloured([shade * 12, 0, 0]);
        producer.write_with(&bytes, &meta).unwrap();
    }
    let last: HashSet<_> = viewers.iter_mut().map(Stream::next).collect();
    distinct.extend(last);
    assert_eq!(distinct.len(), 21);
    assert_eq!(made(&server), distinct.len());
    // Another size is another picture.
    assert_eq!(server.get("/topics/cam.jpg?size=small").status, 200);
    assert_eq!(made(&server), distinct.len() + 1);
}

#[test]
fn one_who_does_not_read_holds_nothing_and_stops_nobody() {
    let dir = Dir::new();
    let producer = picture(&dir, "cam", [0, 0, 0]);
    let server = Server::start(&dir, &["--fps", "240"]);
    let stuck = server.connect("/topics/cam.mjpg", "");
    let mut sound = Stream::open(&server, "/topics/cam.mjpg");
    let (layout, len) = VideoLayout::standard("RGB", 320, 180).unwrap();
    let meta = Meta::new(Kind::Video).video(layout);
    let mut last = Vec::new();
    // Noise, so that pictures are large: many times what a connection buffers.
    let mut state = 1_u32;
    for _ in 0..60 {
        let noise = |_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        };
        let bytes: Vec<u8> = (0..len).map(noise).collect();
        producer.write_with(&bytes, &meta).unwrap();
        let next = sound.next();
        assert_ne!(next, last);
        last = next;
        assert!(viewers(&dir, "cam").iter().sum::<u32>() <= 1);
    }
    drop(sound);
    // Nobody watches: the one who does not read does not either.
    wait("the consumer leaves", || viewers(&dir, "cam").is_empty());
    assert_eq!(server.get("/topics/cam.jpg").status, 200);
    drop(stuck);
}

#[test]
fn nobody_watching_costs_nothing() {
    let dir = Dir::new();
    let producer = picture(&dir, "cam", [0, 0, 0]);
    let server = Server::start(&dir, &[]);
    server.get("/api/topics");
    assert!(viewers(&dir, "cam").is_empty(), "to list topics nobody joins them");
    assert_eq!(server.get("/topics/cam.jpg").status, 200);
    let consumers = viewers(&dir, "cam");
    assert!(consumers.len() <= 1 && consumers.iter().all(|held| *held == 0), "{consumers:?}");
    wait("the consumer leaves", || viewers(&dir, "cam").is_empty());
    let spent = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.child.id())).unwrap();
        let after = stat.rsplit_once(')').unwrap().1.to_owned();
        let numbers: Vec<_> = after.split_whitespace().skip(11).take(2).map(str::to_owned).collect();
        numbers.iter().map(|number| number.parse::<u64>().unwrap()).sum::<u64>()
    };
    let before = spent();
    for _ in 0..50 {
        producer.write(b"x").unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(spent() - before <= 1, "hundredths of a second: {}", spent() - before);
}

#[test]
fn there_are_so_many_connections_and_no_more() {
    let dir = Dir::new();
    let server = Server::start(&dir, &["--connections", "3"]);
    let _camera = picture(&dir, "cam", [0, 0, 0]);
    let streams: Vec<_> = (0..3).map(|_| Stream::open(&server, "/topics/cam.mjpg")).collect();
    let answer = server.get("/");
    assert!(
        answer.status == 503 && answer.text().contains("All 3 connections are in use"),
        "{}",
        answer.text()
    );
    drop(streams);
    wait("there is room again", || server.get("/").status == 200);
}

#[test]
fn it_ends_politely() {
    let dir = Dir::new();
    let _camera = picture(&dir, "cam", [0, 0, 0]);
    let server = Server::start(&dir, &[]);
    let mut stream = Stream::open(&server, "/topics/cam.mjpg");
    stream.next();
    assert_eq!(viewers(&dir, "cam").len(), 1);
    let taken = server.address().to_owned();
    let ran = dir.run(&["serve", "--listen", &taken]);
    assert!(
        ran.status() == 1 && ran.err().contains("cannot listen at") && ran.err().contains("another program")
    );
    assert_eq!(server.interrupt(), 0);
    // Each consumer has left, none died.
    assert_eq!(shmflow::inspect("cam", Some(&dir.0)).unwrap().consumers().count(), 0);
    let ran = dir.run(&["serve", "--listen", "192.0.2.1:1"]);
    assert!(ran.status() == 1 && ran.err().contains("cannot listen at 192.0.2.1:1"), "{}", ran.err());
    assert_eq!(dir.run(&["serve", "--listen", "nonsense"]).status(), 2);
}
