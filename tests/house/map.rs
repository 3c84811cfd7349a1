//! The map in `server/README.md` names every source file once, and no file that is not there.
//!
//! A line that begins with `**` or `#` and whose first backticked text is the folder of a crate's sources opens the
//! section of that crate, as in ``**`server/core/src`**, from the inside out:``; the next line that begins so ends it.
//! The tables of a section name, in backticks in their first column, files and folders relative to the section's
//! folder, separated by commas. A folder ends with `/`, and the text of its row names in backticks each file below it,
//! relative to that folder, but for the folder's own `mod.rs` and every `tests.rs`.
//!
//! The table headed `| tests | what they prove |` names files and folders from the root of the repository. A folder in
//! it covers its files, except those of a section.
//!
//! The tables of the core are headed `| file | layer | what it owns |`. Each file of the core is named, since each
//! has a layer; a row of several files gives all of them its layer.

use crate::tree::{CORE, SCRIPTS, Source};
use std::collections::BTreeMap;

const MAP: &str = "server/README.md";

/// The folders that have a section.
const SECTIONS: [&str; 8] = [
    "server/protocol/src",
    CORE,
    "server/src",
    "server/examples",
    "client-wasm/core/src",
    "client-wasm/src",
    SCRIPTS,
    "client-wasm/build/src",
];

/// The kinds of files that must stand in the map, wherever they lie.
const KINDS: [&str; 4] = ["rs", "js", "mjs", "ts"];

/// A name in the first column of a table.
struct Entry {
    line: usize,
    /// None in the table of tests.
    section: Option<&'static str>,
    /// From the root of the repository.
    path: String,
    layer: Option<String>,
    /// The cells behind the first.
    text: String,
}

impl Entry {
    fn covers(&self, source: &Source) -> bool {
        let rest = source.path.strip_prefix(&self.path);
        let Some(rest) = rest.filter(|rest| rest.is_empty() || self.path.ends_with('/')) else {
            return false;
        };
        if self.section.is_none() {
            return !SECTIONS.iter().any(|section| source.is_under(section));
        }
        let is_named = self.named().any(|name| name == rest);
        matches!(rest, "" | "mod.rs" | "tests.rs") || rest.ends_with("/tests.rs") || is_named
    }

    /// The names in the text of a folder's row.
    fn named(&self) -> impl Iterator<Item = &str> {
        backticked(&self.text).filter(|_| self.section.is_some() && self.path.ends_with('/'))
    }
}

/// Files without a place in the map, places without a file, and files with two places.
fn unmapped(sources: &[Source]) -> Vec<String> {
    let entries = entries(sources);
    let (mut problems, mut named) = (Vec::new(), BTreeMap::<&str, usize>::new());
    for entry in &entries {
        let place = format!("{MAP}:{}: {}", entry.line, entry.path);
        if !sources.iter().any(|source| entry.covers(source)) {
            problems.push(format!("{place} is not there"));
        }
        for name in entry.named().filter(|name| name.ends_with(".rs")) {
            let path = format!("{}{name}", entry.path);
            if !sources.iter().any(|source| source.path == path) {
                problems.push(format!("{place} names {name}, which is not there"));
            }
        }
        if entry.section == Some(CORE) && entry.path.ends_with('/') {
            problems.push(format!("{place} is a folder, and in the core each file has a layer"));
        }
        if let Some(line) = named.insert(&entry.path, entry.line) {
            problems.push(format!("{place} stands in line {line} already"));
        }
    }
    let files = sources.iter().filter(|source| source.has_kind(&KINDS));
    let missing = files.filter(|source| !entries.iter().any(|entry| entry.covers(source)));
    problems.extend(missing.map(|source| format!("{} is not in the map, {MAP}", source.path)));
    problems
}

/// The layer that the map gives to each file of the core.
pub(crate) fn layers(sources: &[Source]) -> BTreeMap<String, String> {
    entries(sources).into_iter().filter_map(|entry| Some((entry.path, entry.layer?))).collect()
}

fn entries(sources: &[Source]) -> Vec<Entry> {
    let text = sources.iter().find(|source| source.path == MAP).map_or("", |source| &source.text);
    let (mut entries, mut section, mut has_layers, mut is_of_tests) = (Vec::new(), None, false, false);
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("**") || line.starts_with('#') {
            section = backticked(line).next().and_then(known_section);
            (has_layers, is_of_tests) = (false, false);
        }
        let Some(row) = line.strip_prefix('|') else { continue };
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        is_of_tests |= cells.starts_with(&["tests", "what they prove"]);
        if section.is_none() && !is_of_tests {
            continue;
        }
        has_layers |= cells.starts_with(&["file", "layer", "what it owns"]);
        let layer = if has_layers { cells.get(1).map(ToString::to_string) } else { None };
        entries.extend(backticked(cells[0]).map(|name| Entry {
            line: index + 1,
            section,
            path: section.map_or_else(|| name.into(), |section| format!("{section}/{name}")),
            layer: layer.clone(),
            text: cells[1..].join(" "),
        }));
    }
    entries
}

