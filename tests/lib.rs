//! What the tests share.

pub mod kit;
