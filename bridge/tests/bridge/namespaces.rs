//! Two network namespaces, which stand for two hosts, and a third between them, which stands for the network. They need root
//! rights, and are skipped without.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use shmflow::meta::{Flags, Kind, Meta};
use shmflow::{Consumer, Producer};

use crate::support::{Bridge, Host, next, wait_until};

/// `a`, `network`, `b`: namespaces of a test's own.
pub(crate) struct Network {
    names: [String; 3],
}

impl Network {
    pub(crate) const A: &str = "10.77.1.2";
    pub(crate) const B: &str = "10.77.2.2";

    pub(crate) fn new() -> Option<Self> {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Relaxed);
        let name = |part: &str| format!("shmflow-{}-{number}-{part}", std::process::id());
        let network = Self { names: [name("a"), name("n"), name("b")] };
        let [a, n, b] = &network.names;
        let mut is_made = network.names.iter().all(|name| ip(&["netns", "add", name]));
        for (host, address, gateway, link) in
            [(a, Self::A, "10.77.1.1", "to-a"), (b, Self::B, "10.77.2.1", "to-b")]
        {
            is_made = is_made
                && ip(&[
                    "link", "add", "eth0", "netns", host, "type", "veth", "peer", "name", link, "netns", n,
                ])
                && ip(&["-n", host, "addr", "add", &format!("{address}/24"), "dev", "eth0"])
                && ip(&["-n", n, "addr", "add", &format!("{gateway}/24"), "dev", link])
                && ip(&["-n", host, "link", "set", "eth0", "up"])
                && ip(&["-n", n, "link", "set", link, "up"])
                && ip(&["-n", host, "route", "add", "default", "via", gateway]);
        }
        let is_made = is_made && network.exec(1, &["sysctl", "-qw", "net.ipv4.ip_forward=1"]);
        if !is_made {
            eprintln!("skipped: this user may not make network namespaces");
        }
        is_made.then_some(network)
    }

    fn exec(&self, place: usize, command: &[&str]) -> bool {
        ip(&[&["netns", "exec", &self.names[place]], command].concat())
    }

    /// A program at one of these places.
    pub(crate) fn command(&self, place: usize, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[place], program]);
        command
    }

    fn bridge(&self, place: usize, host: &Host, args: &[&str]) -> Bridge {
        Bridge::start_by(self.command(place, env!("CARGO_BIN_EXE_shmflow-bridge")), host, args)
    }

    /// The way to `b` takes 20 Mbit/s from now on.
    fn slow_down(&self) -> bool {
        let rate = ["rate", "20mbit", "burst", "64kb", "latency", "100ms"];
        let can = self.exec(1, &[&["tc", "qdisc", "add", "dev", "to-b", "root", "tbf"], &rate[..]].concat());
        if !can {
            eprintln!("skipped: this kernel has no tbf");
        }
        can
    }

    /// Packets disappear, and nobody is told.
    fn cut(&self) {
        for address in [Self::A, Self::B] {
            assert!(ip(&["-n", &self.names[1], "route", "add", "blackhole", address]));
        }
    }

    fn mend(&self) {
        for address in [Self::A, Self::B] {
            assert!(ip(&["-n", &self.names[1], "route", "del", "blackhole", address]));
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.names {
            ip(&["netns", "del", name]);
        }
    }
}

fn ip(args: &[&str]) -> bool {
    Command::new("ip").args(args).output().is_ok_and(|out| out.status.success())
}

/// Publishes numbered frames while `test` runs.
fn while_publishing<T>(producer: &Producer, len: usize, every: Duration, test: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let mut frame = vec![0; len];
            let mut number = 0_u64;
            while !stop.load(Relaxed) {
                number += 1;
                frame[..8].copy_from_slice(&number.to_le_bytes());
                producer.write_with(&frame, &Meta::new(Kind::Bytes).offset(number)).unwrap();
                std::thread::sleep(every);
            }
        });
        // Also when the test fails, which would wait for the thread for ever.
        let stopping = crate::support::SetOnDrop(&stop);
        let result = test();
        drop(stopping);
        publishing.join().unwrap();
        result
    })
}

/// The next frame's number, and how many are missing before it; it says so.
fn number(consumer: &mut Consumer, last: u64) -> (u64, u64) {
    let frame = next(consumer);
    let number = u64::from_le_bytes(frame[..8].try_into().unwrap());
    let missing = if last == 0 { 0 } else { number - last - 1 };
    assert_eq!(frame.lost_before(), 0);
    assert_eq!(frame.meta().unwrap().unwrap().flags.contains(Flags::DISCONT), missing != 0);
    (number, missing)
}

