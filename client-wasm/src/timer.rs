//! The one timer of a client, armed for the next deadline or for an earlier one.
//!
//! Owns the browser's handle. It never reads a clock. Each message moves the deadline of the heartbeat: a timer that
//! fires too early and is armed again costs less than arming it with each message.

use core::cell::RefCell;
use moorline_client_core::Time;
use wasm_bindgen::prelude::*;

/// Beyond this, timers of browsers fire at once.
const DELAY_MS_MAX: f64 = 2_147_483_647.0;

#[wasm_bindgen]
extern "C" {
    // The handle is a number in a page, and an object elsewhere.
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(closure: &Closure<dyn Fn()>, delay_ms: f64) -> JsValue;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(handle: &JsValue);
}

#[derive(Default)]
pub(crate) struct Timer(RefCell<Option<Armed>>);

struct Armed {
    at: Time,
    handle: JsValue,
    _closure: Closure<dyn Fn()>,
}

impl Drop for Armed {
    fn drop(&mut self) {
        clear_timeout(&self.handle);
    }
}

impl Timer {
    /// Calls `on_time` at `next` at the latest.
    pub(crate) fn arm(&self, now: Time, next: Time, on_time: impl Fn() + 'static) {
        if self.0.borrow().as_ref().is_some_and(|armed| armed.at <= next) {
            return;
        }
        let closure = Closure::<dyn Fn()>::new(on_time);
        #[allow(clippy::cast_precision_loss, reason = "no delay is that long")]
        let delay_ms = (next.ms_since(now) as f64).min(DELAY_MS_MAX);
        let handle = set_timeout(&closure, delay_ms);
        let before = self.0.borrow_mut().replace(Armed { at: next, handle, _closure: closure });
        drop(before);
    }

    /// Nothing is due, or the timer has fired.
    pub(crate) fn disarm(&self) {
        let before = self.0.borrow_mut().take();
        drop(before);
    }
}
