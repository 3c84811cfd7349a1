//! The shell around one state machine: inputs in, outputs out, and the handles in between.
//!
//! Owns the run loop. It never decides. Invariant: outputs are done one at a time and in order, also when one calls
//! back in here; while one is done, the state machine is not borrowed.

use crate::{
    ClientOptions, Owner, clock::Clock, owner::details, page::Page, panic, requests::Requests, timer::Timer,
    websockets::WebSockets,
};
use alloc::{rc::Rc, string::String, vec::Vec};
use core::cell::{Cell, RefCell};
use js_sys::{Array, Function, Uint8Array};
use moorline_client_core::{Channel, Client as Core, Input, Output, OwedAckNumbers, Time};
use wasm_bindgen::prelude::*;

/// The largest body, in messages: it holds several, and binary data as base64.
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

    /// Tells this object every output, until the client is idle.
    pub(crate) fn own(&self, owner: Owner) {
        self.owner.borrow_mut().get_or_insert_with(|| Rc::new(owner));
    }

    /// Watches the network from before the first attempt, which may have to wait for it.
    pub(crate) fn watch_page(self: &Rc<Self>) {
        if self.page.borrow().is_none() {
            let shell = Rc::downgrade(self);
            let page = Page::watch(move |change| {
                if let Some(shell) = shell.upgrade() {
                    shell.input(Input::Network(change));
                }
            });
            *self.page.borrow_mut() = Some(page);
        }
    }

    /// Gives the state machine a command, and does every output that follows.
    pub(crate) fn command<T>(self: &Rc<Self>, command: impl FnOnce(&mut Core, Time) -> T) -> T {
        let now = self.clock.now();
        let result = command(&mut self.core.borrow_mut(), now);
        self.pump();
        result
    }

    pub(crate) fn query<T>(&self, read: impl FnOnce(&Core) -> T) -> T {
        read(&self.core.borrow())
    }

    /// Gives the state machine an input; after a panic, whose state is undefined, ignores it.
    pub(crate) fn input(self: &Rc<Self>, input: Input) {
        if !panic::has_panicked() {
            self.command(|core, now| core.handle(now, input));
        }
    }

    fn timed_out(self: &Rc<Self>) {
        if !panic::has_panicked() {
            self.timer.disarm();
            self.command(Core::handle_timeout);
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

    /// Arms the timer, or lets go of every handle when there is nothing to wait for.
    fn settle(self: &Rc<Self>) {
        let (next, is_linked, is_idle) =
            self.query(|core| (core.poll_timeout(), core.is_linked(), core.is_idle()));
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
                if !self.websockets.open(channel, &url, self.reporter(channel)) {
                    let reason = String::new();
                    self.command(|core, now| core.handle(now, Input::Closed { channel, code: 0, reason }));
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
        if !self.requests.make(channel, url, body, self.reporter(channel)) {
            self.command(|core, now| core.handle(now, Input::Failed(channel)));
        }
    }

    /// The function by which a transport reports its inputs. It does not keep the shell alive.
    fn reporter(self: &Rc<Self>, channel: Channel) -> impl Fn(Input) + use<> {
        let shell = Rc::downgrade(self);
        move |input| {
            let Some(shell) = shell.upgrade() else { return };
            match input {
                Input::Closed { .. } => shell.websockets.close(channel),
                Input::Response { .. } | Input::Failed(_) => shell.requests.forget(channel),
                _ => {}
            }
            shell.input(input);
        }
    }
}

fn tell_owner(owner: &Owner, output: Output) {
    match output {
        Output::WantAuth(socket, ticket) => owner.want_auth(socket.number(), ticket.number()),
        Output::Connected(socket, id) => owner.connected(socket.number(), &id),
        Output::ConnectError { socket, failure, refusal, details: end } => {
            owner.connect_error(socket.number(), failure.as_str(), refusal, end.as_ref().map(details));
        }
        Output::Disconnected(socket, reason, end) => {
            owner.disconnected(socket.number(), reason.as_str(), end.as_ref().map(details));
        }
        #[allow(clippy::cast_precision_loss, reason = "the codec takes no id above 2^53")]
        Output::Event { socket, json, attachments, owed_ack } => {
            let owed = owed_ack.map(OwedAckNumbers::from);
            let id = owed.map(|owed| owed.id as f64);
            let epoch = owed.map_or(0, |owed| owed.epoch);
            owner.event(socket.number(), &json, buffers(&attachments), id, epoch);
        }
        Output::Acked { ack, json, attachments } => {
            owner.acked(ack.number(), &json, buffers(&attachments));
        }
        Output::AckFailed(ack, error) => owner.ack_failed(ack.number(), error.code()),
        Output::Dropped(socket, error) => owner.dropped(socket.number(), error.code()),
        Output::LinkOpened(kind) => owner.link_opened(kind.as_str()),
        Output::LinkUpgraded(kind) => owner.link_upgraded(kind.as_str()),
        Output::LinkClosed(reason, end) => owner.link_closed(reason.as_str(), end.as_ref().map(details)),
        Output::ReconnectAttempt(attempt) => owner.reconnect_attempt(attempt),
        Output::Reconnect(attempt) => owner.reconnected(attempt),
        Output::ReconnectError(end) => owner.reconnect_error(end.failure.as_str(), Some(details(&end))),
        Output::ReconnectFailed => owner.reconnect_failed(),
        // The outputs for transports are done in `perform`.
        Output::Open(..) | Output::Send(..) | Output::Close(_) | Output::Get(..) => {}
        Output::Post(..) | Output::Abort(_) => {}
    }
}

fn buffers(attachments: &[Vec<u8>]) -> Array {
    attachments.iter().map(|bytes| Uint8Array::from(&bytes[..]).buffer()).collect()
}
