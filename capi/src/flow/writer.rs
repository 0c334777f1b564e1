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

/// The room that a slot takes in any case.
fn room(bytes: usize) -> usize {
    bytes.max(1).checked_next_multiple_of(4096).unwrap_or(bytes)
}

/// Publishes an image. The topic is joined, or made, by the first one: only then the size of an image is known.
pub(super) fn write(
    producer: &mut Option<Producer>,
    topic: &str,
    size: usize,
    data: &[u8],
) -> Result<(), Error> {
    // Removed meanwhile, or ours before a fork: once more, from the start.
    match attempt(producer, topic, size, data) {
        Err(Error::Removed { .. } | Error::Forked { .. }) => {
            *producer = None;
            attempt(producer, topic, size, data)
        }
        result => result,
    }
}

/// What is there is joined as it is, if an image fits into it: another shape would hide the images in it from those who
/// come later. Otherwise there is room for as many as the program said.
fn settings(topic: &str, size: usize, image: usize) -> ProducerBuilder {
    let builder = Producer::builder(topic).persistent(true);
    // Whatever is wrong with it, opening it will say.
    let there = ring::inspect(topic, None).ok().and_then(|info| info.geometry);
    match there.filter(|shape| shape.slot_capacity >= image) {
        Some(shape) => builder
            .depth(shape.depth)
            .spare_slots(shape.slots.saturating_sub(shape.depth))
            .history(shape.history)
            .slot_capacity(shape.slot_capacity)
            .meta_capacity(shape.meta_capacity),
        None => builder.depth(slots(size, image)).slot_capacity(room(image)),
    }
}

fn attempt(producer: &mut Option<Producer>, topic: &str, size: usize, data: &[u8]) -> Result<(), Error> {
    let open = match producer {
        Some(open) => open,
        None => producer.insert(settings(topic, size, data.len()).open()?),
    };
    let shape = open.geometry();
    if data.len() > shape.slot_capacity {
        // No more images than now, and no more than what the program gave has room for. Some room to spare, since each new
        // ring is one that newcomers do not look behind: images that are compressed differ in size all the time.
        let depth = shape.depth.min(slots(size, data.len()));
        open.resize(room(data.len().saturating_add(data.len() / 4)), depth)?;
    }
    open.write(data)?;
    Ok(())
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
