//! What the protocol needs from memory, so that the same code runs on shared mappings and under loom.

use std::sync::atomic::Ordering;

/// One 64-bit control word in shared memory.
pub(crate) trait Word {
    fn load(&self, order: Ordering) -> u64;
    fn store(&self, value: u64, order: Ordering);
    /// Compare-and-swap; the value found on failure. Success orders as given, failure as `Acquire`.
    fn cas(&self, from: u64, to: u64, order: Ordering) -> Result<(), u64>;
    /// Sets bits, returns the value before.
    fn or(&self, bits: u64, order: Ordering) -> u64;
    /// Keeps only `bits`, returns the value before.
    fn and(&self, bits: u64, order: Ordering) -> u64;
}

/// Where the protocol needs a total order that acquire and release do not give.
///
/// Each is `fence(SeqCst)` in shared memory. The models leave one out at a time, to show that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fence {
    /// Claim: between taking the state and writing the payload; pairs with [`Fence::Copy`].
    Claim,
    /// Copy: between reading the payload and looking at the state again; pairs with [`Fence::Claim`].
    Copy,
    /// Publish: between the index and the sleeper word; pairs with [`Fence::Sleep`].
    Wake,
    /// Sleep: between the sleeper bit and the last look at the index; pairs with [`Fence::Wake`].
    Sleep,
    /// Lease budget: between one's own bit and counting the others'; pairs with itself.
    Budget,
    /// Backlog: between what frees a slot (a holder bit, a cursor, the mask of active participants) and the look at the
    /// producers that wait; pairs with [`Fence::Owed`].
    Freed,
    /// Backlog: between the head, or a waiting producer's bit, and the look at who is owed what; pairs with [`Fence::Join`] and
    /// [`Fence::Freed`].
    Owed,
    /// Join: between a consumer's bit in the mask of active participants and its first look at the index; pairs with
    /// [`Fence::Owed`].
    Join,
    /// Accepted caps: between the odd lock and the text; pairs with [`Fence::CapsRead`].
    CapsWrite,
    /// Accepted caps: between the text and the second look at the lock; pairs with [`Fence::CapsWrite`].
    CapsRead,
    /// Events: between the change of the counter and the look at the watchers; pairs with [`Fence::Watch`].
    Notify,
    /// Events: between the watcher's bit and its look at the counter; pairs with [`Fence::Notify`].
    Watch,
    /// Cancel: between the flag and the look at who waits where; pairs with [`Fence::Waiter`] and [`Fence::Event`].
    Cancel,
    /// Cancel: between a waiter's registration and its look at the flag; pairs with [`Fence::Cancel`].
    Waiter,
    /// Cancel: between making, or clearing, the event descriptor and the look at the flag; pairs with
    /// [`Fence::Cancel`].
    Event,
}

/// Wrong variants of the protocol that the models must catch. Real memory is never one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) enum Mutant {
    /// Holder words set with relaxed read-modify-writes.
    RelaxedHolders,
    /// Leave out one fence.
    Without(Fence),
    /// The claimer trusts a holder word that it loaded before the state, whatever it finds when it sets its bit.
    HoldersBeforeState,
    /// A claimer that finds the slot held stores the old state back, without comparing.
    RollbackStores,
    /// A claimer that finds its own bit set takes it for its own hold.
    OwnBitIsMine,
    /// As before, and a failed claim restores the state first and clears its bit afterwards.
    RollbackOutOfOrder,
    /// A consumer looks again and again at a frame that its producer took back.
    LookAgainForEver,
    /// A publisher helps `head` over a seal.
    HelpPastSeal,
    /// A publisher does not compare the index entry that it replaces.
    IndexStores,
    /// A consumer trusts the state that it saw before it set its bit.
    NoSecondLook,
    /// The claimer reads the index before the holder word.
    OfferBeforeHolders,
    /// The first `head` of an epoch is stored, even if another producer was faster.
    StartStores,
    /// The futex word is changed and read without an order.
    RelaxedWakeWord,
    /// A reaper looks whether the dead one's byte is locked, and does not lock it.
    ReapUnlocked,
    /// A newcomer sets the lock of its accepted caps back to 0.
    CapsLockRestarts,
    /// The producers' votes for an end are read once.
    VotesReadOnce,
    /// A reaper reads the last end after it has seen that the dead producer is active.
    BuriesLate,
    /// A reaper stores the dead producer's end, whatever happened since it looked.
    BurialStores,
    /// The last producer to leave does not reap the dead before it votes.
    LeavesTheDead,
    /// A standby makes itself the primary without comparing.
    PrimaryStores,
    /// A reaper clears the primary without comparing.
    DeposesAnyone,
    /// Each thread of a producer that stops watching clears the producer's bit.
    EachClearsTheBit,
    /// Who frees a slot looks for waiting producers first.
    LooksBeforeFreeing,
    /// A waiting producer loads the futex word after it has looked for a slot.
    ValueAfterLook,
    /// Each thread of a producer that has stopped waiting clears the producer's bit.
    EachStopsWaiting,
    /// A producer reads who is registered, and then the head.
    HeadAfterConsumers,
    /// A reaper that takes a consumer out tells no producer that waits for it.
    ReapsSilently,
    /// Who finds the event descriptor readable without reason clears it and looks no more.
    ConfirmsOnce,
    /// A reset clears the event descriptor and looks no more.
    ResetsOnce,
    /// An opener sees the gate open and counts itself without comparing.
    GateNotCompared,
    /// A descriptor is registered after its opener has left the gate.
    RegistersLate,
    /// The word and the level of a poll descriptor are not changed under one lock.
    LevelUnlocked,
    /// A consumer whose watcher sleeps on does not look once more.
    KeptLooksOnce,
}