#[test]
fn after_ten_seconds_without_a_network_frames_come_again() {
    let Some(network) = Network::new() else { return };
    let (a, b) = (Host::new(), Host::new());
    let endpoint = format!("tcp/{}:7447", Network::A);
    let bridge_a = network.bridge(0, &a, &["--topic", "*", "--listen", &endpoint]);
    let bridge_b = network.bridge(2, &b, &["--topic", "*", "--connect", &endpoint]);
    let producer = Producer::builder("cam0").dir(&a.0).depth(512).open().unwrap();
    let mut consumer = b.consumer("cam0");
    while_publishing(&producer, 1000, Duration::from_millis(5), || {
        let (mut last, mut lost) = (0, 0);
        let mut take = |last: &mut u64| {
            let (number, missing) = number(&mut consumer, *last);
            (*last, lost) = (number, lost + missing);
            missing
        };
        while last < 100 {
            take(&mut last);
        }
        network.cut();
        let cut = Instant::now();
        // What is on its way, and then the first that comes after.
        let mut newest = Instant::now();
        let mended = std::thread::scope(|scope| {
            let mending = scope.spawn(|| {
                std::thread::sleep(Duration::from_secs(10).saturating_sub(cut.elapsed()));
                network.mend();
                Instant::now()
            });
            while take(&mut last) < 1000 {
                newest = Instant::now();
            }
            mending.join().unwrap()
        });
        eprintln!("frames come again {:?} after the network does", mended.elapsed());
        assert!(newest < mended);
        for _ in 0..200 {
            take(&mut last);
        }
        wait_until("the loss is counted", || {
            (bridge_b.count("received", "cam0", "lost") == lost).then_some(())
        });
    });
    assert_eq!(producer.stats().dropped, 0, "the producer never noticed");
    assert!(!bridge_a.told().contains("panicked"));
}

#[test]
fn over_a_slow_link_the_newest_frames_come_whole_and_the_others_are_counted() {
    let Some(network) = Network::new().filter(Network::slow_down) else { return };
    let (a, b) = (Host::new(), Host::new());
    let endpoint = format!("tcp/{}:7447", Network::A);
    let _bridge_a = network.bridge(0, &a, &["--topic", "*", "--listen", &endpoint]);
    let bridge_b = network.bridge(2, &b, &["--topic", "*", "--connect", &endpoint]);
    let producer = a.producer("cam0");
    let mut consumer = b.consumer("cam0");
    // 460 kB at 30 a second are 110 Mbit/s: the link takes a fifth.
    while_publishing(&producer, 640 * 480 * 3 / 2, Duration::from_millis(33), || {
        let (mut last, mut lost) = (0, 0);
        for _ in 0..20 {
            let (number, missing) = number(&mut consumer, last);
            (last, lost) = (number, lost + missing);
        }
        assert!(lost > 20, "{lost} of {last}");
        // However long it goes on, what comes is not older than what the network holds.
        let behind = producer.stats().published - last;
        eprintln!("{lost} of {last} frames lost; the newest is {behind} frames behind");
        wait_until("the loss is counted", || {
            (bridge_b.count("received", "cam0", "lost") >= lost).then_some(())
        });
    });
    assert_eq!(producer.stats().dropped, 0);
}

#[test]
fn over_a_link_that_is_full_ends_and_removals_arrive() {
    let Some(network) = Network::new().filter(Network::slow_down) else { return };
    let (a, b) = (Host::new(), Host::new());
    let endpoint = format!("tcp/{}:7447", Network::A);
    let bridge_a = network.bridge(0, &a, &["--topic", "*", "--listen", &endpoint]);
    let _bridge_b = network.bridge(2, &b, &["--topic", "*", "--connect", &endpoint]);
    let (camera, films) = (a.producer("cam0"), ["1", "2", "3", "4"].map(|name| a.producer(name)));
    let _viewer = b.consumer("cam0");
    let mut consumers = ["1", "2", "3", "4"].map(|name| b.consumer(name));
    for topic in ["cam0", "1", "2", "3", "4"] {
        bridge_a.wait_until_active("sent", topic, true);
    }
    while_publishing(&camera, 640 * 480 * 3 / 2, Duration::from_millis(33), || {
        wait_until("the link is full", || (bridge_a.count("sent", "cam0", "frames") > 20).then_some(()));
        for film in &films {
            film.write_with(&[0; 100_000], &Meta::new(Kind::Bytes)).unwrap();
            film.end();
        }
        for (film, consumer) in films.iter().zip(&mut consumers) {
            wait_until("the end is there", || consumer.stream_status().ended.then_some(()));
            shmflow::remove(film.topic(), Some(&a.0), true).unwrap();
        }
        for consumer in &mut consumers {
            let is_removed = |consumer: &mut Consumer| loop {
                match consumer.try_recv() {
                    Ok(Some(_)) => {}
                    other => return matches!(other, Err(shmflow::Error::Removed { .. })),
                }
            };
            wait_until("the removal is told", || is_removed(consumer).then_some(()));
        }
    });
}
