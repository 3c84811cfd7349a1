//! How long a file and how wide a comment may be. Code has its width from rustfmt.

use crate::tree::Source;

const MOST_LINES: usize = 500;
const MOST_COLUMNS: usize = 120;

/// Rust files of more lines than one reader holds in mind.
fn long_files(sources: &[Source]) -> Vec<String> {
    let rust = sources.iter().filter(|source| source.has_kind(&["rs"]));
    let counted = rust.map(|source| (source, source.text.lines().count()));
    counted
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(source, lines)| format!("{} has {lines} lines, more than {MOST_LINES}", source.path))
        .collect()
}

/// Lines with a comment that pass the width. A URL alone on its line cannot be broken and may.
fn wide_comments(sources: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    for source in sources {
        for (index, line) in source.text.lines().enumerate() {
            let width = line.chars().count();
            if width > MOST_COLUMNS && comment_of(source, line).is_some_and(|comment| !is_url(comment)) {
                problems.push(format!("{}:{}: a comment of {width} columns", source.path, index + 1));
            }
        }
    }
    problems
}

/// What follows the mark of a comment. Without a lexer: a mark in a string counts if spaces surround it.
fn comment_of<'a>(source: &Source, line: &'a str) -> Option<&'a str> {
    let (starts, inside): (&[&str], &str) = match () {
        () if source.has_kind(&["rs", "js", "mjs", "ts"]) => (&["//", "/*", "* "], " // "),
        () if source.has_kind(&["sh"]) => (&["#"], " # "),
        () => return None,
    };
    let line = line.trim_start();
    match starts.iter().find_map(|start| line.strip_prefix(start)) {
        Some(comment) => Some(comment),
        None => line.split_once(inside).map(|(_, comment)| comment),
    }
}

fn is_url(comment: &str) -> bool {
    let comment = comment.trim_start_matches(['/', '!', '*']).trim();
    comment.contains("://") && !comment.contains(' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{assert_none, assert_one, tree::sources};

    fn wide(path: &str, text: &str) -> Vec<String> {
        wide_comments(&[Source::new(path, text)])
    }

    #[test]
    fn no_file_of_the_tree_is_long() {
        assert_none(&long_files(sources()));
    }

    #[test]
    fn no_comment_of_the_tree_is_wide() {
        assert_none(&wide_comments(sources()));
    }

    #[test]
    fn a_long_file_is_found() {
        assert_none(&long_files(&[
            Source::new("a.rs", &"\n".repeat(500)),
            Source::new("a.js", &"\n".repeat(900)),
        ]));
        assert_one(&long_files(&[Source::new("a.rs", &"\n".repeat(501))]), &["a.rs", "501"]);
    }

    #[test]
    fn a_wide_comment_is_found_in_every_language() {
        let (fits, wider) = ("x".repeat(112), "x y".repeat(40));
        for (path, start) in [
            ("a.rs", "    //! "),
            ("a.rs", "let a = 1; // "),
            ("a.js", "  * "),
            ("a.mjs", "// "),
            ("a.sh", "# "),
        ] {
            assert_one(&wide(path, &format!("\n{start}{wider}")), &[&format!("{path}:2")]);
        }
        assert_none(&wide("a.rs", &format!("    /// {fits}")));
        assert_one(&wide("a.rs", &format!("    /// {fits}x")), &["121"]);
    }

    #[test]
    fn wide_code_and_a_url_alone_pass() {
        let long = "x".repeat(130);
        assert_none(&wide("a.rs", &format!("let a = \"{long}\";")));
        assert_none(&wide("a.rs", &format!("/// https://example.org/{long}")));
        assert_none(&wide("a.rs", &format!("/// <https://example.org/{long}>")));
        assert_none(&wide("a.md", &format!("// {long}")));
    }
}
