//! The list of participants as the protocols beside the ring see it.

use std::sync::atomic::{
    AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, Ordering::SeqCst, compiler_fence,
    fence,
};

use super::participants::ParticipantTable;
use crate::layout::peers::{CAPS_BYTES, flags};
use crate::protocol::accepted_caps::AcceptedCaps;
use crate::protocol::backlog::Backlog;
use crate::protocol::end::Votes;
use crate::protocol::events::Events;
use crate::protocol::fail_points::fail_point;
use crate::protocol::primary::Primary;
use crate::protocol::{FailPoint, Fence, Shared};
use crate::sys::futex;

impl Shared for ParticipantTable {
    type Word = AtomicU64;

    /// On x86-64 those of the backlog are for the compiler only: `Freed` and `Join` follow a locked instruction that stores the
    /// word in question (a cursor is stored by one, too), and so does `Owed` after a waiting producer's bit; elsewhere it keeps
    /// loads in order, which they are.
    #[inline(always)]
    fn fence(&self, which: Fence) {
        let implied = matches!(which, Fence::Freed | Fence::Join | Fence::Owed);
        if cfg!(target_arch = "x86_64") && implied {
            compiler_fence(SeqCst);
        } else {
            fence(SeqCst);
        }
    }
}

impl Backlog for ParticipantTable {
    fn active(&self) -> &AtomicU64 {
        &self.header().active
    }
    fn latest(&self) -> &AtomicU64 {
        &self.header().latest
    }
    fn cursor(&self, id: u8) -> &AtomicU64 {
        &self.participant(id).cursor
    }
    fn has_been_lossless(&self) -> bool {
        self.header().flags.load(Relaxed) & flags::LOSSLESS != 0
    }
    fn waiters(&self) -> &AtomicU64 {
        &self.header().waiters
    }
    fn freed_value(&self) -> u32 {
        self.header().freed.load(Acquire)
    }
    fn bump_freed(&self) {
        self.header().freed.fetch_add(1, Release);
    }
    fn wake_freed(&self) {
        // It fails only for addresses that are not mapped.
        let _ = futex::wake_all(&self.header().freed);
    }
}

impl Votes for ParticipantTable {
    fn active(&self) -> &AtomicU64 {
        &self.header().active
    }
    fn last_end(&self) -> &AtomicU64 {
        &self.header().ended
    }
    fn last_producer(&self) -> &AtomicU64 {
        &self.header().last_producer
    }
    fn vote(&self, id: u8) -> &AtomicU64 {
        &self.participant(id).ended
    }
    fn generation(&self, id: u8) -> &AtomicU64 {
        &self.participant(id).generation
    }
    fn is_alive(&self, id: u8) -> bool {
        Self::is_alive(self, id)
    }
}

impl Primary for ParticipantTable {
    fn primary(&self) -> &AtomicU64 {
        &self.header().primary
    }
    fn generation(&self, id: u8) -> &AtomicU64 {
        &self.participant(id).generation
    }
    fn is_alive(&self, id: u8) -> bool {
        Self::is_alive(self, id)
    }
}

impl Events for ParticipantTable {
    fn bump(&self) {
        self.header().events.fetch_add(1, Release);
    }
    fn watchers(&self) -> &AtomicU64 {
        &self.header().watchers
    }
    fn wake(&self) {
        // It fails only for addresses that are not mapped.
        let _ = futex::wake_all(&self.header().events);
    }
}

/// The accepted caps in one participant's entry.
pub(crate) struct CapsOf<'a> {
    pub(crate) peers: &'a ParticipantTable,
    pub(crate) id: u8,
    /// Whether this is a change, at which a process may be stopped, and not part of a join.
    pub(crate) stops: bool,
}

impl Shared for CapsOf<'_> {
    type Word = AtomicU64;

    fn at(&self, step: FailPoint) {
        if self.stops {
            fail_point(step);
        }
    }
}

impl AcceptedCaps for CapsOf<'_> {
    fn lock(&self) -> &AtomicU64 {
        &self.peers.participant(self.id).caps_lock
    }
    fn len(&self) -> &AtomicU64 {
        &self.peers.participant(self.id).caps_len
    }
    fn text(&self, i: usize) -> Option<&AtomicU64> {
        (i < CAPS_BYTES / 8).then(|| self.peers.caps_word(self.id, i))
    }
    fn generation(&self) -> &AtomicU64 {
        &self.peers.participant(self.id).generation
    }
    fn pause(&self) {
        std::thread::yield_now();
    }
}

/// The description of the topic, which is written as accepted caps are.
pub(crate) struct DescriptionOf<'a>(pub(crate) &'a ParticipantTable);

impl Shared for DescriptionOf<'_> {
    type Word = AtomicU64;

    fn at(&self, step: FailPoint) {
        fail_point(match step {
            FailPoint::CapsBegun => FailPoint::DescriptionBegun,
            FailPoint::CapsWritten => FailPoint::DescriptionWritten,
            other => other,
        });
    }
}

impl AcceptedCaps for DescriptionOf<'_> {
    fn lock(&self) -> &AtomicU64 {
        &self.0.header().description_lock
    }
    fn len(&self) -> &AtomicU64 {
        &self.0.header().description_len
    }
    fn text(&self, i: usize) -> Option<&AtomicU64> {
        self.0.header().description.get(i)
    }
    fn generation(&self) -> &AtomicU64 {
        &self.0.header().generation
    }
    fn pause(&self) {
        std::thread::yield_now();
    }
}
