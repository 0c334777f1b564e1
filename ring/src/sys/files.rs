//! The files of a topic: made whole under a temporary name, then named at one stroke; opened with suspicion.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FileType, RenameFlags, fstat, lstat, renameat_with};
use rustix::io::Errno;

use super::fork::{self, GuardedFd};
use super::map::{Access, Mapping};
use super::{lock, space};
use crate::error::{Error, Result, SpaceLimit, is_refusal};
use crate::topic::{FileKind, Topic};

/// A file being created: under a temporary name, its lifecycle byte locked so that no process takes it
/// for an orphan. Dropped before a commit, it is gone.
#[derive(Debug)]
pub(crate) struct TempFile {
    topic: Topic,
    /// Carries the lock.
    fd: GuardedFd,
    /// What it is mapped through; see [`OpenedTwice`].
    view: GuardedFd,
    name: TempName,
}

/// A temporary name, removed when dropped in the process that made it, unless the file has got its real one.
#[derive(Debug)]
struct TempName {
    path: PathBuf,
    generation: u32,
    committed: bool,
}

impl Drop for TempName {
    fn drop(&mut self) {
        if !self.committed && self.generation == fork::generation() {
            // Fails only where nobody could do anything about it; then it is an orphan, which is found later.
            let _ = unlink(&self.path);
        }
    }
}

/// Makes a file of `len` bytes, all of them reserved, with exactly the permission bits `mode`.
///
/// # Errors
/// [`Error::NoSpace`] says how much is needed and free; [`Error::PermissionDenied`] if the directory refuses;
/// [`Error::Io`] else.
pub(crate) fn create_temp(topic: &Topic, mode: u32, len: u64) -> Result<TempFile> {
    create_sparse(topic, mode, len, len)
}

/// As [`create_temp`], where only the first `reserved` bytes are reserved. There must be room for all of them.
pub(crate) fn create_sparse(topic: &Topic, mode: u32, len: u64, reserved: u64) -> Result<TempFile> {
    const ATTEMPTS: u32 = 16;
    if space::is_hugetlbfs(topic.dir()) {
        return Err(unsupported(topic, "no files of small pages"));
    }
    check_space(topic, len)?;
    for _ in 0..ATTEMPTS {
        let path = topic.path(FileKind::Temp(random()));
        let fd = match GuardedFd::open(|| create_exclusive(&path)) {
            Ok(fd) => fd,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(creation_error(topic, len, error)),
        };
        let name = TempName { path, generation: fork::generation(), committed: false };
        let view = match GuardedFd::open(|| open_plain(&name.path, true)) {
            Ok(view) => view,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(creation_error(topic, len, error)),
        };
        let file = TempFile { topic: topic.clone(), fd, view, name };
        // Between the creation and the lock it looked like an orphan, and may have been removed as one.
        let fd = file.fd()?;
        let is_ours = lock::try_write(fd, lock::LIFECYCLE_BYTE)
            .and_then(|locked| Ok(locked && same_file(fd, &file.name.path)?))
            .and_then(|ours| Ok(ours && same_inode(fd, file.view.fd()?)?))
            .map_err(|error| match error.raw_os_error() {
                Some(libc::EINVAL | libc::ENOLCK | libc::EOPNOTSUPP | libc::ENOSYS) => {
                    unsupported(topic, "no locks of open file descriptions")
                }
                _ => Error::io(topic.name(), "lock a new file", error),
            })?;
        if !is_ours {
            continue;
        }
        set_mode(fd, mode)
            .map_err(|error| Error::io(topic.name(), "set the permissions of a new file", error))?;
        set_len(fd, len)
            .and_then(|()| space::reserve(fd, 0, reserved))
            .map_err(|error| creation_error(topic, len, error))?;
        if let Err(error) = Mapping::new(file.view()?, 1, Access::ReadWrite, false) {
            return Err(match error.raw_os_error() {
                Some(libc::ENODEV | libc::EINVAL) => unsupported(topic, "no shared mappings"),
                _ => Error::io(topic.name(), "map a new file", error),
            });
        }
        return Ok(file);
    }
    let error = io::Error::other(format!("{ATTEMPTS} random names were all in use"));
    Err(Error::io(topic.name(), "make a temporary file", error))
}

fn create_exclusive(path: &Path) -> io::Result<OwnedFd> {
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    Ok(file.into())
}

fn set_mode(fd: impl AsFd, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::fchmod(fd, rustix::fs::Mode::from_raw_mode(mode))?)
}

fn set_len(fd: impl AsFd, len: u64) -> io::Result<()> {
    Ok(rustix::fs::ftruncate(fd, len)?)
}

