//! One place for tests: `#[cfg(test)]` stands only on a module named `tests`, the last item of its file.

use crate::tree::{CRATES, Source};
use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, Item, Meta,
    spanned::Spanned,
    visit::{Visit, visit_item},
};

fn misplaced_tests(sources: &[Source]) -> Vec<String> {
    let ours = sources.iter().filter(|source| CRATES.iter().any(|folder| source.is_under(folder)));
    let mut problems = Vec::new();
    for source in ours.filter(|source| source.has_kind(&["rs"]) && !source.path.ends_with("/tests.rs")) {
        let mut items = source.parse().items;
        if items.last().is_some_and(is_tests) {
            items.pop();
        }
        let mut reader = Reader { source, problems: &mut problems };
        for item in &items {
            visit_item(&mut reader, item);
        }
    }
    problems
}

fn is_tests(item: &Item) -> bool {
    let Item::Mod(module) = item else { return false };
    module.ident == "tests" && module.attrs.iter().all(|attribute| !attribute.path().is_ident("path"))
}

struct Reader<'a> {
    source: &'a Source,
    problems: &'a mut Vec<String>,
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let is_condition = attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr");
        if let Meta::List(list) = &attribute.meta
            && is_condition
            && names_test(list.tokens.clone())
        {
            let line = attribute.span().start().line;
            self.problems
                .push(format!("{}:{line}: tests outside of a module `tests` at the end", self.source.path));
        }
    }
}

fn names_test(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == "test",
        TokenTree::Group(group) => names_test(group.stream()),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{assert_none, assert_one, tree::sources};

    fn misplaced(text: &str) -> Vec<String> {
        misplaced_tests(&[Source::new("server/src/a.rs", text)])
    }

    #[test]
    fn the_tests_of_the_tree_have_one_place() {
        assert_none(&misplaced_tests(sources()));
    }

    #[test]
    fn a_module_at_the_end_passes() {
        assert_none(&misplaced("fn f() {}\n#[cfg(test)]\nmod tests { #[cfg(test)] fn help() {} }"));
        assert_none(&misplaced("#[cfg(unix)]\nfn f() {}\n#[cfg(test)]\nmod tests;"));
    }

    #[test]
    fn every_other_place_is_found() {
        for text in [
            "\n#[cfg(test)]\nmod tests;\nfn f() {}",
            "\n#[cfg(test)]\nmod checks;",
            "\n#[cfg(test)]\n#[path = \"a_tests.rs\"]\nmod tests;",
            "\n#[cfg(test)]\nfn help() {}",
            "struct S {\n#[cfg(any(test, unix))]\nx: u8 }",
            "impl S {\n#[cfg(not(test))]\nfn f() {} }",
            "\n#[cfg_attr(test, derive(Debug))]\nstruct S;",
        ] {
            assert_one(&misplaced(text), &["server/src/a.rs:2"]);
        }
    }
}
