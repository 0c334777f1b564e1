//! Tests of `fork`.

use super::super::files::{create_temp, files_of};
use super::super::lock::{self, Probe, participant_byte};
use super::super::testing::{Role, TempDir};
use super::*;
use crate::topic::Topic;
use std::fs::File;
use std::path::Path;

fn open_plain(path: &Path) -> File {
    File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

fn open(path: &Path) -> GuardedFd {
    GuardedFd::open(|| Ok(open_plain(path).into())).unwrap()
}

/// Forks; `child` gives the exit code.
fn fork(child: impl FnOnce() -> i32) -> nix::unistd::Pid {
    // SAFETY: the child runs `child` only, on a C library whose allocator survives a fork, and then ends.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Parent { child } => child,
        nix::unistd::ForkResult::Child => {
            let code = child();
            // SAFETY: ends the process.
            unsafe { libc::_exit(code) }
        }
    }
}

#[test]
fn a_guarded_descriptor_works_and_closes_where_it_was_made() {
    let dir = TempDir::new();
    let path = dir.path().join("f");
    let guarded = open(&path);
    let number = guarded.as_raw_fd();
    assert!(guarded.is_own_process());
    assert!(lock::try_write(guarded.fd().unwrap(), participant_byte(0)).unwrap());
    assert!(TABLE.contains(number));
    drop(guarded);
    assert_eq!(lock::probe(open_plain(&path), participant_byte(0)).unwrap(), Probe::Free);
}

#[test]
fn the_table_grows_and_its_cells_are_used_again() {
    let dir = TempDir::new();
    let path = dir.path().join("f");
    let many: Vec<GuardedFd> = (0..CHUNK_LEN * 2 + 5).map(|_| open(&path)).collect();
    for guarded in &many {
        assert!(TABLE.contains(guarded.as_raw_fd()));
    }
    drop(many);
    let chunks = TABLE.chunks();
    let many: Vec<GuardedFd> = (0..CHUNK_LEN * 2).map(|_| open(&path)).collect();
    assert_eq!(TABLE.chunks(), chunks);
    drop(many);
}

#[test]
fn a_failed_open_leaves_no_trace() {
    let before = TABLE.taken();
    let error = GuardedFd::open(|| Err(io::Error::other("no"))).unwrap_err();
    assert_eq!(error.to_string(), "no");
    // Other tests run beside us; but none leaves a cell taken for ever.
    let deadline = Deadline::after(Duration::from_secs(10));
    while TABLE.taken() > before && !deadline.has_passed() {
        std::thread::yield_now();
    }
    assert!(TABLE.taken() <= before);
}

