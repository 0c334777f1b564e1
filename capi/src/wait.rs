//! Waiting for several consumers at a time.
#![allow(unsafe_code, reason = "exported names, C's pointers, and poll")]

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use crate::args;
use crate::consumer::Consumer;
use crate::fail::{Failure, Result, guard};
use crate::options;
use crate::status::{SHMFLOW_IO, SHMFLOW_TIMEOUT, Status};

/// Waits until one of count consumers has something to return, at most timeout_ms milliseconds (0: not at all; or
/// SHMFLOW_FOREVER): a frame, an end, an error, a cancellation. *index receives which one it is, for
/// shmflow_consumer_try_receive. Where several have something they get their turns. NULL among the consumers is left out.
/// SHMFLOW_TIMEOUT. It uses the descriptors of shmflow_consumer_fd: an event loop of the program's own can do the same.
///
/// # Safety
/// consumers points to count pointers, NULL or open; index points to a size_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_wait_any(
    consumers: *const *mut Consumer,
    count: usize,
    timeout_ms: i64,
    index: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (place, consumers) =
            unsafe { (args::place(index, "index")?, args::pointers(consumers, count, "consumers")?) };
        place.write(0);
        place.write(wait(&consumers, timeout_ms)?);
        Ok(())
    })
}

fn wait(consumers: &[Option<&Consumer>], timeout_ms: i64) -> Result<usize> {
    let deadline = options::timeout(timeout_ms).map(|timeout| (Instant::now(), timeout));
    let mut polled = Vec::with_capacity(consumers.len());
    for consumer in consumers {
        // The kernel leaves out what is negative.
        let fd = consumer.map_or(Ok(-1), |consumer| Ok::<_, Failure>(consumer.lock()?.fd()?.as_raw_fd()))?;
        polled.push(libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    }
    if polled.iter().all(|one| one.fd < 0) {
        return Err(Failure::argument("there is no consumer to wait for"));
    }
    loop {
        let left = deadline.map(|(start, timeout)| timeout.saturating_sub(start.elapsed()));
        // Not less than is left: a wait that is too short would be repeated without a rest.
        let left_ms =
            left.map_or(-1, |left| i32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
        poll(&mut polled, left_ms)?;
        if let Some(index) = first_ready(consumers, &polled)? {
            return Ok(index);
        }
        if left.is_some_and(|left| left.is_zero()) {
            let what = "none of the consumers has a frame; check that their producers are running";
            return Err(Failure::Said(SHMFLOW_TIMEOUT, what.into()));
        }
    }
}

/// Of those whose descriptors are readable, the first that has something, beginning behind the one that was found before.
fn first_ready(consumers: &[Option<&Consumer>], polled: &[libc::pollfd]) -> Result<Option<usize>> {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let begin = TURN.load(Relaxed).checked_rem(consumers.len()).unwrap_or(0);
    let all = || consumers.iter().zip(polled).enumerate();
    for (index, (consumer, polled)) in all().skip(begin).chain(all().take(begin)) {
        if let (Some(consumer), true) = (consumer, polled.revents != 0)
            && consumer.lock()?.is_ready()
        {
            TURN.store(index.wrapping_add(1), Relaxed);
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// Until a descriptor is readable, or the time is over. A signal does not end it.
fn poll(polled: &mut [libc::pollfd], left_ms: i32) -> Result<()> {
    let count = libc::nfds_t::try_from(polled.len()).unwrap_or(libc::nfds_t::MAX);
    // SAFETY: as many as it is told.
    if unsafe { libc::poll(polled.as_mut_ptr(), count, left_ms) } >= 0 {
        return Ok(());
    }
    for one in polled {
        one.revents = 0;
    }
    let source = std::io::Error::last_os_error();
    if source.kind() == std::io::ErrorKind::Interrupted {
        return Ok(());
    }
    Err(Failure::Said(SHMFLOW_IO, format!("cannot wait for several consumers: {source}")))
}
