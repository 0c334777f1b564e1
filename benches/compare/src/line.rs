//! How the processes talk: one JSON object per line on the standard streams.

use std::io::{BufRead, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::Result;
use crate::pipewire;

/// Writes a line to the standard output.
pub(crate) fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Writes a line to the standard error; there is nobody to tell when that fails.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Where a worker's log goes. Errors come as answers; iceoryx2 writes 10,000 lines a second where it is in a hurry.
fn said() -> Stdio {
    if std::env::var_os("GST_DEBUG").is_some() { Stdio::inherit() } else { Stdio::null() }
}

/// A process started by this one; killed when dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    name: String,
}

impl Worker {
    pub(crate) fn start(name: &str, arguments: &[String]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        pipewire::point_to(&mut command);
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(said())
            .spawn()
            .map_err(|error| format!("{name} could not be started: {error}"))?;
        let output = child.stdout.take().ok_or("a process without output")?;
        let input = child.stdin.take();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in std::io::BufReader::new(output).lines().map_while(std::result::Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, input, lines, name: name.to_owned() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?)
    }

    /// Kills it, and leaves what it leaves behind.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    pub(crate) fn tell(&mut self, text: &str) -> Result<()> {
        let input = self.input.as_mut().ok_or("its input is closed")?;
        writeln!(input, "{text}").map_err(|error| format!("{} is gone: {error}", self.name))?;
        Ok(input.flush()?)
    }

    /// Waits for the next line that carries `key`; an `error` from the process becomes one here.
    pub(crate) fn expect(&mut self, key: &str, patience: Duration) -> Result<Value> {
        loop {
            let line = self.lines.recv_timeout(patience).map_err(|reason| match reason {
                RecvTimeoutError::Timeout => format!("{}: no `{key}` within {patience:?}", self.name),
                RecvTimeoutError::Disconnected => format!("{} ended before `{key}`", self.name),
            })?;
            let value: Value = serde_json::from_str(&line)
                .map_err(|error| format!("{} wrote something else: {line:?}: {error}", self.name))?;
            if let Some(error) = value.get("error").and_then(Value::as_str) {
                return Err(format!("{}: {error}", self.name).into());
            }
            if let Some(found) = value.get(key) {
                return Ok(found.clone());
            }
        }
    }

    /// Closes its input, which asks it to leave, and waits for that.
    pub(crate) fn finish(mut self, patience: Duration) -> Result<()> {
        self.input = None;
        match self.lines.recv_timeout(patience) {
            Err(RecvTimeoutError::Disconnected) => {}
            Ok(line) => return Err(format!("{} had more to say: {line}", self.name).into()),
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("{} did not stop within {patience:?}", self.name).into());
            }
        }
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", self.name).into()) }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        crate::peer::sweep(self.child.id());
    }
}
