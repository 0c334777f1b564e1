//! Tests of `files`.

use super::super::testing::{Role, TempDir, as_nobody, mounted, on_small_tmpfs};
use super::*;
use std::os::fd::AsRawFd;

fn topic(dir: &TempDir) -> Topic {
    Topic::new("cam", Some(dir.path())).unwrap()
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn names(dir: &TempDir) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_new_file_is_reserved_in_full_with_the_exact_mode_and_named_at_one_stroke() {
    let dir = TempDir::new();
    let topic = topic(&dir);
    // An ordinary umask would take the write bits of group and others.
    let mut file = create_temp(&topic, 0o666, 10_000).unwrap();
    let metadata = fs::metadata(&file.name.path).unwrap();
    assert_eq!(metadata.len(), 10_000);
    assert!(metadata.blocks() * 512 >= 10_000, "reserved, not sparse");
    assert!(!topic.ring_path().exists());
    assert!(file.commit_new(&topic.ring_path()).unwrap());
    assert_eq!(mode_of(&topic.ring_path()), 0o666);
    assert!(same_file(file.fd().unwrap(), &topic.ring_path()).unwrap());
    drop(file);
    assert_eq!(names(&dir), ["shmflow.cam.ring"]);
}

#[test]
fn the_second_to_commit_a_name_loses_and_leaves_nothing_behind() {
    let dir = TempDir::new();
    let topic = topic(&dir);
    let (mut first, mut second) =
        (create_temp(&topic, 0o600, 1).unwrap(), create_temp(&topic, 0o600, 2).unwrap());
    assert!(first.commit_new(&topic.ring_path()).unwrap());
    assert!(!second.commit_new(&topic.ring_path()).unwrap());
    drop((first, second));
    assert_eq!(names(&dir), ["shmflow.cam.ring"]);
    assert_eq!(fs::metadata(topic.ring_path()).unwrap().len(), 1);
}

#[test]
fn replacing_leads_the_name_to_the_new_file_and_leaves_the_old_one_to_its_users() {
    let dir = TempDir::new();
    let topic = topic(&dir);
    let mut old = create_temp(&topic, 0o600, 1).unwrap();
    old.commit_replace(&topic.ring_path()).unwrap();
    let mut new = create_temp(&topic, 0o600, 2).unwrap();
    new.commit_replace(&topic.ring_path()).unwrap();
    assert!(same_file(new.fd().unwrap(), &topic.ring_path()).unwrap());
    assert!(!same_file(old.fd().unwrap(), &topic.ring_path()).unwrap());
    assert_eq!(rustix::fs::fstat(old.fd().unwrap()).unwrap().st_size, 1);
}

#[test]
fn an_uncommitted_file_goes_and_a_committed_one_stays_locked_until_told() {
    let dir = TempDir::new();
    let topic = topic(&dir);
    drop(create_temp(&topic, 0o600, 1).unwrap());
    assert_eq!(names(&dir), [""; 0]);
    let mut file = create_temp(&topic, 0o600, 1).unwrap();
    assert!(file.commit_new(&topic.peers_path()).unwrap());
    let other = open_existing(&topic, &topic.peers_path(), true, false).unwrap();
    let other = other.fd().unwrap();
    assert!(!lock::try_write(other, lock::LIFECYCLE_BYTE).unwrap());
    lock::unlock(file.fd().unwrap(), lock::LIFECYCLE_BYTE).unwrap();
    assert!(lock::try_write(other, lock::LIFECYCLE_BYTE).unwrap());
}

#[test]
fn orphans_are_removed_and_files_in_the_making_are_not() {
    let dir = TempDir::new();
    let topic = topic(&dir);
    let alive = create_temp(&topic, 0o600, 1).unwrap();
    let others = Topic::new("other", Some(dir.path())).unwrap();
    fs::write(topic.path(FileKind::Temp(1)), "x").unwrap();
    fs::write(topic.path(FileKind::Holds(1)), "x").unwrap();
    fs::write(others.path(FileKind::Temp(1)), "x").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", topic.path(FileKind::Temp(2))).unwrap();
    assert_eq!(remove_orphaned_temps(&topic).unwrap(), 1);
    assert!(!topic.path(FileKind::Temp(1)).exists());
    assert!(same_file(alive.fd().unwrap(), &alive.name.path).unwrap());
    for kept in
        [topic.path(FileKind::Holds(1)), others.path(FileKind::Temp(1)), topic.path(FileKind::Temp(2))]
    {
        assert!(fs::symlink_metadata(&kept).is_ok(), "{kept:?}");
    }
    assert_eq!(remove_orphaned_temps(&topic).unwrap(), 0);
}

#[test]
fn makers_and_cleaners_at_once_lose_no_file() {
    let dir = TempDir::new();
    let topic = topic(&dir);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                remove_orphaned_temps(&topic).unwrap();
            }
        });
        for number in 0..300 {
            let mut file = create_temp(&topic, 0o600, 1).unwrap();
            assert!(file.commit_new(&topic.path(FileKind::Holds(number))).unwrap());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(names(&dir).len(), 300);
}

