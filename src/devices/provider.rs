//! The device provider: which topics there are, and which come and go.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};
use std::thread::{self, JoinHandle};

use gstreamer as gst;
use gstreamer::glib;

use gst::prelude::*;
use gst::subclass::prelude::*;

use crate::common::lock;

use super::ShmflowDevice;
use super::live::{self, Live};
use super::watch::{Stop, Watch};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("shmflowdeviceprovider", gst::DebugColorFlags::empty(), Some("Topics as devices"))
});

/// State of the provider.
#[derive(Debug, Default)]
pub struct ShmflowDeviceProvider {
    /// What was announced, by topic.
    devices: Mutex<BTreeMap<String, (Live, ShmflowDevice)>>,
    follower: Mutex<Option<Follower>>,
}

/// The thread that follows the topics while somebody monitors them.
#[derive(Debug)]
struct Follower {
    stop: Stop,
    /// None once it was joined.
    thread: Option<JoinHandle<()>>,
}

/// What is to be told of the topics.
enum News {
    Added(ShmflowDevice),
    Removed(ShmflowDevice),
    Changed { new: ShmflowDevice, old: ShmflowDevice },
}

impl ShmflowDeviceProvider {
    /// Tells what has changed about the topics since the last look, until it is stopped.
    fn follow(&self, found: Vec<Live>, is_stopped: impl Fn() -> bool) {
        let news = self.compare(found);
        // Under no lock: whoever hears of it may stop the provider.
        let provider = self.obj();
        for one in news {
            if is_stopped() {
                break;
            }
            match one {
                News::Added(device) => provider.device_add(&device),
                News::Removed(device) => provider.device_remove(&device),
                News::Changed { new, old } => provider.device_changed(&new, &old),
            }
        }
    }

    fn compare(&self, found: Vec<Live>) -> Vec<News> {
        let mut devices = lock(&self.devices);
        let mut news = Vec::new();
        let mut before = std::mem::take(&mut *devices);
        for live in found {
            let (name, known) = (live.topic.clone(), before.remove(&live.topic));
            if let Some((old, device)) = known {
                if old == live {
                    devices.insert(name, (old, device));
                    continue;
                }
                let new = ShmflowDevice::new(live.clone());
                // Monitors look at a device's class when it comes.
                if old.class() == live.class() {
                    news.push(News::Changed { new: new.clone(), old: device });
                } else {
                    news.extend([News::Removed(device), News::Added(new.clone())]);
                }
                devices.insert(name, (live, new));
            } else {
                let device = ShmflowDevice::new(live.clone());
                news.push(News::Added(device.clone()));
                devices.insert(name, (live, device));
            }
        }
        news.extend(before.into_values().map(|(_, device)| News::Removed(device)));
        news
    }
}

#[glib::object_subclass]
impl ObjectSubclass for ShmflowDeviceProvider {
    const NAME: &'static str = "GstShmflowDeviceProvider";
    type Type = super::ShmflowDeviceProvider;
    type ParentType = gst::DeviceProvider;
}

impl ObjectImpl for ShmflowDeviceProvider {}

impl GstObjectImpl for ShmflowDeviceProvider {}

impl DeviceProviderImpl for ShmflowDeviceProvider {
    fn metadata() -> Option<&'static gst::subclass::DeviceProviderMetadata> {
        static METADATA: LazyLock<gst::subclass::DeviceProviderMetadata> = LazyLock::new(|| {
            gst::subclass::DeviceProviderMetadata::new(
                "Shared-memory topics",
                "Source/Video/Audio",
                "Lists the topics of shared memory that have a producer, and follows them as they come and go",
                "The shmflow authors",
            )
        });
        Some(&METADATA)
    }

    fn probe(&self) -> Vec<gst::Device> {
        let topics = directory().map(|directory| live::topics(&directory)).unwrap_or_default();
        topics.into_iter().map(|live| ShmflowDevice::new(live).upcast()).collect()
    }

    fn start(&self) -> Result<(), gst::LoggableError> {
        let failed =
            |why: &dyn std::fmt::Display| gst::loggable_error!(CAT, "Topics cannot be followed: {why}.");
        let directory = directory().ok_or_else(|| failed(&"there is no directory for them"))?;
        let mut watch = Watch::new(directory).map_err(|error| failed(&error))?;
        let stop = watch.stopper();
        // Those that are there are known when this returns.
        self.follow(live::topics(watch.directory()), || stop.is_stopped());
        let weak = self.obj().downgrade();
        let stopped = stop.clone();
        let thread = thread::Builder::new().name("shmflowdevices".into()).spawn(move || {
            while watch.wait() {
                let found = live::topics(watch.directory());
                let Some(provider) = weak.upgrade() else { break };
                provider.imp().follow(found, || stopped.is_stopped());
            }
        });
        let thread = thread.map_err(|error| {
            lock(&self.devices).clear();
            failed(&error)
        })?;
        let before = lock(&self.follower).replace(Follower { stop, thread: Some(thread) });
        drop(before);
        Ok(())
    }

    fn stop(&self) {
        let follower = lock(&self.follower).take();
        drop(follower);
        lock(&self.devices).clear();
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.stop();
        // A handler of its messages may stop it, on its own thread: that one ends by itself.
        if let Some(thread) =
            self.thread.take().filter(|thread| thread.thread().id() != thread::current().id())
        {
            let _ = thread.join();
        }
    }
}

/// Where topics are: `SHMFLOW_DIR`, or else `/dev/shm`.
fn directory() -> Option<std::path::PathBuf> {
    shmflow::Topic::new("any", None).ok().map(|topic| topic.dir().to_path_buf())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn nothing_is_told_once_it_is_stopped() {
        gst::init().expect("GStreamer starts");
        let provider: super::super::ShmflowDeviceProvider = glib::Object::new();
        let live = |topic: &str| Live {
            topic: topic.to_owned(),
            directory: "/dev/shm".into(),
            caps: gst::Caps::new_empty_simple("image/jpeg"),
            caps_are_implied: false,
            description: None,
            producers: 1,
            owner: 0,
            read_only: false,
        };
        // Started, as far as its messages are concerned.
        let bus = provider.bus();
        bus.set_flushing(false);
        let told = || std::iter::from_fn(|| bus.pop()).count();
        provider.imp().follow(vec![live("a"), live("b")], || false);
        assert_eq!(told(), 2);
        // Whoever hears of the first of three stops it.
        let asked = Rc::new(Cell::new(0));
        provider.imp().follow(vec![live("c"), live("d"), live("e")], || asked.replace(asked.get() + 1) > 0);
        assert_eq!(told(), 1);
    }
}
