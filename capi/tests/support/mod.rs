//! What the tests share: the libraries, a place to compile and run programs in, and these programs.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "shared by tests, each of which uses a part"
)]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// For another process to do its part; long, for machines that are busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn include() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include")
}

/// Where this build puts its products. A test alone does not make Cargo build a C library: done here, once.
pub fn products() -> &'static Path {
    static PRODUCTS: OnceLock<PathBuf> = OnceLock::new();
    PRODUCTS.get_or_init(|| {
        let program = std::env::current_exe().unwrap();
        let products = program.ancestors().nth(2).unwrap();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--locked", "--quiet", "--package", "shmflow-capi"]);
        build.arg("--manifest-path").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
        build.arg("--target-dir").arg(products.parent().unwrap());
        if products.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "libshmflow was not built");
        products.to_owned()
    })
}

/// A directory for the programs of one test, and one for their topics.
pub struct Place {
    work: PathBuf,
    topics: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("shmflow-capi-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
        let topics = Path::new("/dev/shm").join(name);
        std::fs::create_dir_all(work.join("lib")).unwrap();
        // As installed: programs ask for the name with the version.
        for name in ["libshmflow.so", "libshmflow.so.0"] {
            std::os::unix::fs::symlink(products().join("libshmflow.so"), work.join("lib").join(name))
                .unwrap();
        }
        // Last: what fails before leaves nothing.
        std::fs::create_dir_all(&topics).unwrap();
        Self { work, topics }
    }

    /// Where the topics are.
    pub fn topics(&self) -> &Path {
        &self.topics
    }

    /// Names of the files of topics.
    pub fn left(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.topics).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    pub fn library(&self, ending: &str) -> PathBuf {
        products().join(format!("libshmflow.{ending}"))
    }

    /// A file in the directory.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Compiles a program, warnings denied, with the shared library.
    pub fn compile(&self, compiler: &str, source: &Path, name: &str, flags: &[&str]) -> PathBuf {
        let library = self.path("lib");
        self.compile_with(
            compiler,
            source,
            name,
            flags,
            &["-L".as_ref(), library.as_ref(), "-lshmflow".as_ref()],
        )
    }

    /// Compiles a program with the library in it.
    pub fn compile_static(&self, source: &Path, name: &str) -> PathBuf {
        let library = self.library("a");
        let parts = ["-lutil", "-lrt", "-lpthread", "-lm", "-ldl"].map(OsStr::new);
        let with: Vec<&OsStr> = std::iter::once(library.as_ref()).chain(parts).collect();
        self.compile_with("gcc", source, name, &["-std=c99"], &with)
    }

    fn compile_with(
        &self,
        compiler: &str,
        source: &Path,
        name: &str,
        flags: &[&str],
        libraries: &[&OsStr],
    ) -> PathBuf {
        let program = self.path(name);
        let output = Command::new(compiler)
            .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-O1"])
            .args(flags)
            .arg("-I")
            .arg(include())
            .arg("-I")
            .arg(c(""))
            .arg(source)
            .arg("-o")
            .arg(&program)
            .args(libraries)
            .arg("-lpthread")
            .output()
            .unwrap();
        succeeded(&format!("{compiler} {}", source.display()), &output);
        program
    }

    /// A program of this directory's tests, with the shared library.
    pub fn program(&self, name: &str) -> PathBuf {
        self.compile("gcc", &c(&format!("{name}.c")), name, &["-std=c99"])
    }

    /// How a program is started: with this place's topics, and this build's library.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.work)
            .env("SHMFLOW_DIR", &self.topics)
            .env("LD_LIBRARY_PATH", self.path("lib"))
            .stdin(Stdio::null());
        command
    }

    /// Runs a program to its successful end, which is to come within minutes; what it printed.
    pub fn run(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> String {
        let output = self.command("timeout").arg("240").arg(&program).args(arguments).output().unwrap();
        succeeded(&program.as_ref().to_string_lossy(), &output);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts a program to talk to.
    pub fn start(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Running {
        let mut command = self.command(program);
        command.args(arguments);
        Running::start(command)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.work);
        let _ = std::fs::remove_dir_all(&self.topics);
    }
}

/// A source file of these tests.
pub fn c(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(name)
}

/// Fails with everything that a program said if it did not succeed.
pub fn succeeded(what: &str, output: &Output) {
    assert!(
        output.status.success(),
        "{what}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A process that a test talks to. Killed when dropped.
pub struct Running {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output) }
    }

    /// Tells it a line, in one write: it may act on the first letter, and be gone before a second write.
    pub fn tell(&mut self, line: &str) {
        self.input.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// The next line that it says.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).unwrap() > 0, "it ended without a word");
        line.trim_end().to_owned()
    }

    /// What Ctrl-C does.
    pub fn interrupt(&self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    }

    /// SIGKILL, and reaped.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its successful end; what it still said.
    pub fn finish(mut self) -> String {
        self.input = None;
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {rest}");
        rest.trim_end().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `done`, looking every few milliseconds.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
