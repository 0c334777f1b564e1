//! Sinks and sources come, go, end and die in any order, and the others go on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use gstreamer as gst;

use gst::prelude::*;
use support::{Running, Topic, until};

fn producer(topic: &Topic, more: &str) -> Running {
    Running::playing(&format!(
        "videotestsrc is-live=true ! video/x-raw,framerate=60/1 ! {}",
        topic.sink(more)
    ))
}

fn consumer(topic: &Topic, more: &str) -> Running {
    Running::playing(&format!("{} ! appsink name=out sync=false wait-on-eos=false", topic.src(more)))
}

fn discont(sample: &gst::Sample) -> bool {
    sample.buffer().expect("with a buffer").flags().contains(gst::BufferFlags::DISCONT)
}

#[test]
fn either_may_come_first_and_an_orderly_end_reaches_the_consumer() {
    for source_first in [true, false] {
        let topic = Topic::new();
        let mut early = source_first.then(|| consumer(&topic, ""));
        let producer = Running::new(&format!(
            "videotestsrc num-buffers=30 ! {}",
            topic.sink("wait-for-connection=true")
        ));
        producer.play();
        let consumer = early.take().unwrap_or_else(|| consumer(&topic, ""));
        assert!(discont(&consumer.pull().expect("a first sample")));
        consumer.wait_eos();
        producer.wait_eos();
        drop(producer);
        assert_eq!(consumer.error(), None);
        drop(consumer);
        assert_eq!(topic.files(), Vec::<String>::new(), "the last one cleans up");
    }
}

#[test]
fn the_source_resumes_with_discont_when_the_producer_comes_back_in_another_size() {
    let topic = Topic::new();
    let consumer = consumer(&topic, "");
    for (width, height) in [(320, 240), (1280, 720), (64, 48)] {
        let producer = Running::playing(&format!(
            "videotestsrc is-live=true ! video/x-raw,format=BGRx,width={width},height={height} ! {}",
            topic.sink("")
        ));
        let mut first = None;
        until("a frame of the new size", || {
            let sample = consumer.pull().expect("a sample");
            let is_new =
                sample.caps().expect("caps").structure(0).expect("one").get::<i32>("width") == Ok(width);
            if is_new {
                first = Some(sample);
            }
            is_new
        });
        assert!(discont(&first.expect("found")), "{width}×{height}");
        let sample = consumer.pull().expect("a second sample");
        assert_eq!(
            sample.buffer().expect("with a buffer").size(),
            usize::try_from(width * height * 4).expect("small")
        );
        drop(producer);
        assert_eq!(consumer.error(), None);
    }
}

#[test]
fn a_producer_that_leaves_without_an_end_is_gone_not_ended() {
    for (setting, check) in [("none", 0), ("eos", 1), ("error", 2)] {
        let topic = Topic::new();
        let consumer = consumer(&topic, &format!("on-disconnect={setting}"));
        let producer = producer(&topic, "");
        consumer.pull().expect("a sample");
        drop(producer);
        match check {
            0 => {
                let message = consumer.wait_message("shmflow-disconnected");
                assert_eq!(message.get::<&str>("topic"), Ok("video"));
                let _again = self::producer(&topic, "");
                consumer.wait_message("shmflow-connected");
                consumer.pull().expect("a sample of the next producer");
            }
            1 => consumer.wait_eos(),
            _ => {
                let error = consumer.wait_error();
                assert!(error.contains("on-disconnect"), "{error}");
            }
        }
    }
}

#[test]
fn a_source_that_ignores_the_end_stays_for_the_next_producer() {
    let topic = Topic::new();
    let consumer = consumer(&topic, "ignore-eos=true");
    for _ in 0..2 {
        let before = consumer.stat("src", "received");
        let producer = producer(&topic, "");
        until("frames of this producer", || consumer.stat("src", "received") > before + 3);
        producer.finish();
        consumer.wait_message("shmflow-ended");
    }
    assert_eq!(consumer.error(), None);
}

