//! Reading images from a topic.

use ring::{Consumer, Error};

use super::HEAD;

/// The result of an attempt to read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// No new image.
    Nothing,
    /// An image, with its head.
    Image,
    /// An image that is larger than the program's buffer was skipped; its size in bytes.
    TooLarge(usize),
}

/// Copies the next image, with its head, to where `room` begins: at most `size` bytes. `copy` gets the head and the data.
///
/// The first call that finds the topic joins it, at the oldest image. Such a program ignores the end of the stream: it
/// continues when the topic does.
pub(super) fn read(
    consumer: &mut Option<Consumer>,
    topic: &str,
    size: usize,
    copy: impl FnOnce([u8; HEAD], &[u8]),
) -> Result<Read, Error> {
    let frame = match look(consumer, topic) {
        Err(Error::Removed { .. } | Error::Forked { .. }) => {
            *consumer = None;
            look(consumer, topic)
        }
        result => result,
    };
    let frame = match frame {
        Ok(Some(frame)) => frame,
        Ok(None) | Err(Error::TopicNotFound { .. }) => return Ok(Read::Nothing),
        Err(error) => return Err(error),
    };
    let total = frame.len().checked_add(HEAD).filter(|total| *total <= size);
    let Some(total) = total.and_then(|total| u32::try_from(total).ok()) else {
        return Ok(Read::TooLarge(frame.len()));
    };
    let mut head = [0; HEAD];
    let (first, second) = head.split_at_mut(HEAD / 2);
    first.copy_from_slice(&total.to_be_bytes());
    // The number's last 32 bits, as documented.
    #[allow(clippy::cast_possible_truncation)]
    second.copy_from_slice(&(frame.seq() as u32).to_be_bytes());
    copy(head, &frame);
    Ok(Read::Image)
}

fn look(consumer: &mut Option<Consumer>, topic: &str) -> Result<Option<ring::Frame>, Error> {
    let open = match consumer {
        Some(open) => open,
        None => consumer.insert(Consumer::open(topic)?),
    };
    open.try_recv()
}
