//! Binary data in JSON: placeholders that point at attachments, and base64 in place.
//!
//! Owns one walk over JSON that is known to be valid. It replaces some objects and leaves every other byte as it is:
//! order, spacing, the digits of a number and halves of surrogate pairs, which a tree of values would not.
//!
//! Invariant: JSON that passes [`has_fitting_placeholders`] makes no client reach beyond the attachments, whichever of
//! two equal keys it reads and whatever value it takes for true. Such JSON points at each attachment once at most, so
//! writing attachments in place makes a message longer only by what base64 costs.

use crate::words::json::parse_string;
use alloc::{format, string::String, vec, vec::Vec};
use base64::{Engine, engine::general_purpose::STANDARD};
use moorline_protocol::Frame;

/// Whether every placeholder in `json` points at one of so many attachments, each at another.
pub(crate) fn has_fitting_placeholders(json: &str, attachments: usize) -> bool {
    let mut is_taken = vec![false; attachments];
    let judge = |members: &Members<'_>| {
        if members.mark == Mark::None {
            return Verdict::Keep;
        }
        let number = members.number.and_then(|number| number.parse::<usize>().ok());
        let taken = number.and_then(|number| is_taken.get_mut(number));
        let is_free = taken.is_some_and(|taken| !core::mem::replace(taken, true));
        match members.mark {
            Mark::Other if members.number.is_none() => Verdict::Keep,
            _ if is_free && !members.is_ambiguous => Verdict::Keep,
            _ => Verdict::Refuse,
        }
    };
    rewrite(json, judge).is_some()
}

/// Writes an argument the way backends read it: attachments in place, as base64.
pub(crate) fn with_inline_binary(json: &str, attachments: &[Frame]) -> String {
    let inline = |members: &Members<'_>| match (members.mark, members.attachment(attachments)) {
        (Mark::True, Some(bytes)) => {
            Verdict::Replace(format!("{{\"$binary\":\"{}\"}}", STANDARD.encode(bytes.as_packet())))
        }
        _ => Verdict::Keep,
    };
    rewrite(json, inline).unwrap_or_else(|| String::from("null"))
}

/// Whether an argument that came with so many attachments holds a placeholder that [`move_binary`] does not renumber.
/// Beside other arguments it would point at their attachments, or at nothing.
pub(crate) fn has_stray_placeholder(json: &str, attachments: usize) -> bool {
    let judge = |members: &Members<'_>| match members.mark {
        Mark::None => Verdict::Keep,
        Mark::Other if members.number.is_none() => Verdict::Keep,
        Mark::True if attachments > 0 => Verdict::Keep,
        Mark::Other | Mark::True => Verdict::Refuse,
    };
    (json.contains("_placeholder") || json.contains("\\u")) && rewrite(json, judge).is_none()
}

/// Writes an argument with its placeholders pointing into `into`, where the attachments they point at are added.
pub(crate) fn move_binary(json: &str, attachments: &[Frame], into: &mut Vec<Frame>) -> String {
    if attachments.is_empty() {
        return String::from(json);
    }
    let moved = rewrite(json, |members| match (members.mark, members.attachment(attachments)) {
        (Mark::True, Some(bytes)) => {
            into.push(bytes.clone());
            Verdict::Replace(placeholder(into.len() - 1))
        }
        _ => Verdict::Keep,
    });
    moved.unwrap_or_else(|| String::from("null"))
}

/// The object that stands for the attachment at this position.
pub(crate) fn placeholder(number: usize) -> String {
    format!("{{\"_placeholder\":true,\"num\":{number}}}")
}

/// Takes the binary data out of an argument that a backend wrote, and puts placeholders in its place. `None` when its
/// base64 is broken, or when it holds a placeholder of its own, which would point at nothing.
pub(crate) fn extract_binary(json: &str, attachments: &mut Vec<Frame>) -> Option<String> {
    rewrite(json, |members| match (members.mark, members.binary) {
        (Mark::True, _) => Verdict::Refuse,
        (Mark::Other, _) if members.number.is_some() => Verdict::Refuse,
        (_, Some(binary)) if members.count == 1 => {
            let bytes = parse_string(binary).and_then(|text| STANDARD.decode(&*text).ok());
            let Some(bytes) = bytes else { return Verdict::Refuse };
            attachments.push(Frame::binary(&bytes));
            Verdict::Replace(placeholder(attachments.len() - 1))
        }
        _ => Verdict::Keep,
    })
}

