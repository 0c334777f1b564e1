//! As many frames as can be. Either every frame arrives (the sender stays at most `window` frames ahead of the
//! receiver, counted beside the transport and alike for all), or the sender never waits and overwrites.

use super::{Board, deadline, mark, read_frame, source, spin_until, write_frame};
use crate::Res;
use crate::child::Control;
use crate::machine::{cpu_ns, now_ns};
use crate::spec::{Kind, Spec, Work};
use crate::transport::{Receiver, Sender, Transport};
use serde_json::json;
use std::sync::atomic::Ordering::{Acquire, Release};

/// The clock is read once in so many frames, so that it does not weigh on small ones.
fn clock_every(bytes: usize) -> u64 {
    if bytes <= 65_536 { 256 } else { 4 }
}

struct Flow<'a> {
    board: &'a Board,
    window: u64,
    sent: u64,
    /// What the board said last; asked again only when the window is used up.
    received: u64,
}

impl Flow<'_> {
    /// Waits until one more frame may be sent.
    fn admit(&mut self) -> Res<()> {
        if self.window > 0 && self.sent.saturating_sub(self.received) >= self.window {
            let (board, sent, window) = (self.board, self.sent, self.window);
            let received = &mut self.received;
            spin_until("for the receiver to keep up", || {
                *received = board.received().load(Acquire);
                sent.saturating_sub(*received) < window
            })?;
        }
        self.sent = self.sent.saturating_add(1);
        Ok(())
    }
}

/// Whether the board bounds the flow. Bare buffers have a guard of their own.
fn window(spec: &Spec) -> u64 {
    if spec.kind == Kind::Bare { 0 } else { spec.window }
}

pub(super) fn send<T: Transport>(spec: &Spec, control: &mut Control, board: &Board) -> Res<()> {
    let source = source(spec);
    let mut tx = T::sender(spec)?;
    control.ready()?;
    control.ready()?;
    let mut flow = Flow { board, window: window(spec), sent: 0, received: 0 };
    let mut one = |flow: &mut Flow<'_>| -> Res<()> {
        flow.admit()?;
        let number = flow.sent;
        match spec.work {
            Work::CopyIn => tx.send_copy(&source),
            Work::Untouched | Work::FillRead => {
                tx.send(spec.bytes, |frame| write_frame(spec.work, number, frame))
            }
        }
    };
    for _ in 0..spec.warm {
        one(&mut flow)?;
    }
    let every = clock_every(spec.bytes);
    let until = if spec.frames > 0 { u64::MAX } else { deadline(spec.millis) };
    let last = if spec.frames > 0 { spec.warm.saturating_add(spec.frames) } else { u64::MAX };
    let (from, cpu) = (now_ns(), cpu_ns());
    mark(spec);
    while flow.sent < last {
        one(&mut flow)?;
        if flow.sent.is_multiple_of(every) && now_ns() >= until {
            break;
        }
    }
    mark(spec);
    let (cpu, sent) = (cpu_ns().saturating_sub(cpu), flow.sent);
    board.end().store(sent.saturating_add(1), Release);
    if spec.window > 0 && spec.receivers > 0 {
        spin_until("for the last frame to arrive", || board.received().load(Acquire) >= sent)?;
    }
    let ns = now_ns().saturating_sub(from);
    control.finish(&json!({ "frames": sent.saturating_sub(spec.warm), "ns": ns, "cpu": cpu }))
}

pub(super) fn receive<T: Transport>(spec: &Spec, control: &mut Control, board: &Board) -> Res<()> {
    control.ready()?;
    let mut rx = T::receiver(spec)?;
    control.ready()?;
    let bounded = window(spec) > 0;
    let (mut received, mut torn, mut empty) = (0_u64, 0_u64, 0_u32);
    let mut first = None;
    if spec.warm == 0 {
        mark(spec);
    }
    let last = loop {
        let got =
            rx.poll(|frame| torn = torn.saturating_add(u64::from(read_frame(spec.work, frame).is_none())))?;
        if got {
            received = received.saturating_add(1);
            if bounded {
                board.received().store(received, Release);
            }
            if received == spec.warm {
                mark(spec);
            } else if received == spec.warm.saturating_add(1) {
                first = Some(now_ns());
            }
            continue;
        }
        empty = empty.wrapping_add(1);
        if empty.is_multiple_of(16) {
            let end = board.end().load(Acquire);
            // Frames may have come between the poll and the end: only an empty poll after it counts.
            if end > 0 && (spec.window == 0 || received >= end - 1) && !rx.poll(|_| ())? {
                break now_ns();
            }
        }
        std::hint::spin_loop();
    };
    mark(spec);
    board.received().store(received, Release);
    if torn > 0 {
        return Err(format!("{torn} of {received} frames were torn").into());
    }
    let ns = first.map_or(0, |first| last.saturating_sub(first));
    control.finish(&json!({ "frames": received.saturating_sub(spec.warm), "ns": ns }))
}

/// The same work on `depth` private buffers in one process, with nobody to hand them to.
pub(super) fn memory(spec: &Spec, control: &mut Control) -> Res<()> {
    let source = source(spec);
    let mut buffers = vec![vec![1_u8; spec.bytes]; usize::try_from(spec.depth.max(1))?];
    control.ready()?;
    control.ready()?;
    let every = clock_every(spec.bytes);
    let mut frames = 0_u64;
    let from = now_ns();
    let until = deadline(spec.millis);
    'measure: loop {
        for buffer in &mut buffers {
            frames = frames.saturating_add(1);
            match spec.work {
                Work::CopyIn => buffer.copy_from_slice(&source),
                Work::Untouched | Work::FillRead => write_frame(spec.work, frames, buffer),
            }
            if spec.work == Work::FillRead && read_frame(spec.work, std::hint::black_box(buffer)).is_none() {
                return Err("private memory changed by itself".into());
            }
            std::hint::black_box(buffer);
            if frames.is_multiple_of(every) && now_ns() >= until {
                break 'measure;
            }
        }
    }
    control.finish(&json!({ "frames": frames, "ns": now_ns().saturating_sub(from) }))
}
