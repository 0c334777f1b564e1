//! What the two elements share.

pub mod enums;
pub mod formats;
pub mod histogram;
pub(crate) mod settings;
pub mod timing;
pub mod validate;
