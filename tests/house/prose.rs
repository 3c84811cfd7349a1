//! The rules about comments that need no judgement: every file says what it owns, and no comment opens with half a
//! sentence.

use crate::tree::Source;

/// The folders whose comments are read for their openings.
const READ: [&str; 15] = [
    "server/protocol/src",
    "server/core/src",
    "server/src",
    "client-wasm/core/src",
    "client-wasm/src",
    "client-wasm/js",
    "client-wasm/build/src",
    "client-wasm/core/tests",
    "server/examples",
    "tests/load",
    "tests/sim",
    "tests/scenarios",
    "tests/bus",
    "tests/house",
    "tests/e2e",
];

/// A comment that opens with one of these and asks nothing has no main clause.
const RELATIVES: [&str; 8] = ["What", "Who", "Whoever", "Whom", "Whose", "Why", "Where", "Which"];

/// Rust files that do not open by saying what they own.
fn silent_files(sources: &[Source]) -> Vec<String> {
    let rust = sources.iter().filter(|source| source.has_kind(&["rs"]));
    rust.filter(|source| !source.text.starts_with("//! "))
        .map(|source| format!("{} does not open with `//!`", source.path))
        .collect()
}

/// Comments that open with a bare relative clause.
fn bare_clauses(sources: &[Source], folders: &[&str]) -> Vec<String> {
    let read = sources.iter().filter(|source| folders.iter().any(|folder| source.is_under(folder)));
    read.filter(|source| source.has_kind(&["rs", "js", "mjs"])).flat_map(bare_clauses_of).collect()
}

fn bare_clauses_of(source: &Source) -> Vec<String> {
    let lines: Vec<_> = source.text.lines().map(split_mark).collect();
    let mut problems = Vec::new();
    for (index, &(mark, text)) in lines.iter().enumerate() {
        let opens = !mark.is_empty() && (index == 0 || lines[index - 1].0 != mark || mark == "/*");
        let Some((first, _)) = text.split_once(' ').filter(|_| opens) else { continue };
        let block: Vec<_> =
            lines[index..].iter().take_while(|line| !line.0.is_empty()).map(|line| line.1).collect();
        if RELATIVES.contains(&first) && !is_question(&block.join(" ")) {
            problems.push(format!(
                "{}:{}: a comment opens with a bare clause: {text}",
                source.path,
                index + 1
            ));
        }
    }
    problems
}

fn is_question(text: &str) -> bool {
    text.find(['.', '?', ':', ';']).is_some_and(|end| text[end..].starts_with('?'))
}

/// The mark and the text of a line that is a comment; two empty ones otherwise.
fn split_mark(line: &str) -> (&str, &str) {
    let line = line.trim();
    for mark in ["//!", "///", "//", "/**", "/*", "* "] {
        if let Some(text) = line.strip_prefix(mark) {
            return (if mark == "/**" { "/*" } else { mark }, text.trim());
        }
    }
    ("", "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{assert_none, assert_one, tree::sources};

    fn bare(text: &str) -> Vec<String> {
        bare_clauses(&[Source::new("server/core/src/a.rs", text)], &READ)
    }

    #[test]
    fn every_file_of_the_tree_says_what_it_owns() {
        assert_none(&silent_files(sources()));
    }

    #[test]
    fn no_comment_of_the_tree_opens_with_a_bare_clause() {
        assert_none(&bare_clauses(sources(), &READ));
    }

    #[test]
    fn a_silent_file_is_found() {
        assert_one(&silent_files(&[Source::new("a.rs", "// Rooms.\n"), Source::new("a.js", "")]), &["a.rs"]);
    }

    #[test]
    fn a_bare_clause_is_found_at_the_opening_of_a_comment() {
        assert_one(&bare("//! Rooms.\n\n/// What a room\n/// is."), &["a.rs:3", "What a room"]);
        assert_one(&bare("    // Whoever asks."), &["a.rs:1"]);
        assert_one(&bare("    /// Whom it is for."), &["a.rs:1"]);
        assert_one(&bare("    /// Why it ended."), &["a.rs:1"]);
        assert_one(&bare("/** Where it is. */"), &["a.rs:1"]);
        assert_one(&bare("let a = 1;\n/// Which one: is it clear?"), &["a.rs:2"]);
    }

    #[test]
    fn questions_later_lines_and_whole_sentences_pass() {
        assert_none(&bare("/// Who receives this?\n/// Everyone."));
        assert_none(&bare("/// Who, in the end,\n/// receives this? Everyone."));
        assert_none(&bare("/// The room says\n/// What it is."));
        assert_none(&bare("let a = \"What is it\";\n/// Whatever was sent counts."));
        assert_none(&bare_clauses(&[Source::new("elsewhere/a.rs", "/// What is it")], &READ));
    }
}
