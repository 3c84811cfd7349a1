//! The adapter against a client that cuts, fragments, pings and cheats.

use super::*;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const FINAL: u8 = 0x80;
const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
const MAX: usize = 1_000_000;
const LIMITS: MessageLimits = MessageLimits { message_bytes_max: MAX, fragments_max: 1024 };

#[derive(Debug, Clone, PartialEq, Eq)]
enum Got {
    Text(String),
    Binary(Vec<u8>),
}

fn got(message: Message<'_>) -> Got {
    match message {
        Message::Text(text) => Got::Text(text.to_owned()),
        Message::Binary(bytes) => Got::Binary(bytes.to_vec()),
    }
}

/// Appends one masked client frame.
fn put_frame(wire: &mut Vec<u8>, first: u8, payload: &[u8]) {
    wire.push(first);
    if payload.len() < 126 {
        wire.push(0x80 | u8::try_from(payload.len()).unwrap());
    } else if let Ok(length) = u16::try_from(payload.len()) {
        wire.push(0x80 | 126);
        wire.extend_from_slice(&length.to_be_bytes());
    } else {
        wire.push(0x80 | 127);
        wire.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    }
    wire.extend_from_slice(&MASK);
    wire.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ MASK[index % 4]));
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    put_frame(&mut wire, first, payload);
    wire
}

fn text(payload: &str) -> Vec<u8> {
    frame(FINAL | TEXT, payload.as_bytes())
}

struct Received {
    messages: Vec<Got>,
    reply: Vec<u8>,
    outcome: Result<Status, ProtocolError>,
}

/// Feeds pieces until one of them ends the conversation.
fn receive<'a>(socket: &mut WebSocket, pieces: impl IntoIterator<Item = &'a [u8]>) -> Received {
    let mut received = Received { messages: Vec::new(), reply: Vec::new(), outcome: Ok(Status::Open) };
    for piece in pieces {
        let mut sink = |message: Message<'_>| {
            received.messages.push(got(message));
            Flow::Continue
        };
        received.outcome = socket.feed(piece, &mut received.reply, &mut sink);
        if received.outcome != Ok(Status::Open) {
            break;
        }
    }
    received
}

fn receive_once(wire: &[u8]) -> Received {
    receive(&mut WebSocket::new(LIMITS), [wire])
}

fn assert_holds_nothing(socket: &WebSocket) {
    assert_eq!(socket.partial.capacity(), 0);
    assert!(socket.context.is_none());
}

/// Small, seeded, and good enough to vary cuts and lengths.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}

/// One of each thing a client sends, ending with a close; with the messages and replies it must give.
fn conversation() -> (Vec<u8>, Vec<Got>, Vec<u8>) {
    let long = "ä".repeat(80);
    let mut wire = text("2probe");
    put_frame(&mut wire, FINAL | PING, b"hi");
    put_frame(&mut wire, TEXT, "4ü".as_bytes());
    put_frame(&mut wire, FINAL | PING, b"");
    put_frame(&mut wire, 0, &"ö".as_bytes()[..1]);
    put_frame(&mut wire, FINAL, &"ö".as_bytes()[1..]);
    put_frame(&mut wire, FINAL | BINARY, &[0, 255]);
    put_frame(&mut wire, FINAL | 10, b"unasked pong");
    put_frame(&mut wire, FINAL | TEXT, long.as_bytes());
    put_frame(&mut wire, FINAL | TEXT, b"");
    put_frame(&mut wire, FINAL | CLOSE, &[3, 232, b'b', b'y', b'e']);
    let messages = vec![
        Got::Text("2probe".into()),
        Got::Text("4üö".into()),
        Got::Binary(vec![0, 255]),
        Got::Text(long),
        Got::Text(String::new()),
    ];
    let reply = b"\x8a\x02hi\x8a\x00\x88\x05\x03\xe8bye".to_vec();
    (wire, messages, reply)
}

#[test]
fn a_conversation_cut_at_every_byte_is_the_same() {
    let (wire, messages, reply) = conversation();
    for cut in 0..=wire.len() {
        let (head, tail) = wire.split_at(cut);
        let mut socket = WebSocket::new(LIMITS);
        let received = receive(&mut socket, [head, tail]);
        assert_eq!(
            (received.messages, received.reply, received.outcome),
            (messages.clone(), reply.clone(), Ok(Status::Closed))
        );
        assert_holds_nothing(&socket);
    }
}

#[test]
fn a_conversation_byte_by_byte_is_the_same() {
    let (wire, messages, reply) = conversation();
    let received = receive(&mut WebSocket::new(LIMITS), wire.chunks(1));
    assert_eq!((received.messages, received.reply, received.outcome), (messages, reply, Ok(Status::Closed)));
}

