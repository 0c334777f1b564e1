//! A topic of another host, here.
//!
//! It is there as soon as the other host announces it, and empty. Once it has a consumer its frames are asked for, and when the
//! last one leaves, no more: a thread for each waits for that in the ring's own way.

mod subscription;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use shmflow::{CancelToken, Error, Liveness, OverflowPolicy, Producer};
use zenoh::Wait;
use zenoh::qos::{CongestionControl, Priority};

use crate::hub::{Context, Event};
use crate::inlet::Inlet;
use crate::keys::Kind;
use crate::local::MIRROR;
use crate::localise::Place;
use crate::ping::{EVERY, OriginClock};
use crate::stats::{Counters, note};
use crate::wire::{Control, Request};
use subscription::Subscription;

/// After so long without a consumer the ring is emptied: what is in it is old.
const STALE: Duration = Duration::from_secs(10);
/// Bytes of a ring's slot without frames, and of all of them at most; the first frame enlarges them.
const SMALL: usize = 4096;
const SMALL_RING: usize = 256 << 10;

/// What its origin says of a topic.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) depth: u32,
    pub(crate) description: Option<String>,
    pub(crate) lossless: bool,
    /// Which host it is of.
    pub(crate) home: Option<u64>,
}

/// Why a mirror came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MirrorEnd {
    /// Its origin is gone, and it has no consumer.
    Gone,
    /// The topic was removed at its origin, and here.
    Removed,
    /// A producer of this host has taken the name.
    Taken,
    /// It failed, and told why.
    Failed,
}

/// What others want of a mirror.
#[derive(Debug)]
struct Orders {
    clock: Arc<OriginClock>,
    look: Look,
    /// Its origin is there.
    present: bool,
    /// It came back: it may not know that we read it.
    again: bool,
    removed: bool,
    /// The ring cannot be written to.
    lost_topic: bool,
    stop: bool,
}

/// What threads share.
#[derive(Debug)]
struct Shared {
    context: Arc<Context>,
    topic: String,
    counters: Arc<Counters>,
    /// Ends the wait for events.
    cancel: CancelToken,
    /// Ends the wait for a slot.
    give_up: CancelToken,
    orders: Mutex<Orders>,
    inlet: Mutex<Inlet>,
    /// Of a lossless topic: the turn, and the message of it that is in the ring.
    acked: Mutex<(u64, u64)>,
    refused_told: AtomicU64,
}

/// A topic of another host.
#[derive(Debug)]
pub(crate) struct Mirror {
    shared: Arc<Shared>,
    number: u64,
    home: Option<u64>,
    thread: Option<JoinHandle<()>>,
}