#[test]
fn nobody_coming_in_time_is_an_error_that_names_the_topic() {
    let topic = Topic::new();
    let consumer = consumer(&topic, "connection-timeout=100");
    let error = consumer.wait_error();
    assert!(error.contains("'video'") && error.contains("100 ms"), "{error}");
}

#[test]
fn clients_are_told_of_also_while_nothing_flows() {
    let topic = Topic::new();
    let producer = Running::new(&format!("videotestsrc ! {}", topic.sink("")));
    producer.set_state(gst::State::Paused);
    let sink = producer.element("sink");
    let (sender, events) = std::sync::mpsc::channel();
    for signal in ["client-connected", "client-disconnected"] {
        let sender = sender.clone();
        sink.connect(signal, false, move |values| {
            let _ = sender.send((
                signal,
                values[1].get::<u64>().expect("a number"),
                values[2].get::<String>().expect("a name"),
            ));
            None
        });
    }
    let (notify, notified) = std::sync::mpsc::channel();
    sink.connect_notify(Some("num-clients"), move |sink, _| {
        let _ = notify.send(sink.property::<u32>("num-clients"));
    });
    let consumer = consumer(&topic, "");
    let (signal, id, name) = events.recv_timeout(support::PATIENCE).expect("a signal");
    assert_eq!(signal, "client-connected");
    assert!(name.contains("src"), "{name}");
    assert_eq!(notified.recv_timeout(support::PATIENCE), Ok(1));
    drop(consumer);
    let (signal, same, _) = events.recv_timeout(support::PATIENCE).expect("a signal");
    assert_eq!((signal, same), ("client-disconnected", id));
    assert_eq!(notified.recv_timeout(support::PATIENCE), Ok(0));
}

#[test]
fn a_program_that_wishes_nothing_is_a_client_too() {
    let topic = Topic::new();
    let producer = Running::new(&format!("videotestsrc ! {}", topic.sink("")));
    producer.set_state(gst::State::Ready);
    let program =
        shmflow::Consumer::builder("video").dir(topic.dir()).name("my program").open().expect("opens");
    let message = producer.wait_message("shmflow-client-connected");
    assert_eq!((message.get::<&str>("name"), message.get::<u32>("clients")), (Ok("my program"), Ok(1)));
    drop(program);
    let message = producer.wait_message("shmflow-client-disconnected");
    assert_eq!((message.get::<&str>("name"), message.get::<u32>("clients")), (Ok("my program"), Ok(0)));
}

#[test]
fn a_topic_that_is_removed_under_a_running_stream_is_made_anew() {
    let topic = Topic::new();
    let producer = producer(&topic, "");
    let consumer = consumer(&topic, "");
    consumer.pull().expect("a sample");
    shmflow::remove("video", Some(topic.dir()), true).expect("removed");
    consumer.wait_message("shmflow-disconnected");
    consumer.wait_message("shmflow-connected");
    let before = producer.stat("sink", "zero-copy");
    until("frames go on, in place", || producer.stat("sink", "zero-copy") > before + 5);
    assert!(discont(
        &(0..60).map(|_| consumer.pull().expect("a sample")).find(discont).expect("a discontinuity")
    ));
    assert_eq!((producer.error(), consumer.error()), (None, None));
}

#[test]
fn a_topic_whose_files_were_unlinked_under_a_running_stream_is_made_anew() {
    let topic = Topic::new();
    let producer = producer(&topic, "");
    let viewer = consumer(&topic, "");
    viewer.pull().expect("a sample");
    for file in topic.files() {
        std::fs::remove_file(topic.dir().join(file)).expect("it is there");
    }
    let late = consumer(&topic, "");
    late.pull().expect("a late viewer finds the topic");
    viewer.wait_message("shmflow-disconnected");
    viewer.wait_message("shmflow-connected");
    viewer.pull().expect("and so does one that was there");
    assert_eq!((producer.error(), viewer.error(), late.error()), (None, None, None));
}

