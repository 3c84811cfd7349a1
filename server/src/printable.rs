//! Text of others made safe for a terminal.
//!
//! Owns the replacement of control characters. It never shortens and never escapes.

/// The text with its control characters replaced: a terminal must not obey what a value contains.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_replaced_and_nothing_else() {
        assert_eq!(printable("a\u{1b}[31m\r\né\u{85}"), "a\u{fffd}[31m\u{fffd}\u{fffd}é\u{fffd}");
    }
}
