//! The command `shmflow`, which sees into topics from outside.

use std::path::PathBuf;
use std::process::Command;

use crate::built;

/// What shows what, for topics of one's own.
const COMMANDS: [(&str, &str); 9] = [
    ("ls", "which topics there are, what is on them, how fast it comes"),
    ("info TOPIC", "all about one: caps, newest frame, each participant with its lag and losses"),
    ("top", "all topics and participants, live"),
    ("serve", "the same with pictures, as a page in the browser"),
    ("view TOPIC", "the picture, in this terminal"),
    ("grab TOPIC now.png", "the newest frame as a file"),
    ("record TOPIC -o a.mcap", "a recording, which `replay a.mcap` publishes again to the bit"),
    ("doctor", "what is wrong with this machine and its topics, and what to do"),
    ("help", "all commands; docs/cli.md shows them at work"),
];

/// The command that was built with this program; `None` if it was not.
fn built() -> Option<PathBuf> {
    built::find("shmflow").ok()
}

/// What `shmflow ls` says of the topics of this name now; `None` if the command was not built, or fails.
pub(crate) fn list(prefix: &str) -> Option<String> {
    let output = Command::new(built()?).args(["ls", prefix]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Shows what was listed while the topics lived, and what else there is to see.
pub(crate) fn tell(prefix: &str, listed: Option<&str>) {
    match listed {
        Some(listed) => println!("\nHalf-way `shmflow ls {prefix}` said:\n\n{}", listed.trim_end()),
        None => println!("\nThe command `shmflow`, which sees into topics, could not be run: make build"),
    }
    let path = built().and_then(|path| {
        let here = std::env::current_dir().ok()?;
        Some(path.strip_prefix(here).map_or_else(|_| path.clone(), PathBuf::from))
    });
    let name = path.map_or_else(|| "shmflow".to_owned(), |path| path.display().to_string());
    println!("\nTo see into topics of your own:\n");
    for (command, what) in COMMANDS {
        println!("  {name} {command:<23} {what}");
    }
}
