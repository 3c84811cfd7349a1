//! From an object of JavaScript to the settings of the state machine. It never has a default:
//! the state machine does.

use crate::number::{count, ms, permille};
use alloc::{string::String, vec::Vec};
use js_sys::Function;
use moorline_client_core::Options;
use moorline_protocol::TransportKind;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// The settings as `js/url.js` and `js/manager.js` prepare them: `ManagerOptions` of `index.d.ts`, and `url`,
    /// `query` (encoded), `node`, `lastTransport` and `seed`.
    pub type ClientOptions;

    #[wasm_bindgen(method, getter)]
    fn url(this: &ClientOptions) -> String;
    #[wasm_bindgen(method, getter)]
    fn query(this: &ClientOptions) -> Option<String>;
    #[wasm_bindgen(method, getter)]
    fn node(this: &ClientOptions) -> Option<String>;
    #[wasm_bindgen(method, getter, js_name = lastTransport)]
    fn last_transport(this: &ClientOptions) -> Option<String>;
    #[wasm_bindgen(method, getter)]
    fn transports(this: &ClientOptions) -> Option<Vec<String>>;
    #[wasm_bindgen(method, getter)]
    fn upgrade(this: &ClientOptions) -> Option<bool>;
    #[wasm_bindgen(method, getter)]
    fn reconnection(this: &ClientOptions) -> Option<bool>;
    #[wasm_bindgen(method, getter, js_name = reconnectionAttempts)]
    fn reconnection_attempts(this: &ClientOptions) -> Option<f64>;
    #[wasm_bindgen(method, getter, js_name = reconnectionDelay)]
    fn reconnection_delay(this: &ClientOptions) -> Option<f64>;
    #[wasm_bindgen(method, getter, js_name = reconnectionDelayMax)]
    fn reconnection_delay_max(this: &ClientOptions) -> Option<f64>;
    #[wasm_bindgen(method, getter, js_name = randomizationFactor)]
    fn randomization_factor(this: &ClientOptions) -> Option<f64>;
    #[wasm_bindgen(method, getter)]
    fn timeout(this: &ClientOptions) -> Option<f64>;
    #[wasm_bindgen(method, getter, js_name = sendBufferPackets)]
    fn send_buffer_packets(this: &ClientOptions) -> Option<f64>;
    #[wasm_bindgen(method, getter, js_name = sendBufferBytes)]
    fn send_buffer_bytes(this: &ClientOptions) -> Option<f64>;
    #[wasm_bindgen(method, getter, js_name = maxMessageBytes)]
    fn max_message_bytes(this: &ClientOptions) -> Option<f64>;
    #[wasm_bindgen(method, getter, js_name = maxDepth)]
    fn max_depth(this: &ClientOptions) -> Option<f64>;
    #[wasm_bindgen(method, getter)]
    fn seed(this: &ClientOptions) -> f64;

    #[wasm_bindgen(method, getter, js_name = withCredentials)]
    pub(crate) fn with_credentials(this: &ClientOptions) -> Option<bool>;
    #[wasm_bindgen(method, getter, js_name = WebSocket)]
    pub(crate) fn web_socket(this: &ClientOptions) -> Option<Function>;
    #[wasm_bindgen(method, getter)]
    pub(crate) fn fetch(this: &ClientOptions) -> Option<Function>;
}

/// A setting that was given.
fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}

impl ClientOptions {
    /// The settings as the state machine takes them.
    pub(crate) fn to_core(&self) -> Options {
        let mut options = Options::new(self.url());
        set(&mut options.query, self.query());
        set(&mut options.transports, self.transports().map(|names| names.iter().filter_map(kind).collect()));
        set(&mut options.upgrade, self.upgrade());
        set(&mut options.reconnection, self.reconnection());
        set(&mut options.delay_ms, self.reconnection_delay().map(ms));
        set(&mut options.delay_max_ms, self.reconnection_delay_max().map(ms));
        set(&mut options.random_permille, self.randomization_factor().map(permille));
        set(&mut options.timeout_ms, self.timeout().map(ms));
        set(&mut options.send_packets_max, self.send_buffer_packets().map(count));
        set(&mut options.send_bytes_max, self.send_buffer_bytes().map(count));
        set(&mut options.message_bytes_max, self.max_message_bytes().map(count));
        set(&mut options.depth_max, self.max_depth().map(count));
        options.attempts_max = self.reconnection_attempts().and_then(|most| u32::try_from(ms(most)).ok());
        options.node = self.node();
        options.last_transport = self.last_transport().as_ref().and_then(kind);
        options.seed = self.seed().to_bits();
        options
    }
}

fn kind(name: &String) -> Option<TransportKind> {
    [TransportKind::WebSocket, TransportKind::Polling].into_iter().find(|kind| kind.as_str() == name)
}
