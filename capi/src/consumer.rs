//! Reading frames.
#![allow(unsafe_code, reason = "exported names, and C's pointers")]

use std::ffi::{c_char, c_int};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use ring::{CancelToken, PendingConsumer};

use crate::args::{self, Versioned};
use crate::fail::{Failure, Result, guard};
use crate::frame::Frame;
use crate::options::{self, ConsumerOptions};
use crate::status::{SHMFLOW_HANDLE_IN_USE, SHMFLOW_TIMEOUT, SHMFLOW_TOPIC_NOT_FOUND, Status};

/// Reads frames from a topic, each once and in order. One thread at a time, any thread; a second one gets
/// SHMFLOW_HANDLE_IN_USE. shmflow_consumer_cancel may be called at any time by any thread.
#[derive(Debug)]
pub struct Consumer {
    state: Mutex<State>,
    cancel_token: CancelToken,
}

/// A consumer, or one to come.
#[derive(Debug)]
pub(crate) enum State {
    Pending(Box<PendingConsumer>),
    Open(Box<ring::Consumer>),
}

/// Statistics of a consumer and its topic; all 0 while the topic does not exist (allow_missing).
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct ConsumerStats {
    /// Frames received.
    pub received: u64,
    /// Frames lost: overwritten before they were read.
    pub lost: u64,
    /// Frames received as copies.
    pub copied: u64,
    /// Bytes received, without metadata.
    pub bytes: u64,
    /// Sequence number of the next frame to be received.
    pub position: u64,
    /// Bytes that a frame may have in the current ring.
    pub slot_capacity: u64,
    /// The epoch: counts the geometries that the ring has had, from 1.
    pub epoch: u64,
    /// Frames that the ring holds for its consumers.
    pub depth: u32,
    /// Leases that this consumer holds now.
    pub leases: u32,
    /// Producers that are alive.
    pub producers: u32,
    /// 1 if the stream has ended.
    pub ended: i32,
    /// Of the frames received, those that were not returned, since they were older than max_age_ms.
    pub skipped: u64,
    /// Frames that were looked for when they were due, and found (busy_wait_us).
    pub expected: u64,
}

// SAFETY: integers, no padding.
unsafe impl Versioned for ConsumerStats {
    const LEAST: usize = 72;
}

impl Consumer {
    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, State>> {
        match self.state.try_lock() {
            Ok(state) => Ok(state),
            // The panic was reported. What it left is whole: the ring has no state that a panic could tear.
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Failure::Said(
                SHMFLOW_HANDLE_IN_USE,
                "another thread is inside a call of this consumer; open one consumer for each thread".into(),
            )),
        }
    }
}

impl State {
    /// Joins the topic if it is there now.
    fn join(&mut self) -> Result<Option<&mut ring::Consumer>> {
        if let Self::Pending(pending) = self {
            let Some(open) = pending.try_open()? else { return Ok(None) };
            *self = Self::Open(Box::new(open));
        }
        match self {
            Self::Open(open) => Ok(Some(open)),
            Self::Pending(_) => Ok(None),
        }
    }

    /// For calls that make no sense without a topic.
    fn joined(&mut self) -> Result<&mut ring::Consumer> {
        self.join()?.ok_or_else(|| {
            Failure::Said(SHMFLOW_TOPIC_NOT_FOUND, "the topic of this consumer does not exist yet".into())
        })
    }

    fn receive(&mut self, timeout: Option<Duration>) -> Result<ring::Frame> {
        let start = Instant::now();
        if let (Self::Pending(pending), false) = (&mut *self, timeout == Some(Duration::ZERO)) {
            *self = Self::Open(Box::new(pending.open(timeout)?));
        }
        let missing = "the topic does not exist yet; start its producer, in the same directory";
        let open = self.join()?.ok_or_else(|| Failure::Said(SHMFLOW_TIMEOUT, missing.into()))?;
        Ok(match timeout {
            Some(timeout) => open.recv_timeout(timeout.saturating_sub(start.elapsed()))?,
            None => open.recv()?,
        })
    }

