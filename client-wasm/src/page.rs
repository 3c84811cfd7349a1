//! What a page learns about its network and about itself: listeners, while a client is active.

use moorline_client_core::NetworkChange;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/js/platform.js")]
extern "C" {
    /// Calls `listener` with the number of a change, at once if there is no network now. Returns what ends it.
    #[wasm_bindgen(js_name = watchPage)]
    fn watch_page(listener: &Closure<dyn Fn(u32)>) -> js_sys::Function;
}

/// Listens as long as it lives.
pub(crate) struct Page {
    unwatch: js_sys::Function,
    _listener: Closure<dyn Fn(u32)>,
}

impl Page {
    pub(crate) fn watch(on_change: impl Fn(NetworkChange) + 'static) -> Page {
        let listener = Closure::<dyn Fn(u32)>::new(move |number| {
            on_change(match number {
                0 => NetworkChange::Offline,
                1 => NetworkChange::Online,
                2 => NetworkChange::Changed,
                3 => NetworkChange::Absent,
                _ => NetworkChange::Shown,
            });
        });
        Page { unwatch: watch_page(&listener), _listener: listener }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // It removes listeners and cannot fail.
        let _ = self.unwatch.call0(&JsValue::UNDEFINED);
    }
}
