//! The bindings in a real browser: `wasm-pack test --headless --chrome`.
//!
//! The transports are the tests' own (`tests/web.js`): a WebSocket and a `fetch` that do what a story says, so that
//! no server is needed. With the feature `real-node` there is a second set, over the browser's own transports and to
//! a real node: see `real_node.rs`.
#![cfg(target_arch = "wasm32")]

#[cfg(feature = "real-node")]
mod real_node;

use js_sys::Uint8Array;
use moorline_client::{Client, ClientOptions, Owner};
use wasm_bindgen::{JsCast, prelude::*};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen(module = "/tests/web.js")]
extern "C" {
    /// A page of a test: its transports, and the calls of its owner.
    type Stage;

    #[wasm_bindgen(constructor)]
    fn new(settings: &str) -> Stage;
    #[wasm_bindgen(method, getter)]
    fn options(this: &Stage) -> JsValue;
    #[wasm_bindgen(method, getter)]
    fn owner(this: &Stage) -> JsValue;
    /// The calls and sends since the last look, one line each, joined by newlines.
    #[wasm_bindgen(method)]
    fn take(this: &Stage) -> String;
    /// The youngest WebSocket opens.
    #[wasm_bindgen(method)]
    fn opens(this: &Stage);
    /// The youngest WebSocket brings something.
    #[wasm_bindgen(method)]
    fn brings(this: &Stage, data: &JsValue);
    #[wasm_bindgen(method)]
    fn closes(this: &Stage, code: u16);
    /// The oldest request gets its response; resolves when it was received.
    #[wasm_bindgen(method, catch)]
    async fn respond(this: &Stage, status: u16, body: &str) -> Result<JsValue, JsValue>;
    /// Calls this when an event is received.
    #[wasm_bindgen(method, js_name = onEvent)]
    fn on_event(this: &Stage, handler: &Closure<dyn Fn()>);
    /// Handlers of WebSockets, requests under way, timers and listeners of the page.
    #[wasm_bindgen(method)]
    fn held(this: &Stage) -> u32;
    /// Tells the page of an event.
    #[wasm_bindgen(method)]
    fn page(this: &Stage, event: &str);
    /// Fires the timers that are due when so much time has passed.
    #[wasm_bindgen(method)]
    fn pass(this: &Stage, ms: f64);
    /// Gives the browser its own functions back.
    #[wasm_bindgen(method)]
    fn end(this: &Stage);
}

const HANDSHAKE: &str =
    r#"0{"sid":"s1.abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

/// A client on a stage; the stage goes with it.
struct Play {
    stage: Stage,
    client: Client,
}

impl Play {
    fn new(settings: &str) -> Play {
        let stage = Stage::new(settings);
        let client = Client::new(stage.options().unchecked_ref::<ClientOptions>());
        client.add_socket("/".into(), None, None);
        Play { stage, client }
    }

    fn own(&self) -> &Client {
        self.client.own(self.stage.owner().unchecked_into::<Owner>());
        &self.client
    }

    fn connect(&self) {
        self.own().connect(0);
    }

    fn text(&self, text: &str) {
        self.stage.brings(&text.into());
    }

    /// Connects by WebSocket, up to the event.
    fn connected(settings: &str) -> Play {
        let play = Play::new(settings);
        play.join();
        play
    }

