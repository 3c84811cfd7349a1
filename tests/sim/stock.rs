//! The demands of a stock client on messages to it: its parser's rules, written again and without our codec.
//!
//! The reference is the decoder of `socket.io-parser` with JavaScript's `JSON.parse`: of two equal keys the last
//! counts, lone surrogates and numbers of any size are fine. Where clients in other languages demand more, so does
//! this.

use super::words::Received;
use std::collections::BTreeMap;

/// The deepest a packet may nest, so that no client's parser runs out of stack.
pub const DEPTH_MAX: usize = 64;
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// JSON as a client reads it. Strings are UTF-16, since lone surrogates are allowed.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`, `true`, `false` or a number, as it was written.
    Word(String),
    /// A string.
    Text(Vec<u16>),
    /// An array.
    Array(Vec<Json>),
    /// An object; of equal keys all are kept.
    Object(Vec<(Vec<u16>, Json)>),
}

/// One packet that a stock client understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Understood {
    /// `2` for an event, `3` for an acknowledgement; attachments are counted, not told from those without.
    pub kind: char,
    /// The namespace.
    pub namespace: String,
    /// The acknowledgement's id.
    pub ack: Option<u64>,
    /// The items of the array.
    pub items: Vec<Json>,
    /// How many attachments came with it.
    pub attachments: usize,
}

/// Reads what a client was sent as a stock client does.
///
/// # Errors
/// The reason for which the client would close its connection, in words.
pub fn understand(received: &[Received]) -> Result<Vec<Understood>, String> {
    let mut understood = Vec::new();
    let mut rest = received.iter();
    while let Some(next) = rest.next() {
        let Received::Text(text) = next else { return Err("binary data, but no packet waits for it".into()) };
        let packet = read_packet(text)?;
        for _ in 0..packet.attachments {
            if !matches!(rest.next(), Some(Received::Binary(_))) {
                return Err(format!("{text:.200} misses an attachment"));
            }
        }
        understood.push(packet);
    }
    Ok(understood)
}

