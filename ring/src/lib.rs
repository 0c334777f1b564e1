//! shmflow
#![deny(unsafe_code)]

mod error;
mod layout;
pub mod meta;
mod protocol;
// What the lifecycle does not use yet.
#[allow(dead_code)]
mod sys;
mod topic;

pub use error::{Error, Result, SpaceLimit};
pub use protocol::Step;
pub use sys::unblock::Unblocker;
pub use topic::Topic;
