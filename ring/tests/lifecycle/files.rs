//! Files that are not what their names say.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::stat::Mode;
use shmflow::{Consumer, Error, Producer};

use super::common::Dir;

/// A sound topic that nobody has open; the paths of `peers`, `ring` and `holds`.
fn topic(dir: &Dir) -> [PathBuf; 3] {
    let producer = Producer::builder("t").dir(dir).perms(0o644).persistent(true).open().unwrap();
    producer.write(b"frame").unwrap();
    drop(producer);
    let mut files: Vec<_> = dir.files().into_iter().map(|name| dir.path().join(name)).collect();
    files.sort();
    let [holds, peers, ring] = files.try_into().unwrap();
    [peers, ring, holds]
}

/// What comes of opening the topic as a producer, a consumer and a reader.
fn open(dir: &Dir) -> [Option<Error>; 3] {
    [
        Producer::builder("t").dir(dir).open().err(),
        Consumer::builder("t").dir(dir).open().err(),
        Consumer::builder("t").dir(dir).read_only(true).open().err(),
    ]
}

fn is_refused(error: &Option<Error>) -> bool {
    matches!(error, Some(Error::NotARing { .. }))
}

#[test]
fn other_content_is_refused_by_everybody_and_left_alone() {
    let dir = Dir::new();
    let paths = topic(&dir);
    let sound = paths.clone().map(|path| fs::read(path).unwrap());
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 7] = [
        ("empty", Vec::clear),
        ("cut in its first page", |bytes| bytes.truncate(100)),
        ("a page short", |bytes| bytes.truncate(bytes.len() - 4096)),
        ("another magic number", |bytes| bytes[0] ^= 1),
        ("text", |bytes| bytes.fill(b'x')),
        ("zeros", |bytes| bytes.fill(0)),
        ("noise", |bytes| {
            let mut random = super::common::Random::new(3);
            bytes.iter_mut().for_each(|byte| *byte = random.next() as u8);
        }),
    ];
    for (which, path) in paths.iter().enumerate() {
        for (what, damage) in damages {
            let mut bytes = sound[which].clone();
            damage(&mut bytes);
            fs::write(path, &bytes).unwrap();
            let [producer, consumer, reader] = open(&dir);
            assert!(is_refused(&producer), "producer, {}, {what}: {producer:?}", path.display());
            assert!(is_refused(&consumer), "consumer, {}, {what}: {consumer:?}", path.display());
            // Who only reads has nothing to do with the holder words.
            assert_eq!(is_refused(&reader), which != 2, "reader, {}, {what}: {reader:?}", path.display());
            let text = producer.unwrap().to_string();
            assert!(text.contains("topic `t`") && text.contains("shmflow.t."), "{text}");
            assert!(fs::read(path).unwrap() == bytes, "{what}: it was changed");
            fs::write(path, &sound[which]).unwrap();
        }
    }
    assert!(open(&dir).iter().all(Option::is_none));
}

#[test]
fn another_version_is_named() {
    let dir = Dir::new();
    let paths = topic(&dir);
    for path in &paths[..2] {
        let file = fs::File::options().write(true).open(path).unwrap();
        // The first had no place for the time of publication: its producers leave that of an earlier frame.
        for version in [1, 7] {
            file.write_all_at(&u64::from(version).to_le_bytes(), 8).unwrap();
            for error in open(&dir) {
                assert!(
                    matches!(error, Some(Error::VersionMismatch { found, expected: 2, .. }) if found == version),
                    "{error:?}"
                );
            }
        }
        file.write_all_at(&2_u64.to_le_bytes(), 8).unwrap();
    }
}

#[test]
fn holder_words_of_another_ring_are_refused() {
    let (dir, other) = (Dir::new(), Dir::new());
    let ([.., holds], [.., foreign]) = (topic(&dir), topic(&other));
    fs::copy(foreign, holds).unwrap();
    let [producer, consumer, reader] = open(&dir);
    assert!(is_refused(&producer) && is_refused(&consumer) && reader.is_none());
}

