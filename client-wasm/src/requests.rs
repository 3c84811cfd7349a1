//! HTTP requests that are under way.
//!
//! Owns their aborts and closures. It never reads a body: `js/platform.js` does.

use crate::number::ms;
use alloc::{string::String, vec::Vec};
use core::cell::RefCell;
use js_sys::Function;
use moorline_client_core::{Channel, Input};
use wasm_bindgen::prelude::*;

/// `status`, `Retry-After` in milliseconds, body. Status 0: no response; no body: it was too big.
type Done = Closure<dyn Fn(u16, Option<f64>, Option<String>)>;

#[wasm_bindgen(module = "/js/platform.js")]
extern "C" {
    /// Makes a request (POST if there is a body) and calls `done` once, later; returns its abort.
    fn request(
        fetch: &Function,
        url: &str,
        body: Option<String>,
        has_credentials: bool,
        bytes_max: usize,
        done: &Done,
    ) -> Function;
}

pub(crate) struct Requests {
    fetch: Option<Function>,
    has_credentials: bool,
    bytes_max: usize,
    pending: RefCell<Vec<(Channel, Request)>>,
}

struct Request {
    abort: Function,
    _done: Done,
}

impl Requests {
    pub(crate) fn new(fetch: Option<Function>, has_credentials: bool, bytes_max: usize) -> Requests {
        Requests { fetch, has_credentials, bytes_max, pending: RefCell::default() }
    }

    /// Makes a request; returns whether there is a `fetch` to make it with.
    pub(crate) fn make(
        &self,
        channel: Channel,
        url: &str,
        body: Option<String>,
        report: impl Fn(Input) + 'static,
    ) -> bool {
        let Some(fetch) = &self.fetch else { return false };
        let done = Done::new(move |status, retry_after_ms: Option<f64>, body| {
            let retry_after_ms = retry_after_ms.map(ms);
            report(match (status, body) {
                (0, _) => Input::Failed(channel),
                (_, None) => Input::TooBig(channel),
                (status, Some(body)) => Input::Response { channel, status, retry_after_ms, body },
            });
        });
        let abort = request(fetch, url, body, self.has_credentials, self.bytes_max, &done);
        self.pending.borrow_mut().push((channel, Request { abort, _done: done }));
        true
    }

    /// The request has ended.
    pub(crate) fn forget(&self, channel: Channel) {
        drop(self.take(channel));
    }

    pub(crate) fn abort(&self, channel: Channel) {
        if let Some(request) = self.take(channel) {
            request.abort();
        }
    }

    pub(crate) fn abort_all(&self) {
        let all = core::mem::take(&mut *self.pending.borrow_mut());
        for (_, request) in all {
            request.abort();
        }
    }

    fn take(&self, channel: Channel) -> Option<Request> {
        let mut pending = self.pending.borrow_mut();
        let at = pending.iter().position(|(own, _)| *own == channel)?;
        Some(pending.swap_remove(at).1)
    }
}

impl Request {
    fn abort(&self) {
        // Aborting cannot fail.
        let _ = self.abort.call0(&JsValue::UNDEFINED);
    }
}
