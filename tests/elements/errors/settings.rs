//! Wrong settings are told before anything starts, with what to type instead.

use gstreamer as gst;

use gst::prelude::*;

use crate::support::Running;
use crate::support::child::Child;

/// What a pipeline says when it cannot start.
fn refusal(text: &str) -> String {
    let running = Running::new(text);
    assert!(running.pipeline.set_state(gst::State::Ready).is_err(), "{text} starts");
    let error = running.wait_error();
    assert!(!error.contains("Failed to start"), "{error}");
    error
}

#[test]
fn wrong_settings_are_told_before_anything_starts_with_what_to_type_instead() {
    let long = format!("topic={}", "x".repeat(300));
    for (element, settings, parts) in [
        ("shmflowsink", "", &["topic=video"][..]),
        ("shmflowsrc", "", &["topic=video"]),
        ("shmflowsink", "topic=v perms=1777", &["03361", "leading zero"]),
        ("shmflowsink", "topic=v perms=600", &["leading zero"]),
        ("shmflowsink", "topic=v perms=01777", &["01777"]),
        ("shmflowsink", "topic=v perms=066", &["066", "owner"]),
        ("shmflowsink", "topic=v max-buffers=2", &["max-buffers=2", "3"]),
        ("shmflowsink", "topic=v max-buffers=1000000", &["max-buffers", "4096"]),
        ("shmflowsink", "topic=v max-buffers=8 history=9", &["history=9"]),
        ("shmflowsink", "topic=v max-buffers=8 spare-slots=8", &["spare-slots=8"]),
        ("shmflowsrc", "topic=v caps=audio/x-raw,format=S16LE", &["caps", "audio"]),
        ("shmflowsrc", "topic=v caps=video/x-raw(memory:GLMemory)", &["caps", "system memory"]),
        ("shmflowsrc", "topic=v caps=video/x-raw,format=BGR", &["caps"]),
        ("shmflowsrc", &long, &["200"]),
        ("shmflowsink", "topic=v directory=/nowhere/at/all", &["/nowhere/at/all"]),
    ] {
        let text = match element {
            "shmflowsink" => format!("videotestsrc num-buffers=1 ! shmflowsink {settings}"),
            _ => format!("shmflowsrc {settings} ! fakesink"),
        };
        // To an application, and to a person at the shell.
        let error = refusal(&text);
        let ended = Child::launch(&text).wait();
        for part in parts {
            assert!(error.contains(part), "{text}: no {part:?} in {error}");
            ended.badly(part);
        }
        let vague = ["Failed to start", "Internal data stream error", "failed to change state"];
        let first = ended.printed.lines().find(|line| line.contains("ERROR:")).unwrap_or_default();
        assert!(!vague.iter().any(|text| first.contains(text)), "{text}: {first}");
    }
}

#[test]
fn a_directory_on_a_disk_is_warned_of_once() {
    let disk = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("disk-{}", std::process::id()));
    std::fs::create_dir_all(&disk).expect("a folder in target/tmp");
    let kind = nix::sys::statfs::statfs(&disk).expect("it is there").filesystem_type();
    let text = format!(
        "videotestsrc num-buffers=2 ! video/x-raw,width=64,height=48 ! shmflowsink topic=video sync=false directory={}",
        disk.display()
    );
    let ended = Child::launch(&text).wait();
    std::fs::remove_dir_all(&disk).expect("its topic is closed");
    let warnings =
        ended.printed.lines().filter(|line| line.contains("WARNING") && line.contains("is on a disk"));
    let on_disk = kind != nix::sys::statfs::TMPFS_MAGIC;
    assert_eq!(warnings.count(), usize::from(on_disk), "{}", ended.printed);
}
