//! A stream at a fixed rate whose frames become larger, or that begins with large ones: how late each large frame is
//! published, and when it arrives.

use super::{Board, deadline, write_frame};
use crate::Res;
use crate::child::Control;
use crate::machine::{now_ns, sleep_until};
use crate::spec::Spec;
use crate::transport::{Receiver, Sender, Transport};
use serde_json::json;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

/// The frame at which it begins, or the opening of a new topic, is due when all are ready.
pub(super) fn send<T: Transport>(spec: &Spec, control: &mut Control, board: &Board) -> Res<()> {
    let opened = if spec.fresh { None } else { Some(T::sender(spec)?) };
    control.ready()?;
    control.ready()?;
    let period = 1_000_000_000_u64.checked_div(spec.rate).ok_or("a paced sender needs a rate")?;
    let begin = now_ns();
    let mut tx = match opened {
        Some(tx) => tx,
        None => T::sender(spec)?,
    };
    let mut late = Vec::new();
    let total = spec.before.saturating_add(spec.frames);
    for number in 0..total {
        let due = begin.saturating_add(period.saturating_mul(number));
        sleep_until(due);
        let bytes = if number < spec.before { spec.before_bytes } else { spec.bytes };
        tx.send(bytes, |frame| write_frame(spec.work, number, frame))?;
        if number >= spec.before {
            late.push(now_ns().saturating_sub(due));
        }
    }
    board.end().store(total.saturating_add(1), Release);
    control.finish(&json!({ "begin": begin, "late": late }))
}

pub(super) fn receive<T: Transport>(spec: &Spec, control: &mut Control, board: &Board) -> Res<()> {
    control.ready()?;
    // A topic that is made when all are ready is waited for then.
    let opened = if spec.fresh { None } else { Some(T::receiver(spec)?) };
    control.ready()?;
    let mut rx = match opened {
        Some(rx) => rx,
        None => T::receiver(spec)?,
    };
    let (mut last_before, mut arrivals, mut grace) = (None, Vec::new(), None);
    loop {
        rx.wait(Duration::from_millis(20), |frame| {
            let now = now_ns();
            if frame.len() < spec.bytes {
                last_before = Some(now);
            } else {
                arrivals.push(now);
            }
        })?;
        // The last frame may still be on its way when the sender says that it was the last.
        let ended = board.end().load(Acquire) > 0;
        if ended
            && (arrivals.len() as u64 >= spec.frames
                || now_ns() > *grace.get_or_insert_with(|| deadline(200)))
        {
            return control.finish(&json!({ "last_before": last_before, "arrivals": arrivals }));
        }
    }
}
