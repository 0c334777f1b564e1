//! The thread of a watched topic: takes the newest frame when a viewer waits, gives the slot back, and makes the picture.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use shmflow::{Consumer, Error};
use tokio::runtime::Handle;

use super::live::{Channel, Live, Refusal};
use super::shot::Copied;
use crate::{grab, text};

/// The consumer stays open for so long after the last viewer: one that asks again after each picture is always between two.
const LINGER: Duration = Duration::from_secs(2);
/// Longest wait for a frame before it is looked whether somebody still waits.
const LOOK: Duration = Duration::from_millis(200);

pub(super) fn run(live: &Live, channel: &Channel, runtime: &Handle) {
    // To look on is less than what is looked at. It is this thread's own, and where it is refused, things are as they were.
    let _ = rustix::process::nice(10);
    // A bug in here must not leave viewers waiting for ever.
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| watch(live, channel, runtime)));
    let refusal = match result {
        Ok(Ok(())) => return,
        Ok(Err(refusal)) => refusal,
        Err(_) => Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the pictures of this topic ended by a bug in shmflow",
        ),
    };
    live.close_with(channel, &refusal);
}

/// Shows pictures until nobody has asked for some time.
fn watch(live: &Live, channel: &Channel, runtime: &Handle) -> Result<(), Refusal> {
    let mut consumer = open(channel, live)?;
    let mut frame: Option<Copied> = None;
    let mut due = Instant::now();
    loop {
        // Those who ask meanwhile get the same picture.
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let Some(asked) = channel.wait_for_viewers(Instant::now() + LINGER, live) else {
            if live.close_unwatched(channel) {
                return Ok(());
            }
            continue;
        };
        let mut received = consumer.try_recv()?;
        if received.is_none() {
            match &frame {
                Some(frame) => show(live, channel, runtime, frame, asked)?,
                None => channel.wanted().for_each(|size| channel.confirm(size, asked)),
            }
            received = match consumer.recv_timeout(LOOK) {
                Ok(frame) => Some(frame),
                Err(Error::Timeout { .. }) => None,
                Err(error) => return Err(error.into()),
            };
        }
        if let Some(received) = received {
            due = Instant::now() + Duration::from_secs(1) / live.settings.fps.max(1);
            let frame = frame.get_or_insert_default();
            frame.take(received);
            show(live, channel, runtime, frame, asked)?;
        }
    }
}

fn open(channel: &Channel, live: &Live) -> Result<Consumer, Error> {
    grab::consumer_with(&channel.topic, live.dir.as_deref(), |builder| {
        builder.name("shmflow serve").latest(true).report_no_producer(true)
    })
}

/// Makes the pictures that somebody waits for, and that are not there yet.
fn show(live: &Live, channel: &Channel, runtime: &Handle, frame: &Copied, asked: u64) -> Result<(), Refusal> {
    let tag = frame.tag();
    for size in channel.wanted() {
        if channel.shows(size, &tag) {
            channel.confirm(size, asked);
            continue;
        }
        let _turn = live.take_turn(runtime);
        let shot = frame.shot(size, live.settings.quality).map_err(|why| {
            let text = format!("topic `{}`: {}", text::safe(&channel.topic), text::safe(&why));
            Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)
        })?;
        // Before anybody sees it.
        live.count_picture();
        channel.show(size, asked, shot);
    }
    Ok(())
}
