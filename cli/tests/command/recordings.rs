//! `record` and `replay`: MCAP files, exact to the bit, whatever ends the recording.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mcap::records::Record;
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shmflow::meta::{Clock, Flags, Kind, Meta, Plane, Times, VideoLayout};
use shmflow::{Consumer, Producer, StartAt};

use crate::support::{Dir, LONG, Pty, Ran};

/// A frame: metadata block and payload.
type Frame = (Vec<u8>, Vec<u8>);
/// A topic, and its frame of a number.
type Topic = (&'static str, fn(u64) -> Frame);

fn times(number: u64) -> Times {
    Times::default()
        .capture_ns(1_000 + number)
        .clock(Clock::Monotonic)
        .pts(number * 20)
        .dts(number * 20 - 5)
        .duration(20)
}

fn picture(number: u64) -> Frame {
    let layout = VideoLayout::new("RGB", 4, 2, vec![Plane { offset: 0, stride: 16 }]).fps(50, 1);
    let meta = Meta::new(Kind::Video).caps("video/x-raw, format=(string)RGB").video(Some(layout));
    let mut meta = meta.times(times(number));
    meta.offset = Some(number);
    (meta.to_vec().unwrap(), (0..32).map(|at| at ^ number as u8).collect())
}

fn packet(number: u64) -> Frame {
    let caps = "video/x-h264, stream-format=(string)byte-stream, alignment=(string)au";
    let mut meta = Meta::new(Kind::Packet).caps(caps).times(times(number));
    meta.flags = if number % 10 == 1 { Flags::DISCONT } else { Flags::DELTA_UNIT };
    (meta.to_vec().unwrap(), format!("\0\0\0\u{1}packet {number}").into_bytes())
}

/// Bytes that are no block of metadata, and no payload.
fn odd(number: u64) -> Frame {
    (if number.is_multiple_of(2) { Vec::new() } else { b"no block".to_vec() }, Vec::new())
}

fn publish(producer: &Producer, (meta, payload): &Frame) {
    let mut claim = producer.claim(payload.len()).unwrap();
    claim.copy_from(payload);
    claim.set_meta_bytes(meta).unwrap();
    claim.publish().unwrap();
}

/// A topic whose producer waits for its consumers.
fn lossless(dir: &Dir, topic: &str) -> Producer {
    let builder = Producer::builder(topic).dir(&dir.0).overflow_policy(shmflow::OverflowPolicy::Lossless);
    builder.stall_timeout(Duration::ZERO).open().unwrap()
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A command that runs beside the test; dead when this is dropped.
struct Beside(Child);

impl Beside {
    fn new(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().cast_signed()), signal).unwrap();
    }

    fn finish(mut self) -> (Option<i32>, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.0.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.0.wait().unwrap().code(), out, err)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn record(dir: &Dir, args: &[&str]) -> Beside {
    Beside::new(dir.command(&[&["record"], args].concat()).current_dir(&dir.0))
}

/// Publishes so many frames of each topic, all recorded, and ends the streams.
fn recording(dir: &Dir, topics: &[Topic], frames: u64, args: &[&str]) -> (Option<i32>, String, String) {
    let producers: Vec<_> = topics.iter().map(|(topic, _)| lossless(dir, topic)).collect();
    let names: Vec<_> = topics.iter().map(|(topic, _)| *topic).collect();
    let recorder = record(dir, &[&names, args].concat());
    for producer in &producers {
        wait_for("the recorder joins", || producer.consumer_count() == 1);
    }
    for number in 1..=frames {
        for (producer, (_, frame)) in producers.iter().zip(topics) {
            publish(producer, &frame(number));
        }
    }
    producers.iter().for_each(Producer::end);
    recorder.finish()
}

/// What a consumer of a topic receives, to the end of the stream.
fn received(dir: PathBuf, topic: &str) -> std::thread::JoinHandle<Vec<Frame>> {
    let builder = Consumer::builder(topic).dir(&dir).start(StartAt::Oldest).connect_timeout(LONG);
    let topic = topic.to_owned();
    std::thread::spawn(move || {
        let mut consumer = builder.open().unwrap();
        let mut frames = Vec::new();
        loop {
            match consumer.recv_timeout(LONG) {
                Ok(frame) => frames.push((frame.meta_bytes(), frame.to_vec())),
                Err(shmflow::Error::Ended { .. }) => return frames,
                Err(error) => panic!("{topic}: {error}"),
            }
        }
    })
}

/// Messages of each topic as the crate reads them, to where the file ends.
fn messages(path: &Path) -> BTreeMap<String, Vec<Vec<u8>>> {
    let bytes = std::fs::read(path).unwrap();
    let (mut rest, mut reader) = (&bytes[..], LinearReader::new());
    let (mut channels, mut found) = (BTreeMap::new(), BTreeMap::<_, Vec<_>>::new());
    while let Some(Ok(event)) = reader.next_event() {
        match event {
            LinearReadEvent::ReadRequest(wanted) => {
                let got = rest.read(reader.insert(wanted)).unwrap();
                reader.notify_read(got);
            }
            LinearReadEvent::Record { opcode, data } => match mcap::parse_record(opcode, data).unwrap() {
                Record::Channel(channel) => drop(channels.insert(channel.id, channel.topic)),
                Record::Message { header, data } => {
                    found.entry(channels[&header.channel_id].clone()).or_default().push(data.to_vec());
                }
                _ => {}
            },
        }
    }
    found
}

#[test]
fn frames_are_replayed_as_they_were_to_the_bit() {
    let dir = Dir::new();
    let topics: [Topic; 3] = [("cam/raw", picture), ("cam/h264", packet), ("odd", odd)];
    let (status, out, err) = recording(&dir, &topics, 40, &["-o", "run.mcap", "--json"]);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    let schemas: Vec<_> = told["topics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["schema"], &one["frames"], &one["lost"]))
        .collect();
    let of = |schema: &str| serde_json::Value::from(schema);
    assert_eq!(
        schemas,
        [
            (&of("foxglove.CompressedVideo"), &40.into(), &0.into()),
            (&of("foxglove.RawImage"), &40.into(), &0.into()),
            (&of("shmflow.Frame"), &40.into(), &0.into()),
        ]
    );
    let consumers: Vec<_> = ["new/raw", "cam/h264", "odd"].map(|topic| received(dir.0.clone(), topic)).into();
    let args = [
        "replay",
        "run.mcap",
        "--wait",
        "--lossless",
        "--rate",
        "max",
        "--rename",
        "cam/raw:new/raw",
        "--json",
    ];
    let ran = Ran(dir.command(&args).current_dir(&dir.0).output().unwrap());
    assert_eq!((ran.status(), ran.err()), (0, ""));
    assert_eq!(ran.json()["frames"], 120);
    for (consumer, (topic, frame)) in consumers.into_iter().zip(topics) {
        let expected: Vec<_> = (1..=40).map(frame).collect();
        assert!(consumer.join().unwrap() == expected, "{topic}");
    }
}

#[test]
fn frames_of_all_topics_are_played_in_the_order_in_which_they_were_published() {
    let dir = Dir::new();
    let topics: [Topic; 2] = [("one", picture), ("two", odd)];
    assert_eq!(recording(&dir, &topics, 20, &["-o", "run.mcap"]).0, Some(0));
    // The same messages in the order of their topics, as a recorder writes them whose threads are held up.
    let bytes = std::fs::read(dir.0.join("run.mcap")).unwrap();
    let mut messages: Vec<_> = mcap::MessageStream::new(&bytes).unwrap().collect::<Result<_, _>>().unwrap();
    messages.sort_by(|one, other| {
        (&other.channel.topic, one.log_time).cmp(&(&one.channel.topic, other.log_time))
    });
    let file = std::fs::File::create(dir.0.join("turned.mcap")).unwrap();
    let options = mcap::WriteOptions::new().compression(None).chunk_size(Some(2_000));
    let mut writer = options.create(std::io::BufWriter::new(file)).unwrap();
    messages.iter().for_each(|message| writer.write(message).unwrap());
    writer.finish().unwrap();
    drop(writer);

    let moments = ["one", "two"].map(|topic| {
        let builder = Consumer::builder(topic).dir(&dir.0).connect_timeout(LONG);
        std::thread::spawn(move || {
            let mut consumer = builder.open().unwrap();
            let mut moments = Vec::new();
            while let Ok(frame) = consumer.recv_timeout(LONG) {
                moments.push((frame.published_ns(), topic));
            }
            moments
        })
    });
    let args = ["replay", "turned.mcap", "--wait", "--lossless", "--rate", "max"];
    let ran = Ran(dir.command(&args).current_dir(&dir.0).output().unwrap());
    assert_eq!((ran.status(), ran.err()), (0, ""));
    let mut played: Vec<_> = moments.into_iter().flat_map(|moments| moments.join().unwrap()).collect();
    played.sort_unstable();
    let played: Vec<_> = played.into_iter().map(|(_, topic)| topic).collect();
    messages.sort_by_key(|message| message.log_time);
    let published: Vec<_> = messages.iter().map(|message| message.channel.topic.as_str()).collect();
    assert_eq!(played, published);
    assert_eq!(played[..4], ["one", "two", "one", "two"]);
}

#[test]
fn a_byte_that_has_changed_is_found_where_there_are_checksums() {
    let dir = Dir::new();
    let topics: [Topic; 2] = [("one", picture), ("two", packet)];
    assert_eq!(recording(&dir, &topics, 20, &["-o", "run.mcap", "--checksums"]).0, Some(0));
    let whole = std::fs::read(dir.0.join("run.mcap")).unwrap();
    let replay = |name: &str, bytes: &[u8]| {
        std::fs::write(dir.0.join(name), bytes).unwrap();
        let args = ["replay", name, "--rate", "max"];
        Ran(dir.command(&args).current_dir(&dir.0).output().unwrap())
    };
    assert_eq!(replay("same.mcap", &whole).status(), 0);
    let at = whole.windows(9).position(|bytes| bytes == b"packet 11").unwrap();
    let mut changed = whole.clone();
    changed[at] ^= 1;
    let ran = replay("changed.mcap", &changed);
    assert!(ran.status() == 1 && ran.err().contains("changed.mcap is damaged near byte"), "{}", ran.err());
    // Without an index, too: it ends in the middle of the last record.
    let cut = changed.len() - 20;
    let ran = replay("cut.mcap", &changed[..cut]);
    assert!(ran.status() == 1 && ran.err().contains("cut.mcap is damaged near byte"), "{}", ran.err());
    assert!(replay("uncut.mcap", &whole[..cut]).err().contains("was cut off"));
}

#[test]
fn a_recording_is_an_indexed_mcap_file_that_foxglove_can_show() {
    let dir = Dir::new();
    let (status, _, err) = recording(&dir, &[("cam", picture), ("video", packet)], 25, &["-o", "run.mcap"]);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    let bytes = std::fs::read(dir.0.join("run.mcap")).unwrap();
    let summary = mcap::Summary::read(&bytes).unwrap().unwrap();
    let statistics = summary.stats.as_ref().unwrap();
    assert_eq!((statistics.message_count, statistics.channel_count), (50, 2));
    let mut indexed = 0;
    for chunk in &summary.chunk_indexes {
        let indexes = summary.read_message_indexes(&bytes, chunk).unwrap();
        for (channel, entries) in indexes {
            for entry in entries {
                let message = summary.seek_message(&bytes, chunk, &entry).unwrap();
                assert!(message.channel.id == channel.id && message.log_time == entry.log_time);
                indexed += 1;
            }
        }
    }
    assert_eq!(indexed, 50);
    let mut stream = mcap::MessageStream::new(&bytes).unwrap().map(Result::unwrap);
    let first = stream.find(|message| message.channel.topic == "cam").unwrap();
    let schema = first.channel.schema.as_ref().unwrap();
    assert_eq!((schema.name.as_str(), schema.encoding.as_str()), ("foxglove.RawImage", "protobuf"));
    assert!(first.data.ends_with(&picture(1).1), "the payload is there once, and last");
    let named = |name: &[u8]| schema.data.windows(name.len()).any(|bytes| bytes == name);
    assert!(named(b"encoding") && named(b"shmflow_meta") && named(b".google.protobuf.Timestamp"));
}

#[test]
fn what_a_killed_recorder_has_written_is_whole_and_is_replayed() {
    let dir = Dir::new();
    let path = dir.0.join("run.mcap");
    for round in 0..6 {
        let producer = lossless(&dir, "cam");
        let recorder = record(&dir, &["cam", "-o", "run.mcap", "--overwrite"]);
        wait_for("the recorder joins", || producer.consumer_count() == 1);
        // Large enough that most kills come within a frame.
        let frame = |number: u64| (picture(number).0, vec![number as u8; 3 << 20]);
        let mut published = 0;
        for number in 1..=6 + round {
            publish(&producer, &frame(number));
            published = number;
        }
        recorder.signal(Signal::SIGKILL);
        let _ = recorder.finish();
        drop(producer);
        let found = messages(&path).remove("cam").unwrap_or_default();
        let whole = found.len() as u64;
        assert!(whole <= published, "{whole} of {published}");
        // The ring holds eight frames that it had not read.
        assert!(whole + 9 >= published, "{whole} of {published}");
        for (number, message) in (1..).zip(&found) {
            assert!(message.ends_with(&frame(number).1), "frame {number} of round {round}");
        }
        let ran = Ran(dir
            .command(&["replay", "run.mcap", "--rate", "max", "--json"])
            .current_dir(&dir.0)
            .output()
            .unwrap());
        assert_eq!(ran.status(), 0, "{}", ran.err());
        assert_eq!(ran.json()["frames"], whole);
        assert!(ran.err().contains("was cut off"), "{}", ran.err());
    }
}

#[test]
fn a_file_cut_off_anywhere_is_replayed_up_to_there() {
    let dir = Dir::new();
    let (status, _, _) = recording(&dir, &[("cam", picture)], 12, &["-o", "run.mcap"]);
    assert_eq!(status, Some(0));
    let bytes = std::fs::read(dir.0.join("run.mcap")).unwrap();
    let mut before = 0;
    for len in (1..bytes.len()).step_by(bytes.len() / 40) {
        std::fs::write(dir.0.join("cut.mcap"), &bytes[..len]).unwrap();
        let args = ["replay", "cut.mcap", "--rate", "max", "--json"];
        let ran = Ran(dir.command(&args).current_dir(&dir.0).output().unwrap());
        assert_eq!(ran.status(), 0, "{len}: {}", ran.err());
        assert!(ran.err().contains("was cut off"), "{len}: {}", ran.err());
        let frames = ran.json()["frames"].as_u64().unwrap();
        assert!(frames >= before, "{len}: {frames} after {before}");
        before = frames;
    }
    assert_eq!(before, 12);
    // Damage in the middle is told, and no panic.
    for at in (0..bytes.len()).step_by(bytes.len() / 60) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xff;
        std::fs::write(dir.0.join("cut.mcap"), &damaged).unwrap();
        let ran =
            Ran(dir.command(&["replay", "cut.mcap", "--rate", "max"]).current_dir(&dir.0).output().unwrap());
        assert!(ran.status() <= 1 && !ran.err().contains("panicked"), "{at}: {}", ran.err());
        assert!(ran.err().lines().count() <= 2, "{at}: {}", ran.err());
    }
}

#[test]
fn a_full_disk_ends_it_with_one_line_and_a_file_that_can_be_read() {
    let dir = Dir::new();
    let producer = lossless(&dir, "cam");
    // A limit on the size of files is a disk that is full after so many bytes.
    let mut command = Command::new("bash");
    let line = "trap '' XFSZ; ulimit -f 2000; exec \"$0\" record cam -o run.mcap";
    command.args(["-c", line, env!("CARGO_BIN_EXE_shmflow")]).env("SHMFLOW_DIR", &dir.0).current_dir(&dir.0);
    let recorder = Beside::new(&mut command);
    wait_for("the recorder joins", || producer.consumer_count() == 1);
    let frame = |number: u64| (picture(number).0, vec![number as u8; 300_000]);
    for number in 1..=10 {
        publish(&producer, &frame(number));
    }
    let (status, _, err) = recorder.finish();
    assert_eq!(status, Some(1), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(err.contains("cannot write run.mcap") && err.contains("can be replayed"), "{err}");
    let found = messages(&dir.0.join("run.mcap")).remove("cam").unwrap();
    assert_eq!(found.len(), 6, "what fits into 2000 KiB");
    assert!(found[5].ends_with(&frame(6).1));
}

#[test]
fn files_are_split_by_size_and_by_time_and_played_one_after_the_other() {
    let dir = Dir::new();
    let large: fn(u64) -> Frame = |number| (picture(number).0, vec![number as u8; 30_000]);
    let (status, out, err) =
        recording(&dir, &[("cam", large)], 20, &["-o", "run.mcap", "--split-size", "100K", "--json"]);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    let files: Vec<_> =
        told["files"].as_array().unwrap().iter().map(|file| file["file"].as_str().unwrap()).collect();
    assert!(files.len() >= 6 && files[..2] == ["run-000.mcap", "run-001.mcap"], "{files:?}");
    for file in &files {
        let bytes = std::fs::read(dir.0.join(file)).unwrap();
        assert!(bytes.len() < 110_000 && mcap::Summary::read(&bytes).unwrap().is_some(), "{file}");
    }
    let consumer = received(dir.0.clone(), "cam");
    let args = [&["replay"], &files[..], &["--rate", "max", "--lossless", "--wait"]].concat();
    let ran = Ran(dir.command(&args).current_dir(&dir.0).output().unwrap());
    assert_eq!((ran.status(), ran.err()), (0, ""));
    assert!(consumer.join().unwrap() == (1..=20).map(large).collect::<Vec<_>>());

    let producer = lossless(&dir, "slow");
    let recorder = record(&dir, &["slow", "-o", "slow.mcap", "--split-time", "0.1", "--json"]);
    wait_for("the recorder joins", || producer.consumer_count() == 1);
    for number in 1..=8 {
        publish(&producer, &picture(number));
        std::thread::sleep(Duration::from_millis(40));
    }
    producer.end();
    let (status, _, err) = recorder.finish();
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert!(dir.0.join("slow-000.mcap").exists() && dir.0.join("slow-001.mcap").exists());
}

#[test]
fn files_of_an_earlier_recording_are_neither_in_the_way_nor_taken_for_new_ones() {
    let dir = Dir::new();
    let producer = Producer::builder("cam").dir(&dir.0).persistent(true).open().unwrap();
    publish(&producer, &picture(1));
    producer.end();
    for name in
        ["run-001.mcap", "run-003.mcap", "run-2024.mcap", "run-1.mcap", "run-003.mcap.old", "run-x.mcap"]
    {
        std::fs::write(dir.0.join(name), "of before").unwrap();
    }
    let record = |more: &[&str]| {
        let args = [&["record", "cam", "-o", "run.mcap", "--split-time", "60"], more].concat();
        Ran(dir.command(&args).current_dir(&dir.0).output().unwrap())
    };
    // Not after three minutes.
    let ran = record(&[]);
    assert!(ran.status() == 1 && ran.err().contains("run-001.mcap exists"), "{}", ran.err());
    assert!(!dir.0.join("run-000.mcap").exists());
    let ran = record(&["--overwrite"]);
    assert_eq!((ran.status(), ran.err()), (0, ""));
    let mut left: Vec<_> = std::fs::read_dir(&dir.0)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("run"))
        .collect();
    left.sort();
    assert_eq!(left, ["run-000.mcap", "run-003.mcap.old", "run-1.mcap", "run-2024.mcap", "run-x.mcap"]);
}

#[test]
fn a_stream_that_ends_and_goes_on_is_recorded_as_long_as_another_one_runs() {
    let dir = Dir::new();
    let other = lossless(&dir, "other");
    let mut producer = lossless(&dir, "cam");
    let recorder = record(&dir, &["cam", "other", "-o", "run.mcap", "--json"]);
    wait_for("the recorder joins", || producer.consumer_count() == 1 && other.consumer_count() == 1);
    let all_read = || {
        let info = shmflow::inspect("cam", Some(&dir.0)).unwrap();
        info.consumers().all(|consumer| consumer.lag == Some(0) && consumer.waiting)
    };
    for round in 0..3 {
        for number in 1..=5 {
            publish(&producer, &picture(5 * round + number));
            publish(&other, &odd(number));
        }
        producer.end();
        // It has seen the end, and is told of another producer's frames all the same.
        wait_for("the end is seen", all_read);
        drop(producer);
        producer = lossless(&dir, "cam");
    }
    publish(&producer, &picture(16));
    wait_for("the last frame is read", all_read);
    producer.end();
    other.end();
    let (status, out, err) = recorder.finish();
    assert_eq!((status, err.as_str()), (Some(0), ""));
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&told["topics"][0]["frames"], &told["topics"][1]["frames"]),
        (&16.into(), &15.into()),
        "{told}"
    );
}

