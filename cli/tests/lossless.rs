//! What the command shows of lossless delivery.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use shmflow::{Consumer, Delivery, OverflowPolicy, Producer};

/// What `shmflow info` says of the topic, for people and for programs.
fn info(dir: &std::path::Path) -> (String, Value) {
    let run = |args: &[&str]| {
        let out =
            Command::new(env!("CARGO_BIN_EXE_shmflow")).args(args).env("SHMFLOW_DIR", dir).output().unwrap();
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    (run(&["info", "film"]), serde_json::from_str(&run(&["info", "film", "--json"])).unwrap())
}

fn participant<'a>(value: &'a Value, name: &str) -> &'a Value {
    value["participants"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()
}

#[test]
fn info_shows_who_waits_for_whom() {
    let dir = std::path::PathBuf::from(format!("/dev/shm/shmflow-cli-test-delivery-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let builder = || Producer::builder("film").dir(&dir).name("decoder").depth(2);
    let overwriting = builder().open().unwrap();
    let (text, value) = info(&dir);
    assert!(!text.contains("lossless") && value["lossless"] == false, "{text}");
    drop(overwriting);
    let producer =
        builder().overflow_policy(OverflowPolicy::Lossless).stall_timeout(Duration::ZERO).open().unwrap();
    let mut recorder = Consumer::builder("film").dir(&dir).name("recorder").open().unwrap();
    let _preview =
        Consumer::builder("film").dir(&dir).name("preview").delivery(Delivery::Latest).open().unwrap();
    std::thread::scope(|scope| {
        let token = producer.cancel_token();
        let writing = scope.spawn(|| while producer.write(b"picture").is_ok() {});
        let end = Instant::now() + Duration::from_secs(20);
        let (text, value) = loop {
            let (text, value) = info(&dir);
            if participant(&value, "decoder")["waiting"] == true {
                break (text, value);
            }
            assert!(Instant::now() < end, "the producer never waits: {text}");
        };
        assert_eq!(value["lossless"], true);
        assert_eq!(participant(&value, "decoder")["delivery"], Value::Null);
        assert_eq!(participant(&value, "recorder")["delivery"], "all");
        assert_eq!(participant(&value, "preview")["delivery"], "latest");
        assert!(text.contains(", lossless"), "{text}");
        let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap().to_owned();
        assert!(line("decoder").contains(", waiting"), "{text}");
        assert!(line("preview").contains(", latest"), "{text}");
        token.cancel();
        writing.join().unwrap();
    });
    assert!(recorder.recv().is_ok());
    drop((producer, recorder));
    std::fs::remove_dir_all(&dir).unwrap();
}
