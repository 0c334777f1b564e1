//! One topic of a recording: its frames, one after the other, each given back when it is in the file.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

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

/// The streams of a recording, which ends with the last of them: one that ended may go on as long as others do.
pub(super) struct Streams {
    cancels: Vec<CancelToken>,
    /// How many have ended, for now; and whether all had at a time.
    ended: Mutex<(usize, bool)>,
}

impl Streams {
    pub(super) fn new(cancels: &[CancelToken]) -> Self {
        Self { cancels: cancels.to_vec(), ended: Mutex::default() }
    }

    fn end(&self) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.0 += 1;
        if ended.0 == self.cancels.len() {
            ended.1 = true;
            self.cancels.iter().for_each(CancelToken::cancel);
        }
    }

    fn go_on(&self) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.0 = ended.0.saturating_sub(1);
    }

    fn are_over(&self) -> bool {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// Records until all streams have ended, the wait is cancelled, or the file takes no more.
pub(super) fn follow(
    mut consumer: Consumer,
    recorder: &Mutex<Recorder>,
    count: Option<u64>,
    streams: &Streams,
) -> Result<(), Error> {
    let topic = consumer.topic().to_owned();
    let cancel = consumer.cancel_token();
    let mut block = Vec::new();
    let (mut left, mut has_ended) = (count.unwrap_or(u64::MAX), false);
    let result = loop {
        let are_over = streams.are_over();
        if left == 0 || cancel.is_cancelled() && !are_over {
            break Ok(());
        }
        // Asked first: what is published between the two is no end.
        let ended = consumer.stream_status().ended;
        let received = match consumer.try_recv() {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) if are_over => break Ok(()),
            // One that had ended before it came here is not waited for.
            Ok(None) if ended && !has_ended => {
                has_ended = true;
                streams.end();
                continue;
            }
            Ok(None) => consumer.recv(),
            Err(error) => Err(error),
        };
        let frame = match received {
            Ok(frame) => frame,
            Err(Error::Ended { .. }) => {
                if !std::mem::replace(&mut has_ended, true) {
                    streams.end();
                }
                continue;
            }
            Err(Error::Cancelled { .. }) => continue,
            Err(error) => break Err(error),
        };
        if std::mem::take(&mut has_ended) {
            streams.go_on();
        }
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
            break Ok(());
        }
        if let Some(tally) = recorder.tallies.get_mut(&topic) {
            tally.lost = consumer.stats().lost;
        }
        left -= 1;
    };
    note_losses(&consumer, recorder, &topic);
    if !has_ended {
        streams.end();
    }
    result
}

fn note_losses(consumer: &Consumer, recorder: &Mutex<Recorder>, topic: &str) {
    if let Some(tally) = lock(recorder).tallies.get_mut(topic) {
        tally.lost = consumer.stats().lost;
    }
}