#[test]
fn intervals_are_kept_and_the_rate_the_start_and_the_topics_are_ones_choice() {
    let dir = Dir::new();
    let producer = lossless(&dir, "cam");
    let other = lossless(&dir, "other");
    let recorder = record(&dir, &["cam", "other", "-o", "run.mcap"]);
    wait_for("the recorder joins", || producer.consumer_count() == 1 && other.consumer_count() == 1);
    let begun = Instant::now();
    for number in 1..=10 {
        publish(&producer, &picture(number));
        publish(&other, &odd(number));
        std::thread::sleep(Duration::from_millis(50));
    }
    let took = begun.elapsed();
    producer.end();
    other.end();
    assert_eq!(recorder.finish().0, Some(0));
    drop((producer, other));
    let replay = |args: &[&str]| {
        let ran = Ran(dir
            .command(&[&["replay", "run.mcap", "--json"], args].concat())
            .current_dir(&dir.0)
            .output()
            .unwrap());
        assert_eq!((ran.status(), ran.err()), (0, ""), "{args:?}");
        (ran.json()["frames"].as_u64().unwrap(), ran.json()["seconds"].as_f64().unwrap())
    };
    let (frames, seconds) = replay(&[]);
    assert!(frames == 20 && seconds >= took.as_secs_f64() - 0.06, "{frames} in {seconds}");
    let (frames, seconds) = replay(&["--rate", "0.5", "--topic", "cam"]);
    assert!(frames == 10 && seconds >= 2.0 * took.as_secs_f64() - 0.12, "{frames} in {seconds}");
    let (frames, _) = replay(&["--rate", "max", "--topic", "cam", "--start", "0.22"]);
    assert!((1..=6).contains(&frames), "{frames}");
    let (frames, _) = replay(&["--rate", "max", "--topic", "cam", "--duration", "0.12"]);
    assert!((1..=3).contains(&frames), "{frames}");
}

