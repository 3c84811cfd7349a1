//! The parts of JSON that the codec needs: strings and numbers, the members of one object, the depth of a text.
//!
//! It is never a whole reader: servers read the inside of a message with a JSON library, browsers with their own.

use alloc::{string::String, vec::Vec};

/// Appends `text` as a JSON string, quotes included.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => push_control(out, byte),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

fn push_control(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"\\u00");
    out.push(HEX[usize::from(byte >> 4)]);
    out.push(HEX[usize::from(byte & 15)]);
}

/// Appends `number` in decimal.
pub fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends each item as `push` writes it, with `separator` between two.
pub fn push_separated<T>(
    out: &mut Vec<u8>,
    separator: &[u8],
    items: impl IntoIterator<Item = T>,
    mut push: impl FnMut(&mut Vec<u8>, T),
) {
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(separator);
        }
        push(out, item);
    }
}

/// Whether arrays and objects in `text` nest at most `depth_max` deep. Counts brackets outside strings, so it is exact
/// for valid JSON and never an overflow for anything else.
pub fn nests_within(text: &str, depth_max: usize) -> bool {
    // Counting brackets is far cheaper than following them, and nearly every text has fewer than the levels allowed.
    let brackets = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if brackets <= depth_max {
        return true;
    }
    let mut depth = 0usize;
    for (_, byte) in outside_strings(text) {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > depth_max {
                    return false;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

/// The text of one member's value in an object, unread. Names are compared as they are written, without escapes; of two
/// equal ones the first counts. `None` as well for what is not an object up to that member.
pub fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = object.trim_start().strip_prefix('{')?;
    loop {
        let (key, after) = split_value(rest)?;
        let value_on = after.trim_start().strip_prefix(':')?;
        let (value, after) = split_value(value_on)?;
        if key.strip_prefix('"').and_then(|key| key.strip_suffix('"')) == Some(name) {
            return Some(value);
        }
        rest = after.trim_start().strip_prefix(',')?;
    }
}

/// The value a text begins with, and what comes after it.
fn split_value(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let mut depth = 0usize;
    for (at, byte) in outside_strings(text) {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' | b',' | b':' if depth == 0 => {
                return Some((text.get(..at)?.trim_end(), text.get(at..)?))
                    .filter(|(value, _)| !value.is_empty());
            }
            b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The bytes of a text that are not inside a string, and where they are.
fn outside_strings(text: &str) -> impl Iterator<Item = (usize, u8)> {
    let (mut in_string, mut is_escaped) = (false, false);
    text.bytes().enumerate().filter(move |&(_, byte)| {
        let is_outside = !in_string;
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ => {}
        }
        is_outside
    })
}

/// Reads a JSON string, quotes included. `None` for anything else; a lone surrogate becomes U+FFFD.
pub fn read_string(json: &str) -> Option<String> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::with_capacity(inside.len());
    let mut rest = inside.chars();
    while let Some(char) = rest.next() {
        text.push(match char {
            '\\' => read_escape(&mut rest)?,
            '"' | '\0'..' ' => return None,
            _ => char,
        });
    }
    Some(text)
}

fn read_escape(rest: &mut core::str::Chars<'_>) -> Option<char> {
    Some(match rest.next()? {
        char @ ('"' | '\\' | '/') => char,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => read_unicode(rest)?,
        _ => return None,
    })
}

fn read_unicode(rest: &mut core::str::Chars<'_>) -> Option<char> {
    let first = read_hex(rest)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    let mut ahead = rest.clone();
    let second =
        (ahead.next() == Some('\\') && ahead.next() == Some('u')).then(|| read_hex(&mut ahead)).flatten();
    let Some(second) = second.filter(|second| (0xdc00..0xe000).contains(second)) else {
        return Some(char::REPLACEMENT_CHARACTER);
    };
    *rest = ahead;
    char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
}

fn read_hex(rest: &mut core::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |number, _| Some(number * 16 + rest.next()?.to_digit(16)?))
}

/// Reads a whole number that is not negative. `None` for anything else.
pub fn read_number(json: &str) -> Option<u64> {
    if json.is_empty() || !json.bytes().all(|byte| byte.is_ascii_digit()) { None } else { json.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> String {
        let mut out = Vec::new();
        push_string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(string("a\"b\\c\n\u{1}é"), "\"a\\\"b\\\\c\\n\\u0001é\"");
    }

    #[test]
    fn numbers_reach_both_ends() {
        for number in [0, 9, 10, 1_000_000, u64::MAX] {
            let mut out = Vec::new();
            push_number(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), alloc::format!("{number}"));
        }
    }

    #[test]
    fn a_member_is_found_whatever_stands_around_it() {
        let object = r#" { "a" : 1 ,"b":"x,\"}:" , "c":[{"d":2},3], "":null}  "#;
        assert_eq!(member(object, "a"), Some("1"));
        assert_eq!(member(object, "b"), Some(r#""x,\"}:""#));
        assert_eq!(member(object, "c"), Some(r#"[{"d":2},3]"#));
        assert_eq!(member(object, ""), Some("null"));
        assert_eq!(member(object, "d"), None);
        assert_eq!(member(r#"{"a":1,"a":2}"#, "a"), Some("1"));
    }

    #[test]
    fn what_is_no_object_has_no_member_and_is_no_panic() {
        let object = r#"{"é":{"a":["\u00e9é"]},"a":1}"#;
        for cut in (0..object.len()).filter(|cut| object.is_char_boundary(*cut)) {
            assert_eq!(member(&object[..cut], "a"), None, "{cut}");
            member(&object[cut..], "a");
        }
        for text in ["", "[]", "{}", "{,}", "{:}", "{]", r#"{"a"}"#, r#"{"a":}"#, r#"{"a",1}"#, "null"] {
            assert_eq!(member(text, "a"), None, "{text}");
        }
    }

    #[test]
    fn strings_read_back_and_escapes_are_undone() {
        for text in ["", "a\"b\\c\n\u{1}é", "😀"] {
            assert_eq!(read_string(&string(text)).as_deref(), Some(text));
        }
        assert_eq!(read_string(r#""\/\b\f\u00e9\ud83d\ude00""#).as_deref(), Some("/\u{8}\u{c}é😀"));
        assert_eq!(
            read_string(r#""\ud83dx\ude00\ud83d\u0041""#).as_deref(),
            Some("\u{fffd}x\u{fffd}\u{fffd}A")
        );
        for text in
            ["", "\"", "a", "\"a", "\"\\\"", r#""\x""#, r#""\u12""#, r#""\u+123""#, "\"\n\"", "\"a\"b\""]
        {
            assert_eq!(read_string(text), None, "{text}");
        }
    }

    #[test]
    fn only_whole_numbers_are_read() {
        assert_eq!(read_number("25000"), Some(25_000));
        for text in ["", "-1", "+1", "1.5", "1e3", "x", "99999999999999999999999"] {
            assert_eq!(read_number(text), None, "{text}");
        }
    }

    #[test]
    fn depth_counts_brackets_outside_strings() {
        assert!(nests_within(r#"[{"a":"[[[[\"[["}]"#, 2));
        assert!(!nests_within("[[[1]]]", 2));
        assert!(nests_within("[[1],[2],[3]]", 2));
        assert!(nests_within("]]]]", 0));
    }
}
