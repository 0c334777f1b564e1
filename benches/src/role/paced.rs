//! Frames at a fixed rate, as a camera sends them: latency of each, processor time per frame, cost of a publish.

use super::{Board, deadline, mark, read_frame, stamp, stamped, write_frame};
use crate::Res;
use crate::child::Control;
use crate::machine::{cpu_ns, now_ns, sleep_until};
use crate::spec::{Spec, Work};
use crate::stats::condensed;
use crate::transport::{Receiver, Sender, Transport};
use serde_json::json;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

pub(super) fn send<T: Transport>(spec: &Spec, control: &mut Control, board: &Board) -> Res<()> {
    let mut tx = T::sender(spec)?;
    control.ready()?;
    control.ready()?;
    let period = 1_000_000_000_u64.checked_div(spec.rate).ok_or("a paced sender needs a rate")?;
    let frames = match spec.frames {
        0 => spec.millis.saturating_mul(spec.rate) / 1000,
        frames => frames,
    };
    let (mut sends, mut fills) = (Vec::new(), Vec::new());
    let mut next = now_ns();
    let (mut cpu, mut spun) = (cpu_ns(), 0);
    let total = frames.saturating_add(spec.warm);
    for number in 1..=total {
        next = next.saturating_add(period);
        if spec.spin {
            while now_ns() < next {
                std::hint::spin_loop();
            }
        } else {
            sleep_until(next);
        }
        if number == spec.warm.saturating_add(1) {
            cpu = cpu_ns();
            spun = 0;
            sends.clear();
            fills.clear();
            mark(spec);
        }
        let mut fill = 0;
        let from = now_ns();
        tx.send(spec.bytes, |frame| {
            let from = now_ns();
            if spec.work == Work::Untouched {
                stamp(frame, from);
            } else {
                write_frame(spec.work, number, frame);
                fill = now_ns().saturating_sub(from);
            }
        })?;
        let ns = now_ns().saturating_sub(from);
        spun += ns;
        sends.push(ns.saturating_sub(fill) as f64);
        fills.push(fill as f64);
    }
    mark(spec);
    let cpu = if spec.spin { spun } else { cpu_ns().saturating_sub(cpu) };
    board.end().store(total.saturating_add(1), Release);
    control.finish(&json!({
        "frames": frames,
        "send": condensed(sends),
        "fill": condensed(fills),
        "cpu": cpu as f64 / frames.max(1) as f64,
    }))
}

pub(super) fn receive<T: Transport>(spec: &Spec, control: &mut Control, board: &Board) -> Res<()> {
    control.ready()?;
    let mut rx = T::receiver(spec)?;
    control.ready()?;
    let (mut latencies, mut reads) = (Vec::new(), Vec::new());
    let (mut received, mut torn) = (0_u64, 0_u64);
    let (mut cpu, mut grace) = (cpu_ns(), None);
    loop {
        let (mut late, mut read) = (None, 0);
        let take = |frame: &[u8]| {
            let now = now_ns();
            if spec.work == Work::Untouched {
                late = frame.first_chunk::<8>().map(|_| now.saturating_sub(stamped(frame)));
            } else {
                torn = torn.saturating_add(u64::from(read_frame(spec.work, frame).is_none()));
                read = now_ns().saturating_sub(now);
            }
        };
        let got = if spec.sleep { rx.wait(Duration::from_millis(100), take)? } else { rx.poll(take)? };
        if got {
            received = received.saturating_add(1);
            match received.checked_sub(spec.warm) {
                None => {}
                Some(0) => {
                    cpu = cpu_ns();
                    mark(spec);
                }
                Some(_) => {
                    latencies.extend(late.map(|ns| ns as f64));
                    reads.push(read as f64);
                }
            }
        }
        let end = board.end().load(Acquire);
        // The last frame may still be on its way when the sender says that it was the last.
        if end > 0 && (received >= end - 1 || now_ns() > *grace.get_or_insert_with(|| deadline(200))) {
            mark(spec);
            let (sent, cpu) = (end - 1, cpu_ns().saturating_sub(cpu));
            if torn > 0 {
                return Err(format!("{torn} of {received} frames were torn").into());
            }
            return control.finish(&json!({
                "lost": sent.saturating_sub(received),
                "late": condensed(latencies),
                "read": condensed(reads),
                "cpu": cpu as f64 / received.saturating_sub(spec.warm).max(1) as f64,
            }));
        }
    }
}
