//! Who may do what: the permissions of the files are the security model.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use shmflow::{Consumer, Error, Producer};

use super::actor::{NOBODY, actor, is_root};
use super::common::Dir;

/// Permission bits of `peers`, `holds` and `ring`.
fn modes(dir: &Dir) -> [u32; 3] {
    let mode = |part: &str| {
        let name =
            dir.files().into_iter().find(|name| name.starts_with(&format!("shmflow.t.{part}"))).unwrap();
        fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o7777
    };
    ["peers", "holds", "ring"].map(mode)
}

/// A directory in which everybody may make files and nobody may remove those of others, as `/dev/shm` is.
fn shared() -> Dir {
    let dir = Dir::new();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    dir
}

#[test]
fn the_files_have_exactly_the_permissions_asked_for_whatever_the_umask() {
    let dir = Dir::new();
    for umask in ["000", "022", "077", "777"] {
        let mut maker = actor(&dir, &[&format!("umask {umask}"), "produce perms=666"]);
        assert_eq!(modes(&dir), [0o666, 0o666, 0o644], "umask {umask}");
        // Also those that come later.
        assert!(maker.ask("write 1000000").starts_with("ok"));
        assert_eq!(modes(&dir), [0o666, 0o666, 0o644], "umask {umask}");
        maker.finish();
    }
}

#[test]
fn frames_are_never_for_group_and_others_to_write() {
    let dir = Dir::new();
    for perms in [0o600, 0o620, 0o640, 0o644, 0o660, 0o664, 0o666, 0o777] {
        let producer = Producer::builder("t").dir(&dir).perms(perms).open().unwrap();
        producer.grow(1 << 20, 8).unwrap();
        assert_eq!(modes(&dir), [perms, perms, perms & !0o022], "{perms:o}");
        assert_eq!(producer.geometry().epoch, 2);
    }
    let bad = Producer::builder("t").dir(&dir).perms(1777).open();
    assert!(matches!(bad, Err(Error::InvalidArgument { .. })));
}

#[test]
fn another_user_may_what_the_permissions_say() {
    if !is_root("another_user_may_what_the_permissions_say") {
        return;
    }
    // Permissions, the user, and what comes of opening as a producer, a consumer and a reader.
    let group = "user 65534 0";
    let table = [
        ("600", NOBODY, ["PermissionDenied", "PermissionDenied", "PermissionDenied"]),
        ("640", NOBODY, ["PermissionDenied", "PermissionDenied", "PermissionDenied"]),
        ("640", group, ["PermissionDenied", "PermissionDenied", "ok copy"]),
        ("644", NOBODY, ["PermissionDenied", "PermissionDenied", "ok copy"]),
        ("660", NOBODY, ["PermissionDenied", "PermissionDenied", "PermissionDenied"]),
        ("660", group, ["PermissionDenied", "ok lease", "ok copy"]),
        ("664", group, ["PermissionDenied", "ok lease", "ok copy"]),
        ("664", NOBODY, ["PermissionDenied", "PermissionDenied", "ok copy"]),
        ("666", NOBODY, ["PermissionDenied", "ok lease", "ok copy"]),
    ];
    for (perms, user, expected) in table {
        let dir = shared();
        let mode = u32::from_str_radix(perms, 8).unwrap();
        let producer = Producer::builder("t").dir(&dir).perms(mode).open().unwrap();
        producer.write(b"frame").unwrap();
        let before = dir.files();
        let mut other = actor(&dir, &[user]);
        for (how, expected) in ["produce", "consume", "consume readonly"].into_iter().zip(expected) {
            let answer = other.ask(how);
            let what = format!("{how} of {perms} as {user}: {answer}");
            match expected.split_once(' ') {
                Some((_, kind)) => {
                    assert_eq!(answer, "ok", "{what}");
                    assert_eq!(other.ask("recv 1000"), format!("ok 1 {kind} 5"), "{what}");
                }
                None => {
                    assert!(answer.starts_with(expected), "{what}");
                    assert!(answer.contains("topic `t`"), "{what}");
                }
            }
        }
        other.ask("leave");
        other.finish();
        assert_eq!(dir.files(), before, "{perms} as {user}");
        assert_eq!(producer.write(b"on").unwrap(), 2);
        assert_eq!(producer.consumer_count(), 0);
        drop(producer);
        assert!(dir.files().is_empty());
    }
}

#[test]
fn a_refusal_names_the_file_its_mode_and_its_owner() {
    if !is_root("a_refusal_names_the_file_its_mode_and_its_owner") {
        return;
    }
    let dir = shared();
    let _producer = Producer::builder("t").dir(&dir).perms(0o640).open().unwrap();
    let answer = actor(&dir, &[NOBODY]).ask("consume");
    for part in ["shmflow.t.peers", "0640", "uid 0"] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
}

#[test]
fn a_reader_without_any_right_to_write_is_woken() {
    if !is_root("a_reader_without_any_right_to_write_is_woken") {
        return;
    }
    let dir = shared();
    let producer = Producer::builder("t").dir(&dir).perms(0o644).open().unwrap();
    let mut reader = actor(&dir, &[NOBODY, "consume readonly"]);
    for seq in 1..=20 {
        reader.tell("recv 10000");
        producer.write(&[1; 100]).unwrap();
        assert_eq!(reader.read_reply(), format!("ok {seq} copy 100"));
    }
}

