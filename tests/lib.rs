//! What the tests share.

pub mod kit;
pub mod sim;