#[test]
fn what_is_no_regular_file_is_refused_without_following_or_blocking() {
    let dir = TempDir::new();
    let topic = topic(&dir);
    let path = topic.ring_path();
    let expect = |make: &dyn Fn(), why: &str| {
        make();
        for write in [false, true] {
            match open_existing(&topic, &path, write, false) {
                Err(Error::NotARing { why: found, .. }) => assert!(found.contains(why), "{found}"),
                other => panic!("{why}: {other:?}"),
            }
        }
        fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
    };
    expect(&|| std::os::unix::fs::symlink("/etc/passwd", &path).unwrap(), "symbolic link");
    expect(&|| nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap(), "not a regular file");
    expect(&|| fs::create_dir(&path).unwrap(), "not a regular file");
    expect(&|| drop(std::os::unix::net::UnixListener::bind(&path).unwrap()), "not a regular file");
    match open_existing(&topic, &path, false, false) {
        Err(Error::TopicNotFound { topic, dir: found, .. }) => {
            assert_eq!((&*topic, &*found), ("cam", dir.path()))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_opened_file_is_not_inherited_by_programs() {
    let dir = TempDir::new();
    let topic = topic(&dir);
    fs::write(topic.ring_path(), "x").unwrap();
    let file = open_existing(&topic, &topic.ring_path(), false, false).unwrap();
    let temp = create_temp(&topic, 0o600, 1).unwrap();
    for fd in [file.fd().unwrap(), temp.fd().unwrap()] {
        let flags = rustix::io::fcntl_getfd(fd).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC), "{}", fd.as_raw_fd());
    }
}

#[test]
fn a_refusal_names_the_file_its_mode_and_its_owner() {
    let dir = TempDir::new();
    let topic = topic(&dir);
    fs::write(topic.ring_path(), "x").unwrap();
    fs::set_permissions(topic.ring_path(), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    as_nobody(|| {
        match open_existing(&topic, &topic.ring_path(), false, false) {
            Err(ref error @ Error::PermissionDenied { ref path, mode, owner_uid, .. }) => {
                assert_eq!((path, mode, owner_uid), (&topic.ring_path(), Some(0o600), Some(0)));
                let text = error.to_string();
                assert!(text.contains("mode 0600, owner uid 0"), "{text}");
            }
            other => panic!("{other:?}"),
        }
        match create_temp(&topic, 0o600, 1) {
            Err(Error::PermissionDenied { path, mode, .. }) => {
                assert_eq!((&*path, mode), (topic.dir(), Some(0o755)));
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_file_of_another_user_must_be_allowed() {
    let dir = TempDir::new();
    let topic = topic(&dir);
    let path = topic.ring_path();
    fs::write(&path, "x").unwrap();
    assert!(open_existing(&topic, &path, true, false).is_ok());
    if !nix::unistd::geteuid().is_root() {
        return; // Only root can give files away.
    }
    std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
    match open_existing(&topic, &path, true, false) {
        Err(Error::ForeignOwner { owner_uid: 12345, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert!(open_existing(&topic, &path, true, true).is_ok());
}

#[test]
fn too_little_space_is_an_error_that_counts_and_leaves_nothing_behind() {
    let dir = TempDir::new();
    let topic = topic(&dir);
    match create_temp(&topic, 0o600, u64::MAX) {
        Err(Error::NoSpace { needed: u64::MAX, free, .. }) => assert!(free > 0),
        other => panic!("{other:?}"),
    }
    const PAGE: usize = 4096;
    on_small_tmpfs(dir.path(), 4 * PAGE, || {
        let kept = create_temp(&topic, 0o600, PAGE as u64).unwrap();
        match create_temp(&topic, 0o600, 4 * PAGE as u64) {
            Err(Error::NoSpace { needed, free, limit, .. }) => {
                assert_eq!((needed, free, limit), (4 * 4096, 3 * 4096, SpaceLimit::FileSystem));
            }
            other => panic!("{other:?}"),
        }
        // Behind the check's back: what the file system itself says is told in the same way.
        let error = space::reserve(kept.fd().unwrap(), 0, 5 * PAGE as u64).unwrap_err();
        match creation_error(&topic, 5 * 4096, error) {
            Error::NoSpace { needed, free, .. } => assert_eq!((needed, free), (5 * 4096, 3 * 4096)),
            other => panic!("{other:?}"),
        }
        drop(kept);
        assert_eq!(names(&dir), [""; 0]);
    });
    assert_eq!(names(&dir), [""; 0]);
}

#[test]
fn a_missing_directory_is_named() {
    let topic = Topic::new("cam", Some(Path::new("/no/such/dir"))).unwrap();
    let error = create_temp(&topic, 0o600, 1).unwrap_err();
    assert!(error.to_string().contains("/no/such/dir"), "{error}");
}

#[test]
fn names_may_be_linked_and_unlinked_again_and_again() {
    let dir = TempDir::new();
    let (one, two, three) = (dir.path().join("1"), dir.path().join("2"), dir.path().join("3"));
    fs::write(&one, "x").unwrap();
    fs::write(&three, "y").unwrap();
    link(&one, &two).unwrap();
    link(&one, &two).unwrap();
    assert_eq!(link(&one, &three).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    unlink(&two).unwrap();
    unlink(&two).unwrap();
    assert!(unlink(dir.path()).is_err());
}

#[test]
fn a_file_system_that_cannot_carry_a_ring_is_refused_by_name() {
    for (kind, name, lacks) in [(c"ramfs", "ramfs", "fallocate"), (c"hugetlbfs", "hugetlbfs", "small pages")]
    {
        let dir = TempDir::new();
        let refused = mounted(dir.path(), kind, "", || {
            let error = crate::Producer::builder("cam").dir(dir.path()).open().unwrap_err().to_string();
            assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "it leaves nothing");
            error
        });
        // Not everybody may mount, and not every kernel has all of them.
        let Some(error) = refused else { continue };
        let place = dir.path().to_str().unwrap();
        for part in ["`cam`", place, name, lacks, "tmpfs"] {
            assert!(error.contains(part), "`{part}` is missing in: {error}");
        }
    }
}

#[test]
fn a_sandbox_that_forbids_to_rename_without_replacing_is_worked_around() {
    assert!(Role::start("sys::files::tests::role_of_one_in_a_sandbox", Path::new("/")).passes());
}

#[test]
#[ignore = "runs as a process of another test"]
fn role_of_one_in_a_sandbox() {
    if Role::argument().is_none() {
        return;
    }
    let dir = TempDir::new();
    if !forbid(libc::SYS_renameat2) {
        return; // this system has no seccomp
    }
    let topic = topic(&dir);
    let mut file = create_temp(&topic, 0o600, 100).unwrap();
    assert!(file.commit_new(&topic.peers_path()).unwrap());
    let mut late = create_temp(&topic, 0o600, 100).unwrap();
    assert!(!late.commit_new(&topic.peers_path()).unwrap(), "and does not replace");
    drop((file, late));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// Lets this thread get EPERM for a system call, as container runtimes do. `false` where that is impossible.
#[allow(unsafe_code)]
fn forbid(call: libc::c_long) -> bool {
    let step = |code: u32, k: u32, jump: u8| libc::sock_filter { code: code as u16, jt: 0, jf: jump, k };
    let mut filter = [
        // The number of the call is the first word of `seccomp_data`.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, call as u32, 1),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32, 0),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: plain calls; the program lives as long as the second one.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    }
}
