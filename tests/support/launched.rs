//! `gst-launch-1.0` in processes of their own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::Instant;

use super::{PATIENCE, Topic, until};

/// `gst-launch-1.0` in a process of its own, killed at the end.
pub struct Launched {
    pub child: Child,
    lines: mpsc::Receiver<String>,
}

impl Launched {
    pub fn new(text: &str) -> Self {
        Self::with(text, &[("G_DEBUG", "fatal-warnings")])
    }

    /// With more in its environment.
    pub fn with(text: &str, environment: &[(&str, &str)]) -> Self {
        let plugins = plugins();
        let mut child = Command::new("gst-launch-1.0")
            .arg("-v")
            .args(text.split_whitespace())
            .env("GST_PLUGIN_PATH", &plugins)
            .env("GST_REGISTRY", plugins.join("registry.bin"))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("gst-launch-1.0 is installed");
        let out = child.stdout.take().expect("piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// A viewer that tells of each frame.
    pub fn viewer(topic: &Topic) -> Self {
        Self::new(&format!("{} ! fakesink silent=false sync=false", topic.src("")))
    }

    pub fn signal(&self, signal: &str) {
        let done = Command::new("kill").arg(format!("-{signal}")).arg(self.child.id().to_string()).status();
        assert!(done.expect("kill runs").success(), "{signal}");
    }

    /// The next line that `what` makes something of.
    pub fn line<T>(&self, what: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            if let Some(found) = what(&line) {
                return found;
            }
        }
        panic!("the process has not said it");
    }

    /// The next frame it tells of: offset, and whether it is a discontinuity.
    pub fn frame(&self) -> (u64, bool) {
        self.line(frame)
    }

    /// Throws away what it told until now.
    pub fn forget(&self) {
        while self.lines.try_recv().is_ok() {}
    }

    /// Waits for its end, and gives its exit code.
    pub fn code(&mut self) -> Option<i32> {
        let mut code = None;
        until("the process ends", || {
            code = self.child.try_wait().expect("can be waited for").map(|status| status.code());
            code.is_some()
        });
        code.flatten()
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line of fakesink's about a buffer.
fn frame(line: &str) -> Option<(u64, bool)> {
    let (_, rest) = line.split_once("last-message = chain")?;
    let (_, offset) = rest.split_once(" offset: ")?;
    let offset = offset.split(',').next()?.trim().parse().ok()?;
    Some((offset, rest.contains("discont")))
}

/// A folder with the plugin that was built together with this test, and nothing else.
pub fn plugins() -> PathBuf {
    static PLUGINS: OnceLock<PathBuf> = OnceLock::new();
    PLUGINS
        .get_or_init(|| {
            let test = std::env::current_exe().expect("a path");
            let built = test.with_file_name("libgstshmflow.so");
            assert!(built.exists(), "{} is built with the tests", built.display());
            let plugins = test.with_extension("plugins");
            std::fs::create_dir_all(&plugins).expect("made");
            let link = plugins.join("libgstshmflow.so");
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(built, link).expect("linked");
            plugins
        })
        .clone()
}
