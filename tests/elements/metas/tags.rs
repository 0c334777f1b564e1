//! Tags reach who is there, who comes later, and change with the stream.

use gstreamer as gst;

use gst::prelude::*;

use super::{CAPS, frame_with};
use crate::support::pipelines::{frame, viewer};
use crate::support::{Running, Topic};

fn title(viewer: &Running) -> Option<String> {
    let pad = viewer.element("out").static_pad("sink").expect("it has one");
    let event = pad.sticky_event::<gst::event::Tag>(0)?;
    event.tag().get::<gst::tags::Title>().map(|title| title.get().to_owned())
}

fn tag(producer: &Running, title: &str) {
    let mut list = gst::TagList::new();
    list.make_mut().add::<gst::tags::Title>(&title, gst::TagMergeMode::Append);
    let pad = producer.element("in").static_pad("src").expect("it has one");
    assert!(pad.push_event(gst::event::Tag::new(list)));
}

#[test]
fn tags_reach_late_joiners_and_follow_the_stream() {
    let topic = Topic::new();
    let sink = topic.sink("sync=false history=1 max-buffers=16");
    let producer = Running::playing(&format!("appsrc name=in format=time caps={CAPS} ! {sink}"));
    let push = |number| {
        producer.push(&frame_with(number, |_| {})).expect("pushed");
        producer.reaches("sink", "published", number + 1);
    };
    push(0);
    let early = viewer(&topic, "is-live=false on-lapped=oldest");
    drop(frame(&early));
    assert_eq!(title(&early), None);
    tag(&producer, "one");
    push(1);
    push(2);
    drop(frame(&early));
    assert_eq!(title(&early).as_deref(), Some("one"));
    let late = viewer(&topic, "is-live=false on-lapped=oldest");
    drop(frame(&late));
    assert_eq!(title(&late).as_deref(), Some("one"));
    tag(&producer, "two");
    push(3);
    drop((frame(&late), frame(&early), frame(&early)));
    assert_eq!((title(&late).as_deref(), title(&early).as_deref()), (Some("two"), Some("two")));
    // They are sent once for a change, and not with each frame.
    let pad = late.element("out").static_pad("sink").expect("it has one");
    let seen = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counter = std::sync::Arc::clone(&seen);
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if info.event().is_some_and(|event| event.type_() == gst::EventType::Tag) {
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        gst::PadProbeReturn::Ok
    });
    for number in 4..8 {
        push(number);
        drop(frame(&late));
    }
    assert_eq!(seen.load(std::sync::atomic::Ordering::Relaxed), 0);
    assert_eq!((late.error(), early.error(), producer.error()), (None, None, None));
}

#[test]
fn a_film_that_lies_on_its_side_is_turned_upright_behind_the_source() {
    let topic = Topic::new();
    if !crate::support::have(&["taginject", "videoflip"]) {
        return;
    }
    let sink = topic.sink("sync=false history=1");
    let _producer = Running::playing(&format!(
        "videotestsrc num-buffers=1 ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 \
         ! taginject tags=image-orientation=rotate-90 ! {sink} persistent=true"
    ));
    let source = topic.src("is-live=false");
    let viewer =
        Running::playing(&format!("{source} ! videoflip video-direction=auto ! appsink name=out sync=false"));
    assert_eq!(crate::support::pipelines::width(&frame(&viewer)), 240);
}