impl Mirror {
    pub(crate) fn start(
        context: &Arc<Context>,
        topic: &str,
        number: u64,
        look: Look,
        clock: Arc<OriginClock>,
    ) -> std::io::Result<Self> {
        let counters = context.stats.received(topic);
        let home = look.home;
        let orders = Orders {
            clock,
            look,
            present: true,
            again: false,
            removed: false,
            lost_topic: false,
            stop: false,
        };
        let shared = Arc::new(Shared {
            context: Arc::clone(context),
            topic: topic.to_owned(),
            inlet: Mutex::new(Inlet::new(topic, Arc::clone(&counters))),
            counters,
            cancel: CancelToken::new(),
            give_up: CancelToken::new(),
            orders: Mutex::new(orders),
            acked: Mutex::default(),
            refused_told: AtomicU64::new(0),
        });
        let own = Arc::clone(&shared);
        let run = move || {
            let end = run(&own);
            own.counters.active.store(0, Relaxed);
            if let Some(end) = end {
                // An error is that of a hub that has ended.
                let _ = own.context.events.send(Event::MirrorEnded(own.topic.clone(), number, end));
            }
        };
        let thread = std::thread::Builder::new().name("bridge-mirror".into()).spawn(run)?;
        Ok(Self { shared, number, home, thread: Some(thread) })
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Which host it shows a topic of.
    pub(crate) fn home(&self) -> Option<u64> {
        self.home
    }

    /// Whether its frames come from this bridge.
    pub(crate) fn comes_from(&self, origin: &str) -> bool {
        self.shared.orders().clock.origin() == origin
    }

    /// Its frames come from another bridge of the same host now.
    pub(crate) fn come_from(&self, clock: Arc<OriginClock>, look: Look) {
        let mut orders = self.shared.orders();
        // What waits for consumers is written in another way.
        orders.lost_topic |= orders.look.lossless != look.lossless;
        (orders.clock, orders.look, orders.present) = (clock, look, true);
        drop(orders);
        self.shared.cancel.cancel();
    }

    /// The bridge that its frames come from is there, or not.
    pub(crate) fn set_present(&self, present: bool) {
        let mut orders = self.shared.orders();
        let was = std::mem::replace(&mut orders.present, present);
        orders.again |= present && !was;
        drop(orders);
        if was != present {
            self.shared.cancel.cancel();
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.shared.orders().stop = true;
        self.shared.give_up.cancel();
        self.shared.cancel.cancel();
        // A panic over there was told there.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inlet(&self) -> MutexGuard<'_, Inlet> {
        self.inlet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acked(&self) -> MutexGuard<'_, (u64, u64)> {
        self.acked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the bridge that sends the topic for something, and waits until the network takes it: in threads of ours.
    fn ask(&self, origin: &str, request: Request) {
        self.put(origin, request, CongestionControl::Block);
    }

    /// As `ask`, in threads of the network, which may not wait: it may be dropped, and is asked for again.
    fn try_ask(&self, origin: &str, request: Request) {
        self.put(origin, request, CongestionControl::Drop);
    }

    fn put(&self, origin: &str, request: Request, congestion: CongestionControl) {
        let control = Control { reader: self.context.number, request };
        let key = Kind::Control.key(origin, &self.topic);
        // An error is that of a session that is closed.
        let _ = self
            .context
            .session
            .put(key, control.encode())
            .congestion_control(congestion)
            // Not behind frames of the other direction.
            .priority(Priority::InteractiveHigh)
            .wait();
    }

    fn open(&self) -> Result<Producer, Error> {
        let look = self.orders().look.clone();
        let depth = usize::try_from(look.depth).unwrap_or(1).max(1);
        let small = (SMALL_RING / depth).min(SMALL);
        let mut builder = Producer::builder(&self.topic)
            .name(MIRROR)
            .depth(look.depth)
            .slot_capacity(small)
            .meta_capacity(small)
            .cancel_token(&self.give_up);
        if look.lossless {
            builder = builder.overflow_policy(OverflowPolicy::Lossless);
        }
        if let Some(perms) = self.context.settings.perms {
            builder = builder.perms(perms);
        }
        if let Some(dir) = &self.context.settings.dir {
            builder = builder.dir(dir);
        }
        if let Some(description) = &look.description {
            builder = builder.description(description);
        }
        builder.open()
    }

    /// Where the newest frame that the ring has comes from: an earlier bridge left it.
    fn newest(&self) -> Option<Place> {
        let info = shmflow::inspect(&self.topic, self.context.settings.dir.as_deref()).ok()?;
        info.newest.as_ref()?.meta().ok()?.entries::<Place>().find_map(Result::ok)
    }

    /// Whether another process produces this topic. Of two bridges the one that came later gives way.
    fn is_taken(&self, own: &Producer) -> bool {
        let dir = self.context.settings.dir.as_deref();
        let Ok(info) = shmflow::inspect(&self.topic, dir) else { return false };
        info.producers().any(|one| {
            let gives_way = one.name.starts_with(MIRROR) && one.id.generation > own.id().generation;
            one.id != own.id() && one.active && one.liveness != Liveness::Dead && !gives_way
        })
    }
}

/// Shows the topic; why not any more. `None` if it was stopped.
fn run(shared: &Arc<Shared>) -> Option<MirrorEnd> {
    loop {
        let producer = match shared.open() {
            Ok(producer) => Arc::new(producer),
            Err(error) => {
                note(&format!("a topic of another host cannot be shown: {error}"));
                return Some(MirrorEnd::Failed);
            }
        };
        let newest = shared.newest();
        shared.inlet().set_producer(Some(Arc::clone(&producer)), newest);
        // Of consumers that were here before us all that is missing is lost.
        let goes_on = newest.is_some() && producer.consumer_count() != 0;
        let end = follow(shared, &producer, goes_on);
        shared.inlet().set_producer(None, None);
        match end {
            Next::Reopen => {}
            Next::Stop => return None,
            Next::End(end) => return Some(end),
        }
    }
}

/// What comes after a ring.
enum Next {
    /// Another one, that is empty.
    Reopen,
    Stop,
    End(MirrorEnd),
}

fn follow(shared: &Arc<Shared>, producer: &Producer, mut goes_on: bool) -> Next {
    let mut subscription: Option<Subscription> = None;
    let mut key_frames = producer.key_frame_requests();
    let mut idle_since: Option<Instant> = None;
    loop {
        // Before all that is looked at: what happens after that is an event.
        let seen = producer.events();
        shared.cancel.reset();
        let (clock, present, again) = {
            let mut orders = shared.orders();
            if orders.stop {
                return Next::Stop;
            }
            if std::mem::take(&mut orders.lost_topic) {
                return Next::Reopen;
            }
            (Arc::clone(&orders.clock), orders.present, std::mem::take(&mut orders.again))
        };
        if shared.is_taken(producer) {
            note(&format!(
                "topic `{}` of another host is not shown here any more: another producer has taken the name",
                shared.topic
            ));
            return Next::End(MirrorEnd::Taken);
        }
        // After that: it is not a topic of this host that is removed.
        if shared.orders().removed {
            drop(subscription);
            // It may be gone already.
            let _ = shmflow::remove(&shared.topic, shared.context.settings.dir.as_deref(), true);
            return Next::End(MirrorEnd::Removed);
        }
        let is_read = producer.consumer_count() != 0;
        if !is_read && !present {
            return Next::End(MirrorEnd::Gone);
        }
        let is_other = subscription.as_ref().is_some_and(|one| one.origin() != clock.origin());
        if !is_read || is_other {
            if subscription.take().is_some() && !is_read {
                idle_since = Some(Instant::now());
                goes_on = false;
            }
        } else if again && let Some(subscription) = &subscription {
            shared.ask(subscription.origin(), Request::Start);
        }
        if is_read && subscription.is_none() {
            if !goes_on {
                shared.inlet().resume();
            }
            (idle_since, goes_on) = (None, true);
            match shared.subscribe(&clock) {
                Ok(subscribed) => subscription = Some(subscribed),
                Err(error) => note(&format!("topic `{}` cannot be received: {error}", shared.topic)),
            }
        }
        let asked = producer.key_frame_requests();
        if std::mem::replace(&mut key_frames, asked) != asked && is_read {
            shared.ask(clock.origin(), Request::KeyFrame);
        }
        if subscription.is_some() && present {
            clock.follow(&shared.context.session);
        }
        if idle_since.is_some_and(|since| since.elapsed() >= STALE) {
            return Next::Reopen;
        }
        let timeout = if is_read { Some(EVERY) } else { idle_since.map(|_| STALE) };
        match producer.wait_event(seen, timeout, &shared.cancel) {
            Ok(_) | Err(Error::Timeout { .. } | Error::Cancelled { .. }) => {}
            Err(Error::Removed { .. }) => return Next::Reopen,
            Err(error) => {
                note(&format!("topic `{}` cannot be shown any more: {error}", shared.topic));
                return Next::End(MirrorEnd::Failed);
            }
        }
    }
}
