//! The documents agree with what is there: links lead somewhere, `make` targets exist, and every program that is
//! started is one that `make deps` installs.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The repository's files with one of these endings, without what is built or generated.
fn files(endings: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut directories = vec![root().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() {
                if !name.starts_with('.') && !["target", "corpus", "demo-out"].contains(&name.as_str()) {
                    directories.push(entry.path());
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What stands between `open` and `close`, everywhere in the text.
fn between<'a>(text: &'a str, open: &'a str, close: char) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |rest| rest.split_once(close).map(|(inside, _)| inside))
}

#[test]
fn links_between_documents_lead_somewhere() -> Result<()> {
    let mut broken = Vec::new();
    for file in files(&[".md"])? {
        let text = std::fs::read_to_string(&file)?;
        let directory = file.parent().ok_or("a file without a directory")?;
        for link in between(&text, "](", ')') {
            let target = link.split('#').next().unwrap_or_default();
            if !target.is_empty() && !link.contains("://") && !directory.join(target).exists() {
                broken.push(format!("{}: {link}", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(())
}

#[test]
fn make_targets_in_documents_exist() -> Result<()> {
    let makefile = std::fs::read_to_string(root().join("Makefile"))?;
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter(|line| !line.starts_with(['\t', '#', ' ']))
        .filter_map(|line| line.split_once(':').map(|(name, _)| name))
        .collect();
    let mut unknown = Vec::new();
    for file in files(&[".md"])? {
        let text = std::fs::read_to_string(&file)?;
        for words in between(&text, "`make ", '`') {
            // `make soak SECONDS=5` has a variable.
            for target in words.split_whitespace().filter(|word| !word.contains('=')) {
                if !targets.contains(target) {
                    unknown.push(format!("{}: make {target}", file.display()));
                }
            }
        }
    }
    assert!(targets.contains("test"), "the Makefile was not understood: {targets:?}");
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
    Ok(())
}

/// Programs that code here starts, and the Debian package that has each; none: part of every Debian, or our own.
const PROGRAMS: &[(&str, Option<&str>)] = &[
    ("cc", Some("build-essential")),
    ("gcc", Some("build-essential")),
    ("g++", Some("build-essential")),
    ("pkg-config", Some("pkg-config")),
    ("gst-launch-1.0", Some("gstreamer1.0-tools")),
    ("gst-inspect-1.0", Some("gstreamer1.0-tools")),
    ("Xvfb", Some("xvfb")),
    ("xvfb-run", Some("xvfb")),
    ("ip", Some("iproute2")),
    ("openssl", Some("openssl")),
    ("import", Some("imagemagick")),
    ("convert", Some("imagemagick")),
    ("strace", Some("strace")),
    ("valgrind", Some("valgrind")),
    ("nm", Some("build-essential")),
    ("readelf", Some("build-essential")),
    ("make", Some("build-essential")),
    ("python3", Some("python3")),
    ("/usr/bin/python3", Some("python3")),
    ("gst-device-monitor-1.0", Some("gstreamer1.0-plugins-base-apps")),
    ("gst-play-1.0", Some("gstreamer1.0-plugins-base-apps")),
    ("bash", None),
    ("cargo", None),
    ("cat", None),
    ("chmod", None),
    ("date", None),
    ("df", None),
    ("env", None),
    ("kill", None),
    ("mount", None),
    // Of the Debian that tools/compare-13.sh makes, and only there.
    ("pw-cli", None),
    ("setpriv", None),
    ("sh", None),
    ("sleep", None),
    // Where systemd is; the test of its unit goes without it elsewhere.
    ("systemd-analyze", None),
    ("true", None),
    ("umount", None),
    ("unshare", None),
];

#[test]
fn every_program_that_is_started_is_installed_by_make_deps() -> Result<()> {
    let list = std::fs::read_to_string(root().join("tools/packages.txt"))?;
    let packages: BTreeSet<&str> = list
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('|').map(|(name, _)| name.trim()))
        .collect();
    let mut missing = Vec::new();
    let mut started = 0;
    for file in files(&[".rs"])? {
        let text = std::fs::read_to_string(&file)?;
        let commands = between(&text, concat!("Command::new", "(\""), '"');
        // In the tests `program` makes commands of GStreamer's, with the plugin.
        let gstreamers =
            between(&text, concat!("program", "(\""), '"').filter(|name| name.starts_with("gst-"));
        for program in commands.chain(gstreamers) {
            started += 1;
            let known = PROGRAMS.iter().find(|(name, _)| *name == program);
            match known {
                Some((_, None)) => {}
                Some((_, Some(package))) if packages.contains(package) => {}
                Some((_, Some(package))) => {
                    missing.push(format!("{}: {program} of {package}", file.display()))
                }
                None => missing.push(format!("{}: {program}: of which package?", file.display())),
            }
        }
    }
    assert!(started > 0, "nothing was found that starts a program");
    assert!(missing.is_empty(), "not in tools/packages.txt:\n{}", missing.join("\n"));
    Ok(())
}
