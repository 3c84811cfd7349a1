//! The shell around one state machine: inputs in, outputs out, and the handles in between.
//!
//! Invariant: outputs are done one at a time and in order, also when what is done calls back in here; and while one is
//! done, the state machine is not borrowed.

use crate::{
    ClientOptions, Owner,
    clock::Clock,
    owner::{ack_error, details},
    page::Page,
    panic,
    requests::Requests,
    timer::Timer,
    websockets::WebSockets,
};
use alloc::{rc::Rc, string::String, vec::Vec};
use core::cell::{Cell, RefCell};
use js_sys::{Array, Function, Uint8Array};
use moorline_client_core::{Channel, Client as Core, Input, Output, Time};
use wasm_bindgen::prelude::*;

/// A body may be as large as so many messages: it holds several, and binary data as base64.
const BODY_MESSAGES: usize = 2;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(thread_local_v2, js_name = WebSocket)]
    static PLATFORM_WEBSOCKET: Option<Function>;
    #[wasm_bindgen(thread_local_v2, js_name = fetch)]
    static PLATFORM_FETCH: Option<Function>;
}

pub(crate) struct Shell {
    core: RefCell<Core>,
    owner: RefCell<Option<Rc<Owner>>>,
    page: RefCell<Option<Page>>,
    websockets: WebSockets,
    requests: Requests,
    timer: Timer,
    clock: Clock,
    is_pumping: Cell<bool>,
}

impl Shell {
    pub(crate) fn new(options: &ClientOptions) -> Rc<Shell> {
        let core_options = options.to_core();
        let bytes_max = core_options.message_bytes_max;
        let class = options.web_socket().or_else(|| PLATFORM_WEBSOCKET.with(Clone::clone));
        let fetch = options.fetch().or_else(|| PLATFORM_FETCH.with(Clone::clone));
        let has_credentials = options.with_credentials().unwrap_or(false);
        Rc::new(Shell {
            core: RefCell::new(Core::new(core_options)),
            owner: RefCell::default(),
            page: RefCell::default(),
            websockets: WebSockets::new(class, bytes_max),
            requests: Requests::new(fetch, has_credentials, bytes_max.saturating_mul(BODY_MESSAGES)),
            timer: Timer::default(),
            clock: Clock::start(),
            is_pumping: Cell::new(false),
        })
    }

    /// From now on this object hears what happens, until nothing does any more.
    pub(crate) fn own(&self, owner: Owner) {
        self.owner.borrow_mut().get_or_insert_with(|| Rc::new(owner));
    }

    /// Hears of the network before the first attempt is made, which may have to wait for it.
    pub(crate) fn watch_page(self: &Rc<Self>) {
        if self.page.borrow().is_none() {
            let shell = Rc::downgrade(self);
            let page = Page::watch(move |change| {
                if let Some(shell) = shell.upgrade() {
                    shell.told(Input::Network(change));
                }
            });
            *self.page.borrow_mut() = Some(page);
        }
    }

    /// A command to the state machine, and everything that follows from it.
    pub(crate) fn tell<T>(self: &Rc<Self>, command: impl FnOnce(&mut Core, Time) -> T) -> T {
        let now = self.clock.now();
        let result = command(&mut self.core.borrow_mut(), now);
        self.pump();
        result
    }

    pub(crate) fn ask<T>(&self, question: impl FnOnce(&Core) -> T) -> T {
        question(&self.core.borrow())
    }

    /// Something happened. After a panic nothing is as it should be, and nothing happens any more.
    pub(crate) fn told(self: &Rc<Self>, input: Input) {
        if !panic::has_panicked() {
            self.tell(|core, now| core.handle(now, input));
        }
    }

    fn timed_out(self: &Rc<Self>) {
        if !panic::has_panicked() {
            self.timer.disarm();
            self.tell(Core::handle_timeout);
        }
    }

    pub(crate) fn unsent_bytes(&self) -> usize {
        self.websockets.unsent_bytes()
    }

    pub(crate) fn abandon(&self) {
        self.websockets.close_all();
        self.requests.abort_all();
        self.timer.disarm();
        *self.page.borrow_mut() = None;
        *self.owner.borrow_mut() = None;
    }

    fn pump(self: &Rc<Self>) {
        if self.is_pumping.replace(true) {
            return;
        }
        while let Some(output) = self.next_output() {
            self.perform(output);
        }
        self.is_pumping.set(false);
        self.settle();
    }

    fn next_output(&self) -> Option<Output> {
        self.core.borrow_mut().poll_output()
    }

