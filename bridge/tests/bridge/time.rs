//! Times of another host's clock on this one's.

use std::process::Command;
use std::time::Duration;

use nix::time::ClockId;
use shmflow::meta::{Clock, Kind, Meta, Times};
use shmflow_bridge::clock;
use shmflow_bridge::keys::{self, Kind as Key};
use shmflow_bridge::wire::{ClockReading, FrameHeader};
use zenoh::Wait;

use crate::hostile::{header, session};
use crate::support::{Bridge, Host, free_port, next, wait_until};

fn monotonic() -> u64 {
    u64::try_from(Duration::from(ClockId::CLOCK_MONOTONIC.now().unwrap()).as_nanos()).unwrap()
}

/// A container may have a time namespace.
#[test]
fn a_time_namespace_does_not_change_what_a_time_means() {
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
    // The ring's times are the machine's, whichever namespace a process is in, and so is what bridges ask each other for.
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

/// The other host, whose clock is far ahead, is played by a member of the network.
#[test]
fn a_capture_time_is_said_on_the_clock_of_the_host_that_shows_the_frame() {
    const AHEAD: u64 = 100_000_000_000_000;
    let (port, host) = (free_port(), Host::new());
    let bridge = Bridge::start(&host, &["--topic", "*", "--listen", &format!("tcp/127.0.0.1:{port}")]);
    let session = session(port);
    let id = session.zid().to_string();
    let clock = session.declare_queryable(keys::clock(&id)).callback(|query| {
        let now = clock::now();
        let theirs = ClockReading { monotonic_ns: now.monotonic_ns + AHEAD, ..now };
        query.reply(query.key_expr().clone(), theirs.encode()).wait().unwrap();
    });
    let info = session.declare_queryable(Key::Info.key(&id, "cam0")).callback(|query| {
        query.reply(query.key_expr().clone(), "{}").wait().unwrap();
    });
    let _there = (clock.wait().unwrap(), info.wait().unwrap());
    let _token = session.liveliness().declare_token(Key::Live.key(&id, "cam0")).wait().unwrap();
    let mut consumer = host.consumer("cam0");
    let publisher = session.declare_publisher(Key::Frames.key(&id, "cam0")).wait().unwrap();
    wait_until("it is read", || publisher.matching_status().wait().unwrap().matching().then_some(()));
    let captured = monotonic();
    let times = Times::default().capture_ns(captured + AHEAD).clock(Clock::Monotonic);
    let header = FrameHeader { capture_ns: Some(captured + AHEAD), ..header(1) };
    let block = Meta::new(Kind::Bytes).times(times).to_vec().unwrap();
    publisher.put("x").attachment(header.encode(&block)).wait().unwrap();
    let came = next(&mut consumer).meta().unwrap().unwrap().times;
    let error = bridge.fresh_stats()["received"]["cam0"]["clock_error_ns"].as_u64().unwrap();
    assert_eq!(came.clock, Clock::Monotonic);
    let off = came.capture_ns.unwrap().abs_diff(captured);
    assert!(off <= error && error < 1_000_000_000, "{off} ns off, and not {error}");
}
