//! What a publish costs its sender alone: a few at a time, timed together, while the receivers wait for the next
//! batch (or do not read at all).

use super::{Board, deadline, spin_until, stamp};
use crate::Res;
use crate::child::Control;
use crate::machine::now_ns;
use crate::spec::Spec;
use crate::stats::condensed;
use crate::transport::{Receiver, Sender, Transport};
use serde_json::json;
use std::sync::atomic::Ordering::{Acquire, Release};

/// Frames between two looks at the clock: few enough that every receiver keeps up.
const BATCH: u64 = 4;

pub(super) fn send<T: Transport>(spec: &Spec, control: &mut Control, board: &Board) -> Res<()> {
    let mut tx = T::sender(spec)?;
    control.ready()?;
    control.ready()?;
    let (mut each, mut sent, mut batches) = (Vec::with_capacity(1 << 18), 0_u64, 0_u64);
    let mut until = u64::MAX;
    loop {
        let from = now_ns();
        for _ in 0..BATCH {
            sent += 1;
            tx.send(spec.bytes, |frame| stamp(frame, sent))?;
        }
        let now = now_ns();
        batches += 1;
        if batches > spec.warm {
            each.push(now.saturating_sub(from) as f64 / BATCH as f64);
        } else if batches == spec.warm {
            until = deadline(spec.millis);
        }
        if now >= until {
            break;
        }
        if spec.window > 0 {
            let all = sent.saturating_mul(u64::from(spec.receivers));
            spin_until("for all receivers to keep up", || board.received().load(Acquire) >= all)?;
        }
    }
    board.end().store(sent.saturating_add(1), Release);
    control.finish(&json!({ "send": condensed(each) }))
}

/// All receivers of the topic in one process: on the second processor they can only then all keep up.
pub(super) fn receive<T: Transport>(spec: &Spec, control: &mut Control, board: &Board) -> Res<()> {
    control.ready()?;
    let mut all = (0..spec.receivers).map(|_| T::receiver(spec)).collect::<Res<Vec<_>>>()?;
    control.ready()?;
    let mut received = 0_u64;
    while board.end().load(Acquire) == 0 {
        let before = received;
        for rx in &mut all {
            while rx.poll(|_| ())? {
                received = received.saturating_add(1);
            }
        }
        if received > before {
            board.received().store(received, Release);
        }
        std::hint::spin_loop();
    }
    control.finish(&json!({ "frames": received }))
}
