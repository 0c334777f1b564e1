//! The programs that take part: this one, and, where they are there, pipelines, a C program and a Python one.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::cli::Settings;
use crate::payload;
use crate::place::Place;
use crate::process::Process;

/// Why something is not there.
pub(crate) type Missing = String;

#[derive(Debug)]
pub(crate) struct Programs {
    /// This program.
    pub(crate) exe: PathBuf,
    /// Where the sources are, for tests that are run from here.
    pub(crate) root: PathBuf,
    /// What this run compiled and wrote.
    work: Place,
    pipelines: Result<(), Missing>,
    c: Result<PathBuf, Missing>,
    /// Has the wall clock jump, for a program that is started with it.
    pub(crate) clock: Result<PathBuf, Missing>,
    python: Result<PathBuf, Missing>,
    /// The command.
    pub(crate) command: Result<PathBuf, Missing>,
}

/// This program in a role, on a topic.
pub(crate) fn role(exe: &Path, role: &str, dir: &Path, topic: &str) -> Command {
    let mut command = Command::new(exe);
    command.arg(role).arg("--dir").arg(dir).args(["--topic", topic]);
    command
}

/// A frame that a pipeline repeats.
const REPEATED: usize = 1024;

impl Programs {
    pub(crate) fn find(settings: &Settings) -> Result<Self> {
        let exe = std::env::current_exe()?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        let work = Place::for_programs()?;
        let products = products(settings, &exe, &root);
        let mut programs = Self {
            pipelines: Ok(()),
            c: Err(String::new()),
            clock: Err(String::new()),
            python: find_python(settings, &root, work.path()),
            command: existing(products.join("shmflow")),
            exe,
            root,
            work,
        };
        programs.c = programs.compile_victim(&products);
        programs.clock =
            programs.compile("clock.c", include_str!("../victims/clock.c"), &["-shared", "-fPIC"], &["-ldl"]);
        programs.pipelines = programs.prepare_pipelines(&products);
        Ok(programs)
    }

    /// What is not there, for people.
    pub(crate) fn missing(&self) -> Vec<&Missing> {
        [self.pipelines.as_ref().err(), self.c.as_ref().err(), self.python.as_ref().err()]
            .into_iter()
            .flatten()
            .collect()
    }

    /// The C program.
    pub(crate) fn c(&self) -> Result<Command, Missing> {
        Ok(Command::new(self.c.as_ref().map_err(Clone::clone)?))
    }

    /// The Python program.
    pub(crate) fn python(&self) -> Result<Command, Missing> {
        let mut command = Command::new(self.python.as_ref().map_err(Clone::clone)?);
        command.arg("-u").arg(self.work.path().join("victim.py"));
        Ok(command)
    }

    /// A pipeline, as one would type it, without quotes or escapes.
    pub(crate) fn pipeline(&self, text: &str) -> Result<Command, Missing> {
        self.pipelines.clone()?;
        Ok(self.pipeline_of(&self.work.path().join("plugin"), text))
    }

    /// The same with another plugin.
    pub(crate) fn pipeline_of(&self, folder: &Path, text: &str) -> Command {
        let name: String = folder.to_string_lossy().chars().map(|c| if c == '/' { '-' } else { c }).collect();
        let mut command = Command::new("gst-launch-1.0");
        command
            .arg("-q")
            .args(text.split_whitespace())
            .env("GST_PLUGIN_PATH", folder)
            .env("GST_REGISTRY", self.work.path().join(format!("registry{name}.bin")))
            .env("GST_DEBUG_NO_COLOR", "1")
            .env_remove("GST_DEBUG")
            .env_remove("DISPLAY");
        command
    }

    /// A file with one frame, for a pipeline that repeats it.
    pub(crate) fn frame(&self, tag: u64) -> Result<PathBuf> {
        let path = self.work.path().join(format!("frame-{tag}"));
        let mut bytes = vec![0; REPEATED];
        payload::fill(payload::REPEATING + tag, 1, &mut bytes);
        std::fs::write(&path, bytes)?;
        Ok(path)
    }

