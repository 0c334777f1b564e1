//! Deaths and stops while a topic is opened, cleaned up, enlarged and closed.

use shmflow::{FailPoint, FailPoint::*};

use super::{
    Before, CLOSING, COMPLETING, GROWING, JOINING, LEAVING, MAKING, OPENING, Others, REMOVING, REPLACING,
    Scenario,
};

pub const OPENING_A_TOPIC: &[Scenario] = &[
    Scenario::producer("a producer makes the topic")
        .others(Others::Later)
        .does("producer; write 3")
        .at(&[1], &[OpenPeersTemp])
        .at(&[1], MAKING)
        .at(&[1], JOINING)
        .locked(OPENING),
    Scenario::producer("a producer joins")
        .does("producer; write 3")
        .at(&[1], &[OpenLocked])
        .at(&[1], JOINING)
        .locked(OPENING),
    Scenario::consumer("a consumer joins")
        .does("consumer; recv 500 3")
        .at(&[1], &[OpenLocked])
        .at(&[1], JOINING)
        .locked(OPENING),
    Scenario::consumer("a consumer finds no place")
        .before(&[Before::Does(1, "occupy")])
        .does("consumer; recv 500 3")
        .at(&[1], &[CrowdFlag])
        .locked(&[&[CrowdFlag]]),
    Scenario::producer("a producer sees that nobody is without a place any more")
        .others(Others::Later)
        .before(&[
            Before::Does(2, "producer; write 1"),
            Before::Does(1, "occupy; consumer; recv 500 1"),
            Before::Killed(1),
        ])
        .does("producer; write 3")
        .at(&[1], &[CrowdClear])
        .locked(&[&[CrowdClear]]),
    Scenario::producer("a producer describes the topic")
        .does("described; write 3")
        .at(&[1], &[DescriptionBegun, DescriptionWritten])
        .locked(&[&[DescriptionBegun, DescriptionWritten]]),
    Scenario::producer("a producer takes the place of a dead one")
        .others(Others::Resting)
        .before(&[Before::Dies(1, "producer; write 1; arm ClaimHold 1 kill; write 1")])
        .does("producer; write 3")
        .at(&[1], &[ReapState, ReapHold, ReapMask, ReapEntry, JoinCleaned, JoinEntry])
        .locked(&[&[ReapState, ReapHold, ReapMask, ReapEntry], JOINING]),
    Scenario::producer("a producer completes the removal that a dead one began")
        .others(Others::Later)
        .before(&[Before::Dies(1, "producer; write 3; arm RemoveMark 1 kill; close")])
        .does("producer; write 3")
        .at(&[1], &[RemoveRing, RemoveHolds, RemovePeers, OpenPeersTemp])
        .locked(CLOSING),
];

pub const MAKING_ANEW: &[Scenario] = &[
    Scenario::producer("a producer makes a topic anew whose ring was deleted")
        .others(Others::Later)
        .before(&[Before::Does(1, "producer; write 3; lose ring")])
        .does("producer; write 3")
        .at(&[1], REMOVING)
        .at(&[1], &[OpenPeersTemp, OpenRingCommit])
        .locked(ANEW_LOCKED),
    Scenario::producer("a producer makes a topic anew whose holder words were deleted")
        .others(Others::Later)
        .before(&[Before::Does(1, "producer; write 3; lose holds")])
        .does("producer; write 3")
        .at(&[1], REMOVING)
        .at(&[1], &[OpenPeersTemp, OpenRingCommit])
        .locked(ANEW_LOCKED),
    Scenario::producer("a producer makes a topic anew whose list was deleted")
        .others(Others::Later)
        .before(&[Before::Does(1, "producer; write 3; lose peers")])
        .does("producer; write 3")
        .at(&[1], &[OpenPeersTemp, OpenPeersCommit, RemoveRing, RemoveHolds, OpenRingCommit])
        .locked(ANEW_LOCKED),
];

const ANEW_LOCKED: &[&[FailPoint]] =
    &[&[OpenPeersCommit, RemoveMark, RemoveRing, RemoveHolds, OpenRingCommit]];

/// Both join before one of them dies: a newcomer cleans up behind the one whose place it takes.
const TWO_JOIN: [Before; 2] =
    [Before::Does(2, "consumer; hold 20 3"), Before::Does(3, "consumer; recv 20 100")];
const AND_DIE: [Before; 2] = [Before::Killed(2), Before::Dies(3, "arm SleepBit 1 kill; recv 500 1")];

