//! A topic crosses only while it is read, from its own host, and under its own name.

use crate::support::{Bridge, Host, Two, free_port, next, wait_until};

const ALL: &[&str] = &["--topic", "*"];

#[test]
fn nothing_crosses_without_a_consumer() {
    let two = Two::new(ALL, ALL);
    let (read, unread) = (two.a.producer("read"), two.a.producer("unread"));
    two.b.wait_for("unread");
    assert_eq!(unread.consumer_count(), 0, "the camera may be idle");
    let mut consumer = two.b.consumer("read");
    two.bridge_a().wait_until_active("sent", "read", true);
    for number in 0..30 {
        unread.write(&[number]).unwrap();
        read.write(&[number]).unwrap();
        assert_eq!(next(&mut consumer)[0], number);
    }
    let stats = two.bridge_a().fresh_stats();
    assert_eq!(stats["sent"]["read"]["frames"], 30);
    assert!(stats["sent"].get("unread").is_none(), "{stats}");
    // Who leaves is noticed at the camera.
    assert_eq!(read.consumer_count(), 1);
    drop(consumer);
    wait_until("nobody reads it", || (read.consumer_count() == 0).then_some(()));
    read.write(&[30]).unwrap();
    // And who comes back gets what is new, once.
    let mut consumer =
        shmflow::Consumer::builder("read").dir(&two.b.0).start(shmflow::StartAt::Next).open().unwrap();
    assert_eq!(next(&mut consumer)[0], 30);
    read.write(&[31]).unwrap();
    assert_eq!(next(&mut consumer)[0], 31);
    assert_eq!(two.bridge_b().fresh_stats()["received"]["read"]["lost"], 0);
}

#[test]
fn several_readers_here_cost_the_network_one() {
    let two = Two::new(ALL, ALL);
    let producer = two.a.producer("cam0");
    let mut consumers: Vec<_> = (0..3).map(|_| two.b.consumer("cam0")).collect();
    two.bridge_a().wait_until_active("sent", "cam0", true);
    for number in 0..10 {
        producer.write(&[number]).unwrap();
        for consumer in &mut consumers {
            assert_eq!(next(consumer)[0], number);
        }
    }
    assert_eq!(two.bridge_a().fresh_stats()["sent"]["cam0"]["frames"], 10);
}

#[test]
fn both_directions_at_once_make_no_loop() {
    let two = Two::new(ALL, ALL);
    let (from_a, from_b) = (two.a.producer("of-a"), two.b.producer("of-b"));
    let (mut at_b, mut at_a) = (two.b.consumer("of-a"), two.a.consumer("of-b"));
    two.bridge_a().wait_until_active("sent", "of-a", true);
    two.bridge_b().wait_until_active("sent", "of-b", true);
    for number in 0..50 {
        from_a.write(&[number]).unwrap();
        from_b.write(&[100 + number]).unwrap();
        assert_eq!((next(&mut at_b)[0], next(&mut at_a)[0]), (number, 100 + number));
    }
    for (bridge, own) in [(two.bridge_a(), "of-a"), (two.bridge_b(), "of-b")] {
        let stats = bridge.fresh_stats();
        let sent: Vec<_> = stats["sent"].as_object().unwrap().keys().cloned().collect();
        assert_eq!((sent, stats["sent"][own]["frames"].as_u64()), (vec![own.to_owned()], Some(50)));
    }
    for (host, topic) in [(&two.a, "of-a"), (&two.b, "of-b")] {
        let info = shmflow::inspect(topic, Some(&host.0)).unwrap();
        assert_eq!((info.producers().count(), info.published()), (1, 50), "{topic}");
    }
}

