//! The cases of `ipcpipelinesink`, which makes one pipeline of two processes. Ours make a stream with any number of viewers of a
//! pipeline: what one of them does is its own affair. So seeks, questions and events of viewers end at the source, but for the
//! request for a key frame, and what is asked of the producer's pipeline reaches the viewers by the frames that follow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use gstreamer as gst;
use gstreamer_video as gst_video;

use gst::prelude::*;

use crate::support::pads;
use crate::support::pipelines::{
    AT_ONCE, buffer, caps, frame, goes_on, offset, pull_within, stops_cleanly, viewer,
};
use crate::support::{Running, Topic};

/// A film of a hundred pictures a second, which can be sought in. A picture's offset is its number.
fn film(topic: &Topic, more: &str) -> String {
    format!("videotestsrc name=film ! {} ! {}", caps(64), topic.sink(more))
}

fn pts(sample: &gst::Sample) -> u64 {
    buffer(sample).pts().expect("a frame has a time").nseconds()
}

/// Takes frames until one is as wanted, each shown after the one before, and gives it.
fn frame_that(viewer: &Running, is_wanted: impl Fn(&gst::Sample) -> bool) -> gst::Sample {
    let mut before = 0;
    for _ in 0..3000 {
        let sample = frame(viewer);
        assert!(pts(&sample) >= before, "{} after {before}", pts(&sample));
        before = pts(&sample);
        if is_wanted(&sample) {
            return sample;
        }
    }
    panic!("no such frame comes");
}

/// How often an event or a question of a type comes by at a pad.
fn seen(
    pad: &gst::Pad,
    wanted: impl Fn(&gst::PadProbeInfo<'_>) -> bool + Send + Sync + 'static,
) -> Arc<AtomicU32> {
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    let kinds = gst::PadProbeType::EVENT_BOTH | gst::PadProbeType::QUERY_BOTH;
    pad.add_probe(kinds, move |_, info| {
        if wanted(info) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        gst::PadProbeReturn::Ok
    });
    count
}

#[test]
fn a_producer_that_seeks_is_followed_in_playing_and_in_paused() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    let producer = Running::playing(&film(&topic, ""));
    frame(&viewer);
    let second = gst::ClockTime::from_seconds;
    producer.pipeline.seek_simple(gst::SeekFlags::FLUSH, second(20)).expect("it can be sought in");
    frame_that(&viewer, |sample| offset(sample) >= 2000);
    producer.set_state(gst::State::Paused);
    producer.pipeline.seek_simple(gst::SeekFlags::FLUSH, second(60)).expect("it can be sought in");
    producer.set_state(gst::State::Playing);
    frame_that(&viewer, |sample| offset(sample) >= 6000);
    assert_eq!((viewer.error(), producer.error()), (None, None));
}

#[test]
fn a_producer_that_seeks_all_the_time_harms_nobody() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    let producer = Running::playing(&film(&topic, ""));
    for n in 1..=40_u64 {
        let flags =
            if n % 3 == 0 { gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE } else { gst::SeekFlags::FLUSH };
        producer.pipeline.seek_simple(flags, gst::ClockTime::from_seconds(n * 37 % 50)).expect("sought");
    }
    producer.pipeline.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::from_seconds(90)).expect("sought");
    frame_that(&viewer, |sample| offset(sample) >= 9000);
    assert_eq!((viewer.error(), producer.error()), (None, None));
}

#[test]
fn the_end_of_a_producers_segment_is_no_end_of_the_stream() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "is-live=false");
    // Nothing is lost on the way, so that every frame of a segment can be waited for.
    let producer = Running::playing(&film(&topic, "leaky-type=none"));
    frame(&viewer);
    let seek = |from: u64, to: u64, flags| {
        let time = gst::ClockTime::from_mseconds;
        let (set, flags) = (gst::SeekType::Set, gst::SeekFlags::SEGMENT | flags);
        producer.pipeline.seek(1.0, flags, set, time(from), set, time(to)).expect("it can be sought in");
    };
    let done = || {
        let bus = producer.pipeline.bus().expect("a pipeline has one");
        let types = [gst::MessageType::SegmentDone, gst::MessageType::Error];
        let message = bus.timed_pop_filtered(crate::support::patience(), &types).expect("it ends");
        assert_eq!(message.type_(), gst::MessageType::SegmentDone);
    };
    producer
        .element("film")
        .seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::ZERO)
        .expect("kept until it starts");
    producer.play();
    frame(&viewer);
    seek(1000, 1100, gst::SeekFlags::FLUSH);
    let numbers = |viewer: &Running, first: u64| {
        frame_that(viewer, |sample| offset(sample) == first);
        for number in first + 1..first + 10 {
            assert_eq!(offset(&frame(viewer)), number);
        }
    };
    numbers(&viewer, 100);
    done();
    assert!(pull_within(&viewer, 50).is_none(), "and nothing more comes");
    assert!(!viewer.element("out").property::<bool>("eos"));
    seek(500, 600, gst::SeekFlags::empty());
    numbers(&viewer, 50);
    done();
}

#[test]
fn a_film_that_is_played_backwards_is_shown_backwards() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    let producer = Running::new(&film(&topic, ""));
    producer.set_state(gst::State::Paused);
    let (zero, set) = (gst::ClockTime::ZERO, gst::SeekType::Set);
    let from = gst::ClockTime::from_seconds(30);
    producer.pipeline.seek(-1.0, gst::SeekFlags::FLUSH, set, zero, set, from).expect("it can be played so");
    producer.play();
    let mut before = frame_that(&viewer, |sample| offset(sample) > 2000);
    for _ in 0..20 {
        let next = frame(&viewer);
        assert!(offset(&next) < offset(&before), "{} after {}", offset(&next), offset(&before));
        assert!(pts(&next) > pts(&before));
        before = next;
    }
}