#[test]
fn a_producer_that_waits_for_its_first_viewer_makes_a_removed_topic_anew() {
    let topic = Topic::new();
    let producer = producer(&topic, "wait-for-connection=true");
    until("it has opened the topic", || !topic.files().is_empty());
    for file in topic.files() {
        std::fs::remove_file(topic.dir().join(file)).expect("it is there");
    }
    until("it is there again, and removed", || shmflow::remove("video", Some(topic.dir()), true).is_ok());
    let viewer = consumer(&topic, "");
    viewer.pull().expect("a sample");
    assert_eq!((producer.error(), viewer.error()), (None, None));
}

#[test]
fn an_application_may_stop_the_camera_when_nobody_watches_from_the_signal_itself() {
    let topic = Topic::new();
    let producer = producer(&topic, "");
    let pipeline = producer.pipeline.downgrade();
    producer.element("sink").connect("client-disconnected", false, move |_| {
        if let Some(pipeline) = pipeline.upgrade() {
            let _ = pipeline.set_state(gst::State::Null);
        }
        None
    });
    let consumer = consumer(&topic, "");
    consumer.pull().expect("a sample");
    until("it is seen", || producer.element("sink").property::<u32>("num-clients") == 1);
    drop(consumer);
    until("the pipeline is stopped", || producer.pipeline.current_state() == gst::State::Null);
}

#[test]
fn so_it_may_when_its_topic_is_removed() {
    let topic = Topic::new();
    let producer = producer(&topic, "");
    let pipeline = producer.pipeline.downgrade();
    producer.element("sink").connect("client-disconnected", false, move |_| {
        if let Some(pipeline) = pipeline.upgrade() {
            let _ = pipeline.set_state(gst::State::Null);
        }
        None
    });
    let _program = shmflow::Consumer::builder("video").dir(topic.dir()).open().expect("opens");
    until("it is seen", || producer.element("sink").property::<u32>("num-clients") == 1);
    shmflow::remove("video", Some(topic.dir()), true).expect("removed");
    until("the pipeline is stopped", || producer.pipeline.current_state() == gst::State::Null);
    // The handler ran on the thread that still looks after the topic.
    until("nothing is left", || topic.files().is_empty());
}

#[test]
fn waiting_for_a_connection_holds_the_stream_and_does_not_burst_afterwards() {
    let topic = Topic::new();
    let producer = producer(&topic, "wait-for-connection=true");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(producer.stat("sink", "published"), 0);
    let consumer = consumer(&topic, "");
    // Of sixty frames a second, those of half a second became late, and are skipped.
    let first = consumer.pull().expect("a sample").buffer().expect("with a buffer").offset();
    assert!(first >= 20, "frame {first} was the first");
    assert!(producer.stat("sink", "dropped") >= 20);
    for _ in 0..12 {
        consumer.pull().expect("a sample");
    }
}

#[test]
fn everything_stops_within_100_ms_whatever_it_waits_for() {
    let topic = Topic::new();
    let stop = |what: &str, running: Running| {
        let started = Instant::now();
        running.pipeline.set_state(gst::State::Null).expect("stops");
        let took = started.elapsed();
        assert!(took < Duration::from_millis(100), "{what} took {took:?}");
    };
    let waiting = consumer(&topic, "");
    std::thread::sleep(Duration::from_millis(50));
    stop("a source without a topic", waiting);
    let holding = Running::new(&format!("videotestsrc ! {}", topic.sink("wait-for-connection=true")));
    holding.play();
    std::thread::sleep(Duration::from_millis(50));
    stop("a sink that waits for a consumer", holding);
    let idle = Running::new(&format!("videotestsrc ! {}", topic.sink("")));
    idle.set_state(gst::State::Paused);
    let waiting = consumer(&topic, "");
    std::thread::sleep(Duration::from_millis(50));
    stop("a source without frames", waiting);
    stop("a sink that published nothing", idle);
}

