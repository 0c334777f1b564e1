//! What the two elements share.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) mod audio;
pub(crate) mod caps_text;
pub(crate) mod clock;
pub(crate) mod content;
pub(crate) mod counter;
pub(crate) mod cut;
pub(crate) mod enums;
pub(crate) mod error;
pub(crate) mod flags;
pub(crate) mod formats;
pub(crate) mod histogram;
pub(crate) mod layout;
pub(crate) mod messages;
pub(crate) mod metas;
pub(crate) mod misfit;
pub(crate) mod settings;
pub(crate) mod timing;
pub(crate) mod uri;
pub(crate) mod validate;

#[cfg(test)]
mod fuzz_corpus;
#[cfg(test)]
#[path = "../../fuzz/checks/texts.rs"]
mod texts;

/// Locks a mutex whose data are whole whatever happened: no code here panics while it holds one, and if another
/// thread's did, nothing was left half done.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