#[test]
fn a_bridge_that_is_restarted_does_not_send_back_what_its_predecessor_wrote() {
    let mut two = Two::new(ALL, ALL);
    let producer = two.a.producer("cam0");
    let mut consumer = two.b.consumer("cam0");
    two.bridge_a().wait_until_active("sent", "cam0", true);
    let meta = shmflow::meta::Meta::new(shmflow::meta::Kind::Bytes);
    producer.write_with(b"1", &meta).unwrap();
    next(&mut consumer);
    // The topic stays, since it has a consumer, and its producer is dead.
    two.bridge_b.take().unwrap().kill();
    two.start_b();
    two.bridge_b().wait_until_active("received", "cam0", true);
    two.bridge_a().wait_until_active("sent", "cam0", true);
    producer.write_with(b"2", &meta).unwrap();
    assert_eq!(&*next(&mut consumer), b"2");
    assert!(two.bridge_b().fresh_stats()["sent"].as_object().unwrap().is_empty());
    let told = two.bridge_a().told();
    assert!(!told.contains("cam0"), "{told}");
}

#[test]
fn hosts_with_a_topic_of_the_same_name_do_not_mix_them() {
    let mut two = Two::new(ALL, ALL);
    let (at_a, at_b) = (two.a.producer("cam0"), two.b.producer("cam0"));
    for bridge in [two.bridge_a(), two.bridge_b()] {
        wait_until("it is told", || bridge.told().contains("--prefix").then_some(()));
    }
    let mut consumer = two.b.consumer("cam0");
    at_a.write(b"a").unwrap();
    at_b.write(b"b").unwrap();
    assert_eq!(&*next(&mut consumer), b"b");
    drop(consumer);
    // Once the name is free, the other one is shown.
    drop(at_b);
    let mut consumer = two.b.consumer("cam0");
    wait_until("it is shown", || {
        let shown = consumer.try_recv();
        if shown.is_err() {
            consumer = two.b.consumer("cam0");
        }
        shown.ok().flatten().filter(|frame| **frame == *b"a").map(|_| ())
    });
    // A producer of this host that comes later takes the name.
    let late = two.b.producer("cam0");
    wait_until("the bridge leaves", || {
        let info = shmflow::inspect("cam0", Some(&two.b.0)).unwrap();
        let mut active = info.producers().filter(|one| one.active);
        let left = active.next().is_some_and(|one| one.name == "camera");
        (left && active.next().is_none()).then_some(())
    });
    drop((late, consumer, two.bridge_b.take()));
}

#[test]
fn only_topics_that_match_cross_and_a_prefix_tells_hosts_apart() {
    let two =
        Two::new(&["--topic", "cam*", "--send", "--prefix", "robot1"], &["--topic", "robot1/*", "--receive"]);
    let (cam, mic, of_b) = (two.a.producer("cam0"), two.a.producer("mic"), two.b.producer("cam1"));
    let mut consumer = two.b.consumer("robot1/cam0");
    cam.write(b"picture").unwrap();
    assert_eq!(&*next(&mut consumer), b"picture");
    assert_eq!(two.b.topics(), ["cam1", "robot1/cam0"]);
    assert_eq!(two.a.topics(), ["cam0", "mic"]);
    drop((mic, of_b));
}

#[test]
fn a_router_passes_on_what_others_send() {
    let (port, router, a, b) = (free_port(), Host::new(), Host::new(), Host::new());
    let endpoint = format!("tcp/127.0.0.1:{port}");
    // In any order: clients wait for their router.
    let bridge_a = Bridge::start(&a, &["--mode", "client", "--topic", "*", "--connect", &endpoint]);
    let _router = Bridge::start(&router, &["--mode", "router", "--listen", &endpoint]);
    let _bridge_b = Bridge::start(&b, &["--mode", "client", "--topic", "*", "--connect", &endpoint]);
    let producer = a.producer("cam0");
    let mut consumer = b.consumer("cam0");
    bridge_a.wait_until_active("sent", "cam0", true);
    producer.write(b"far away").unwrap();
    assert_eq!(&*next(&mut consumer), b"far away");
    assert!(router.topics().is_empty());
}

