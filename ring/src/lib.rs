//! A crash-safe shared-memory ring per topic.
//!
//! Processes on one Linux machine share frames (video, or any bytes) by the name of a topic: producers write them
//! straight into shared memory, consumers read them there, without copies and without waiting for each other. The
//! oldest frame is overwritten; a consumer that is too slow is told how many it lost. Any of them may be killed or
//! stopped at any instruction, and the others go on.
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
//! The protocol, its invariants and what is proven of them are in `docs/architecture.md`, the bytes in
//! `docs/layout.md`.
#![deny(unsafe_code)]

mod consumer;
mod error;
mod info;
mod layout;
mod lifecycle;
pub mod meta;
mod producer;
mod protocol;
mod shm;
#[cfg(feature = "stop-points")]
pub mod stop;
mod sys;
mod topic;
mod upkeep;

pub use consumer::{Consumer, ConsumerBuilder, ConsumerStats, Frame, Iter, OnLapped, Presence};
pub use error::{Error, Result, SpaceLimit};
pub use info::{Geometry, ParticipantId, Wish};
pub use lifecycle::open::Start;
pub use producer::{
    Claim, Policy, Producer, ProducerBuilder, ProducerMode, ProducerStats, Published, SlotBuffer, Ticket,
};
pub use protocol::Step;
pub use shm::member::Role;
pub use sys::unblock::Unblocker;
pub use topic::Topic;
pub use upkeep::{
    Collected, Kept, KeptBecause, Liveness, ParticipantInfo, Rate, TopicInfo, collect, inspect, remove,
    topics,
};
