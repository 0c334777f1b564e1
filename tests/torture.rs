//! Real programs, killed and stopped at random: nobody else may notice.
//!
//! A binary of its own: it measures how late things are, so nothing else may run beside it, and `make soak` runs it alone.
//! `SHMFLOW_TORTURE_SECONDS` makes it longer (`make soak`), `SHMFLOW_TORTURE_SEED` repeats a run.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test says what it leaves out and what it measured"
)]

#[path = "elements/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gstreamer as gst;

use shmflow::{Consumer, OnLapped, StartAt};
use support::child::Child;
use support::{Running, Topic};

/// Frames a second of every producer here.
const RATE: u32 = 100;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Small and repeatable; quality does not matter.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn milliseconds(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.roll(most - least))
    }
}

fn camera(topic: &Topic, width: usize, more: &str) -> String {
    format!(
        "videotestsrc is-live=true pattern=snow ! video/x-raw,format=GRAY8,width={width},height=240,framerate={RATE}/1 ! {}",
        topic.sink(more)
    )
}

/// Consumers of all kinds: quick, hoarding, slow, converting, reading without registering.
fn consumer(topic: &Topic, kind: u64) -> Child {
    let (source, rest) = match kind {
        0 => ("", "fakesink sync=false"),
        1 => ("", "queue min-threshold-buffers=7 max-size-buffers=8 ! fakesink sync=false"),
        2 => ("on-lapped=oldest", "identity sleep-time=30000 ! fakesink sync=false"),
        3 => ("", "videoconvert ! video/x-raw,format=BGRx ! fakesink"),
        _ => ("read-only=true", "fakesink sync=false"),
    };
    Child::launch(&format!("{} ! {rest}", topic.src(source)))
}

/// How late things happened, in nanoseconds.
#[derive(Debug, Default)]
struct Lateness(Vec<u64>);

impl Lateness {
    fn add(&mut self, since: u64) {
        self.0.push(gst::get_timestamp().nseconds().saturating_sub(since));
    }

    fn per_mille(&mut self, per_mille: usize) -> Duration {
        self.0.sort_unstable();
        let index = self.0.len().saturating_sub(1) * per_mille / 1000;
        Duration::from_nanos(self.0.get(index).copied().unwrap_or_default())
    }

    fn report(&mut self, what: &str) {
        let [half, most, all] = [500, 990, 1000].map(|per_mille| self.per_mille(per_mille));
        println!("{what}: {}, late by p50 {half:?}, p99 {most:?}, most {all:?}", self.0.len());
    }
}

/// What the machine does to a thread that only sleeps: what is worse than that is ours.
fn heartbeat(stop: &AtomicBool) -> Lateness {
    let mut late = Lateness::default();
    while !stop.load(SeqCst) {
        let due = gst::get_timestamp().nseconds() + 10_000_000;
        std::thread::sleep(Duration::from_millis(10));
        late.add(due);
    }
    late
}

/// Has each frame that comes to a sink noted: how late it is after its capture.
fn punctuality(producer: &Running) -> Arc<Mutex<Lateness>> {
    use gst::prelude::*;
    let late: Arc<Mutex<Lateness>> = Arc::default();
    let noted = Arc::clone(&late);
    let pipeline = producer.pipeline.downgrade();
    let pad = producer.element("sink").static_pad("sink").expect("a sink has one");
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let base = pipeline.upgrade().and_then(|pipeline| pipeline.base_time());
        if let (Some(base), Some(time)) = (base, info.buffer().and_then(|buffer| buffer.pts())) {
            noted.lock().expect("nobody panicked").add((base + time).nseconds());
        }
        gst::PadProbeReturn::Ok
    });
    late
}

/// What the witness of the steady producer found.
#[derive(Debug, Default)]
struct Witness {
    frames: u64,
    /// How late each frame was after its capture.
    late: Lateness,
    /// What ought not to be.
    wrong: Vec<String>,
}

