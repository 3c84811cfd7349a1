//! Properties of the codec: what the encoders write, the decoders read back; what nobody wrote never panics.

use moorline_core::{NodeTag, SocketId};
use moorline_protocol::{
    Frame, engine, json,
    socket::{self, Envelope, Kind, Packet},
};
use moorline_tests::sim::{Seeded, soak};
use proptest::prelude::*;
use serde_json::Value;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases: cases * soak(), failure_persistence: None, ..ProptestConfig::default() }
}

fn namespaces() -> impl Strategy<Value = String> {
    prop_oneof![Just("/".to_owned()), "/[a-z0-9é_ \\[{\"-]{0,12}"]
}

/// JSON values, nested a little.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn written(text: &str) -> String {
    let mut out = Vec::new();
    json::push_string(&mut out, text);
    String::from_utf8(out).expect("strings of UTF-8 stay UTF-8")
}

#[test]
fn every_control_character_is_escaped() {
    let text: String = (0..=0x80u8).map(char::from).collect();
    let json = written(&text);
    assert!(json.bytes().all(|byte| byte >= 0x20), "{json}");
    assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
}

/// The Socket.IO packet inside a frame.
fn inner(frame: &Frame) -> &str {
    let text = std::str::from_utf8(frame.as_packet()).expect("a packet is text");
    match engine::decode(text) {
        Ok(engine::Packet::Message(packet)) => packet,
        other => panic!("{other:?} is no message"),
    }
}

/// The envelope of a packet without attachments.
fn plain(namespace: &str, ack: Option<u64>) -> Envelope<'_> {
    Envelope { namespace, ack, attachments: 0 }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn an_event_reads_back(namespace in namespaces(), name in any::<String>(), args in prop::collection::vec(values(), 0..5)) {
        let (name, texts) = (written(&name), args.iter().map(Value::to_string).collect::<Vec<_>>());
        let frame = socket::event(plain(&namespace, None), &name, texts.iter().map(String::as_str));
        let decoded = socket::decode(inner(&frame)).unwrap();
        prop_assert_eq!((decoded.kind, decoded.namespace, decoded.ack), (Kind::Event, namespace.as_str(), None));
        let items: Vec<Value> = serde_json::from_str(decoded.data).unwrap();
        prop_assert_eq!(items[0].to_string(), serde_json::from_str::<Value>(&name).unwrap().to_string());
        prop_assert_eq!(&items[1..], &args[..]);
    }

    #[test]
    fn an_ack_reads_back(namespace in namespaces(), id in 0..=socket::ACK_ID_MAX, value in values()) {
        let text = value.to_string();
        let frame = socket::ack(plain(&namespace, Some(id)), &text);
        let data = format!("[{text}]");
        let expected = Packet { kind: Kind::Ack, namespace: &namespace, ack: Some(id), data: &data };
        prop_assert_eq!(socket::decode(inner(&frame)), Ok(expected));
    }

    #[test]
    fn answers_to_connect_read_back(namespace in namespaces(), message in any::<String>(), value in values()) {
        let connected = socket::connected(&namespace, &message);
        let decoded = socket::decode(inner(&connected)).unwrap();
        prop_assert_eq!((decoded.kind, decoded.namespace), (Kind::Connect, namespace.as_str()));
        prop_assert_eq!(&serde_json::from_str::<Value>(decoded.data).unwrap()["sid"], &message);
        let refused = socket::connect_error(&namespace, &message, &value.to_string());
        let decoded = socket::decode(inner(&refused)).unwrap();
        let error: Value = serde_json::from_str(decoded.data).unwrap();
        prop_assert_eq!((decoded.kind, decoded.namespace), (Kind::ConnectError, namespace.as_str()));
        prop_assert_eq!((&error["message"], &error["data"]), (&Value::from(message), &value));
        let left = socket::disconnect(&namespace);
        let expected = Packet { kind: Kind::Disconnect, namespace: &namespace, ack: None, data: "" };
        prop_assert_eq!(socket::decode(inner(&left)), Ok(expected));
    }

    #[test]
    fn any_text_decodes_or_is_refused(text in any::<String>(), digits in "[0-9]{0,3}", tail in "[0-9/,?\\-\\[\\]{}\"aé]{0,24}") {
        for text in [text, format!("{digits}{tail}")] {
            let _ = engine::decode(&text);
            if let Ok(decoded) = socket::decode(&text) {
                prop_assert!(text.ends_with(decoded.data), "the payload is the end of the packet");
                prop_assert!(decoded.namespace.starts_with('/'));
                prop_assert!(decoded.ack.is_none_or(|id| id <= socket::ACK_ID_MAX));
            }
        }
    }

    #[test]
    fn a_packet_cut_at_any_byte_is_refused_or_another(namespace in namespaces(), id in any::<u32>(), value in values()) {
        let frame = socket::ack(plain(&namespace, Some(id.into())), &value.to_string());
        let text = inner(&frame);
        for cut in (0..text.len()).filter(|&cut| text.is_char_boundary(cut)) {
            if let Ok(decoded) = socket::decode(&text[..cut]) {
                prop_assert_eq!(decoded.kind, Kind::Ack);
                prop_assert!(serde_json::from_str::<Value>(decoded.data).is_err(), "half a payload is no JSON");
            }
        }
    }

    #[test]
    fn a_string_is_written_as_json_reads_it(text in any::<String>()) {
        prop_assert_eq!(serde_json::from_str::<String>(&written(&text)).unwrap(), text);
    }

    #[test]
    fn a_number_is_written_as_it_is(number in any::<u64>()) {
        let mut out = Vec::new();
        json::push_number(&mut out, number);
        prop_assert_eq!(out, number.to_string().into_bytes());
    }

    #[test]
    fn depth_is_counted_as_a_parser_counts_it(value in values()) {
        let (text, depth) = (value.to_string(), depth(&value));
        prop_assert!(json::nests_within(&text, depth));
        prop_assert!(depth == 0 || !json::nests_within(&text, depth - 1));
    }

    #[test]
    fn a_frame_holds_its_packet(length in prop_oneof![0..300usize, 65_000..66_000usize, Just(1_000_000)]) {
        let frame = Frame::text(0, |out| out.resize(out.len() + length, b'x'));
        let header = frame.len_bytes() - length;
        prop_assert_eq!(frame.as_packet().len(), length);
        prop_assert_eq!(&frame.as_websocket()[header..], frame.as_packet());
        prop_assert_eq!(header, if length < 126 { 2 } else if length < 65_536 { 4 } else { 10 });
    }

    #[test]
    fn what_looks_like_a_socket_id_is_one_and_nothing_else(text in "[A-Za-z0-9_\\-]{18,22}|[ -~é]{20}", seed in any::<u64>(), slot in any::<u32>()) {
        prop_assert_eq!(socket::is_socket_id(&text), SocketId::parse(&text).is_some());
        if let Some(id) = SocketId::parse(&text) {
            prop_assert_eq!(id.to_string(), text, "one id has one form");
        }
        let mut entropy = Seeded::new(seed);
        let tag = NodeTag::random(&mut entropy);
        let id = SocketId::new(tag, slot, &mut entropy);
        prop_assert!(socket::is_socket_id(&id.to_string()));
        prop_assert_eq!(SocketId::parse(&id.to_string()), Some(id));
        prop_assert_eq!((id.tag(), id.slot()), (tag, slot));
    }
}
