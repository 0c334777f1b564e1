//! What this process has used: processor time and page faults.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::Result;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) faults: u64,
}

impl Usage {
    /// Everything since the process began, over all of its threads.
    pub(crate) fn now() -> Result<Self> {
        let faults = faults(&std::fs::read_to_string("/proc/self/stat")?)
            .ok_or("/proc/self/stat does not look as documented")?;
        Ok(Self { cpu: Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?), faults })
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { cpu: self.cpu.saturating_sub(earlier.cpu), faults: self.faults.saturating_sub(earlier.faults) }
    }
}

/// Lets the parent's strace look at this process, where only its ancestors might; without that, calls are not counted.
pub(crate) fn allow_tracing() {
    let _ = rustix::process::set_ptracer(rustix::process::PTracer::Any);
}

/// Minor plus major faults (fields 10 and 12; the name in field 2 may contain anything but ends at the last `)`).
fn faults(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let minor: u64 = fields.nth(7)?.parse().ok()?;
    let major: u64 = fields.nth(1)?.parse().ok()?;
    minor.checked_add(major)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_found_whatever_the_name_is() {
        let stat = "17 (a ) 1 2 (b) R 1 17 17 0 -1 4194304 100 200 3 400 5 6";
        assert_eq!(faults(stat), Some(103));
        assert_eq!(faults("17 (a) R 1"), None);
    }
}
