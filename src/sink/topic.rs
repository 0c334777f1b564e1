//! How the element comes to its topic: opened, opened again with other settings, recreated when it was removed, and closed.

use std::sync::Arc;

use gstreamer as gst;

use gst::prelude::*;
use gst::subclass::prelude::*;

use crate::common::{error, lock, messages};

use super::clients;
use super::connection::Connection;
use super::imp::{CAT, ShmflowSink};
use super::key_frames::{self, KeyFrames};
use super::negotiation::Negotiator;
use super::settings::Settings;
use super::watcher::{Next, Watcher};

impl ShmflowSink {
    /// Checks the settings, opens the topic with them, sees who is there, and starts watching who comes and goes.
    pub(super) fn open(&self) -> Result<(), gst::ErrorMessage> {
        let settings = Settings::clone(&lock(&self.settings));
        settings.check().map_err(|why| gst::error_msg!(gst::ResourceError::Settings, ("{why}")))?;
        self.stats.clear();
        let connection = self.attach(&settings)?;
        if let Some(warning) = connection.producer.directory_warning() {
            gst::element_imp_warning!(self, gst::ResourceError::Settings, ("{warning}."));
        }
        drop(self.connection.replace(Some(Arc::clone(&connection))));
        clients::refresh(self, &connection);
        self.watch(&connection)
    }

    /// Opens the topic again if that is due: it was opened in NULL→READY, and the settings may have changed in READY.
    pub(super) fn follow_settings(&self) -> Result<(), gst::ErrorMessage> {
        let is_current = |connection: Arc<Connection>| connection.settings == **lock(&self.settings);
        if self.connection.get().is_some_and(is_current) {
            return Ok(());
        }
        self.close();
        self.open()
    }

    fn attach(&self, settings: &Settings) -> Result<Arc<Connection>, gst::ErrorMessage> {
        let name = messages::own_name(self.obj().upcast_ref());
        Connection::open(settings, &name, Arc::clone(&self.stats), &self.cancel_token)
            .map(Arc::new)
            .map_err(|error| error::message(&error, "opening the topic for writing"))
    }

    fn watch(&self, connection: &Arc<Connection>) -> Result<(), gst::ErrorMessage> {
        let weak = self.obj().downgrade();
        let watched = Arc::downgrade(connection);
        let changed = move || {
            let (Some(sink), Some(connection)) = (weak.upgrade(), watched.upgrade()) else {
                return Next::Nothing;
            };
            clients::refresh(sink.imp(), &connection);
            Next::Event(key_frames::follow(sink.imp(), &connection))
        };
        let weak = self.obj().downgrade();
        // Not left to the next frame: upstream may be waiting for a consumer, who would look for the topic in vain.
        let removed = move |connection: &Arc<Connection>| {
            if let Some(sink) = weak.upgrade()
                && let Err(message) = sink.imp().recreate(connection)
                && sink.imp().connection.is(connection)
            {
                connection.give_up();
                sink.imp().post_error_message(message);
            }
        };
        let watcher = Watcher::start(connection, changed, removed);
        let watcher = watcher.map_err(|error| {
            gst::error_msg!(gst::ResourceError::Failed, ("No thread could be started: {error}."))
        })?;
        // Unless it was closed meanwhile. What is not needed is dropped after the lock: it waits for its thread.
        let mut current = lock(&self.watcher);
        let unneeded = if self.connection.is(connection) { current.replace(watcher) } else { Some(watcher) };
        drop(current);
        drop(unneeded);
        Ok(())
    }

    /// Makes the topic of a connection that was removed again. Called by the watcher's thread alone, and under no lock: to open a
    /// topic may take seconds, and stopping the element must not wait for it.
    fn recreate(&self, gone: &Arc<Connection>) -> Result<(), gst::ErrorMessage> {
        if !self.connection.is(gone) {
            return Ok(());
        }
        gst::warning!(CAT, imp = self, "the topic was removed, and is recreated");
        let connection = self.attach(&gone.settings)?;
        // The old connection stays until there is a new one: without any, the streaming thread would take it for the end.
        if !self.connection.succeed(gone, &connection) {
            return Ok(());
        }
        self.watch(&connection)
    }

    fn stop_watching(&self) {
        // Taken out first: stopping waits a moment for the thread, and the thread may want the lock.
        let watcher = lock(&self.watcher).take();
        drop(watcher);
    }

    /// Closes the topic.
    pub(super) fn close(&self) {
        let connection = self.connection.replace(None);
        self.stop_watching();
        drop(connection);
        *self.negotiator() = Negotiator::default();
        *self.key_frames() = KeyFrames::default();
        let sink = self.obj();
        if self.consumer_wait.set_clients(sink.upcast_ref(), 0) {
            sink.notify("num-clients");
        }
    }
}
