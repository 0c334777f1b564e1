//! The state that the three calls of a process share.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::{Consumer, Producer};

/// The topic of the calls, and the size that the program gave with it.
#[derive(Clone, Debug)]
pub(super) struct Current {
    pub(super) topic: String,
    pub(super) size: usize,
}

/// A program may switch to another topic and back: its position is kept.
#[derive(Debug, Default)]
pub(super) struct Side<T> {
    topics: Option<HashMap<String, Option<T>>>,
}

impl<T> Side<T> {
    const fn new() -> Self {
        Self { topics: None }
    }

    /// The handle of a topic; `None` in it until it is joined.
    pub(super) fn of(&mut self, topic: &str) -> &mut Option<T> {
        self.topics.get_or_insert_default().entry(topic.to_owned()).or_default()
    }

    /// Leaves every topic.
    pub(super) fn clear(&mut self) {
        self.topics = None;
    }
}

/// Readers and writers do not wait for each other.
pub(super) static CURRENT: Mutex<Option<Current>> = Mutex::new(None);
pub(super) static READING: Mutex<Side<Consumer>> = Mutex::new(Side::new());
pub(super) static WRITING: Mutex<Side<Producer>> = Mutex::new(Side::new());

/// A panic leaves no state that would make the next call fail.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
