//! The sources of this repository as text, and the folders that the rules are about. It judges nothing.

use std::{fs, path::Path, process::Command, sync::LazyLock};

/// The folders of our crates' sources.
pub(crate) const CRATES: [&str; 7] = [
    "server/protocol/src",
    CORE,
    "server/src",
    "client-wasm/core/src",
    "client-wasm/src",
    "client-wasm/build/src",
    "tests/load/src",
];

/// The crates of our tests, by the folder of their root.
pub(crate) const TEST_CRATES: [&str; 5] =
    ["tests", "tests/bus", "tests/house", "tests/scenarios", "client-wasm/core/tests"];

/// The crate that has layers.
pub(crate) const CORE: &str = "server/core/src";

/// The client's JavaScript, which the map covers too.
pub(crate) const SCRIPTS: &str = "client-wasm/js";

#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// From the root of the repository, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    pub(crate) fn has_kind(&self, kinds: &[&str]) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, kind)| kinds.contains(&kind))
    }

    pub(crate) fn is_under(&self, folder: &str) -> bool {
        self.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The file as Rust; `make check` compiles it, so it parses.
    pub(crate) fn parse(&self) -> syn::File {
        syn::parse_file(&self.text).unwrap_or_else(|error| panic!("{}: {error}", self.path))
    }
}

/// Every text file of the repository as git sees it: tracked, or new and not ignored.
pub(crate) fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is a folder of the repository");
        let args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let listed = Command::new("git").args(args).current_dir(root).output().expect("git lists the files");
        let paths = String::from_utf8(listed.stdout).expect("names in UTF-8");
        let read = |path: &str| Some(Source::new(path, &fs::read_to_string(root.join(path)).ok()?));
        paths.split_terminator('\0').filter_map(read).collect()
    });
    &SOURCES
}

#[test]
fn the_tree_is_read() {
    for path in ["tests/house/tree.rs", "server/README.md", "client-wasm/js/index.js"] {
        assert!(sources().iter().any(|source| source.path == path), "{path}");
    }
}