impl Chunk {
    fn all(&'static self) -> impl Iterator<Item = &'static Chunk> {
        std::iter::successors(Some(self), |chunk| chunk.next())
    }

    fn contains(&'static self, fd: RawFd) -> bool {
        self.all().flat_map(|chunk| &chunk.cells).any(|cell| cell.load(Ordering::Relaxed) == fd)
    }

    fn chunks(&'static self) -> usize {
        self.all().count()
    }

    fn taken(&'static self) -> usize {
        let cells = self.all().flat_map(|chunk| &chunk.cells);
        cells.filter(|cell| cell.load(Ordering::Relaxed) == TAKEN).count()
    }
}

#[test]
fn the_lock_of_a_dead_parent_is_free_though_its_forked_child_lives() {
    let dir = TempDir::new();
    let path = dir.path().join("f");
    let file = open_plain(&path);
    let (guarded, plain) = (participant_byte(1), participant_byte(2));
    let mut parent = Role::start("sys::fork::tests::role_of_a_parent", dir.path());
    assert_eq!(parent.hear(), "forked");
    assert_eq!(lock::probe(&file, guarded).unwrap(), Probe::WriteLocked);
    parent.kill();
    assert_eq!(lock::probe(&file, guarded).unwrap(), Probe::Free);
    // That this is the handler's doing shows the descriptor without a guard: the child keeps its lock.
    assert_eq!(lock::probe(&file, plain).unwrap(), Probe::WriteLocked);
    parent.tell("go");
    assert_eq!(parent.hear(), "generation 1, refused true, number kept true");
    let topic = Topic::new("t", Some(dir.path())).unwrap();
    assert_eq!(files_of(&topic).unwrap().len(), 1, "the child's drop has left the parent's file alone");
    parent.hang_up();
    assert!(lock::lock_within(&file, plain, Duration::from_secs(20)).unwrap());
}

#[test]
#[ignore = "runs as a process of another test"]
fn role_of_a_parent() {
    let Some(dir) = Role::argument() else { return };
    let path = dir.join("f");
    let guarded = open(&path);
    let plain = open_plain(&path);
    assert!(lock::try_write(guarded.fd().unwrap(), participant_byte(1)).unwrap());
    assert!(lock::try_write(&plain, participant_byte(2)).unwrap());
    let temp = create_temp(&Topic::new("t", Some(&dir)).unwrap(), 0o600, 4096).unwrap();
    let mut mine = Some((guarded, temp));
    fork(|| {
        Role::say("forked");
        let (guarded, temp) = mine.take().unwrap();
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        let refused = guarded.get().is_none() && temp.fd().is_err() && guarded.fd().is_err();
        // The number is free here, and the next open gets it: dropping the guard must not close that.
        let number = guarded.as_raw_fd();
        let others: Vec<File> = (0..8).map(|_| File::open("/dev/null").unwrap()).collect();
        drop((guarded, temp));
        let other = others.iter().find(|file| file.as_raw_fd() == number);
        let kept = other.is_some_and(|file| file.metadata().is_ok());
        Role::say(&format!("generation {}, refused {refused}, number kept {kept}", generation()));
        std::io::stdin().read_line(&mut line).unwrap();
        0
    });
    loop {
        nix::unistd::pause();
    }
}

#[test]
fn a_fork_that_was_not_announced_leaves_the_gate_open() {
    let role = Role::start("sys::fork::tests::role_of_one_whose_fork_was_not_announced", Path::new("/"));
    assert!(role.passes());
}

#[test]
#[ignore = "runs as a process of another test"]
fn role_of_one_whose_fork_was_not_announced() {
    if Role::argument().is_none() {
        return;
    }
    // As a C library does that has got its handlers between the two.
    after_fork_in_parent();
    assert_eq!(FORK_LOCK.load(Ordering::Relaxed), 0);
    // And of one that was, in this thread, only that.
    before_fork();
    assert_eq!(FORK_LOCK.load(Ordering::Relaxed), fork_gate::FORK);
    std::thread::spawn(|| after_fork_in_parent()).join().unwrap();
    assert_eq!(FORK_LOCK.load(Ordering::Relaxed), fork_gate::FORK);
    after_fork_in_parent();
    after_fork_in_parent();
    assert_eq!(FORK_LOCK.load(Ordering::Relaxed), 0);
}

#[test]
fn no_fork_falls_between_opening_and_registering() {
    let dir = TempDir::new();
    let role = Role::start("sys::fork::tests::role_of_openers_and_forks", dir.path());
    assert!(role.passes());
}

#[test]
#[ignore = "runs as a process of another test"]
fn role_of_openers_and_forks() {
    use std::sync::atomic::AtomicBool;
    let Some(dir) = Role::argument() else { return };
    let path = dir.join("f");
    open_plain(&path);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let guarded = open(&path);
                    assert!(guarded.is_own_process());
                }
            });
        }
        for _ in 0..300 {
            let child = fork(|| {
                let entries = std::fs::read_dir("/proc/self/fd").unwrap();
                let open = entries.filter(|entry| {
                    std::fs::read_link(entry.as_ref().unwrap().path()).is_ok_and(|target| target == path)
                });
                i32::try_from(open.count()).unwrap()
            });
            let status = nix::sys::wait::waitpid(child, None).unwrap();
            let clean = nix::sys::wait::WaitStatus::Exited(child, 0);
            if status != clean {
                stop.store(true, Ordering::Relaxed);
            }
            assert_eq!(status, clean);
        }
        stop.store(true, Ordering::Relaxed);
    });
}