fn check_space(topic: &Topic, needed: u64) -> Result<()> {
    match space::check(topic.dir(), needed) {
        Ok(None) => Ok(()),
        Ok(Some(shortage)) => Err(no_space(topic, needed, shortage)),
        Err(error) => Err(directory_error(topic, error)),
    }
}

fn no_space(topic: &Topic, needed: u64, shortage: space::Shortage) -> Error {
    Error::NoSpace {
        topic: topic.name().into(),
        dir: topic.dir().into(),
        needed,
        free: shortage.free,
        limit: shortage.limit,
    }
}

fn directory_error(topic: &Topic, error: io::Error) -> Error {
    let what = format!("use the directory {}", topic.dir().display());
    if is_refusal(&error) { refused(topic, topic.dir(), what) } else { Error::io(topic.name(), what, error) }
}

/// Why `len` bytes could not be had.
pub(crate) fn creation_error(topic: &Topic, len: u64, error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::ENOSPC) if space::has_no_file_entries(topic.dir()) => {
            no_space(topic, len, space::Shortage { free: 0, limit: SpaceLimit::FileEntries })
        }
        Some(libc::ENOSPC | libc::ENOMEM) => {
            // Others may have taken the space since we looked.
            let found = space::free(topic.dir()).ok().flatten();
            let shortage = found.unwrap_or(space::Shortage { free: 0, limit: SpaceLimit::FileSystem });
            no_space(topic, len, shortage)
        }
        Some(libc::EROFS) => refused(topic, topic.dir(), format!("make a file {READ_ONLY_MOUNT}")),
        Some(libc::EACCES | libc::EPERM) => refused(topic, topic.dir(), "make a file"),
        Some(libc::EOPNOTSUPP | libc::ENOSYS) => unsupported(topic, "no way to reserve memory (fallocate)"),
        _ => Error::io(topic.name(), format!("make a file in {}", topic.dir().display()), error),
    }
}

/// The directory of a topic is on a file system that cannot carry a ring.
fn unsupported(topic: &Topic, lacks: &str) -> Error {
    let (dir, kind) = (topic.dir().display(), space::file_system(topic.dir()));
    let what = format!(
        "topic `{}` cannot be in the directory {dir}, which is on {kind}: that has {lacks}; use a directory on tmpfs, as \
         /dev/shm is",
        topic.name()
    );
    Error::InvalidArgument { what }
}

/// Why not even root may.
pub(crate) const READ_ONLY_MOUNT: &str = "on a file system that is mounted read-only";

/// A refusal, with what can be found out about the file that refuses.
pub(crate) fn refused(topic: &Topic, path: &Path, what: impl Into<String>) -> Error {
    let found = fs::symlink_metadata(path).ok();
    Error::PermissionDenied {
        topic: topic.name().into(),
        path: path.into(),
        what: what.into(),
        mode: found.as_ref().map(|found| found.permissions().mode() & 0o7777),
        owner_uid: found.as_ref().map(MetadataExt::uid),
    }
}

/// Unlikely to repeat; `O_EXCL` does the rest.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // Each `RandomState` has new keys, seeded by the system.
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u64(super::clock::monotonic_ns());
    hasher.write_u32(std::process::id());
    hasher.finish()
}

impl TempFile {
    /// The descriptor that carries the lock.
    pub(super) fn fd(&self) -> Result<BorrowedFd<'_>> {
        self.fd.get().ok_or_else(|| Error::Forked { topic: self.topic.name().into() })
    }

    /// The descriptor to map it through, open for reading and writing.
    pub(crate) fn view(&self) -> Result<BorrowedFd<'_>> {
        self.view.get().ok_or_else(|| Error::Forked { topic: self.topic.name().into() })
    }

    /// The same, to be kept. The lock goes, and the name too unless it is the real one.
    pub(crate) fn into_view(self) -> GuardedFd {
        self.view
    }

    /// Gives the file to a user and a group, as far as we may: to another user only root may, to a group who is in it.
    pub(crate) fn give_to(&self, uid: u32, gid: u32) -> Result<()> {
        use rustix::fs::{Gid, Uid, fchown};
        let fd = self.fd()?;
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        // What is not permitted is not done: then it belongs to us, as a file that we make does.
        let _ = fchown(fd, Some(uid), Some(gid)).or_else(|_| fchown(fd, None, Some(gid)));
        Ok(())
    }

    /// Gives the file its name unless somebody else was first: then `false`, and this one goes when it is dropped.
    pub(crate) fn commit_new(&mut self, name: &Path) -> Result<bool> {
        let error = match renameat_with(CWD, &self.name.path, CWD, name, RenameFlags::NOREPLACE) {
            Ok(()) => {
                self.name.committed = true;
                return Ok(true);
            }
            // Some file systems cannot do it in one call, and some sandboxes forbid the call; a link does not replace
            // anything either. What is really not permitted is not permitted to a link.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                match fs::hard_link(&self.name.path, name) {
                    Ok(()) => {
                        self.name.committed = true;
                        unlink(&self.name.path).map_err(|error| self.commit_error(name, error))?;
                        return Ok(true);
                    }
                    Err(error) => error,
                }
            }
            Err(error) => error.into(),
        };
        if error.kind() == io::ErrorKind::AlreadyExists {
            return Ok(false);
        }
        Err(self.commit_error(name, error))
    }

    /// Gives the file its name, in place of whatever has it.
    pub(crate) fn commit_replace(&mut self, name: &Path) -> Result<()> {
        fs::rename(&self.name.path, name).map_err(|error| self.commit_error(name, error))?;
        self.name.committed = true;
        Ok(())
    }

    fn commit_error(&self, name: &Path, error: io::Error) -> Error {
        let what = format!("name a new file {}", name.display());
        if is_refusal(&error) {
            refused(&self.topic, name, what)
        } else {
            Error::io(self.topic.name(), what, error)
        }
    }
}

