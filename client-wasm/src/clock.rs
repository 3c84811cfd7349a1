//! The one place where a clock is read. It owns the elapsed time and never sets a timer.
//!
//! Neither of the two that a page has will do alone: `performance.now` may stand still while the machine sleeps, and
//! `Date.now` jumps when somebody sets it. Each step counts as the longer of what both say, so time never goes back and
//! a sleep is noticed.

use crate::number::ms;
use core::cell::Cell;
use moorline_client_core::Time;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
    #[wasm_bindgen(js_namespace = Date, js_name = now)]
    fn date_now() -> f64;
}

pub(crate) struct Clock {
    elapsed: Cell<f64>,
    steady: Cell<f64>,
    wall: Cell<f64>,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock { elapsed: Cell::new(0.0), steady: Cell::new(performance_now()), wall: Cell::new(date_now()) }
    }

    pub(crate) fn now(&self) -> Time {
        let (steady, wall) = (performance_now(), date_now());
        let step = (steady - self.steady.replace(steady)).max(wall - self.wall.replace(wall)).max(0.0);
        self.elapsed.set(self.elapsed.get() + step);
        Time::from_ms(ms(self.elapsed.get()))
    }
}
