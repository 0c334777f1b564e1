//! Deaths and stops while a topic is opened, cleaned up, enlarged and closed.

use shmflow::{Role, Step, Step::*};

use super::{Act, BASE, Before, CLOSING, GROWING, OPENING, Others, Scenario};

pub const OPENING_A_TOPIC: &[Scenario] = &[
    Scenario {
        name: "a producer makes the topic",
        others: Others::Later,
        act: Act::Does("producer; write 3"),
        steps: &[
            (OpenPeersTemp, &[1]),
            (OpenPeersCommit, &[1]),
            (OpenLocked, &[1]),
            (OpenHolds, &[1]),
            (OpenRingTemp, &[1]),
            (OpenRingCommit, &[1]),
            (JoinLocked, &[1]),
            (JoinCleaned, &[1]),
            (JoinEntry, &[1]),
            (JoinCursor, &[1]),
            (JoinActive, &[1]),
        ],
        locked: OPENING,
        ..BASE
    },
    Scenario {
        name: "a producer joins",
        act: Act::Does("producer; write 3"),
        steps: &[
            (OpenLocked, &[1]),
            (JoinLocked, &[1]),
            (JoinCleaned, &[1]),
            (JoinEntry, &[1]),
            (JoinCursor, &[1]),
            (JoinActive, &[1]),
        ],
        locked: OPENING,
        ..BASE
    },
    Scenario {
        name: "a consumer joins",
        role: Role::Consumer,
        act: Act::Does("consumer; recv 500 3"),
        steps: &[
            (OpenLocked, &[1]),
            (JoinLocked, &[1]),
            (JoinCleaned, &[1]),
            (JoinEntry, &[1]),
            (JoinCursor, &[1]),
            (JoinActive, &[1]),
        ],
        locked: OPENING,
        ..BASE
    },
    Scenario {
        name: "a producer takes the place of a dead one",
        others: Others::Resting,
        before: &[Before::Dies(1, "producer; write 1; arm ClaimHold 1 kill; write 1")],
        act: Act::Does("producer; write 3"),
        steps: &[
            (ReapState, &[1]),
            (ReapHold, &[1]),
            (ReapMask, &[1]),
            (ReapEntry, &[1]),
            (JoinCleaned, &[1]),
            (JoinEntry, &[1]),
        ],
        locked: &[ReapState, ReapHold, ReapMask, ReapEntry, JoinCleaned, JoinEntry],
        ..BASE
    },
    Scenario {
        name: "a producer completes the removal that a dead one began",
        others: Others::Later,
        before: &[Before::Dies(1, "producer; write 3; arm RemoveMark 1 kill; close")],
        act: Act::Does("producer; write 3"),
        steps: &[(RemoveRing, &[1]), (RemoveHolds, &[1]), (RemovePeers, &[1]), (OpenPeersTemp, &[1])],
        locked: CLOSING,
        ..BASE
    },
];

pub const MAKING_ANEW: &[Scenario] = &[
    Scenario {
        name: "a producer makes a topic anew whose ring was deleted",
        others: Others::Later,
        before: &[Before::Does(1, "producer; write 3; lose ring")],
        act: Act::Does("producer; write 3"),
        steps: ANEW,
        locked: ANEW_LOCKED,
        ..BASE
    },
    Scenario {
        name: "a producer makes a topic anew whose holder words were deleted",
        others: Others::Later,
        before: &[Before::Does(1, "producer; write 3; lose holds")],
        act: Act::Does("producer; write 3"),
        steps: ANEW,
        locked: ANEW_LOCKED,
        ..BASE
    },
    Scenario {
        name: "a producer makes a topic anew whose list was deleted",
        others: Others::Later,
        before: &[Before::Does(1, "producer; write 3; lose peers")],
        act: Act::Does("producer; write 3"),
        steps: &[
            (OpenPeersTemp, &[1]),
            (OpenPeersCommit, &[1]),
            (RemoveRing, &[1]),
            (RemoveHolds, &[1]),
            (OpenRingCommit, &[1]),
        ],
        locked: ANEW_LOCKED,
        ..BASE
    },
];

