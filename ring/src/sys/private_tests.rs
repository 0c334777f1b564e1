#![allow(
    unsafe_code,
    clippy::print_stderr,
    reason = "they write where frames are, and say what they leave out"
)]
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use super::super::testing::TempDir;
use super::*;

const PAGES: usize = 1200;

struct Fixture {
    _dir: TempDir,
    file: File,
    map: PrivateMap,
    page: usize,
}

impl Fixture {
    fn new() -> Self {
        let dir = TempDir::new();
        let page = rustix::param::page_size();
        let path = dir.path().join("f");
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        file.write_all_at(&vec![7; PAGES * page], 0).unwrap();
        // A descriptor that only reads is enough to write for oneself.
        let readable = File::open(path).unwrap();
        let map = PrivateMap::new(readable.as_fd(), 0, PAGES * page, true).unwrap();
        Self { _dir: dir, file, map, page }
    }

    fn scribble(&self, page: usize) {
        // SAFETY: within the mapping, to which no reference exists.
        unsafe { self.map.map.as_mut_ptr().add(page * self.page).write_volatile(9) };
    }

    fn shows(&self, page: usize) -> u8 {
        // SAFETY: as above.
        unsafe { self.map.map.as_ptr().add(page * self.page).read_volatile() }
    }

    /// The private pages, as the kernel tells of them.
    fn private(&self, next: impl Fn(usize, usize) -> io::Result<Option<(usize, usize)>>) -> Vec<usize> {
        let base = self.map.map.as_ptr().addr();
        let (mut at, end) = (base, base + PAGES * self.page);
        let mut found = Vec::new();
        while let Some((from, to)) = next(at, end).unwrap() {
            found.extend((from..to).step_by(self.page).map(|address| (address - base) / self.page));
            at = to;
        }
        found
    }

    fn refresh(&self, seen: &AtomicU64) {
        self.map.refresh(0, PAGES * self.page, seen).unwrap();
    }
}

const SCRIBBLED: [usize; 7] = [0, 1, 2, 511, 512, 600, PAGES - 1];

#[test]
fn what_is_written_is_ours_alone_and_gone_after_a_refresh() {
    let fixture = Fixture::new();
    let seen = AtomicU64::new(u64::MAX);
    for round in 0_u8..3 {
        fixture.refresh(&seen);
        for page in SCRIBBLED {
            assert_eq!(fixture.shows(page), 7 + round, "page {page}");
            fixture.scribble(page);
        }
        let mut byte = [0];
        fixture.file.read_exact_at(&mut byte, 0).unwrap();
        assert_eq!(byte, [7 + round], "the file has what was written to the file");
        fixture.file.write_all_at(&vec![8 + round; PAGES * fixture.page], 0).unwrap();
        assert_eq!(fixture.shows(0), 9, "a page of our own hides it");
        assert_eq!(fixture.shows(3), 8 + round, "all others show it");
    }
}

#[test]
fn both_ways_to_ask_the_kernel_find_the_same_pages() {
    let fixture = Fixture::new();
    let pagemap = Pagemap::open().unwrap();
    let file = pagemap.file.fd().unwrap();
    assert_eq!(fixture.private(|from, to| read(file, from, to)), [], "filling the tables copies nothing");
    SCRIBBLED.iter().for_each(|page| fixture.scribble(*page));
    assert_eq!(fixture.private(|from, to| read(file, from, to)), SCRIBBLED);
    match fixture.private_by_scan(file) {
        Some(found) => assert_eq!(found, SCRIBBLED),
        None => eprintln!("skipped in part: this kernel has no PAGEMAP_SCAN (Linux 6.7)"),
    }
    assert_eq!(fixture.private(|from, to| pagemap.next(from, to)), SCRIBBLED);
}

impl Fixture {
    fn private_by_scan(&self, file: BorrowedFd<'_>) -> Option<Vec<usize>> {
        let base = self.map.map.as_ptr().addr();
        match scan(file, base, base + PAGES * self.page) {
            Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => None,
            _ => Some(self.private(|from, to| scan(file, from, to))),
        }
    }
}

#[test]
fn where_the_kernel_tells_nothing_all_pages_are_dropped() {
    let fixture = Fixture::new();
    fixture.map.pagemap.set(None).unwrap();
    SCRIBBLED.iter().for_each(|page| fixture.scribble(*page));
    fixture.refresh(&AtomicU64::new(u64::MAX));
    assert!(SCRIBBLED.iter().all(|page| fixture.shows(*page) == 7));
}

#[test]
fn locked_pages_are_dropped_too() {
    let fixture = Fixture::new();
    // Copies every page, as `mlockall` does.
    if fixture.map.map.lock().is_err() {
        eprintln!("skipped: this process may not lock {PAGES} pages");
        return;
    }
    fixture.file.write_all_at(&vec![8; PAGES * fixture.page], 0).unwrap();
    assert_eq!(fixture.shows(5), 7, "they are copies");
    fixture.refresh(&AtomicU64::new(u64::MAX));
    assert!((0..PAGES).all(|page| fixture.shows(page) == 8));
}

#[test]
fn writes_of_other_threads_and_of_the_kernel_are_found() {
    let fixture = Fixture::new();
    let seen = AtomicU64::new(u64::MAX);
    fixture.refresh(&seen);
    std::thread::scope(|scope| scope.spawn(|| fixture.scribble(40)).join().unwrap());
    assert_eq!(fixture.shows(40), 9);
    fixture.refresh(&seen);
    assert_eq!(fixture.shows(40), 7);
    // By a system call, as `file.readinto(array)` does.
    let zeros = File::open("/dev/zero").unwrap();
    let at = fixture.map.map.as_mut_ptr().wrapping_add(50 * fixture.page);
    // SAFETY: a page of the mapping, to which no other reference exists.
    let page = unsafe { std::slice::from_raw_parts_mut(at, fixture.page) };
    rustix::io::read(&zeros, page).unwrap();
    assert_eq!(fixture.shows(50), 0);
    fixture.refresh(&seen);
    assert_eq!(fixture.shows(50), 7);
}

#[test]
fn a_part_that_begins_within_a_large_page_is_mapped_with_what_is_before_it() {
    let fixture = Fixture::new();
    let from = fixture.page + 16;
    let map = PrivateMap::new(fixture.file.as_fd(), from, 3 * fixture.page, false).unwrap();
    assert!(map.range(from, 2 * fixture.page - 16).is_some());
    for (offset, len) in [(0, 1), (from, 2 * fixture.page), (usize::MAX, 1), (3 * fixture.page, 1)] {
        assert!(map.range(offset, len).is_none(), "{offset} {len}");
        assert!(map.refresh(offset, len, &AtomicU64::new(u64::MAX)).is_err());
    }
    map.refresh(from, 100, &AtomicU64::new(u64::MAX)).unwrap();
}

#[test]
fn a_system_that_counts_no_faults_is_not_believed_that_there_were_none() {
    assert!(page_faults().is_some(), "this one counts them");
    assert_eq!((counted(0), counted(1)), (None, Some(1)));
    assert!(
        counted(u64::MAX).is_some_and(|faults| faults != u64::MAX),
        "which is for slots that nobody looked at"
    );
}
