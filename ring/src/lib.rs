//! shmflow
#![deny(unsafe_code)]

mod layout;
pub mod meta;
mod protocol;

pub use protocol::Step;
