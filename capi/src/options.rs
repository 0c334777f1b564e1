//! Options to open topics with.
#![allow(unsafe_code, reason = "exported names, and C's pointers")]

use std::ffi::c_char;
use std::time::Duration;

use ring::{ConsumerBuilder, Delivery, OnLapped, OverflowPolicy, ProducerBuilder, ProducerMode, StartAt};

use crate::args::{self, Versioned};
use crate::fail::{Failure, Result, guard};
use crate::status::Status;

/// The frames of all producers are published: they interleave in one sequence.
pub const SHMFLOW_MODE_SHARED: i32 = 0;
/// The frames of one producer, the primary, are published; standbys take over when it dies or is stopped.
pub const SHMFLOW_MODE_PRIMARY: i32 = 1;
/// The topic has one producer: opening a second one fails.
pub const SHMFLOW_MODE_EXCLUSIVE: i32 = 2;

/// A frame for which there is no free slot overwrites the oldest frame that no participant holds.
pub const SHMFLOW_OVERFLOW_OVERWRITE_OLDEST: i32 = 0;
/// A new frame is dropped while the ring is full of unread frames.
pub const SHMFLOW_OVERFLOW_DROP_NEW: i32 = 1;
/// The producer waits for a slot that no registered consumer is owed, at most stall_timeout_ms for one that takes nothing.
/// Not waited for: SHMFLOW_DELIVERY_LATEST, read-only consumers, the dead.
pub const SHMFLOW_OVERFLOW_LOSSLESS: i32 = 2;

/// A lossless producer waits for this consumer.
pub const SHMFLOW_DELIVERY_ALL: i32 = 0;
/// It never does: the consumer gets what is there when it looks, such as a preview beside a recorder.
pub const SHMFLOW_DELIVERY_LATEST: i32 = 1;

/// Start at the oldest frame in the ring.
pub const SHMFLOW_START_OLDEST: i32 = 0;
/// Start at the newest frame in the ring.
pub const SHMFLOW_START_NEWEST: i32 = 1;
/// Start with the first frame published from now on.
pub const SHMFLOW_START_NEXT: i32 = 2;

/// After a loss, continue at the oldest frame in the ring: the fewest frames are lost.
pub const SHMFLOW_ON_LAPPED_OLDEST: i32 = 0;
/// After a loss, continue at the newest frame: the least delay.
pub const SHMFLOW_ON_LAPPED_NEWEST: i32 = 1;

/// A timeout that never expires.
pub const SHMFLOW_FOREVER: i64 = -1;

/// Producer options. Call shmflow_producer_options_init, then override fields. The producer that creates the topic sets
/// depth, spare_slots, history, capacities, perms and persistent; later producers join the existing ring.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ProducerOptions {
    /// Size of this structure as the program knows it. Set by shmflow_producer_options_init.
    pub size: usize,
    /// A name for display, of at most 64 bytes. NULL: the name of the process.
    pub name: *const c_char,
    /// The directory of the topic's files, a tmpfs. NULL: the environment variable SHMFLOW_DIR, or else /dev/shm.
    pub directory: *const c_char,
    /// Initial size of a slot in bytes; the ring grows when a frame is larger. Default 65536.
    pub slot_capacity: usize,
    /// Bytes of metadata that a frame may have. Default 4096.
    pub metadata_capacity: usize,
    /// Frames that the ring holds for its consumers, and so how far a consumer may lag. Default 8.
    pub depth: u32,
    /// Slots beyond the depth, so that producers can write while consumers hold leases: one for each producer and one
    /// more. Default 2.
    pub spare_slots: u32,
    /// Number of newest frames kept for late joiners after all current consumers have read them. A small value reuses few
    /// slots, which stay in the CPU cache. 0: as many as the depth. Default 0.
    pub history: u32,
    /// Permissions of the topic's files, at most 0777; the umask does not apply. Default 0600: this user only.
    pub perms: u32,
    /// SHMFLOW_MODE_SHARED (default), _PRIMARY or _EXCLUSIVE.
    pub mode: i32,
    /// With SHMFLOW_MODE_PRIMARY: how many milliseconds a primary may publish nothing before a standby takes over; 0: a
    /// standby takes over only when the primary dies. Default 1000.
    pub takeover_timeout_ms: u32,
    /// SHMFLOW_OVERFLOW_OVERWRITE_OLDEST (default), _DROP_NEW or _LOSSLESS.
    pub overflow_policy: i32,
    /// Non-zero: keep the topic when its last participant leaves. Default 0.
    pub persistent: i32,
    /// Non-zero: join a topic that belongs to a user other than this one or root. That user can end this process by
    /// truncating the topic's files. Default 0.
    pub allow_foreign_owner: i32,
    /// With SHMFLOW_OVERFLOW_LOSSLESS: how many milliseconds the producer waits for a consumer that takes nothing, before it
    /// passes it over until that has caught up; 0: for ever. Default 5000.
    pub stall_timeout_ms: u32,
    /// What the topic shows, for people: one line of at most 1000 bytes, which shmflow ls and lists of devices have beside the
    /// topic's name. An empty text removes it. NULL: what is there already. Default NULL.
    pub description: *const c_char,
}

