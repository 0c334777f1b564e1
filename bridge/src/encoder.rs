//! An encoder for a topic of raw video: a pipeline of GStreamer, in a process of its own, as long as somebody reads it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::stats::note;

/// Ends the name of the topic that an encoder writes.
pub const SUFFIX: &str = ".h264";

/// What encodes unless the user knows better: without delay, and with a key frame every two seconds and for whoever asks.
pub const DEFAULT: &str = "videoconvert ! x264enc tune=zerolatency speed-preset=veryfast bitrate=8000 key-int-max=120 \
                           ! video/x-h264,profile=main ! h264parse config-interval=-1";

/// What goes into and out of it.
const CAPS: &str = "video/x-h264,stream-format=byte-stream,alignment=au";

/// One that fails is started again after so long.
const PAUSE: Duration = Duration::from_secs(2);

/// An encoder that runs, or did.
#[derive(Debug)]
pub(crate) struct Encoder {
    topic: String,
    dir: Option<PathBuf>,
    command: Vec<String>,
    child: Option<Child>,
    started: Instant,
}

impl Encoder {
    /// Starts one that reads `topic`.
    pub(crate) fn start(topic: &str, dir: Option<&Path>, encoder: &str) -> Self {
        let command = pipeline(topic, dir, encoder);
        let (topic, dir) = (topic.to_owned(), dir.map(Path::to_owned));
        let mut this = Self { topic, dir, command, child: None, started: Instant::now() };
        this.spawn();
        this
    }

    fn spawn(&mut self) {
        self.started = Instant::now();
        // It is not to outlive a bridge that is killed.
        let spawned = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "gst-launch-1.0", "-q"])
            .args(&self.command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        match spawned {
            Ok(child) => self.child = Some(child),
            Err(error) => note(&format!("topic `{}` cannot be encoded: setpriv: {error}", self.topic)),
        }
    }

    /// Starts it again, if it has ended.
    pub(crate) fn look_after(&mut self) {
        if let Some(Ok(Some(status))) = self.child.as_mut().map(Child::try_wait) {
            self.child = None;
            note(&format!("topic `{}`: its encoder has ended ({status}), and is started again", self.topic));
        }
        if self.child.is_none() && self.started.elapsed() >= PAUSE {
            self.spawn();
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
            // What it leaves, unless somebody reads it here.
            let _ = shmflow::remove(&format!("{}{SUFFIX}", self.topic), self.dir.as_deref(), false);
        }
    }
}

/// The arguments of gst-launch-1.0.
fn pipeline(topic: &str, dir: Option<&Path>, encoder: &str) -> Vec<String> {
    let element = |name: &str, topic: &str| {
        let mut words = vec![name.to_owned(), format!("topic={}", quoted(topic))];
        words.extend(dir.map(|dir| format!("directory={}", quoted(&dir.display().to_string()))));
        words
    };
    let mut words = element("shmflowsrc", topic);
    words.push("!".into());
    words.extend(encoder.split_ascii_whitespace().map(str::to_owned));
    words.extend(["!".into(), CAPS.into(), "!".into()]);
    words.extend(element("shmflowsink", &format!("{topic}{SUFFIX}")));
    words.extend(["sync=false".into(), "async=false".into()]);
    words
}

/// As a pipeline's text has it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_the_encoder_is_what_was_asked_for() {
        let words = pipeline(r#"a "b" \c"#, Some(Path::new("/x y")), "videoconvert ! avenc_mpeg4 bitrate=1");
        assert_eq!(words[1], r#"topic="a \"b\" \\c""#);
        assert_eq!(words[2], r#"directory="/x y""#);
        assert!(
            words.join(" ").contains("! videoconvert ! avenc_mpeg4 bitrate=1 ! video/x-h264"),
            "{words:?}"
        );
        assert!(words.iter().any(|word| word == r#"topic="a \"b\" \\c.h264""#), "{words:?}");
    }
}
