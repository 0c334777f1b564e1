//! What the crate tells a subscriber.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

mod common;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::{Arc, Once};

use common::role::{self, Role};
use common::{Dir, wait_until};
use shmflow::{Consumer, OnLapped, Producer};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// An event: its level, its message and its fields.
#[derive(Clone, Debug, Default)]
struct Told {
    level: String,
    message: String,
    fields: BTreeMap<String, String>,
}

impl Told {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.fields.insert(field.name().into(), text.trim_matches('"').into());
        }
    }
}

/// Collects what the crate tells this thread, and calls `on_event` for each.
#[derive(Clone)]
struct Collector {
    told: Rc<RefCell<Vec<Told>>>,
    on_event: Rc<dyn Fn()>,
}

thread_local! {
    /// The collector of the test that runs on this thread.
    static CURRENT: RefCell<Option<Collector>> = const { RefCell::new(None) };
}

impl Collector {
    /// Make it before anything else: what is told without any subscriber is not asked for again.
    fn new() -> Self {
        Self::calling(|| {})
    }

    fn calling(on_event: impl Fn() + 'static) -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| tracing::subscriber::set_global_default(Dispatcher).unwrap());
        Self { told: Rc::default(), on_event: Rc::new(on_event) }
    }

    /// What was told while `act` ran.
    fn during<T>(&self, act: impl FnOnce() -> T) -> (T, Vec<Told>) {
        CURRENT.set(Some(self.clone()));
        let done = act();
        CURRENT.set(None);
        (done, self.told.take())
    }
}

/// Hands each event to the collector of its thread.
#[derive(Debug)]
struct Dispatcher;

impl Subscriber for Dispatcher {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "shmflow"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        // Out of its place: what it does itself is not collected.
        let Some(collector) = CURRENT.take() else { return };
        let mut told = Told { level: event.metadata().level().to_string(), ..Told::default() };
        event.record(&mut told);
        collector.told.borrow_mut().push(told);
        (collector.on_event)();
        CURRENT.set(Some(collector));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn messages(told: &[Told]) -> Vec<&str> {
    told.iter().map(|told| told.message.as_str()).collect()
}

/// The event of this message, which must be there once.
fn the<'a>(told: &'a [Told], message: &str) -> &'a Told {
    let mut found = told.iter().filter(|told| told.message == message);
    match (found.next(), found.next()) {
        (Some(one), None) => one,
        _ => panic!("not exactly one `{message}` in {told:#?}"),
    }
}

#[test]
fn coming_and_going_is_told_and_frames_are_not() {
    let dir = Dir::new();
    let collector = Collector::new();
    let ((producer, mut consumer), told) = collector.during(|| {
        let producer = Producer::builder("t").dir(&dir).open().unwrap();
        let consumer = Consumer::builder("t").dir(&dir).open().unwrap();
        (producer, consumer)
    });
    assert_eq!(messages(&told), ["topic made", "producer attached", "consumer attached"]);
    assert!(told.iter().all(|told| told.field("topic") == "t"));
    assert_eq!((told[1].field("participant"), told[2].field("participant")), ("0", "8"));

    let ((), told) = collector.during(|| {
        for i in 0..2000_u32 {
            producer.write(&i.to_le_bytes()).unwrap();
            assert_eq!(*consumer.recv().unwrap(), i.to_le_bytes());
        }
        assert!(consumer.try_recv().unwrap().is_none());
    });
    assert!(told.is_empty(), "{told:?}");

    let ((), told) = collector.during(|| drop((consumer, producer)));
    assert_eq!(messages(&told), ["consumer detached", "producer detached", "topic removed"]);
    assert_eq!(told[2].field("reason"), "its last participant left");
    assert!(dir.files().is_empty());
}

#[test]
fn growth_and_its_seal_are_told_with_the_reason() {
    let dir = Dir::new();
    let collector = Collector::new();
    let producer = Producer::builder("t").dir(&dir).slot_capacity(4096).open().unwrap();
    let ((), told) = collector.during(|| {
        producer.write(&[1; 100]).unwrap();
        producer.write(&[2; 10_000]).unwrap();
        producer.grow(0, 32).unwrap();
    });
    assert_eq!(messages(&told), ["epoch sealed", "topic grown", "epoch sealed", "topic grown"]);
    let fields = |told: &Told| ["epoch", "seq", "reason"].map(|name| told.field(name).to_owned());
    assert_eq!(fields(&told[0]), ["1", "2", ""]);
    assert_eq!(fields(&told[1]), ["2", "2", "larger frames"]);
    assert_eq!(fields(&told[3]), ["3", "3", "another depth"]);
    assert!(told[1].field("bytes").parse::<u64>().unwrap() >= 10_000);
}

#[test]
fn copies_are_told_once_with_their_reason() {
    let dir = Dir::new();
    let collector = Collector::new();
    let producer = Producer::builder("t").dir(&dir).perms(0o644).depth(16).open().unwrap();
    let mut hoarder = Consumer::builder("t").dir(&dir).max_leases(2).open().unwrap();
    for _ in 0..10 {
        producer.write(b"x").unwrap();
    }
    let (frames, told) = collector.during(|| (0..10).map(|_| hoarder.recv().unwrap()).collect::<Vec<_>>());
    assert_eq!(frames.iter().filter(|frame| frame.is_copy()).count(), 8);
    assert_eq!(messages(&told), ["frames are copied"]);
    assert_eq!(told[0].field("reason"), "it holds as many frames as it may");
    assert_eq!((told[0].field("topic"), told[0].field("participant")), ("t", "8"));

    let ((), told) = collector.during(|| {
        let mut reader = Consumer::builder("t").dir(&dir).read_only(true).open().unwrap();
        (0..10).for_each(|_| drop(reader.recv().unwrap()));
    });
    assert_eq!(messages(&told), ["consumer attached", "frames are copied"]);
    assert!(told.iter().all(|told| told.field("reason") == "it is read-only"));
}

