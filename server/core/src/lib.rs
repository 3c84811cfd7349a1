//! A moorline node as a value.
#![no_std]
extern crate alloc;
pub mod config;
pub mod time;