    pub(crate) fn fd(&mut self) -> Result<BorrowedFd<'_>> {
        Ok(match self {
            Self::Pending(pending) => pending.poll_fd()?,
            Self::Open(open) => open.poll_fd()?,
        })
    }

    /// Whether receiving has something to return at once. If not, the descriptor becomes unreadable.
    pub(crate) fn is_ready(&mut self) -> bool {
        match self.join() {
            Ok(Some(open)) => open.is_ready().unwrap_or(true),
            Ok(None) => false,
            Err(_) => true,
        }
    }
}

/// Opens a topic for reading. options may be NULL. *consumer is NULL unless SHMFLOW_OK is returned; SHMFLOW_TIMEOUT if
/// the topic was not created within connect_timeout_ms.
///
/// # Safety
/// topic is a text, options NULL or initialised, consumer points to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_consumer_open(
    topic: *const c_char,
    options: *const ConsumerOptions,
    consumer: *mut *mut Consumer,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let place = unsafe { args::place(consumer, "consumer") }?;
        place.write(std::ptr::null_mut());
        // SAFETY: the caller's.
        let (builder, allow_missing) = unsafe { options::consumer(args::text(topic, "topic")?, options)? };
        let (state, cancel_token) = if allow_missing {
            let pending = builder.open_pending()?;
            let cancel_token = pending.cancel_token();
            let mut state = State::Pending(Box::new(pending));
            // What is wrong with a topic that is there is said now.
            state.join()?;
            (state, cancel_token)
        } else {
            let open = builder.open()?;
            let cancel_token = open.cancel_token();
            (State::Open(Box::new(open)), cancel_token)
        };
        place.write(Box::into_raw(Box::new(Consumer { state: Mutex::new(state), cancel_token })));
        Ok(())
    })
}

/// Leaves the topic, and closes the descriptor of shmflow_consumer_fd. Received frames stay valid until they are
/// released. NULL is ignored.
///
/// # Safety
/// consumer is NULL or from shmflow_consumer_open, and not used afterwards; no other thread is in a call of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_consumer_close(consumer: *mut Consumer) {
    guard(|| {
        if !consumer.is_null() {
            // SAFETY: the caller's.
            drop(unsafe { args::taken(consumer, "consumer") }?);
        }
        Ok(())
    });
}

/// The next frame; waits for it at most timeout_ms milliseconds (0: not at all; or SHMFLOW_FOREVER). *frame is NULL unless
/// SHMFLOW_OK is returned; release it with shmflow_frame_release. SHMFLOW_TIMEOUT, SHMFLOW_ENDED (the stream may continue
/// later), SHMFLOW_CANCELLED, SHMFLOW_REMOVED, SHMFLOW_CORRUPT.
///
/// # Safety
/// consumer is open; frame points to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_consumer_receive(
    consumer: *const Consumer,
    timeout_ms: i64,
    frame: *mut *mut Frame,
) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe { receive(consumer, options::timeout(timeout_ms), frame) })
}

/// As shmflow_consumer_receive, without waiting: SHMFLOW_TIMEOUT if there is no new frame.
///
/// # Safety
/// As for shmflow_consumer_receive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_consumer_try_receive(
    consumer: *const Consumer,
    frame: *mut *mut Frame,
) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe { receive(consumer, Some(Duration::ZERO), frame) })
}

/// # Safety
/// As for `shmflow_consumer_receive`.
unsafe fn receive(
    consumer: *const Consumer,
    timeout: Option<Duration>,
    frame: *mut *mut Frame,
) -> Result<()> {
    // SAFETY: the caller's.
    let place = unsafe { args::place(frame, "frame") }?;
    place.write(std::ptr::null_mut());
    // SAFETY: the caller's.
    let mut state = unsafe { args::object(consumer, "consumer") }?.lock()?;
    place.write(Frame::give(state.receive(timeout)?));
    Ok(())
}

