//! The bindings against a real node, over the browser's own WebSocket and `fetch`.
//!
//! `MOORLINE_TEST_URL` says where the node is, when the tests are compiled; it must allow the tests' own origin
//! (`WASM_BINDGEN_TEST_ADDRESS`). tests/e2e/wasm-pack.test.mjs starts one and runs this.

use moorline_client::{Client, ClientOptions, Owner};
use wasm_bindgen::{JsCast, prelude::*};
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen(module = "/tests/real.js")]
extern "C" {
    /// An owner whose lines can be awaited.
    type Witness;

    #[wasm_bindgen(constructor)]
    fn new(url: &str, transports: &str) -> Witness;
    #[wasm_bindgen(method, getter)]
    fn options(this: &Witness) -> JsValue;
    #[wasm_bindgen(method, getter)]
    fn owner(this: &Witness) -> JsValue;
    /// The rest of the next line that starts so.
    #[wasm_bindgen(method, catch)]
    async fn receive(this: &Witness, start: &str) -> Result<JsValue, JsValue>;
}

const URL: &str = match option_env!("MOORLINE_TEST_URL") {
    Some(url) => url,
    None => "http://127.0.0.1:38471",
};

/// A client of the real node.
struct Visitor {
    witness: Witness,
    client: Client,
}

impl Visitor {
    async fn new(transports: &str) -> Visitor {
        let witness = Witness::new(URL, transports);
        let client = Client::new(witness.options().unchecked_ref::<ClientOptions>());
        client.add_socket("/".into(), None, None);
        let visitor = Visitor { witness, client };
        visitor.own().connect(0);
        let ticket = visitor.receive("want auth 0 ").await.parse().expect("a ticket");
        visitor.own().authorize(0, ticket, r#"{"user":"é"}"#);
        visitor
    }

    fn own(&self) -> &Client {
        self.client.own(self.witness.owner().unchecked_into::<Owner>());
        &self.client
    }

    async fn receive(&self, start: &str) -> String {
        self.witness.receive(start).await.expect("in time").as_string().expect("a line")
    }

    async fn emit_with_ack(&self, json: &str) -> String {
        let ack = self.own().emit(0, json.into(), Vec::new(), true, None, false).expect("it is taken");
        self.receive(&format!("ack {ack} ")).await
    }
}

async fn talk(transports: &str, transport: &str) {
    let (a, b) = (Visitor::new(transports).await, Visitor::new(transports).await);
    let id = a.receive("connected 0 ").await;
    b.receive("connected 0 ").await;
    assert!(a.emit_with_ack(r#""@whoami""#).await.contains(&id));
    assert_eq!(a.emit_with_ack(r#""@join","doc:x""#).await, r#"[{"ok":true}]"#);
    assert_eq!(b.emit_with_ack(r#""@join","doc:x""#).await, r#"[{"ok":true}]"#);
    assert_eq!(a.emit_with_ack(r#""@to","doc:x","chat","hé 😀""#).await, r#"[{"expected":1}]"#);
    assert_eq!(b.receive("event 0 ").await, format!(r#"["chat",{{"from":"{id}"}},"hé 😀"]"#));
    assert_eq!(a.client.transport().as_deref(), Some(transport));
    assert!(a.client.node().is_some());
    for visitor in [a, b] {
        visitor.own().disconnect(0);
        visitor.receive("idle").await;
    }
}

#[wasm_bindgen_test]
async fn two_clients_talk_by_websocket() {
    talk("websocket", "websocket").await;
}

#[wasm_bindgen_test]
async fn two_clients_talk_by_polling() {
    talk("polling", "polling").await;
}

#[wasm_bindgen_test]
async fn a_client_moves_from_polling_to_websocket() {
    let visitor = Visitor::new("polling,websocket").await;
    visitor.receive("link upgraded websocket").await;
    assert!(visitor.emit_with_ack(r#""@whoami""#).await.contains("\"node\""));
    visitor.own().disconnect(0);
    visitor.receive("idle").await;
}
