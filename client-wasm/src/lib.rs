//! The bindings: what happens in a page becomes inputs of the state machine, and its outputs become calls to the browser.
#![cfg_attr(all(feature = "npm", target_arch = "wasm32"), no_std)]
use wasm_bindgen::prelude::*;

/// A placeholder until the bindings stand.
#[wasm_bindgen]
pub fn answer() -> u32 {
    42
}

#[cfg(all(feature = "npm", target_arch = "wasm32"))]
mod bare {
    #[global_allocator]
    static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

    #[panic_handler]
    fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
        core::arch::wasm32::unreachable()
    }
}
