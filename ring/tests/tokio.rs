//! Topics in async code.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's way to fail"
)]

mod common;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use common::payload::{check, payload};
use common::role::{self, Role};
use common::{Dir, wait_until};
use futures_core::Stream;
use shmflow::tokio::{AsyncConsumer, ProducerEvents};
use shmflow::{Consumer, Error, Frame, Producer};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(30);

fn pair(dir: &Dir) -> (Producer, AsyncConsumer) {
    let producer = Producer::builder("t").dir(dir).depth(64).open().unwrap();
    (producer, consumer(dir))
}

fn consumer(dir: &Dir) -> AsyncConsumer {
    AsyncConsumer::new(Consumer::builder("t").dir(dir).open().unwrap()).unwrap()
}

async fn recv(consumer: &mut AsyncConsumer) -> Result<Frame, Error> {
    timeout(LONG, consumer.recv()).await.expect("nothing came")
}

async fn next(consumer: &mut AsyncConsumer) -> Option<Result<Frame, Error>> {
    let item = poll_fn(|cx| Pin::new(&mut *consumer).poll_next(cx));
    timeout(LONG, item).await.expect("nothing came")
}

fn threads(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|found| found.trim() == name).count()
}

/// Writes so many frames as it is told, or ends its stream.
#[test]
#[ignore = "a role of other tests"]
fn role_of_a_producer() {
    let Some(dir) = role::dir() else { return };
    let producer = Producer::builder("t").dir(&dir).depth(64).open().unwrap();
    role::say("ready");
    let mut count = 0;
    while let Some(order) = role::heard() {
        match order.parse::<u64>() {
            Ok(frames) => {
                for _ in 0..frames {
                    count += 1;
                    producer.write(&payload(1, count, 100)).unwrap();
                }
            }
            Err(_) => producer.end(),
        }
        role::say("done");
    }
}

#[tokio::test]
async fn frames_of_another_process_are_received_and_an_end_is_told_once() {
    let dir = Dir::new();
    let mut producer = Role::start("role_of_a_producer", &dir);
    assert_eq!(producer.read_reply(), "ready");
    let mut consumer = consumer(&dir);
    for round in 0..2 {
        producer.tell("20");
        for i in 1..=20 {
            let frame = recv(&mut consumer).await.unwrap();
            assert_eq!(check(&frame).unwrap(), (1, 20 * round + i));
            assert_eq!((frame.lost_before(), frame.is_copy()), (0, false));
        }
        assert_eq!(producer.read_reply(), "done");
        producer.ask("end");
        assert!(matches!(recv(&mut consumer).await, Err(Error::Ended { .. })));
        // Told once: now it waits for the stream to go on.
        assert!(timeout(SHORT, consumer.recv()).await.is_err());
    }
    assert_eq!(consumer.stats().received, 40);
    producer.finish();
}

#[tokio::test]
async fn a_killed_producer_ends_nothing_and_another_goes_on() {
    let dir = Dir::new();
    let mut producer = Role::start("role_of_a_producer", &dir);
    assert_eq!(producer.read_reply(), "ready");
    let mut consumer = consumer(&dir);
    producer.ask("1");
    producer.kill();
    recv(&mut consumer).await.unwrap();
    assert!(timeout(SHORT, consumer.recv()).await.is_err());
    let mut other = Role::start("role_of_a_producer", &dir);
    assert_eq!(other.read_reply(), "ready");
    other.ask("1");
    assert_eq!(recv(&mut consumer).await.unwrap().seq(), 2);
    other.finish();
}

#[tokio::test]
async fn a_stream_ends_with_the_producers_and_may_go_on() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    for round in 0..3 {
        for i in 0..5 {
            producer.write(&[round, i]).unwrap();
        }
        producer.end();
        for i in 0..5 {
            assert_eq!(&*next(&mut consumer).await.unwrap().unwrap(), [round, i]);
        }
        assert!(next(&mut consumer).await.is_none());
    }
}

