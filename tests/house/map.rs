//! The map in `server/README.md` names every source file once, and no file that is not there.
//!
//! A line that begins with `**` or `#` and whose first backticked text is the folder of a crate's sources opens the
//! section of that crate, as in ``**`server/core/src`**, from the inside out:``; the next line that begins so ends it.
//! The tables of a section name, in backticks in their first column, files and folders relative to the section's
//! folder, separated by commas. A folder ends with `/` and stands for all files below it.
//!
//! The tables of the core are headed `| file | layer | what it owns |`. Each file of the core is named, since each
//! has a layer; a row of several files gives all of them its layer.

use crate::tree::{CORE, SCRIPTS, Source};
use std::collections::BTreeMap;

const MAP: &str = "server/README.md";

/// The folders that have a section, and the kind of file that must stand in it.
const SECTIONS: [(&str, &str); 7] = [
    ("server/protocol/src", "rs"),
    (CORE, "rs"),
    ("server/src", "rs"),
    ("client-wasm/core/src", "rs"),
    ("client-wasm/src", "rs"),
    (SCRIPTS, "js"),
    ("client-wasm/build/src", "rs"),
];

/// A name in the first column of a table.
struct Entry {
    line: usize,
    section: &'static str,
    /// From the root of the repository.
    path: String,
    layer: Option<String>,
}

/// Files without a place in the map, places without a file, and files with two places.
fn unmapped(sources: &[Source]) -> Vec<String> {
    let entries = entries(sources);
    let (mut problems, mut named) = (Vec::new(), BTreeMap::<&str, usize>::new());
    for entry in &entries {
        let place = format!("{MAP}:{}: {}", entry.line, entry.path);
        if !sources.iter().any(|source| is_covered(source, entry)) {
            problems.push(format!("{place} is not there"));
        }
        if entry.section == CORE && entry.path.ends_with('/') {
            problems.push(format!("{place} is a folder, and in the core each file has a layer"));
        }
        if let Some(line) = named.insert(&entry.path, entry.line) {
            problems.push(format!("{place} stands in line {line} already"));
        }
    }
    for (section, kind) in SECTIONS {
        let files = sources.iter().filter(|source| source.is_under(section) && source.has_kind(&[kind]));
        let missing = files.filter(|source| !entries.iter().any(|entry| is_covered(source, entry)));
        problems.extend(missing.map(|source| format!("{} is not in the map, {MAP}", source.path)));
    }
    problems
}

fn is_covered(source: &Source, entry: &Entry) -> bool {
    source.path == entry.path || (entry.path.ends_with('/') && source.path.starts_with(&entry.path))
}

/// The layer that the map gives to each file of the core.
pub(crate) fn layers(sources: &[Source]) -> BTreeMap<String, String> {
    entries(sources).into_iter().filter_map(|entry| Some((entry.path, entry.layer?))).collect()
}

fn entries(sources: &[Source]) -> Vec<Entry> {
    let text = sources.iter().find(|source| source.path == MAP).map_or("", |source| &source.text);
    let (mut entries, mut section, mut has_layers) = (Vec::new(), None, false);
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("**") || line.starts_with('#') {
            section = backticked(line).next().and_then(known_section);
            has_layers = false;
        }
        let (Some(section), Some(row)) = (section, line.strip_prefix('|')) else { continue };
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        has_layers |= cells.starts_with(&["file", "layer", "what it owns"]);
        let layer = if has_layers { cells.get(1).map(ToString::to_string) } else { None };
        entries.extend(backticked(cells[0]).map(|name| Entry {
            line: index + 1,
            section,
            path: format!("{section}/{name}"),
            layer: layer.clone(),
        }));
    }
    entries
}

fn backticked(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn known_section(name: &str) -> Option<&'static str> {
    SECTIONS.iter().map(|(folder, _)| *folder).find(|folder| *folder == name)
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
        | file | what it owns |\n|---|---|\n| `main.rs`, `wire/` | the rest |\n\
        ## Invariants\n| `gone.rs` | |\n";

    fn planted(text: &str, more: &[&str]) -> Vec<Source> {
        let files = ["core/src/lib.rs", "core/src/words/ids.rs", "core/src/words/mod.rs", "src/main.rs"];
        let files = files.iter().chain(&["src/wire/http/body.rs"]).chain(more);
        let mut sources: Vec<_> = files.map(|path| Source::new(&format!("server/{path}"), "")).collect();
        sources.push(Source::new(MAP, text));
        sources
    }

    #[test]
    fn the_tree_stands_in_the_map() {
        assert_none(&unmapped(sources()));
    }

    #[test]
    fn a_whole_map_passes() {
        assert_none(&unmapped(&planted(TEXT, &["core/tests/main.rs", "src/page.html"])));
        let layers = layers(&planted(TEXT, &[]));
        assert_eq!(layers["server/core/src/words/mod.rs"], "words");
        assert_eq!(layers["server/core/src/lib.rs"], "root");
        assert_eq!(layers.len(), 3, "only the core has layers");
    }

    #[test]
    fn an_unmapped_file_is_found() {
        assert_one(&unmapped(&planted(TEXT, &["src/new.rs"])), &["server/src/new.rs", "not in the map"]);
        assert_one(&unmapped(&planted(TEXT, &["core/src/words/new.rs"])), &["server/core/src/words/new.rs"]);
        let mut script = planted(TEXT, &[]);
        script.push(Source::new("client-wasm/js/new.js", ""));
        assert_one(&unmapped(&script), &["client-wasm/js/new.js"]);
    }

    #[test]
    fn a_place_without_a_file_is_found() {
        let text = TEXT.replace("`wire/`", "`wire/`, `gone.rs`");
        assert_one(&unmapped(&planted(&text, &[])), &["server/src/gone.rs is not there", "README.md:15"]);
    }

    #[test]
    fn a_folder_in_the_core_and_a_file_named_twice_are_found() {
        let text = TEXT.replace("| words | ids |", "| words | ids |\n| `words/` | words | all |");
        assert_one(&unmapped(&planted(&text, &[])), &["server/core/src/words/", "folder"]);
        let text = TEXT.replace("`wire/`", "`wire/`, `main.rs`");
        assert_one(&unmapped(&planted(&text, &[])), &["server/src/main.rs", "already"]);
    }
}