/// Whether an argument of a backend may hold binary data, so that it must be looked through.
pub(crate) fn may_hold_binary(json: &str) -> bool {
    // An escape could spell the key differently.
    json.contains("$binary") || json.contains("\\u")
}

/// The members of an object that matter here.
#[derive(Debug, Default)]
struct Members<'a> {
    mark: Mark,
    /// As JSON.
    number: Option<&'a str>,
    /// As JSON.
    binary: Option<&'a str>,
    count: usize,
    /// Clients may differ on what it says, since a key is there twice.
    is_ambiguous: bool,
}

/// Whether an object calls itself a placeholder.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Mark {
    #[default]
    None,
    /// With something that clients in other languages may take for true.
    Other,
    True,
}

enum Verdict {
    Keep,
    Replace(String),
    Refuse,
}

impl<'a> Members<'a> {
    /// The attachment that it points at, if it is a placeholder.
    fn attachment<'f>(&self, attachments: &'f [Frame]) -> Option<&'f Frame> {
        attachments.get(self.number?.parse::<usize>().ok()?)
    }

    fn note(&mut self, key: &str, value: &'a str) {
        self.count += 1;
        match parse_string(key).as_deref() {
            Some("_placeholder") => {
                let mark = match value {
                    "true" => Mark::True,
                    "false" | "null" => Mark::None,
                    _ => Mark::Other,
                };
                self.is_ambiguous |= self.mark != Mark::None;
                self.mark = if mark == Mark::None { self.mark } else { mark };
            }
            Some("num") => self.is_ambiguous |= self.number.replace(value).is_some(),
            Some("$binary") => self.binary = Some(value),
            _ => {}
        }
    }
}

/// Writes valid JSON again, each object as `judge` says. `None` when one was refused.
fn rewrite<'a>(json: &'a str, judge: impl FnMut(&Members<'a>) -> Verdict) -> Option<String> {
    let mut walk = Walk { text: json, at: 0, copied: 0, out: String::new(), judge };
    walk.value()?;
    walk.out.push_str(walk.text.get(walk.copied..)?);
    Some(walk.out)
}

/// A walk over JSON. Its recursion is bounded, since whoever received the JSON has checked its depth.
struct Walk<'a, F> {
    text: &'a str,
    at: usize,
    /// Up to where `out` holds the text.
    copied: usize,
    out: String,
    judge: F,
}

