//! The processes of the demo.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Result;

/// A process that writes lines; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    lines: Option<JoinHandle<Vec<String>>>,
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
        // Read from the beginning: a full pipe would stop the process.
        let lines = std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(std::result::Result::ok).collect()
        });
        Ok(Self { name: name.to_owned(), child, lines: Some(lines) })
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
        let lines = self.lines.take().ok_or("finished twice")?;
        lines.join().map_err(|_| "a reading thread failed".into())
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