#[test]
fn a_stranger_inspects_what_it_may_read_and_sees_who_lives() {
    if !is_root("a_stranger_inspects_what_it_may_read_and_sees_who_lives") {
        return;
    }
    let dir = shared();
    let producer = Producer::builder("t").dir(&dir).perms(0o644).open().unwrap();
    producer.write(b"x").unwrap();
    let mut stranger = actor(&dir, &[NOBODY]);
    assert_eq!(stranger.ask("inspect"), "ok 1 Alive Some(Some(0))");
    assert!(stranger.ask("remove force").starts_with("PermissionDenied"));
    assert!(stranger.ask("collect").starts_with("ok 0 Failed(PermissionDenied"));
    assert_eq!(producer.write(b"y").unwrap(), 2, "nobody told it that the topic is gone");
}

#[test]
fn one_that_may_not_remove_leaves_the_topic_to_be_adopted() {
    if !is_root("one_that_may_not_remove_leaves_the_topic_to_be_adopted") {
        return;
    }
    let dir = shared();
    let producer = Producer::builder("t").dir(&dir).perms(0o666).open().unwrap();
    let mut last = actor(&dir, &[NOBODY, "consume"]);
    producer.write(b"x").unwrap();
    drop(producer);
    assert_eq!(last.ask("recv 1000"), "ok 1 lease 1");
    assert_eq!(last.ask("leave"), "ok");
    assert_eq!(dir.files().len(), 3, "not its to remove: {:?}", dir.files());
    assert_eq!(last.ask("consume"), "ok", "and still a topic");
    assert_eq!(last.ask("recv 1000"), "ok 1 lease 1");
    assert_eq!(last.ask("leave"), "ok");
    assert!(last.ask("collect").starts_with("ok 0 Failed(PermissionDenied"));
    let owner = Producer::builder("t").dir(&dir).open().unwrap();
    assert_eq!(owner.write(b"y").unwrap(), 2);
    drop(owner);
    assert!(dir.files().is_empty());
}

/// Owner and group of each file of the topic.
fn owners(dir: &Dir) -> Vec<(u32, u32)> {
    let status = |name: String| fs::metadata(dir.path().join(name)).unwrap();
    dir.files().into_iter().map(status).map(|status| (status.uid(), status.gid())).collect()
}

#[test]
fn who_enlarges_a_topic_shuts_nobody_out() {
    if !is_root("who_enlarges_a_topic_shuts_nobody_out") {
        return;
    }
    let dir = shared();
    let mut maker = actor(&dir, &["user 65534 1000", "produce perms=660", "write 5"]);
    let mut friend = actor(&dir, &["user 65533 1000", "consume foreign"]);
    assert_eq!(friend.ask("recv 1000"), "ok 1 lease 5");
    // The same user with another group, and root.
    let mut same = actor(&dir, &["user 65534 65534 1000", "produce", "write 1000000"]);
    assert_eq!(friend.ask("recv 1000"), "ok 2 lease 1000000");
    let root = Producer::builder("t").dir(&dir).allow_foreign_owner(true).open().unwrap();
    root.write(&vec![1; 1 << 22]).unwrap();
    assert_eq!(friend.ask("recv 1000"), "ok 3 lease 4194304");
    assert!(owners(&dir).iter().all(|owner| *owner == (65534, 1000)), "{:?}", owners(&dir));
    assert_eq!(maker.ask("write 5"), "ok 4");
    assert_eq!(same.ask("write 5"), "ok 5");
    assert_eq!(friend.ask("recv 1000"), "ok 4 lease 5");
}

#[test]
fn a_topic_of_another_user_has_to_be_allowed() {
    if !is_root("a_topic_of_another_user_has_to_be_allowed") {
        return;
    }
    let dir = shared();
    let mut stranger = actor(&dir, &[NOBODY, "produce perms=666", "write 5"]);
    let consumer = || Consumer::builder("t").dir(&dir);
    let foreign = |error: Error| matches!(error, Error::ForeignOwner { owner_uid: 65534, .. });
    assert!(foreign(consumer().open().unwrap_err()));
    assert!(foreign(consumer().read_only(true).open().unwrap_err()));
    assert!(foreign(Producer::builder("t").dir(&dir).open().unwrap_err()));
    assert_eq!(&*consumer().allow_foreign_owner(true).open().unwrap().recv().unwrap(), [7; 5]);
    let producer = Producer::builder("t").dir(&dir).allow_foreign_owner(true).open().unwrap();
    assert_eq!(producer.write(b"y").unwrap(), 2);
    // A growth leaves it theirs.
    producer.write(&vec![1; 1 << 20]).unwrap();
    assert_eq!(fs::metadata(dir.path().join("shmflow.t.ring")).unwrap().uid(), 65534);
    assert_eq!(stranger.ask("write 5"), "ok 4");
    drop(producer);
    stranger.kill();
    // Root may clear away everybody's.
    assert_eq!(shmflow::gc(Some(dir.path())).unwrap().removed, ["t"]);
    assert!(dir.files().is_empty());
}