impl<'a, F: FnMut(&Members<'a>) -> Verdict> Walk<'a, F> {
    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn value(&mut self) -> Option<()> {
        match self.peek()? {
            b'{' => self.object(),
            b'[' => self.array(),
            b'"' => self.string().map(drop),
            _ => self.word(),
        }
    }

    fn array(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.peek()? {
                b']' => break self.at += 1,
                b',' => self.at += 1,
                _ => self.value()?,
            }
        }
        Some(())
    }

    fn object(&mut self) -> Option<()> {
        let (start, copied, written) = (self.at, self.copied, self.out.len());
        let mut members = Members::default();
        self.at += 1;
        loop {
            match self.peek()? {
                b'}' => break self.at += 1,
                b',' => self.at += 1,
                _ => self.member(&mut members)?,
            }
        }
        match (self.judge)(&members) {
            Verdict::Keep => {}
            Verdict::Refuse => return None,
            Verdict::Replace(json) => {
                self.out.truncate(written);
                self.out.push_str(self.text.get(copied..start)?);
                self.out.push_str(&json);
                self.copied = self.at;
            }
        }
        Some(())
    }

    fn member(&mut self, members: &mut Members<'a>) -> Option<()> {
        let key = self.string()?;
        if self.peek()? != b':' {
            return None;
        }
        self.at += 1;
        self.peek()?;
        let start = self.at;
        self.value()?;
        members.note(key, self.text.get(start..self.at)?);
        Some(())
    }

    /// A string, quotes included.
    fn string(&mut self) -> Option<&'a str> {
        let (start, mut is_escaped) = (self.at, false);
        if self.text.as_bytes().get(start) != Some(&b'"') {
            return None;
        }
        let inside = self.text.as_bytes()[start + 1..].iter().take_while(|byte| {
            let is_end = **byte == b'"' && !is_escaped;
            is_escaped = **byte == b'\\' && !is_escaped;
            !is_end
        });
        self.at += inside.count() + 2;
        self.text.get(start..self.at)
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Option<()> {
        let rest = &self.text.as_bytes()[self.at..];
        let length =
            rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
        self.at += length;
        (length > 0).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_must_point_at_attachments_each_at_another() {
        for (json, fits) in [
            (r#"["e",{"_placeholder":true,"num":0},{"a":[{"num":1,"_placeholder":true}]}]"#, true),
            (r#"["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#, false),
            (r#"["e",{"_placeholder":true,"num":2}]"#, false),
            (r#"["e",{"_placeholder":true,"num":-1}]"#, false),
            (r#"["e",{"_placeholder":true,"num":0.5}]"#, false),
            (r#"["e",{"_placeholder":true}]"#, false),
            (r#"["e",{"_\u0070laceholder":true,"num":7}]"#, false),
            (r#"["e",{"_placeholder":true,"num":7,"_placeholder":false}]"#, false),
            (r#"["e",{"_placeholder":true,"num":0,"num":7}]"#, false),
            (r#"["e",{"_placeholder":true,"num":7,"num":0}]"#, false),
            (r#"["e",{"a":{"_placeholder":true,"num":7},"a":0}]"#, false),
            (r#"["e",{"_placeholder":1,"num":7}]"#, false),
            (r#"["e",{"_placeholder":"Your name"}]"#, true),
            (r#"["e",{"_placeholder":false,"num":7},"_placeholder"]"#, true),
            (r#"["\ud800",1e999,{"\ud800":"\\\"{"}]"#, true),
        ] {
            assert_eq!(has_fitting_placeholders(json, 2), fits, "{json}");
        }
    }

    #[test]
    fn binary_goes_to_backends_and_comes_back_with_all_else_untouched() {
        let attachments = [Frame::binary(b"a"), Frame::binary(&[0, 255])];
        let json = r#"{ "z":[{"_placeholder":true, "num":1} ,1.50],"a":"\ud800\"}", "b":{"num":7}}"#;
        let inline = with_inline_binary(json, &attachments);
        assert_eq!(inline, r#"{ "z":[{"$binary":"AP8="} ,1.50],"a":"\ud800\"}", "b":{"num":7}}"#);
        let mut extracted = Vec::new();
        let back = extract_binary(&inline, &mut extracted).unwrap();
        assert_eq!(back, r#"{ "z":[{"_placeholder":true,"num":0} ,1.50],"a":"\ud800\"}", "b":{"num":7}}"#);
        assert_eq!(extracted[0].as_packet(), [0, 255]);
        for json in
            [r#"[{"$binary":"?"}]"#, r#"[{"_placeholder":true,"num":0}]"#, r#"{"$binary":{"$binary":""}}"#]
        {
            assert_eq!(extract_binary(json, &mut extracted), None, "{json}");
        }
    }

    #[test]
    fn answers_with_binary_data_are_put_together() {
        let (first, second) = ([Frame::binary(b"a")], [Frame::binary(b"b"), Frame::binary(b"c")]);
        let mut all = Vec::new();
        assert_eq!(
            move_binary(r#"[{"num":0,"_placeholder":true}]"#, &first, &mut all),
            r#"[{"_placeholder":true,"num":0}]"#
        );
        assert_eq!(
            move_binary(r#"{"_placeholder":true,"num":1}"#, &second, &mut all),
            r#"{"_placeholder":true,"num":1}"#
        );
        let plain = r#"{"_placeholder":true,"num":0}"#;
        assert_eq!(move_binary(plain, &[], &mut all), plain);
        assert_eq!(all, [Frame::binary(b"a"), Frame::binary(b"c")]);
    }

    #[test]
    fn an_object_inside_a_replaced_one_goes_with_it() {
        let attachments = [Frame::binary(b"a"), Frame::binary(b"b")];
        let json = r#"[0,{"x":{"_placeholder":true,"num":1},"_placeholder":true,"num":0},2]"#;
        assert_eq!(with_inline_binary(json, &attachments), r#"[0,{"$binary":"YQ=="},2]"#);
    }

    #[test]
    fn what_is_no_json_ends_the_walk() {
        let json = r#"{"a":[1,{"b":"c\\\"é"}],"d":null}"#;
        for cut in (0..json.len()).filter(|cut| json.is_char_boundary(*cut)) {
            assert_eq!(rewrite(&json[..cut], |_| Verdict::Keep), None, "{cut}");
            rewrite(&json[cut..], |_| Verdict::Keep);
        }
        assert_eq!(rewrite(json, |_| Verdict::Keep).as_deref(), Some(json));
        for strange in ["[}", "{]", "[:]", "{\"a\"}", "{1:2}", "\\", "é"] {
            assert_eq!(rewrite(strange, |_| Verdict::Keep), None, "{strange}");
        }
    }
}
