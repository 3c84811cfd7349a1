//! The edges between the files of a crate: one names an item, another defines it.
//!
//! Paths are read from imports, expressions, types and the arguments of macros. Method calls and fields have no path
//! and are not seen: a type is judged by its own file, not by those of its `impl` blocks. The name of a module is no
//! edge; the items reached through it are. A glob is an edge to every item that it brings. Re-exports of `lib.rs`, and
//! of files that hold nothing but `mod` and `use`, are no edges of theirs: they hide nothing, since each path through
//! them is followed to its end.

use crate::{
    modules::{ModuleId, Modules, Path, Place, flatten, segments},
    tree::Source,
};
use proc_macro2::{Group, TokenStream, TokenTree};
use std::collections::BTreeSet;
use syn::{
    Item, ItemMod, ItemUse, UseTree, Visibility,
    spanned::Spanned,
    visit::{Visit, visit_item, visit_path},
};

/// A use of an item by another file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) line: usize,
    pub(crate) item: String,
    pub(crate) to: String,
}

/// The edges between the files of the crate in `folder`, sorted by the using file and line. Of several uses of one item
/// in one file, the first counts.
pub(crate) fn edges(sources: &[Source], folder: &str) -> Vec<Edge> {
    let modules = Modules::read(sources, folder);
    let mut found = BTreeSet::new();
    for (id, module) in modules.all.iter().enumerate() {
        let only_gathers = module.items.iter().all(|item| matches!(item, Item::Mod(_) | Item::Use(_)));
        let is_gathering = only_gathers || module.file.ends_with("/lib.rs");
        let mut reader = Reader { modules: &modules, id, is_gathering, found: &mut found };
        for item in &module.items {
            visit_item(&mut reader, item);
        }
    }
    let mut seen = BTreeSet::new();
    found.retain(|edge| seen.insert((edge.from.clone(), edge.item.clone(), edge.to.clone())));
    found.into_iter().collect()
}

struct Reader<'a> {
    modules: &'a Modules,
    id: ModuleId,
    is_gathering: bool,
    found: &'a mut BTreeSet<Edge>,
}

