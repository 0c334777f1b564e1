//! The sink and its topic: opening, closing, publishing.

use std::sync::Arc;

use gstreamer as gst;

use gst::prelude::*;
use gst::subclass::prelude::*;
use shmflow::meta::EncodedMeta;

use crate::common::{error, tell};

use super::clients;
use super::imp::{CAT, ShmflowSink, lock};
use super::link::{Link, Outcome};
use super::watcher::Watcher;

impl ShmflowSink {
    /// Opens the topic, sees who is there, and starts watching who comes and goes.
    pub(super) fn open(&self) -> Result<(), gst::ErrorMessage> {
        let link = self.attach()?;
        clients::refresh(self, &link);
        self.watch(&link)
    }

    fn attach(&self) -> Result<Arc<Link>, gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let name = tell::own_name(self.obj().upcast_ref());
        let link = Link::open(&settings, &name, Arc::clone(&self.stats))
            .map_err(|error| error::message(&error, "opening the topic for writing"))?;
        let link = Arc::new(link);
        drop(self.link.replace(Some(Arc::clone(&link))));
        Ok(link)
    }

    fn watch(&self, link: &Arc<Link>) -> Result<(), gst::ErrorMessage> {
        let weak = self.obj().downgrade();
        let watched = Arc::downgrade(link);
        let changed = move || {
            let (Some(sink), Some(link)) = (weak.upgrade(), watched.upgrade()) else {
                return false;
            };
            clients::refresh(sink.imp(), &link);
            true
        };
        let weak = self.obj().downgrade();
        // Not left to the next frame: upstream may be waiting for a consumer, who would look for the topic in vain.
        let removed = move |link: &Arc<Link>| {
            if let Some(sink) = weak.upgrade()
                && let Err(message) = sink.imp().renew(link)
            {
                sink.imp().post_error_message(message);
            }
        };
        let watcher = Watcher::start(link, changed, removed);
        let watcher = watcher.map_err(|error| {
            gst::error_msg!(gst::ResourceError::Failed, ("No thread could be started: {error}."))
        })?;
        let before = lock(&self.watcher).replace(watcher);
        drop(before);
        Ok(())
    }

    /// Makes the topic of a link that was removed anew, unless that is done. `None` if the element is being stopped.
    fn renew(&self, gone: &Arc<Link>) -> Result<Option<Arc<Link>>, gst::ErrorMessage> {
        let _one_at_a_time = lock(&self.renewing);
        match self.link() {
            Some(link) if Arc::ptr_eq(&link, gone) => {}
            other => return Ok(other),
        }
        gst::warning!(CAT, imp = self, "the topic was removed, and is made anew");
        self.stop_watching();
        // The old link stays until there is a new one: without any, the streaming thread would take it for the end.
        let link = self.attach()?;
        // Who is there now the new watcher tells: no handler of the application is called here, under a lock that stopping
        // the element takes.
        self.watch(&link)?;
        Ok(Some(link))
    }

    fn stop_watching(&self) {
        // Taken out first: stopping waits a moment for the thread, and the thread may want the lock.
        let watcher = lock(&self.watcher).take();
        drop(watcher);
    }

    /// Closes the topic.
    pub(super) fn close(&self) {
        self.stop_watching();
        drop(self.link.replace(None));
    }

    /// Publishes a frame; if somebody removed the topic it is made anew first.
    pub(super) fn publish(
        &self,
        link: &Arc<Link>,
        buffer: &gst::BufferRef,
        meta: &EncodedMeta,
    ) -> Result<Outcome, gst::FlowError> {
        let failed = |error| self.fail(error::message(&error, "publishing a frame"));
        match link.publish(buffer, meta) {
            Err(shmflow::Error::Removed { .. }) => {
                let link = self.renew(link).map_err(|message| self.fail(message))?;
                link.ok_or(gst::FlowError::Flushing)?.publish(buffer, meta).map_err(failed)
            }
            result => result.map_err(failed),
        }
    }
}
