//! An application of one's own: when its hooks are called, and what its commands do.

use moorline_core::{
    App, Args, Code, Completion, Config, ConnId, Connect, Context, CountOutcome, Data, Dialect, Disconnect,
    Emit, Event, Input, Intake, Node, Output, PendingAck, Refusal, Sent, SessionId, SocketId, Target, Time,
};
use moorline_protocol::{Reason, TransportKind};
use moorline_tests::sim::Seeded;
use std::{cell::RefCell, rc::Rc, time::Duration};

/// Notes of the hooks' calls and of the acks the last question brought.
type Diary = Rc<RefCell<Vec<String>>>;

/// Lets in whoever has an auth payload, says hello to everyone in the room, and does what events ask.
struct Host {
    diary: Diary,
}

impl Host {
    fn note(&self, text: String) {
        self.diary.borrow_mut().push(text);
    }
}

fn hello(context: &mut Context<'_>, client: &Connect<'_>, event: &str) {
    let args = Args::new().text(&client.socket.to_string());
    let room = [Target::Room("all")];
    assert_eq!(context.emit(&Emit::new(client.namespace, &room, event, &args)), Ok(()));
}

impl App for Host {
    fn connect(&mut self, context: &mut Context<'_>, client: &Connect<'_>) -> Result<(), Refusal> {
        context.join(client.socket, "all", None).expect("a room");
        hello(context, client, "knocked");
        let refusal = || Refusal { message: "who are you?".into(), data: "[1]".into() };
        client.auth.map(|_| ()).ok_or_else(refusal)
    }

    fn connected(&mut self, context: &mut Context<'_>, client: &Connect<'_>) {
        self.note(format!("connected {}", client.namespace));
        hello(context, client, "came");
    }

    fn event(&mut self, context: &mut Context<'_>, event: &Event<'_>) {
        let all = [Target::Room("all")];
        let args = Args::of(event);
        let others = Emit { except: Some(event.socket), ..Emit::new(event.namespace, &all, "said", &args) };
        match (&*event.name, event.ack) {
            ("ask", Some(ack)) => match context.emit_with_ack(&others, ack) {
                Ok(Sent::Waiting) => {}
                other => self.note(format!("{other:?}")),
            },
            ("say", _) => assert_eq!(context.emit(&others), Ok(())),
            ("out", _) => {
                context.disconnect(event.socket);
                context.disconnect(event.socket);
                assert!(context.is_member(event.socket, "all"), "it goes when the hook has returned");
            }
            ("wrong", _) => self.wrong(context, event, &all),
            _ => {}
        }
    }

    fn completed(&mut self, context: &mut Context<'_>, completion: &Completion) {
        let Completion::Gathered { ack, expected, responses, more, outcome } = completion else { return };
        assert_eq!((*more, *outcome), (0, CountOutcome::Complete));
        self.note(format!("gathered {expected}: {}", responses.as_json()));
        context.acknowledge(*ack, responses);
    }

    fn disconnect(&mut self, _context: &mut Context<'_>, client: &Disconnect) {
        self.note(format!("disconnect {} {}", client.namespace, client.reason.as_str()));
    }

    fn message(&mut self, context: &mut Context<'_>, session: SessionId, data: Data<'_>) {
        context.send_message(session, data);
    }
}