/// Opens a file of a topic that is there already.
///
/// # Errors
/// [`Error::TopicNotFound`] if it does not exist, [`Error::PermissionDenied`] if its permissions forbid it,
/// [`Error::ForeignOwner`] if it is neither ours nor root's and `allow_foreign` is not set, [`Error::NotARing`] if it is
/// no regular file.
pub(crate) fn open_existing(
    topic: &Topic,
    path: &Path,
    write: bool,
    allow_foreign: bool,
) -> Result<GuardedFd> {
    let not_a_ring =
        |why: &str| Error::NotARing { topic: topic.name().into(), path: path.into(), why: why.into() };
    let opened = GuardedFd::open(|| open_plain(path, write));
    let fd = opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT) => {
            Error::TopicNotFound { topic: topic.name().into(), dir: topic.dir().into(), similar: Vec::new() }
        }
        Some(libc::ELOOP) => not_a_ring("it is a symbolic link"),
        Some(libc::EISDIR | libc::ENXIO) => not_a_ring("it is not a regular file"),
        Some(libc::EROFS) => refused(topic, path, format!("open for writing {READ_ONLY_MOUNT}")),
        Some(libc::EACCES | libc::EPERM) => {
            refused(topic, path, if write { "open for writing" } else { "open for reading" })
        }
        _ => Error::io(topic.name(), format!("open {}", path.display()), error),
    })?;
    let status = fd
        .fd()
        .and_then(|fd| Ok(fstat(fd)?))
        .map_err(|error| Error::io(topic.name(), format!("examine {}", path.display()), error))?;
    if !FileType::from_raw_mode(status.st_mode).is_file() {
        return Err(not_a_ring("it is not a regular file"));
    }
    if !allow_foreign && status.st_uid != 0 && status.st_uid != nix::unistd::geteuid().as_raw() {
        return Err(Error::ForeignOwner { topic: topic.name().into(), owner_uid: status.st_uid });
    }
    Ok(fd)
}

fn open_plain(path: &Path, write: bool) -> io::Result<OwnedFd> {
    // Without O_NONBLOCK a FIFO under our name would hang us.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = fs::OpenOptions::new().read(true).write(write).custom_flags(flags).open(path)?;
    Ok(file.into())
}

/// A file opened twice, to be locked through one open file description and mapped through the other.
///
/// A lock lasts as long as its open file description, and a mapping is one of the things that keep it: mapped through
/// `locks`, the memory that a forked child inherits would say that its dead parent lives, for as long as the child does,
/// although the child's descriptors are closed.
#[derive(Debug)]
pub(crate) struct OpenedTwice {
    /// For locks. Never mapped.
    pub(crate) locks: GuardedFd,
    /// For the mapping. Never locked.
    pub(crate) view: GuardedFd,
}

/// As [`open_existing`], twice.
///
/// # Errors
/// Also [`Error::Busy`] if the name leads to other files all the time.
pub(crate) fn open_to_lock_and_map(
    topic: &Topic,
    path: &Path,
    write: bool,
    allow_foreign: bool,
) -> Result<OpenedTwice> {
    const ATTEMPTS: u32 = 16;
    for _ in 0..ATTEMPTS {
        let open = || open_existing(topic, path, write, allow_foreign);
        let opened = OpenedTwice { locks: open()?, view: open()? };
        let same = opened.locks.fd().and_then(|locks| same_inode(locks, opened.view.fd()?));
        // If not, the topic was recreated between the two.
        if same.map_err(|error| Error::io(topic.name(), format!("examine {}", path.display()), error))? {
            return Ok(opened);
        }
    }
    Err(Error::Busy { topic: topic.name().into(), waited: Duration::ZERO, what: "open".into() })
}

