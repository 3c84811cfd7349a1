//! Imports in the core run one way: no file names an item that is defined in a layer above its own.
//!
//! The layer of each file stands in the map, whose form is described in `map.rs`; `edges.rs` says how an item's file
//! is found, and `hidden.rs` refuses the forms it could not see through. Files of one layer may name each other, as
//! long as no circle comes of it.

use crate::{
    edges::edges,
    map,
    tree::{CORE, Source},
};

/// From the lowest to the highest. The root, `lib.rs`, may name everything and nobody names what it defines.
const LAYERS: [&str; 8] = ["words", "tables", "state", "moves", "context", "app", "node", "root"];

fn imports_back(sources: &[Source]) -> Vec<String> {
    let layers = map::layers(sources);
    let mut problems = Vec::new();
    let height = |file: &str| LAYERS.iter().position(|layer| layers.get(file).is_some_and(|of| of == layer));
    for source in sources.iter().filter(|source| source.is_under(CORE) && source.has_kind(&["rs"])) {
        if height(&source.path).is_none() {
            problems.push(format!(
                "{} has no layer in the map, which knows {}",
                source.path,
                LAYERS.join(", ")
            ));
        }
    }
    for edge in edges(sources, CORE) {
        let (Some(from), Some(to)) = (height(&edge.from), height(&edge.to)) else { continue };
        if to > from {
            problems.push(format!(
                "{}:{} ({}) names `{}` of {} ({})",
                edge.from, edge.line, LAYERS[from], edge.item, edge.to, LAYERS[to]
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{assert_none, assert_one, tree::sources};

    const MAP: &str = "**`server/core/src`**\n| file | layer | what it owns |\n\
        | `lib.rs` | root | |\n| `ids.rs`, `prelude.rs` | words | |\n| `rooms.rs` | tables | |\n| `state.rs` | state | |";

    fn planted(prelude: &str, rooms: &str, map: &str) -> Vec<String> {
        let files = [
            ("lib.rs", "mod ids; mod prelude; mod rooms; mod state; pub use state::State;"),
            ("ids.rs", "pub struct Id;"),
            ("prelude.rs", prelude),
            ("rooms.rs", rooms),
            ("state.rs", "use crate::{ids::Id, rooms::Rooms}; pub struct State;"),
        ];
        let sources = files.map(|(name, text)| Source::new(&format!("{CORE}/{name}"), text));
        imports_back(&[&sources[..], &[Source::new("server/README.md", map)]].concat())
    }

    #[test]
    fn imports_of_the_core_run_one_way() {
        assert_none(&imports_back(sources()));
    }

    #[test]
    fn imports_of_lower_layers_pass() {
        assert_none(&planted("", "use crate::ids::Id; pub struct Rooms;", MAP));
    }

    #[test]
    fn an_import_back_is_found() {
        let parts = ["server/core/src/rooms.rs:2 (tables)", "`State`", "server/core/src/state.rs (state)"];
        assert_one(&planted("", "\nuse crate::state::State;", MAP), &parts);
        assert_one(&planted("", "\nuse crate::State;", MAP), &parts);
        assert_one(&planted("", "\nfn f(_: &super::state::State) {}", MAP), &parts);
    }

    #[test]
    fn a_prelude_hides_no_import_back() {
        let problems = planted("pub use crate::state::*;", "use crate::prelude::State;", MAP);
        assert_one(&problems, &["rooms.rs:1 (tables)", "state.rs (state)"]);
        let problems = planted("pub use crate::state::State as Whole; fn f(_: &mut Whole) {}", "", MAP);
        assert_one(&problems, &["prelude.rs:1 (words)", "state.rs (state)"]);
    }

    #[test]
    fn a_file_without_a_layer_is_found() {
        let map = MAP.replace("tables", "shelves");
        assert_one(&planted("", "", &map), &["server/core/src/rooms.rs has no layer", "words, tables"]);
    }
}