fn backticked(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn known_section(name: &str) -> Option<&'static str> {
    SECTIONS.into_iter().find(|folder| *folder == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{assert_none, assert_one, tree::sources};

    const TEXT: &str = "\
        # The map\n\
        | crate | folder |\n|---|---|\n| `moorline` | `server` |\n\
        **`server/core/src`**, from the inside out:\n\n\
        | file | layer | what it owns |\n|---|---|---|\n\
        | `lib.rs` | root | `nothing.rs` |\n\
        | `words/ids.rs`, `words/mod.rs` | words | ids |\n\
        ### `server/src`\n\n\
        | file | what it owns |\n|---|---|\n| `main.rs` | |\n| `wire/` | `http/body.rs` |\n\
        ## Invariants\n| `gone.rs` | |\n\
        ## Working on it\n| tests | what they prove |\n|---|---|\n| `tests/sim/` | |\n";

    fn planted(text: &str, more: &[&str]) -> Vec<Source> {
        let files = ["core/src/lib.rs", "core/src/words/ids.rs", "core/src/words/mod.rs", "src/main.rs"];
        let files = files.iter().chain(&["src/wire/http/body.rs"]).chain(more);
        let mut sources: Vec<_> = files.map(|path| Source::new(&format!("server/{path}"), "")).collect();
        sources.push(Source::new("tests/sim/world.rs", ""));
        sources.push(Source::new(MAP, text));
        sources
    }

    #[test]
    fn the_tree_stands_in_the_map() {
        assert_none(&unmapped(sources()));
    }

    #[test]
    fn a_whole_map_passes() {
        assert_none(&unmapped(&planted(
            TEXT,
            &["src/page.html", "src/wire/mod.rs", "src/wire/http/tests.rs"],
        )));
        let layers = layers(&planted(TEXT, &[]));
        assert_eq!(layers["server/core/src/words/mod.rs"], "words");
        assert_eq!(layers["server/core/src/lib.rs"], "root");
        assert_eq!(layers.len(), 3, "only the core has layers");
    }

    #[test]
    fn an_unmapped_file_is_found() {
        assert_one(&unmapped(&planted(TEXT, &["src/new.rs"])), &["server/src/new.rs", "not in the map"]);
        assert_one(&unmapped(&planted(TEXT, &["core/src/words/new.rs"])), &["server/core/src/words/new.rs"]);
        for path in
            ["client-wasm/js/new.js", "client-wasm/js/new.d.ts", "new/a.rs", "server/src.rs", "new.mjs"]
        {
            let sources = [planted(TEXT, &[]), vec![Source::new(path, "")]].concat();
            assert_one(&unmapped(&sources), &[path, "not in the map"]);
        }
    }

    #[test]
    fn a_file_that_the_row_of_its_folder_does_not_name_is_found() {
        for path in ["src/wire/new.rs", "src/wire/http/new.rs", "src/wire/http/mod.rs", "src/wire/body.rs"] {
            assert_one(&unmapped(&planted(TEXT, &[path])), &[path, "not in the map"]);
        }
    }

    #[test]
    fn a_folder_of_tests_covers_its_files_and_no_section() {
        let text = TEXT.replace("`tests/sim/`", "`tests/sim/`, `server/`");
        assert_one(&unmapped(&planted(&text, &["src/new.rs"])), &["server/src/new.rs"]);
        assert_none(&unmapped(&planted(&text, &["core/tests/main.rs"])));
    }

    #[test]
    fn a_place_without_a_file_is_found() {
        let text = TEXT.replace("`main.rs`", "`main.rs`, `gone.rs`");
        assert_one(&unmapped(&planted(&text, &[])), &["server/src/gone.rs is not there", "README.md:15"]);
        let text = TEXT.replace("`http/body.rs`", "`http/body.rs`, `gone.rs`");
        assert_one(&unmapped(&planted(&text, &[])), &["server/src/wire/ names gone.rs"]);
    }

    #[test]
    fn a_folder_in_the_core_and_a_file_named_twice_are_found() {
        let text = TEXT.replace("| words | ids |", "| words | ids |\n| `words/` | words | all |");
        assert_one(&unmapped(&planted(&text, &[])), &["server/core/src/words/", "folder"]);
        let text = TEXT.replace("`main.rs`", "`main.rs`, `main.rs`");
        assert_one(&unmapped(&planted(&text, &[])), &["server/src/main.rs", "already"]);
    }
}