fn same_inode(one: impl AsFd, two: impl AsFd) -> io::Result<bool> {
    let (one, two) = (fstat(one)?, fstat(two)?);
    Ok((one.st_dev, one.st_ino) == (two.st_dev, two.st_ino))
}

/// Whether a file has a name, as far as can be seen. By its links, since a path may mean another place by now to a process
/// that has shut itself in.
pub(crate) fn is_linked(file: &GuardedFd) -> bool {
    file.get().is_none_or(|fd| fstat(fd).map_or(true, |status| status.st_nlink > 0))
}

/// Whether the name leads to this very file; `false` also if there is no such name any more.
pub(crate) fn same_file(fd: impl AsFd, path: &Path) -> io::Result<bool> {
    let ours = fstat(fd)?;
    match lstat(path) {
        Ok(found) => Ok((ours.st_dev, ours.st_ino) == (found.st_dev, found.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Removes a name; fine if there is none.
pub(crate) fn unlink(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Removes a name, as [`unlink`] does, and keeps what had it until what is returned is dropped: if it was the last thing that
/// kept the file, that frees its memory, a tenth of a second for what a 4K stream leaves behind. Without a free descriptor
/// it is freed at once.
pub(crate) fn unlink_and_keep(path: &Path) -> io::Result<Option<GuardedFd>> {
    // One that only keeps needs no permission, and waits for nothing.
    let open = || {
        let flags = libc::O_PATH | libc::O_NOFOLLOW;
        Ok(fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?.into())
    };
    let kept = GuardedFd::open(open).ok();
    unlink(path)?;
    Ok(kept)
}

/// Whether this process may remove names of files of user `owner` in a directory, which in one that is sticky, as
/// `/dev/shm` is, only their owner and that of the directory may.
pub(crate) fn may_unlink(dir: &Path, owner: u32) -> io::Result<bool> {
    use rustix::fs::{Access, AtFlags, accessat};
    match accessat(CWD, dir, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
        Ok(()) => {}
        Err(Errno::ACCESS | Errno::ROFS) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    let status = fs::metadata(dir)?;
    let me = nix::unistd::geteuid().as_raw();
    let sticky = status.mode() & libc::S_ISVTX != 0;
    Ok(!sticky || me == owner || me == status.uid() || has_cap_fowner())
}

/// Whether this thread may do what only a file's owner may.
fn has_cap_fowner() -> bool {
    const CAP_FOWNER: u64 = 1 << 3;
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective
        .and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
        .is_some_and(|bits| bits & CAP_FOWNER != 0)
}

/// Gives a file a second name; fine if the name leads to that file already.
pub(crate) fn link(existing: &Path, name: &Path) -> io::Result<()> {
    match fs::hard_link(existing, name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let (one, two) = (fs::symlink_metadata(existing)?, fs::symlink_metadata(name)?);
            if (one.dev(), one.ino()) == (two.dev(), two.ino()) { Ok(()) } else { Err(error) }
        }
        result => result,
    }
}

/// All files of the topic there are, in no order.
pub(crate) fn files_of(topic: &Topic) -> io::Result<Vec<(FileKind, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(topic.dir())? {
        let entry = entry?;
        if let Some((name, kind)) = FileKind::parse(&entry.file_name())
            && name == topic.name()
        {
            found.push((kind, entry.path()));
        }
    }
    Ok(found)
}

/// Removes temporary files of the topic whose makers are dead; how many those were.
pub(crate) fn remove_orphaned_temps(topic: &Topic) -> io::Result<usize> {
    let mut removed = 0;
    for (kind, path) in files_of(topic)? {
        if matches!(kind, FileKind::Temp(_)) && remove_if_orphaned(topic, &path)? {
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes one temporary file if no process is creating it. A file that we may not open, or that is not ours, stays.
fn remove_if_orphaned(topic: &Topic, path: &Path) -> io::Result<bool> {
    let Ok(file) = open_existing(topic, path, true, false) else { return Ok(false) };
    let fd = file.fd()?;
    // The name must still lead to what we locked: its maker may have given it its real one meanwhile.
    if lock::try_write(fd, lock::LIFECYCLE_BYTE)? && same_file(fd, path)? {
        unlink(path)?;
        return Ok(true);
    }
    Ok(false)
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
