//! Topics whose files are removed under those who use them.

use gstreamer as gst;

use gst::prelude::*;

use crate::support::pipelines::{
    camera, camera_process, clients, discont, frame, frame_of_width, stops_cleanly, viewer,
};
use crate::support::{Running, Topic, until};

fn producer(topic: &Topic, more: &str) -> Running {
    Running::playing(&camera(topic, 64, more))
}

/// Deletes a topic's files, as a person might.
fn unlink(topic: &Topic) {
    for file in topic.files() {
        std::fs::remove_file(topic.dir().join(file)).expect("it is there");
    }
}

/// Takes the lock that those hold who open and close a topic: see docs/layout.md.
fn lock_lifecycle(peers: &std::fs::File) {
    let lock = nix::libc::flock {
        l_type: nix::libc::F_WRLCK as i16,
        l_whence: nix::libc::SEEK_SET as i16,
        l_start: 1 << 40,
        l_len: 1,
        l_pid: 0,
    };
    nix::fcntl::fcntl(peers, nix::fcntl::FcntlArg::F_OFD_SETLK(&lock)).expect("nobody holds it");
}

#[test]
fn a_topic_that_is_removed_under_a_running_stream_is_made_anew() {
    let topic = Topic::new();
    let producer = producer(&topic, "");
    let consumer = viewer(&topic, "");
    frame(&consumer);
    shmflow::remove("video", Some(topic.dir()), true).expect("removed");
    consumer.wait_message("shmflow-disconnected");
    consumer.wait_message("shmflow-connected");
    let before = producer.stat("sink", "zero-copy");
    until("frames go on, in place", || producer.stat("sink", "zero-copy") > before + 5);
    assert!(discont(&(0..60).map(|_| frame(&consumer)).find(discont).expect("a discontinuity")));
    assert_eq!((producer.error(), consumer.error()), (None, None));
}

#[test]
fn a_topic_whose_files_were_unlinked_under_a_running_stream_is_made_anew() {
    let topic = Topic::new();
    let producer = producer(&topic, "");
    let early = viewer(&topic, "");
    frame(&early);
    unlink(&topic);
    let late = viewer(&topic, "");
    late.pull().expect("a late viewer finds the topic");
    early.wait_message("shmflow-disconnected");
    early.wait_message("shmflow-connected");
    early.pull().expect("and so does one that was there");
    assert_eq!((producer.error(), early.error(), late.error()), (None, None, None));
}

#[test]
fn a_producer_that_waits_for_its_first_viewer_makes_a_removed_topic_anew() {
    let topic = Topic::new();
    let producer = producer(&topic, "wait-for-connection=true");
    until("it has opened the topic", || !topic.files().is_empty());
    unlink(&topic);
    until("it is there again, and removed", || shmflow::remove("video", Some(topic.dir()), true).is_ok());
    let viewer = viewer(&topic, "");
    frame(&viewer);
    assert_eq!((producer.error(), viewer.error()), (None, None));
}

#[test]
fn an_application_may_stop_the_camera_when_its_topic_is_removed() {
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
    until("it is seen", || clients(&producer) == 1);
    shmflow::remove("video", Some(topic.dir()), true).expect("removed");
    until("the pipeline is stopped", || producer.pipeline.current_state() == gst::State::Null);
    // The handler ran on the thread that still looks after the topic.
    until("nothing is left", || topic.files().is_empty());
}

#[test]
fn a_topic_whose_files_were_removed_is_found_again_when_it_is_made_again() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    let mut producer = camera_process(&topic, 64, "");
    frame(&viewer);
    producer.kill();
    unlink(&topic);
    let _producer = camera_process(&topic, 128, "");
    frame_of_width(&viewer, 128);
    stops_cleanly(&viewer);
}

#[test]
fn stopping_does_not_wait_for_a_topic_that_somebody_stands_in_the_way_of() {
    let (topic, other) = (Topic::new(), Topic::new());
    let producer = producer(&topic, "");
    until("it publishes", || producer.stat("sink", "published") > 3);
    // The same topic elsewhere, whose lifecycle lock a stopped process might hold.
    drop(shmflow::Producer::builder("video").dir(other.dir()).persistent(true).open().expect("opens"));
    let peers = shmflow::Topic::new("video", Some(other.dir())).expect("a name").peers_path();
    let locked = std::fs::OpenOptions::new().write(true).open(peers).expect("opens");
    lock_lifecycle(&locked);
    // It takes the place of the one in use.
    for file in other.files() {
        std::fs::rename(other.dir().join(&file), topic.dir().join(&file)).expect("one file system");
    }
    until("the sink notices", || producer.stat("sink", "dropped") > 0);
    let began = std::time::Instant::now();
    producer.pipeline.set_state(gst::State::Null).expect("NULL is reached");
    assert!(began.elapsed() < std::time::Duration::from_secs(2), "after {:?}", began.elapsed());
}
