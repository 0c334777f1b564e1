//! Exclusive producers, and primary ones with stand-by.

use std::time::{Duration, Instant};

use shmflow::{Consumer, Error, Producer, ProducerMode};

use super::actor::actor;
use super::common::{Dir, wait_until};

fn exclusive(dir: &Dir) -> Result<Producer, Error> {
    Producer::builder("t").dir(dir).mode(ProducerMode::Exclusive).open()
}

fn primary(dir: &Dir, takeover_timeout: Duration) -> Producer {
    Producer::builder("t").dir(dir).mode(ProducerMode::Primary { takeover_timeout }).open().unwrap()
}

#[test]
fn an_exclusive_producer_suffers_no_other_until_it_leaves() {
    let dir = Dir::new();
    let first = exclusive(&dir).unwrap();
    for refused in [exclusive(&dir), Producer::builder("t").dir(&dir).open()] {
        let error = refused.unwrap_err();
        assert!(matches!(&error, Error::InUse { .. }), "{error:?}");
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    }
    let _consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    first.write(b"1").unwrap();
    drop(first);
    let shared = Producer::builder("t").dir(&dir).open().unwrap();
    assert!(matches!(exclusive(&dir), Err(Error::InUse { .. })));
    assert_eq!(shared.write(b"2").unwrap(), 2);
    drop(shared);
    assert_eq!(exclusive(&dir).unwrap().write(b"3").unwrap(), 3);
}

#[test]
fn an_exclusive_producer_that_dies_excludes_nobody_and_one_that_is_stopped_does() {
    let dir = Dir::new();
    let _consumer = {
        let mut maker = actor(&dir, &["produce exclusive", "write 1"]);
        let consumer = Consumer::builder("t").dir(&dir).open().unwrap();
        maker.stop();
        assert!(matches!(exclusive(&dir), Err(Error::InUse { .. })));
        maker.kill();
        consumer
    };
    assert_eq!(exclusive(&dir).unwrap().write(b"2").unwrap(), 2);
}

#[test]
fn a_stand_by_takes_over_at_once_when_the_primary_dies() {
    let dir = Dir::new();
    let mut first = actor(&dir, &["produce primary=0", "write 1"]);
    let standby = primary(&dir, Duration::ZERO);
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    for _ in 0..3 {
        assert!(matches!(standby.write(b"standby"), Err(Error::Standby { .. })));
        assert!(first.ask("write 1").starts_with("ok"));
    }
    assert!(!standby.try_become_primary());
    // Stopped, it stays the primary: no time-out was set.
    first.stop();
    assert!(matches!(standby.write(b"standby"), Err(Error::Standby { .. })));
    first.kill();
    assert_eq!(standby.write(b"mine").unwrap(), 5);
    assert!(standby.try_become_primary());
    let seen: Vec<_> = (0..5).map(|_| consumer.recv().unwrap()).collect();
    assert!(seen[..4].iter().all(|frame| frame.producer() != standby.id()));
    assert_eq!(seen[4].producer(), standby.id());
}

#[test]
fn a_stand_by_takes_over_from_a_stopped_primary_after_the_time_out() {
    let dir = Dir::new();
    let takeover_timeout = Duration::from_millis(150);
    let mut first = actor(&dir, &["produce primary=150", "write 1"]);
    let standby = primary(&dir, takeover_timeout);
    assert!(!standby.try_become_primary());
    first.stop();
    let start = Instant::now();
    let mut tries = 0;
    wait_until("the stand-by takes over", || {
        tries += 1;
        standby.write(b"mine").is_ok()
    });
    assert!(start.elapsed() >= takeover_timeout / 2 && tries > 1, "{:?}", start.elapsed());
    first.go_on();
    let answer = first.ask("write 1");
    assert!(answer.starts_with("Standby"), "its return is harmless: {answer}");
    assert_eq!(standby.write(b"mine").unwrap(), 3);
    // And back, when this one leaves.
    drop(standby);
    assert_eq!(first.ask("write 1"), "ok 4");
}

#[test]
fn of_several_stand_bys_one_takes_over() {
    let dir = Dir::new();
    let mut first = actor(&dir, &["produce primary=0", "write 1"]);
    let standbys: Vec<_> = (0..3).map(|_| primary(&dir, Duration::ZERO)).collect();
    assert!(standbys.iter().all(|standby| !standby.try_become_primary()));
    first.kill();
    let leading: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            standbys.iter().map(|standby| scope.spawn(|| standby.try_become_primary())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(leading.iter().filter(|lead| **lead).count(), 1, "{leading:?}");
    let info = shmflow::inspect("t", Some(dir.path())).unwrap();
    assert_eq!(info.producers().filter(|p| p.primary).count(), 1);
}
