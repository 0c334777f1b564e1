//! Other processes for a test: this test binary once more, running one ignored test that plays a role.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

const DIR: &str = "SHMFLOW_TEST_DIR";

/// A process that a test talks to, and may kill or stop. Killed when dropped.
#[derive(Debug)]
pub struct Role {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Role {
    /// Starts the role: `test` is the name of an ignored test of this binary.
    pub fn start(test: &str, dir: impl AsRef<Path>) -> Self {
        Self::start_as(test, dir, |_| {})
    }

    /// As [`start`](Self::start), with changes to how the process is made.
    pub fn start_as(test: &str, dir: impl AsRef<Path>, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
            .env(DIR, dir.as_ref())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output) }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// The next thing that the role says; what the test harness prints is skipped.
    pub fn read_reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the role ended without a word");
            if let Some((_, said)) = line.trim_end().split_once("@@") {
                return said.into();
            }
        }
    }

    /// Tells it a line, which [`heard`] receives.
    pub fn tell(&mut self, text: &str) {
        self.input.as_mut().unwrap().write_all(format!("{text}\n").as_bytes()).unwrap();
    }

    /// Tells it a line and waits for the answer.
    pub fn ask(&mut self, text: &str) -> String {
        self.tell(text);
        self.read_reply()
    }

    /// SIGKILL, and reaped.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGSTOP, in effect when this returns.
    pub fn stop(&self) {
        kill(self.pid(), Signal::SIGSTOP).unwrap();
        waitpid(self.pid(), Some(WaitPidFlag::WUNTRACED)).unwrap();
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        kill(self.pid(), Signal::SIGCONT).unwrap();
    }

    /// Whether it still runs.
    pub fn fate(&mut self) -> ProcessState {
        if let Some(status) = self.child.try_wait().unwrap() {
            return ProcessState::Died(status.signal());
        }
        let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG;
        match waitid(Id::Pid(self.pid()), flags) {
            Ok(WaitStatus::Stopped(..)) => ProcessState::Stopped,
            Ok(_) | Err(nix::Error::ECHILD) => ProcessState::Alive,
            Err(error) => panic!("{error}"),
        }
    }

    /// Everything that it still says before its end.
    pub fn hear_rest(&mut self) -> String {
        let mut rest = String::new();
        let _ = self.output.read_to_string(&mut rest);
        rest
    }

    /// Ends its input and waits for its end, which must be a passed test.
    pub fn finish(mut self) {
        self.input = None;
        assert!(self.child.wait().unwrap().success(), "the role failed");
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What has become of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    Alive,
    Stopped,
    /// By this signal, or of its own accord.
    Died(Option<i32>),
}

/// In the role's process: the directory of the test. `None` if somebody just runs the ignored tests.
pub fn dir() -> Option<PathBuf> {
    std::env::var_os(DIR).map(PathBuf::from)
}

/// In the role's process, or one forked from it: says something to the test.
pub fn say(text: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "@@{text}").unwrap();
    out.flush().unwrap();
}

/// In the role's process: the next line it is told; `None` when there are no more.
pub fn heard() -> Option<String> {
    let mut line = String::new();
    (std::io::stdin().read_line(&mut line).unwrap() > 0).then(|| line.trim_end().into())
}
