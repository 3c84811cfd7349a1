//! The goodbye of a session that polled: what it had to send, and the close packet, posted after the socket has gone.
//!
//! The waiting GET is not aborted before: a server takes that for the end of the session, and would not read the rest.

use crate::{Channel, Input, Time, engine::OK, output_queue::OutputQueue, polling::Polling};

/// How long a goodbye may take.
const LEAVING_MS: u64 = 5_000;

#[derive(Debug)]
pub(crate) struct Leaving {
    polling: Polling,
    pub(crate) give_up_at: Time,
}

impl Leaving {
    /// `polling` has the close packet at the end of what it has to send.
    pub(crate) fn new(mut polling: Polling, now: Time, outputs: &mut OutputQueue) -> Leaving {
        polling.post(outputs);
        Leaving { polling, give_up_at: now.plus_ms(LEAVING_MS) }
    }

    /// Takes what concerns it; returns whether all is said.
    pub(crate) fn handle(&mut self, input: &Input, outputs: &mut OutputQueue) -> bool {
        match input {
            Input::Response { channel, status, .. } => self.ended(*channel, *status == OK, outputs),
            Input::Failed(channel) | Input::TooBig(channel) => self.ended(*channel, false, outputs),
            _ => false,
        }
    }

    fn ended(&mut self, channel: Channel, is_well: bool, outputs: &mut OutputQueue) -> bool {
        if self.polling.poll == Some(channel) {
            self.polling.poll = None;
        }
        if self.polling.post != Some(channel) {
            return false;
        }
        self.polling.post = None;
        if is_well && self.polling.has_unsent() {
            self.polling.post(outputs);
            return false;
        }
        self.give_up(outputs);
        true
    }

    pub(crate) fn give_up(&mut self, outputs: &mut OutputQueue) {
        self.polling.abort(outputs);
    }
}