pub const REAPING: &[Scenario] = &[
    Scenario::producer("a producer reaps")
        .others(Others::Resting)
        .before(&[
            Before::Does(0, "producer; write 1"),
            Before::Dies(1, "producer; write 1; arm ClaimHold 1 kill; write 1"),
            TWO_JOIN[0],
            TWO_JOIN[1],
            AND_DIE[0],
            AND_DIE[1],
        ])
        .does("watch 1300")
        .at(&[1, 2, 3], &[ReapLocked, ReapHold, ReapMask, ReapEntry])
        .at(&[1], &[ReapState, ReapSleeper]),
    Scenario::consumer("a consumer reaps")
        .others(Others::Resting)
        .before(&[
            Before::Does(0, "consumer; recv 20 100"),
            Before::Dies(1, "producer; arm ClaimHold 1 kill; write 1"),
            TWO_JOIN[0],
            TWO_JOIN[1],
            AND_DIE[0],
            AND_DIE[1],
        ])
        .does("recv 1300 1")
        .at(&[1, 2, 3], &[ReapLocked, ReapHold])
        .at(&[1], &[ReapSleeper])
        .at(&[1, 2], &[ReapMask, ReapEntry]),
];

pub const GROWING_A_TOPIC: &[Scenario] = &[
    Scenario::producer("a producer enlarges")
        .before(&[Before::Does(0, "producer; write 1")])
        .does("grow 20000; write 3")
        .at(&[1], REPLACING)
        .at(&[1], COMPLETING)
        .locked(GROWING),
    Scenario::producer("a producer enlarges a second time")
        .others(Others::Resting)
        .before(&[Before::Does(0, "producer; grow 10000; write 1")])
        .does("grow 20000; write 3")
        .at(&[1], &[GrowHolds, GrowKeepOld, GrowCommit, SealIndex, SealFirst, SealHead, GrowEpoch])
        .at(&[1, 2], &[GrowPurge])
        .locked(GROWING),
    Scenario::producer("a producer follows one that died before it had told anybody")
        .others(Others::Resting)
        .before(&[
            Before::Does(0, "producer; write 1"),
            Before::Dies(1, "producer; arm SealIndex 1 kill; grow 20000"),
        ])
        .does("write 3")
        .at(&[1], &[SealFirst, SealHead, SealWake]),
    Scenario::producer("a producer that opens completes the growth of a dead one")
        .others(Others::Resting)
        .before(&[Before::Dies(1, "producer; write 1; arm GrowCommit 1 kill; grow 20000")])
        .does("producer; write 3")
        .at(&[1], COMPLETING)
        .at(&[1], &[JoinActive])
        .locked(OPENING),
    // The survivors rest in the first epoch, too, and the third has not started.
    Scenario::producer("a producer stood while others enlarged twice, the second of whom died")
        .others(Others::Resting)
        .before(&[
            Before::Does(0, "producer; write 1"),
            Before::Stops(0, "arm PublishMeta 1 stop; {arm}; write 5"),
            Before::Does(1, "producer; grow 10000; write 1"),
            Before::Dies(2, "producer; arm GrowCommit 1 kill; grow 20000"),
        ])
        .at(&[1], &[ClaimHold, PublishIndex])
        .at(&[3], &[PublishRelease]),
    Scenario::producer("a claim is published after the epoch it was made in")
        .before(&[Before::Does(0, "producer; claim 1"), Before::Does(1, "producer; grow 20000")])
        .does("publish")
        .at(&[1], &[ClaimState, PublishIndex, PublishRelease, AbandonState, AbandonHold])
        .at(&[1, 2], &[PublishMeta]),
];

pub const RESERVING: &[Scenario] = &[
    Scenario::producer("a producer makes a large ring")
        .others(Others::Later)
        .does("large; write 3")
        .at(&[1, 2, 5], &[ReservePiece]),
    Scenario::producer("a producer enlarges to a large ring")
        .others(Others::Resting)
        .before(&[Before::Does(0, "producer; write 1")])
        .does("grow 400000; write 3")
        .at(&[1, 2, 5], &[ReservePiece]),
];

pub const CLOSING_A_TOPIC: &[Scenario] = &[
    Scenario::producer("a producer leaves")
        .before(&[Before::Does(0, "producer; write 2")])
        .does("close")
        .at(&[1], &[LeaveEnded])
        .at(&[1], LEAVING)
        .locked(CLOSING),
    Scenario::consumer("a consumer leaves")
        .before(&[Before::Does(0, "consumer; hold 100 3")])
        .does("close")
        .at(&[2], &[Release])
        .at(&[1], LEAVING)
        .locked(CLOSING),
    Scenario::producer("a producer is the last to leave")
        .others(Others::Later)
        .before(&[Before::Does(0, "producer; write 3; grow 20000; write 3")])
        .does("close")
        .at(&[1], &[LeaveEnded])
        .at(&[1], LEAVING)
        .at(&[1], REMOVING)
        .locked(CLOSING),
    Scenario::consumer("a consumer is the last to leave")
        .others(Others::Later)
        .before(&[
            Before::Does(1, "producer; write 3"),
            Before::Does(0, "consumer; recv 100 3"),
            Before::Does(1, "close"),
        ])
        .does("close")
        .at(&[1], LEAVING)
        .at(&[1], REMOVING)
        .locked(CLOSING),
];