#[test]
fn ctrl_c_ends_both_cleanly() {
    let dir = Dir::new();
    let producer = lossless(&dir, "cam");
    let recorder = record(&dir, &["cam", "-o", "run.mcap"]);
    wait_for("the recorder joins", || producer.consumer_count() == 1);
    for number in 1..=20 {
        publish(&producer, &picture(number));
    }
    wait_for("all are read", || {
        let info = shmflow::inspect("cam", Some(&dir.0)).unwrap();
        info.consumers().all(|consumer| consumer.lag == Some(0))
    });
    recorder.signal(Signal::SIGINT);
    let (status, out, err) = recorder.finish();
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert!(out.contains("cam") && out.contains("20") && out.contains("run.mcap:"), "{out}");
    assert!(mcap::Summary::read(&std::fs::read(dir.0.join("run.mcap")).unwrap()).unwrap().is_some());
    drop(producer);

    let mut consumer = Consumer::builder("cam").dir(&dir.0).connect_timeout(LONG);
    consumer = consumer.start(StartAt::Oldest);
    let replay =
        Beside::new(dir.command(&["replay", "run.mcap", "--loop", "--rate", "0.01"]).current_dir(&dir.0));
    let mut consumer = consumer.open().unwrap();
    consumer.recv_timeout(LONG).unwrap();
    replay.signal(Signal::SIGTERM);
    let (status, out, err) = replay.finish();
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert!(out.contains("RECORDED AS"), "{out}");
    wait_for("the stream has ended", || {
        !matches!(consumer.try_recv(), Ok(Some(_))) && consumer.stream_status().ended
    });
}

