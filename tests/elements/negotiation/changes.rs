//! What downstream reads may change while frames flow: it is asked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gstreamer as gst;
use gstreamer_video as gst_video;

use gst::prelude::*;

use crate::support::pipelines::{AT_ONCE, buffer};
use crate::support::reads::{Reads, answer, appsink, sink_pad};
use crate::support::{Running, Topic, patience, until};

const ROWS: usize = 48;
const ROW: usize = 64;
/// Of the rows as they are published.
const STRIDE: usize = 96;

/// A producer of frames whose rows are longer than the caps say, and a viewer; they go frame by frame.
struct Line {
    topic: Topic,
    producer: Running,
    sent: u64,
}

impl Line {
    fn new() -> Self {
        let topic = Topic::new();
        let caps = format!("video/x-raw,format=GRAY8,width={ROW},height={ROWS},framerate=30/1");
        let producer =
            Running::new(&format!("appsrc name=in format=time caps={caps} ! {}", topic.sink(AT_ONCE)));
        Self { topic, producer, sent: 0 }
    }

    /// A viewer in which `after` stands behind the source, called `src`.
    fn viewer(&self, after: &str) -> Running {
        let source = self.topic.src("is-live=false on-lapped=oldest");
        Running::new(&format!("{source} {after}"))
    }

    fn send(&mut self) {
        if self.sent == 0 {
            self.producer.play();
        }
        self.sent += 1;
        let row = |y: usize| (0..STRIDE).map(move |x| if x < ROW { pixel(x, y) } else { 0xee });
        let mut buffer = gst::Buffer::from_mut_slice((0..ROWS).flat_map(row).collect::<Vec<u8>>());
        let fresh = buffer.get_mut().expect("new");
        fresh.set_pts(gst::ClockTime::from_mseconds(self.sent * 33));
        gst_video::VideoMeta::add_full(
            fresh,
            gst_video::VideoFrameFlags::empty(),
            gst_video::VideoFormat::Gray8,
            ROW as u32,
            ROWS as u32,
            &[0],
            &[STRIDE as i32],
        )
        .expect("described");
        self.producer.push(&buffer).expect("taken");
    }
}

fn pixel(x: usize, y: usize) -> u8 {
    (x * 3 + y * 5) as u8
}

/// The bytes from one row to the next in what an appsink gets, which must be the right ones for somebody who reads so.
fn stride(appsink: &gst::Element, reads: Reads) -> usize {
    let sample: Option<gst::Sample> = appsink.emit_by_name("try-pull-sample", &[&patience().nseconds()]);
    let sample = sample.expect("a frame comes");
    let buffer = buffer(&sample);
    let map = buffer.map_readable().expect("readable");
    let stride = match buffer.meta::<gst_video::VideoMeta>() {
        Some(meta) if reads != Reads::Packed => meta.stride()[0] as usize,
        _ => ROW,
    };
    let is_right = |y: usize| (0..ROW).all(|x| map[y * stride + x] == pixel(x, y));
    let right = (0..ROWS).filter(|y| is_right(*y)).count();
    assert_eq!(right, ROWS, "rows that are right for {reads:?}");
    stride
}

#[test]
fn a_branch_that_a_tee_gains_while_frames_flow_gets_rows_as_it_reads_them() {
    let mut line = Line::new();
    let viewer = line.viewer("! tee name=tee ! queue name=queue ! appsink name=out sync=false");
    let before = viewer.element("out");
    answer(&sink_pad(&before), Reads::Strides);
    viewer.play();
    for _ in 0..3 {
        line.send();
        assert_eq!(stride(&before, Reads::Strides), STRIDE);
    }
    assert_eq!(viewer.stat("src", "copied"), 0);

    let (queue, new) =
        (gst::ElementFactory::make("queue").build().expect("one"), appsink("new", Reads::Packed));
    viewer.pipeline.add_many([&queue, &new]).expect("added");
    queue.link(&new).expect("linked");
    for element in [&new, &queue] {
        element.sync_state_with_parent().expect("it plays");
    }
    viewer.element("tee").link(&queue).expect("another branch");
    for _ in 0..3 {
        line.send();
        assert_eq!((stride(&before, Reads::Strides), stride(&new, Reads::Packed)), (ROW, ROW));
    }
    viewer.reaches("src", "copied", 3);
    assert_eq!((line.producer.error(), viewer.error()), (None, None));
}

#[test]
fn an_element_that_is_replaced_while_frames_flow_gets_rows_as_the_new_one_reads_them() {
    let mut line = Line::new();
    let viewer = line.viewer("! identity name=last ! appsink name=out sync=false");
    let mut last = viewer.element("out");
    answer(&sink_pad(&last), Reads::Strides);
    viewer.play();
    let mut copied = 0;
    for (number, reads) in
        [Reads::Strides, Reads::Packed, Reads::Crops, Reads::Packed].into_iter().enumerate()
    {
        if number > 0 {
            // No frame is on its way: all that were sent were taken.
            let new = appsink(&format!("new{number}"), reads);
            viewer.element("last").unlink(&last);
            last.set_state(gst::State::Null).expect("it stops");
            viewer.pipeline.remove(&last).expect("removed");
            viewer.pipeline.add(&new).expect("added");
            new.sync_state_with_parent().expect("it plays");
            viewer.element("last").link(&new).expect("linked");
            last = new;
        }
        for _ in 0..3 {
            line.send();
            let expected = if reads == Reads::Packed { ROW } else { STRIDE };
            assert_eq!(stride(&last, reads), expected, "{number}: {reads:?}");
        }
        copied += if reads == Reads::Packed { 3 } else { 0 };
        viewer.reaches("src", "copied", copied);
    }
    assert_eq!((line.producer.error(), viewer.error()), (None, None));
}

#[test]
fn elements_that_say_only_later_what_they_read_do_not_get_copies_for_ever() {
    let mut line = Line::new();
    let viewer = line.viewer("! appsink name=out sync=false");
    let (out, answers) = (viewer.element("out"), Arc::new(AtomicBool::new(false)));
    {
        let answers = Arc::clone(&answers);
        // Asked before the others.
        sink_pad(&out).add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, move |_, info| match info.query() {
            Some(query) if query.type_() == gst::QueryType::Allocation && !answers.load(Ordering::SeqCst) => {
                gst::PadProbeReturn::Drop
            }
            _ => gst::PadProbeReturn::Ok,
        });
    }
    answer(&sink_pad(&out), Reads::Strides);
    viewer.play();
    for _ in 0..3 {
        line.send();
        assert_eq!(stride(&out, Reads::Strides), ROW, "it has not said that it reads strides");
    }
    viewer.reaches("src", "copied", 3);
    answers.store(true, Ordering::SeqCst);
    until("it is asked again", || {
        line.send();
        stride(&out, Reads::Strides) == STRIDE
    });
    let copied = viewer.stat("src", "copied");
    for _ in 0..10 {
        line.send();
        assert_eq!(stride(&out, Reads::Strides), STRIDE);
    }
    assert_eq!(viewer.stat("src", "copied"), copied);
    assert!(viewer.stat("src", "zero-copy") >= 10);
}