impl Reader<'_> {
    fn add(&mut self, line: usize, places: BTreeSet<Place>) {
        for place in places {
            let Place::Item(module, item) = place else { continue };
            let (from, to) = (&self.modules.all[self.id].file, &self.modules.all[module].file);
            if from != to {
                self.found.insert(Edge { from: from.clone(), line, item, to: to.clone() });
            }
        }
    }

    /// A name alone is this file's own or imported, and imports are edges already.
    fn add_path(&mut self, line: usize, path: &[String]) {
        if path.len() > 1 {
            self.add(line, self.modules.resolve(self.id, path));
        }
    }

    fn add_tree(&mut self, line: usize, prefix: &[String], tree: &UseTree) {
        for (path, name) in flatten(tree) {
            let path = [prefix, &path].concat();
            let places = match name {
                Some(_) => self.modules.resolve(self.id, &path),
                None => self.modules.resolve_glob(self.id, &path),
            };
            self.add(line, places);
        }
    }

    /// The `{…}` of an import; tokens that are none, as after a type's path in a macro's pattern, are read one by one.
    fn read_group(&mut self, line: usize, prefix: &[String], group: Group) {
        let tokens = group.stream();
        match syn::parse2::<UseTree>(TokenStream::from(TokenTree::Group(group))) {
            Ok(tree) => self.add_tree(line, prefix, &tree),
            Err(_) => self.read_tokens(tokens),
        }
    }

    /// Finds `name::name`, `name::{…}` and `name::*` in the unparsed tokens of a macro.
    fn read_tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut line, mut colons) = (Path::new(), 0, 0);
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(name) if colons == 2 => {
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Group(group) if colons == 2 && !path.is_empty() => {
                    self.read_group(line, &std::mem::take(&mut path), group);
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == '*' && colons == 2 => {
                    self.add(line, self.modules.resolve_glob(self.id, &std::mem::take(&mut path)));
                    colons = 0;
                }
                other => {
                    self.add_path(line, &std::mem::take(&mut path));
                    (line, colons) = (other.span().start().line, 0);
                    match other {
                        TokenTree::Ident(name) => path.push(name.to_string()),
                        TokenTree::Group(group) => self.read_tokens(group.stream()),
                        _ => {}
                    }
                }
            }
        }
        self.add_path(line, &path);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_use(&mut self, import: &'ast ItemUse) {
        if !self.is_gathering || matches!(import.vis, Visibility::Inherited) {
            self.add_tree(import.span().start().line, &[], &import.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add_path(path.span().start().line, &segments(path));
        visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.visit_path(&called.path);
        self.read_tokens(called.tokens.clone());
    }

    /// Inner modules are modules of their own, or tests.
    fn visit_item_mod(&mut self, _: &'ast ItemMod) {}

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The edges of a crate of these files, as "from:line item to".
    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<_> =
            files.iter().map(|(path, text)| Source::new(&format!("c/{path}"), text)).collect();
        let short = |edge: Edge| format!("{}:{} {} {}", &edge.from[2..], edge.line, edge.item, &edge.to[2..]);
        edges(&sources, "c").into_iter().map(short).collect()
    }

    /// The edges of `b.rs` in a crate where `a/deep.rs` defines `Thing` and a prelude re-exports it.
    fn of_b(text: &str) -> Vec<String> {
        found(&[
            ("lib.rs", "pub mod a; pub mod b; pub mod prelude; pub use prelude::*;"),
            ("a/mod.rs", "pub mod deep; pub(crate) use deep::Thing; pub use self::deep::make as build;"),
            ("a/deep.rs", "pub struct Thing; impl Thing { pub fn new() {} } pub fn make() {} "),
            ("prelude.rs", "pub use crate::a::{Thing as Renamed, self};"),
            ("b.rs", text),
        ])
        .into_iter()
        .collect()
    }

    #[test]
    fn imports_lead_to_the_defining_file() {
        let thing = ["b.rs:1 Thing a/deep.rs"];
        for text in [
            "use crate::a::Thing;",
            "use crate::a::deep::{Thing};",
            "use crate::{a::{deep::{self, Thing as T}}};",
            "use super::a::Thing;",
            "use crate::prelude::Renamed;",
            "use crate::Renamed;",
            "use super::prelude::a::Thing;",
            "mod inner { use super::super::a::Thing; }",
            "fn f() { use crate::a::Thing; }",
        ] {
            assert_eq!(of_b(text), thing, "{text}");
        }
        assert_eq!(of_b("use crate::a::build;"), ["b.rs:1 make a/deep.rs"]);
        assert_eq!(of_b("\nuse crate::a::*;"), ["b.rs:2 Thing a/deep.rs", "b.rs:2 make a/deep.rs"]);
        assert_eq!(of_b("\nuse crate::prelude::*;"), ["b.rs:2 Thing a/deep.rs"]);
    }

    #[test]
    fn paths_in_code_lead_to_the_defining_file() {
        let thing = ["b.rs:2 Thing a/deep.rs"];
        for text in [
            "fn f(_:\ncrate::a::Thing) {}",
            "fn f() -> Vec<\nsuper::Renamed> {}",
            "use crate::a::deep;\nfn f() { deep::Thing; }",
            "use crate::a as other;\nfn f() { g(|x| other::Thing); }",
            "fn f() { assert!(\nmatches!(x, [crate::a::Thing, 1])); }",
            "macro_rules! m { () => {\n$crate::prelude::Renamed } }",
            "macro_rules! m { () => { use\ncrate::{a::{deep::Thing}}; } }",
            "impl\ncrate::a::Thing {}",
            "struct S<T: Into<\ncrate::Renamed>>(T);",
        ] {
            assert_eq!(of_b(text), thing, "{text}");
        }
    }

    #[test]
    fn a_macro_hides_no_glob() {
        let both = ["b.rs:1 Thing a/deep.rs", "b.rs:1 make a/deep.rs"];
        assert_eq!(of_b("macro_rules! m { () => { use crate::a::deep::*; } }"), both);
    }

    #[test]
    fn a_re_export_beside_code_is_an_edge() {
        let text = "pub(crate) use crate::a::Thing as Whole; fn f(_: &mut Whole) {}";
        assert_eq!(of_b(text), ["b.rs:1 Thing a/deep.rs"]);
        let of_mod = [
            ("lib.rs", "mod a; mod b; pub use b::B; pub fn f() {}"),
            ("a/mod.rs", "pub(crate) use crate::b::B as Whole; fn f(_: &mut Whole) {}"),
            ("b.rs", "pub struct B;"),
        ];
        assert_eq!(found(&of_mod), ["a/mod.rs:1 B b.rs"]);
    }

    #[test]
    fn a_type_that_a_macro_defines_has_a_file() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "keys! { pub(crate) RoomKey; }"),
            ("b.rs", "use crate::a::RoomKey; impl RoomKey {}"),
        ];
        assert_eq!(found(&files), ["b.rs:1 RoomKey a.rs"]);
    }

    #[test]
    fn modules_tests_prose_and_other_crates_are_no_edges() {
        assert_eq!(
            of_b(
                "//! crate::a::Thing\nuse std::a::Thing;\nuse crate::a;\npub(in crate::a) fn f() { x.Thing() }\n\
                 /// [`crate::a::Thing`]\n#[cfg(test)] mod tests { use crate::a::Thing; }"
            ),
            [""; 0]
        );
    }

    #[test]
    fn circles_of_imports_end() {
        let files =
            [("lib.rs", "mod a; mod b;"), ("a.rs", "pub use crate::b::*;"), ("b.rs", "pub use crate::a::*;")];
        assert_eq!(found(&files), [""; 0]);
        assert_eq!(of_b("use self::x as y; use self::y as x; use x::z;"), [""; 0]);
    }
}
