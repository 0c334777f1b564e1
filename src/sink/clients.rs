//! Keeps the sink's list of consumers like the topic's, and notifies the application of consumers that connect and
//! disconnect.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_base as gst_base;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;

use crate::common::messages;

use super::connection::Connection;
use super::imp::{CAT, ShmflowSink};
use super::negotiation::{Client, ClientId};

/// Looks at who is there, tells the application who came and went, and has upstream choose another format if nobody
/// can use the present one.
pub(super) fn refresh(sink: &ShmflowSink, connection: &Arc<Connection>) {
    let present: BTreeMap<ClientId, (String, String)> = connection
        .producer
        .consumers()
        .into_iter()
        .map(|c| ((c.id.id, c.id.generation), (c.name, c.accepted_caps.unwrap_or_default())))
        .collect();
    let count = u32::try_from(present.len()).unwrap_or(u32::MAX);
    let mut came = Vec::new();
    let mut went = Vec::new();
    let mut accepts_changed = false;
    let reconfigure = {
        let mut negotiator = sink.negotiator();
        negotiator.clients.retain(|id, client| {
            let stays = present.contains_key(id);
            if !stays {
                went.push((*id, client.name.clone()));
            }
            stays
        });
        for (id, (name, caps)) in present {
            if let Some(client) = negotiator.clients.get_mut(&id) {
                accepts_changed |= client.set_accepted_caps(&caps);
            } else {
                negotiator.clients.insert(id, Client::new(name.clone(), &caps));
                came.push((id, name));
            }
        }
        accepts_changed |= !came.is_empty() || !went.is_empty();
        accepts_changed && negotiator.should_reconfigure(sink.negotiation())
    };
    // From here on no lock is held: handlers may do anything, even stop this element.
    let element = sink.obj();
    let changed = sink.consumer_wait().set_clients(element.upcast_ref(), count);
    for (id, name) in came {
        gst::info!(CAT, imp = sink, "consumer {name} connected");
        notify_client(&element, "connected", id, &name, count);
    }
    for (id, name) in went {
        gst::info!(CAT, imp = sink, "consumer {name} disconnected");
        notify_client(&element, "disconnected", id, &name, count);
    }
    if changed {
        element.notify("num-clients");
    }
    if reconfigure {
        ask_for_another_format(sink);
    }
}

/// Consumers that a lossless sink passes over because they take nothing.
#[derive(Debug, Default)]
pub(super) struct Stalled {
    /// How often there was one.
    count: u64,
    /// Those of which the application knows.
    told: Vec<u64>,
}

impl Stalled {
    /// Tells the application of those that are passed over since the last call.
    pub(super) fn report(&mut self, sink: &ShmflowSink, connection: &Connection) {
        let count = connection.producer.stats().stalls;
        if std::mem::replace(&mut self.count, count) == count {
            return;
        }
        let stalled = connection.producer.stalled_consumers();
        self.told.retain(|&known| stalled.iter().any(|consumer| consumer.id.generation == known));
        for consumer in stalled {
            let number = consumer.id.generation;
            if !self.told.contains(&number) {
                self.told.push(number);
                gst::warning!(CAT, imp = sink, "consumer {} takes nothing and is passed over", consumer.name);
                messages::post(
                    sink.obj().upcast_ref(),
                    gst::Structure::builder("shmflow-client-stalled")
                        .field("id", number)
                        .field("name", consumer.name)
                        .build(),
                );
            }
        }
    }
}

/// Has upstream choose again. What it may choose it asks for when it does.
pub(super) fn ask_for_another_format(sink: &ShmflowSink) {
    gst::info!(CAT, imp = sink, "no consumer accepts the current format: asking upstream for another");
    sink.obj().sink_pad().push_event(gst::event::Reconfigure::new());
}

/// `client-connected` and `client-disconnected`, with a number that is not used twice and the consumer's name.
pub(super) fn signals() -> &'static [glib::subclass::Signal] {
    static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
        ["client-connected", "client-disconnected"]
            .into_iter()
            .map(|name| {
                glib::subclass::Signal::builder(name)
                    .param_types([u64::static_type(), String::static_type()])
                    .build()
            })
            .collect()
    });
    &SIGNALS
}

/// Tells that a consumer came or went, as signal and as message.
fn notify_client(sink: &super::ShmflowSink, what: &str, id: ClientId, name: &str, clients: u32) {
    let number = id.1;
    messages::post(
        sink.upcast_ref(),
        gst::Structure::builder(format!("shmflow-client-{what}"))
            .field("id", number)
            .field("name", name)
            .field("clients", clients)
            .build(),
    );
    sink.emit_by_name::<()>(&format!("client-{what}"), &[&number, &name]);
}