#[test]
fn losses_are_told_while_it_runs_and_at_the_end() {
    let dir = Dir::new();
    let producer = dir.producer("cam");
    let recorder = record(&dir, &["cam", "-o", "run.mcap", "--json"]);
    wait_for("the recorder joins", || producer.consumer_count() == 1);
    recorder.signal(Signal::SIGSTOP);
    for number in 1..=100 {
        publish(&producer, &picture(number));
    }
    recorder.signal(Signal::SIGCONT);
    wait_for("all are read", || {
        let info = shmflow::inspect("cam", Some(&dir.0)).unwrap();
        info.consumers().all(|consumer| consumer.lag == Some(0))
    });
    producer.end();
    let (status, out, err) = recorder.finish();
    assert_eq!(status, Some(0));
    assert!(err.contains("overwritten before they were recorded"), "{err}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    let (frames, lost) =
        (told["topics"][0]["frames"].as_u64().unwrap(), told["topics"][0]["lost"].as_u64().unwrap());
    assert!(lost > 0 && frames + lost == 100, "{frames} and {lost}");
}

#[test]
fn on_a_terminal_a_line_tells_how_far_it_is() {
    let dir = Dir::new();
    let producer = dir.producer("cam");
    publish(&producer, &picture(1));
    let file = dir.0.join("run.mcap");
    let file = file.to_str().unwrap();
    let mut pty = Pty::new(&dir, &["record", "cam", "-o", file], 80, 24);
    pty.wait("how far", |screen| screen.contains("1 frame") && screen.contains("Ctrl-C ends it"));
    pty.interrupt();
    let (status, _) = pty.finish();
    assert_eq!(status, 0);
    drop(producer);
    let mut pty = Pty::new(&dir, &["replay", file, "--loop"], 80, 24);
    pty.wait("a bar", |screen| screen.contains('[') && screen.contains("frame"));
    pty.interrupt();
    assert_eq!(pty.finish().0, 0);
}

#[test]
fn mistakes_are_told_in_one_line() {
    let dir = Dir::new();
    let producer = dir.producer("cam");
    publish(&producer, &picture(1));
    let text = dir.0.join("text.mcap");
    std::fs::write(&text, "no recording").unwrap();
    let text = text.to_str().unwrap();
    let run = dir.0.join("run.mcap");
    let run = run.to_str().unwrap();
    assert_eq!(dir.run(&["record", "cam", "-o", run, "-n", "1"]).status(), 0);
    // Up to the index at its end.
    let cut = dir.0.join("cut.mcap");
    let bytes = std::fs::read(run).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() - 20]).unwrap();
    let cut = cut.to_str().unwrap();
    for (args, status, said) in [
        (&["record", "can", "-o", "/nowhere"][..], 3, "there is no topic"),
        (&["record", "cam", "-o", "/nowhere/run.mcap", "-n", "1"], 1, "cannot write /nowhere/run.mcap"),
        (&["record", "cam", "-o", text, "-n", "1"], 1, "exists; give another name, or --overwrite"),
        // Before it waits for a topic.
        (&["record", "none", "--wait", "-o", text], 1, "exists; give another name, or --overwrite"),
        (&["record", "cam", "-o", "x", "--split-size", "1"], 2, "between 64K"),
        (&["replay", "/nowhere/run.mcap"], 1, "cannot read /nowhere/run.mcap"),
        (&["replay", text], 1, "is no MCAP file"),
        (&["replay", run, "--rate", "0"], 2, "between 0.001 and 1000"),
        (&["replay", run, "--rename", "cam"], 2, "a colon"),
        (&["replay", run], 1, "has a producer, camera"),
        (&["replay", run, "--topic", "none", "--wait"], 3, "no topic `none` was recorded\n"),
        (&["replay", run, "--topic", "camm"], 3, "no topic `camm` was recorded (did you mean `cam`?)"),
        (&["replay", run, "--rename", "camm:new"], 3, "no topic `camm` was recorded (did you mean `cam`?)"),
        (&["replay", cut, "--topic", "camm"], 3, "no topic `camm` was recorded (did you mean `cam`?)"),
        (
            &["replay", run, "--topic", "cam", "--rename", "cam:other", "--start", "9"],
            1,
            "no frame of topic `cam`",
        ),
    ] {
        let ran = dir.run(args);
        assert!(ran.status() == status && ran.err().contains(said), "{args:?}: {}", ran.err());
    }
    assert_eq!(std::fs::read(text).unwrap(), b"no recording");
}
