//! When a run is told to stop (Ctrl-C, a terminal that is closed, SIGTERM) it takes its directories along.
//!
//! After SIGKILL the next run does that: see [`crate::place::sweep`].

use nix::sys::signal::{SigSet, Signal};

use crate::{Result, complain, place};

/// Watches for signals from now on, in a thread of its own. To be called before any other thread is started.
pub(crate) fn watch() -> Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    let mut told = SigSet::empty();
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
        // Under `nohup` a hangup is nothing to stop for.
        if ignored & 1 << (signal as i32 - 1) == 0 {
            told.add(signal);
        }
    }
    told.thread_block()?;
    std::thread::spawn(move || {
        if let Ok(signal) = told.wait() {
            complain(&format!("shmflow-chaos: {signal}; the run ends without a report"));
            // Processes that were started die with this one.
            place::remove_all_and(|| std::process::exit(128 + signal as i32));
        }
    });
    Ok(())
}
