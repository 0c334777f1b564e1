//! When the input of a role ends, it is time to leave.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use shmflow::CancelToken;

#[derive(Debug, Clone)]
pub(crate) struct Leave {
    flag: Arc<AtomicBool>,
    pub(crate) token: CancelToken,
}

impl Leave {
    pub(crate) fn watch() -> Self {
        let leave = Self { flag: Arc::default(), token: CancelToken::new() };
        let told = leave.clone();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            told.flag.store(true, SeqCst);
            told.token.cancel();
        });
        leave
    }

    pub(crate) fn is_due(&self) -> bool {
        self.flag.load(SeqCst)
    }
}
