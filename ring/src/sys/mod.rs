//! The operating system: files, locks, mappings, futexes, and what `fork` does to all of them.
//!
//! Nothing here knows the layout of a ring. `unsafe` is confined to `map` and `private` (shared memory, and its private mapping), `copy` (bulk
//! copies of it) and `fork` (the handler that runs in a forked child), `flock` and `futex` (system calls); everything else
//! goes through safe wrappers.

pub(crate) mod cancel;
pub(crate) mod clock;
pub(crate) mod copy;
pub(crate) mod files;
mod flock;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod holes;
pub(crate) mod lock;
pub(crate) mod machine_time;
pub(crate) mod map;
mod private;
pub(crate) mod space;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod thread;
pub(crate) mod watch;
