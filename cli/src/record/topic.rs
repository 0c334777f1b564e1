//! One topic of a recording: its frames, one after the other, each given back when it is in the file.

use std::path::Path;
use std::sync::Mutex;

use shmflow::{CancelToken, Consumer, Delivery, Error, StartAt};

use super::message::About;
use super::recorder::Recorder;
use super::{Record, lock};

pub(super) fn open(
    topic: &str,
    dir: Option<&Path>,
    args: &Record,
    cancel: &CancelToken,
) -> Result<Consumer, Error> {
    let builder = || {
        let delivery = if args.latest { Delivery::Latest } else { Delivery::All };
        let builder = Consumer::builder(topic).name("shmflow record").start(StartAt::Oldest);
        let mut builder = builder.delivery(delivery).cancel_token(cancel);
        if let Some(dir) = dir {
            builder = builder.dir(dir);
        }
        if args.wait { builder.connect_timeout(None) } else { builder }
    };
    match builder().open() {
        Err(Error::PermissionDenied { .. } | Error::ForeignOwner { .. }) => {
            builder().read_only(true).allow_foreign_owner(true).open()
        }
        opened => opened,
    }
}

/// Records until the stream ends, the wait is cancelled, or the file takes no more.
pub(super) fn follow(
    mut consumer: Consumer,
    recorder: &Mutex<Recorder>,
    count: Option<u64>,
) -> Result<(), Error> {
    let topic = consumer.topic().to_owned();
    let cancel = consumer.cancel_token();
    let mut block = Vec::new();
    let mut left = count.unwrap_or(u64::MAX);
    while left != 0 && !cancel.is_cancelled() {
        // Asked first: what is published between the two is no end.
        let ended = consumer.stream_status().ended;
        let received = match consumer.try_recv() {
            Ok(Some(frame)) => Ok(frame),
            // One that had ended before it came here is not waited for.
            Ok(None) if ended => break,
            Ok(None) => consumer.recv(),
            Err(error) => Err(error),
        };
        let frame = match received {
            Ok(frame) => frame,
            Err(Error::Ended { .. } | Error::Cancelled { .. }) => break,
            Err(error) => {
                note_losses(&consumer, recorder, &topic);
                return Err(error);
            }
        };
        frame.read_meta(&mut block);
        let about = About {
            topic: &topic,
            seq: frame.seq(),
            lost_before: frame.lost_before(),
            published_ns: frame.published_ns(),
            meta: &block,
        };
        let mut recorder = lock(recorder);
        if recorder.write(&about, &frame).is_err() {
            break;
        }
        if let Some(tally) = recorder.tallies.get_mut(&topic) {
            tally.lost = consumer.stats().lost;
        }
        left -= 1;
    }
    note_losses(&consumer, recorder, &topic);
    Ok(())
}

fn note_losses(consumer: &Consumer, recorder: &Mutex<Recorder>, topic: &str) {
    if let Some(tally) = lock(recorder).tallies.get_mut(topic) {
        tally.lost = consumer.stats().lost;
    }
}