#[tokio::test]
async fn an_error_is_the_last_item_of_a_stream() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    producer.write(b"1").unwrap();
    shmflow::remove("t", Some(dir.path()), true).unwrap();
    assert_eq!(&*next(&mut consumer).await.unwrap().unwrap(), b"1");
    for _ in 0..2 {
        assert!(matches!(next(&mut consumer).await, Some(Err(Error::Removed { .. }))));
        assert!(next(&mut consumer).await.is_none());
    }
    assert!(matches!(recv(&mut consumer).await, Err(Error::Removed { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_future_dropped_wherever_it_waits_takes_no_frame_with_it() {
    const FRAMES: u64 = 3000;
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).depth(64).open().unwrap();
    let mut consumer = consumer(&dir);
    let read = AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 1..=FRAMES {
                // Bursts of one to seven frames, each after the one before was read.
                if i % 7 == 0 || i % 5 == 0 {
                    wait_until("it is read", || read.swap(false, SeqCst));
                }
                producer.write(&payload(1, i, 64)).unwrap();
            }
        });
        let mut received = 0;
        let handle = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            while received < FRAMES {
                // Polled without a waker that would wake anything, and dropped.
                for _ in 0..received % 4 {
                    let polled = pin!(consumer.recv()).poll(&mut Context::from_waker(Waker::noop()));
                    if let Poll::Ready(frame) = polled {
                        received += 1;
                        assert_eq!(check(&frame.unwrap()).unwrap(), (1, received));
                    }
                }
                read.store(true, SeqCst);
                let limit = Duration::from_micros(received % 3 * 50);
                if received < FRAMES
                    && let Ok(frame) = handle.block_on(async { timeout(limit, consumer.recv()).await })
                {
                    received += 1;
                    assert_eq!(check(&frame.unwrap()).unwrap(), (1, received));
                }
            }
        });
    });
    assert_eq!((consumer.stats().received, consumer.stats().lost), (FRAMES, 0));
}

#[tokio::test]
async fn the_cancel_token_ends_the_wait_until_it_is_reset() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    let cancel_token = consumer.cancel_token();
    for _ in 0..3 {
        let (received, ()) = tokio::join!(recv(&mut consumer), async {
            tokio::task::yield_now().await;
            cancel_token.cancel();
        });
        assert!(matches!(received, Err(Error::Cancelled { .. })));
        assert!(matches!(recv(&mut consumer).await, Err(Error::Cancelled { .. })));
        cancel_token.reset();
        assert!(timeout(SHORT, consumer.recv()).await.is_err());
        producer.write(b"on").unwrap();
        assert_eq!(&*recv(&mut consumer).await.unwrap(), b"on");
    }
}

#[tokio::test]
async fn many_wait_on_one_thread() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).depth(64).open().unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut consumer = consumer(&dir);
        waiting.spawn(async move { recv(&mut consumer).await.unwrap().to_vec() });
    }
    tokio::time::sleep(SHORT).await;
    producer.write(b"all").unwrap();
    assert!(waiting.join_all().await.iter().all(|frame| frame == b"all"));
}

#[tokio::test]
async fn a_task_that_finds_frames_again_and_again_lets_others_run() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).depth(1000).slot_capacity(64).open().unwrap();
    let mut consumer = consumer(&dir);
    for _ in 0..1000 {
        producer.write(b"x").unwrap();
    }
    let reader = tokio::spawn(async move {
        for _ in 0..1000 {
            consumer.recv().await.unwrap();
        }
    });
    // On the one thread that there is, this goes on only when the reader gives way.
    tokio::task::yield_now().await;
    assert!(!reader.is_finished());
    reader.await.unwrap();
}

