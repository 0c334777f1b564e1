//! The named fail points: one after each store to shared memory, and after each change of the files.
//!
//! A build with the feature `failpoints` can kill or stop a process at any of them (see `docs/kill-matrix.md`,
//! whose list of points a test compares with this one).

macro_rules! steps {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// A point in the protocol at which a participant may die or stop, named by what it has just done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum FailPoint { $($(#[doc = $doc])+ $name,)+ }

        impl FailPoint {
            /// Every fail point, in the order of the protocol.
            pub const ALL: &'static [FailPoint] = &[$(FailPoint::$name,)+];

            /// The name, as the documents and the models spell it.
            pub const fn name(self) -> &'static str {
                match self { $(FailPoint::$name => stringify!($name),)+ }
            }

            /// What has just been done.
            pub const fn what(self) -> &'static str {
                match self { $(FailPoint::$name => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

steps! {
    /// Open: the new `peers` file has its temporary name.
    OpenPeersTemp,
    /// Open: `peers` has its name.
    OpenPeersCommit,
    /// Open: the lifecycle lock is held.
    OpenLocked,
    /// Open: the new `holds` file has its name, no `ring` refers to it yet.
    OpenHolds,
    /// Open: the new `ring` file has its temporary name.
    OpenRingTemp,
    /// Open: `ring` has its name; the epoch is committed.
    OpenRingCommit,
    /// Join: the participant's byte is locked.
    JoinLocked,
    /// Join: what a dead owner of the entry left is cleaned away.
    JoinCleaned,
    /// Join: name, role and counters are in the entry.
    JoinEntry,
    /// Join: the cursor is in the entry.
    JoinCursor,
    /// Join: the participant's bit is in the mask of active ones.
    JoinActive,
    /// Join without a place: the flag is set by which every publication wakes.
    CrowdFlag,
    /// The last consumer without a place is gone: the flag is cleared.
    CrowdClear,
    /// Claim: the slot's state is `Writing`.
    ClaimState,
    /// Claim: the producer's holder bit is set.
    ClaimHold,
    /// Claim, slot found held: the producer's holder bit is cleared again.
    ClaimUnhold,
    /// Claim, slot found held: the old state is restored.
    ClaimRestore,
    /// A claim is given back: its state is `Free`.
    AbandonState,
    /// A claim is given back: its holder bit is cleared.
    AbandonHold,
    /// Publish: half of the payload is written.
    PublishPayload,
    /// Publish: metadata and lengths are written.
    PublishMeta,
    /// Publish: `head` was helped over a frame that another producer published.
    PublishHelp,
    /// Publish: the slot is stamped with a sequence.
    PublishStamp,
    /// Publish: the index entry names the slot; the frame is public.
    PublishIndex,
    /// Publish: `head` is advanced.
    PublishHead,
    /// Publish: the futex word is changed, no sleeper is woken yet.
    PublishWake,
    /// Publish: the sleepers are woken; the counters are not written yet.
    PublishWoken,
    /// Publish: the producer releases the slot.
    PublishRelease,
    /// Lease: the frame is found, nothing is set yet.
    LeaseLook,
    /// Lease: the consumer's holder bit is set, the state is not checked yet.
    LeaseHold,
    /// Lease, frame gone: the consumer's holder bit is cleared again.
    LeaseBackoff,
    /// Lease: the frame is the consumer's.
    LeaseTaken,
    /// Lease: the cursor is past the frame.
    LeaseCursor,
    /// Copy: half of the payload is copied out.
    CopyHalf,
    /// Release: the consumer's holder bit is cleared.
    Release,
    /// Sleep: the sleeper bit is set, the index is not checked again yet.
    SleepBit,
    /// Sleep: awake, the sleeper bit is cleared.
    SleepClear,
    /// Wait: a lossless producer's bit is set, it has not looked for a slot again yet.
    WaitBit,
    /// Wait: it waits no more, the bit is cleared.
    WaitClear,
    /// Something was freed: the futex word of waiting producers is changed, none is woken yet.
    FreedWord,
    /// A producer's end of stream is in its entry; no sleeper is woken yet.
    EndNoted,
    /// A standby producer has made itself the primary.
    PrimaryTaken,
    /// The topic's description is marked as being written.
    DescriptionBegun,
    /// The topic's description is written.
    DescriptionWritten,
    /// A consumer's accepted caps are marked as being written.
    CapsBegun,
    /// A consumer's accepted caps are written; producers are not notified yet.
    CapsWritten,
    /// Reap: the dead participant's byte is read-locked.
    ReapLocked,
    /// Reap: a slot that the dead participant wrote into is `Free`.
    ReapState,
    /// Reap: a holder bit of the dead participant is cleared.
    ReapHold,
    /// Reap: its sleeper bit is cleared.
    ReapSleeper,
    /// Reap: it is out of the mask of active ones.
    ReapMask,
    /// Reap: its entry is free.
    ReapEntry,
    /// Reserve: a piece of a large ring has got its memory.
    ReservePiece,
    /// Grow: the new `holds` has its name.
    GrowHolds,
    /// Grow: the new `ring` has its temporary name.
    GrowTemp,
    /// Grow: the old `ring` has a second name.
    GrowKeepOld,
    /// Grow: the new `ring` has the stable name; the old epoch is not sealed yet.
    GrowCommit,
    /// Seal: the old epoch's index ends with the seal.
    SealIndex,
    /// Seal: the new epoch knows its first sequence.
    SealFirst,
    /// Seal: the new epoch's `head` is set; it can be published into.
    SealHead,
    /// Seal: the sleepers of the old epoch are woken.
    SealWake,
    /// Grow: `peers` names the new epoch.
    GrowEpoch,
    /// Grow: names of old epochs that no consumer needs are removed.
    GrowPurge,
    /// Leave: a producer's end of stream is noted.
    LeaveEnded,
    /// Leave: the participant is out of the mask of active ones.
    LeaveMask,
    /// Leave: no holder bit and no sleeper bit is left.
    LeaveBits,
    /// Leave: the entry is free.
    LeaveEntry,
    /// Remove: `peers` is marked: the topic is removed.
    RemoveMark,
    /// Remove: the names of `ring` are gone.
    RemoveRing,
    /// Remove: the names of `holds` are gone.
    RemoveHolds,
    /// Remove: `peers` is gone.
    RemovePeers,
}

impl std::fmt::Display for FailPoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Stops or kills this process at `step` if a test armed it.
#[cfg(feature = "failpoints")]
pub(crate) fn fail_point(step: FailPoint) {
    crate::failpoint::fail_point(step);
}

/// Nothing: the fail points are not compiled in.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(crate) fn fail_point(_step: FailPoint) {}
