//! `send` and `recv`: frames from and to pipes and files.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use shmflow::meta::Meta;
use shmflow::{Consumer, StartAt};

use crate::support::{Dir, LONG, Ran};

#[test]
fn lines_go_through_a_topic_and_come_out_as_they_were() {
    let dir = Dir::new();
    let mut recv = dir.command(&["recv", "log", "--lines", "--wait"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut send = dir
        .command(&["send", "log", "--lines", "--wait", "--lossless"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = send.stdin.take().unwrap();
    let mut out = BufReader::new(recv.stdout.take().unwrap());
    let mut line = String::new();
    writeln!(pipe, "first").unwrap();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "first\n", "at once, and not at the end");
    for number in 0..1000 {
        writeln!(pipe, "{number}").unwrap();
    }
    write!(pipe, "last").unwrap();
    drop(pipe);
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let expected: String =
        (0..1000).map(|number| format!("{number}\n")).chain(["last\n".to_owned()]).collect();
    assert_eq!(rest, expected);
    assert_eq!((send.wait().unwrap().code(), recv.wait().unwrap().code()), (Some(0), Some(0)));
    let mut told = String::new();
    send.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(told, "shmflow: 1,002 frames published on topic `log`\n");
    assert!(dir.is_empty());
}

#[test]
fn raw_pictures_carry_what_they_are() {
    let dir = Dir::new();
    let path = dir.0.join("film.raw");
    let frames: Vec<u8> = (0..3 * 90_u32).map(|at| at as u8).collect();
    std::fs::write(&path, [&frames[..], &[0; 10]].concat()).unwrap();
    let caps = "video/x-raw,format=I420,width=10,height=6,framerate=25/1";
    let ran = dir.run(&[
        "send",
        "film",
        path.to_str().unwrap(),
        "--caps",
        caps,
        "--persistent",
        "--description",
        "A \"film\"",
    ]);
    assert_eq!(ran.status(), 0, "{}", ran.err());
    assert!(
        ran.err().contains("10 bytes at the end are no whole frame of 90")
            && ran.err().contains("3 frames published")
    );
    let info = dir.run(&["info", "film", "--json"]).json();
    assert_eq!((&info["what"], &info["description"]), (&"I420 10×6 @ 25".into(), &"A \"film\"".into()));
    let mut consumer = Consumer::builder("film").dir(&dir.0).start(StartAt::Oldest).open().unwrap();
    let frame = consumer.recv().unwrap();
    let meta: Meta = frame.meta().unwrap().unwrap();
    assert_eq!((&frame[..], meta.caps.as_deref(), meta.offset), (&frames[..90], Some(caps), Some(0)));
    meta.video.unwrap().fits(frame.len()).unwrap();
    drop((frame, consumer));
    let out = dir.0.join("out.raw");
    let ran = dir.run(&["recv", "film", out.to_str().unwrap(), "--visible"]);
    assert_eq!(ran.status(), 0, "{}", ran.err());
    assert_eq!(std::fs::read(&out).unwrap(), frames);
}

#[test]
fn rows_as_filesink_writes_them_are_no_skewed_picture() {
    let dir = Dir::new();
    // Rows of five pixels of RGB have a byte of padding.
    let rows: Vec<Vec<u8>> = (0..8).map(|row| vec![row; 15]).collect();
    let padded: Vec<u8> = rows.iter().flat_map(|row| [&row[..], &[99]].concat()).collect();
    let path = dir.0.join("film.raw");
    std::fs::write(&path, &padded).unwrap();
    let caps = "video/x-raw,format=RGB,width=5,height=4,framerate=25/1";
    let send = ["send", "film", path.to_str().unwrap(), "--persistent", "--caps", caps];
    let ran = dir.run(&send);
    assert!(
        ran.err().contains("no whole frame of 60") && ran.err().contains("it has 64: --padded"),
        "{}",
        ran.err()
    );
    assert_eq!(dir.run(&["rm", "film"]).status(), 0);
    let ran = dir.run(&[&send[..], &["--padded"]].concat());
    assert_eq!((ran.status(), ran.err()), (0, "shmflow: 2 frames published on topic `film`\n"));
    let out = dir.0.join("out.raw");
    assert_eq!(dir.run(&["recv", "film", out.to_str().unwrap(), "--visible"]).status(), 0);
    assert_eq!(std::fs::read(&out).unwrap(), rows.concat());
    let ran = dir.run(&["send", "film", "--padded", "--caps", "video/x-h264"]);
    assert!(ran.status() == 1 && ran.err().contains("caps of a raw picture"), "{}", ran.err());
}

#[test]
fn frames_of_a_length_and_all_in_one() {
    let dir = Dir::new();
    let path = dir.0.join("bytes");
    std::fs::write(&path, b"aabbccdd").unwrap();
    let file = path.to_str().unwrap();
    assert_eq!(
        dir.run(&["send", "two", file, "--frame-bytes", "2", "--persistent", "--perms", "0644"]).status(),
        0
    );
    assert_eq!(dir.run(&["send", "one", file, "--whole", "--persistent"]).status(), 0);
    let info = dir.run(&["info", "two", "--json"]).json();
    assert_eq!((&info["published"], &info["permissions"]), (&4.into(), &"0644".into()));
    assert_eq!(dir.run(&["recv", "two", "-n", "3"]).out(), "aabbcc");
    assert_eq!(dir.run(&["recv", "two", "--start", "newest"]).out(), "dd");
    assert_eq!(dir.run(&["recv", "one"]).out(), "aabbccdd");
    let paced = std::time::Instant::now();
    assert_eq!(dir.run(&["send", "slow", file, "--frame-bytes", "2", "--rate", "20"]).status(), 0);
    assert!(paced.elapsed() >= std::time::Duration::from_millis(150) && paced.elapsed() < LONG);
}

#[test]
fn a_directory_on_a_disk_is_warned_of() {
    let dir = Dir::new();
    let disk =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("on-disk-{}", std::process::id()));
    std::fs::create_dir_all(&disk).unwrap();
    let (one, two) = (dir.producer("one"), dir.producer("two"));
    for producer in [&one, &two] {
        producer.write(b"x").unwrap();
    }
    let run = dir.0.join("run.mcap");
    let run = run.to_str().unwrap();
    assert_eq!(dir.run(&["record", "one", "two", "-o", run, "-n", "1"]).status(), 0);
    let mut send = dir.command(&["send", "t", "--whole"]);
    send.stdin(std::fs::File::open("/proc/version").unwrap());
    let replay = dir.command(&["replay", run]);
    let said: Vec<_> = [send, replay]
        .into_iter()
        .map(|mut command| Ran(command.args(["--dir", disk.to_str().unwrap()]).output().unwrap()))
        .collect();
    std::fs::remove_dir_all(&disk).unwrap();
    let kind = nix::sys::statfs::statfs(env!("CARGO_TARGET_TMPDIR")).unwrap().filesystem_type();
    let warnings = usize::from(kind != nix::sys::statfs::TMPFS_MAGIC);
    for ran in said {
        assert_eq!(ran.status(), 0, "{}", ran.err());
        assert_eq!(ran.err().matches("which is on a disk").count(), warnings, "{}", ran.err());
    }
}

#[test]
fn what_cannot_be_sent_or_received_is_told() {
    let dir = Dir::new();
    for (args, status, said) in [
        (&["send", "t"][..], 1, "--frame-bytes, --lines, --whole"),
        (&["send", "t", "/nowhere/file", "--whole"], 1, "cannot read /nowhere/file"),
        (&["send", "t", "--lines", "--perms", "9"], 2, "octal"),
        (&["recv", "none"], 3, "there is no topic"),
        (&["recv", "none", "--wait", "--timeout", "0.05"], 1, "timed out"),
    ] {
        let ran = dir.run(args);
        assert!(ran.status() == status && ran.err().contains(said), "{args:?}: {}", ran.err());
    }
    let producer = dir.producer("t");
    producer.write(b"x").unwrap();
    assert!(dir.run(&["recv", "t", "/nowhere/file"]).err().contains("cannot write /nowhere/file"));
    assert!(dir.run(&["recv", "t", "-n", "1", "--visible"]).err().contains("no raw picture"));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let ran = Ran(dir.command(&["recv", "t", "-n", "1"]).stdout(full).output().unwrap());
    assert!(ran.status() == 1 && ran.err().contains("could not write the output"), "{}", ran.err());
}
