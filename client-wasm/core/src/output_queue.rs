//! The outputs that the shell has not taken yet.
//!
//! Owns their order and the numbers of new channels. It never looks into an output.

use crate::{Channel, Output, channel::Channels};
use alloc::collections::VecDeque;

/// The outputs, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct OutputQueue {
    outputs: VecDeque<Output>,
    channels: Channels,
}

impl OutputQueue {
    pub(crate) fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    #[must_use]
    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// A channel that was never used.
    #[must_use]
    pub(crate) fn new_channel(&mut self) -> Channel {
        self.channels.next()
    }
}
