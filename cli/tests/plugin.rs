//! `shmflow plugin` and `shmflow env`, with the real command installed in each of the ways there are.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test's way to fail")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory with a command and plugins in it, and a home that has none.
struct Installation(PathBuf);

impl Installation {
    fn new(name: &str, command: &str, plugins: &[&str]) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(root.join(command).parent().unwrap()).unwrap();
        // No copy: a file that was just written may be busy, for what another test starts at the same time inherits it.
        std::fs::hard_link(env!("CARGO_BIN_EXE_shmflow"), root.join(command)).unwrap();
        for plugin in plugins {
            std::fs::create_dir_all(root.join(plugin).parent().unwrap()).unwrap();
            std::fs::write(root.join(plugin), "").unwrap();
        }
        Self(root.canonicalize().unwrap())
    }

    fn path(&self, below: &str) -> String {
        self.0.join(below).to_str().unwrap().to_owned()
    }

    /// Runs a line of shell; `shmflow` is the installed command, and GStreamer has no settings.
    fn shell(&self, command: &str, line: &str) -> Output {
        let folder = self.0.join(command).parent().unwrap().to_owned();
        Command::new("sh")
            .args(["-euc", line])
            .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
            .env("HOME", self.0.join("home"))
            .env_remove("XDG_DATA_HOME")
            .env_remove("GST_PLUGIN_PATH")
            .env_remove("GST_PLUGIN_PATH_1_0")
            .output()
            .unwrap()
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn printed(output: &Output) -> &str {
    assert!(output.status.success(), "{output:?}");
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn the_plugin_beside_the_command_is_put_first_into_the_path() {
    for (name, command, folder) in [
        ("wheel", "shmflow/bin/shmflow", "shmflow/gstreamer-1.0"),
        ("build-tree", "release/shmflow", "release/gstreamer-1.0"),
        ("prefix", "bin/shmflow", "lib/gstreamer-1.0"),
        ("prefix-of-debian", "bin/shmflow", "lib/aarch64-linux-gnu/gstreamer-1.0"),
        ("a folder's name", "bin/shmflow", "lib64/gstreamer-1.0"),
    ] {
        let here = Installation::new(name, command, &[&format!("{folder}/libgstshmflow.so")]);
        let folder = here.path(folder);
        assert_eq!(printed(&here.shell(command, "shmflow plugin")), format!("{folder}\n"));
        let twice = "eval $(shmflow env); eval $(shmflow env); sh -c 'echo \"$GST_PLUGIN_PATH\"'";
        assert_eq!(printed(&here.shell(command, twice)), format!("{folder}\n"));
        let before = format!("export GST_PLUGIN_PATH=/mine; {twice}");
        assert_eq!(printed(&here.shell(command, &before)), format!("{folder}:/mine\n"));
        let stronger = "export GST_PLUGIN_PATH_1_0=/v1; eval $(shmflow env); echo $GST_PLUGIN_PATH_1_0 ${GST_PLUGIN_PATH-unset}";
        assert_eq!(printed(&here.shell(command, stronger)), format!("{folder}:/v1 unset\n"));
    }
}

#[test]
fn nothing_is_to_be_set_where_gstreamer_looks_by_itself() {
    let system = "usr/lib/x86_64-linux-gnu/gstreamer-1.0";
    let user = "home/.local/share/gstreamer-1.0/plugins";
    for (name, folder, other) in
        [("system", system, "libgstcoreelements.so"), ("user", user, "libgstother.so")]
    {
        let plugins = [format!("{folder}/libgstshmflow.so"), format!("{folder}/{other}")];
        let here = Installation::new(name, "usr/bin/shmflow", &plugins.each_ref().map(String::as_str));
        let output = here.shell("usr/bin/shmflow", "shmflow env");
        assert_eq!((printed(&output), output.stderr.as_slice()), ("", b"".as_slice()), "{name}");
        assert_eq!(
            printed(&here.shell("usr/bin/shmflow", "shmflow plugin")),
            format!("{}\n", here.path(folder))
        );
    }
}

#[test]
fn without_a_plugin_it_says_what_to_do() {
    let here = Installation::new("none", "bin/shmflow", &[]);
    for command in ["plugin", "env"] {
        let output = here.shell("bin/shmflow", &format!("shmflow {command}"));
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), b"".as_slice()));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("no GStreamer plugin") && said.contains("make install"), "{said}");
    }
}

#[test]
fn a_folder_that_the_path_cannot_name_is_an_error() {
    let here =
        Installation::new("a:colon", "shmflow/bin/shmflow", &["shmflow/gstreamer-1.0/libgstshmflow.so"]);
    // Not by the PATH, which cannot name it either.
    let output = Command::new(here.0.join("shmflow/bin/shmflow")).arg("env").output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), b"".as_slice()));
    assert!(String::from_utf8(output.stderr).unwrap().contains("colon"));
}
