//! Deaths and stops in the flow of frames.

use shmflow::{Role, Step::*};

use super::{Act, BASE, Before, Others, Scenario};

pub const PUBLISHING: &[Scenario] = &[
    Scenario {
        name: "a producer writes",
        before: &[Before::Does(0, "producer; write 1")],
        act: Act::Does("write 30"),
        steps: &[
            (ClaimState, &[1, 2, 17]),
            (ClaimHold, &[1, 2, 17]),
            (PublishPayload, &[1, 2, 17]),
            (PublishMeta, &[1, 2, 17]),
            (PublishStamp, &[1, 2, 17]),
            (PublishIndex, &[1, 2, 17]),
            (PublishHead, &[1, 2, 17]),
            (PublishWake, &[1, 2, 17]),
            (PublishWoken, &[1, 2, 17]),
            (PublishRelease, &[1, 2, 17]),
        ],
        ..BASE
    },
    Scenario {
        name: "a producer writes while the others rest",
        others: Others::Resting,
        before: &[Before::Does(0, "producer; write 1")],
        act: Act::Does("write 30"),
        steps: &[
            (ClaimState, &[3]),
            (ClaimHold, &[3]),
            (PublishPayload, &[3]),
            (PublishStamp, &[3]),
            (PublishIndex, &[3]),
            (PublishHead, &[3]),
            (PublishWake, &[3]),
            (PublishRelease, &[3]),
        ],
        ..BASE
    },
    Scenario {
        name: "a producer gives a claim back",
        before: &[Before::Does(0, "producer; write 1")],
        act: Act::Does("abandon 5"),
        steps: &[(AbandonState, &[1, 4]), (AbandonHold, &[1, 4])],
        ..BASE
    },
    Scenario {
        name: "a producer helps another that stands after its publication",
        others: Others::Resting,
        before: &[
            Before::Does(0, "producer"),
            Before::Stops(1, "producer; write 1; arm PublishIndex 1 stop; write 1"),
        ],
        act: Act::Does("write 3"),
        steps: &[(PublishHelp, &[1])],
        ..BASE
    },
    Scenario {
        // The consumer has found frame 1 and not set its bit; the tenth claim is for its slot.
        name: "a producer finds that a consumer was faster",
        others: Others::Later,
        before: &[
            Before::Does(0, "producer; write 1"),
            Before::Stops(1, "consumer; arm LeaseLook 1 stop; arm LeaseHold 1 stop; recv 500 1"),
            Before::Does(0, "write 8"),
            Before::Stops(0, "arm ClaimState 1 stop; {arm}; write 3"),
            Before::GoesOnToStop(1),
        ],
        act: Act::GoesOn,
        steps: &[(ClaimUnhold, &[1]), (ClaimRestore, &[1])],
        ..BASE
    },
    Scenario {
        name: "a producer ends its stream",
        before: &[Before::Does(0, "producer")],
        act: Act::Does("write 1; end; write 1; end"),
        steps: &[(EndNoted, &[1, 2])],
        ..BASE
    },
    Scenario {
        name: "a producer takes the lead",
        before: &[Before::Does(1, "primary; write 1"), Before::Does(0, "primary"), Before::Killed(1)],
        act: Act::Does("write 3"),
        steps: &[(LeadTaken, &[1])],
        ..BASE
    },
];

pub const RECEIVING: &[Scenario] = &[
    Scenario {
        name: "a consumer receives",
        role: Role::Consumer,
        before: &[Before::Does(0, "consumer")],
        act: Act::Does("recv 500 8"),
        steps: &[
            (LeaseLook, &[1, 5]),
            (LeaseHold, &[1, 5]),
            (LeaseTaken, &[1, 5]),
            (LeaseCursor, &[1, 5]),
            (Release, &[1, 5]),
        ],
        ..BASE
    },
    Scenario {
        name: "a consumer that holds frames receives one more",
        role: Role::Consumer,
        before: &[Before::Does(0, "consumer; hold 500 6")],
        act: Act::Does("recv 500 2"),
        steps: &[(LeaseHold, &[1]), (LeaseTaken, &[1]), (Release, &[1])],
        ..BASE
    },
    Scenario {
        name: "a consumer finds that a producer was faster",
        role: Role::Consumer,
        others: Others::Later,
        before: &[
            Before::Does(1, "producer; write 1"),
            Before::Stops(0, "consumer; arm LeaseLook 1 stop; {arm}; recv 500 3"),
            Before::Does(1, "write 9"),
        ],
        act: Act::GoesOn,
        steps: &[(LeaseBackoff, &[1])],
        ..BASE
    },
    Scenario {
        name: "a reader copies",
        role: Role::Consumer,
        before: &[Before::Does(0, "reader")],
        act: Act::Does("recv 500 4"),
        steps: &[(CopyHalf, &[1, 3])],
        ..BASE
    },
    Scenario {
        name: "a consumer sleeps",
        role: Role::Consumer,
        others: Others::Resting,
        before: &[Before::Does(0, "consumer; recv 20 100")],
        act: Act::Does("recv 300 1"),
        steps: &[(SleepBit, &[1, 2]), (SleepClear, &[1, 2])],
        ..BASE
    },
    Scenario {
        name: "a consumer wishes",
        role: Role::Consumer,
        before: &[Before::Does(0, "consumer; wish one")],
        act: Act::Does("wish another"),
        steps: &[(WishBegun, &[1]), (WishWritten, &[1])],
        ..BASE
    },
];
