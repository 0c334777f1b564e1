//! The processes of the demo.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::Result;

/// A process that writes lines; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    lines: Receiver<String>,
    /// Those that were waited for
    read: Vec<String>,
}

impl Process {
    /// Starts this program in one of its roles.
    pub(crate) fn role(name: &str, arguments: &[&OsStr], display: Option<&str>) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments);
        if let Some(display) = display {
            command.env("DISPLAY", display).env_remove("WAYLAND_DISPLAY");
        }
        Self::start(name, command)
    }

    /// Starts `gst-launch-1.0`, with the plugin that was built, and a registry of its own.
    pub(crate) fn launch(name: &str, words: &str, plugins: &Path) -> Result<Self> {
        let mut command = Command::new("gst-launch-1.0");
        command
            .arg("--eos-on-shutdown")
            .args(words.split_ascii_whitespace())
            .env("GST_PLUGIN_PATH", plugins)
            .env("GST_REGISTRY", plugins.join("registry.bin"));
        Self::start(name, command)
    }

    pub(crate) fn start(name: &str, mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{name} could not be started: {error}"))?;
        let output = child.stdout.take().ok_or("a process without output")?;
        let (sender, lines) = channel();
        // Read at once, whether somebody waits for it or not: a full pipe would stop the process.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { name: name.to_owned(), child, lines, read: Vec::new() })
    }

    /// Waits until it writes a line that begins like this.
    pub(crate) fn expect(&mut self, beginning: &str, patience: Duration) -> Result<()> {
        let end = Instant::now().checked_add(patience).ok_or("patience without end")?;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self
                .lines
                .recv_timeout(left)
                .map_err(|reason| format!("the {} did not say `{beginning}`: {reason}", self.name))?;
            let found = line.starts_with(beginning);
            self.read.push(line);
            if found {
                return Ok(());
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as a crash would: it cannot clean up anything.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until it ended in order, and gives what it wrote.
    pub(crate) fn finish(mut self, patience: Duration) -> Result<Vec<String>> {
        let status = self.wait(patience)?;
        if !status.success() {
            return Err(format!("the {} ended with {status}", self.name).into());
        }
        let mut lines = std::mem::take(&mut self.read);
        // To the end of the pipe, which is there or about to come.
        lines.extend(self.lines.iter());
        Ok(lines)
    }

    fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let end = Instant::now().checked_add(patience).ok_or("patience without end")?;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > end {
                return Err(format!("the {} did not end within {patience:?}", self.name).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
