//! Plain types that everybody may name. None of them knows a table.

pub(crate) mod args;
pub(crate) mod cause;
pub(crate) mod code;
pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod conn;
pub(crate) mod event;
pub(crate) mod ids;
pub(crate) mod input;
pub(crate) mod json;
pub(crate) mod keys;
pub(crate) mod message;
pub(crate) mod numbers;
pub(crate) mod output;
pub(crate) mod pending_ack;
pub(crate) mod placeholder;
pub(crate) mod slot_set;
pub(crate) mod stats;
pub(crate) mod target;
pub(crate) mod time;