#[test]
fn any_fragmentation_and_any_cut_give_exactly_the_messages() {
    for seed in 1..=300 {
        let mut random = Random::new(seed);
        let (wire, sent, pings) = random_conversation(&mut random);
        let mut socket = WebSocket::new(LIMITS);
        let mut pieces = Vec::new();
        let mut rest = &wire[..];
        while !rest.is_empty() {
            let bound = [2, 20, 5000][random.below(3)];
            let (piece, after) = rest.split_at((1 + random.below(bound)).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        let received = receive(&mut socket, pieces);
        assert_eq!(received.outcome, Ok(Status::Open), "seed {seed}");
        assert!(received.messages == sent, "seed {seed}");
        assert_eq!(received.reply, pings, "seed {seed}");
        assert_holds_nothing(&socket);
    }
}

fn random_conversation(random: &mut Random) -> (Vec<u8>, Vec<Got>, Vec<u8>) {
    let (mut wire, mut sent, mut pongs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..1 + random.below(12) {
        let chars = [3, 100, 400, 40_000][random.below(4)];
        let content: String =
            (0..random.below(chars)).map(|_| ['a', 'ß', '€', '𝄞'][random.below(4)]).collect();
        let is_text = random.below(2) == 0;
        put_fragmented(
            random,
            &mut wire,
            &mut pongs,
            if is_text { TEXT } else { BINARY },
            content.as_bytes(),
        );
        sent.push(if is_text { Got::Text(content) } else { Got::Binary(content.into_bytes()) });
    }
    (wire, sent, pongs)
}

fn put_fragmented(random: &mut Random, wire: &mut Vec<u8>, pongs: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    let (mut opcode, mut rest) = (opcode, payload);
    loop {
        let (part, after) = rest.split_at(random.below(rest.len() + 1));
        if random.below(3) == 0 || after.is_empty() {
            return put_frame(wire, FINAL | opcode, rest);
        }
        put_frame(wire, opcode, part);
        if random.below(3) == 0 {
            put_frame(wire, FINAL | PING, &[b'p'; 7]);
            pongs.extend_from_slice(b"\x8a\x07ppppppp");
        }
        (opcode, rest) = (0, after);
    }
}

#[test]
fn an_idle_connection_keeps_no_buffer() {
    let mut socket = WebSocket::new(LIMITS);
    assert_holds_nothing(&socket);
    receive(&mut socket, [&text("hello")[..]]);
    assert_holds_nothing(&socket);
    receive(&mut socket, [&frame(FINAL | PING, b"x")[..]]);
    assert_holds_nothing(&socket);
    receive(&mut socket, text(&"x".repeat(70_000)).chunks(999));
    assert_holds_nothing(&socket);
}

#[test]
fn an_unfinished_message_keeps_what_it_needs_until_it_is_finished() {
    let mut socket = WebSocket::new(LIMITS);
    receive(&mut socket, [&frame(TEXT, b"a")[..]]);
    assert!(socket.context.is_some());
    receive(&mut socket, [&frame(FINAL | PING, b"")[..]]);
    assert!(socket.context.is_some());
    let received = receive(&mut socket, [&frame(FINAL, b"b")[..]]);
    assert_eq!(received.messages, [Got::Text("ab".into())]);
    assert_holds_nothing(&socket);
}

#[test]
fn a_megabyte_in_tiny_pieces_arrives_whole() {
    let content = "0123456789abcdef".repeat(62_500);
    let wire = text(&content);
    for piece_bytes in [1, 1024, wire.len()] {
        let received = receive(&mut WebSocket::new(LIMITS), wire.chunks(piece_bytes));
        assert!(received.messages == [Got::Text(content.clone())], "pieces of {piece_bytes}");
    }
}

#[test]
fn a_megabyte_of_tiny_frames_in_one_read_arrives_in_order() {
    let mut wire = Vec::new();
    let count = MAX / 7;
    for index in 0..count {
        put_frame(&mut wire, FINAL | BINARY, &[u8::try_from(index % 251).unwrap()]);
    }
    let received = receive_once(&wire);
    assert_eq!(received.messages.len(), count);
    for (index, message) in received.messages.iter().enumerate() {
        assert_eq!(*message, Got::Binary(vec![u8::try_from(index % 251).unwrap()]));
    }
}

#[test]
fn a_flood_of_pings_is_answered_in_proportion() {
    let wire = frame(FINAL | PING, b"").repeat(10_000);
    let received = receive_once(&wire);
    assert_eq!(received.reply, b"\x8a\x00".repeat(10_000));
}

#[test]
fn every_violation_has_its_code_and_kind() {
    let unmasked = vec![FINAL | TEXT, 1, b'x'];
    let huge = [&[FINAL | TEXT, 0x80 | 127][..], &u64::MAX.to_be_bytes(), &MASK].concat();
    let continued = [frame(TEXT, b"a"), text("b")].concat();
    for (wire, code, kind) in [
        (unmasked, 1002, "unmasked"),
        (frame(FINAL | 0x40 | TEXT, b""), 1002, "reserved_bits"),
        (frame(FINAL | 0x20 | TEXT, b""), 1002, "reserved_bits"),
        (frame(FINAL | 0x10 | PING, b""), 1002, "reserved_bits"),
        (frame(FINAL | 3, b""), 1002, "bad_opcode"),
        (frame(FINAL | 11, b""), 1002, "bad_opcode"),
        (frame(PING, b""), 1002, "fragmented_control"),
        (frame(FINAL | PING, &[0; 126]), 1002, "control_too_long"),
        (frame(FINAL, b"x"), 1002, "unexpected_continuation"),
        (continued, 1002, "unfinished_message"),
        (frame(FINAL | CLOSE, &[3]), 1002, "protocol"),
        (frame(FINAL | CLOSE, &[3, 232, 0xff]), 1007, "not_utf8"),
        (frame(FINAL | TEXT, &[b'a', 0xff]), 1007, "not_utf8"),
        (frame(FINAL | TEXT, &"ö".as_bytes()[..1]), 1007, "not_utf8"),
        (huge, 1009, "message_too_big"),
    ] {
        let good_before = [text("good"), wire].concat();
        for piece_bytes in [1, good_before.len()] {
            let mut socket = WebSocket::new(LIMITS);
            let received = receive(&mut socket, good_before.chunks(piece_bytes));
            assert_eq!(
                received.outcome.map_err(|error| (error.code, error.violation.as_str())),
                Err((code, kind))
            );
            assert_eq!(received.messages, [Got::Text("good".into())], "{kind}");
            assert_holds_nothing(&socket);
        }
    }
}

#[test]
fn a_message_too_big_is_refused_by_its_header_alone() {
    let exact = frame(FINAL | BINARY, &[7; 1000]);
    let mut socket = WebSocket::new(MessageLimits { message_bytes_max: 1000, ..LIMITS });
    assert_eq!(receive(&mut socket, [&exact[..]]).messages.len(), 1);
    let over = frame(FINAL | BINARY, &[7; 1001]);
    assert_eq!(receive(&mut socket, [&over[..8]]).outcome, Err(ProtocolError::TOO_BIG));
}

#[test]
fn fragments_share_one_limit_of_bytes() {
    let wire = [frame(BINARY, &[1; 600]), frame(0, &[2; 400]), frame(FINAL, b"")].concat();
    assert_eq!(
        receive(&mut WebSocket::new(MessageLimits { message_bytes_max: 1000, ..LIMITS }), [&wire[..]])
            .messages
            .len(),
        1
    );
    let over = [frame(BINARY, &[1; 600]), frame(0, &[2; 400]), frame(FINAL, b"x")].concat();
    let header_only = &over[..over.len() - 1];
    assert_eq!(
        receive(&mut WebSocket::new(MessageLimits { message_bytes_max: 1000, ..LIMITS }), [header_only])
            .outcome,
        Err(ProtocolError::TOO_BIG)
    );
}

#[test]
fn a_message_may_have_as_many_fragments_as_the_limit_and_no_more() {
    for (fragments, expected) in [(1024, Ok(Status::Open)), (1025, Err(ProtocolError::TOO_MANY_FRAGMENTS))] {
        let mut wire = frame(TEXT, b"x");
        for _ in 2..fragments {
            put_frame(&mut wire, 0, b"x");
            put_frame(&mut wire, FINAL | PING, b"");
        }
        put_frame(&mut wire, FINAL, b"x");
        assert_eq!(receive_once(&wire).outcome, expected);
    }
}

#[test]
fn limits_count_each_message_anew() {
    let one = [frame(TEXT, &[b'x'; 60]), frame(FINAL, &[b'x'; 40])].concat();
    let received = receive(
        &mut WebSocket::new(MessageLimits { message_bytes_max: 100, fragments_max: 2 }),
        [&one.repeat(50)[..]],
    );
    assert_eq!((received.messages.len(), received.outcome), (50, Ok(Status::Open)));
}

#[test]
fn a_close_is_echoed_and_nothing_after_it_counts() {
    let wire = [frame(FINAL | CLOSE, &[3, 233]), text("late"), vec![0xff; 20]].concat();
    let mut socket = WebSocket::new(LIMITS);
    let received = receive(&mut socket, [&wire[..]]);
    assert_eq!((received.outcome, received.messages.len()), (Ok(Status::Closed), 0));
    assert_eq!(received.reply, [0x88, 2, 3, 233]);
    let again = receive(&mut socket, [&text("later")[..]]);
    assert_eq!((again.outcome, again.messages.len(), again.reply.len()), (Ok(Status::Closed), 0, 0));
}

#[test]
fn a_close_without_a_code_is_echoed_without_one_and_a_forbidden_code_is_answered_1002() {
    assert_eq!(receive_once(&frame(FINAL | CLOSE, b"")).reply, [0x88, 0]);
    let received = receive_once(&frame(FINAL | CLOSE, &1005_u16.to_be_bytes()));
    assert_eq!((received.outcome, &received.reply[2..4]), (Ok(Status::Closed), &[3, 234][..]));
}

#[test]
fn the_sink_can_stop_it() {
    let wire = [text("a"), text("b"), text("c")].concat();
    let mut socket = WebSocket::new(LIMITS);
    let mut messages = Vec::new();
    let outcome = socket.feed(&wire, &mut Vec::new(), &mut |message| {
        messages.push(got(message));
        if messages.len() == 2 { Flow::Stop } else { Flow::Continue }
    });
    assert_eq!((outcome, messages.len()), (Ok(Status::Stopped), 2));
    assert_holds_nothing(&socket);
    assert_eq!(receive(&mut socket, [&text("d")[..]]).messages, []);
}

/// Feeds pieces with a pause after every message.
fn receive_with_pauses<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Received {
    let mut socket = WebSocket::new(LIMITS);
    let mut received = Received { messages: Vec::new(), reply: Vec::new(), outcome: Ok(Status::Open) };
    for piece in pieces {
        let mut sink = |message: Message<'_>| {
            received.messages.push(got(message));
            Flow::Pause
        };
        received.outcome = socket.feed(piece, &mut received.reply, &mut sink);
        while received.outcome == Ok(Status::Paused) {
            assert!(socket.is_paused());
            received.outcome = socket.resume(&mut received.reply, &mut sink);
        }
        assert!(!socket.is_paused());
        if received.outcome != Ok(Status::Open) {
            break;
        }
    }
    received
}

#[test]
fn pauses_lose_double_and_reorder_nothing_wherever_the_bytes_are_cut() {
    let fragments = [frame(TEXT, b"fr"), frame(FINAL | PING, b"p"), frame(FINAL, b"agments")].concat();
    let start = [text("a"), text("b"), fragments, frame(FINAL | BINARY, b"xyz"), text("c")].concat();
    for end in [frame(FINAL | CLOSE, b""), frame(0x83, b"no such opcode"), text("d")] {
        let wire = [start.clone(), end, text("after")].concat();
        let whole = receive_once(&wire);
        for cut in 0..=wire.len() {
            let (first, second) = wire.split_at(cut);
            let paused = receive_with_pauses([first, second]);
            assert_eq!(paused.messages, whole.messages, "cut at {cut}");
            assert_eq!((paused.reply, paused.outcome), (whole.reply.clone(), whole.outcome), "cut at {cut}");
        }
    }
}

#[test]
fn frames_that_complete_no_message_are_counted() {
    let mut socket = WebSocket::new(MessageLimits { message_bytes_max: 100, fragments_max: 4 });
    let ping = frame(FINAL | PING, b"p");
    let wire =
        [text("a"), ping.clone(), frame(TEXT, b"b"), frame(0, b"c"), ping, frame(FINAL, b"d")].concat();
    assert_eq!(receive(&mut socket, [wire.as_slice()]).messages.len(), 2);
    assert_eq!((socket.take_overhead(), socket.take_overhead()), (4, 0));
}

#[test]
fn random_bytes_never_panic() {
    for seed in 1..=2000 {
        let mut random = Random::new(seed);
        let mut wire: Vec<u8> = (0..random.below(200)).map(|_| random.next().to_le_bytes()[3]).collect();
        for start in (0..wire.len().saturating_sub(1)).step_by(9) {
            wire[start] = FINAL | [0, 1, 2, 8, 9, 10][random.below(6)];
            wire[start + 1] |= 0x80;
        }
        let received = receive(
            &mut WebSocket::new(MessageLimits { message_bytes_max: 100, fragments_max: 4 }),
            wire.chunks(1 + random.below(50)),
        );
        assert!(received.reply.len() <= wire.len() + CONTROL_BYTES_MAX);
    }
}

#[test]
fn a_server_close_frame_is_cut_at_a_character() {
    assert_eq!(close_frame(1001, "bye"), b"\x88\x05\x03\xe9bye");
    let frame = close_frame(1000, &"ä".repeat(100));
    assert_eq!((frame.len(), frame[1]), (2 + 2 + 122, 124));
    assert!(std::str::from_utf8(&frame[4..]).is_ok());
}

#[test]
fn the_accept_key_is_that_of_the_standard() {
    assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}
