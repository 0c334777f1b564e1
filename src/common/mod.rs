//! What the two elements share.

pub mod clock;
pub mod counter;
pub mod enums;
pub mod error;
pub mod flags;
pub mod formats;
pub mod histogram;
pub mod layout;
pub(crate) mod settings;
pub(crate) mod tell;
pub mod timing;
pub mod validate;
