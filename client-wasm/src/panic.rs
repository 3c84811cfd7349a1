//! A panic: reported to the page once, as a sentence, and remembered.
//!
//! Owns that memory. It never unwinds. After a panic no promise of this module holds: inputs are ignored, and
//! JavaScript refuses to call.

use core::sync::atomic::{AtomicBool, Ordering};

static HAS_PANICKED: AtomicBool = AtomicBool::new(false);

pub(crate) fn has_panicked() -> bool {
    HAS_PANICKED.load(Ordering::Relaxed)
}

#[cfg(target_arch = "wasm32")]
mod report {
    use alloc::string::String;
    use core::panic::Location;
    use core::sync::atomic::Ordering;
    use wasm_bindgen::prelude::*;

    #[wasm_bindgen(module = "/js/platform.js")]
    extern "C" {
        /// Tells the listener.
        fn panicked(sentence: &str);
        #[wasm_bindgen(js_name = setPanicListener)]
        pub(crate) fn set_listener(listener: &js_sys::Function);
    }

    /// Built by hand, without the formatting machinery: it is large, and it is what may be broken.
    pub(super) fn report(location: Option<&Location<'_>>) {
        super::HAS_PANICKED.store(true, Ordering::Relaxed);
        let mut sentence = String::from("moorline-client has a defect and stopped");
        if let Some(location) = location {
            sentence.push_str(" at ");
            sentence.push_str(location.file());
            sentence.push(':');
            push_number(&mut sentence, location.line());
        }
        sentence.push_str("; reload the page to go on");
        panicked(&sentence);
    }

    fn push_number(text: &mut String, number: u32) {
        if number >= 10 {
            push_number(text, number / 10);
        }
        text.push(char::from_digit(number % 10, 10).unwrap_or('0'));
    }
}

/// Calls this function with the sentence, while the module stops: it must not call back.
#[cfg(target_arch = "wasm32")]
pub(crate) use report::set_listener;

/// Has panics reported: with std by its hook, once.
#[cfg(all(target_arch = "wasm32", not(feature = "npm")))]
pub(crate) fn report_panics() {
    use std::panic::{set_hook, take_hook};
    static IS_HOOKED: AtomicBool = AtomicBool::new(false);
    if !IS_HOOKED.swap(true, Ordering::Relaxed) {
        let previous = take_hook();
        set_hook(Box::new(move |info| {
            report::report(info.location());
            previous(info);
        }));
    }
}

/// Has panics reported: the handler below always does.
#[cfg(not(all(target_arch = "wasm32", not(feature = "npm"))))]
pub(crate) fn report_panics() {}

#[cfg(all(feature = "npm", target_arch = "wasm32"))]
mod bare {
    #[global_allocator]
    static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

    #[panic_handler]
    fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
        super::report::report(info.location());
        core::arch::wasm32::unreachable()
    }
}
