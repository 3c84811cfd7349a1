//! A polling session that is being closed: its last packets and the close packet are posted after the client let it go.
//!
//! Owns its requests and its deadline. It never receives packets. The waiting GET is not aborted first: a server takes
//! that for the end of the session, and would not read the rest.

use super::polling::{OK, Polling};
use crate::{Channel, Input, Time, output_queue::OutputQueue};

/// How long closing may take.
const CLOSING_MS: u64 = 5_000;

#[derive(Debug)]
#[must_use = "dropped, its requests would never be aborted"]
pub(crate) struct Closing {
    polling: Polling,
    pub(crate) give_up_at: Time,
}

impl Closing {
    /// Begins to close. `polling` has the close packet at the end of its outbox.
    pub(crate) fn new(mut polling: Polling, now: Time, outputs: &mut OutputQueue) -> Closing {
        polling.post(outputs);
        Closing { polling, give_up_at: now.plus_ms(CLOSING_MS) }
    }

    /// Takes an input about its requests; returns whether it is done.
    #[must_use]
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