// SAFETY: integers and pointers, the size first, no padding (a test counts).
unsafe impl Versioned for ProducerOptions {
    const LEAST: usize = 80;
}

impl ProducerOptions {
    const DEFAULT: Self = Self {
        size: size_of::<Self>(),
        name: std::ptr::null(),
        directory: std::ptr::null(),
        slot_capacity: 64 << 10,
        metadata_capacity: 4096,
        depth: 8,
        spare_slots: 2,
        history: 0,
        perms: 0o600,
        mode: SHMFLOW_MODE_SHARED,
        takeover_timeout_ms: 1000,
        overflow_policy: SHMFLOW_OVERFLOW_OVERWRITE_OLDEST,
        persistent: 0,
        allow_foreign_owner: 0,
        stall_timeout_ms: 5000,
        description: std::ptr::null(),
    };
}

/// The options as the crate has them.
///
/// # Safety
/// `options` is NULL or what `shmflow_producer_open` asks for.
pub(crate) unsafe fn producer(topic: &str, options: *const ProducerOptions) -> Result<ProducerBuilder> {
    // SAFETY: the caller's.
    let options = unsafe { args::read(options, ProducerOptions::DEFAULT, "options") }?;
    let mode = match options.mode {
        SHMFLOW_MODE_SHARED => ProducerMode::Shared,
        SHMFLOW_MODE_PRIMARY => ProducerMode::Primary {
            takeover_timeout: Duration::from_millis(options.takeover_timeout_ms.into()),
        },
        SHMFLOW_MODE_EXCLUSIVE => ProducerMode::Exclusive,
        other => return Err(unknown("mode", other)),
    };
    let overflow_policy = match options.overflow_policy {
        SHMFLOW_OVERFLOW_OVERWRITE_OLDEST => OverflowPolicy::OverwriteOldest,
        SHMFLOW_OVERFLOW_DROP_NEW => OverflowPolicy::DropNew,
        SHMFLOW_OVERFLOW_LOSSLESS => OverflowPolicy::Lossless,
        other => return Err(unknown("overflow_policy", other)),
    };
    let mut builder = ring::Producer::builder(topic)
        .depth(options.depth)
        .spare_slots(options.spare_slots)
        .slot_capacity(options.slot_capacity)
        .meta_capacity(options.metadata_capacity)
        .perms(options.perms)
        .mode(mode)
        .overflow_policy(overflow_policy)
        .stall_timeout(Duration::from_millis(options.stall_timeout_ms.into()))
        .persistent(options.persistent != 0)
        .allow_foreign_owner(options.allow_foreign_owner != 0);
    if options.history != 0 {
        builder = builder.history(options.history);
    }
    // SAFETY: texts or NULL, says the caller.
    let (name, directory, description) = unsafe {
        (
            args::optional_text(options.name, "options.name")?,
            directory(options.directory)?,
            args::optional_text(options.description, "options.description")?,
        )
    };
    if let Some(name) = name {
        builder = builder.name(name);
    }
    if let Some(directory) = directory {
        builder = builder.dir(directory);
    }
    if let Some(description) = description {
        builder = builder.description(description);
    }
    Ok(builder)
}

