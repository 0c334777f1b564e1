//! What the single processes of the benchmarks do.

mod batch;
mod idle;
mod paced;
mod pingpong;
mod rush;
mod switch;

use crate::Res;
use crate::child::Control;
use crate::machine::{now_ns, pin};
use crate::page::Page;
use crate::spec::{Spec, Work};
use crate::transport::{Job, Transport, with};
use std::sync::atomic::AtomicU64;

/// The counters that the processes of one scene share.
#[derive(Debug)]
struct Board(Page);

impl Board {
    /// Frames that the receivers have taken, all together.
    fn received(&self) -> &AtomicU64 {
        self.0.word(0)
    }

    /// One more than the number of frames sent, once there will be no more; 0 before.
    fn end(&self) -> &AtomicU64 {
        self.0.word(1)
    }
}

struct Run<'a> {
    role: &'a str,
    spec: &'a Spec,
    control: &'a mut Control,
    board: Board,
}

impl Job for Run<'_> {
    type Output = Res<()>;

    fn run<T: Transport>(self) -> Res<()> {
        let Self { role, spec, control, board } = self;
        match role {
            "ping" => pingpong::ping::<T>(spec, control, &board),
            "pong" => pingpong::pong::<T>(spec, control, &board),
            "rush-send" => rush::send::<T>(spec, control, &board),
            "rush-receive" => rush::receive::<T>(spec, control, &board),
            "paced-send" => paced::send::<T>(spec, control, &board),
            "paced-receive" => paced::receive::<T>(spec, control, &board),
            "batch-send" => batch::send::<T>(spec, control, &board),
            "batch-receive" => batch::receive::<T>(spec, control, &board),
            "switch-send" => switch::send::<T>(spec, control, &board),
            "switch-receive" => switch::receive::<T>(spec, control, &board),
            "idle" => idle::idle::<T>(spec, control),
            "hold" => idle::hold::<T>(spec, control),
            "hold-used" => idle::hold_used::<T>(spec, control),
            _ => Err(format!("unknown role {role}").into()),
        }
    }
}

/// The whole life of a child process.
pub(crate) fn run(role: &str, spec: &Spec) -> Res<()> {
    if let Some(cpu) = spec.cpu.checked_sub(1) {
        pin(cpu)?;
    }
    // The first reading of the clock makes a system call, which is nobody's cost per message.
    now_ns();
    let mut control = Control::new()?;
    let board = Board(Page::open(&spec.board_path())?);
    match role {
        // One process for all bare work that needs no partner.
        "memory" => rush::memory(spec, &mut control),
        _ => with(spec.kind, Run { role, spec, control: &mut control, board }),
    }
}

/// Does the spec's work on an outgoing frame. `number` is what the receiver checks.
fn write_frame(work: Work, number: u64, frame: &mut [u8]) {
    match work {
        Work::Untouched | Work::CopyIn => stamp(frame, number),
        Work::FillRead => fill(frame, number),
    }
}

/// Does the spec's work on an incoming frame; its number, or `None` if the bytes are of more than one frame.
fn read_frame(work: Work, frame: &[u8]) -> Option<u64> {
    match work {
        Work::Untouched | Work::CopyIn => Some(stamped(frame)),
        Work::FillRead => checked(frame),
    }
}

/// Writes a number into the first eight bytes, if there are so many.
fn stamp(frame: &mut [u8], number: u64) {
    if let Some(head) = frame.first_chunk_mut::<8>() {
        *head = number.to_le_bytes();
    }
}

fn stamped(frame: &[u8]) -> u64 {
    frame.first_chunk::<8>().map_or(0, |head| u64::from_le_bytes(*head))
}

/// Every byte written once, in whole words, as a camera or decoder does. Not `memset`: for so large blocks the C
/// library switches to instructions that no producer of pictures uses.
#[inline(never)]
fn fill(frame: &mut [u8], number: u64) {
    let (chunks, rest) = frame.as_chunks_mut::<64>();
    let word = number.to_le_bytes();
    for chunk in chunks {
        let (words, _) = chunk.as_chunks_mut::<8>();
        words.fill(word);
    }
    rest.fill(0);
}

/// Every byte read once. All words must be the same, or the frame is torn.
#[inline(never)]
fn checked(frame: &[u8]) -> Option<u64> {
    let first = stamped(frame);
    let (chunks, _) = frame.as_chunks::<64>();
    let mut differences = 0;
    for chunk in chunks {
        let (words, _) = chunk.as_chunks::<8>();
        differences |= words.iter().fold(0, |all, word| all | (u64::from_le_bytes(*word) ^ first));
    }
    (differences == 0).then_some(first)
}

/// A source for copies, of which every page is really there.
fn source(spec: &Spec) -> Vec<u8> {
    match spec.work {
        Work::CopyIn => (0..spec.bytes).map(|i| u8::try_from(i % 251).unwrap_or(0)).collect(),
        Work::Untouched | Work::FillRead => Vec::new(),
    }
}

/// Until when a loop may go on: so many milliseconds from now.
fn deadline(millis: u64) -> u64 {
    now_ns().saturating_add(millis.saturating_mul(1_000_000))
}

/// Spins until `done`, but not for ever: a partner that is gone is an error, not a hang.
fn spin_until(what: &str, mut done: impl FnMut() -> bool) -> Res<()> {
    let patience = deadline(20_000);
    let mut turns = 0_u32;
    while !done() {
        turns = turns.wrapping_add(1);
        if turns.is_multiple_of(65_536) && now_ns() > patience {
            return Err(format!("gave up waiting: {what}").into());
        }
        std::hint::spin_loop();
    }
    Ok(())
}

/// Marks a place in the log of `strace`: a harmless call with a number that nobody else uses.
fn mark(spec: &Spec) {
    if spec.mark {
        let number = rustix::process::Pid::from_raw(MARK);
        let _ = rustix::process::getpgid(number);
    }
}

/// The process number that `mark` asks for.
pub(crate) const MARK: i32 = 0x3fff_fff1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_frame_is_noticed() {
        let mut frame = vec![0; 4096];
        fill(&mut frame, 7);
        assert_eq!(checked(&frame), Some(7));
        frame[4000] ^= 1;
        assert_eq!(checked(&frame), None);
    }

    #[test]
    fn frames_too_short_for_a_stamp_are_left_alone() {
        let mut frame = [1, 2, 3];
        write_frame(Work::Untouched, 9, &mut frame);
        assert_eq!(frame, [1, 2, 3]);
        assert_eq!(read_frame(Work::Untouched, &frame), Some(0));
    }
}
