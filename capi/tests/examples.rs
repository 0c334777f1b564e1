//! The example programs, as one compiles and runs them; what `make install` installs; the README's program.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::{Place, products, succeeded};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn example(name: &str) -> PathBuf {
    root().join("capi/examples").join(name)
}

#[test]
fn the_sender_and_the_receiver_find_each_other() {
    let place = Place::new();
    let sender = place.compile("gcc", &example("sender.c"), "sender", &["-std=c99"]);
    let receiver = place.compile("gcc", &example("receiver.c"), "receiver", &["-std=c99"]);
    let receiver = place.start(receiver, &["bar"]);
    place.run(sender, &["bar", "20"]);
    let said = receiver.finish();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 20, "{said}");
    // 40 of 640 columns are bright: (600 * 32 + 40 * 220) / 640.
    assert_eq!(lines[19], "frame 20: GRAY8 640x480, brightness 43.8");
    assert!(place.left().is_empty(), "{:?}", place.left());
}

#[test]
fn what_a_frame_costs_is_said() {
    let place = Place::new();
    let program = place.compile("gcc", &example("cost.c"), "cost", &["-std=c99"]);
    // How long it takes is for people to see: `capi/examples/cost.c`.
    let said = place.run(program, &["200"]);
    assert_eq!(said.lines().count(), 4, "{said}");
}

/// `make install`, without building anything: of what this test's build made.
fn make(target: &str, variables: &[String]) -> Output {
    // Beside the program, or one above: as Cargo puts what a test alone needs.
    let plugins = ["libgstshmflow.so", "deps/libgstshmflow.so"].map(|name| products().join(name));
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("built-{}", std::process::id()));
    std::fs::create_dir_all(&built).unwrap();
    for file in [
        &products().join("libshmflow.so"),
        &products().join("libshmflow.a"),
        plugins.iter().find(|p| p.exists()).unwrap(),
    ] {
        let link = built.join(file.file_name().unwrap());
        if !link.exists() {
            std::os::unix::fs::symlink(file, link).unwrap();
        }
    }
    let output = Command::new("make")
        .current_dir(root())
        .args(["--no-print-directory", "-o", "build", target])
        .arg(format!("built={}", built.display()))
        .args(variables)
        // Not those of the `make` that may have started the tests.
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .env_remove("MFLAGS")
        .output()
        .unwrap();
    std::fs::remove_dir_all(built).unwrap();
    succeeded(&format!("make {target}"), &output);
    output
}

fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                directories.push(path);
            } else {
                found.push(path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn what_is_installed_is_found_by_pkg_config_and_runs() {
    let place = Place::new();
    let stage = place.path("stage");
    let prefix = place.path("prefix");
    let variables = [format!("DESTDIR={}", stage.display()), format!("PREFIX={}", prefix.display())];
    make("install", &variables);
    let below = stage.join(prefix.strip_prefix("/").unwrap());
    let installed = files(&below);
    for file in [
        "include/shmflow.h",
        "include/shmflow/flow.h",
        "lib/gstreamer-1.0/libgstshmflow.so",
        "lib/libshmflow.a",
        "lib/libshmflow.so",
        "lib/libshmflow.so.0",
        "lib/libshmflow.so.0.1.0",
        "lib/pkgconfig/shmflow.pc",
    ] {
        assert!(installed.iter().any(|known| known == file), "{file} is missing: {installed:?}");
    }
    assert!(below.join("lib/libshmflow.so").exists(), "the links lead somewhere");
    for library in ["libshmflow.so", "libshmflow.a", "gstreamer-1.0/libgstshmflow.so"] {
        let path = below.join("lib").join(library);
        let said = |program: &str, option: &str| {
            let output = Command::new(program).arg(option).arg(&path).output().unwrap();
            succeeded(program, &output);
            String::from_utf8(output.stdout).unwrap()
        };
        assert!(!said("objdump", "-h").contains(".debug_info"), "{library} has debug information");
        assert!(said("nm", "--defined-only").contains("shmflow"), "{library} has no names for profilers");
    }
    // As a package would be unpacked.
    std::fs::rename(&below, &prefix).unwrap();

    let pkg_config = |arguments: &[&str]| -> Vec<String> {
        let mut command = place.command("pkg-config");
        command.args(arguments).arg("shmflow").env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
        let output = command.output().unwrap();
        succeeded("pkg-config", &output);
        String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(pkg_config(&["--modversion"]), ["0.1.0"]);
    let output = Command::new("gcc")
        .arg(example("receiver.c"))
        .arg("-o")
        .arg(place.path("installed"))
        .args(pkg_config(&["--cflags", "--libs"]))
        .output()
        .unwrap();
    succeeded("gcc", &output);
    // The name with the version is what it asks for.
    let needs = place.run("readelf", &["-d", place.path("installed").to_str().unwrap()]);
    assert!(needs.contains("[libshmflow.so.0]"), "{needs}");
    let output =
        place.command(place.path("installed")).env("LD_LIBRARY_PATH", prefix.join("lib")).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "it says how it is used: {output:?}");
    let output = Command::new("gcc")
        .arg("-static-libgcc")
        .arg(support::c("exercise.c"))
        .arg("-o")
        .arg(place.path("whole"))
        .arg("-Wl,-Bstatic")
        .args(pkg_config(&["--cflags", "--libs"]))
        .arg("-Wl,-Bdynamic")
        .args(pkg_config(&["--static", "--libs-only-l"]).iter().filter(|part| *part != "-lshmflow"))
        .output()
        .unwrap();
    succeeded("gcc, static", &output);
    let whole = place.command(place.path("whole")).env_remove("LD_LIBRARY_PATH").output().unwrap();
    succeeded("whole", &whole);

    make("uninstall", &[format!("PREFIX={}", prefix.display())]);
    assert!(files(&prefix).is_empty(), "{:?}", files(&prefix));
}

#[test]
fn without_a_prefix_it_goes_to_the_users_own_places() {
    let place = Place::new();
    let home = place.path("home");
    let dry = Command::new("make")
        .current_dir(root())
        .args(["--no-print-directory", "-n", "-o", "build", "install", "built=nowhere"])
        .env("HOME", &home)
        .env_remove("XDG_DATA_HOME")
        .env_remove("MAKEFLAGS")
        .output()
        .unwrap();
    succeeded("make -n install", &dry);
    let said = String::from_utf8(dry.stdout).unwrap();
    let home = home.display();
    for path in [
        "share/gstreamer-1.0/plugins/libgstshmflow.so",
        "bin/shmflow",
        "lib/libshmflow.so",
        "lib/libshmflow.a",
        "lib/pkgconfig/shmflow.pc",
        "include/shmflow.h",
    ] {
        assert!(said.contains(&format!("\"{home}/.local/{path}\"")), "{path}: {said}");
    }
}

#[test]
fn the_program_of_the_readme_runs() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, section) = readme.split_once("\n## C\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let block = |fence: &str| section.split_once(fence).unwrap().1.split("```").next().unwrap().to_owned();
    let (program, commands) = (block("```c\n"), block("```sh\n"));

    let place = Place::new();
    place.write("watch.c", &program);
    // As typed, but for what `make install` would have made known.
    let prefix = place.path("prefix");
    make("install", &[format!("PREFIX={}", prefix.display())]);
    let plugins = place.path("prefix/lib/gstreamer-1.0");
    let lines: Vec<&str> = commands.lines().collect();
    let [compile, source, watch] = lines[..] else { panic!("three commands: {commands}") };
    let shell = |line: &str| {
        let mut command = place.command("sh");
        command
            .args(["-c", &format!("exec {line}")])
            .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"))
            .env("LD_LIBRARY_PATH", prefix.join("lib"))
            .env("GST_PLUGIN_PATH", &plugins)
            .env("GST_REGISTRY", place.path("registry.bin"));
        command
    };
    succeeded(compile, &shell(compile).output().unwrap());
    let mut source = shell(source).stdout(std::process::Stdio::null()).spawn().unwrap();
    let output = shell(watch).output().unwrap();
    succeeded(watch, &output);
    assert!(source.wait().unwrap().success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.lines().count() > 10 && said.contains("BGR 640x480"), "{said}");
}