#[test]
fn a_client_that_waits_for_its_router_can_be_ended() {
    let host = Host::new();
    let endpoint = format!("tcp/127.0.0.1:{}", free_port());
    let bridge = Bridge::start(&host, &["--mode", "client", "--topic", "*", "--connect", &endpoint]);
    // It has begun to listen to signals.
    let status = format!("/proc/{}/status", bridge.pid());
    wait_until("signals are blocked", || {
        let status = std::fs::read_to_string(&status).ok()?;
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"))?;
        (u64::from_str_radix(blocked.trim(), 16).ok()? & (1 << 14) != 0).then_some(())
    });
    bridge.terminate();
}

#[test]
fn a_bridge_that_is_ended_leaves_nothing_behind() {
    let mut two = Two::new(ALL, ALL);
    let producer = two.a.producer("cam0");
    two.b.wait_for("cam0");
    two.bridge_b.take().unwrap().terminate();
    two.b.wait_until_gone("cam0");
    two.bridge_a.take().unwrap().terminate();
    assert_eq!(two.a.topics(), ["cam0"]);
    drop(producer);
    assert!(two.a.topics().is_empty() && two.b.topics().is_empty());
}

#[test]
fn a_viewer_stays_with_its_camera_though_a_third_host_has_one_of_that_name() {
    let (a, b, c) = (Host::new(), Host::new(), Host::new());
    let (at_a, at_c) = (format!("tcp/127.0.0.1:{}", free_port()), format!("tcp/127.0.0.1:{}", free_port()));
    let start_a = || Bridge::start(&a, &["--topic", "*", "--send", "--listen", &at_a]);
    let bridge_a = start_a();
    let bridge_b = Bridge::start(&b, &["--topic", "*", "--receive", "--connect", &at_a, "--connect", &at_c]);
    let (of_a, of_c) = (a.producer("cam0"), c.producer("cam0"));
    let mut consumer = b.consumer("cam0");
    bridge_a.wait_until_active("sent", "cam0", true);
    let bridge_c = Bridge::start(&c, &["--topic", "*", "--send", "--listen", &at_c]);
    wait_until("it is told", || bridge_b.told().contains("more than one other host").then_some(()));
    of_a.write(b"a").unwrap();
    assert_eq!(&*next(&mut consumer), b"a");
    bridge_a.kill();
    // As long as its camera is away it sees nothing, and after that the same.
    let witness = a.producer("witness");
    let bridge_a = start_a();
    b.wait_for("witness");
    bridge_a.wait_until_active("sent", "cam0", true);
    for _ in 0..20 {
        of_c.write(b"c").unwrap();
        of_a.write(b"a").unwrap();
        assert_eq!(&*next(&mut consumer), b"a");
    }
    assert_eq!(bridge_c.count("sent", "cam0", "frames"), 0);
    // Who comes when the other is the only one gets that.
    drop((consumer, bridge_a));
    wait_until("it is the other's", || {
        let mut consumer = b.consumer("cam0");
        of_c.write(b"c").unwrap();
        let frame = consumer.recv_timeout(std::time::Duration::from_millis(500));
        frame.ok().filter(|frame| **frame == *b"c").map(|_| ())
    });
    drop(witness);
}

#[test]
fn mirrors_have_the_permissions_that_are_asked_for() {
    use std::os::unix::fs::PermissionsExt;
    let two = Two::new(ALL, &["--topic", "*", "--perms", "0640"]);
    let producer = two.a.producer("cam0");
    let mut consumer = two.b.consumer("cam0");
    producer.write(b"x").unwrap();
    next(&mut consumer);
    let topic = shmflow::Topic::new("cam0", Some(&two.b.0)).unwrap();
    let mode = std::fs::metadata(topic.peers_path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn what_has_an_encoder_of_its_own_gets_no_other() {
    let two = Two::new(&["--topic", "*", "--encode", "cam*"], ALL);
    let (camera, encoder) = (two.a.producer("cam0"), two.a.producer("cam0.h264"));
    let consumer = two.b.consumer("cam0.h264");
    wait_until("it is told", || two.bridge_a().told().contains("is not encoded").then_some(()));
    let info = shmflow::inspect("cam0.h264", Some(&two.a.0)).unwrap();
    assert_eq!(info.producers().count(), 1);
    drop((camera, encoder, consumer));
}
