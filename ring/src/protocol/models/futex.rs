//! The kernel's side of sleeping, no kinder than its manual: the comparison and the wake-up of one word are in one
//! order, and nothing else is.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::Ordering::{self, AcqRel, Relaxed};

use loom::sync::atomic::{AtomicU32, AtomicU64};
use loom::thread::{self, Thread};

use super::oracle::Oracle;

/// A futex word with its wait queue.
///
/// Not loom's mutex and condition variable: a thread that nobody wakes would be a deadlock, whose panic loom cannot
/// unwind. Instead whoever sleeps when the last role that could wake is over is *rescued*, and says so.
#[derive(Debug)]
pub(super) struct Futex {
    word: AtomicU32,
    /// Stands for the lock of the hash bucket: its changes order the queue's.
    bucket: AtomicU64,
    queue: RefCell<Vec<Sleeper>>,
}

#[derive(Debug)]
struct Sleeper {
    thread: Thread,
    rescued: Rc<Cell<bool>>,
}

impl Default for Futex {
    fn default() -> Self {
        Self { word: AtomicU32::new(0), bucket: AtomicU64::new(0), queue: RefCell::default() }
    }
}

impl Futex {
    pub(super) fn value(&self, order: Ordering) -> u32 {
        self.word.load(order)
    }

    pub(super) fn bump(&self, order: Ordering) {
        self.word.fetch_add(1, order);
    }

    /// Sleeps if the word has `value`. False if nobody but the coarse tick ends the sleep.
    pub(super) fn wait(&self, value: u32, oracle: &Oracle) -> bool {
        let rescued = Rc::new(Cell::new(false));
        let thread = thread::current();
        let id = thread.id();
        self.bucket.fetch_add(1, AcqRel);
        // No other thread of the model runs between the change of the bucket and this.
        if oracle.wakers_gone() {
            rescued.set(true);
        } else {
            self.queue.borrow_mut().push(Sleeper { thread, rescued: Rc::clone(&rescued) });
        }
        // Relaxed: the kernel promises an order among calls on this word, and nothing about other memory.
        if self.word.load(Relaxed) != value {
            self.bucket.fetch_add(1, AcqRel);
            self.queue.borrow_mut().retain(|sleeper| sleeper.thread.id() != id);
            return true;
        }
        if !rescued.get() {
            thread::park();
        }
        !rescued.get()
    }

    pub(super) fn wake_all(&self) -> usize {
        self.bucket.fetch_add(1, AcqRel);
        let queue = self.queue.take();
        queue.iter().for_each(|sleeper| sleeper.thread.unpark());
        queue.len()
    }

    /// Whoever finds nobody left, here too, has seen what the last one did.
    pub(super) fn settle(&self) {
        self.bucket.fetch_add(1, AcqRel);
    }

    /// Ends every sleep, now and later, if `nobody` says that nobody is left who would.
    pub(super) fn rescue_if(&self, nobody: impl FnOnce() -> bool) {
        // Whoever finds nobody left has seen what the last one did: a second later, all of it has arrived.
        self.bucket.fetch_add(1, AcqRel);
        if nobody() {
            for sleeper in self.queue.take() {
                sleeper.rescued.set(true);
                sleeper.thread.unpark();
            }
        }
    }
}
