//! Accepted caps: a text that one consumer writes into its entry, and producers read while it may be written.
//!
//! A sequence lock. Its count goes on from one owner of the entry to the next: begun again at 0, it could be found
//! unchanged by a producer that read half of the text of a dead consumer and half of its successor's.

use std::convert::Infallible;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::{FailPoint, Fence, Shared, Word};

/// The accepted caps of one participant's entry.
pub(crate) trait AcceptedCaps: Shared {
    /// How often a producer begins again while the text is being written.
    const TRIES: usize = 100;

    /// Odd while the text is being written.
    fn lock(&self) -> &Self::Word;
    /// Bytes of the text.
    fn len(&self) -> &Self::Word;
    /// Eight bytes of the text; `None` behind the last.
    fn text(&self, i: usize) -> Option<&Self::Word>;
    /// Of the owner of the entry.
    fn generation(&self) -> &Self::Word;
    /// Gives the writer time.
    fn pause(&self);
}

/// Writes the text of the entry that we own. One writer at a time. Dead in here it leaves the lock odd: readers find no
/// text, until the next owner of the entry writes its own, which it does before it counts.
pub(crate) fn write<C: AcceptedCaps>(c: &C, text: &[u8]) {
    let lock = c.lock().load(Relaxed) | 1;
    c.lock().store(lock, Relaxed);
    c.at(FailPoint::CapsBegun);
    c.fence(Fence::CapsWrite);
    let mut written = 0;
    for (i, chunk) in text.chunks(8).enumerate() {
        let Some(word) = c.text(i) else { break };
        let mut bytes = [0; 8];
        if let Some(part) = bytes.get_mut(..chunk.len()) {
            part.copy_from_slice(chunk);
        }
        word.store(u64::from_le_bytes(bytes), Relaxed);
        written += chunk.len() as u64;
    }
    c.len().store(written, Relaxed);
    c.lock().store(lock.wrapping_add(1), Release);
    c.at(FailPoint::CapsWritten);
}

/// The generation of the owner and its text, both of the same moment. `None` while it is being written for longer than one
/// would wait.
pub(crate) fn read<C: AcceptedCaps>(c: &C) -> Option<(u64, Vec<u8>)> {
    let look = || {
        let before = c.lock().load(Acquire);
        let len = usize::try_from(c.len().load(Relaxed)).unwrap_or(usize::MAX);
        let generation = c.generation().load(Relaxed);
        let words = (0..len.div_ceil(8)).map_while(|i| c.text(i));
        let mut text: Vec<u8> = words.flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
        text.truncate(len);
        c.fence(Fence::CapsRead);
        Ok::<_, Infallible>((before, (generation, text), c.lock().load(Relaxed)))
    };
    let found = stable(C::TRIES, look, || c.pause()).ok().flatten();
    // A free entry has no owner whose text it could be.
    found.filter(|(generation, _)| *generation != 0)
}

/// What `look` finds between two looks at the count that agree that nobody writes; `None` if it never does.
pub(crate) fn stable<T, E>(
    tries: usize,
    look: impl Fn() -> Result<(u64, T, u64), E>,
    pause: impl Fn(),
) -> Result<Option<T>, E> {
    for _ in 0..tries {
        let (before, found, after) = look()?;
        if before.is_multiple_of(2) && before == after {
            return Ok(Some(found));
        }
        pause();
    }
    Ok(None)
}
