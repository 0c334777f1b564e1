//! Whether a participant's process is stopped, as far as `/proc` shows it.

use std::fs;

use rustix::fs::{Stat, major, minor};

/// Whether the process of this number is stopped (by SIGSTOP, Ctrl-Z or a debugger) and has the file of `peers` mapped. The
/// number is of the participant's own namespace, and could be another process's here: so the map decides.
pub(super) fn is_stopped(pid: u32, peers: &Stat) -> bool {
    pid != 0
        && read(pid, "stat").is_some_and(|stat| has_stopped(&stat))
        && read(pid, "maps").is_some_and(|maps| has_mapped(&maps, peers))
}

/// Names in it are of any bytes.
fn read(pid: u32, file: &str) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/{file}")).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The state follows the name, which may hold anything but ends at the last bracket.
fn has_stopped(stat: &str) -> bool {
    stat.rsplit_once(')').is_some_and(|(_, rest)| matches!(rest.trim_start().chars().next(), Some('T' | 't')))
}

fn has_mapped(maps: &str, file: &Stat) -> bool {
    let device = format!("{:02x}:{:02x}", major(file.st_dev), minor(file.st_dev));
    let inode = file.st_ino.to_string();
    maps.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(3);
        fields.next() == Some(&device) && fields.next() == Some(&inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_found_behind_any_name() {
        for (stat, stopped) in [
            ("7 (cat) S 1 7", false),
            ("7 (cat) T 1 7", true),
            ("7 (a) S (b) T 1", true),
            ("7 (T) R 1", false),
            ("", false),
            ("7 (x)", false),
        ] {
            assert_eq!(has_stopped(stat), stopped, "{stat}");
        }
    }
}
