//! shmflow
#![deny(unsafe_code)]

mod layout;
mod protocol;

pub use protocol::Step;
