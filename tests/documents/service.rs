//! The systemd unit, as far as that can be tried without systemd: what it starts publishes, in `/dev/shm` or in the directory that it makes.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::child::{Child, program};
use crate::support::{Topic, until};

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The value of a setting that the unit has once.
fn setting<'a>(unit: &'a str, name: &str) -> &'a str {
    let mut found = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let value = found.next().unwrap_or_else(|| panic!("there is no {name}"));
    assert_eq!(found.next(), None, "{name}");
    value
}

/// The words of `ExecStart=`, as systemd makes them for one topic: a `$NAME` of its own becomes as many words as it has.
fn words(unit: &str, topic: &str, source: &str, sink: &str) -> Vec<String> {
    let words = setting(unit, "ExecStart").replace("%i", topic);
    let split = |word: &str| match word {
        "$SOURCE" => source.split_whitespace().map(str::to_owned).collect(),
        "$SINK" => sink.split_whitespace().map(str::to_owned).collect(),
        word => vec![word.to_owned()],
    };
    words.split(' ').flat_map(split).collect()
}

#[test]
fn a_topic_of_the_unit_can_have_a_directory_where_nobody_else_takes_its_name() {
    let unit = read("packaging/systemd/shmflow@.service");
    let directory = format!("/run/{}", setting(&unit, "RuntimeDirectory"));
    // One instance that stops takes it from no other one; its owner alone makes files in it, and others find them.
    assert_eq!(setting(&unit, "RuntimeDirectoryPreserve"), "yes");
    assert_eq!(setting(&unit, "RuntimeDirectoryMode"), "0755");
    // By default topics are where viewers look without being told.
    assert!(!unit.lines().any(|line| line.starts_with("Environment=")), "{unit}");
    assert!(setting(&unit, "ReadWritePaths").split(' ').any(|path| path == "/dev/shm"));
    for text in [&unit, &read("docs/running.md")] {
        assert!(text.contains(&format!("SHMFLOW_DIR={directory}")), "the recipe is not told");
    }

    let topic = Topic::new();
    let runtime = topic.dir().join("run");
    std::fs::create_dir(&runtime).expect("made");
    std::fs::set_permissions(&runtime, std::fs::Permissions::from_mode(0o755)).expect("its own");
    let start = || {
        let source =
            "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=48,framerate=100/1";
        let words = words(&unit, "cam0", source, "perms=0640");
        assert_eq!(words.first().map(String::as_str), Some("/usr/bin/gst-launch-1.0"));
        Child::run(program("gst-launch-1.0").args(&words[1..]).env("SHMFLOW_DIR", &runtime))
    };
    let published = || shmflow::inspect("cam0", Some(&runtime)).map_or(0, |info| info.published());
    let mut first = start();
    until("it publishes there", || published() > 3);
    let info = shmflow::inspect("cam0", Some(&runtime)).expect("it is there");
    assert_eq!(info.permissions, 0o640);
    // A viewer with the same directory stays when the program dies and is started again, and ends when the service is stopped.
    let viewer = "shmflowsrc topic=cam0 ! fakesink name=out silent=false sync=false";
    let mut viewer =
        Child::run(program("gst-launch-1.0").arg("-v").args(viewer.split(' ')).env("SHMFLOW_DIR", &runtime));
    viewer.wait_frames(3);
    first.kill();
    let second = start();
    let seen = viewer.seen().len();
    viewer.wait_frames(seen + 10);
    assert_eq!(setting(&unit, "KillSignal"), "SIGINT");
    second.interrupt().well();
    viewer.wait().well();
    assert_eq!(setting(&unit, "Restart"), "always");
}
