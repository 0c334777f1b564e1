//! Recordings read by others: `google.protobuf` of Python, which knows only what is in the file.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Dir, Ran};

#[test]
fn the_schema_in_a_recording_tells_others_what_its_messages_are() {
    let dir = Dir::new();
    let (width, height) = (20, 10);
    let frames: Vec<Vec<u8>> = (0..2_u8)
        .map(|number| (0..width * height * 3).map(|at| (at % 251) as u8 ^ number).collect())
        .collect();
    let (source, file) = (dir.0.join("film.raw"), dir.0.join("run.mcap"));
    std::fs::write(&source, frames.concat()).unwrap();
    let caps = "video/x-raw,format=RGB,width=20,height=10,framerate=25/1";
    let mut sender = dir
        .command(&["send", "film", source.to_str().unwrap(), "--wait", "--lossless", "--caps", caps])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let recorded = dir.run(&["record", "film", "--wait", "-o", file.to_str().unwrap()]);
    assert_eq!(recorded.status(), 0, "{}", recorded.err());
    assert!(sender.wait().unwrap().success());

    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/command/foreign.py");
    // Debian's own, which has Debian's packages.
    let mut command = Command::new("/usr/bin/python3");
    let read = Ran(command.arg(program).arg(&file).arg("film").output().unwrap());
    assert_eq!(read.status(), 0, "{}", read.err());
    if read.out() == "left out\n" {
        println!("left out: Python has no google.protobuf (make deps installs it)");
        return;
    }
    let messages: Vec<Value> = read.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(messages.len(), frames.len(), "{}", read.out());
    for ((message, frame), number) in messages.iter().zip(&frames).zip(1..) {
        assert_eq!((&message["type"], &message["encoding"]), (&"foxglove.RawImage".into(), &"rgb8".into()));
        assert_eq!((&message["width"], &message["height"]), (&width.into(), &height.into()));
        assert_eq!(message["step"], width * 3);
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(message["data"], hex);
        // Our own fields are described, too.
        assert_eq!(message["shmflow_seq"], number);
        let told = message["timestamp"].as_f64().unwrap();
        assert!(told > 0.0, "{told}");
    }
}
