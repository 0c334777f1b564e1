//! Writing images into a topic.

use ring::{Error, Producer, ProducerBuilder};

use super::HEAD;

/// Slots that a ring can have, less those that it keeps as spare slots.
const MOST_SLOTS: usize = 16_000;

/// How many images fit into a ring of `size` bytes.
pub(super) fn slots(size: usize, frame: usize) -> u32 {
    let slots = size / frame.saturating_add(HEAD);
    // At most 16,000.
    u32::try_from(slots.clamp(1, MOST_SLOTS)).unwrap_or(1)
}

/// The minimum size of a slot.
fn room(bytes: usize) -> usize {
    bytes.max(1).checked_next_multiple_of(4096).unwrap_or(bytes)
}

/// Publishes an image. The first one joins, or creates, the topic: only then the size of an image is known. If that took a
/// ring for an image that is larger than `size`: how many bytes of shared memory that is.
pub(super) fn write(
    producer: &mut Option<Producer>,
    topic: &str,
    size: usize,
    data: &[u8],
) -> Result<Option<u64>, Error> {
    // Removed meanwhile, or opened before a fork: once more, from the start.
    match attempt(producer, topic, size, data) {
        Err(Error::Removed { .. } | Error::Forked { .. }) => {
            *producer = None;
            attempt(producer, topic, size, data)
        }
        result => result,
    }
}

/// An existing topic is joined as it is, if an image fits into its slots: another geometry would hide its images from late
/// joiners. Otherwise the ring has room for as many images as the program's size. With it: whether a ring will be made.
fn settings(topic: &str, size: usize, image: usize) -> (ProducerBuilder, bool) {
    let builder = Producer::builder(topic).persistent(true);
    // Opening it reports what is wrong with it.
    let there = ring::inspect(topic, None).ok().and_then(|info| info.geometry);
    match there.filter(|shape| shape.slot_capacity >= image) {
        Some(shape) => {
            let spare_slots = shape.slots.saturating_sub(shape.depth);
            let builder = builder.depth(shape.depth).spare_slots(spare_slots).history(shape.history);
            (builder.slot_capacity(shape.slot_capacity).meta_capacity(shape.meta_capacity), false)
        }
        None => (builder.depth(slots(size, image)).slot_capacity(room(image)), true),
    }
}

fn attempt(
    producer: &mut Option<Producer>,
    topic: &str,
    size: usize,
    data: &[u8],
) -> Result<Option<u64>, Error> {
    let mut made = false;
    let open = match producer {
        Some(open) => open,
        None => {
            let (builder, is_new) = settings(topic, size, data.len());
            made = is_new;
            producer.insert(builder.open()?)
        }
    };
    let shape = open.geometry();
    if data.len() > shape.slot_capacity {
        // No more images than now, and no more than the program's size has room for. Some extra room, since late joiners
        // do not see the images of an earlier ring, and compressed images differ in size all the time.
        let depth = shape.depth.min(slots(size, data.len()));
        open.resize(room(data.len().saturating_add(data.len() / 4)), depth)?;
        made = true;
    }
    open.write(data)?;
    let too_large = data.len().saturating_add(HEAD) > size;
    Ok((made && too_large).then(|| open.geometry().reserved_bytes))
}

#[cfg(test)]
mod tests {
    use super::slots;

    #[test]
    fn as_many_images_as_the_size_has_room_for() {
        let image = 1280 * 720 * 3;
        assert_eq!(slots(20 * (image + 8), image), 20);
        assert_eq!(slots(20 * (image + 8) - 1, image), 19);
        assert_eq!(slots(1, image), 1);
        assert_eq!(slots(i32::MAX as usize, 1), 16_000);
        assert_eq!(slots(usize::MAX, usize::MAX), 1);
    }
}
