//! The shared files as this process sees them: mapped, checked, typed.

pub(crate) mod backing;
pub(crate) mod epoch;
pub(crate) mod participants;
pub(crate) mod registration;
pub(crate) mod shared;
mod sparse;
