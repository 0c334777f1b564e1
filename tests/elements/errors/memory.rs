//! Too little shared memory, or too little of it allowed.

use std::process::Command;

use crate::support::Topic;
use crate::support::child::{Child, Ended, program};

use super::only_error;

#[test]
fn a_sink_that_finds_no_memory_posts_one_error() {
    let topic = Topic::new();
    let small = topic.dir().join("small");
    std::fs::create_dir(&small).expect("made");
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8k", "none"]).arg(&small).status();
    if !mount.is_ok_and(|status| status.success()) {
        eprintln!("left out: only root can mount a small file system");
        return;
    }
    let error =
        only_error(&format!("videotestsrc ! shmflowsink name=sink directory={}", small.display()), "video");
    let unmount = Command::new("umount").arg(&small).status();
    assert!(unmount.is_ok_and(|status| status.success()), "unmounted");
    assert!(error.contains("bytes") && error.contains("free") && error.contains("max-buffers"), "{error}");
}

/// Runs a pipeline where the directory of the topic is a tmpfs of its own of so many bytes.
fn in_small_memory(topic: &Topic, size: &str, pipeline: &str) -> Option<Ended> {
    let may = Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|status| status.success());
    if !may {
        eprintln!("left out: unshare -rm is not permitted here");
        return None;
    }
    let script = format!(
        "mount -t tmpfs -o size={size} none {} && exec gst-launch-1.0 {pipeline}",
        topic.dir().display()
    );
    Some(Child::run(program("unshare").args(["-rm", "sh", "-c", &script])).wait())
}

#[test]
fn too_little_shared_memory_is_an_error_that_says_how_much_is_needed_and_free_and_what_to_do() {
    let topic = Topic::new();
    let hd = "videotestsrc num-buffers=10 ! video/x-raw,format=BGRx,width=1920,height=1080";
    let Some(ended) = in_small_memory(&topic, "16m", &format!("{hd} ! {}", topic.sink(""))) else {
        return;
    };
    ended.badly("topic `video`").badly("bytes").badly("shm-size").badly("max-buffers");
    ended.badly(&topic.dir().display().to_string());
    // Ten slots of 1920 × 1080 × 4 bytes.
    let numbers: Vec<u64> =
        ended.printed.split(|c: char| !c.is_ascii_digit()).filter_map(|text| text.parse().ok()).collect();
    assert!(numbers.iter().any(|n| (82_944_000..90_000_000).contains(n)), "needed: {}", ended.printed);
    assert!(numbers.iter().any(|n| (10_000_000..=16 << 20).contains(n)), "free: {}", ended.printed);
    // What the message says to do helps.
    for more in ["max-buffers=3 spare-slots=1", "max-bytes=41472000"] {
        let ended =
            in_small_memory(&topic, "48m", &format!("{hd} ! {}", topic.sink(more))).expect("as before");
        ended.well();
    }
}

#[test]
fn a_limit_in_bytes_for_fewer_than_three_frames_is_an_error_with_numbers() {
    let topic = Topic::new();
    // A frame of 64 × 64 takes one page.
    let frames = "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=64";
    let ended = Child::launch(&format!("{frames} ! {}", topic.sink("max-bytes=8192"))).wait();
    ended.badly("max-bytes=8192").badly("at least").badly("12288");
}
