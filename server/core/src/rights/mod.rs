//! Rights: the names that may be used, and who may send to whom.

pub(crate) mod names;
pub(crate) mod sending;
