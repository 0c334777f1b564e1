//! Making and mapping the files of an epoch.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Stat, fstat};

use super::ring_perms;
use crate::error::{Error, Result};
use crate::layout::VERSION;
use crate::layout::ring::{BadGeometry, PAGE, RingGeometry};
use crate::protocol::FailPoint;
use crate::protocol::fail_points::fail_point;
use crate::shm::backing::is_small;
use crate::shm::epoch::{Epoch, Part, read_geometry, read_progress};
use crate::shm::registration::Registration;
use crate::sys::files::{TempFile, create_sparse, create_temp, open_existing};
use crate::sys::fork::GuardedFd;
use crate::sys::holes;
use crate::sys::map::{Access, Mapping};
use crate::topic::{FileKind, Topic};

/// The files of a new epoch: `holds` has its name, `ring` waits for it.
#[derive(Debug)]
pub(crate) struct NewEpoch {
    pub(crate) geometry: RingGeometry,
    pub(crate) ring: TempFile,
    ring_map: Mapping,
    holds: Part,
}

/// Makes the files of an epoch, mapped, and with memory for all control words at least. `first` is 0 if a predecessor decides it.
///
/// They get the owner, the group and the permissions of the topic's list, as far as we may give them: who takes part
/// belongs to those for whom it was made, and whoever happens to enlarge it shuts nobody out.
pub(crate) fn create(
    member: &Registration,
    geometry: RingGeometry,
    first: u64,
    [holds_step, ring_step]: [FailPoint; 2],
) -> Result<NewEpoch> {
    let topic = member.peers.topic();
    let list = fstat(member.peers.fd()?)
        .map_err(|e| Error::io(topic.name(), "examine the list of participants", e))?;
    let perms = perms_of(&list);
    let io = |e| Error::io(topic.name(), "map the new ring", e);
    let broken = |why: &'static str| Error::Io {
        topic: topic.name().into(),
        what: "lay out the new ring".into(),
        source: std::io::Error::other(why),
    };
    // The large one first: if there is no room for it, nothing else was done. Of a large one the rest is reserved later.
    let o = geometry.offsets();
    let small = is_small(o.file_len);
    let reserved = if small { o.file_len } else { o.meta_at };
    let ring = create_sparse(topic, ring_perms(perms), o.file_len, reserved)?;
    ring.give_to(list.st_uid, list.st_gid)?;
    let ring_map =
        Mapping::new(ring.view()?, len(topic, o.file_len)?, Access::ReadWrite, small).map_err(io)?;
    Epoch::initialise(&geometry, &ring_map, first, small).map_err(broken)?;
    let mut holds = create_temp(topic, perms, geometry.holds_len())?;
    holds.give_to(list.st_uid, list.st_gid)?;
    let holds_map = Mapping::new(holds.view()?, len(topic, geometry.holds_len())?, Access::ReadWrite, true)
        .map_err(io)?;
    Epoch::initialise_holds(&geometry, &holds_map).map_err(broken)?;
    if !holds.commit_new(&topic.path(FileKind::Holds(geometry.holds)))? {
        return Err(broken("the name of its holder words is taken"));
    }
    fail_point(holds_step);
    fail_point(ring_step);
    Ok(NewEpoch { geometry, ring, ring_map, holds: Part { map: holds_map, file: holds.into_view() } })
}

/// The topic's permissions: those its maker chose.
pub(super) fn topic_perms(member: &Registration) -> Result<u32> {
    let status = fstat(member.peers.fd()?)
        .map_err(|e| Error::io(member.topic_name(), "examine the list of participants", e))?;
    Ok(perms_of(&status))
}

/// The permissions of a file.
fn perms_of(status: &Stat) -> u32 {
    status.st_mode & 0o777
}

impl NewEpoch {
    /// The epoch, once its ring has its name.
    pub(crate) fn into_epoch(self, member: Arc<Registration>) -> Result<Epoch> {
        let topic = member.topic_shared();
        let ring = Part { map: self.ring_map, file: self.ring.into_view() };
        Epoch::new(member, self.geometry, ring, Some(self.holds)).map_err(|why| Error::Io {
            topic,
            what: "lay out the new ring".into(),
            source: std::io::Error::other(why),
        })
    }
}

/// How an existing epoch is to be mapped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    pub(crate) write_ring: bool,
    pub(crate) write_holds: bool,
    pub(crate) allow_foreign: bool,
    pub(crate) prefault: bool,
    /// Payload that this process may write for itself.
    pub(crate) copy_on_write: bool,
}

impl Mode {
    /// That of a producer.
    pub(crate) const fn writing(allow_foreign: bool) -> Self {
        Self { write_ring: true, write_holds: true, allow_foreign, prefault: true, copy_on_write: false }
    }
}

