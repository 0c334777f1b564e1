//! Deaths and stops in the flow of frames.

use shmflow::FailPoint::*;

use super::{Before, CLOSING, Others, Scenario};

pub const PUBLISHING: &[Scenario] = &[
    Scenario::producer("a producer writes")
        .before(&[Before::Does(0, "producer; write 1")])
        .does("write 30")
        .at(
            &[1, 2, 17],
            &[
                ClaimState,
                ClaimHold,
                PublishPayload,
                PublishMeta,
                PublishStamp,
                PublishIndex,
                PublishHead,
                PublishWake,
                PublishWoken,
                PublishRelease,
            ],
        ),
    Scenario::producer("a producer writes while the others rest")
        .others(Others::Resting)
        .before(&[Before::Does(0, "producer; write 1")])
        .does("write 30")
        .at(
            &[3],
            &[
                ClaimState,
                ClaimHold,
                PublishPayload,
                PublishStamp,
                PublishIndex,
                PublishHead,
                PublishWake,
                PublishRelease,
            ],
        ),
    Scenario::producer("a producer gives a claim back")
        .before(&[Before::Does(0, "producer; write 1")])
        .does("abandon 5")
        .at(&[1, 4], &[AbandonState, AbandonHold]),
    Scenario::producer("a producer helps another that stands after its publication")
        .others(Others::Resting)
        .before(&[
            Before::Does(0, "producer"),
            Before::Stops(1, "producer; write 1; arm PublishIndex 1 stop; write 1"),
        ])
        .does("write 3")
        .at(&[1], &[PublishHelp]),
    // The consumer has found frame 1 and not set its bit; the tenth claim is for its slot.
    Scenario::producer("a producer finds that a consumer was faster")
        .others(Others::Later)
        .before(&[
            Before::Does(0, "producer; write 1"),
            Before::Stops(1, "consumer; arm LeaseLook 1 stop; arm LeaseHold 1 stop; recv 500 1"),
            Before::Does(0, "write 8"),
            Before::Stops(0, "arm ClaimState 1 stop; {arm}; write 3"),
            Before::GoesOnToStop(1),
        ])
        .at(&[1], &[ClaimUnhold, ClaimRestore]),
    Scenario::producer("a producer ends its stream")
        .before(&[Before::Does(0, "producer")])
        .does("write 1; end; write 1; end")
        .at(&[1, 2], &[EndNoted]),
    Scenario::producer("a producer takes the lead")
        .before(&[Before::Does(1, "primary; write 1"), Before::Does(0, "primary"), Before::Killed(1)])
        .does("write 3")
        .at(&[1], &[PrimaryTaken]),
];

pub const RECEIVING: &[Scenario] = &[
    Scenario::consumer("a consumer receives")
        .before(&[Before::Does(0, "consumer")])
        .does("recv 500 8")
        .at(&[1, 5], &[LeaseLook, LeaseHold, LeaseTaken, LeaseCursor, Release]),
    Scenario::consumer("a consumer that holds frames receives one more")
        .before(&[Before::Does(0, "consumer; hold 500 6")])
        .does("recv 500 2")
        .at(&[1], &[LeaseHold, LeaseTaken, Release]),
    Scenario::consumer("a consumer finds that a producer was faster")
        .others(Others::Later)
        .before(&[
            Before::Does(1, "producer; write 1"),
            Before::Stops(0, "consumer; arm LeaseLook 1 stop; {arm}; recv 500 3"),
            Before::Does(1, "write 9"),
        ])
        .at(&[1], &[LeaseBackoff]),
    Scenario::consumer("a reader copies")
        .before(&[Before::Does(0, "reader")])
        .does("recv 500 4")
        .at(&[1, 3], &[CopyHalf]),
    Scenario::consumer("a consumer sleeps")
        .others(Others::Resting)
        .before(&[Before::Does(0, "consumer; recv 20 100")])
        .does("recv 300 1")
        .at(&[1, 2], &[SleepBit, SleepClear]),
    Scenario::consumer("a consumer states what it accepts")
        .before(&[Before::Does(0, "consumer; accept one")])
        .does("accept another")
        .at(&[1], &[CapsBegun, CapsWritten]),
];

/// More frames than there are slots.
pub const WAITING: &[Scenario] = &[
    Scenario::producer("a lossless producer waits for consumers that rest")
        .others(Others::Resting)
        .before(&[Before::Does(0, "lossless")])
        .does("write 20")
        .at(&[1], &[WaitBit, WaitClear]),
    Scenario::producer("a lossless producer waits while another one waits")
        .others(Others::Resting)
        .before(&[Before::Does(0, "lossless"), Before::Waits(1, "patient; write 20")])
        .does("write 20")
        .at(&[1], &[WaitBit, WaitClear]),
    Scenario::consumer("a consumer is waited for")
        .others(Others::Resting)
        .before(&[Before::Does(0, "consumer"), Before::Waits(1, "patient; write 20")])
        .does("recv 500 6")
        .at(&[1, 2], &[LeaseLook, LeaseHold, LeaseTaken, LeaseCursor, Release, FreedWord]),
    Scenario::consumer("a consumer that leaves is waited for")
        .others(Others::Resting)
        .before(&[Before::Does(0, "consumer"), Before::Waits(1, "patient; write 20")])
        .does("close")
        .at(&[1], &[LeaveMask, FreedWord, LeaveBits, LeaveEntry])
        .locked(CLOSING),
    Scenario::consumer("a consumer frees what a producer waits for that was stopped")
        .others(Others::Resting)
        .before(&[Before::Does(0, "consumer"), Before::Stops(1, "lossless; arm WaitBit 1 stop; write 20")])
        .does("recv 500 6")
        .at(&[1, 3], &[Release, FreedWord]),
    Scenario::producer("a producer gives back what another one waits for")
        .others(Others::Resting)
        .before(&[Before::Does(0, "producer; claim 3"), Before::Waits(1, "patient; write 20")])
        .does("close")
        .at(&[1, 2], &[AbandonState, AbandonHold, FreedWord]),
];