/// A file descriptor for poll, select, epoll and event loops: readable when shmflow_consumer_try_receive has a frame or an
/// event to return. It is level-triggered, and may be readable without one (always so at first): then
/// shmflow_consumer_try_receive returns SHMFLOW_TIMEOUT, and the descriptor becomes unreadable. SHMFLOW_ENDED, once
/// returned, does not keep it readable; it becomes readable again when the stream continues. Every call returns the same
/// descriptor, and shmflow_consumer_close closes it: do not read from it, write to it or close it. The first call of a process
/// starts a thread, which sleeps until frames arrive, for up to 63 consumers (for each, before Linux 5.16).
///
/// # Safety
/// consumer is open; fd points to an int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_consumer_fd(consumer: *const Consumer, fd: *mut c_int) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (handle, place) = unsafe { (args::object(consumer, "consumer")?, args::place(fd, "fd")?) };
        place.write(-1);
        place.write(handle.lock()?.fd()?.as_raw_fd());
        Ok(())
    })
}

/// Cancels waits: a call that waits, and every later one, returns SHMFLOW_CANCELLED until shmflow_consumer_cancel_reset.
/// May be called by any thread, and in a signal handler: signals alone do not end a wait.
///
/// # Safety
/// consumer is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_consumer_cancel(consumer: *const Consumer) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        unsafe { args::object(consumer, "consumer") }?.cancel_token.cancel();
        Ok(())
    })
}

/// Allows waits again after shmflow_consumer_cancel.
///
/// # Safety
/// consumer is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_consumer_cancel_reset(consumer: *const Consumer) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        unsafe { args::object(consumer, "consumer") }?.cancel_token.reset();
        Ok(())
    })
}

/// Skips all frames in the ring but the newest. They do not count as lost.
///
/// # Safety
/// consumer is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_consumer_skip_to_newest(consumer: *const Consumer) -> Status {
    // SAFETY: the caller's.
    guard(|| match unsafe { args::object(consumer, "consumer") }?.lock()?.join()? {
        Some(open) => Ok(open.skip_to_newest()?),
        // Nothing is there to be skipped.
        None => Ok(()),
    })
}

/// Asks the producers of an encoded stream for a key frame, which a consumer needs that joined or lost frames. Whether they
/// heed it is up to them. Not permitted to a consumer that is not registered (read_only, or one too many). Wait a moment before
/// asking again.
///
/// # Safety
/// consumer is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_consumer_request_key_frame(consumer: *const Consumer) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        if unsafe { args::object(consumer, "consumer") }?.lock()?.joined()?.request_key_frame()? {
            return Ok(());
        }
        Err(Failure::argument("the consumer is not registered, and so cannot ask for a key frame"))
    })
}

/// States the caps that this consumer accepts, for producers to read: as GStreamer writes them, of at most 8192 bytes; ""
/// for not stated.
///
/// # Safety
/// consumer is open; caps is a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_consumer_set_accepted_caps(
    consumer: *const Consumer,
    caps: *const c_char,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (handle, caps) = unsafe { (args::object(consumer, "consumer")?, args::text(caps, "caps")?) };
        match &mut *handle.lock()? {
            State::Pending(pending) => pending.set_accepted_caps(caps)?,
            State::Open(open) => open.set_accepted_caps(caps)?,
        }
        Ok(())
    })
}

/// Statistics of a consumer and its topic. Call it as shmflow_consumer_get_stats(consumer, &stats, sizeof stats).
///
/// # Safety
/// consumer is open; stats points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_consumer_get_stats(
    consumer: *const Consumer,
    stats: *mut ConsumerStats,
    size: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let handle = unsafe { args::object(consumer, "consumer") }?;
        let now = match &*handle.lock()? {
            State::Pending(_) => ConsumerStats::default(),
            State::Open(open) => stats_of(open),
        };
        // SAFETY: the caller's.
        unsafe { args::write(stats, size, now, "stats") }
    })
}

fn stats_of(ring: &ring::Consumer) -> ConsumerStats {
    let (done, shape, stream_status) = (ring.stats(), ring.geometry(), ring.stream_status());
    ConsumerStats {
        received: done.received,
        lost: done.lost,
        copied: done.copied,
        bytes: done.bytes,
        position: ring.position(),
        slot_capacity: shape.slot_capacity as u64,
        epoch: shape.epoch,
        depth: shape.depth,
        leases: done.leases,
        producers: stream_status.producers,
        ended: stream_status.ended.into(),
        skipped: done.skipped,
        expected: done.expected,
    }
}
