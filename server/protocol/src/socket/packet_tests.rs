//! Vectors of the packet grammar, each also cut at every byte.

use super::*;
use alloc::string::String;

const VECTORS: [(&str, Kind, &str, Option<u64>, &str); 18] = [
    ("0", Kind::Connect, "/", None, ""),
    (r#"0{"token":"x"}"#, Kind::Connect, "/", None, r#"{"token":"x"}"#),
    (r#"0/admin,{"t":1}"#, Kind::Connect, "/admin", None, r#"{"t":1}"#),
    ("0/custom", Kind::Connect, "/custom", None, ""),
    ("0/custom,", Kind::Connect, "/custom", None, ""),
    (r#"0/custom?a=b,{"t":1}"#, Kind::Connect, "/custom", None, r#"{"t":1}"#),
    ("1", Kind::Disconnect, "/", None, ""),
    ("1/custom", Kind::Disconnect, "/custom", None, ""),
    ("1/custom,", Kind::Disconnect, "/custom", None, ""),
    (r#"2["ev"]"#, Kind::Event, "/", None, r#"["ev"]"#),
    (r#"212["ev"]"#, Kind::Event, "/", Some(12), r#"["ev"]"#),
    (r#"2/admin,456["ev",{"é":[1]}]"#, Kind::Event, "/admin", Some(456), r#"["ev",{"é":[1]}]"#),
    ("29007199254740991[1]", Kind::Event, "/", Some(ACK_ID_MAX), "[1]"),
    (r#"312["ok"]"#, Kind::Ack, "/", Some(12), r#"["ok"]"#),
    ("3/admin,0[]", Kind::Ack, "/admin", Some(0), "[]"),
    (r#"4{"message":"no"}"#, Kind::ConnectError, "/", None, r#"{"message":"no"}"#),
    (r#"52-/x,7["m"]"#, Kind::BinaryEvent { attachments: 2 }, "/x", Some(7), r#"["m"]"#),
    (r#"61-1["ok"]"#, Kind::BinaryAck { attachments: 1 }, "/", Some(1), r#"["ok"]"#),
];

#[test]
fn vectors_decode() {
    for (text, kind, namespace, ack, data) in VECTORS {
        assert_eq!(decode(text), Ok(Packet { kind, namespace, ack, data }), "{text}");
    }
}

#[test]
fn a_vector_cut_at_any_byte_is_refused_or_is_another_packet() {
    for (text, ..) in VECTORS {
        for cut in (0..text.len()).filter(|&cut| text.is_char_boundary(cut)) {
            if let Ok(packet) = decode(&text[..cut]) {
                assert!(
                    text.starts_with(packet.data) || text[..cut].ends_with(packet.data),
                    "{text} at {cut}"
                );
                assert!(has_fitting_payload(&packet));
            }
        }
    }
}

#[test]
fn what_breaks_the_grammar_is_refused_by_kind() {
    for (text, error) in [
        ("", DecodeError::Empty),
        ("7", DecodeError::UnknownType),
        ("é", DecodeError::UnknownType),
        ("0[]", DecodeError::BadPayload),
        ("01", DecodeError::BadPayload),
        ("1{}", DecodeError::BadPayload),
        ("2", DecodeError::BadPayload),
        ("2{}", DecodeError::BadPayload),
        ("2\"ev\"", DecodeError::BadPayload),
        ("3[]", DecodeError::BadPayload),
        ("31", DecodeError::BadPayload),
        ("5[\"m\"]", DecodeError::BadAttachments),
        ("5-[\"m\"]", DecodeError::BadAttachments),
        ("5+1-[\"m\"]", DecodeError::BadAttachments),
        ("599999999999-[\"m\"]", DecodeError::BadAttachments),
        ("29007199254740992[1]", DecodeError::BadAckId),
        ("299999999999999999999999[1]", DecodeError::BadAckId),
    ] {
        assert_eq!(decode(text), Err(error), "{text}");
    }
}

fn text(frame: &Frame) -> String {
    String::from_utf8(frame.as_packet().into()).unwrap()
}

#[test]
fn encoders_write_what_the_reference_writes() {
    assert_eq!(text(&connect("/", "")), "40");
    assert_eq!(text(&connect("/admin", r#"{"t":1}"#)), r#"40/admin,{"t":1}"#);
    assert_eq!(text(&connected("/", "abc")), r#"40{"sid":"abc"}"#);
    assert_eq!(text(&connected("/admin", "abc")), r#"40/admin,{"sid":"abc"}"#);
    assert_eq!(
        text(&connect_error("/x", "Invalid namespace", "")),
        r#"44/x,{"message":"Invalid namespace"}"#
    );
    assert_eq!(text(&connect_error("/", "no", "{\"a\":1}")), r#"44{"message":"no","data":{"a":1}}"#);
    assert_eq!(text(&disconnect("/")), "41");
    assert_eq!(text(&disconnect("/x")), "41/x,");
    let envelope = |namespace, ack, attachments| Envelope { namespace, ack, attachments };
    let args = ["1", "{}"].into_iter();
    assert_eq!(text(&event(envelope("/", None, 0), "\"ev\"", args.clone())), r#"42["ev",1,{}]"#);
    assert_eq!(text(&event(envelope("/x", Some(3), 2), "\"ev\"", args)), r#"452-/x,3["ev",1,{}]"#);
    assert_eq!(text(&ack(envelope("/x", Some(7), 0), "1,2")), "43/x,7[1,2]");
    assert_eq!(text(&ack(envelope("/", Some(7), 1), "1")), "461-7[1]");
}

#[test]
fn an_event_is_asked_for_under_an_id_and_stays_the_same_otherwise() {
    for (packet, asked) in [
        (r#"2["ev",1]"#, r#"427["ev",1]"#),
        (r#"2/admin,["ev","/x,1"]"#, r#"42/admin,7["ev","/x,1"]"#),
        (r#"52-["ev",{}]"#, r#"452-7["ev",{}]"#),
        (r#"51-/x,["a-b/c,d"]"#, r#"451-/x,7["a-b/c,d"]"#),
    ] {
        assert_eq!(text(&with_ack(packet, 7)), asked);
    }
}