/// Maps the epoch whose ring has this name. See [`Epoch::start_backing`] for the rest of its memory.
pub(crate) fn map(member: &Arc<Registration>, path: &Path, mode: Mode) -> Result<Epoch> {
    let topic = member.peers.topic();
    let not_a_ring_at = |path: &Path, why: &str| Error::NotARing {
        topic: topic.name().into(),
        path: path.into(),
        why: why.into(),
    };
    let not_a_ring = |why: &str| not_a_ring_at(path, why);
    let used = |e| Error::io(topic.name(), "use the ring", e);
    let file = open_existing(topic, path, mode.write_ring, mode.allow_foreign)?;
    let geometry = geometry_of(topic, file.fd().map_err(used)?, path)?;
    let access = if mode.write_ring { Access::ReadWrite } else { Access::ReadOnly };
    let io = |path: &Path, e: std::io::Error| match e.kind() {
        std::io::ErrorKind::InvalidData => not_a_ring_at(path, &e.to_string()),
        _ => Error::io(topic.name(), format!("map {}", path.display()), e),
    };
    let part = |path: &Path, file: GuardedFd, bytes: u64, access, prefault| -> Result<Part> {
        let map = Mapping::new(file.fd().map_err(used)?, len(topic, bytes)?, access, prefault);
        Ok(Part { map: map.map_err(|e| io(path, e))?, file })
    };
    let o = geometry.offsets();
    let small = is_small(o.file_len);
    // Before anything of it is touched: holes would be filled, for which its maker has to pay and not its readers.
    let check_memory = |fd: BorrowedFd<'_>, needed: u64| match holes::has_memory_for(fd, needed) {
        Ok(true) => Ok(()),
        Ok(false) => Err(not_a_ring(&format!(
            "it is {} bytes long, and of the first {needed} only some have memory",
            o.file_len
        ))),
        Err(e) => Err(Error::io(topic.name(), "examine the ring", e)),
    };
    check_memory(file.fd().map_err(used)?, if small { o.file_len } else { o.meta_at })?;
    let prefault = mode.prefault && small;
    let ring = if mode.copy_on_write {
        let (end, from) = (len(topic, o.file_len)?, len(topic, o.payload_at)?);
        let map = Mapping::copy_on_write(file.fd().map_err(used)?, end, from, prefault);
        Part { map: map.map_err(|e| io(path, e))?, file }
    } else {
        part(path, file, o.file_len, access, prefault)?
    };
    if ring.is_reserved() {
        check_memory(ring.file.fd().map_err(used)?, o.file_len)?;
    }
    let holds = if mode.write_holds {
        let path = topic.path(FileKind::Holds(geometry.holds));
        let file = open_existing(topic, &path, true, mode.allow_foreign)?;
        Some(part(&path, file, geometry.holds_len(), Access::ReadWrite, true)?)
    } else {
        None
    };
    Epoch::new(Arc::clone(member), geometry, ring, holds).map_err(not_a_ring)
}

/// The geometry of an open ring.
fn geometry_of(topic: &Topic, fd: impl AsFd, path: &Path) -> Result<RingGeometry> {
    let not_a_ring =
        |why: &str| Error::NotARing { topic: topic.name().into(), path: path.into(), why: why.into() };
    let size = fstat(fd.as_fd()).map_err(|e| Error::io(topic.name(), "examine the ring", e))?.st_size;
    let size = u64::try_from(size).unwrap_or(0);
    if size < PAGE {
        return Err(not_a_ring("it is too short"));
    }
    let page = Mapping::new(fd, PAGE as usize, Access::ReadOnly, false)
        .map_err(|e| Error::io(topic.name(), "map the ring", e))?;
    read_geometry(&page, size).map_err(|bad| match bad {
        BadGeometry::Version(found) => Error::VersionMismatch {
            topic: topic.name().into(),
            found: u32::try_from(found).unwrap_or(u32::MAX),
            expected: VERSION as u32,
        },
        BadGeometry::Other(why) => not_a_ring(why),
    })
}

/// A ring as an observer sees it: its geometry, first and next sequence.
pub(crate) fn read_ring_header(
    topic: &Topic,
    path: &Path,
    allow_foreign: bool,
) -> Result<(RingGeometry, u64, u64)> {
    let fd = open_existing(topic, path, false, allow_foreign)?;
    let fd = fd.fd().map_err(|e| Error::io(topic.name(), "use the ring", e))?;
    let geometry = geometry_of(topic, fd, path)?;
    let page = Mapping::new(fd, PAGE as usize, Access::ReadOnly, false)
        .map_err(|e| Error::io(topic.name(), "map the ring", e))?;
    let (first, head) = read_progress(&page).unwrap_or_default();
    Ok((geometry, first, head))
}

fn len(topic: &Topic, bytes: u64) -> Result<usize> {
    usize::try_from(bytes).map_err(|_| Error::TooLarge {
        topic: topic.name().into(),
        needed: bytes,
        max: usize::MAX as u64,
    })
}
