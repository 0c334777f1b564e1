//! What the tests of this layer share.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory in memory of one test's own, removed with all it holds.
#[derive(Debug)]
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let unique = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(format!("/dev/shm/shmflow-test-{}-{unique}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs `test` in a thread for which `dir` is a memory file system of `size` bytes. `None` if this user may not mount.
pub(crate) fn on_small_tmpfs<T: Send>(dir: &Path, size: usize, test: impl FnOnce() -> T + Send) -> Option<T> {
    mounted(dir, c"tmpfs", &format!("size={size}"), test)
}

/// The same for any file system. `None` also if this kernel does not have it.
pub(crate) fn mounted<T: Send>(
    dir: &Path,
    kind: &CStr,
    options: &str,
    test: impl FnOnce() -> T + Send,
) -> Option<T> {
    std::thread::scope(|scope| {
        let body = || {
            let target = CString::new(dir.as_os_str().as_bytes()).unwrap();
            let options = CString::new(options).unwrap();
            let none = std::ptr::null();
            // SAFETY: plain system calls on strings that live as long; they concern this thread's mounts only.
            let mounted = unsafe {
                libc::unshare(libc::CLONE_NEWNS) == 0
                    && libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast())
                        == 0
                    && libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), 0, options.as_ptr().cast())
                        == 0
            };
            mounted.then(test)
        };
        scope.spawn(body).join().unwrap()
    })
}

/// Runs `test` in a thread that the file system takes for an ordinary user. `None` if we are one already, who cannot
/// become another.
pub(crate) fn as_nobody<T: Send>(test: impl FnOnce() -> T + Send) -> Option<T> {
    const NOBODY: u32 = 65534;
    nix::unistd::geteuid().is_root().then(|| {
        let body = || {
            // This concerns one thread only.
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(NOBODY));
            test()
        };
        std::thread::scope(|scope| scope.spawn(body).join().unwrap())
    })
}

const ROLE: &str = "SHMFLOW_TEST_ROLE";

/// This test binary once more, running only the (ignored) test of that path, whose process a test may kill.
#[derive(Debug)]
pub(crate) struct Role {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Role {
    pub(crate) fn start(test: &str, argument: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
            .env(ROLE, argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output) }
    }

    /// In the role's own process: what it was given. `None` if somebody runs the ignored tests.
    pub(crate) fn argument() -> Option<PathBuf> {
        std::env::var_os(ROLE).map(PathBuf::from)
    }

    /// In the role's process, or one forked from it: says something to the test.
    pub(crate) fn say(text: &str) {
        let mut out = std::io::stdout().lock();
        writeln!(out, "@{text}").unwrap();
        out.flush().unwrap();
    }

    /// The next thing that the role says; what the test harness prints is skipped.
    pub(crate) fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the role ended without a word");
            if let Some((_, said)) = line.trim_end().split_once('@') {
                return said.into();
            }
        }
    }

    pub(crate) fn tell(&mut self, text: &str) {
        self.input.as_mut().unwrap().write_all(format!("{text}\n").as_bytes()).unwrap();
    }

    /// Ends its input.
    pub(crate) fn hang_up(&mut self) {
        self.input = None;
    }

    /// Kills it with SIGKILL, and reaps it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end; whether it passed as a test.
    pub(crate) fn passes(mut self) -> bool {
        self.hang_up();
        self.child.wait().unwrap().success()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
