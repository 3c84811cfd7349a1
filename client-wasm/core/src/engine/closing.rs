//! The goodbye of a session that polled: what it had to send, and the close packet, posted after the socket has gone.
//!
//! The waiting GET is not aborted before: a server takes that for the end of the session, and would not read the rest.

use crate::{
    Channel, Input, Time,
    engine::{OK, polling::Polling},
    output_queue::OutputQueue,
};

/// How long a goodbye may take.
const CLOSING_MS: u64 = 5_000;

#[derive(Debug)]
pub(crate) struct Closing {
    polling: Polling,
    pub(crate) give_up_at: Time,
}

impl Closing {
    /// `polling` has the close packet at the end of what it has to send.
    pub(crate) fn new(mut polling: Polling, now: Time, outputs: &mut OutputQueue) -> Closing {
        polling.post(outputs);
        Closing { polling, give_up_at: now.plus_ms(CLOSING_MS) }
    }

    /// Takes what concerns it; returns whether all is said.
    pub(crate) fn handle(&mut self, input: &Input, outputs: &mut OutputQueue) -> bool {
        match input {
            Input::Response { channel, status, .. } => self.ended(*channel, *status == OK, outputs),
            Input::Failed(channel) | Input::TooBig(channel) => self.ended(*channel, false, outputs),
            _ => false,
        }
    }

    fn ended(&mut self, channel: Channel, is_ok: bool, outputs: &mut OutputQueue) -> bool {
        if self.polling.poll == Some(channel) {
            self.polling.poll = None;
        }
        if self.polling.post != Some(channel) {
            return false;
        }
        self.polling.post = None;
        if is_ok && self.polling.has_unsent() {
            self.polling.post(outputs);
            return false;
        }
        self.abort(outputs);
        true
    }

    pub(crate) fn abort(&mut self, outputs: &mut OutputQueue) {
        self.polling.abort(outputs);
    }
}