#[test]
fn states_may_change_in_a_tight_loop() {
    let topic = Topic::new();
    let producer = Running::new(&format!("videotestsrc ! {}", topic.sink("")));
    let consumer = Running::new(&format!("{} ! fakesink sync=false", topic.src("")));
    for round in 0..30 {
        let _ = producer.pipeline.set_state(gst::State::Playing);
        let _ = consumer.pipeline.set_state(if round % 3 == 0 {
            gst::State::Paused
        } else {
            gst::State::Playing
        });
        if round % 2 == 0 {
            let _ = producer.pipeline.set_state(gst::State::Ready);
        }
        let _ = consumer.pipeline.set_state(gst::State::Null);
        let _ = producer.pipeline.set_state(gst::State::Null);
    }
    assert_eq!((producer.error(), consumer.error()), (None, None));
    assert_eq!(topic.files(), Vec::<String>::new());
}

#[test]
fn resuming_shows_the_newest_frame() {
    let topic = Topic::new();
    let producer = producer(&topic, "history=8");
    let consumer = consumer(&topic, "on-lapped=oldest");
    consumer.pull().expect("a sample");
    consumer.set_state(gst::State::Paused);
    let before = producer.stat("sink", "published");
    until("more frames than the ring holds", || producer.stat("sink", "published") > before + 20);
    while consumer.element("out").emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&0_u64]).is_some()
    {
    }
    let newest = producer.stat("sink", "published");
    consumer.play();
    // One frame may have been under way when the pipeline was paused.
    let sample = (0..2).map(|_| consumer.pull().expect("a sample")).find(discont).expect("a discontinuity");
    let offset = sample.buffer().expect("with a buffer").offset();
    assert!(offset + 3 >= newest, "frame {offset} of {newest}");
}

#[test]
fn leases_outlive_the_element() {
    let topic = Topic::new();
    let _producer = producer(&topic, "");
    let consumer = consumer(&topic, "");
    let sample = consumer.pull().expect("a sample");
    let sum = support::checksum(sample.buffer().expect("with a buffer"));
    drop(consumer);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(support::checksum(sample.buffer().expect("with a buffer")), sum);
}

#[test]
fn a_hoarder_gets_copies_and_starves_nobody() {
    let topic = Topic::new();
    let producer = producer(&topic, "");
    let hoarder = consumer(&topic, "");
    let hoard: Vec<_> = (0..24).map(|_| hoarder.pull().expect("a sample")).collect();
    assert!(hoarder.stat("src", "leases") <= 4, "{}", hoarder.stat("src", "leases"));
    assert!(hoarder.stat("src", "copied") >= 20);
    let other = consumer(&topic, "");
    for _ in 0..10 {
        other.pull().expect("a sample");
    }
    assert_eq!(producer.stat("sink", "dropped"), 0);
    let offsets: Vec<_> =
        hoard.iter().map(|sample| sample.buffer().expect("with a buffer").offset()).collect();
    assert!(offsets.is_sorted());
}

#[test]
fn one_primary_publishes_and_a_standby_takes_over_when_it_leaves() {
    let topic = Topic::new();
    let primary = producer(&topic, "producer-mode=primary");
    let consumer = consumer(&topic, "");
    consumer.pull().expect("a sample");
    let standby = producer(&topic, "producer-mode=primary");
    until("the standby drops its frames", || standby.stat("sink", "dropped") > 3);
    assert_eq!(standby.stat("sink", "published"), 0);
    drop(primary);
    until("the standby publishes", || standby.stat("sink", "published") > 3);
    consumer.pull().expect("a sample");
    assert_eq!(standby.error(), None);
}

#[test]
fn an_exclusive_topic_refuses_a_second_sink_with_a_reason() {
    let topic = Topic::new();
    let _one = producer(&topic, "producer-mode=exclusive");
    let two = Running::new(&format!("videotestsrc ! {}", topic.sink("producer-mode=exclusive")));
    assert!(two.pipeline.set_state(gst::State::Playing).is_err());
    let error = two.wait_error();
    assert!(error.contains("video") && !error.contains("Failed to start"), "{error}");
}