#[tokio::test]
async fn a_consumer_can_be_taken_back_and_its_thread_ends_with_it() {
    let dir = Dir::new();
    let (producer, consumer) = pair(&dir);
    let mut plain = consumer.into_inner();
    producer.write(b"1").unwrap();
    assert_eq!(&*plain.recv().unwrap(), b"1");
    let mut again = AsyncConsumer::new(plain).unwrap();
    producer.write(b"2").unwrap();
    assert_eq!(&*recv(&mut again).await.unwrap(), b"2");
    drop((again, producer));
    assert!(dir.files().is_empty());
}

#[test]
fn outside_of_a_runtime_it_is_an_error() {
    let dir = Dir::new();
    let _producer = Producer::builder("t").dir(&dir).open().unwrap();
    let consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    let error = AsyncConsumer::new(consumer).unwrap_err().to_string();
    assert!(error.contains("outside of a tokio runtime"), "{error}");
}

/// A consumer that is there until it is told to go.
#[test]
#[ignore = "a role of other tests"]
fn role_of_a_consumer() {
    let Some(dir) = role::dir() else { return };
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    role::say("ready");
    while let Some(caps) = role::heard() {
        consumer.set_accepted_caps(&caps).unwrap();
        role::say("done");
    }
}

#[tokio::test]
async fn a_producer_waits_for_a_consumer_and_sees_it_change_and_die() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut events = ProducerEvents::new(&producer).unwrap();
    assert!(timeout(SHORT, events.wait_for_consumer()).await.is_err());
    let mut consumer = Role::start("role_of_a_consumer", &dir);
    timeout(LONG, events.wait_for_consumer()).await.unwrap().unwrap();
    assert_eq!(producer.consumer_count(), 1);
    assert_eq!(consumer.read_reply(), "ready");

    consumer.ask("audio/x-raw");
    let accepted = || producer.consumers().first().and_then(|consumer| consumer.accepted_caps.clone());
    while accepted().as_deref() != Some("audio/x-raw") {
        timeout(LONG, events.changed()).await.unwrap().unwrap();
    }
    // Nobody says that it is dead: the thread looks.
    consumer.kill();
    while producer.consumer_count() != 0 {
        timeout(LONG, events.changed()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_wait_for_events_that_is_dropped_misses_none() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut events = ProducerEvents::new(&producer).unwrap();
    for _ in 0..20 {
        assert!(pin!(events.changed()).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let consumer = Consumer::builder("t").dir(&dir).open().unwrap();
        timeout(LONG, events.changed()).await.unwrap().unwrap();
        drop(consumer);
        // Going takes more than one step, each of which may be told.
        while timeout(LONG, events.changed()).await.unwrap().unwrap() != producer.events() {}
    }
}

#[tokio::test]
async fn a_removal_ends_the_wait_for_events() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut events = ProducerEvents::new(&producer).unwrap();
    shmflow::remove("t", Some(dir.path()), true).unwrap();
    for _ in 0..2 {
        let waited = timeout(LONG, events.wait_for_consumer()).await.unwrap();
        assert!(matches!(waited, Err(Error::Removed { .. })), "{waited:?}");
    }
}

/// Alone in its process, since it counts threads.
#[test]
#[ignore = "a role of other tests"]
fn role_of_many_watchers() {
    let Some(dir) = role::dir() else { return };
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    for _ in 0..10 {
        let events: Vec<_> = (0..5).map(|_| ProducerEvents::new(&producer).unwrap()).collect();
        wait_until("one for each", || threads("shmflow-events") == 5);
        drop(events);
        assert_eq!(threads("shmflow-events"), 0);
    }
    let events = ProducerEvents::new(&producer).unwrap();
    drop(producer);
    drop(events);
    role::say(std::fs::read_dir(&dir).unwrap().count());
}

#[test]
fn the_thread_that_waits_for_events_ends_and_nothing_stays() {
    let dir = Dir::new();
    let mut role = Role::start("role_of_many_watchers", &dir);
    assert_eq!(role.read_reply(), "0");
    role.finish();
}