fn read_packet(text: &str) -> Result<Understood, String> {
    let error = |what: &str| format!("{what}: {text:.200}");
    let rest = text.strip_prefix('4').ok_or_else(|| error("not a message"))?;
    let digit = rest.chars().next().ok_or_else(|| error("no type"))?;
    let mut rest = &rest[digit.len_utf8()..];
    let mut attachments = 0;
    let kind = match digit {
        '2' | '3' => digit,
        '5' | '6' => {
            let (count, after) = rest.split_once('-').ok_or_else(|| error("illegal attachments"))?;
            attachments = count.parse().map_err(|_| error("illegal attachments"))?;
            if !(1..=10).contains(&attachments) {
                return Err(error("illegal attachments"));
            }
            rest = after;
            if digit == '5' { '2' } else { '3' }
        }
        _ => return Err(error("nothing that others may cause")),
    };
    let mut namespace = "/";
    if rest.starts_with('/') {
        (namespace, rest) = rest.split_once(',').ok_or_else(|| error("nothing behind the namespace"))?;
    }
    let digits = rest.find(|byte: char| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let ack = (digits > 0).then(|| rest[..digits].parse()).transpose().map_err(|_| error("bad id"))?;
    let Json::Array(items) = parse(&rest[digits..], DEPTH_MAX).map_err(|what| error(&what))? else {
        return Err(error("invalid payload"));
    };
    if kind == '2' {
        check_name(items.first()).map_err(|what| error(&what))?;
    }
    if attachments > 0 {
        items
            .iter()
            .try_for_each(|item| check_placeholders(item, attachments))
            .map_err(|what| error(&what))?;
    }
    Ok(Understood { kind, namespace: namespace.into(), ack, items, attachments })
}

fn check_name(name: Option<&Json>) -> Result<(), String> {
    let Some(Json::Text(name)) = name else { return Err("an event without a name".into()) };
    let name = String::from_utf16(name).map_err(|_| "a name that is no text")?;
    if RESERVED.contains(&name.as_str()) || name.starts_with('@') {
        return Err(format!("the name {name} is reserved"));
    }
    Ok(())
}

/// Each placeholder, an object marked with `true`, must name an attachment by its number.
fn check_placeholders(json: &Json, attachments: usize) -> Result<(), String> {
    match json {
        Json::Array(items) => items.iter().try_for_each(|item| check_placeholders(item, attachments)),
        Json::Object(fields) => {
            let fields: BTreeMap<String, &Json> =
                fields.iter().map(|(key, value)| (String::from_utf16_lossy(key), value)).collect();
            if fields.get("_placeholder").is_none_or(|mark| **mark != Json::Word("true".into())) {
                return fields.values().try_for_each(|value| check_placeholders(value, attachments));
            }
            match fields.get("num") {
                Some(Json::Word(number))
                    if number.parse().is_ok_and(|number: usize| number < attachments) =>
                {
                    Ok(())
                }
                number => Err(format!("placeholder {number:?} of {attachments}")),
            }
        }
        Json::Word(_) | Json::Text(_) => Ok(()),
    }
}

/// Parses JSON by the letter of RFC 8259, nested at most `depth_max` deep.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn parse(text: &str, depth_max: usize) -> Result<Json, String> {
    let mut parser = Parser { text, at: 0, depth_max };
    let json = parser.value(1)?;
    parser.space();
    if parser.at < text.len() { Err(format!("something behind the JSON at {}", parser.at)) } else { Ok(json) }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth_max: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Whether the next byte that is no space is this one; takes it.
    fn takes(&mut self, byte: u8) -> bool {
        self.space();
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        if self.takes(byte) { Ok(()) } else { Err(format!("{} due at {}", char::from(byte), self.at)) }
    }

    fn value(&mut self, depth: usize) -> Result<Json, String> {
        self.space();
        match self.peek() {
            Some(b'[' | b'{') if depth > self.depth_max => Err("too deep".into()),
            Some(b'[') => self.array(depth),
            Some(b'{') => self.object(depth),
            Some(b'"') => self.string().map(Json::Text),
            _ => self.word(),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, String> {
        let mut items = Vec::new();
        self.expect(b'[')?;
        if self.takes(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.takes(b']') {
                return Ok(Json::Array(items));
            }
            self.expect(b',')?;
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, String> {
        let mut fields = Vec::new();
        self.expect(b'{')?;
        if self.takes(b'}') {
            return Ok(Json::Object(fields));
        }
        loop {
            self.space();
            let key = self.string()?;
            self.expect(b':')?;
            fields.push((key, self.value(depth + 1)?));
            if self.takes(b'}') {
                return Ok(Json::Object(fields));
            }
            self.expect(b',')?;
        }
    }

    fn string(&mut self) -> Result<Vec<u16>, String> {
        if self.peek() != Some(b'"') {
            return Err(format!("a string due at {}", self.at));
        }
        self.at += 1;
        let mut units = Vec::new();
        loop {
            let next = self.text[self.at..].chars().next().ok_or("a string without an end")?;
            self.at += next.len_utf8();
            match next {
                '"' => return Ok(units),
                '\\' => units.push(self.escape()?),
                '\0'..=' ' if next != ' ' => return Err("a control character in a string".into()),
                _ => units.extend_from_slice(next.encode_utf16(&mut [0; 2])),
            }
        }
    }

    fn escape(&mut self) -> Result<u16, String> {
        let escaped = self.peek().ok_or("a string without an end")?;
        self.at += 1;
        Ok(match escaped {
            b'"' | b'\\' | b'/' => u16::from(escaped),
            b'b' => 8,
            b'f' => 12,
            b'n' => 10,
            b'r' => 13,
            b't' => 9,
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4).ok_or("a short escape")?;
                self.at += 4;
                let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                is_hex.then(|| u16::from_str_radix(digits, 16).ok()).flatten().ok_or("a bad escape")?
            }
            _ => return Err("an unknown escape".into()),
        })
    }

    fn word(&mut self) -> Result<Json, String> {
        let rest = &self.text[self.at..];
        let end = rest.find(|next: char| !next.is_ascii_alphanumeric() && !"+-.".contains(next));
        let word = &rest[..end.unwrap_or(rest.len())];
        self.at += word.len();
        if matches!(word, "null" | "true" | "false") || is_number(word) {
            Ok(Json::Word(word.into()))
        } else {
            Err(format!("{word:.20} is no word of JSON"))
        }
    }
}

fn is_number(word: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let word = word.strip_prefix('-').unwrap_or(word);
    let (mantissa, exponent) = match word.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.strip_prefix(['+', '-']).unwrap_or(exponent)),
        None => (word, "0"),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let is_whole = is_digits(whole) && (whole == "0" || !whole.starts_with('0'));
    is_whole && is_digits(fraction) && is_digits(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(packet: &str) -> Received {
        Received::Text(packet.into())
    }

    #[test]
    fn what_ends_a_stock_client_is_an_error() {
        let deep = format!("42[\"e\",{}{}]", "[".repeat(64), "]".repeat(64));
        for packet in [
            "",
            "4",
            "2",
            "42",
            "42[]",
            "42{}",
            "42[1]",
            "42[\"connect\"]",
            "42[\"dis\\u0063onnect\"]",
            "42[\"@to\"]",
            "42[\"e\",]",
            "42[\"e\"]x",
            "42[\"e\n\"]",
            "42[\"e\",01]",
            "42[\"e\",1.]",
            "42[\"e\",\"\\x\"]",
            "42[\"e\",nul]",
            "42[\"e\",{\"a\"}]",
            "42/x[\"e\"]",
            "450-[\"e\"]",
            "451-[\"e\"]",
            "41",
            "40{}",
            &deep,
        ] {
            assert!(understand(&[text(packet)]).is_err(), "{packet:.60}");
        }
        let hole = "451-[\"e\",{\"_placeholder\":true,\"num\":1}]";
        assert!(understand(&[text(hole), Received::Binary(Vec::new())]).is_err());
        assert!(understand(&[Received::Binary(Vec::new())]).is_err());
        assert!(understand(&[text("451-[\"e\"]"), text("42[\"e\"]")]).is_err());
    }

    #[test]
    fn what_a_stock_client_takes_is_understood() {
        for packet in [
            r#"42["e"]"#,
            r#"42/admin,7[ "e" , -0.5e+10, "\ud800", {"a":[1e999],"a":"é"} ]"#,
            r#"43[]"#,
            r#"42["e",{"_placeholder":true,"num":9}]"#,
        ] {
            understand(&[text(packet)]).unwrap();
        }
        let packets =
            understand(&[text(r#"461-3[{"num":0,"_placeholder":true}]"#), Received::Binary(vec![1])])
                .unwrap();
        assert_eq!((packets[0].kind, packets[0].ack, packets[0].attachments), ('3', Some(3), 1));
    }
}
