//! Bytes that no bridge sends.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use shmflow::meta::{Kind, Meta};
use zenoh::Wait;

use shmflow_bridge::keys::{self, Kind as Key};
use shmflow_bridge::wire::{Control, FrameHeader, Request, What};

use crate::support::{Bridge, Host, free_port, next, wait_until};

/// A member of the network that is no bridge.
pub(crate) fn session(port: u16) -> zenoh::Session {
    let mut config = zenoh::Config::default();
    for (key, value) in [
        ("connect/endpoints", format!(r#"["tcp/127.0.0.1:{port}"]"#)),
        ("listen/endpoints", "[]".into()),
        ("scouting/multicast/enabled", "false".into()),
    ] {
        config.insert_json5(key, &value).unwrap();
    }
    zenoh::open(config).wait().unwrap()
}

pub(crate) fn header(index: u64) -> FrameHeader {
    FrameHeader {
        what: What::Frame,
        lossless: false,
        thinned: false,
        base: true,
        stream: 1,
        turn: 1,
        index,
        seq: index,
        omitted: 0,
        capture_ns: None,
        published_ns: 0,
    }
}

/// Random bytes, many of them near to what a bridge sends.
fn nonsense(runner: &mut TestRunner, good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    let any = proptest::collection::vec(proptest::num::u8::ANY, 0..120).new_tree(runner).unwrap().current();
    let (at, kind) = (0..good.len().max(1), 0..3_u8).new_tree(runner).unwrap().current();
    match kind {
        0 => return any,
        1 => bytes.truncate(at),
        _ => {
            for (to, from) in bytes.iter_mut().skip(at).zip(&any) {
                *to = *from;
            }
        }
    }
    bytes
}

#[test]
fn a_bridge_outlives_whatever_comes_from_the_network() {
    let (port, host) = (free_port(), Host::new());
    let endpoint = format!("tcp/127.0.0.1:{port}");
    let bridge = Bridge::start(&host, &["--topic", "*", "--lossless", "--listen", &endpoint]);
    // A topic that is read by a bridge as it should be.
    let other = Host::new();
    let _reader = Bridge::start(&other, &["--topic", "own", "--receive", "--connect", &endpoint]);
    let own =
        shmflow::Producer::builder("own").dir(&host.0).overflow_policy(shmflow::OverflowPolicy::Lossless);
    let own = own.open().unwrap();
    let mut read = other.consumer("own");
    bridge.wait_until_active("sent", "own", true);
    let session = session(port);
    let id = session.zid().to_string();
    let victim = wait_until("the topic is there", || {
        let tokens = session.liveliness().get(Key::Live.all()).wait().unwrap();
        let found = tokens.into_iter().filter_map(|reply| reply.into_result().ok());
        found.filter_map(|one| Key::Live.parse(one.key_expr().as_str())).find(|(_, topic)| topic == "own")
    });
    let victim = victim.0;
    // Topics and names that are none.
    let tokens: Vec<_> = ["evil", "evil%2F", "%", "a%0Ab", &"x".repeat(250)]
        .iter()
        .map(|name| {
            let key = format!("{}/live/{id}/{name}", keys::ROOT);
            session.liveliness().declare_token(key).wait().unwrap()
        })
        .collect();
    let answers = session
        .declare_queryable(format!("{}/info/{id}/**", keys::ROOT))
        .callback(|query| {
            let _ = query.reply(query.key_expr().clone(), "{\"depth\": 1e99, \"description\": 7}").wait();
        })
        .wait()
        .unwrap();
    let clock = session
        .declare_queryable(keys::clock(&id))
        .callback(|query| {
            let _ = query.reply(query.key_expr().clone(), vec![255_u8; 16]).wait();
        })
        .wait()
        .unwrap();
    let mut consumer = host.consumer("evil");
    bridge.wait_until_active("received", "evil", true);
    let publisher = session
        .declare_publisher(Key::Frames.key(&id, "evil"))
        .congestion_control(zenoh::qos::CongestionControl::Block)
        .wait()
        .unwrap();
    wait_until("it is read", || publisher.matching_status().wait().unwrap().matching().then_some(()));

    let mut runner = TestRunner::deterministic();
    let block = Meta::new(Kind::Packet).caps("video/x-h264").extension(0x8000, b"x").to_vec().unwrap();
    for index in 1..2000 {
        let good = header(index).encode(&block);
        publisher.put(vec![1; 10]).attachment(nonsense(&mut runner, &good)).wait().unwrap();
        // A header that is right, with metadata that are none.
        let bad = nonsense(&mut runner, &block);
        publisher.put(vec![1; 10]).attachment(header(index).encode(&bad)).wait().unwrap();
        let request = match index % 4 {
            0 => Request::Start,
            1 => Request::Stop,
            2 => Request::KeyFrame,
            _ => Request::Ack { turn: index, index },
        };
        // It says to be a reader, and is no bridge: nobody waits for it.
        let good = Control { reader: index.into(), request }.encode();
        for control in [nonsense(&mut runner, &good), good] {
            session.put(Key::Control.key(&victim, "own"), control).wait().unwrap();
        }
    }
    publisher.put("no attachment").wait().unwrap();
    // What is right is still taken. The numbers may be used up by now: another turn.
    let last = FrameHeader { stream: 77, turn: 78, ..header(1) };
    publisher.put("good").attachment(last.encode(&Meta::new(Kind::Bytes).to_vec().unwrap())).wait().unwrap();
    loop {
        let frame = next(&mut consumer);
        if &*frame == b"good" {
            break;
        }
        // What came through had a block that the ring accepts.
        assert!(frame.meta().is_ok());
    }
    // More than may be on the way unacknowledged.
    for number in 0..100_u8 {
        own.write(&[number]).unwrap();
        assert_eq!(next(&mut read)[0], number);
    }
    wait_until("it is counted", || (bridge.count("received", "evil", "refused") > 0).then_some(()));
    assert_eq!(bridge.fresh_stats()["received"]["evil"]["active"], true);
    assert!(!bridge.told().contains("panicked"), "{}", bridge.told());
    drop((own, tokens, answers, clock));
}
