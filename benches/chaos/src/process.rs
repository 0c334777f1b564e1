//! Processes that are talked to, killed and stopped; none outlives this one.

#![allow(unsafe_code, reason = "a child asks the kernel to die with its parent")]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use crate::Result;

/// How long is waited for what has to happen; long, for machines that are busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `done`, or says what did not happen.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) -> Result<Duration> {
    let start = Instant::now();
    while !done() {
        if start.elapsed() > PATIENCE {
            return Err(format!("in {PATIENCE:?} this did not happen: {what}").into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(start.elapsed())
}

/// A process of this program. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    what: String,
    input: Option<ChildStdin>,
    printed: Arc<Mutex<String>>,
    complained: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    pub(crate) fn start(what: &str, command: &mut Command) -> Result<Self> {
        // SAFETY: between fork and exec nothing is called but prctl and sigprocmask.
        unsafe {
            command.pre_exec(|| {
                // Signals that this program waits for are not blocked in others.
                SigSet::empty().thread_set_mask()?;
                Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?)
            });
        }
        let mut child = command
            // In a group of its own: when a shell that started this program ends, the kernel sends a hangup to a group
            // that has stopped members.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{what} could not be started: {error}"))?;
        let (printed, complained) = (Arc::default(), Arc::default());
        let mut readers = Vec::new();
        if let Some(stream) = child.stdout.take() {
            readers.push(reader(stream, &printed));
        }
        if let Some(stream) = child.stderr.take() {
            readers.push(reader(stream, &complained));
        }
        let input = child.stdin.take();
        Ok(Self { child, what: what.into(), input, printed, complained, readers })
    }

    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// Its mappings, as the kernel lists them; none when it is gone.
    pub(crate) fn maps(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/maps", self.child.id())).unwrap_or_default()
    }

    /// What it wrote to its standard output until now.
    pub(crate) fn printed(&self) -> String {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it wrote to its standard error until now.
    pub(crate) fn complained(&self) -> String {
        self.complained.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it printed `text`.
    pub(crate) fn wait_for(&mut self, text: &str) -> Result<()> {
        let start = Instant::now();
        while !self.printed().contains(text) {
            let over = self.ended()?;
            if (over.is_some() || start.elapsed() > PATIENCE) && !self.printed().contains(text) {
                let status = over.map_or("it runs".into(), |status| status.to_string());
                return Err(
                    format!("{} did not say {text:?} ({status}): {}", self.what, self.last_words()).into()
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?)
    }

    /// Stops it, and waits until it is stopped.
    pub(crate) fn stop(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)?;
        let stat = format!("/proc/{}/stat", self.child.id());
        until("a process is stopped", || {
            let text = std::fs::read_to_string(&stat).unwrap_or_default();
            text.rsplit(") ").next().is_none_or(|rest| rest.starts_with(['T', 'Z']) || rest.is_empty())
        })?;
        Ok(())
    }

    pub(crate) fn go_on(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// SIGKILL; when this returns the kernel has taken back all that it held.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// How it ended, if it has; all that it printed is there then, unless a child of its own lives.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let Some(status) = self.child.try_wait()? else { return Ok(None) };
        let start = Instant::now();
        while self.readers.iter().any(|reader| !reader.is_finished())
            && start.elapsed() < Duration::from_secs(1)
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Some(status))
    }

    /// Closes its input, which asks a role to leave, and waits for that.
    pub(crate) fn leave(&mut self) -> Result<ExitStatus> {
        self.input = None;
        self.wait()
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("{} hangs: {}", self.what, self.last_words()).into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The end of what it printed, for a report of what went wrong.
    pub(crate) fn last_words(&self) -> String {
        let all = format!("{}{}", self.printed(), self.complained());
        let lines: Vec<&str> = all.lines().filter(|line| !line.trim().is_empty()).collect();
        lines.get(lines.len().saturating_sub(8)..).unwrap_or_default().join(" / ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn reader(stream: impl Read + Send + 'static, into: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let mut text = into.lock().unwrap_or_else(PoisonError::into_inner);
            // A program that complains for ever must not fill this one's memory.
            if text.len() < 8 << 20 {
                text.push_str(&String::from_utf8_lossy(&line));
            }
            line.clear();
        }
    })
}

/// What a process must not end by: a signal that nobody sent, a panic, or what a sanitizer or valgrind exits with.
pub(crate) fn crash(status: ExitStatus, words: &str) -> Option<String> {
    if let Some(signal) = status.signal() {
        let name = Signal::try_from(signal).map_or_else(|_| signal.to_string(), |signal| signal.to_string());
        return Some(format!("killed by {name}"));
    }
    (status.code() == Some(101) || words.contains("panicked at")).then(|| "panicked".into())
}
