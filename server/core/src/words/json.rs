//! JSON that clients and backends write, and lists of it.
//!
//! Owns strings and lists; the parts of an event are read where packets are dispatched.

use alloc::{borrow::Cow, string::String, vec, vec::Vec};
use moorline_protocol::json;
use serde_json::value::RawValue;

/// Reads a JSON string, borrowed when nothing in it is escaped. `None` for any other JSON.
pub fn parse_string(json: &str) -> Option<Cow<'_, str>> {
    if !json.starts_with('"') {
        return None;
    }
    match serde_json::from_str::<&str>(json) {
        Ok(text) => Some(Cow::Borrowed(text)),
        Err(_) => serde_json::from_str::<String>(json).ok().map(Cow::Owned),
    }
}

/// Reads a JSON string, or an array of strings, as the list of targets that it names. `None` for any other JSON.
pub fn parse_targets(json: &str) -> Option<Vec<Cow<'_, str>>> {
    if json.starts_with('[') {
        let texts: Vec<&RawValue> = serde_json::from_str(json).ok()?;
        return texts.into_iter().map(|text| parse_string(text.get())).collect();
    }
    parse_string(json).map(|text| vec![text])
}

/// A text as a JSON string, quotes included.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    json::push_string(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

/// Appends an item to a list of JSON values joined by commas.
pub(crate) fn push_item(list: &mut String, item: &str) {
    if !list.is_empty() {
        list.push(',');
    }
    list.push_str(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_borrowed_unless_it_is_escaped() {
        assert!(matches!(parse_string(r#""plain""#), Some(Cow::Borrowed("plain"))));
        assert!(matches!(parse_string(r#""a\nb""#), Some(Cow::Owned(text)) if text == "a\nb"));
        for json in ["", "1", "null", "[\"a\"]", "\"", "\"a", r#""\ud800""#] {
            assert_eq!(parse_string(json), None, "{json}");
        }
    }

    #[test]
    fn targets_are_a_string_or_a_list_of_strings() {
        assert_eq!(parse_targets(r#""a""#), Some(vec![Cow::Borrowed("a")]));
        assert_eq!(parse_targets(r#"["a", "b"]"#), Some(vec![Cow::Borrowed("a"), Cow::Borrowed("b")]));
        assert_eq!(parse_targets("[]"), Some(Vec::new()));
        for json in ["1", "[1]", "[[\"a\"]]", "{}"] {
            assert_eq!(parse_targets(json), None, "{json}");
        }
    }
}