const ANEW_LOCKED: &[Step] = &[OpenPeersCommit, RemoveMark, RemoveRing, RemoveHolds, OpenRingCommit];

const ANEW: &[(Step, &[u64])] = &[
    (RemoveMark, &[1]),
    (RemoveRing, &[1]),
    (RemoveHolds, &[1]),
    (RemovePeers, &[1]),
    (OpenPeersTemp, &[1]),
    (OpenRingCommit, &[1]),
];

pub const REAPING: &[Scenario] = &[
    Scenario {
        name: "a producer reaps",
        others: Others::Resting,
        before: &[
            Before::Does(0, "producer; write 1"),
            Before::Dies(1, "producer; write 1; arm ClaimHold 1 kill; write 1"),
            // Both join before one of them dies: a newcomer cleans up behind the one whose place it takes.
            Before::Does(2, "consumer; hold 20 3"),
            Before::Does(3, "consumer; recv 20 100"),
            Before::Killed(2),
            Before::Dies(3, "arm SleepBit 1 kill; recv 500 1"),
        ],
        act: Act::Does("watch 1300"),
        steps: &[
            (ReapLocked, &[1, 2, 3]),
            (ReapState, &[1]),
            (ReapHold, &[1, 2, 3]),
            (ReapSleeper, &[1]),
            (ReapMask, &[1, 2, 3]),
            (ReapEntry, &[1, 2, 3]),
        ],
        ..BASE
    },
    Scenario {
        name: "a consumer reaps",
        role: Role::Consumer,
        others: Others::Resting,
        before: &[
            Before::Does(0, "consumer; recv 20 100"),
            Before::Dies(1, "producer; arm ClaimHold 1 kill; write 1"),
            // Both join before one of them dies: a newcomer cleans up behind the one whose place it takes.
            Before::Does(2, "consumer; hold 20 3"),
            Before::Does(3, "consumer; recv 20 100"),
            Before::Killed(2),
            Before::Dies(3, "arm SleepBit 1 kill; recv 500 1"),
        ],
        act: Act::Does("recv 1300 1"),
        steps: &[
            (ReapLocked, &[1, 2, 3]),
            (ReapHold, &[1, 2, 3]),
            (ReapSleeper, &[1]),
            (ReapMask, &[1, 2]),
            (ReapEntry, &[1, 2]),
        ],
        ..BASE
    },
];

