//! How long a file and how wide a comment may be. Code has its width from rustfmt.

use crate::tree::Source;

const MOST_LINES: usize = 500;
const MOST_COLUMNS: usize = 120;

/// The languages in which `//` and `/*` begin a comment.
const SLASHES: [&str; 5] = ["rs", "js", "mjs", "ts", "html"];

/// Files of code with more lines than one reader holds in mind.
fn long_files(sources: &[Source]) -> Vec<String> {
    let code = sources.iter().filter(|source| source.has_kind(&["rs", "js", "mjs", "ts"]));
    let counted = code.map(|source| (source, source.text.lines().count()));
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

/// The text after the mark of a comment. A line is read by itself: a mark counts outside of the quotes that the line
/// opens, and `#` only after a space.
fn comment_of<'a>(source: &Source, line: &'a str) -> Option<&'a str> {
    let (marks, quotes): (&[&str], &[char]) = match () {
        () if source.has_kind(&["rs"]) => (&["//", "/*"], &['"']),
        () if source.has_kind(&SLASHES) => (&["//", "/*", "<!--"], &['"', '\'', '`']),
        () if source.has_kind(&["sh", "cfg", "toml", "py"]) => (&["#"], &['"', '\'']),
        () if source.path.rsplit('/').next() == Some("Makefile") => (&["#"], &[]),
        () => return None,
    };
    let line = line.trim_start();
    match line.strip_prefix("* ").filter(|_| source.has_kind(&SLASHES)) {
        Some(inside_a_block) => Some(inside_a_block),
        None => after_mark(line, marks, quotes),
    }
}

fn after_mark<'a>(line: &'a str, marks: &[&str], quotes: &[char]) -> Option<&'a str> {
    let (mut open, mut last) = (None, ' ');
    for (at, character) in line.char_indices() {
        let mark = marks.iter().find(|mark| line[at..].starts_with(**mark) && (**mark != "#" || last == ' '));
        if let (None, Some(mark)) = (open, mark) {
            return Some(&line[at + mark.len()..]);
        }
        if quotes.contains(&character) && last != '\\' {
            match open {
                None => open = Some(character),
                Some(quote) if quote == character => open = None,
                Some(_) => {}
            }
        }
        last = character;
    }
    None
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
            Source::new("a.md", &"\n".repeat(900)),
        ]));
        for path in ["a.rs", "a.js", "a.mjs", "a.ts"] {
            assert_one(&long_files(&[Source::new(path, &"\n".repeat(501))]), &[path, "501"]);
        }
    }

    #[test]
    fn a_wide_comment_is_found_in_every_language() {
        let (fits, wider) = ("x".repeat(112), "x y".repeat(40));
        for (path, start) in [
            ("a.rs", "    //! "),
            ("a.rs", "let a = 1; // "),
            ("a.js", "  * "),
            ("a.mjs", "// "),
            ("a.mjs", "let a = '\"'; //"),
            ("a.ts", "let a = 1; /* "),
            ("a.html", "<!-- "),
            ("a.html", "  //"),
            ("a.sh", "# "),
            ("a.py", "a = 1  # "),
            ("a.toml", "a = 1 #"),
            ("haproxy.cfg", "    timeout 1s # "),
            ("some/Makefile", "check: ## "),
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
        assert_none(&wide("a.toml", &format!("a = \"# {long}\"")));
        assert_none(&wide("a.js", &format!("fetch('https://example.org/{long}', \"// \")")));
        assert_none(&wide("Makefile", &format!("\techo $#{long}")));
    }
}
