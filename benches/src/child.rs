//! Real processes: the binary runs itself again for each side of a benchmark. Parent and child speak in lines:
//! `ready` (twice: senders open first, then receivers), answered by `go`; then one line of JSON, answered by
//! `bye`, so that nobody closes anything while others still measure.

use crate::Res;
use crate::page::Page;
use crate::spec::{SHARED, Spec};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longer than any single scene; a child that is silent for so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The child's end.
#[derive(Debug)]
pub(crate) struct Control {
    lines: std::io::Lines<std::io::StdinLock<'static>>,
}

impl Control {
    /// Also makes sure that this process does not outlive its parent.
    pub(crate) fn new() -> Res<Self> {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
            .map_err(|e| format!("cannot tie this process to its parent: {e}"))?;
        Ok(Self { lines: std::io::stdin().lines() })
    }

    fn say(text: &str) -> Res<()> {
        let mut out = std::io::stdout();
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }

    fn hear(&mut self) -> Res<()> {
        self.lines.next().transpose()?.map(drop).ok_or_else(|| "the parent is gone".into())
    }

    /// Says that this phase is done and waits for the next one.
    pub(crate) fn ready(&mut self) -> Res<()> {
        Self::say("ready")?;
        self.hear()
    }

    /// Hands over what was measured and waits until nobody needs this process any more.
    pub(crate) fn finish(&mut self, result: &Value) -> Res<()> {
        Self::say(&result.to_string())?;
        self.hear()
    }
}

/// The parent's end. Dropping it ends the process.
#[derive(Debug)]
pub(crate) struct Child {
    role: &'static str,
    process: std::process::Child,
    lines: Receiver<std::io::Result<String>>,
}

impl Child {
    pub(crate) fn spawn(role: &'static str, spec: &Spec) -> Res<Self> {
        Self::spawn_under(&[], role, spec)
    }

    /// The same, started by another program such as `strace -o file`.
    pub(crate) fn spawn_under(wrapper: &[String], role: &'static str, spec: &Spec) -> Res<Self> {
        let own = std::env::current_exe()?.into_os_string();
        let mut words =
            wrapper.iter().map(std::ffi::OsString::from).chain([own, "child".into(), role.into()]);
        let program = words.next().ok_or("no program to run")?;
        let mut process = Command::new(&program)
            .args(words)
            .args(spec.args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot start {}: {e}", program.display()))?;
        let out = process.stdout.take().ok_or("the child has no output")?;
        let (send, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(out).lines().take_while(|line| send.send(clone(line)).is_ok()).count()
        });
        Ok(Self { role, process, lines })
    }

    fn hear(&mut self) -> Res<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Ok(line?),
            Err(e) => {
                Err(format!("the process for {} ended or hangs ({e}); its message is above", self.role)
                    .into())
            }
        }
    }

    fn ready(&mut self) -> Res<()> {
        match self.hear()?.as_str() {
            "ready" => Ok(()),
            other => Err(format!("unexpected answer from {}: {other}", self.role).into()),
        }
    }

    fn say(&mut self, text: &str) -> Res<()> {
        let input = self.process.stdin.as_mut().ok_or("the child has no input")?;
        Ok(writeln!(input, "{text}")?)
    }
}

fn clone(line: &std::io::Result<String>) -> std::io::Result<String> {
    match line {
        Ok(line) => Ok(line.clone()),
        Err(e) => Err(e.kind().into()),
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The processes of one benchmark and the counters they share.
#[derive(Debug)]
pub(crate) struct Scene {
    children: Vec<Child>,
    prefix: String,
    _board: Page,
}

impl Scene {
    /// `spec` only names the scene here.
    pub(crate) fn new(spec: &Spec) -> Res<Self> {
        let _board = Page::create(&spec.board_path(), 0)?;
        Ok(Self { children: Vec::new(), prefix: spec.prefix(), _board })
    }

    /// Senders first: they are told last to start.
    pub(crate) fn add(&mut self, child: Child) {
        self.children.push(child);
    }

    /// Lets the senders open, then the receivers, and tells all to start: those added last first.
    pub(crate) fn start(&mut self) -> Res<()> {
        self.children.iter_mut().try_for_each(Child::ready)?;
        self.children.iter_mut().try_for_each(|child| child.say("go"))?;
        self.children.iter_mut().try_for_each(Child::ready)?;
        self.children.iter_mut().rev().try_for_each(|child| child.say("go"))
    }

    /// What each measured, in the order in which they were added. Then they end.
    pub(crate) fn results(mut self) -> Res<Vec<Value>> {
        let results = self.measured()?;
        self.end()?;
        Ok(results)
    }

    /// What each measured; they stay.
    pub(crate) fn measured(&mut self) -> Res<Vec<Value>> {
        self.children.iter_mut().map(|child| Ok(serde_json::from_str(&child.hear()?)?)).collect()
    }

    /// Ends those who have said what they measured.
    pub(crate) fn end(mut self) -> Res<()> {
        for child in &mut self.children {
            child.say("bye")?;
        }
        for child in &mut self.children {
            let status = child.process.wait()?;
            if !status.success() {
                return Err(format!("the process for {} ended with {status}", child.role).into());
            }
        }
        Ok(())
    }

    /// `start` and `results` in one.
    pub(crate) fn play(mut self) -> Res<Vec<Value>> {
        self.start()?;
        self.results()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.children.clear();
        remove_shared(&self.prefix);
    }
}

/// Removes the files in shared memory whose names begin with `prefix`.
pub(crate) fn remove_shared(prefix: &str) {
    for path in shared_files(prefix) {
        let _ = std::fs::remove_file(path);
    }
}

/// The files in shared memory whose names begin with `prefix`.
pub(crate) fn shared_files(prefix: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(SHARED).into_iter().flatten().flatten();
    entries.filter(|e| e.file_name().to_string_lossy().starts_with(prefix)).map(|e| e.path()).collect()
}