/// Consumer options. Call shmflow_consumer_options_init, then override fields.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ConsumerOptions {
    /// Size of this structure as the program knows it. Set by shmflow_consumer_options_init.
    pub size: usize,
    /// A name for display, of at most 64 bytes. NULL: the name of the process.
    pub name: *const c_char,
    /// The directory of the topic's files. NULL: the environment variable SHMFLOW_DIR, or else /dev/shm.
    pub directory: *const c_char,
    /// The caps that this consumer accepts, as GStreamer writes them, of at most 8192 bytes. Producers that negotiate
    /// (shmflowsink) try to send those. NULL: not stated.
    pub accepted_caps: *const c_char,
    /// How many milliseconds to wait for a topic that does not exist yet; 0: not at all (in Python the default is for
    /// ever); or SHMFLOW_FOREVER. Default 0.
    pub connect_timeout_ms: i64,
    /// SHMFLOW_START_OLDEST (default), _NEWEST or _NEXT.
    pub start: i32,
    /// SHMFLOW_ON_LAPPED_OLDEST (default) or _NEWEST.
    pub on_lapped: i32,
    /// Leases that this consumer may hold at a time; beyond that, it receives copies. 0: half of the depth. Default 0.
    pub max_leases: u32,
    /// Non-zero: write nothing to frames and states, and receive validated copies. Needs only read permission, on topics
    /// whose perms allow read-only consumers; on others it writes one flag at opening. Default 0.
    pub read_only: i32,
    /// Non-zero: join a topic that belongs to a user other than this one or root. That user can end this process by
    /// truncating the topic's files. Default 0.
    pub allow_foreign_owner: i32,
    /// Not 0: receive no copies. Where a frame could only be copied, receiving gives SHMFLOW_WOULD_COPY and leaves the frame
    /// where it is. Default 0.
    pub no_copies: i32,
    /// Not 0: a wait for a frame ends with SHMFLOW_NO_PRODUCER when everything was read, no producer is left, and the stream
    /// was not ended; once each time. Default 0: wait for the next producer.
    pub report_no_producer: i32,
    /// SHMFLOW_DELIVERY_ALL (default) or _LATEST: whether a lossless producer waits for this consumer.
    pub delivery: i32,
    /// Non-zero: open at once although the topic does not exist yet. The consumer joins it when it comes, and its descriptor
    /// becomes readable then; until then receiving gives SHMFLOW_TIMEOUT. connect_timeout_ms does not count. Default 0.
    pub allow_missing: i32,
    /// Non-zero: each receiving call takes the newest frame, and skips those before it, which do not count as lost: for what acts
    /// on what it sees, a robot or a preview. No lossless producer waits for this consumer. Default 0: every frame.
    pub latest: i32,
    /// With share_count: which share of the stream this is, counted from 0. Default 0.
    pub share_index: u32,
    /// For several consumers that share a stream: into how many shares it is cut. This one receives the frames whose sequence
    /// number, divided by share_count, leaves share_index. 0 or 1: all frames. Default 0.
    pub share_count: u32,
    /// At most so many frames a second, the newest each time; in between a waiting consumer sleeps, and no frame wakes it. 0: no
    /// limit. Default 0.
    pub max_rate: f64,
    /// Frames that were captured more milliseconds ago are skipped, such as those that a dead producer left; they do not count as
    /// lost. Those that do not say when they were captured are not skipped. 0: no limit. Default 0.
    pub max_age_ms: u32,
    /// Non-zero: foreign code of this process may write where a frame's bytes are (shmflow_frame_private_data): nobody else sees
    /// that, and it is gone with the frame. Otherwise such a write ends the process. Costs 0.6 microseconds a frame. Default 0.
    pub copy_on_write: i32,
    /// Microseconds that it may look for a frame that is due, instead of being woken for it: less latency, and no system call for
    /// the producer, for so much time of a processor per frame at most. It learns the stream's pace by itself, and does not look
    /// while there is none. 100 to 300 suit 60 frames a second. Without effect on the descriptor. 0: never. Default 0.
    pub busy_wait_us: u32,
    /// Non-zero: copy every frame, and hold no slot longer than that takes. Default 0.
    pub always_copy: i32,
}

// SAFETY: numbers and pointers, the size first, no padding (a test counts).
unsafe impl Versioned for ConsumerOptions {
    const LEAST: usize = 80;
}

impl ConsumerOptions {
    const DEFAULT: Self = Self {
        size: size_of::<Self>(),
        name: std::ptr::null(),
        directory: std::ptr::null(),
        accepted_caps: std::ptr::null(),
        connect_timeout_ms: 0,
        start: SHMFLOW_START_OLDEST,
        on_lapped: SHMFLOW_ON_LAPPED_OLDEST,
        max_leases: 0,
        read_only: 0,
        allow_foreign_owner: 0,
        no_copies: 0,
        report_no_producer: 0,
        delivery: SHMFLOW_DELIVERY_ALL,
        allow_missing: 0,
        latest: 0,
        share_index: 0,
        share_count: 0,
        max_rate: 0.0,
        max_age_ms: 0,
        copy_on_write: 0,
        busy_wait_us: 0,
        always_copy: 0,
    };
}

