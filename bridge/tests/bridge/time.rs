//! Times of another host's clock on this one's.

use std::process::Command;
use std::time::Duration;

use nix::time::ClockId;
use shmflow::meta::{Clock, Kind, Meta, Times};

use crate::support::{Bridge, Host, free_port, next, wait_until};

fn monotonic() -> u64 {
    u64::try_from(Duration::from(ClockId::CLOCK_MONOTONIC.now().unwrap()).as_nanos()).unwrap()
}

/// A time namespace has another CLOCK_MONOTONIC, as another host has.
#[test]
fn a_frame_s_capture_time_is_the_same_moment_on_the_other_clock() {
    let mut unshare = Command::new("unshare");
    unshare.args(["--time", "--monotonic", "100000", "--fork", "--kill-child"]);
    let can = Command::new("unshare").args(["--time", "--monotonic", "100000", "--fork", "true"]).output();
    if !can.is_ok_and(|out| out.status.success()) {
        return eprintln!("skipped: this user may not make a time namespace");
    }
    let (a, b, endpoint) = (Host::new(), Host::new(), format!("tcp/127.0.0.1:{}", free_port()));
    let _bridge_a = Bridge::start(&a, &["--topic", "*", "--listen", &endpoint]);
    unshare.arg(env!("CARGO_BIN_EXE_shmflow-bridge"));
    let bridge_b = Bridge::start_by(unshare, &b, &["--topic", "*", "--connect", &endpoint]);
    let producer = a.producer("cam0");
    let mut consumer = b.consumer("cam0");
    bridge_b.wait_until_active("received", "cam0", true);
    // In a block times are the machine's, whichever namespace a process is in: without the mapping they would be off by the
    // 100000 seconds that the clocks are apart.
    for clock in [Clock::Monotonic, Clock::Realtime] {
        let times = Times::default().capture_ns(monotonic()).clock(clock);
        producer.write_with(b"x", &Meta::new(Kind::Bytes).times(times)).unwrap();
        let came = next(&mut consumer).meta().unwrap().unwrap().times;
        let error = wait_until("the error is told", || {
            bridge_b.fresh_stats()["received"]["cam0"]["clock_error_ns"].as_u64()
        });
        let off = came.capture_ns.unwrap().abs_diff(times.capture_ns.unwrap());
        assert_eq!(came.clock, clock);
        assert!(off <= error, "{off} ns off, and not {error}");
        assert!(error < 1_000_000_000, "{error}");
    }
}
