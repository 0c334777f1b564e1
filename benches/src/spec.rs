//! What one process of a benchmark is told to do, as command line arguments.

use crate::Res;
use std::path::PathBuf;

/// Whose publish-subscribe is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Counters and buffers in a bare mapping, a bare futex: nothing can be cheaper.
    #[default]
    Bare,
    /// The crate of this project.
    Ring,
    /// iceoryx2 publish-subscribe, with its event service where somebody sleeps.
    Iceoryx,
}

/// What both sides do with a frame's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Work {
    /// Nothing but a time stamp.
    #[default]
    Untouched,
    /// The sender copies them in from memory of its own.
    CopyIn,
    /// The sender writes every byte, the receiver reads every byte and checks it.
    FillRead,
}

macro_rules! named {
    ($type:ident { $($variant:ident = $name:literal),* }) => {
        impl $type {
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
        impl std::str::FromStr for $type {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($name => Ok(Self::$variant),)*
                    _ => Err(format!("unknown {} {text:?}", stringify!($type))),
                }
            }
        }
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}
named!(Kind { Bare = "bare", Ring = "shmflow", Iceoryx = "iceoryx2" });
named!(Work { Untouched = "untouched", CopyIn = "copy-in", FillRead = "fill-read" });

macro_rules! spec {
    ($($(#[$doc:meta])* $field:ident: $type:ty),* $(,)?) => {
        /// All that a child process needs to know. Each role uses the fields it needs.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub(crate) struct Spec { $($(#[$doc])* pub(crate) $field: $type),* }
        impl Spec {
            /// As arguments for the child's command line.
            pub(crate) fn args(&self) -> Vec<String> {
                vec![$(format!("{}={}", stringify!($field), self.$field)),*]
            }
            /// The reverse of `args`.
            pub(crate) fn parse(args: impl Iterator<Item = String>) -> Res<Self> {
                let mut spec = Self::default();
                for arg in args {
                    let (name, value) = arg.split_once('=').ok_or_else(|| format!("not name=value: {arg}"))?;
                    match name {
                        $(stringify!($field) => {
                            spec.$field = value.parse().map_err(|e| format!("{name}: {e}"))?;
                        })*
                        _ => return Err(format!("unknown setting {name}").into()),
                    }
                }
                Ok(spec)
            }
        }
    };
}

spec! {
    /// Unique per run of the benchmarks: prefix of every name, so that cleaning up finds all of it.
    run: String,
    /// Unique per scene within the run.
    topic: String,
    kind: Kind,
    work: Work,
    /// Payload bytes of a frame.
    bytes: usize,
    /// Frames a receiver may lie behind (our depth, iceoryx2's subscriber buffer, bare buffers).
    depth: u32,
    /// Our history; 0 leaves the crate's default.
    history: u32,
    /// Our sender waits for its receivers.
    lossless: bool,
    /// Receivers on the topic.
    receivers: u32,
    /// Receivers sleep until they are woken (else they spin).
    sleep: bool,
    /// How many undelivered frames the sender allows; 0: it never waits.
    window: u64,
    /// Frames per second of a paced sender.
    rate: u64,
    /// Pace by spinning, so that pacing makes no system calls.
    spin: bool,
    /// How long to measure, in milliseconds.
    millis: u64,
    /// How many frames to measure; 0: as many as `millis` gives.
    frames: u64,
    /// Frames before measuring starts.
    warm: u64,
    /// Frames of another size that come first,
    before: u64,
    /// and their payload bytes.
    before_bytes: usize,
    /// The topic is made when all are ready: the receiver waits for it, and nobody for its memory.
    fresh: bool,
    /// Put marks around the measured part, which are visible to `strace`.
    mark: bool,
    /// Number of the processor plus one; 0: not pinned.
    cpu: usize,
}

impl Spec {
    /// Payload bytes of the first frame.
    pub(crate) fn first_bytes(&self) -> usize {
        if self.before > 0 { self.before_bytes } else { self.bytes }
    }

    /// How the names of all bare files of the scene begin.
    pub(crate) fn prefix(&self) -> String {
        format!("{}.{}.", self.run, self.topic)
    }

    /// The buffers of the scene, where there is no ring.
    pub(crate) fn bare_path(&self) -> PathBuf {
        shared_path(&format!("{}bare", self.prefix()))
    }

    /// The counters that the processes of one scene share.
    pub(crate) fn board_path(&self) -> PathBuf {
        shared_path(&format!("{}board", self.prefix()))
    }
}

/// Where all compared here keep their frames.
pub(crate) const SHARED: &str = "/dev/shm";

fn shared_path(name: &str) -> PathBuf {
    PathBuf::from(SHARED).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_survives_the_command_line() {
        let spec = Spec {
            run: "r=1".into(),
            kind: Kind::Iceoryx,
            work: Work::FillRead,
            bytes: 64,
            sleep: true,
            ..Spec::default()
        };
        assert_eq!(Spec::parse(spec.args().into_iter()).unwrap(), spec);
    }

    #[test]
    fn unknown_settings_are_refused() {
        assert!(Spec::parse(["colour=red".to_owned()].into_iter()).is_err());
        assert!(Spec::parse(["kind=telepathy".to_owned()].into_iter()).is_err());
    }
}
