//! Who is told of whom: clients that come and go.

use std::sync::{Arc, Mutex};

use gstreamer as gst;

use gst::prelude::*;

use crate::support::child::Child;
use crate::support::pipelines::{camera, caps, clients, frame, stops_cleanly, viewer};
use crate::support::{Running, Topic, until};

#[test]
fn the_sink_tells_who_comes_and_goes_also_while_no_frames_flow() {
    // One never gets a frame, one does not publish what it has.
    for (upstream, more, state) in [
        (format!("appsrc name=in caps={}", caps(64)), "async=false", gst::State::Playing),
        ("videotestsrc".into(), "", gst::State::Paused),
    ] {
        let topic = Topic::new();
        let producer = Running::new(&format!("{upstream} ! {}", topic.sink(more)));
        producer.set_state(state);
        told(&topic, &producer);
    }
}

/// A signal, the client's number and its name.
type Told = (&'static str, u64, String);

/// Two consumers come to a producer and go, one of them killed.
fn told(topic: &Topic, producer: &Running) {
    let sink = producer.element("sink");
    let told: Arc<Mutex<Vec<Told>>> = Arc::default();
    for signal in ["client-connected", "client-disconnected"] {
        let told = Arc::clone(&told);
        sink.connect(signal, false, move |values| {
            let (id, name) = (values[1].get().expect("a number"), values[2].get().expect("a name"));
            told.lock().expect("nobody panics").push((signal, id, name));
            None
        });
    }
    let counts: Arc<Mutex<Vec<u32>>> = Arc::default();
    {
        let counts = Arc::clone(&counts);
        sink.connect_notify(Some("num-clients"), move |sink, _| {
            counts.lock().expect("nobody panics").push(sink.property("num-clients"));
        });
    }
    let viewer =
        |name: &str| Child::launch(&format!("{} ! fakesink", topic.src("").replace("name=src", name)));
    let mut first = viewer("name=one");
    until("one is there", || clients(producer) == 1);
    let second = viewer("name=two");
    until("two are there", || clients(producer) == 2);
    first.kill();
    until("the killed one is gone", || clients(producer) == 1);
    second.interrupt().well();
    until("nobody is there", || clients(producer) == 0);
    until("everything was told", || {
        told.lock().expect("nobody panics").len() == 4 && counts.lock().expect("nobody panics").len() == 4
    });
    let told = told.lock().expect("nobody panics").clone();
    let (came, went): (Vec<_>, Vec<_>) =
        told.into_iter().partition(|(signal, ..)| *signal == "client-connected");
    for ((_, id, name), ending) in came.iter().zip([":one", ":two"]) {
        assert!(name.ends_with(ending), "{came:?}");
        assert!(went.iter().any(|(_, same, other)| (same, other) == (id, name)), "{came:?}, {went:?}");
    }
    assert!(went[0].2.ends_with(":one"), "{went:?}");
    assert_eq!(*counts.lock().expect("nobody panics"), [1, 2, 1, 0]);
    for name in ["connected", "connected", "disconnected", "disconnected"] {
        producer.wait_message(&format!("shmflow-client-{name}"));
    }
    stops_cleanly(producer);
}

#[test]
fn a_consumer_that_is_no_element_is_told_of_as_well() {
    for state in [gst::State::Ready, gst::State::Playing] {
        let topic = Topic::new();
        let producer = Running::new(&camera(&topic, 64, ""));
        producer.set_state(state);
        let consumer = shmflow::Consumer::builder("video").dir(topic.dir()).name("a program").open();
        let consumer = consumer.expect("the topic is there");
        let told = |event: &str, clients| {
            let message = producer.wait_message(&format!("shmflow-client-{event}"));
            assert_eq!((message.get("name"), message.get("clients")), (Ok("a program"), Ok(clients)));
        };
        told("connected", 1_u32);
        drop(consumer);
        told("disconnected", 0);
        stops_cleanly(&producer);
    }
}

#[test]
fn a_handler_may_stop_the_pipeline_when_the_last_viewer_leaves() {
    let topic = Topic::new();
    let producer = Running::playing(&camera(&topic, 64, ""));
    let weak = producer.pipeline.downgrade();
    producer.element("sink").connect("client-disconnected", false, move |_| {
        let pipeline = weak.upgrade()?;
        pipeline.set_state(gst::State::Null).expect("NULL is reached");
        None
    });
    let viewer = viewer(&topic, "");
    frame(&viewer);
    // One who comes and goes before the sink has looked was never there.
    until("the viewer is seen", || clients(&producer) == 1);
    stops_cleanly(&viewer);
    until("the pipeline is stopped", || producer.pipeline.current_state() == gst::State::Null);
    assert_eq!(producer.error(), None);
}
