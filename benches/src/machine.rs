//! Clocks, processor pinning and a description of the machine.

use crate::Res;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::fs;

fn nanos(at: Timespec) -> u64 {
    u64::try_from(at.tv_sec)
        .unwrap_or(0)
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(at.tv_nsec).unwrap_or(0))
}

/// Nanoseconds on `CLOCK_MONOTONIC`, which all processes of a machine share.
pub(crate) fn now_ns() -> u64 {
    nanos(clock_gettime(ClockId::Monotonic))
}

/// Processor time of this process so far, user and system, in nanoseconds.
pub(crate) fn cpu_ns() -> u64 {
    nanos(clock_gettime(ClockId::ProcessCPUTime))
}

/// Sleeps until `at` nanoseconds on `CLOCK_MONOTONIC`. Being woken early by a signal is fine for pacing.
pub(crate) fn sleep_until(at: u64) {
    let request = Timespec {
        tv_sec: i64::try_from(at / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(at % 1_000_000_000).unwrap_or(0),
    };
    let _ = rustix::thread::clock_nanosleep_absolute(rustix::thread::ClockId::Monotonic, &request);
}

/// Nanoseconds that one reading of the clock costs here: the resolution of everything timed one by one.
pub(crate) fn clock_cost_ns() -> f64 {
    const READINGS: u32 = 20_000;
    let from = now_ns();
    for _ in 0..READINGS {
        std::hint::black_box(now_ns());
    }
    now_ns().saturating_sub(from) as f64 / f64::from(READINGS)
}

/// Ties the calling thread, and those it starts later, to one processor.
pub(crate) fn pin(cpu: usize) -> Res<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).map_err(|e| format!("cannot pin to processor {cpu}: {e}").into())
}

/// Two processors for a pair of processes: allowed to us, and no hyper-threads of one core.
/// `None` where there is only one: spinning pairs would then measure the scheduler.
pub(crate) fn two_cpus() -> Option<(usize, usize)> {
    let allowed = sched_getaffinity(None).ok()?;
    let mut cpus = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
    let first = cpus.next()?;
    let siblings =
        fs::read_to_string(format!("/sys/devices/system/cpu/cpu{first}/topology/thread_siblings_list"))
            .unwrap_or_default();
    let siblings = parse_cpu_list(&siblings);
    let rest: Vec<usize> = cpus.collect();
    let second = rest.iter().find(|cpu| !siblings.contains(cpu)).or(rest.first())?;
    Some((first, *second))
}

/// Reads the kernel's list format, such as `0-1,64`.
fn parse_cpu_list(text: &str) -> Vec<usize> {
    text.trim()
        .split(',')
        .filter_map(|part| match part.split_once('-') {
            Some((from, to)) => Some(from.parse().ok()?..=to.parse().ok()?),
            None => part.parse().ok().map(|one| one..=one),
        })
        .flatten()
        .collect()
}

/// What a reader must know to compare the numbers with another machine's.
pub(crate) fn describe() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map_or("unknown", |(_, value)| value.trim()).to_owned()
    };
    let file = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let virtual_machine = if cpuinfo.contains(" hypervisor") { ", virtual machine" } else { "" };
    let l3 = file("/sys/devices/system/cpu/cpu0/cache/index3/size");
    format!(
        "{} ({} processors, L3 {}{virtual_machine}), Linux {}, load average {} at the start",
        field("model name"),
        cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
        if l3.is_empty() { "unknown" } else { &l3 },
        file("/proc/sys/kernel/osrelease"),
        file("/proc/loadavg").split(' ').next().unwrap_or("unknown"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse_cpu_list("0-2,64\n"), [0, 1, 2, 64]);
        assert_eq!(parse_cpu_list("5"), [5]);
        assert!(parse_cpu_list("").is_empty());
    }

    #[test]
    fn clocks_move_forward() {
        let (wall, cpu) = (now_ns(), cpu_ns());
        std::hint::black_box((0..100_000_u64).fold(0, u64::wrapping_add));
        assert!(now_ns() > wall && cpu_ns() > cpu);
    }
}
