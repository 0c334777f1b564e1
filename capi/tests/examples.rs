//! The example programs, as one compiles and runs them; what `make install` installs; the README's program.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

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
fn one_event_loop_waits_for_several_topics() {
    let place = Place::new();
    let strict = ["-Wconversion", "-Wsign-conversion", "-Wshadow"];
    let in_c =
        place.compile("gcc", &example("several.c"), "several-c", &[&["-std=c99"], &strict[..]].concat());
    let in_cxx =
        place.compile("g++", &example("several.cc"), "several-cc", &[&["-std=c++17"], &strict[..]].concat());
    let sender = place.compile("gcc", &example("sender.c"), "sender", &["-std=c99"]);
    for program in [in_c, in_cxx] {
        let mut several = place.start(program, &["left", "right"]);
        assert_eq!(several.hear(), "ready");
        several.tell("hello");
        assert_eq!(several.hear(), "input");
        place.run(&sender, &["left", "3"]);
        place.run(&sender, &["right", "2"]);
        // Its input stays open until it has heard of both ends: closing it is Ctrl-D, upon which it leaves at once.
        let said: Vec<_> = (0..7).map(|_| several.hear()).collect();
        assert_eq!(several.finish(), "");
        let said = said.join("\n");
        for (topic, frames) in [("left", 3), ("right", 2)] {
            let lines = said.lines().filter_map(|line| line.strip_prefix(&format!("{topic}: ")));
            let lines: Vec<_> = lines.collect();
            assert_eq!(lines.len(), frames + 1, "{said}");
            for (line, number) in lines.iter().zip(1..=frames) {
                assert_eq!(*line, format!("frame {number}, 307200 bytes"), "{said}");
            }
            assert!(lines[frames].contains("ended"), "{said}");
        }
    }
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

/// A command that writes man pages and completions, as the real one does, which the tests of this package do not build.
/// It is linked to no library of ours, which `make` would not find.
fn stand_in(place: &Place) -> PathBuf {
    place.compile("gcc", &support::c("command.c"), "shmflow", &["-std=c99", "-Wl,--as-needed"])
}

/// `make install`, without building anything: of what this test's build made, and of `others`.
fn make(target: &str, others: &[&Path], variables: &[String]) -> Output {
    // Beside the program, or one above: as Cargo puts what a test alone needs.
    let plugins = ["libgstshmflow.so", "deps/libgstshmflow.so"].map(|name| products().join(name));
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let built = format!("built-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join(built);
    std::fs::create_dir_all(&built).unwrap();
    let libraries = ["libshmflow.so", "libshmflow.a"].map(|name| products().join(name));
    let plugin = plugins.iter().find(|p| p.exists());
    for file in libraries.iter().chain(plugin).map(PathBuf::as_path).chain(others.iter().copied()) {
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

/// What systemd says of a unit, where systemd is.
fn verify_unit(unit: &Path) {
    // Its manual page is installed where only this test looks.
    match Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(unit).output() {
        Ok(output) => {
            succeeded("systemd-analyze verify", &output);
            let name = unit.file_stem().unwrap().to_str().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            // Of the machine's own units it may say what it likes.
            assert!(!said.contains(name), "{said}");
        }
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}"),
    }
}

#[test]
fn what_is_installed_is_found_by_pkg_config_and_runs() {
    let place = Place::new();
    let stage = place.path("stage");
    let prefix = place.path("prefix");
    let variables = [format!("DESTDIR={}", stage.display()), format!("PREFIX={}", prefix.display())];
    make("install", &[&stand_in(&place)], &variables);
    let below = stage.join(prefix.strip_prefix("/").unwrap());
    let installed = files(&below);
    for file in [
        "bin/shmflow",
        "include/shmflow.h",
        "include/shmflow.hpp",
        "include/shmflow/flow.h",
        "lib/cmake/shmflow/shmflow-config-version.cmake",
        "lib/cmake/shmflow/shmflow-config.cmake",
        "lib/gstreamer-1.0/libgstshmflow.so",
        "lib/libshmflow.a",
        "lib/libshmflow.so",
        "lib/libshmflow.so.0",
        "lib/libshmflow.so.0.1.0",
        "lib/pkgconfig/shmflow.pc",
        "lib/systemd/system/shmflow@.service",
        "lib/sysusers.d/shmflow.conf",
        "share/bash-completion/completions/shmflow",
        "share/doc/shmflow/LICENSE-APACHE",
        "share/doc/shmflow/LICENSE-MIT",
        "share/fish/vendor_completions.d/shmflow.fish",
        "share/man/man1/shmflow-ls.1",
        "share/man/man1/shmflow.1",
        "share/zsh/site-functions/_shmflow",
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
    let completions = below.join("share/bash-completion/completions/shmflow");
    assert_eq!(std::fs::read_to_string(completions).unwrap(), "for bash\n");
    // As a package would be unpacked.
    std::fs::rename(&below, &prefix).unwrap();
    verify_unit(&prefix.join("lib/systemd/system/shmflow@.service"));

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
    // As docs/c.md has it.
    std::fs::copy(support::c("exercise.c"), place.path("program.c")).unwrap();
    std::fs::copy(support::c("check.h"), place.path("check.h")).unwrap();
    let page = std::fs::read_to_string(root().join("docs/c.md")).unwrap();
    let blocks = page.split("\n```sh\n").skip(1).map(|rest| rest.split("\n```").next().unwrap());
    let commands: Vec<_> = blocks.flat_map(str::lines).collect();
    assert_eq!(commands.len(), 3, "{commands:?}");
    for (command, needs_library) in commands.into_iter().zip([true, false, false]) {
        let mut shell = place.command("sh");
        shell.args(["-c", command]).env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
        succeeded(command, &shell.output().unwrap());
        let mut program = place.command(place.path("program"));
        if !needs_library {
            program.env_remove("LD_LIBRARY_PATH");
        }
        succeeded(command, &program.output().unwrap());
    }

    make("uninstall", &[], &[format!("PREFIX={}", prefix.display())]);
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

/// A project of CMake, as people have them, with what was installed.
#[test]
fn what_is_installed_is_found_by_cmake_and_runs() {
    let place = Place::new();
    let prefix = place.path("prefix");
    make("install", &[], &[format!("PREFIX={}", prefix.display())]);
    // Wherever a package was unpacked.
    let moved = place.path("moved");
    std::fs::rename(&prefix, &moved).unwrap();
    let project = place.path("project");
    std::fs::create_dir_all(&project).unwrap();
    std::fs::copy(support::c("exercise.c"), project.join("exercise.c")).unwrap();
    std::fs::copy(support::c("check.h"), project.join("check.h")).unwrap();
    std::fs::copy(example("several.cc"), project.join("several.cc")).unwrap();
    let configure = |version: &str| {
        let text = format!(
            "cmake_minimum_required(VERSION 3.16)\nproject(Try C CXX)\nset(CMAKE_CXX_STANDARD 17)\n\
             find_package(shmflow {version} REQUIRED)\n\
             add_executable(shared exercise.c)\ntarget_link_libraries(shared shmflow::shmflow)\n\
             add_executable(static exercise.c)\ntarget_link_libraries(static shmflow::static)\n\
             add_executable(several several.cc)\ntarget_link_libraries(several shmflow::shmflow)\n"
        );
        std::fs::write(project.join("CMakeLists.txt"), text).unwrap();
        let mut cmake = place.command("cmake");
        cmake.args(["-S", "project", "-B"]).arg(format!("build-{version}"));
        cmake.arg(format!("-DCMAKE_PREFIX_PATH={}", moved.display())).output().unwrap()
    };
    succeeded("cmake", &configure("0.1"));
    for other in ["0.2", "1.0"] {
        let refused = configure(other);
        assert!(!refused.status.success(), "it is not of version {other}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("0.1.0"), "{refused:?}");
    }
    configure("0.1");
    succeeded("cmake --build", &place.command("cmake").args(["--build", "build-0.1"]).output().unwrap());
    for name in ["shared", "static"] {
        let program = place.path("build-0.1").join(name);
        let output = place.command(&program).env_remove("LD_LIBRARY_PATH").output().unwrap();
        succeeded(name, &output);
    }
    // The file that docs/c.md shows.
    let page = std::fs::read_to_string(root().join("docs/c.md")).unwrap();
    let shown = page.split_once("\n```cmake\n").unwrap().1.split("\n```").next().unwrap();
    std::fs::write(project.join("CMakeLists.txt"), shown).unwrap();
    std::fs::copy(support::c("exercise.c"), project.join("program.c")).unwrap();
    let mut cmake = place.command("cmake");
    cmake.args(["-S", "project", "-B", "shown"]).arg(format!("-DCMAKE_PREFIX_PATH={}", moved.display()));
    succeeded("cmake", &cmake.output().unwrap());
    succeeded("cmake --build", &place.command("cmake").args(["--build", "shown"]).output().unwrap());
    succeeded("program", &place.command(place.path("shown/program")).output().unwrap());
    assert!(place.left().is_empty(), "{:?}", place.left());
    let usage =
        place.command(place.path("build-0.1/several")).env_remove("LD_LIBRARY_PATH").output().unwrap();
    assert_eq!(usage.status.code(), Some(2), "{usage:?}");
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
    make("install", &[], &[format!("PREFIX={}", prefix.display())]);
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
