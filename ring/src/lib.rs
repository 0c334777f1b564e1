//! A crash-safe shared-memory ring per topic.
//!
//! Processes on one Linux machine share frames (video, or any bytes) by the name of a topic: producers write them
//! directly into shared memory, consumers read them there, without copies and without waiting for each other. The
//! oldest frame is overwritten; a consumer that is too slow learns how many it lost, or the producer waits for it
//! ([`OverflowPolicy::Lossless`]). Any process may be killed or
//! stopped at any instruction, and the others continue.
//!
//! ```
//! # let dir = std::env::temp_dir().join(format!("shmflow-doc-l-{}", std::process::id()));
//! # std::fs::create_dir_all(&dir).unwrap();
//! let producer = shmflow::Producer::builder("greetings").dir(&dir).open()?;
//! // In this process or any other:
//! let mut consumer = shmflow::Consumer::builder("greetings").dir(&dir).open()?;
//! producer.write(b"hello")?;
//! assert_eq!(&*consumer.recv()?, b"hello");
//! # drop((consumer, producer)); std::fs::remove_dir_all(&dir).unwrap();
//! # Ok::<(), shmflow::Error>(())
//! ```
//!
//! Features, all off by default:
//!
//! - `tokio`: receiving, and waiting for consumers, in async code; the module `shmflow::tokio`.
//! - `zerocopy`: frames that are structs; the module `shmflow::typed`.
//! - `tracing`: events of the target `shmflow` for whoever subscribes: who came, went and died, what grew, was sealed or
//!   removed, why frames are copied, how many were lost. None for a frame that goes its way.
//!
//! The protocol and its invariants are in `docs/architecture.md`, the memory layout in `docs/layout.md`, the model
//! checking in `docs/proof.md`.
#![deny(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "shmflow runs on Linux only: it needs its futexes, its locks of open file descriptions and its memory file systems"
);

mod admin;
mod consumer;
mod error;
#[cfg(feature = "failpoints")]
pub mod failpoint;
mod info;
mod layout;
mod lifecycle;
pub mod meta;
mod producer;
mod protocol;
mod shm;
mod sys;
#[cfg(feature = "tokio")]
pub mod tokio;
mod topic;
mod trace;
#[cfg(feature = "zerocopy")]
pub mod typed;

pub use admin::{
    FrameInfo, FrameTime, GcReport, Liveness, Monitor, MonitorLook, ParticipantInfo, Rate, SkipReason,
    SkippedTopic, TopicInfo, TopicState, gc, inspect, inspect_all, remove, similar_names, similar_topics,
    topics,
};
pub use consumer::{
    Consumer, ConsumerBuilder, ConsumerStats, CopyReason, Frame, Iter, OnLapped, PendingConsumer,
    SharedMapping, StreamStatus,
};
pub use error::{Error, Result, SpaceLimit};
pub use info::{ConsumerInfo, Geometry, ParticipantId};
pub use lifecycle::open::{Delivery, StartAt};
pub use producer::{
    Claim, OverflowPolicy, Producer, ProducerBuilder, ProducerMode, ProducerStats, PublishPermit, Published,
    SlotBuffer,
};
#[cfg(feature = "failpoints")]
pub use protocol::FailPoint;
pub use shm::registration::Role;
pub use sys::cancel::CancelToken;
pub use topic::Topic;