pub const GROWING_A_TOPIC: &[Scenario] = &[
    Scenario {
        name: "a producer enlarges",
        before: &[Before::Does(0, "producer; write 1")],
        act: Act::Does("grow 20000; write 3"),
        steps: &[
            (GrowHolds, &[1]),
            (GrowTemp, &[1]),
            (GrowKeepOld, &[1]),
            (GrowCommit, &[1]),
            (SealIndex, &[1]),
            (SealFirst, &[1]),
            (SealHead, &[1]),
            (SealWake, &[1]),
            (GrowEpoch, &[1]),
            (GrowPurge, &[1]),
        ],
        locked: GROWING,
        ..BASE
    },
    Scenario {
        name: "a producer enlarges a second time",
        others: Others::Resting,
        before: &[Before::Does(0, "producer; grow 10000; write 1")],
        act: Act::Does("grow 20000; write 3"),
        steps: &[
            (GrowHolds, &[1]),
            (GrowKeepOld, &[1]),
            (GrowCommit, &[1]),
            (SealIndex, &[1]),
            (SealFirst, &[1]),
            (SealHead, &[1]),
            (GrowEpoch, &[1]),
            (GrowPurge, &[1, 2]),
        ],
        locked: GROWING,
        ..BASE
    },
    Scenario {
        name: "a producer follows one that died before it had told anybody",
        others: Others::Resting,
        before: &[
            Before::Does(0, "producer; write 1"),
            Before::Dies(1, "producer; arm SealIndex 1 kill; grow 20000"),
        ],
        act: Act::Does("write 3"),
        steps: &[(SealFirst, &[1]), (SealHead, &[1]), (SealWake, &[1])],
        ..BASE
    },
    Scenario {
        name: "a producer that opens completes the growth of a dead one",
        others: Others::Resting,
        before: &[Before::Dies(1, "producer; write 1; arm GrowCommit 1 kill; grow 20000")],
        act: Act::Does("producer; write 3"),
        steps: &[
            (SealIndex, &[1]),
            (SealFirst, &[1]),
            (SealHead, &[1]),
            (SealWake, &[1]),
            (GrowEpoch, &[1]),
            (GrowPurge, &[1]),
            (JoinActive, &[1]),
        ],
        locked: OPENING,
        ..BASE
    },
    Scenario {
        // The survivors rest in the first epoch, too, and the third has not started.
        name: "a producer stood while others enlarged twice, the second of whom died",
        others: Others::Resting,
        before: &[
            Before::Does(0, "producer; write 1"),
            Before::Stops(0, "arm PublishMeta 1 stop; {arm}; write 5"),
            Before::Does(1, "producer; grow 10000; write 1"),
            Before::Dies(2, "producer; arm GrowCommit 1 kill; grow 20000"),
        ],
        act: Act::GoesOn,
        steps: &[(ClaimHold, &[1]), (PublishIndex, &[1]), (PublishRelease, &[3])],
        ..BASE
    },
    Scenario {
        name: "a claim is published after the epoch it was made in",
        before: &[Before::Does(0, "producer; claim 1"), Before::Does(1, "producer; grow 20000")],
        act: Act::Does("publish"),
        steps: &[
            (ClaimState, &[1]),
            (PublishMeta, &[1, 2]),
            (PublishIndex, &[1]),
            (PublishRelease, &[1]),
            (AbandonState, &[1]),
            (AbandonHold, &[1]),
        ],
        ..BASE
    },
];

pub const CLOSING_A_TOPIC: &[Scenario] = &[
    Scenario {
        name: "a producer leaves",
        before: &[Before::Does(0, "producer; write 2")],
        act: Act::Does("close"),
        steps: &[(LeaveEnded, &[1]), (LeaveMask, &[1]), (LeaveBits, &[1]), (LeaveEntry, &[1])],
        locked: CLOSING,
        ..BASE
    },
    Scenario {
        name: "a consumer leaves",
        role: Role::Consumer,
        before: &[Before::Does(0, "consumer; hold 100 3")],
        act: Act::Does("close"),
        steps: &[(Release, &[2]), (LeaveMask, &[1]), (LeaveBits, &[1]), (LeaveEntry, &[1])],
        locked: CLOSING,
        ..BASE
    },
    Scenario {
        name: "a producer is the last to leave",
        others: Others::Later,
        before: &[Before::Does(0, "producer; write 3; grow 20000; write 3")],
        act: Act::Does("close"),
        steps: &[
            (LeaveEnded, &[1]),
            (LeaveMask, &[1]),
            (LeaveBits, &[1]),
            (LeaveEntry, &[1]),
            (RemoveMark, &[1]),
            (RemoveRing, &[1]),
            (RemoveHolds, &[1]),
            (RemovePeers, &[1]),
        ],
        locked: CLOSING,
        ..BASE
    },
    Scenario {
        name: "a consumer is the last to leave",
        role: Role::Consumer,
        others: Others::Later,
        before: &[
            Before::Does(1, "producer; write 3"),
            Before::Does(0, "consumer; recv 100 3"),
            Before::Does(1, "close"),
        ],
        act: Act::Does("close"),
        steps: &[
            (LeaveMask, &[1]),
            (LeaveBits, &[1]),
            (LeaveEntry, &[1]),
            (RemoveMark, &[1]),
            (RemoveRing, &[1]),
            (RemoveHolds, &[1]),
            (RemovePeers, &[1]),
        ],
        locked: CLOSING,
    },
];
