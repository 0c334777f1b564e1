//! Opening a topic to read it: the settings, and the wait for its producer.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use shmflow::meta::VideoLayout;
use shmflow::{Consumer, ConsumerBuilder, Error};

use crate::caps::{self, Caps};
use crate::checkout::Checkout;
use crate::errors::{self, failed, raise};
use crate::settings;

/// After so long it is told what is waited for: a name that was mistyped looks just like a producer that is to come.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// How a consumer is opened, and opened again.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub(crate) builder: ConsumerBuilder,
    pub(crate) topic: Arc<str>,
    pub(crate) directory: Option<PathBuf>,
    /// A topic that was removed is opened again.
    pub(crate) reconnects: bool,
}

impl Opening {
    /// Waits for the topic, as long as that; `None` for ever. Tells the user if it takes longer than a second.
    pub(crate) fn open(
        &self,
        py: Python<'_>,
        checkout: &Checkout,
        limit: Option<Duration>,
    ) -> PyResult<Consumer> {
        if limit == Some(Duration::ZERO) {
            return py.detach(|| self.open_now()).map_err(|error| self.failed(py, checkout, error));
        }
        self.wait(py, checkout, limit, |limit| Ok(py.detach(|| self.open_within(limit))))
    }

    fn open_now(&self) -> shmflow::Result<Consumer> {
        if !self.reconnects {
            return self.builder.clone().open();
        }
        let mut pending = self.builder.clone().open_pending()?;
        loop {
            if let Some(consumer) = pending.try_open()? {
                return Ok(consumer);
            }
            // It says what is wrong, if it has not come meanwhile.
            self.builder.clone().open()?;
        }
    }

    fn open_within(&self, limit: Option<Duration>) -> shmflow::Result<Consumer> {
        let builder = self.builder.clone();
        if self.reconnects {
            builder.open_pending()?.open(limit)
        } else {
            builder.connect_timeout(limit).open()
        }
    }

    /// What `open` gives, which waits for the topic as long as it is told; it is told twice, to tell the user in between.
    pub(crate) fn wait<T>(
        &self,
        py: Python<'_>,
        checkout: &Checkout,
        limit: Option<Duration>,
        open: impl Fn(Option<Duration>) -> PyResult<shmflow::Result<T>>,
    ) -> PyResult<T> {
        let start = Instant::now();
        let first = limit.map_or(FIRST_LOOK, |limit| limit.min(FIRST_LOOK));
        match open(Some(first))? {
            Err(Error::Timeout { .. }) if limit.is_none_or(|limit| limit > first) => self.tell_waiting(py),
            done => return done.map_err(|error| self.failed(py, checkout, error)),
        }
        let left = limit.map(|limit| limit.saturating_sub(start.elapsed()));
        let opened = open(left)?.map_err(|error| self.failed(py, checkout, error))?;
        log(py, "info", &format!("topic `{}` is there", self.topic));
        Ok(opened)
    }

    fn failed(&self, py: Python<'_>, checkout: &Checkout, error: Error) -> PyErr {
        match error {
            Error::Cancelled { .. } => self.cancelled(py, checkout),
            Error::Timeout { .. } => errors::topic_timeout(py, error.to_string()),
            error => failed(py, error),
        }
    }

    /// Why a wait was cancelled.
    pub(crate) fn cancelled(&self, py: Python<'_>, checkout: &Checkout) -> PyErr {
        if let Some(error) = checkout.raised() {
            return error;
        }
        let topic = &self.topic;
        if checkout.is_closed() {
            return raise(py, "Closed", format!("this consumer of topic `{topic}` is closed"));
        }
        let text =
            format!("the wait on topic `{topic}` was cancelled; reset the cancel token before waiting again");
        raise(py, "Cancelled", text)
    }

    fn tell_waiting(&self, py: Python<'_>) {
        let directory = self.directory.as_deref();
        let (place, similar) = py.detach(|| {
            let place = shmflow::Topic::new(&self.topic, directory).map(|topic| topic.dir().to_owned());
            (place.unwrap_or_default(), shmflow::similar_topics(&self.topic, directory))
        });
        let meant = match similar.as_slice() {
            [] => String::new(),
            names => format!(" (did you mean `{}`?)", names.join("` or `")),
        };
        let text = format!("waiting for a producer of topic `{}` in {}{meant}", self.topic, place.display());
        log(py, "warning", &text);
    }
}

/// Through Python's `logging`, as the logger "shmflow". A program that has set up nothing sees warnings on standard error.
pub(crate) fn log(py: Python<'_>, level: &str, text: &str) {
    let said = py
        .import("logging")
        .and_then(|logging| logging.call_method1("getLogger", ("shmflow",)))
        .and_then(|logger| logger.call_method1(level, ("%s", text)));
    if let Err(error) = said {
        // A handler of the program's own that raises: no reason not to wait.
        error.write_unraisable(py, None);
    }
}

/// The layout and caps for frames that carry none.
pub(crate) fn fallback(
    py: Python<'_>,
    text: Option<&str>,
    format: Option<&str>,
    width: Option<u32>,
    height: Option<u32>,
) -> PyResult<Option<(VideoLayout, String)>> {
    let invalid = |why: String| raise(py, "InvalidArgument", why);
    match (text, format, width, height) {
        (None, None, None, None) => Ok(None),
        (Some(text), None, None, None) => {
            let layout = Caps::parse(text).and_then(|caps| caps.layout());
            let (layout, _) = layout.ok_or_else(|| {
                invalid(format!(
                    "caps {text:?} do not describe a frame: they need video/x-raw with a known format, width and \
                     height"
                ))
            })?;
            Ok(Some((layout, text.to_owned())))
        }
        (None, Some(format), Some(width), Some(height)) => {
            let layout = settings::layout(py, format, width, height, (0, 1))?;
            let text = caps::text(&layout);
            Ok(Some((layout, text)))
        }
        _ => Err(invalid("give either caps, or format, width and height".into())),
    }
}
