//! A producer's handle in a forked child, while another thread of the parent had its lock.
#![allow(unsafe_code)]

use std::time::Duration;

use super::Producer;
use crate::sys::testing::{Role, TempDir};
use crate::sys::{files, lock};
use crate::topic::Topic;

#[test]
fn what_a_child_may_ask_does_not_wait_for_a_thread_that_it_does_not_have() {
    let dir = TempDir::new();
    let role = Role::start("producer::fork_tests::role_of_a_parent_with_a_locked_producer", dir.path());
    assert!(role.passes());
}

#[test]
#[ignore = "runs as a process of another test"]
fn role_of_a_parent_with_a_locked_producer() {
    let Some(dir) = Role::argument() else { return };
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let (_buffer, permit) = producer.claim(10).unwrap().into_parts();
    let before = producer.geometry();
    // Somebody else has the lifecycle lock, so that a growth waits for a second, with the producer's own lock in its hands.
    let topic = Topic::new("t", Some(&dir)).unwrap();
    let other = files::open_existing(&topic, &topic.peers_path(), true, false).unwrap();
    assert!(lock::try_write(other.fd().unwrap(), lock::LIFECYCLE_BYTE).unwrap());
    // As a thread has them for a moment at each frame.
    let stalls = producer.inner.stalls.lock().unwrap();
    std::thread::scope(|scope| {
        let growing = scope.spawn(|| producer.grow(1 << 20, 8));
        while producer.inner.current.try_lock().is_ok() {
            std::thread::sleep(Duration::from_micros(100));
        }
        // SAFETY: the child asks what is asked for here, on a C library whose allocator survives a fork, and ends.
        match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Child => {
                // SAFETY: ends this process if it waits.
                unsafe { libc::alarm(10) };
                let same = producer.geometry() == before && permit.is_current();
                let same = same && producer.stats().stalls == 0 && producer.stalled_consumers().is_empty();
                // SAFETY: ends this process.
                unsafe { libc::_exit(if same { 0 } else { 1 }) }
            }
            nix::unistd::ForkResult::Parent { child } => {
                let status = nix::sys::wait::waitpid(child, None).unwrap();
                drop(stalls);
                assert_eq!(status, nix::sys::wait::WaitStatus::Exited(child, 0));
            }
        }
        lock::unlock(other.fd().unwrap(), lock::LIFECYCLE_BYTE).unwrap();
        growing.join().unwrap().unwrap();
    });
}