    /// Arms the timer, or lets go of everything when there is nothing to wait for.
    fn settle(self: &Rc<Self>) {
        let (next, is_linked, is_idle) =
            self.ask(|core| (core.poll_timeout(), core.is_linked(), core.is_idle()));
        if let Some(next) = next {
            let shell = Rc::downgrade(self);
            self.timer.arm(self.clock.now(), next, move || {
                if let Some(shell) = shell.upgrade() {
                    shell.timed_out();
                }
            });
        } else {
            self.timer.disarm();
        }
        if !is_linked {
            *self.page.borrow_mut() = None;
        }
        if is_idle {
            let owner = self.owner.borrow_mut().take();
            if let Some(owner) = owner {
                owner.idle();
            }
        }
    }

    fn perform(self: &Rc<Self>, output: Output) {
        match output {
            Output::Open(channel, url) => {
                if !self.websockets.open(channel, &url, self.teller(channel)) {
                    let reason = String::new();
                    self.tell(|core, now| core.handle(now, Input::Closed { channel, code: 0, reason }));
                }
            }
            Output::Send(channel, frame) => {
                self.websockets.send(channel, frame.as_packet(), frame.is_binary());
            }
            Output::Close(channel) => self.websockets.close(channel),
            Output::Get(channel, url) => self.request(channel, &url, None),
            Output::Post(channel, url, body) => self.request(channel, &url, Some(body)),
            Output::Abort(channel) => self.requests.abort(channel),
            output => {
                let owner = self.owner.borrow().clone();
                if let Some(owner) = owner {
                    tell_owner(&owner, output);
                }
            }
        }
    }

    fn request(self: &Rc<Self>, channel: Channel, url: &str, body: Option<String>) {
        if !self.requests.make(channel, url, body, self.teller(channel)) {
            self.tell(|core, now| core.handle(now, Input::Failed(channel)));
        }
    }

    /// What a transport calls. It holds the shell no longer than the shell holds it.
    fn teller(self: &Rc<Self>, channel: Channel) -> impl Fn(Input) + use<> {
        let shell = Rc::downgrade(self);
        move |input| {
            let Some(shell) = shell.upgrade() else { return };
            match input {
                Input::Closed { .. } => shell.websockets.close(channel),
                Input::Response { .. } | Input::Failed(_) => shell.requests.forget(channel),
                _ => {}
            }
            shell.told(input);
        }
    }
}

fn tell_owner(owner: &Owner, output: Output) {
    match output {
        Output::WantAuth(socket, ticket) => owner.want_auth(socket.0, ticket.0),
        Output::Connected(socket, id) => owner.connected(socket.0, &id),
        Output::ConnectError { socket, message, refusal, details: end } => {
            owner.connect_error(socket.0, message, refusal, end.as_ref().map(details));
        }
        Output::Disconnected(socket, reason, end) => {
            owner.disconnected(socket.0, reason, end.as_ref().map(details));
        }
        #[allow(clippy::cast_precision_loss, reason = "the codec takes no id above 2^53")]
        Output::Event { socket, json, attachments, owed_ack } => {
            let id = owed_ack.map(|owed| owed.id as f64);
            let epoch = owed_ack.map_or(0, |owed| owed.epoch);
            owner.event(socket.0, &json, buffers(&attachments), id, epoch);
        }
        Output::Acked { ack, json, attachments } => {
            owner.acked(ack.0, &json, buffers(&attachments));
        }
        Output::AckFailed(ack, error) => owner.ack_failed(ack.0, ack_error(error)),
        Output::Dropped(socket, error) => owner.dropped(socket.0, error.code()),
        Output::LinkOpened(kind) => owner.link_opened(kind.as_str()),
        Output::LinkUpgraded(kind) => owner.link_upgraded(kind.as_str()),
        Output::LinkClosed(reason, end) => owner.link_closed(reason, end.as_ref().map(details)),
        Output::ReconnectAttempt(attempt) => owner.reconnect_attempt(attempt),
        Output::Reconnect(attempt) => owner.reconnected(attempt),
        Output::ReconnectError(end) => owner.reconnect_error(end.description, Some(details(&end))),
        Output::ReconnectFailed => owner.reconnect_failed(),
        // The transports' own, done in `perform`.
        Output::Open(..) | Output::Send(..) | Output::Close(_) | Output::Get(..) => {}
        Output::Post(..) | Output::Abort(_) => {}
    }
}

fn buffers(attachments: &[Vec<u8>]) -> Array {
    attachments.iter().map(|bytes| Uint8Array::from(&bytes[..]).buffer()).collect()
}
