//! The parts that all tests share: a simulated world, and a Redis server of one's own.

pub mod kit;
pub mod sim;
