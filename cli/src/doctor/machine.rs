//! The directory, the limits and the system.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statfs, statvfs};
use rustix::process::{Resource, getrlimit};
use rustix::system::uname;

use super::Finding;
use crate::{ls, text};

const TMPFS: u64 = 0x0102_1994;
const HUGETLBFS: u64 = 0x9584_58f6;
const RAMFS: u64 = 0x8584_58f6;
/// A few rings of large pictures.
const ROOMY: u64 = 256 << 20;
/// A container's `/dev/shm` by default.
const TINY: u64 = 64 << 20;

pub(super) fn directory(dir: &Path) -> Vec<Finding> {
    let name = dir.display();
    let status = match fs::metadata(dir) {
        Ok(status) if status.is_dir() => status,
        Ok(_) => {
            return vec![Finding::problem(
                "directory",
                format!("{name} is no directory"),
                "set SHMFLOW_DIR to one on a tmpfs",
            )];
        }
        Err(error) => {
            let remedy =
                format!("create it on a tmpfs (install -d -m 3775 -g GROUP {name}), or unset SHMFLOW_DIR");
            return vec![Finding::problem("directory", format!("{name}: {error}"), remedy)];
        }
    };
    let mut found = vec![file_system(dir), room(dir)];
    if access(dir, Access::WRITE_OK | Access::EXEC_OK).is_ok() {
        found.push(Finding::ok("directory", format!("{name} can be written to")));
    } else if ls::is_mounted_read_only(dir) {
        let remedy = "producers need it mounted for writing; consumers read with read-only=true where perms allow it (0644)";
        found.push(Finding::note("directory", format!("{name} is mounted read-only"), remedy));
    } else {
        let mode = status.permissions().mode() & 0o7777;
        let what =
            format!("{name} cannot be written to (mode {mode:04o}, owner {})", text::user(status.uid()));
        found.push(Finding::problem(
            "directory",
            what,
            "run as its owner or in its group, or set SHMFLOW_DIR to a directory of your own",
        ));
    }
    let mode = status.permissions().mode();
    if mode & 0o002 != 0 && mode & 0o1000 == 0 {
        let what = format!("anyone may remove anyone's files in {name} (mode {:04o})", mode & 0o7777);
        found.push(Finding::problem("directory", what, format!("chmod +t {name}")));
    }
    found
}

fn file_system(dir: &Path) -> Finding {
    let name = dir.display();
    match statfs(dir).map(|fs| fs.f_type as u64 & 0xffff_ffff) {
        Ok(TMPFS) => Finding::ok("directory", format!("{name} is on a tmpfs")),
        Ok(HUGETLBFS | RAMFS) => Finding::problem(
            "directory",
            format!("{name} is on a file system that cannot hold a ring"),
            "use a tmpfs, as /dev/shm is",
        ),
        Ok(_) => Finding::problem(
            "directory",
            format!("{name} is on a disk: every frame would be written to it"),
            "use a tmpfs, as /dev/shm is: unset SHMFLOW_DIR, or mount one there",
        ),
        Err(error) => {
            Finding::problem("directory", format!("{name}: {error}"), "use a tmpfs, as /dev/shm is")
        }
    }
}

fn room(dir: &Path) -> Finding {
    let name = dir.display();
    let Ok(fs) = statvfs(dir) else { return Finding::note("room", "not known", "df shows it") };
    if fs.f_blocks == 0 {
        return Finding::ok("room", format!("{name} has no limit"));
    }
    let (all, free) = (fs.f_blocks.saturating_mul(fs.f_frsize), fs.f_bavail.saturating_mul(fs.f_frsize));
    let what = format!("{} of {} free in {name}", text::bytes(free), text::bytes(all));
    let mount = mount_point(dir);
    let mount = mount.display();
    let remedy = format!(
        "mount -o remount,size=4g {mount}; in a container: docker run --shm-size=4g; what is left over: shmflow gc"
    );
    if fs.f_files != 0 && fs.f_favail == 0 {
        let what = format!("{name} has no room for another file");
        Finding::problem("room", what, format!("mount -o remount,nr_inodes=0 {mount}"))
    } else if all <= TINY || free < TINY / 4 {
        Finding::problem("room", what, remedy)
    } else if free < ROOMY {
        Finding::note("room", what, remedy)
    } else {
        Finding::ok("room", what)
    }
}