#[test]
fn links_pipes_and_directories_are_refused_at_once() {
    let dir = Dir::new();
    let paths = topic(&dir);
    type Make = fn(&Path, &Path);
    let kinds: [(&str, Make); 3] = [
        ("a link to the file itself", |path, aside| std::os::unix::fs::symlink(aside, path).unwrap()),
        ("a pipe", |path, _| nix::unistd::mkfifo(path, Mode::S_IRWXU).unwrap()),
        ("a directory", |path, _| fs::create_dir(path).unwrap()),
    ];
    for (which, path) in paths.iter().enumerate() {
        let aside = dir.path().join("aside");
        for (what, make) in kinds {
            fs::rename(path, &aside).unwrap();
            make(path, &aside);
            let [producer, consumer, reader] = open(&dir);
            assert!(is_refused(&producer), "producer, {}, {what}: {producer:?}", path.display());
            assert!(is_refused(&consumer), "consumer, {}, {what}: {consumer:?}", path.display());
            assert_eq!(is_refused(&reader), which != 2, "reader, {}, {what}: {reader:?}", path.display());
            if path.is_dir() && !path.is_symlink() {
                fs::remove_dir(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
            fs::rename(&aside, path).unwrap();
        }
    }
    assert!(open(&dir).iter().all(Option::is_none));
}

#[test]
fn a_directory_that_is_not_there_is_an_error_that_names_it() {
    let dir = Dir::new();
    let nowhere = dir.path().join("nowhere");
    for error in [
        Producer::builder("t").dir(&nowhere).open().unwrap_err(),
        Consumer::builder("t").dir(&nowhere).open().unwrap_err(),
    ] {
        assert!(error.to_string().contains("nowhere"), "{error}");
    }
}

#[test]
fn who_waits_for_a_topic_waits_for_its_directory_too() {
    let dir = Dir::new();
    let later = dir.path().join("later");
    let begun = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let early = Consumer::builder("t").dir(&later).connect_timeout(Duration::ZERO).open();
            assert!(matches!(early, Err(Error::Timeout { .. })), "{early:?}");
            fs::create_dir(&later).unwrap();
            fs::remove_dir(&later).unwrap();
            begun.wait();
            Consumer::builder("t").dir(&later).connect_timeout(Duration::from_secs(60)).open()
        });
        begun.wait();
        fs::create_dir(&later).unwrap();
        let producer = Producer::builder("t").dir(&later).open().unwrap();
        producer.write(b"here").unwrap();
        assert_eq!(&*waiting.join().unwrap().unwrap().recv().unwrap(), b"here");
    });
}

#[test]
fn the_owner_of_a_dead_topic_repairs_what_is_damaged() {
    for (part, len) in [("holds", 0), ("holds", 100), ("ring", 5000)] {
        let dir = Dir::new();
        let producer = Producer::builder("t").dir(&dir).open().unwrap();
        producer.write(b"frame").unwrap();
        let path = |name: &String| dir.path().join(name);
        let files: Vec<_> =
            dir.files().into_iter().map(|name| (path(&name), fs::read(path(&name)).unwrap())).collect();
        drop(producer);
        // As if its process had been killed: the files are there, and nobody holds a lock.
        for (path, bytes) in &files {
            fs::write(path, bytes).unwrap();
        }
        let (damaged, _) = files.iter().find(|(path, _)| path.to_string_lossy().contains(part)).unwrap();
        fs::OpenOptions::new().write(true).open(damaged).unwrap().set_len(len).unwrap();
        let consumer = Consumer::builder("t").dir(&dir).open();
        assert!(
            matches!(&consumer, Err(Error::NotARing { path, .. }) if path == damaged),
            "{part}: {consumer:?}"
        );
        let again = Producer::builder("t").dir(&dir).open().unwrap();
        again.write(b"again").unwrap();
        assert_eq!(&*Consumer::builder("t").dir(&dir).open().unwrap().recv().unwrap(), b"again");
    }
}

#[test]
fn a_damaged_topic_that_is_to_stay_is_left_alone_and_the_error_names_the_file() {
    let dir = Dir::new();
    let [_, _, holds] = topic(&dir);
    fs::OpenOptions::new().write(true).open(&holds).unwrap().set_len(100).unwrap();
    let producer = Producer::builder("t").dir(&dir).open();
    assert!(matches!(&producer, Err(Error::NotARing { path, .. }) if *path == holds), "{producer:?}");
}

#[test]
fn files_of_others_that_look_alike_are_left_alone() {
    let dir = Dir::new();
    let foreign = ["shmflow.t", "shmflow.t.ring.bak", "shmflow.t.holds.1", "shmflow.tt.ring", "t.peers"];
    for name in foreign {
        fs::write(dir.path().join(name), name).unwrap();
    }
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    producer.write(&vec![1; 1 << 20]).unwrap();
    drop(producer);
    shmflow::gc(Some(dir.path())).unwrap();
    let mut left = dir.files();
    // `tt` has a ring by its name, of which nothing else is left.
    left.retain(|name| !name.starts_with("shmflow.tt."));
    let mut expected: Vec<_> = foreign.into_iter().filter(|name| !name.starts_with("shmflow.tt.")).collect();
    expected.sort_unstable();
    assert_eq!(left, expected);
}
