//! What is wanted and not yet done, and the names of transports.

use crate::{Channel, Output};
use alloc::collections::VecDeque;

/// The outputs, in order. Invariant: a channel is named once.
#[derive(Debug, Default)]
pub(crate) struct OutputQueue {
    outputs: VecDeque<Output>,
    last_channel: u32,
}

impl OutputQueue {
    pub(crate) fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// A channel that never was.
    pub(crate) fn new_channel(&mut self) -> Channel {
        self.last_channel = self.last_channel.wrapping_add(1);
        Channel(self.last_channel)
    }
}
