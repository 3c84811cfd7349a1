//! The bus: carries messages between nodes.
//!
//! Owns two threads that speak to Redis and the queues between them and the loop. The loop gives them `Publication`s
//! and takes `BusEvent`s, both types of the core. It never reads a payload and never decides who a message is for:
//! that is the core's business.
//!
//! Invariant: nothing the loop calls here blocks. Every queue is bounded, and its policy is stated where it lives:
//!
//! | queue | lives in | when full |
//! |---|---|---|
//! | publications to Redis | `outgoing` | the new publication is refused: `Lost` |
//! | events to the loop | `queue` | the subscriber waits, so that TCP pushes back on Redis |
//! | intents (subscribe, unsubscribe) | `interest` | one per channel, the last one wins |
//! | requests on the subscriber's link | `channels` | at most one unanswered per channel |

mod channels;
mod config;
mod interest;
mod link;
mod lock;
mod outgoing;
mod publisher;
mod queue;
mod redis;
mod retry;
mod shared;
mod status;
mod subscriber;

pub use self::redis::RedisBus;
pub use config::{RedisConfig, RedisUrlError};
pub use status::BusStatus;
