//! Topics of shmflow between hosts, over [Zenoh](https://zenoh.io).
//!
//! A bridge announces the topics of its host, and makes a *mirror* of each topic that another bridge announces: a topic of the same
//! name, here. A topic crosses only while a mirror of it has a consumer. docs/hosts.md says how to use it; the program is
//! `shmflow-bridge`.
//!
//! Where to begin reading: `hub` is the thread in which all comes together; `outgoing` and `pump` send; `incoming`, `mirror` and
//! `inlet` receive; `wire` and `keys` are what crosses.
#![deny(unsafe_code)]

pub mod clock;
pub mod encoder;
mod hub;
mod incoming;
mod inlet;
pub mod keys;
mod local;
mod localise;
mod mirror;
mod outgoing;
pub mod pattern;
mod ping;
mod pump;
mod queue;
mod readers;
mod session;
mod stats;
pub mod wire;

pub use hub::{Bridge, Settings, Stop};
pub use local::MIRROR;
pub use localise::Place;
pub use session::Network;
pub use stats::{Counters, Stats};
