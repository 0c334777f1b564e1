//! How the command ends.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::text;

/// The exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Failed,
    TopicNotFound,
    InUse,
    /// Something was looked for, and found wrong.
    Problems,
}

impl Outcome {
    /// The status that an error leads to.
    pub(crate) fn of(error: &shmflow::Error) -> Self {
        match error {
            shmflow::Error::TopicNotFound { .. } => Self::TopicNotFound,
            shmflow::Error::InUse { .. } | shmflow::Error::Busy { .. } => Self::InUse,
            _ => Self::Failed,
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Failed => Self::from(1),
            // 2 is the status of a command line that is not understood.
            Outcome::TopicNotFound => Self::from(3),
            Outcome::InUse => Self::from(4),
            Outcome::Problems => Self::from(5),
        }
    }
}

/// Why a command could not continue.
#[derive(Debug)]
pub(crate) enum Failure {
    Topic(shmflow::Error),
    /// There is no such topic, where it is not looked for in a directory.
    NoTopic(String),
    /// What happened, for people.
    Other(String),
    /// Nobody reads the output any more, or it has no room.
    Output(io::Error),
}

impl Failure {
    /// Prints an error. A standard error output that cannot be written to is no reason to fail.
    pub(crate) fn tell(error: &dyn std::fmt::Display) {
        let _ = writeln!(io::stderr(), "shmflow: {}", text::safe(&error.to_string()));
    }

    /// Says something that is not a result.
    pub(crate) fn note(text: &str) {
        let _ = writeln!(io::stderr(), "shmflow: {text}");
    }

    /// Tells it, and says how the command ends.
    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Self::Topic(error) => {
                Self::tell(&error);
                Outcome::of(&error)
            }
            Self::NoTopic(text) => {
                Self::tell(&text);
                Outcome::TopicNotFound
            }
            Self::Other(text) => {
                Self::tell(&text);
                Outcome::Failed
            }
            // Whoever closed the pipe has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Outcome::Done,
            Self::Output(error) => {
                Self::note(&format!("could not write the output: {error}"));
                Outcome::Failed
            }
        }
    }
}

impl From<shmflow::Error> for Failure {
    fn from(error: shmflow::Error) -> Self {
        Self::Topic(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