    fn join(&self) {
        self.connect();
        self.stage.opens();
        self.text(HANDSHAKE);
        self.own().authorize(0, self.ticket(), "");
        self.text(r#"40{"sid":"me"}"#);
        self.stage.take();
    }

    /// The ticket that was received last.
    fn ticket(&self) -> u32 {
        let received = self.stage.take();
        let ticket = received.rsplit("want auth 0 ").next().and_then(|rest| rest.split('\n').next());
        ticket.and_then(|ticket| ticket.parse().ok()).expect("auth was asked for")
    }

    fn emit(&self, json: &str, parts: &[&[u8]], wants_ack: bool) -> Result<u32, JsValue> {
        let parts = parts.iter().map(|bytes| Uint8Array::from(*bytes)).collect();
        self.own().emit(0, json.into(), parts, wants_ack, None, false)
    }

    #[track_caller]
    fn assert(&self, lines: &[&str]) {
        assert_eq!(self.stage.take(), lines.join("\n"));
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        self.client.disconnect(0);
        self.stage.end();
    }
}

#[wasm_bindgen_test]
fn a_socket_connects_by_websocket_and_authenticates() {
    let play = Play::new("{}");
    play.connect();
    play.assert(&["open wss://example.org/socket.io/?EIO=4&transport=websocket"]);
    play.stage.opens();
    play.text(HANDSHAKE);
    assert_eq!(play.client.transport().as_deref(), Some("websocket"));
    assert_eq!(play.client.node().as_deref(), Some("s1"));
    let ticket = play.ticket();
    play.client.authorize(0, ticket, r#"{"token":"é"}"#);
    play.text(r#"40{"sid":"me"}"#);
    play.assert(&[r#"send 40{"token":"é"}"#, "connected 0 me"]);
    assert!(play.client.is_active(0));
}

#[wasm_bindgen_test]
fn events_and_acks_go_both_ways_with_binary_data() {
    let play = Play::connected("{}");
    play.text(r#"42["a",1]"#);
    play.text(r#"452-7["b",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#);
    for bytes in [&[1u8, 2][..], &[]] {
        play.stage.brings(&Uint8Array::from(bytes).buffer());
    }
    play.assert(&[
        r#"event 0 ["a",1]"#,
        r#"event 0 ["b",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}] [1,2] [] wants ack 7"#,
    ]);
    let part = Uint8Array::from(&[3u8][..]);
    play.own().ack(0, 7.0, 1, r#"{"_placeholder":true,"num":0}"#, vec![part]).expect("it is taken");
    play.assert(&[r#"send 461-7[{"_placeholder":true,"num":0}]"#, "send [3]"]);
    assert_eq!(play.emit(r#""c""#, &[&[255]], true), Ok(1));
    assert_eq!(play.emit(r#""d","x""#, &[], false), Ok(0));
    play.text(r#"430["yes"]"#);
    play.assert(&[r#"send 451-0["c"]"#, "send [255]", r#"send 42["d","x"]"#, r#"ack 1 ["yes"]"#]);
}

#[wasm_bindgen_test]
fn a_handler_may_call_back_and_what_follows_comes_after() {
    let play = std::rc::Rc::new(Play::connected("{}"));
    let inner = std::rc::Rc::downgrade(&play);
    let handler = Closure::<dyn Fn()>::new(move || {
        let play = inner.upgrade().expect("the play goes on");
        play.emit(r#""back""#, &[], false).expect("it is taken");
        play.text(r#"42["nested"]"#);
        play.own().disconnect(0);
    });
    play.stage.on_event(&handler);
    play.text(r#"42["a"]"#);
    play.assert(&[
        r#"event 0 ["a"]"#,
        r#"send 42["back"]"#,
        r#"event 0 ["nested"]"#,
        "send 41",
        "disconnected 0 io client disconnect",
        "close",
        "link closed",
        "idle",
    ]);
}

#[wasm_bindgen_test]
async fn where_there_is_no_websocket_it_polls() {
    let play = Play::new(r#"{"hasWebSocket":false,"withCredentials":true}"#);
    play.connect();
    play.assert(&["GET https://example.org/socket.io/?EIO=4&transport=polling include"]);
    play.stage.respond(200, HANDSHAKE).await.expect("it is received");
    let ticket = play.ticket();
    play.client.authorize(0, ticket, "");
    play.assert(&["POST https://example.org/socket.io/?EIO=4&transport=polling&sid=s1.abc include 40"]);
    play.stage.respond(200, "40{\"sid\":\"me\"}\u{1e}42[\"a\"]\u{1e}2").await.expect("it is received");
    let received = play.stage.take();
    assert!(received.contains("connected 0 me\nevent 0 [\"a\"]"), "{received}");
    play.stage.respond(200, "ok").await.expect("it is received");
    play.assert(&["POST https://example.org/socket.io/?EIO=4&transport=polling&sid=s1.abc include 3"]);
}

#[wasm_bindgen_test]
async fn a_response_that_is_too_big_ends_the_connection() {
    let play = Play::new(r#"{"hasWebSocket":false,"maxMessageBytes":500}"#);
    play.connect();
    play.stage.respond(200, HANDSHAKE).await.expect("it is received");
    play.stage.take();
    play.stage.respond(200, &"x".repeat(1_001)).await.expect("it is received");
    let received = play.stage.take();
    assert!(received.contains("link closed"), "{received}");
}

#[wasm_bindgen_test]
fn after_a_cut_it_comes_back_to_its_node() {
    let play = Play::connected(r#"{"reconnectionDelay":100}"#);
    play.stage.closes(1006);
    play.assert(&["close", "link closed", "disconnected 0 transport close"]);
    play.stage.pass(100.0);
    play.assert(&[
        "reconnect attempt 1",
        "open wss://example.org/socket.io/?EIO=4&transport=websocket&node=s1",
    ]);
    play.stage.opens();
    play.text(HANDSHAKE);
    let received = play.stage.take();
    assert!(received.starts_with("link opened\nreconnected 1\nwant auth 0 "), "{received}");
}

#[wasm_bindgen_test]
fn the_page_tells_of_its_network() {
    let play = Play::connected(
        r#"{"reconnectionDelay":600000,"reconnectionDelayMax":600000,"randomizationFactor":0}"#,
    );
    play.stage.page("offline");
    play.assert(&["close", "link closed", "disconnected 0 transport close"]);
    play.stage.pass(700_000.0);
    play.assert(&[]);
    play.stage.page("online");
    let received = play.stage.take();
    assert!(received.starts_with("reconnect attempt 1\nopen "), "{received}");
}

#[wasm_bindgen_test]
fn an_event_that_cannot_be_sent_is_an_error() {
    let play = Play::connected(r#"{"sendBufferBytes":100}"#);
    let code = |result: Result<u32, JsValue>| result.expect_err("it is refused").as_string();
    assert_eq!(
        code(play.emit(&format!("\"{}\"", "x".repeat(100)), &[], true)).as_deref(),
        Some("send_buffer_full")
    );
    assert_eq!(code(play.emit("\"x\"", &[&[0; 1][..]; 11], false)).as_deref(), Some("too_many_attachments"));
    play.assert(&[]);
}

#[wasm_bindgen_test]
fn bad_input_ends_its_connection_and_nothing_else() {
    let big = "x".repeat(1_001);
    for texts in
        [&[""][..], &["x"], &["42"], &["0{}"], &["451-[\"a\"]", "2", "42[1]"], &["4511-[\"a\"]"], &[&big]]
    {
        let play = Play::connected(r#"{"maxMessageBytes":1000}"#);
        for text in texts {
            play.text(text);
        }
        let received = play.stage.take();
        assert!(received.contains("disconnected 0 parse error"), "{texts:?}: {received}");
    }
}

#[wasm_bindgen_test]
fn an_event_the_owner_cannot_read_ends_the_connection() {
    let play = Play::connected("{}");
    play.text("42[not JSON");
    play.assert(&["event 0 [not JSON"]);
    play.own().unreadable();
    play.assert(&["close", "link closed", "disconnected 0 parse error"]);
}

#[wasm_bindgen_test]
fn a_thousand_times_connected_nothing_is_held() {
    let play = Play::new("{}");
    let memory = || wasm_bindgen::memory().unchecked_into::<js_sys::WebAssembly::Memory>().buffer();
    let bytes = || memory().unchecked_into::<js_sys::ArrayBuffer>().byte_length();
    let cycle = || {
        play.join();
        play.text(r#"42["a"]"#);
        play.emit("\"b\"", &[&[1, 2, 3]], true).expect("it is taken");
        play.own().disconnect(0);
        play.stage.take();
    };
    (0..50).for_each(|_| cycle());
    let before = bytes();
    (0..1_000).for_each(|_| cycle());
    assert_eq!(bytes(), before, "the module's memory did not grow");
    assert_eq!(play.stage.held(), 0, "no handler, request, timer or listener is left");
}

#[wasm_bindgen_test]
fn a_client_that_is_dropped_while_connected_lets_go() {
    let Play { stage, client } = &*std::mem::ManuallyDrop::new(Play::connected("{}"));
    assert!(stage.held() > 0);
    client.abandon();
    assert_eq!(stage.held(), 0);
    stage.brings(&"42[\"late\"]".into());
    assert_eq!(stage.take(), "close");
    stage.end();
}

#[wasm_bindgen_test]
fn settings_reach_the_state_machine() {
    let play = Play::new(r#"{"transports":["polling"],"query":"a=b","node":"s7"}"#);
    play.connect();
    play.assert(&["GET https://example.org/socket.io/?EIO=4&transport=polling&node=s7&a=b same-origin"]);
}