/// Reads every frame of a topic until told to stop.
fn witness(topic: &Topic, stop: &AtomicBool) -> Witness {
    let mut consumer = Consumer::builder("video")
        .dir(topic.dir())
        .start(StartAt::Next)
        .on_lapped(OnLapped::Oldest)
        .connect_timeout(Some(Duration::from_secs(20)))
        .open()
        .expect("the steady producer is there");
    let mut found = Witness::default();
    let mut last: Option<(u64, u64)> = None;
    while !stop.load(SeqCst) {
        let frame = match consumer.recv_timeout(Duration::from_secs(2)) {
            Ok(frame) => frame,
            Err(error) => {
                found.wrong.push(format!("after {} frames: {error}", found.frames));
                break;
            }
        };
        let times = frame.meta().ok().flatten().map(|meta| (meta.offset, meta.times.capture_ns));
        let Some((Some(number), Some(capture))) = times else {
            found.wrong.push("a frame without a number or a time".into());
            continue;
        };
        if frame.lost_before() > 0 {
            found.wrong.push(format!("{} frames lost before {number}", frame.lost_before()));
        }
        if let Some((before, captured)) = last {
            if number != before + 1 {
                found.wrong.push(format!("frame {number} after {before}"));
            }
            let step = capture.saturating_sub(captured);
            if step.abs_diff(1_000_000_000 / u64::from(RATE)) > 1_000 {
                found.wrong.push(format!("frame {number} came {step} ns after the one before"));
            }
        }
        last = Some((number, capture));
        found.frames += 1;
        found.late.add(capture);
    }
    found
}

#[test]
fn torture_of_pipelines_leaves_producers_in_time_and_consumers_at_work() {
    let duration = Duration::from_secs(number("SHMFLOW_TORTURE_SECONDS").unwrap_or(30));
    let seed = number("SHMFLOW_TORTURE_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("torture for {duration:?} with SHMFLOW_TORTURE_SEED={seed}");
    // One topic where consumers suffer, and one where producers do.
    let (steady, shaky) = (Topic::new(), Topic::new());
    // Readable for others: consumers that do not register are admitted. Deeper than what all consumers together may hold
    // when they are stopped, so that the witness has no reason at all to lose a frame.
    let producer = Running::playing(&camera(&steady, 320, "perms=0644 max-buffers=64"));
    let viewer =
        Running::playing(&format!("{} ! appsink name=out sync=false", shaky.src("on-lapped=oldest")));
    let pushed = punctuality(&producer);
    let stop = AtomicBool::new(false);
    let firsts: Mutex<BTreeMap<i32, u64>> = Mutex::default();
    let (found, machine, kills) = std::thread::scope(|scope| {
        let beating = scope.spawn(|| heartbeat(&stop));
        let watching = scope.spawn(|| witness(&steady, &stop));
        scope.spawn(|| note_first_frames(&viewer, &firsts, &stop));
        let consumers = scope.spawn(|| torture_consumers(&steady, Dice(seed), &stop));
        let producers = scope.spawn(|| torture_producers(&shaky, Dice(!seed), &firsts, &stop));
        std::thread::sleep(duration);
        stop.store(true, SeqCst);
        let kills = (consumers.join().expect("tortured"), producers.join().expect("tortured"));
        (watching.join().expect("watched"), beating.join().expect("beaten"), kills)
    });
    let pushed = std::mem::take(&mut *pushed.lock().expect("nobody panicked"));
    check_steady(found, pushed, machine, duration);
    assert_eq!(producer.stat("sink", "dropped"), 0);
    assert_eq!(producer.error(), None);
    let (consumers_killed, generations) = kills;
    assert!(consumers_killed as u64 >= duration.as_secs() / 2, "{consumers_killed} consumers were killed");
    check_recoveries(&firsts.into_inner().expect("nobody panicked"), &generations);
    assert_eq!(viewer.error(), None);
    println!("killed: {consumers_killed} consumers, {} producers", generations.len());
}

/// Starts, stops, continues and kills consumers; how many were killed.
fn torture_consumers(topic: &Topic, mut dice: Dice, stop: &AtomicBool) -> usize {
    let mut consumers: Vec<(Child, bool)> = Vec::new();
    let mut killed = 0;
    while !stop.load(SeqCst) {
        let kind = dice.roll(5);
        match dice.roll(6) {
            0..=2 if consumers.len() < 5 => consumers.push((consumer(topic, kind), false)),
            0..=2 | 5 if !consumers.is_empty() => {
                let index = dice.roll(consumers.len() as u64) as usize;
                consumers.swap_remove(index).0.kill();
                killed += 1;
            }
            3 | 4 if !consumers.is_empty() => {
                let index = dice.roll(consumers.len() as u64) as usize;
                let (child, frozen) = &mut consumers[index];
                if std::mem::replace(frozen, !*frozen) {
                    child.thaw();
                } else {
                    child.freeze();
                }
            }
            _ => {}
        }
        for (child, frozen) in &mut consumers {
            assert!(*frozen || child.running(), "a consumer ended by itself:\n{}", child.printed());
        }
        std::thread::sleep(dice.milliseconds(20, 200));
    }
    killed
}

/// Starts producers one after the other, each of its own width, and kills them after a while, some of them stopped.
/// The widths of those whose frames must have been seen.
fn torture_producers(
    topic: &Topic,
    mut dice: Dice,
    firsts: &Mutex<BTreeMap<i32, u64>>,
    stop: &AtomicBool,
) -> Vec<i32> {
    let mut generations = Vec::new();
    while !stop.load(SeqCst) {
        let width = 64 + 4 * generations.len();
        let key = i32::try_from(width).expect("small");
        // Deep enough for the bursts of a machine that is late: what the consumer loses, it loses to the killing.
        let mut producer = Child::launch(&camera(topic, width, "max-buffers=64"));
        let started = Instant::now();
        while !firsts.lock().expect("nobody panicked").contains_key(&key) {
            if stop.load(SeqCst) {
                // Nobody looks any more.
                return generations;
            }
            assert!(producer.running(), "a producer ended by itself:\n{}", producer.printed());
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "the consumer does not see producer {width}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        generations.push(key);
        std::thread::sleep(dice.milliseconds(10, 800));
        if dice.roll(3) == 0 {
            producer.freeze();
            std::thread::sleep(dice.milliseconds(10, 500));
            if dice.roll(2) == 0 {
                producer.thaw();
                std::thread::sleep(dice.milliseconds(10, 300));
            }
        }
        producer.kill();
        std::thread::sleep(dice.milliseconds(0, 300));
    }
    generations
}

/// Notes the number of the first frame of each width that arrives.
fn note_first_frames(viewer: &Running, firsts: &Mutex<BTreeMap<i32, u64>>, stop: &AtomicBool) {
    use gst::prelude::*;
    let sink = viewer.element("out");
    let patience = gst::ClockTime::from_mseconds(100).nseconds();
    while !stop.load(SeqCst) {
        let Some(sample) = sink.emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&patience]) else {
            continue;
        };
        let width = sample.caps().and_then(|caps| caps.structure(0)?.get::<i32>("width").ok()).expect("caps");
        let buffer = sample.buffer().expect("a buffer");
        let complete = usize::try_from(width).is_ok_and(|width| buffer.size() == width * 240);
        assert!(complete, "a frame of {} bytes for width {width}", buffer.size());
        firsts.lock().expect("nobody panicked").entry(width).or_insert(buffer.offset());
    }
}

