//! Listeners for changes of the network and of the page, while a client is active. It never judges a change.

use moorline_client_core::NetworkChange;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/js/platform.js")]
extern "C" {
    /// Calls `listener` with the number of each change, at once if there is no network now; returns a function to stop.
    #[wasm_bindgen(js_name = watchPage)]
    fn watch_page(listener: &Closure<dyn Fn(u32)>) -> js_sys::Function;
}

/// The listeners, which are removed with it.
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
        // Removing listeners cannot fail.
        let _ = self.unwatch.call0(&JsValue::UNDEFINED);
    }
}