impl Host {
    /// Everything that would harm a client or goes nowhere.
    fn wrong(&self, context: &mut Context<'_>, event: &Event<'_>, all: &[Target<'_>]) {
        let stray = Args::of(event).binary(&[1]);
        let full = (0..11).fold(Args::new(), |args, _| args.binary(&[]));
        let none = Args::new();
        for (namespace, name, args, code) in [
            ("/", "connect", &none, Code::BadEvent),
            ("/", "e", &stray, Code::BadEvent),
            ("/", "e", &full, Code::TooMany),
            ("/nowhere", "e", &none, Code::BadTarget),
        ] {
            assert_eq!(context.emit(&Emit::new(namespace, all, name, args)), Err(code));
        }
        let gone = PendingAck {
            socket: SocketId::parse("abcdefghijABCDEF-_09").expect("an id"),
            id: moorline_core::AckId::new(1),
        };
        assert_eq!(context.emit_with_ack(&Emit::new("/", all, "e", &none), gone), Err(Code::NotMember));
        context.acknowledge(gone, &none);
        assert_eq!(context.join(gone.socket, "all", None), Err(Code::NotMember));
    }
}

/// A node with that application and WebSockets on it.
struct House {
    node: Node<Host>,
    diary: Diary,
    now: Time,
    conns: u32,
    received: Vec<Vec<String>>,
    closed: Vec<Option<u16>>,
    /// A client that does not read.
    is_mute: Option<u32>,
}

impl House {
    fn new() -> House {
        let diary = Diary::default();
        let config = Config { namespaces: vec!["/".into(), "/two".into()], ..Config::default() };
        let host = Host { diary: diary.clone() };
        let node = Node::new(config, host, Box::new(Seeded::new(1)), Time::ZERO);
        House {
            node,
            diary,
            now: Time::ZERO,
            conns: 0,
            received: Vec::new(),
            closed: Vec::new(),
            is_mute: None,
        }
    }

    fn open(&mut self, dialect: Dialect) -> u32 {
        self.received.push(Vec::new());
        self.closed.push(None);
        self.conns += 1;
        let conn = ConnId { slot: self.conns - 1, generation: 0 };
        self.input(Input::Open { conn, transport: TransportKind::WebSocket, dialect });
        self.take(conn.slot);
        conn.slot
    }

    /// A client that was let in; what it received of that is forgotten.
    fn guest(&mut self) -> u32 {
        let conn = self.open(Dialect::SocketIo);
        self.say(conn, "40{}");
        self.take(conn);
        conn
    }

    fn say(&mut self, slot: u32, text: &str) {
        self.input(Input::Text { conn: ConnId { slot, generation: 0 }, text });
    }

    fn input(&mut self, input: Input<'_>) {
        self.node.handle(self.now, input);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.node.poll_output() {
            let (conn, reason) = match output {
                Output::Flush(conn) if self.is_mute == Some(conn.slot) => continue,
                Output::Resume(_) => continue,
                Output::Flush(conn) => (conn, None),
                Output::Close { conn, reason } => (conn, Some(reason)),
                other => panic!("{other:?}"),
            };
            self.flush(conn.slot);
            if let Some(reason) = reason {
                self.closed[conn.slot as usize] = Some(reason.close_code());
                self.node.handle(self.now, Input::Closed { conn, reason });
            }
        }
    }

    fn flush(&mut self, slot: u32) {
        let mut frames = Vec::new();
        while self.node.pull(ConnId { slot, generation: 0 }, 1 << 16, &mut frames) {}
        let packets = frames.iter().map(|frame| String::from_utf8_lossy(frame.as_packet()).into_owned());
        self.received[slot as usize].extend(packets);
    }

    fn take(&mut self, slot: u32) -> Vec<String> {
        std::mem::take(&mut self.received[slot as usize])
    }

