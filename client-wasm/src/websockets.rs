//! WebSockets that are open or opening.
//!
//! Owns their handlers. It never parses a message. A message is measured before it is copied.

use alloc::{string::String, vec::Vec};
use core::cell::RefCell;
use js_sys::{Array, ArrayBuffer, Function, JsString, Reflect, Uint8Array};
use moorline_client_core::{Channel, Input};
use wasm_bindgen::{JsCast, prelude::*};
use web_sys::{BinaryType, CloseEvent, Event, MessageEvent, WebSocket};

#[wasm_bindgen]
extern "C" {
    /// A function that does nothing.
    #[wasm_bindgen(thread_local_v2, js_namespace = Function, js_name = prototype)]
    static NOTHING: Function;
}

pub(crate) struct WebSockets {
    /// The class to make them with.
    class: Option<Function>,
    bytes_max: usize,
    sockets: RefCell<Vec<(Channel, Connection)>>,
}

struct Connection {
    socket: WebSocket,
    _listener: Closure<dyn Fn(Event)>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        for set in [WebSocket::set_onopen, WebSocket::set_onmessage, WebSocket::set_onclose] {
            set(&self.socket, None);
        }
        // Closing a closed one does nothing.
        let _ = self.socket.close();
    }
}

impl WebSockets {
    pub(crate) fn new(class: Option<Function>, bytes_max: usize) -> WebSockets {
        WebSockets { class, bytes_max, sockets: RefCell::default() }
    }

    /// Opens a WebSocket; returns whether the platform has the class and a policy permits it.
    pub(crate) fn open(&self, channel: Channel, url: &str, report: impl Fn(Input) + 'static) -> bool {
        let Some(class) = &self.class else { return false };
        let Ok(made) = Reflect::construct(class, &Array::of1(&JsValue::from_str(url))) else { return false };
        // The class is not checked, only its methods are used: a test or another platform brings its own.
        let socket: WebSocket = made.unchecked_into();
        socket.set_binary_type(BinaryType::Arraybuffer);
        let bytes_max = self.bytes_max;
        let listener = Closure::<dyn Fn(Event)>::new(move |event: Event| {
            if let Some(input) = read(channel, bytes_max, event) {
                report(input);
            }
        });
        let function = Some(listener.as_ref().unchecked_ref());
        for set in [WebSocket::set_onopen, WebSocket::set_onmessage, WebSocket::set_onclose] {
            set(&socket, function);
        }
        // The close event that follows has all details. Some classes throw an error without a listener, even after
        // the end.
        NOTHING.with(|nothing| socket.set_onerror(Some(nothing)));
        self.sockets.borrow_mut().push((channel, Connection { socket, _listener: listener }));
        true
    }

    pub(crate) fn send(&self, channel: Channel, packet: &[u8], is_binary: bool) {
        let Some(socket) = self.find(channel) else { return };
        // A send that fails is followed by the close event.
        let _ = match core::str::from_utf8(packet) {
            Ok(text) if !is_binary => socket.send_with_str(text),
            _ => socket.send_with_u8_array(packet),
        };
    }

    /// The socket itself, so that nothing is borrowed while it is used: a class of a test's own may call back at once.
    fn find(&self, channel: Channel) -> Option<WebSocket> {
        let sockets = self.sockets.borrow();
        sockets.iter().find(|(own, _)| *own == channel).map(|(_, connection)| connection.socket.clone())
    }

    /// Closes one; packets it was given still go out.
    pub(crate) fn close(&self, channel: Channel) {
        let mut sockets = self.sockets.borrow_mut();
        let at = sockets.iter().position(|(own, _)| *own == channel);
        let closed = at.map(|at| sockets.swap_remove(at));
        // A test's own class may call back when it is closed.
        drop(sockets);
        drop(closed);
    }

    pub(crate) fn close_all(&self) {
        let closed = core::mem::take(&mut *self.sockets.borrow_mut());
        drop(closed);
    }

    /// Bytes that they were given and have not sent.
    pub(crate) fn unsent_bytes(&self) -> usize {
        let sockets = self.sockets.borrow();
        let unsent: u32 = sockets.iter().map(|(_, connection)| connection.socket.buffered_amount()).sum();
        usize::try_from(unsent).unwrap_or(usize::MAX)
    }
}

fn read(channel: Channel, bytes_max: usize, event: Event) -> Option<Input> {
    match event.type_().as_str() {
        "open" => Some(Input::Opened(channel)),
        "message" => Some(message(channel, bytes_max, &event.unchecked_into::<MessageEvent>().data())),
        "close" => {
            let close: CloseEvent = event.unchecked_into();
            Some(Input::Closed { channel, code: close.code(), reason: close.reason() })
        }
        _ => None,
    }
}

/// Measures before copying.
fn message(channel: Channel, bytes_max: usize, data: &JsValue) -> Input {
    let fits = |length: u32| usize::try_from(length).is_ok_and(|length| length <= bytes_max);
    if let Some(text) = data.dyn_ref::<JsString>() {
        return if fits(text.length()) {
            Input::Text(channel, String::from(text))
        } else {
            Input::TooBig(channel)
        };
    }
    let buffer: &ArrayBuffer = data.unchecked_ref();
    if fits(buffer.byte_length()) {
        Input::Binary(channel, Uint8Array::new(buffer).to_vec())
    } else {
        Input::TooBig(channel)
    }
}
