//! Between the network, which may not be held up, and a ring that waits for its consumers.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zenoh::bytes::ZBytes;

use crate::wire::FrameHeader;

/// Messages that wait for the ring; more than a sender has on the way.
const LENGTH: usize = 64;
/// What is missing is asked for so often at most.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// What to do about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// Nothing: it is in the queue, or comes again by itself.
    Fine,
    /// It was here before. Perhaps the acknowledgement was lost.
    Known,
    /// Some before it are missing, and are to be asked for.
    AfterGap,
}

/// Messages of a lossless topic, in order and without gaps, and a thread that writes them.
#[derive(Debug)]
pub(crate) struct Queue {
    messages: SyncSender<(FrameHeader, Vec<u8>, ZBytes)>,
    newest: Mutex<Newest>,
}

#[derive(Debug, Default)]
struct Newest {
    turn: u64,
    index: u64,
    asked: Option<Instant>,
}

impl Queue {
    /// The thread ends with the queue, once all of it is written.
    pub(crate) fn start(
        mut write: impl FnMut(&FrameHeader, &[u8], &ZBytes) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (messages, queue) = sync_channel::<(FrameHeader, Vec<u8>, ZBytes)>(LENGTH);
        let run = move || {
            for (header, block, payload) in queue {
                write(&header, &block, &payload);
            }
        };
        std::thread::Builder::new().name("bridge-write".into()).spawn(run)?;
        Ok(Self { messages, newest: Mutex::default() })
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message. It does not wait.
    pub(crate) fn push(&self, header: &FrameHeader, block: &[u8], payload: &ZBytes) -> Pushed {
        let mut newest = self.newest();
        let index = if newest.turn == header.turn { newest.index } else { 0 };
        if header.index <= index {
            return Pushed::Known;
        }
        if header.index != index.saturating_add(1) && !header.base {
            if newest.asked.is_some_and(|asked| asked.elapsed() < ASK_EVERY) {
                return Pushed::Fine;
            }
            newest.asked = Some(Instant::now());
            return Pushed::AfterGap;
        }
        // One that finds no room comes again.
        if self.messages.try_send((*header, block.to_vec(), payload.clone())).is_ok() {
            (newest.turn, newest.index) = (header.turn, header.index);
        }
        Pushed::Fine
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::What;
    use std::sync::mpsc::channel;

    #[test]
    fn messages_are_written_once_in_order_and_without_gaps() {
        let (written, indices) = channel();
        let queue =
            Queue::start(move |header, _, _| written.send((header.turn, header.index)).unwrap()).unwrap();
        let push = |turn, index, base| {
            let header = FrameHeader {
                what: What::Frame,
                lossless: true,
                thinned: false,
                base,
                stream: 1,
                turn,
                index,
                seq: index,
                omitted: 0,
                capture_ns: None,
                published_ns: 0,
            };
            queue.push(&header, b"", &ZBytes::new())
        };
        assert_eq!(push(1, 4, true), Pushed::Fine, "none before it comes again");
        assert_eq!(push(1, 5, false), Pushed::Fine);
        assert_eq!(push(1, 7, false), Pushed::AfterGap);
        assert_eq!(push(1, 8, false), Pushed::Fine, "it was asked for");
        assert_eq!(push(1, 5, true), Pushed::Known);
        assert_eq!(push(1, 6, false), Pushed::Fine);
        assert_eq!(push(2, 1, false), Pushed::Fine, "another turn");
        drop(queue);
        assert_eq!(indices.iter().collect::<Vec<_>>(), [(1, 4), (1, 5), (1, 6), (2, 1)]);
    }
}
