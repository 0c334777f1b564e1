//! When the input of a role ends, it is time to leave.

use std::io::Read;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use shmflow::CancelToken;

#[derive(Debug, Clone)]
pub(crate) struct Leave {
    told: Arc<OnceLock<Instant>>,
    pub(crate) token: CancelToken,
}

impl Leave {
    pub(crate) fn watch() -> Self {
        let leave = Self { told: Arc::default(), token: CancelToken::new() };
        let told = leave.clone();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            let _ = told.told.set(Instant::now());
            told.token.cancel();
        });
        leave
    }

    pub(crate) fn is_due(&self) -> bool {
        self.told.get().is_some()
    }

    /// Since when it has been time to leave.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.told.get().copied()
    }
}