    fn diary(&self) -> Vec<String> {
        std::mem::take(&mut self.diary.borrow_mut())
    }
}

#[test]
fn a_client_receives_nothing_before_it_is_let_in_and_everything_after() {
    let mut house = House::new();
    let first = house.guest();
    let second = house.open(Dialect::SocketIo);
    house.say(second, "40{}");
    let received = house.take(second);
    let id = received[0].strip_prefix(r#"40{"sid":""#).and_then(|rest| rest.strip_suffix(r#""}"#)).unwrap();
    assert_eq!(received[1..], [format!(r#"42["came","{id}"]"#)], "its own knock it did not receive");
    let expected = [format!(r#"42["knocked","{id}"]"#), format!(r#"42["came","{id}"]"#)];
    assert_eq!(house.take(first), expected);
    assert_eq!(house.diary(), ["connected /", "connected /"]);
}

#[test]
fn who_is_refused_never_was() {
    let mut house = House::new();
    let stranger = house.open(Dialect::SocketIo);
    house.say(stranger, "40");
    assert_eq!(house.take(stranger), [r#"44{"message":"who are you?","data":[1]}"#]);
    assert_eq!((house.node.gauges().sockets, house.node.gauges().rooms), (0, 0));
    assert_eq!(house.diary(), Vec::<String>::new(), "neither connected nor disconnected");
    house.say(stranger, "40{}");
    assert!(house.take(stranger)[0].starts_with("40{"), "it may ask again");
}

#[test]
fn who_is_asked_to_leave_goes_when_the_hook_has_returned_and_the_session_stays() {
    let mut house = House::new();
    let guest = house.guest();
    house.say(guest, "40/two,{}");
    house.take(guest);
    house.diary();
    house.say(guest, r#"42["out"]"#);
    assert_eq!(house.take(guest), ["41"]);
    assert_eq!(house.diary(), ["disconnect / server namespace disconnect"]);
    assert_eq!((house.node.gauges().sockets, house.closed[0]), (1, None));
    house.say(guest, r#"42/two,["say"]"#);
    house
        .input(Input::Closed { conn: ConnId { slot: guest, generation: 0 }, reason: Reason::TransportClose });
    assert_eq!(house.diary(), ["disconnect /two transport close"]);
}

#[test]
fn an_application_asks_clients_and_hands_their_acks_on() {
    let mut house = House::new();
    let (asker, other, silent) = (house.guest(), house.guest(), house.guest());
    [asker, other, silent].iter().for_each(|conn| drop(house.take(*conn)));
    house.diary();
    house.say(asker, r#"427["ask","why"]"#);
    let question = house.take(other).remove(0);
    let id = question.strip_prefix("42").and_then(|rest| rest.strip_suffix(r#"["said","why"]"#)).unwrap();
    house.say(other, &format!(r#"43{id}["because"]"#));
    assert_eq!(house.take(asker), Vec::<String>::new());
    house.now = house.now + Duration::from_secs(10);
    while house.node.handle_timeout(house.now, 10) {}
    house.carry_out();
    assert_eq!(house.diary(), [r#"gathered 2: "because""#]);
    assert_eq!(house.take(asker), [r#"437["because"]"#]);
    house.say(other, "41");
    house.say(silent, "41");
    house.diary();
    house.say(asker, r#"428["ask","alone"]"#);
    assert_eq!(house.diary(), ["Ok(Now { expected: 0 })"]);
}

#[test]
fn what_would_harm_a_client_is_refused() {
    let mut house = House::new();
    let guest = house.guest();
    house.take(guest);
    house.say(guest, r#"42["wrong",{"_placeholder":true,"num":5}]"#);
    assert_eq!(house.take(guest), Vec::<String>::new());
    assert_eq!(house.closed[0], None);
}

#[test]
fn a_session_of_engine_io_alone_needs_no_connect_and_is_spoken_to_by_its_id() {
    let mut house = House::new();
    let conn = house.open(Dialect::EngineIo);
    house.say(conn, "4 anything [");
    house.input(Input::Binary { conn: ConnId { slot: conn, generation: 0 }, bytes: b"raw" });
    assert_eq!(house.take(conn), ["4 anything [", "raw"]);
    house.now = house.now + Duration::from_secs(24);
    while house.node.handle_timeout(house.now, 10) {}
    house.carry_out();
    assert_eq!(house.closed[0], None, "no namespace is waited for");
    house.say(conn, "abc");
    assert_eq!(house.closed[0], Some(1002));
}

#[test]
fn a_client_that_is_disconnected_while_its_message_waits_is_read_from_again() {
    let mut house = House::new();
    let first = house.guest();
    let second = house.guest();
    house.is_mute = Some(second);
    let text = format!(r#"42["say","{}"]"#, "x".repeat(900_000));
    (0..5).for_each(|_| house.say(first, &text));
    let conn = ConnId { slot: first, generation: 0 };
    assert_eq!(house.node.intake(conn), Intake::Paused);
    // Handed over all the same, as one message may be before a shell is told.
    house.say(first, r#"42["out"]"#);
    house.is_mute = None;
    house.carry_out();
    house.flush(second);
    while house.node.handle_timeout(house.now, 64) {}
    house.carry_out();
    house.now = house.now + Duration::from_secs(5);
    while house.node.handle_timeout(house.now, 64) {}
    house.carry_out();
    assert_eq!(house.node.intake(conn), Intake::Open, "its session goes on");
}