/// Where the file system is mounted that a directory is on.
fn mount_point(dir: &Path) -> PathBuf {
    let dir = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_path_buf());
    let device = |path: &Path| fs::metadata(path).map(|status| status.dev()).ok();
    let here = device(&dir);
    dir.ancestors().take_while(|path| device(path) == here).last().unwrap_or(&dir).to_path_buf()
}

pub(super) fn limits() -> Vec<Finding> {
    let mut found = Vec::new();
    match getrlimit(Resource::Fsize).current {
        Some(limit) if limit < ROOMY => {
            let what = format!("files may have {} at most", text::bytes(limit));
            found.push(Finding::problem(
                "limits",
                what,
                "ulimit -f unlimited; in a unit: LimitFSIZE=infinity",
            ));
        }
        _ => found.push(Finding::ok("limits", "files may be as large as rings")),
    }
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < 256 => {
            let what = format!("{limit} open files at most; each topic takes a few");
            found.push(Finding::note("limits", what, "ulimit -n 1024; in a unit: LimitNOFILE="));
        }
        _ => {}
    }
    let path = |group: &str| format!("/sys/fs/cgroup{group}/memory.max");
    let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = group
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .unwrap_or_default()
        .trim_end_matches('/')
        .to_owned();
    if let Some(limit) =
        fs::read_to_string(path(&group)).ok().and_then(|limit| limit.trim().parse::<u64>().ok())
    {
        let what =
            format!("the control group {group}/ may have {} of memory, rings included", text::bytes(limit));
        found.push(if limit < ROOMY {
            Finding::problem("limits", what, "docker run --memory=…; in a unit: MemoryMax=")
        } else {
            Finding::ok("limits", what)
        });
    }
    found
}

pub(super) fn system() -> Vec<Finding> {
    let mut found = vec![kernel()];
    found.extend(remove_ipc());
    found
}

fn kernel() -> Finding {
    let system = uname();
    let release = system.release().to_string_lossy().into_owned();
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (5, 16) {
        Finding::ok("kernel", format!("Linux {release}"))
    } else {
        let what = format!("Linux {release} cannot wait for several futexes in one call");
        Finding::note(
            "kernel",
            what,
            "5.16 or newer is best; with older ones, consumers with a descriptor or a shared cancel token look at intervals",
        )
    }
}

/// logind removes what belongs to an ordinary user when the user's last session ends.
fn remove_ipc() -> Option<Finding> {
    let uid = rustix::process::geteuid().as_raw();
    if uid < 1000 || !Path::new("/run/systemd/system").exists() {
        return None;
    }
    let user = text::user(uid);
    if Path::new("/var/lib/systemd/linger").join(&user).exists() {
        return Some(Finding::ok(
            "RemoveIPC",
            format!("{user} lingers: topics stay when the last session ends"),
        ));
    }
    let files = ["/etc/systemd/logind.conf".into()].into_iter().chain(drop_ins("/etc/systemd/logind.conf.d"));
    let lines: Vec<String> = files
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|text: String| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let last = lines.iter().rev().find_map(|line| line.trim().strip_prefix("RemoveIPC="));
    if last.is_some_and(|value| matches!(value.trim(), "no" | "false" | "0" | "off")) {
        return Some(Finding::ok("RemoveIPC", "logind leaves topics alone"));
    }
    let what = format!("logind removes {user}'s topics from /dev/shm when the last session of {user} ends");
    Some(Finding::note(
        "RemoveIPC",
        what,
        format!(
            "loginctl enable-linger {user}, or a system user for services, or RemoveIPC=no in logind.conf"
        ),
    ))
}

fn drop_ins(dir: &str) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_mounted_again_is_a_mount_point() {
        let dir = Path::new("/dev/shm").join(format!("shmflow-doctor-test-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let found = mount_point(&dir);
        fs::remove_dir(&dir).unwrap();
        assert_eq!(found, Path::new("/dev/shm"));
        assert_eq!(mount_point(Path::new("/")), Path::new("/"));
    }
}