    /// A copy of this program that any user may run.
    pub(crate) fn copy_for_strangers(&self) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.work.path().join("shmflow-chaos");
        std::fs::copy(&self.exe, &path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        std::fs::set_permissions(self.work.path(), std::fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    fn compile(&self, name: &str, source: &str, before: &[&str], after: &[&str]) -> Result<PathBuf, Missing> {
        let source_path = self.work.path().join(name);
        let product = source_path.with_extension("out");
        std::fs::write(&source_path, source).map_err(|error| error.to_string())?;
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut command = Command::new(&compiler);
        command
            .args(["-O1", "-Wall", "-Werror"])
            .args(before)
            .arg(&source_path)
            .arg("-o")
            .arg(&product)
            .args(after);
        let output = command
            .output()
            .map_err(|error| format!("C: the compiler {compiler:?} does not start: {error}"))?;
        if output.status.success() {
            Ok(product)
        } else {
            Err(format!("C: {name} does not compile: {}", String::from_utf8_lossy(&output.stderr)))
        }
    }

    fn compile_victim(&self, products: &Path) -> Result<PathBuf, Missing> {
        let library = existing(products.join("libshmflow.so")).map_err(|why| format!("C: {why}"))?;
        // As installed: programs ask for the name with the version.
        let folder = self.work.path().join("lib");
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        for name in ["libshmflow.so", "libshmflow.so.0"] {
            let _ = std::os::unix::fs::symlink(&library, folder.join(name));
        }
        let (include, lib) = (self.root.join("capi/include"), folder.display().to_string());
        let include = format!("-I{}", include.display());
        let (search, run) = (format!("-L{lib}"), format!("-Wl,-rpath,{lib}"));
        self.compile(
            "victim.c",
            include_str!("../victims/victim.c"),
            &[&include],
            &[&search, &run, "-lshmflow"],
        )
    }

    /// A folder with nothing but the plugin, and a registry that one process has filled.
    fn prepare_pipelines(&self, products: &Path) -> Result<(), Missing> {
        let plugin =
            existing(products.join("libgstshmflow.so")).map_err(|why| format!("pipelines: {why}"))?;
        let folder = self.work.path().join("plugin");
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let _ = std::os::unix::fs::symlink(plugin, folder.join("libgstshmflow.so"));
        let mut command =
            self.pipeline_of(&folder, "fakesrc num-buffers=1 ! shmflowsink topic=none directory=/nowhere");
        let mut process =
            Process::start("gst-launch-1.0", &mut command).map_err(|error| format!("pipelines: {error}"))?;
        let _ = process.wait().map_err(|error| format!("pipelines: {error}"))?;
        if process.last_words().contains("no element") {
            return Err(format!("pipelines: {}", process.last_words()));
        }
        Ok(())
    }
}

fn existing(path: PathBuf) -> Result<PathBuf, Missing> {
    if path.exists() { Ok(path) } else { Err(format!("{} is not there: make build", path.display())) }
}

fn products(settings: &Settings, exe: &Path, root: &Path) -> PathBuf {
    if let Some(products) = &settings.products {
        return std::path::absolute(products).unwrap_or_else(|_| products.clone());
    }
    let beside = exe.parent().map(Path::to_path_buf).unwrap_or_default();
    let release =
        beside.parent().map_or_else(|| root.join("target/release"), |target| target.join("release"));
    if beside.join("libgstshmflow.so").exists() { beside } else { release }
}

/// The interpreter that was named, or that of the tests, if it has the package.
fn find_python(settings: &Settings, root: &Path, work: &Path) -> Result<PathBuf, Missing> {
    let ours = root.join("target/python-test/bin/python");
    let python = settings.python.clone().filter(|path| !path.as_os_str().is_empty()).unwrap_or(ours);
    let has = Command::new(&python).args(["-c", "import shmflow, numpy"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        return Err(format!("Python: {} has no package shmflow: tools/install-python.sh", python.display()));
    }
    std::fs::write(work.join("victim.py"), include_str!("../victims/victim.py"))
        .map_err(|error| error.to_string())?;
    Ok(python)
}
