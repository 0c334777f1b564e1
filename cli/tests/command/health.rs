//! `size`, `bench`, completions and man pages.

use std::process::Command;

use crate::support::{Dir, Ran};

#[test]
fn size_is_what_a_topic_takes_then() {
    let dir = Dir::new();
    let caps = "video/x-raw,format=I420,width=640,height=480";
    let said =
        dir.run(&["size", "--caps", caps, "--max-buffers", "4", "--meta-bytes", "4096", "--json"]).json();
    let builder =
        shmflow::Producer::builder("t").dir(&dir.0).depth(4).spare_slots(2).slot_capacity(640 * 480 * 3 / 2);
    let _producer = builder.meta_capacity(4096).open().unwrap();
    let taken = dir.run(&["info", "t", "--json"]).json()["shared_bytes"].clone();
    assert_eq!(said["bytes"], taken, "{said}");
    let text = dir.run(&["size", "--caps", caps]);
    assert!(text.out().contains("8 + 2 slots of 450 KiB") && text.out().contains(" free"), "{}", text.out());
    let huge = dir.run(&["size", "--frame-bytes", "100000000000", "--max-buffers", "100"]);
    assert!(huge.status() == 5 && huge.out().contains("too little"), "{}", huge.out());
    assert!(dir.run(&["size", "--caps", "video/x-h264"]).err().contains("--frame-bytes"));
    assert_eq!(dir.run(&["size"]).status(), 2);
}

#[test]
fn bench_measures_between_processes_and_leaves_nothing() {
    let dir = Dir::new();
    let ran = dir.run(&["bench", "--time", "0.1", "--frame-bytes", "100000", "--json"]);
    assert_eq!(ran.status(), 0, "{}", ran.err());
    let json = ran.json();
    for (group, name) in [
        ("latency_seconds", "median"),
        ("throughput", "received_per_second"),
        ("throughput", "published_per_second"),
    ] {
        assert!(json[group][name].as_f64().unwrap() > 0.0, "{json}");
    }
    assert!(json["copy_bytes_per_second"].as_f64().unwrap() > 0.0);
    assert!(dir.is_empty());
    assert!(dir.run(&["bench", "--time", "0.05"]).out().contains("latency "));
}

#[test]
fn shells_complete_the_names_of_topics() {
    let dir = Dir::new();
    let _producers = ["robot/cam0", "robot/cam1", "lidar"].map(|topic| dir.producer(topic));
    let complete = |words: &[&str]| {
        let mut command = dir.command(&["--"]);
        command
            .args(words)
            .env("SHMFLOW_COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string());
        command
            .env("_CLAP_COMPLETE_COMP_TYPE", "9")
            .env("_CLAP_IFS", "\n")
            .env("_CLAP_COMPLETE_SPACE", "true");
        Ran(command.output().unwrap()).out().to_owned()
    };
    assert_eq!(complete(&["shmflow", "info", "robot/"]), "robot/cam0\nrobot/cam1");
    assert_eq!(complete(&["shmflow", "hz", "li"]), "lidar");
    assert_eq!(complete(&["shmflow", "ls", "lidar", "robot/cam1"]), "robot/cam1");
    assert!(complete(&["shmflow", "do"]).contains("doctor"));
    let other = Dir::new();
    let _elsewhere = other.producer("elsewhere");
    assert_eq!(complete(&["shmflow", "--dir", other.0.to_str().unwrap(), "rm", "e"]), "elsewhere");
    for shell in ["bash", "zsh", "fish"] {
        let script = dir.run(&["completions", shell]);
        assert!(
            script.status() == 0 && script.out().contains("SHMFLOW_COMPLETE"),
            "{shell}: {}",
            script.out()
        );
    }
    // What it prints is a script that the shell takes.
    let script = dir.run(&["completions", "bash"]);
    let checked = Command::new("bash").args(["-n", "-c", script.out()]).output().unwrap();
    assert!(checked.status.success(), "{:?}", checked);
}

#[test]
fn each_command_has_a_man_page() {
    let dir = Dir::new();
    let pages = dir.0.join("man1");
    std::fs::create_dir(&pages).unwrap();
    assert_eq!(dir.run(&["man", pages.to_str().unwrap()]).status(), 0);
    let page = |name: &str| {
        std::fs::read_to_string(pages.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    assert!(page("shmflow.1").contains("shared\\-memory topics"));
    for name in [
        "ls", "info", "top", "hz", "delay", "bw", "echo", "grab", "view", "metrics", "serve", "send", "recv",
        "record", "replay", "size", "doctor", "bench", "rm", "gc",
    ] {
        assert!(page(&format!("shmflow-{name}.1")).contains(".SH OPTIONS"), "{name}");
    }
    assert!(dir.run(&["man", "/nowhere"]).err().contains("cannot write man pages to /nowhere"));
}

#[test]
fn make_install_says_which_copies_are_used() {
    let dir = Dir::new();
    let (plugins, commands, tools) = (dir.0.join("plugins"), dir.0.join("bin"), dir.0.join("tools"));
    for folder in [&plugins, &commands, &tools] {
        std::fs::create_dir(folder).unwrap();
    }
    let (ours, other) = (plugins.join("libgstshmflow.so"), dir.0.join("libgstshmflow.so"));
    for file in [&ours, &other, &plugins.join("libshmflow.so"), &commands.join("shmflow")] {
        std::fs::write(file, b"").unwrap();
    }
    let executable = |path: &std::path::Path, text: String| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    executable(&tools.join("ldconfig"), "#!/bin/sh\n".to_owned());
    let said = |loaded: Option<&std::path::Path>, path: &str| {
        let shown = match loaded {
            Some(file) => format!("echo '  Filename                 {}'", file.display()),
            None => "exit 1".to_owned(),
        };
        executable(&tools.join("gst-inspect-1.0"), format!("#!/bin/sh\n{shown}\n"));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/after-install.sh");
        let mut command = Command::new("sh");
        command.arg(script).args([&plugins, &plugins, &commands]);
        command.env("PATH", format!("{}:{path}:/usr/bin:/bin", tools.display()));
        let ran = Ran(command.output().unwrap());
        assert_eq!(ran.status(), 0, "{}", ran.err());
        ran.out().to_owned()
    };
    let in_path = commands.to_str().unwrap();
    let good = said(Some(&ours), in_path);
    assert!(
        good.starts_with("installed: gst-inspect-1.0 shmflowsink shows it\n") && !good.contains("PATH; set"),
        "{good}"
    );
    let older = said(Some(&other), in_path);
    let expected = format!("GStreamer loads another copy: {}", other.display());
    assert!(older.contains(&expected) && older.contains("export GST_PLUGIN_PATH="), "{older}");
    assert!(said(None, in_path).contains("does not look there by itself"));
    assert!(said(Some(&ours), "/nowhere").contains("the command is not in PATH"));
}
