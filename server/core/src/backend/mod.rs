//! Backends: the public channel they publish on and the stream they read.

pub(crate) mod channel;
pub(crate) mod moves;
pub(crate) mod stream;
