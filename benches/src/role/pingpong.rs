//! A frame goes there and another comes back, one at a time: half of a round trip is one publish and receive.

use super::{Board, deadline, read_frame, spin_until, write_frame};
use crate::Res;
use crate::child::Control;
use crate::machine::now_ns;
use crate::spec::Spec;
use crate::stats::condensed;
use crate::transport::{Receiver, Sender, Transport};
use serde_json::json;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

fn there(spec: &Spec) -> Spec {
    Spec { topic: format!("{}.there", spec.topic), ..spec.clone() }
}

fn back(spec: &Spec) -> Spec {
    Spec { topic: format!("{}.back", spec.topic), ..spec.clone() }
}

fn receive<R: Receiver>(spec: &Spec, rx: &mut R) -> Res<()> {
    let read = |frame: &[u8]| {
        std::hint::black_box(read_frame(spec.work, frame));
    };
    if spec.sleep {
        return match rx.wait(Duration::from_secs(20), read)? {
            true => Ok(()),
            false => Err("no answer for 20 s".into()),
        };
    }
    let mut failure = Ok(());
    spin_until("for the answer", || match rx.poll(read) {
        Ok(got) => got,
        Err(e) => {
            failure = Err(e);
            true
        }
    })?;
    failure
}

/// Starts each round trip and times it.
pub(super) fn ping<T: Transport>(spec: &Spec, control: &mut Control, board: &Board) -> Res<()> {
    let mut tx = T::sender(&there(spec))?;
    control.ready()?;
    let mut rx = T::receiver(&back(spec))?;
    control.ready()?;
    let mut round_trip = |number| -> Res<u64> {
        let from = now_ns();
        tx.send(spec.bytes, |frame| write_frame(spec.work, number, frame))?;
        receive(spec, &mut rx)?;
        Ok(now_ns().saturating_sub(from))
    };
    for number in 0..spec.warm {
        round_trip(number)?;
    }
    let mut one_way = Vec::with_capacity(1 << 20);
    let until = deadline(spec.millis);
    while now_ns() < until {
        one_way.push(round_trip(0)? as f64 / 2.0);
    }
    board.end().store(1, Release);
    round_trip(0)?;
    let rounds = one_way.len();
    control.finish(&json!({ "ns": condensed(one_way), "rounds": rounds }))
}

/// Answers.
pub(super) fn pong<T: Transport>(spec: &Spec, control: &mut Control, board: &Board) -> Res<()> {
    let mut tx = T::sender(&back(spec))?;
    control.ready()?;
    let mut rx = T::receiver(&there(spec))?;
    control.ready()?;
    loop {
        receive(spec, &mut rx)?;
        let last = board.end().load(Acquire) != 0;
        tx.send(spec.bytes, |frame| write_frame(spec.work, 0, frame))?;
        if last {
            break;
        }
    }
    control.finish(&json!({}))
}
