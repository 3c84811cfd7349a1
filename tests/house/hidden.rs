//! Forms that would hide an import of the core from `edges.rs`. The core has none of them outside of its tests.
//!
//! An inherent `impl` stands in the file of its type, or methods would be called without any import. Functions hold no
//! `use` and no `mod`, macros write no `use`, nothing is included, no file has a path of its own, and the crate has no
//! second name.

use crate::{
    modules::{ModuleId, Modules, Place, is_test, segments},
    tree::{CORE, Source},
};
use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, Item, ItemExternCrate, ItemImpl, ItemMod, Macro, Meta, Stmt, Type,
    spanned::Spanned,
    visit::{Visit, visit_item, visit_item_impl, visit_stmt},
};

fn hiding_forms(sources: &[Source]) -> Vec<String> {
    let modules = Modules::read(sources, CORE);
    let mut problems = Vec::new();
    for (id, module) in modules.all.iter().enumerate() {
        let mut reader = Reader { modules: &modules, id, problems: &mut problems };
        for item in &module.items {
            visit_item(&mut reader, item);
        }
    }
    problems
}

struct Reader<'a> {
    modules: &'a Modules,
    id: ModuleId,
    problems: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn tell(&mut self, at: &impl Spanned, problem: &str) {
        let file = &self.modules.all[self.id].file;
        self.problems.push(format!("{file}:{}: {problem}", at.span().start().line));
    }

    /// Whether this file defines the type, and not only another name for it.
    fn is_own(&self, of: &Type) -> bool {
        let Type::Path(path) = of else { return false };
        let places = self.modules.resolve(self.id, &segments(&path.path));
        !places.is_empty() && places.iter().all(|place| self.defines(place))
    }

    fn defines(&self, place: &Place) -> bool {
        let Place::Item(module, name) = place else { return false };
        let (own, module) = (&self.modules.all[self.id].file, &self.modules.all[*module]);
        let is_alias = |item: &Item| matches!(item, Item::Type(alias) if alias.ident == name);
        module.file == *own && !module.items.iter().any(is_alias)
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_impl(&mut self, block: &'ast ItemImpl) {
        if block.trait_.is_none() && !self.is_own(&block.self_ty) {
            self.tell(block, "an inherent `impl` outside of the file that defines the type");
        }
        visit_item_impl(self, block);
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        match statement {
            Stmt::Item(Item::Use(_)) => self.tell(statement, "a `use` inside a function"),
            Stmt::Item(Item::Mod(_)) => self.tell(statement, "a `mod` inside a function"),
            _ => visit_stmt(self, statement),
        }
    }

    fn visit_item_extern_crate(&mut self, item: &'ast ItemExternCrate) {
        if item.ident == "self" {
            self.tell(item, "a second name for the crate");
        }
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        let name = called.path.segments.last().map(|segment| segment.ident.to_string());
        if name.as_deref() == Some("include") || names(called.tokens.clone(), &["include"]) {
            self.tell(called, "an `include!`");
        }
        if names(called.tokens.clone(), &["use"]) {
            self.tell(called, "a `use` inside a macro");
        }
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let within = match &attribute.meta {
            Meta::List(list) => list.tokens.clone(),
            Meta::Path(_) | Meta::NameValue(_) => TokenStream::new(),
        };
        for name in ["macro_use", "path"] {
            if attribute.path().is_ident(name) || names(within.clone(), &[name]) {
                self.tell(attribute, &format!("`#[{name}]`"));
            }
        }
    }

    /// The items of inner modules are read as modules of their own.
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_test(&module.attrs) {
            module.attrs.iter().for_each(|attribute| self.visit_attribute(attribute));
        }
    }
}

fn names(tokens: TokenStream, words: &[&str]) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(name) => words.iter().any(|word| name == word),
        TokenTree::Group(group) => names(group.stream(), words),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{assert_none, assert_one, tree::sources};

    /// The problems of a core with a file for `State` and one with this text.
    fn planted(text: &str) -> Vec<String> {
        let files = [
            ("lib.rs", "extern crate alloc; mod state; mod rooms; pub use state::State;"),
            ("state.rs", "pub struct State; impl State {} mod of { impl super::State {} }"),
            ("rooms.rs", text),
        ];
        hiding_forms(&files.map(|(name, text)| Source::new(&format!("{CORE}/{name}"), text)))
    }

    #[test]
    fn the_core_hides_no_import() {
        assert_none(&hiding_forms(sources()));
    }

    #[test]
    fn own_types_and_traits_pass() {
        assert_none(&planted(
            "use crate::state::State; struct Rooms<T>(T); impl<T> Rooms<T> {} impl Clone for State {}\n\
             keys! { pub Key; } impl Key {} fn f() { Key; }\n\
             #[cfg(test)] mod tests { fn f() { use crate::state; } impl super::State {} }",
        ));
    }

    #[test]
    fn an_impl_away_from_its_type_is_found() {
        for text in [
            "use crate::state::State;\nimpl State {}",
            "use crate::state;\nimpl state::State {}",
            "use crate::*;\nimpl State {}",
            "use crate::State as Own;\nimpl Own {}",
            "type Own = crate::State;\nimpl Own {}",
            "\nimpl (crate::State) {}",
            "fn f() {\nimpl crate::State {} }",
            "mod own {\nimpl crate::State {} }",
        ] {
            assert_one(&planted(text), &["server/core/src/rooms.rs:2", "inherent"]);
        }
    }

    #[test]
    fn every_other_hiding_form_is_found() {
        for (text, part) in [
            ("fn f() {\nuse crate::state as s; }", "`use` inside a function"),
            (
                "struct R; impl R { fn f() { if true {\nuse crate::state as s; } } }",
                "`use` inside a function",
            ),
            ("fn f() {\nmod x { use crate::state::State; } }", "`mod` inside a function"),
            (
                "macro_rules! m { () => { 1 } }\nmacro_rules! n { () => { use crate::state as s; } }",
                "a macro",
            ),
            ("\nextern crate self as me;", "second name"),
            ("\ninclude!(\"state.rs\");", "include"),
            ("fn f() {\ncore::include!(\"state.rs\"); }", "include"),
            ("\n#[macro_use] mod x {}", "macro_use"),
            ("\n#[cfg_attr(all(), path = \"state.rs\")] mod x {}", "path"),
        ] {
            assert_one(&planted(text), &["server/core/src/rooms.rs:2", part]);
        }
    }
}
