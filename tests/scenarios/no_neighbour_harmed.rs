//! A stock client understands every message it receives, whatever other clients and backends send.
//!
//! Seeded and grammar-aware: packets are written whole, then some are damaged. A failure names its seed and case.

use moorline_core::Config;
use moorline_tests::sim::{
    Client, Received, Seed, Seeded, World, soak,
    stock::{self, Json, Understood},
};
use std::time::Duration;

/// How deep an entry on the stream may nest: the object around the arguments is a level more.
const ENTRY_DEPTH_MAX: usize = stock::DEPTH_MAX + 1;
const HOLE: &str = r#"{"_placeholder":true,"num":0}"#;

/// Cases of each run.
fn cases() -> usize {
    7_000 * soak() as usize
}

/// Writes packets and payloads: about half of them right in every detail, the others wrong here and there.
struct Author {
    random: Seeded,
    victim: String,
    is_sloppy: bool,
}

impl Author {
    fn new(seed: u64, victim: &str) -> Author {
        Author { random: Seeded::new(seed), victim: victim.into(), is_sloppy: false }
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.random.below(chances) == 0
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.random.below(choices.len())]
    }

    /// Something right, or something wrong.
    fn choose<'a>(&mut self, right: &[&'a str], wrong: &[&'a str]) -> &'a str {
        if self.errs() { self.pick(wrong) } else { self.pick(right) }
    }

    fn errs(&mut self) -> bool {
        self.is_sloppy && self.one_in(6)
    }

    /// A packet and its attachments.
    fn packet(&mut self) -> (String, Vec<Vec<u8>>) {
        self.is_sloppy = self.one_in(2);
        let announced = if self.one_in(3) { 1 + self.random.below(3) } else { 0 };
        let kind = match announced {
            0 => self.choose(&["42", "42", "42", "450-"], &["43", "41", "44", "460-", "4", "3", "46"]).into(),
            _ => {
                let digit = self.choose(&["5"], &["6", "2", ""]);
                let count = announced.to_string();
                format!(
                    "4{digit}{}-",
                    self.choose(&[&count], &["0", "01", "11", "-1", "4294967296", "", "1e0", " 1"])
                )
            }
        };
        let namespace = self.choose(&["", "", "/,", "/?a=b,"], &["/admin,", "/x?a=b,", "/"]);
        let ack = self.choose(&["", "", "0", "7", "9007199254740991"], &["9007199254740992", "-1", "01"]);
        let mut text = format!("{kind}{namespace}{ack}{}", self.items(announced));
        if self.errs() {
            text = self.damage(&text);
        }
        let count = if self.errs() { self.random.below(4) } else { announced };
        (text, (0..count).map(|_| self.attachment()).collect())
    }

    fn items(&mut self, attachments: usize) -> String {
        let event = self.choose(
            &["\"@to\"", "\"\\u0040to\""],
            &["\"@join\"", "\"@leave\"", "\"@whoami\"", "\"@ask\"", "\"to\"", "1"],
        );
        let mut items = vec![event.to_string(), self.target(), self.name()];
        for _ in 0..self.random.below(4) {
            items.push(self.value(attachments, 4));
        }
        format!("[{}]", items.join(self.pick(&[",", ",", " ,\n", ",\t"])))
    }

    fn target(&mut self) -> String {
        let id = self.victim.clone();
        match self.random.below(10) {
            _ if self.errs() => self.value(0, 2),
            0..5 => format!("\"{id}\""),
            5..7 => "\"r\"".into(),
            7 => format!(r#"["r","{id}","r","{id}"]"#),
            8 => format!("\"\\u{:04x}{}\"", id.as_bytes()[0], &id[1..]),
            _ => format!(r#"["{id}","AAAAAAAAAAAAAAAAAAAA"]"#),
        }
    }

    fn name(&mut self) -> String {
        let right = [
            "\"e\"",
            "\"e\"",
            "\"e\"",
            "\"\"",
            "\"__proto__\"",
            "\"é\\u0000\"",
            "\" connect\"",
            "\"connect\\u0000\"",
            "\"\\/connect\"",
            "\"Connect\"",
        ];
        let wrong = [
            "\"connect\"",
            "\"dis\\u0063onnect\"",
            "\"newListener\"",
            "\"\\u0063onnect_error\"",
            "\"@to\"",
            "\"\\u0040x\"",
            "\"\\ud800\"",
            "1",
            "null",
            "true",
            "[\"connect\"]",
            HOLE,
            "\"removeListener\"",
        ];
        self.choose(&right, &wrong).into()
    }

    fn value(&mut self, attachments: usize, depth: usize) -> String {
        if attachments > 0 && self.one_in(3) {
            return self.placeholder(attachments);
        }
        if self.one_in(100) {
            return self.deep();
        }
        match self.random.below(if depth == 0 { 4 } else { 7 }) {
            0 => self
                .choose(&["null", "true", "false", "0", "{}", "[]"], &["nul", "NaN", "undefined", "-"])
                .into(),
            1 => self
                .choose(
                    &["1", "-0", "1.5e+300", "0.1E-7", "12345678901234567890123"],
                    &["01", "1.", ".5", "+1", "1e999", "1e"],
                )
                .into(),
            2 | 3 => self.string(),
            4 | 5 => {
                let items: Vec<String> =
                    (0..self.random.below(4)).map(|_| self.value(attachments, depth - 1)).collect();
                format!("[{}]", items.join(","))
            }
            _ => {
                let fields: Vec<String> = (0..self.random.below(4))
                    .map(|_| format!("{}:{}", self.key(), self.value(attachments, depth - 1)))
                    .collect();
                format!("{{{}}}", fields.join(","))
            }
        }
    }

    fn string(&mut self) -> String {
        let right = [
            "a",
            "é",
            "\u{10ffff}",
            "\u{2028}",
            "\u{7f}",
            "\u{feff}",
            "\\n",
            "\\\"",
            "\\\\",
            "\\/",
            "\\u0000",
            "\\ud83d\\ude00",
            "[[[[",
            "}}",
            "\\u005b",
            "{\\\"_placeholder\\\":true}",
            "_placeholder",
            "$binary",
        ];
        let wrong = ["\\", "\n", "\u{0}", "\\x", "\\u12", "\"", "\\ud800", "\\udfff"];
        let pieces: Vec<&str> = (0..self.random.below(5)).map(|_| self.choose(&right, &wrong)).collect();
        format!("\"{}\"", pieces.concat())
    }

    fn key(&mut self) -> &'static str {
        let right = [
            "\"a\"",
            "\"\"",
            "\"num\"",
            "\"from\"",
            "\"$binary\"",
            "\"__proto__\"",
            "\"toJSON\"",
            "\"constructor\"",
        ];
        let wrong = [
            "\"_placeholder\"",
            "\"_\\u0070laceholder\"",
            "\"\\ud800\"",
            "\"$serde_json::private::RawValue\"",
            "a",
            "1",
        ];
        self.choose(&right, &wrong)
    }

    fn placeholder(&mut self, attachments: usize) -> String {
        let number = self.random.below(attachments);
        if !self.errs() {
            return format!(r#"{{"_placeholder":true,"num":{number}}}"#);
        }
        match self.random.below(7) {
            0 => format!(r#"{{"_placeholder":true,"num":{}}}"#, attachments + self.random.below(3)),
            1 => {
                self.pick(&[r#"{"_placeholder":true,"num":-1}"#, r#"{"_placeholder":true,"num":0.5}"#]).into()
            }
            2 => format!(r#"{{"_\u0070laceholder":true,"n\u0075m":{attachments}}}"#),
            3 => format!(r#"{{"_placeholder":true,"num":{number},"num":{attachments}}}"#),
            4 => format!(r#"{{"_placeholder":true,"num":{attachments},"_placeholder":false}}"#),
            5 => format!(
                r#"{{"$serde_json::private::RawValue":"1","a":{{"_placeholder":true,"num":{attachments}}}}}"#
            ),
            _ => format!(r#"{{"a":[{{"num":{attachments},"b":{{}},"_placeholder" : true }}]}}"#),
        }
    }

    /// Nested about as deep as is allowed, or far deeper.
    fn deep(&mut self) -> String {
        let depth = if self.errs() { 5_000 } else { 50 + self.random.below(20) };
        let (open, close) = if self.one_in(2) { ("[", "]") } else { (r#"{"a":"#, "}") };
        format!("{}1{}", open.repeat(depth), close.repeat(depth))
    }

    fn attachment(&mut self) -> Vec<u8> {
        let text = self.pick(&["", "\n", "42[\"connect\"]", "45", "abc"]);
        if self.one_in(2) { text.into() } else { self.random.next_u64().to_le_bytes().into() }
    }

    /// Cuts, repeats, turns round or writes over a piece or two.
    fn damage(&mut self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=self.random.below(2) {
            let at = self.random.below(bytes.len() + 1);
            let end = (at + self.random.below(8)).min(bytes.len());
            match self.random.below(6) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..end)),
                2 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
                3 => bytes.insert(at, b"\"[]{},:\\0123456789-/\n @"[self.random.below(23)]),
                4 => bytes[at..end].reverse(),
                _ => drop(bytes.splice(at..end, self.random.next_u64().to_le_bytes())),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A publication of a backend.
    fn payload(&mut self) -> Vec<u8> {
        self.is_sloppy = self.one_in(2);
        let mut fields = vec![format!("\"socketId\":{}", self.target())];
        if !self.one_in(6) {
            fields.push(format!("\"event\":{}", self.name()));
        }
        if self.one_in(4) {
            let ack = self.choose(
                &["1", "1", "0", "18446744073709551615", "null"],
                &["-1", "1.0", "18446744073709551616", "\"1\""],
            );
            fields.push(format!("\"ack\":{ack}"));
        }
        let key =
            self.choose(&["\"response\"", "\"response\"", "\"args\"", "\"\\u0061rgs\""], &["\"a\"", "a"]);
        let arg = self.argument();
        fields.push(if key.contains("rgs") { format!("{key}:[{arg}]") } else { format!("{key}:{arg}") });
        if self.one_in(8) {
            let namespace = self.choose(&["\"/\"", "null"], &["\"/admin\"", "\"/x\"", "1"]);
            fields.push(format!("\"namespace\":{namespace}"));
        }
        if self.one_in(8) {
            fields.push(format!("{}:{}", self.key(), self.value(0, 2)));
        }
        let mut text = format!("{{{}}}", fields.join(","));
        if self.errs() {
            text = self.damage(&text);
        }
        let mut bytes = text.into_bytes();
        if self.errs() && !bytes.is_empty() {
            let at = self.random.below(bytes.len());
            bytes[at] = 0xff;
        }
        bytes
    }

    /// An argument that may hold binary data in the form of backends.
    fn argument(&mut self) -> String {
        let value = self.value(0, 4);
        let binary = self.choose(
            &[r#"{"$binary":"AP8="}"#, r#"{"$binary":""}"#, r#"{"$bin\u0061ry":"Cg=="}"#],
            &[
                r#"{"$binary":"?"}"#,
                r#"{"$binary":{"$binary":""}}"#,
                r#"{"$binary":"Cg==","a":1}"#,
                r#"{"$binary":"Cg"}"#,
                r#"{"$serde_json::private::RawValue":"{\"$binary\":\"\"}"}"#,
                HOLE,
            ],
        );
        match self.random.below(6) {
            0 => format!("[{binary},{value}]"),
            1 => format!(r#"{{"a":{value},"b":[{binary}]}}"#),
            2 => format!("[{binary},{binary}]"),
            3 => binary.into(),
            _ => value,
        }
    }
}

/// Somebody who minds their own business, and somebody who does not.
struct Street {
    world: World,
    victim: Client,
    victim_id: String,
    attacker: Option<(Client, String)>,
    /// How many packets the victim understood, and how many of them with attachments.
    understood: (usize, usize),
}

impl Street {
    /// The victim lives on the last node, the attacker on the first.
    fn new(seed: u64, nodes: usize, adapt: impl Fn(&mut Config)) -> Street {
        let mut world = World::cluster_with(Seed(seed), nodes, adapt);
        let (victim, victim_id) = world.client_with_id(nodes - 1);
        world.join(victim, "r");
        Street { world, victim, victim_id, attacker: None, understood: (0, 0) }
    }

    /// The attacker; another one when the last was closed.
    fn attacker(&mut self) -> (Client, String) {
        if let Some((client, id)) = &self.attacker
            && self.world.is_open(*client)
        {
            return (*client, id.clone());
        }
        let (client, id) = self.world.client_with_id(0);
        self.world.join(client, "r");
        self.attacker = Some((client, id.clone()));
        (client, id)
    }

    /// The victim's messages, as its client understands them. One that it does not understand ends the test.
    fn understand(&mut self, case: &str) -> Vec<Understood> {
        let received: Vec<Received> = self.world.received_all(self.victim);
        let understood = stock::understand(&received).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(self.world.is_open(self.victim), "{case}");
        self.understood.0 += understood.len();
        self.understood.1 += understood.iter().filter(|packet| packet.attachments > 0).count();
        understood
    }

    fn assert_not_in_vain(&self, most: usize) {
        let (all, binary) = self.understood;
        assert!(
            all > most / 4 && binary > most / 20,
            "of {most} cases only {all} arrived, {binary} with attachments"
        );
    }

    /// Says a packet and its attachments, as long as the attacker is let.
    fn send(&mut self, attacker: Client, text: &str, attachments: &[Vec<u8>]) {
        for at in 0..=attachments.len() {
            if self.world.is_open(attacker) {
                match at {
                    0 => self.world.say(attacker, text),
                    _ => self.world.say_binary(attacker, &attachments[at - 1]),
                }
            }
        }
        self.world.settle();
    }
}

fn with_admin(config: &mut Config) {
    config.namespaces.push("/admin".into());
}

/// The packets a client sends reach the victim as events of that client, or not at all.
fn a_client_harms_nobody(seed: u64, nodes: usize, cases: usize) {
    let mut street = Street::new(seed, nodes, with_admin);
    let mut author = Author::new(seed, &street.victim_id);
    for case in 0..cases {
        let (attacker, id) = street.attacker();
        let (text, attachments) = author.packet();
        let case = format!("seed {seed}, case {case}: {text:?} with {attachments:?}");
        street.send(attacker, &text, &attachments);
        for packet in street.understand(&case) {
            let from = Json::Object(vec![("from".encode_utf16().collect(), text_of(&id))]);
            assert_eq!(packet.items.get(1), Some(&from), "{case}");
            assert_eq!((packet.kind, packet.namespace.as_str()), ('2', "/"), "{case}");
            assert!(packet.ack.is_none_or(|id| id < 1 << 31), "only a question wants an ack: {case}");
        }
        street.world.received_all(attacker);
    }
    street.assert_not_in_vain(cases);
    street.world.advance(Duration::from_secs(120));
    assert!(street.world.is_open(street.victim), "it goes on as if nothing had been");
}

fn text_of(text: &str) -> Json {
    Json::Text(text.encode_utf16().collect())
}

#[test]
fn no_bytes_of_a_client_harm_another_on_its_node() {
    a_client_harms_nobody(1, 1, cases());
}

#[test]
fn no_bytes_of_a_client_harm_another_on_another_node() {
    a_client_harms_nobody(2, 2, cases() / 2);
}

#[test]
fn no_bytes_on_the_public_channel_harm_a_client() {
    let seed = 3;
    let mut street = Street::new(seed, 1, |config| {
        with_admin(config);
        config.has_backend = true;
    });
    let mut author = Author::new(seed, &street.victim_id);
    for case in 0..cases() {
        if case % 8 == 0 {
            street.world.say(street.victim, r#"421["e"]"#);
        }
        let payload = author.payload();
        let case = format!("seed {seed}, case {case}: {:?}", String::from_utf8_lossy(&payload));
        street.world.publish("socket", &payload);
        for packet in street.understand(&case) {
            match packet.kind {
                '2' => assert!(packet.ack.is_none_or(|id| id < 1 << 31), "{case}"),
                _ => assert_eq!(packet.ack, Some(1), "only what it asked is answered: {case}"),
            }
        }
        if author.one_in(500) {
            street.world.advance(Duration::from_secs(11));
            street.world.received_all(street.victim);
        }
    }
    street.assert_not_in_vain(cases());
    for entry in street.world.redis().take_stream() {
        stock::parse(&entry, ENTRY_DEPTH_MAX).unwrap_or_else(|error| panic!("{error}: {entry:.200}"));
    }
}

/// Messages of clients must not break a backend's parser either: valid JSON, no deeper than a packet and its wrapping.
#[test]
fn no_bytes_of_a_client_harm_a_backend() {
    let seed = 4;
    let mut street = Street::new(seed, 1, |config| config.has_backend = true);
    let mut author = Author::new(seed, &street.victim_id);
    for case in 0..cases() / 2 {
        let (attacker, _) = street.attacker();
        let (text, attachments) = author.packet();
        let text = text.replace("\"@to\"", "\"to\"");
        let case = format!("seed {seed}, case {case}: {text:?} with {attachments:?}");
        street.send(attacker, &text, &attachments);
        for entry in street.world.redis().take_stream() {
            let parsed = stock::parse(&entry, ENTRY_DEPTH_MAX);
            parsed.unwrap_or_else(|error| panic!("{case}: {error}: {entry:.200}"));
        }
    }
}