/// The producer that nobody touched was in time, and so were its frames at the consumer that nobody touched.
fn check_steady(mut found: Witness, mut pushed: Lateness, mut machine: Lateness, duration: Duration) {
    machine.report("sleeps of 10 ms");
    pushed.report("frames produced");
    found.late.report("frames received");
    let first = &found.wrong[..found.wrong.len().min(5)];
    assert!(found.wrong.is_empty(), "{} things are wrong, first: {first:?}", found.wrong.len());
    let due = duration.as_secs() * u64::from(RATE);
    assert!(pushed.0.len() as u64 * 100 >= due * 95, "{} frames produced of {due}", pushed.0.len());
    assert!(found.frames * 100 >= due * 90, "{} frames received of {due}", found.frames);
    // Processes that start and end by the dozen take their share of two processors; a producer that waited for a
    // frozen consumer would wait for as long as that is frozen.
    for late in [&mut pushed, &mut found.late] {
        let (half, all) = (late.per_mille(500), late.per_mille(1000));
        assert!(half < Duration::from_millis(20) + machine.per_mille(500), "half are late by {half:?}");
        assert!(all < Duration::from_millis(300) + 3 * machine.per_mille(1000), "one is late by {all:?}");
    }
}

/// Each producer's first frames arrived, but for those of the very first, which came before the topic was found.
fn check_recoveries(firsts: &BTreeMap<i32, u64>, generations: &[i32]) {
    assert!(generations.len() > 1);
    for width in &generations[1..] {
        let first = firsts[width];
        assert!(first <= 1, "of producer {width} the first frame seen is number {first}");
    }
}
