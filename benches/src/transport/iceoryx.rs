//! iceoryx2 as its documentation says to use it: publish-subscribe of byte slices, and, where receivers sleep,
//! its event service beside it. Everything it makes lies under a prefix and folder of this run.
#![allow(unsafe_code)]

use super::{Receiver, Sender, Transport};
use crate::Res;
use crate::spec::Spec;
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::{event, publish_subscribe};
use std::time::Duration;

type Ipc = ipc::Service;

/// Where iceoryx2 keeps its small files for this run.
fn folder(run: &str) -> String {
    format!("/tmp/{run}.iceoryx2")
}

/// How the names of its files in shared memory begin.
pub(crate) fn prefix(run: &str) -> String {
    format!("{run}.iox2.")
}

fn node(spec: &Spec) -> Res<Node<Ipc>> {
    set_log_level(LogLevel::Error);
    let mut config = Config::default();
    config.global.set_root_path(&Path::new(folder(&spec.run).as_bytes()).map_err(debug)?);
    config.global.prefix = FileName::new(prefix(&spec.run).as_bytes()).map_err(debug)?;
    NodeBuilder::new().config(&config).create::<Ipc>().map_err(debug)
}

fn debug(e: impl std::fmt::Debug) -> Box<dyn std::error::Error + Send + Sync> {
    format!("iceoryx2: {e:?}").into()
}

type Frames = publish_subscribe::PortFactory<Ipc, [Line], ()>;

/// A cache line of payload: frames are then aligned as well as those they are compared with. (Asking for an
/// alignment of a `[u8]` makes iceoryx2 0.10 reserve that many times the memory.)
#[derive(Clone, Copy, Debug, ZeroCopySend)]
#[repr(C)]
#[repr(align(64))]
struct Line([u8; 64]);

/// Its own defaults, except what the comparison fixes: as many frames deep, as many receivers. `depth` 0 keeps its default depth too.
fn frames(node: &Node<Ipc>, spec: &Spec) -> Res<Frames> {
    let name = ServiceName::new(&spec.topic).map_err(debug)?;
    let mut builder = node.service_builder(&name).publish_subscribe::<[Line]>();
    if spec.depth > 0 {
        builder = builder.subscriber_max_buffer_size(usize::try_from(spec.depth)?);
    }
    if spec.receivers > 8 {
        let many = usize::try_from(spec.receivers)?;
        builder = builder.max_subscribers(many).max_nodes(many.saturating_add(8));
    }
    builder.open_or_create().map_err(debug)
}

fn events(node: &Node<Ipc>, spec: &Spec) -> Res<event::PortFactory<Ipc>> {
    let name = ServiceName::new(&spec.topic).map_err(debug)?;
    let many = usize::try_from(spec.receivers)?.max(16);
    node.service_builder(&name)
        .event()
        .max_listeners(many)
        .max_nodes(many.saturating_add(20))
        .open_or_create()
        .map_err(debug)
}

#[derive(Debug)]
pub(crate) struct Iceoryx;

#[derive(Debug)]
pub(crate) struct Tx {
    publisher: Publisher<Ipc, [Line], ()>,
    notifier: Option<Notifier<Ipc>>,
    _service: Frames,
    _node: Node<Ipc>,
}

#[derive(Debug)]
pub(crate) struct Rx {
    subscriber: Subscriber<Ipc, [Line], ()>,
    listener: Option<Listener<Ipc>>,
    _service: Frames,
    _node: Node<Ipc>,
}

impl Transport for Iceoryx {
    type Sender = Tx;
    type Receiver = Rx;

    fn sender(spec: &Spec) -> Res<Tx> {
        let node = node(spec)?;
        let service = frames(&node, spec)?;
        let builder =
            service.publisher_builder().initial_max_slice_len(spec.first_bytes().div_ceil(64).max(1));
        // Its default refuses frames that are larger than the first.
        let builder = match spec.before {
            0 => builder,
            _ => builder.allocation_strategy(AllocationStrategy::PowerOfTwo),
        };
        let publisher = builder.create().map_err(debug)?;
        let notifier = match spec.sleep {
            true => Some(events(&node, spec)?.notifier_builder().create().map_err(debug)?),
            false => None,
        };
        Ok(Tx { publisher, notifier, _service: service, _node: node })
    }

    fn receiver(spec: &Spec) -> Res<Rx> {
        let node = node(spec)?;
        let service = frames(&node, spec)?;
        let subscriber = service.subscriber_builder().create().map_err(debug)?;
        let listener = match spec.sleep {
            true => Some(events(&node, spec)?.listener_builder().create().map_err(debug)?),
            false => None,
        };
        Ok(Rx { subscriber, listener, _service: service, _node: node })
    }
}

impl Sender for Tx {
    fn send(&mut self, bytes: usize, fill: impl FnOnce(&mut [u8])) -> Res<()> {
        let sample = self.publisher.loan_slice_uninit(bytes.div_ceil(64)).map_err(debug)?;
        // SAFETY: any bytes are a valid `Line`, and fresh shared memory is zeroed by the kernel. Initialising
        // 8 MB here, as the safe call does, would be measured instead of iceoryx2.
        let mut sample = unsafe { sample.assume_init() };
        let lines = sample.payload_mut();
        // SAFETY: lines are arrays of bytes without padding, borrowed from the sample for as long.
        let all = unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), size_of_val(lines)) };
        fill(all.get_mut(..bytes).unwrap_or_default());
        sample.send().map_err(debug)?;
        if let Some(notifier) = &self.notifier {
            notifier.notify().map_err(debug)?;
        }
        Ok(())
    }
}

impl Receiver for Rx {
    fn poll(&mut self, read: impl FnOnce(&[u8])) -> Res<bool> {
        let sample = self.subscriber.receive().map_err(debug)?;
        Ok(sample.map(|sample| read(bytes(sample.payload()))).is_some())
    }

    fn wait(&mut self, limit: Duration, read: impl FnOnce(&[u8])) -> Res<bool> {
        let listener = self.listener.as_ref().ok_or("this receiver was not opened to sleep")?;
        let until = std::time::Instant::now() + limit;
        loop {
            if let Some(sample) = self.subscriber.receive().map_err(debug)? {
                read(bytes(sample.payload()));
                return Ok(true);
            }
            let left = until.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            listener.timed_wait(|_| (), left).map_err(debug)?;
        }
    }
}

fn bytes(lines: &[Line]) -> &[u8] {
    // SAFETY: as in `send`.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), size_of_val(lines)) }
}

/// Removes whatever killed processes left of a run.
pub(crate) fn remove_files(run: &str) {
    let _ = std::fs::remove_dir_all(folder(run));
    crate::child::remove_shared(&prefix(run));
}