#[test]
fn losses_are_told_and_not_each_of_them() {
    let dir = Dir::new();
    let collector = Collector::new();
    let producer = Producer::builder("t").dir(&dir).depth(4).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).on_lapped(OnLapped::Newest).open().unwrap();
    let (lost, told) = collector.during(|| {
        let mut lost = 0;
        for _ in 0..10 {
            for _ in 0..100 {
                producer.write(b"x").unwrap();
            }
            lost += consumer.recv().unwrap().lost_before();
        }
        lost
    });
    assert!(lost > 900);
    let losses = told.iter().filter(|told| told.message == "frames were lost").count();
    assert!((1..=3).contains(&losses), "{told:?}");
    assert_eq!(told[0].field("participant"), "8");
    assert!(told[0].field("frames").parse::<u64>().unwrap() > 0);
}

/// Takes part as it is told, until it is killed.
#[test]
#[ignore = "a role of other tests"]
fn role_of_a_victim() {
    let Some(dir) = role::dir() else { return };
    let (mut producers, mut consumers) = (Vec::new(), Vec::new());
    while let Some(order) = role::heard() {
        match order.as_str() {
            "produce" => producers.push(Producer::builder("t").dir(&dir).open().unwrap()),
            _ => consumers.push(Consumer::builder("t").dir(&dir).open().unwrap()),
        }
        role::say("done");
    }
}

#[test]
fn who_was_killed_is_told_and_who_adopts() {
    let dir = Dir::new();
    let collector = Collector::new();
    let mut victim = Role::start("role_of_a_victim", &dir);
    victim.ask("produce");
    victim.ask("consume");
    victim.kill();
    let (producer, told) = collector.during(|| Producer::builder("t").dir(&dir).open().unwrap());
    assert_eq!(the(&told, "dead producer reaped").field("participant"), "0");
    assert_eq!(the(&told, "dead consumer reaped").field("participant"), "8");
    assert_eq!(the(&told, "dead consumer reaped").level, "WARN");
    assert!(!the(&told, "dead consumer reaped").field("reason").is_empty());
    the(&told, "producer attached");

    // A consumer that keeps the topic while no producer is there.
    let _consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    drop(producer);
    let (_producer, told) = collector.during(|| Producer::builder("t").dir(&dir).open().unwrap());
    assert_eq!(the(&told, "topic adopted").field("reason"), "it has no producer");
}

#[test]
fn removals_are_told_with_who_asked() {
    let dir = Dir::new();
    let collector = Collector::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let ((), told) = collector.during(|| {
        shmflow::remove("t", Some(dir.path()), true).unwrap();
        drop(producer);
    });
    assert_eq!(the(&told, "topic removed").field("reason"), "by request");

    let mut victim = Role::start("role_of_a_victim", &dir);
    victim.ask("produce");
    victim.kill();
    let ((), told) = collector.during(|| {
        wait_until("it is collected", || !shmflow::gc(Some(dir.path())).unwrap().removed.is_empty());
    });
    assert_eq!(the(&told, "topic removed").field("reason"), "nobody takes part");
    assert_eq!(the(&told, "garbage collected").field("topics"), "1");
    assert_eq!(the(&told, "garbage collected").field("dir"), dir.path().to_str().unwrap());
}

#[test]
fn a_subscriber_may_use_the_topic_since_no_lock_is_held() {
    let dir = Dir::new();
    let path = dir.path().to_owned();
    let _subscribed = Collector::new();
    let producer = Arc::new(Producer::builder("t").dir(&dir).slot_capacity(64).open().unwrap());
    let used = Arc::clone(&producer);
    // Opening takes the lifecycle lock, writing the producer's.
    let collector = Collector::calling(move || {
        drop(Consumer::builder("t").dir(&path).open().unwrap());
        used.write(b"from the subscriber").unwrap();
    });
    let mut victim = Role::start("role_of_a_victim", &dir);
    victim.ask("consume");
    victim.kill();
    let ((), told) = collector.during(|| {
        drop(Producer::builder("t").dir(&dir).open().unwrap());
        producer.write(&[1; 100_000]).unwrap();
        drop(Consumer::builder("t").dir(&dir).open().unwrap());
    });
    for message in ["topic grown", "dead consumer reaped", "producer attached", "consumer detached"] {
        assert!(messages(&told).contains(&message), "{message}: {told:#?}");
    }
}

#[test]
fn a_topic_directory_on_a_disk_is_warned_of() {
    let collector = Collector::new();
    let disk =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("on-disk-{}", std::process::id()));
    std::fs::create_dir_all(&disk).unwrap();
    let (producer, told) = collector.during(|| Producer::builder("t").dir(&disk).open().unwrap());
    let warned = producer.directory_warning().is_some();
    drop(producer);
    std::fs::remove_dir_all(&disk).unwrap();
    let found =
        told.iter().any(|told| told.level == "WARN" && told.message == "topic directory is on a disk");
    assert_eq!(found, warned, "{told:?}");
}