/// The options as the crate has them; and whether the topic may be missing.
///
/// # Safety
/// `options` is NULL or what `shmflow_consumer_open` asks for.
pub(crate) unsafe fn consumer(
    topic: &str,
    options: *const ConsumerOptions,
) -> Result<(ConsumerBuilder, bool)> {
    // SAFETY: the caller's.
    let options = unsafe { args::read(options, ConsumerOptions::DEFAULT, "options") }?;
    let start = match options.start {
        SHMFLOW_START_OLDEST => StartAt::Oldest,
        SHMFLOW_START_NEWEST => StartAt::Newest,
        SHMFLOW_START_NEXT => StartAt::Next,
        other => return Err(unknown("start", other)),
    };
    let on_lapped = match options.on_lapped {
        SHMFLOW_ON_LAPPED_OLDEST => OnLapped::Oldest,
        SHMFLOW_ON_LAPPED_NEWEST => OnLapped::Newest,
        other => return Err(unknown("on_lapped", other)),
    };
    let delivery = match options.delivery {
        SHMFLOW_DELIVERY_ALL => Delivery::All,
        SHMFLOW_DELIVERY_LATEST => Delivery::Latest,
        other => return Err(unknown("delivery", other)),
    };
    let mut builder = ring::Consumer::builder(topic)
        .start(start)
        .on_lapped(on_lapped)
        .delivery(delivery)
        .read_only(options.read_only != 0)
        .allow_copies(options.no_copies == 0)
        .report_no_producer(options.report_no_producer != 0)
        .latest(options.latest != 0)
        .copy_on_write(options.copy_on_write != 0)
        .busy_wait(Duration::from_micros(options.busy_wait_us.into()))
        .always_copy(options.always_copy != 0)
        .allow_foreign_owner(options.allow_foreign_owner != 0);
    if (options.share_index, options.share_count) != (0, 0) {
        builder = builder.share(options.share_index, options.share_count);
    }
    // Not a number is none either: the ring refuses it.
    if options.max_rate != 0.0 {
        builder = builder.max_rate(options.max_rate);
    }
    if options.max_age_ms != 0 {
        builder = builder.max_age(Duration::from_millis(options.max_age_ms.into()));
    }
    if options.max_leases != 0 {
        builder = builder.max_leases(options.max_leases);
    }
    if options.connect_timeout_ms != 0 {
        builder = builder.connect_timeout(timeout(options.connect_timeout_ms));
    }
    // SAFETY: texts or NULL, says the caller.
    let (name, directory, accepted_caps) = unsafe {
        (
            args::optional_text(options.name, "options.name")?,
            directory(options.directory)?,
            args::optional_text(options.accepted_caps, "options.accepted_caps")?,
        )
    };
    if let Some(name) = name {
        builder = builder.name(name);
    }
    if let Some(directory) = directory {
        builder = builder.dir(directory);
    }
    if let Some(accepted_caps) = accepted_caps {
        builder = builder.accepted_caps(accepted_caps);
    }
    Ok((builder, options.allow_missing != 0))
}

/// # Safety
/// A text or NULL.
unsafe fn directory<'a>(pointer: *const c_char) -> Result<Option<&'a std::ffi::OsStr>> {
    use std::os::unix::ffi::OsStrExt;
    if pointer.is_null() {
        return Ok(None);
    }
    // A path, and so any bytes.
    // SAFETY: the caller's.
    let path = unsafe { std::ffi::CStr::from_ptr(pointer) }.to_bytes();
    if path.is_empty() {
        return Err(Failure::argument("options.directory is empty (NULL is the default one)"));
    }
    Ok(Some(std::ffi::OsStr::from_bytes(path)))
}

fn unknown(what: &str, value: i32) -> Failure {
    Failure::argument(format!("options.{what} is {value}, which is not a valid value"))
}

/// A timeout; `None` is for ever.
pub(crate) fn timeout(ms: i64) -> Option<Duration> {
    u64::try_from(ms).ok().map(Duration::from_millis)
}

/// Sets every option to its default. Call it as shmflow_producer_options_init(&options, sizeof options).
///
/// # Safety
/// options points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_producer_options_init(options: *mut ProducerOptions, size: usize) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe {
        args::write(options, size, ProducerOptions { size, ..ProducerOptions::DEFAULT }, "options")
    })
}

/// Sets every option to its default. Call it as shmflow_consumer_options_init(&options, sizeof options).
///
/// # Safety
/// options points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_consumer_options_init(options: *mut ConsumerOptions, size: usize) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe {
        args::write(options, size, ConsumerOptions { size, ..ConsumerOptions::DEFAULT }, "options")
    })
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn the_first_version_is_what_it_was() {
        assert_eq!(size_of::<ProducerOptions>(), 5 * 8 + 10 * 4 + 8);
        assert_eq!(size_of::<ConsumerOptions>(), 5 * 8 + 12 * 4 + 8 + 4 * 4);
        assert_eq!(ProducerOptions::LEAST, offset_of!(ProducerOptions, description));
        assert_eq!(ConsumerOptions::LEAST, offset_of!(ConsumerOptions, share_index));
    }
}
