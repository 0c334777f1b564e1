//! A directory of a test's own, and the command run in it.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use shmflow::Producer;

/// A directory of one test's own.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("shmflow-cli-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let path = Path::new("/dev/shm").join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shmflow"));
        command.args(args).env("SHMFLOW_DIR", &self.0).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran(self.command(args).output().unwrap())
    }

    pub(crate) fn producer(&self, topic: &str) -> Producer {
        Producer::builder(topic).dir(&self.0).name("camera").open().unwrap()
    }

    pub(crate) fn is_empty(&self) -> bool {
        std::fs::read_dir(&self.0).unwrap().next().is_none()
    }
}

/// What base 64 says.
pub(crate) fn base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let word = four.iter().fold(0_u32, |word, byte| word << 6 | u32::from(value(*byte)));
        let word = word << (6 * (4 - four.len()));
        bytes.extend_from_slice(&word.to_be_bytes()[1..four.len()]);
    }
    bytes
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) struct Ran(pub(crate) Output);

impl Ran {
    pub(crate) fn status(&self) -> i32 {
        self.0.status.code().unwrap()
    }

    pub(crate) fn out(&self) -> &str {
        std::str::from_utf8(&self.0.stdout).unwrap()
    }

    pub(crate) fn err(&self) -> &str {
        std::str::from_utf8(&self.0.stderr).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.out()).unwrap()
    }
}

/// Writes so many frames a second while `look` runs; none of them late because of the one before.
pub(crate) fn at_a_steady_rate<T>(producer: &Producer, rate: f64, look: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let start = Instant::now();
            for number in 0_u32.. {
                let due = Duration::from_secs_f64(f64::from(number) / rate);
                std::thread::sleep(due.saturating_sub(start.elapsed()));
                if stop.load(Relaxed) {
                    break;
                }
                producer.write(&[7; 1000]).unwrap();
            }
        });
        /// Ends the other thread, however this one ends.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Relaxed);
            }
        }
        let _stop = Stop(&stop);
        look()
    })
}

/// The command on a terminal of so many columns and rows, and what it has drawn there.
pub(crate) struct Pty {
    child: Child,
    keyboard: File,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    /// All bytes that were written.
    pub(crate) raw: Vec<u8>,
}

/// A machine under load takes long.
pub(crate) const LONG: Duration = Duration::from_secs(60);

impl Pty {
    pub(crate) fn new(dir: &Dir, args: &[&str], columns: u16, rows: u16) -> Self {
        Self::run(dir.command(args), columns, rows)
    }

    /// The same where a polite `kill` does nothing by itself, as for the first process of a container.
    pub(crate) fn ignoring_kill(dir: &Dir, args: &[&str], columns: u16, rows: u16) -> Self {
        let plain = dir.command(args);
        let mut command = Command::new("sh");
        command
            .args(["-c", "trap '' TERM; exec \"$0\" \"$@\""])
            .arg(plain.get_program())
            .args(plain.get_args());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Self::run(command, columns, rows)
    }

    fn run(mut command: Command, columns: u16, rows: u16) -> Self {
        let size = nix::pty::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = nix::pty::openpty(Some(&size), None).unwrap();
        let slave = File::from(pty.slave);
        command.env("TERM", "xterm-256color").stdin(slave.try_clone().unwrap());
        command.stdout(slave.try_clone().unwrap()).stderr(slave);
        let child = command.spawn().unwrap();
        // The command holds the only descriptors of the other end now.
        drop(command);
        let keyboard = File::from(pty.master);
        let mut reader = keyboard.try_clone().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut bytes = vec![0; 65536];
            // At its end a terminal gives an error.
            while let Ok(len @ 1..) = reader.read(&mut bytes) {
                if sender.send(bytes[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, keyboard, output, screen: vt100::Parser::new(rows, columns, 0), raw: Vec::new() }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// As Ctrl-C does where this is the terminal of the command's session.
    pub(crate) fn interrupt(&self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    }

    /// The terminal, as a shell that started the command has it open.
    fn terminal(&self) -> File {
        File::options().read(true).open(format!("/proc/{}/fd/0", self.child.id())).unwrap()
    }

    /// Whether what is typed is given to programs by whole lines, and shown: as a shell has it.
    pub(crate) fn is_for_lines(&self) -> bool {
        is_for_lines(&self.terminal())
    }

    /// Ends it by a polite `kill`: whether the terminal is for lines then, how it ended, and all that was on the screen.
    pub(crate) fn terminate(mut self) -> (bool, ExitStatus, Vec<u8>) {
        let terminal = self.terminal();
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let status = self.child.wait().unwrap();
        let given_back = is_for_lines(&terminal);
        drop(terminal);
        while let Ok(bytes) = self.output.recv_timeout(Duration::from_secs(5)) {
            self.raw.extend(bytes);
        }
        (given_back, status, std::mem::take(&mut self.raw))
    }

    /// What is on the screen now.
    pub(crate) fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// Gives the terminal another size, as somebody who drags its window.
    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.keyboard, size).unwrap();
        self.screen.screen_mut().set_size(rows, columns);
    }

    /// The colour of a cell's text, and that behind it.
    pub(crate) fn colours(&self, row: u16, column: u16) -> (vt100::Color, vt100::Color) {
        let cell = self.screen.screen().cell(row, column).unwrap();
        (cell.fgcolor(), cell.bgcolor())
    }

    /// Waits until the screen is as it should be; what is on it.
    pub(crate) fn wait(&mut self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        while !is_so(&self.text()) {
            assert!(start.elapsed() < LONG, "{what}:\n{}", self.text());
            if let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(100)) {
                self.screen.process(&bytes);
                self.raw.extend(bytes);
            }
        }
        self.text()
    }

    /// Waits until this was written.
    pub(crate) fn wait_for(&mut self, part: &str) {
        let start = Instant::now();
        while !self.raw.windows(part.len()).any(|bytes| bytes == part.as_bytes()) {
            let shown = String::from_utf8_lossy(&self.raw);
            assert!(start.elapsed() < LONG, "{part:?} is missing:\n{shown:?}");
            if let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(100)) {
                self.screen.process(&bytes);
                self.raw.extend(bytes);
            }
        }
    }

    /// The exit status, and all that was on the screen.
    pub(crate) fn finish(mut self) -> (i32, Vec<u8>) {
        let status = self.child.wait().unwrap().code().unwrap();
        while let Ok(bytes) = self.output.recv_timeout(Duration::from_secs(5)) {
            self.raw.extend(bytes);
        }
        (status, std::mem::take(&mut self.raw))
    }
}

fn is_for_lines(terminal: &File) -> bool {
    use nix::sys::termios::{LocalFlags, tcgetattr};
    let all = LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG;
    tcgetattr(terminal).unwrap().local_flags.contains(all)
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