/// The control words of one topic at one epoch, as one participant sees them.
///
/// Consumers call nothing here that stores to the ring file: `head`, `first`, `index` and `state` are
/// read-only to them; `holders`, `sleepers` and `cursor` are in the files that they may write.
/// `slot` arguments are below [`Memory::slots`]: code that takes one from shared memory checks it first.
pub(crate) trait Memory {
    type Word: Word;

    /// Number of slots; at least 1.
    fn slots(&self) -> u16;
    /// Length of the index: a power of two, at least twice the slots.
    fn index_len(&self) -> u64;
    /// Next sequence to be published, or a little behind it; 0 until the epoch has started.
    fn head(&self) -> &Self::Word;
    /// First sequence of this epoch; 0 until its predecessor is sealed.
    fn first(&self) -> &Self::Word;
    /// The index entry that sequence `seq` uses.
    fn index(&self, seq: u64) -> &Self::Word;
    fn state(&self, slot: u16) -> &Self::Word;
    fn holders(&self, slot: u16) -> &Self::Word;
    /// One bit per participant that sleeps, or is about to.
    fn sleepers(&self) -> &Self::Word;

    /// The futex word that sleepers wait on. Acquire: a process that sees a change of it sees what was published before it,
    /// or else a sleeper could wait for the change after the one that was meant for it.
    fn wake_value(&self) -> u32;
    /// Changes the futex word, with Release. Producers only.
    fn bump_wake(&self);
    /// Wakes every sleeper; how many there were.
    fn wake_all(&self) -> usize;

    /// A sequentially consistent fence.
    fn fence(&self, which: Fence);
    /// A named fail point; nothing at all in a release.
    fn at(&self, step: super::FailPoint);

    /// Whether this memory asks for a wrong variant of the protocol; constant false outside the models.
    #[inline(always)]
    fn mutant(&self, _which: Mutant) -> bool {
        false
    }

    /// Ordering of holder read-modify-writes.
    #[inline(always)]
    fn hold_order(&self) -> Ordering {
        if self.mutant(Mutant::RelaxedHolders) { Ordering::Relaxed } else { Ordering::AcqRel }
    }
}

/// What the protocols beside the ring need of where they run. The defaults are those of real memory.
pub(crate) trait Shared {
    type Word: Word;

    /// A sequentially consistent fence.
    #[inline(always)]
    fn fence(&self, _which: Fence) {
        std::sync::atomic::fence(Ordering::SeqCst);
    }
    /// A named fail point; nothing at all in a release.
    #[inline(always)]
    fn at(&self, step: super::FailPoint) {
        super::fail_points::fail_point(step);
    }
    /// Whether a wrong variant is asked for; constant false outside the models.
    #[inline(always)]
    fn mutant(&self, _which: Mutant) -> bool {
        false
    }
}