#[test]
fn a_viewer_cannot_seek_and_is_told_so_and_goes_on() {
    let topic = Topic::new();
    let producer = Running::playing(&film(&topic, ""));
    let sink = producer.element("sink").static_pad("sink").expect("a sink has one");
    let seeks = seen(&sink, |info| info.event().is_some_and(|event| event.type_() == gst::EventType::Seek));
    for live in ["is-live=true", "is-live=false"] {
        let viewer = viewer(&topic, live);
        frame(&viewer);
        for flags in [gst::SeekFlags::FLUSH, gst::SeekFlags::SEGMENT, gst::SeekFlags::empty()] {
            assert!(
                viewer.pipeline.seek_simple(flags, gst::ClockTime::from_seconds(1)).is_err(),
                "{flags:?}"
            );
        }
        let mut query = gst::query::Seeking::new(gst::Format::Time);
        assert!(!viewer.element("src").query(&mut query) || !query.result().0);
        frame(&viewer);
        goes_on(&producer, 3);
    }
    assert_eq!(seeks.load(Ordering::Relaxed), 0);
}

/// How long a stream will be nobody knows who only gets its frames.
#[test]
fn a_viewer_knows_its_position_and_does_not_claim_to_know_a_duration() {
    let topic = Topic::new();
    let _producer = Running::playing(&film(&topic, ""));
    let viewer = viewer(&topic, "");
    let position = || {
        frame(&viewer);
        viewer.pipeline.query_position::<gst::ClockTime>().expect("it is known")
    };
    let first = position();
    for _ in 0..20 {
        frame(&viewer);
    }
    let later = position();
    assert!(later > first && later - first < crate::support::patience(), "{first} and {later}");
    assert_eq!(viewer.pipeline.query_duration::<gst::ClockTime>(), None);
}

/// Messages through a stream, events and questions of an application's own, and navigation: all of them end here.
#[test]
fn what_is_not_for_others_ends_at_the_elements_and_holds_up_nothing() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    let producer = Running::playing(&film(&topic, ""));
    frame(&viewer);
    let is_own = |info: &gst::PadProbeInfo<'_>| {
        let name = |structure: Option<&gst::StructureRef>| structure.is_some_and(|one| one.name() == "test");
        info.event().is_some_and(|event| {
            name(event.structure())
                || matches!(event.type_(), gst::EventType::SinkMessage | gst::EventType::Navigation)
        }) || info.query().is_some_and(|query| name(query.structure()))
    };
    let there = seen(&viewer.element("out").static_pad("sink").expect("it has one"), move |info| {
        is_own(info) && info.event().is_none_or(|event| event.is_downstream())
    });
    let back = seen(&producer.element("film").static_pad("src").expect("it has one"), move |info| {
        is_own(info) && info.event().is_some_and(|event| event.is_upstream())
    });
    let film = producer.element("film").static_pad("src").expect("it has one");
    let own = || gst::Structure::new_empty("test");
    film.push_event(gst::event::CustomDownstreamOob::new(own()));
    producer.element("film").send_event(gst::event::CustomDownstream::new(own()));
    let message = gst::message::Application::new(own());
    film.push_event(gst::event::SinkMessage::new("test", &message));
    let mut query = gst::query::Custom::new(own());
    assert!(!film.peer_query(&mut query), "it is answered at once, and in the negative");
    // A viewer's mouse and keys are its own: producers take nothing from viewers but accepted caps and requests for key frames.
    let moved = gst_video::NavigationEvent::MouseMove {
        x: 1.0,
        y: 2.0,
        modifier_state: gst_video::NavigationModifierType::empty(),
    };
    assert!(!viewer.element("out").send_event(moved.build()));
    assert!(!viewer.element("out").send_event(gst::event::CustomUpstream::new(own())));
    let now = offset(&frame(&viewer));
    frame_that(&viewer, |sample| offset(sample) > now + 3);
    assert_eq!((there.load(Ordering::Relaxed), back.load(Ordering::Relaxed)), (0, 0));
}

#[test]
fn one_topic_may_become_a_stream_of_another_kind() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "is-live=false");
    let producer = Running::playing(&format!("appsrc name=in format=time ! {}", topic.sink(AT_ONCE)));
    for round in 0..3 {
        for (caps, size) in [
            (pads::CAPS, 4096),
            ("audio/x-raw,format=S16LE,rate=48000,channels=2,layout=interleaved", 960),
            ("application/x-test", 10),
            ("video/x-raw,format=GRAY8,width=16,height=16,framerate=30/1", 256),
        ] {
            let caps: gst::Caps = caps.parse().expect("caps");
            let mut sent = gst::Buffer::from_slice(vec![7_u8; size]);
            sent.get_mut().expect("new").set_pts(gst::ClockTime::from_mseconds(round * 100));
            producer.push_sample(&gst::Sample::builder().buffer(&sent).caps(&caps).build());
            let got = frame(&viewer);
            assert_eq!((got.caps().map(|got| got.is_subset(&caps)), buffer(&got).size()), (Some(true), size));
        }
    }
}

#[test]
fn a_viewer_that_fails_fails_alone() {
    let topic = Topic::new();
    let witness = viewer(&topic, "");
    let producer = Running::playing(&film(&topic, ""));
    let failing = Running::playing(&format!("{} ! identity error-after=3 ! fakesink", topic.src("")));
    failing.wait_error();
    goes_on(&producer, 10);
    frame(&witness);
    drop(failing);
    goes_on(&producer, 10);
    for running in [&witness, &producer] {
        stops_cleanly(running);
    }
}
