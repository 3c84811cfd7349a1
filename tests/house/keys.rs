//! Keys and numbers that cannot be swapped: a key is proven to be a type of its own and never turned into a number or
//! back, and no function that others may call takes two bare integers.

use crate::{modules::is_test, tree::Source};
use proc_macro2::{TokenStream, TokenTree};
use syn::{
    FnArg, ImplItemFn, ItemFn, ItemImpl, ItemMod, ItemType, Macro, PathArguments, Signature, TraitItemFn,
    Type, Visibility,
    spanned::Spanned,
    visit::{Visit, visit_file, visit_item_impl, visit_item_mod},
};

/// The folders that are read. The bindings for JavaScript, which has only numbers, are not among them.
const READ: [&str; 9] = [
    "server/protocol/src",
    "server/core/src",
    "server/src",
    "client-wasm/core/src",
    "client-wasm/core/tests",
    "tests/load/src",
    "tests/sim",
    "tests/scenarios",
    "tests/bus",
];

const KEYS: &str = "server/core/src/words/keys.rs";

const INTEGERS: [&str; 12] =
    ["u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize"];

/// The traits that would make a key another type's equal.
const CONVERSIONS: [&str; 8] = ["Deref", "DerefMut", "From", "Into", "AsRef", "AsMut", "Borrow", "BorrowMut"];

/// The file of keys without a doctest that swaps two of them and expects the compiler's error, or no such file.
fn unproven_keys(sources: &[Source]) -> Vec<String> {
    let Some(keys) = sources.iter().find(|source| source.path == KEYS) else {
        return vec![format!("{KEYS} is not there")];
    };
    let is_proven =
        ["/// ", "//! "].iter().any(|mark| keys.text.contains(&format!("{mark}```compile_fail,E")));
    if is_proven {
        Vec::new()
    } else {
        vec![format!("{KEYS} has no doctest ```compile_fail,E… that swaps two keys")]
    }
}

/// Two bare integers side by side, and keys by another name or as numbers.
fn swappable(sources: &[Source]) -> Vec<String> {
    let read = sources.iter().filter(|source| READ.iter().any(|folder| source.is_under(folder)));
    let mut problems = Vec::new();
    for source in read.filter(|source| source.has_kind(&["rs"]) && !source.path.ends_with("/tests.rs")) {
        visit_file(&mut Reader { source, problems: &mut problems }, &source.parse());
    }
    problems
}

struct Reader<'a> {
    source: &'a Source,
    problems: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn tell(&mut self, at: &impl Spanned, problem: &str) {
        self.problems.push(format!("{}:{}: {problem}", self.source.path, at.span().start().line));
    }

    fn read_function(&mut self, signature: &Signature) {
        let is_bare = |input: &&FnArg| matches!(input, FnArg::Typed(one) if is_integer(&one.ty));
        if signature.inputs.iter().filter(is_bare).count() > 1 {
            self.tell(signature, &format!("`{}` takes two bare integers", signature.ident));
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        if !matches!(function.vis, Visibility::Inherited) {
            self.read_function(&function.sig);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if !matches!(function.vis, Visibility::Inherited) {
            self.read_function(&function.sig);
        }
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        self.read_function(&function.sig);
    }

    fn visit_item_impl(&mut self, block: &'ast ItemImpl) {
        if let Some((_, of, _)) = &block.trait_
            && let Some(last) = of.segments.last()
            && CONVERSIONS.iter().any(|name| last.ident == name)
        {
            let is_of_a_key = is_key(&block.self_ty) || arguments(&last.arguments).any(is_key);
            let is_of_a_number = is_integer(&block.self_ty) || arguments(&last.arguments).any(is_integer);
            if is_of_a_key && (is_of_a_number || last.ident.to_string().starts_with("Deref")) {
                self.tell(block, &format!("`{}` makes a key and a number the same", last.ident));
            }
        }
        visit_item_impl(self, block);
    }

    fn visit_item_type(&mut self, alias: &'ast ItemType) {
        if is_key(&alias.ty) {
            self.tell(alias, &format!("`{}` is another name for a key", alias.ident));
        }
    }

    /// Macros that write the types of keys write no conversion for them.
    fn visit_macro(&mut self, called: &'ast Macro) {
        if self.source.path == KEYS && names_conversion(called.tokens.clone()) {
            self.tell(called, "a macro of the keys makes a key and a number the same");
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_test(&module.attrs) {
            visit_item_mod(self, module);
        }
    }
}

/// Whether this is a bare integer, by value or by reference.
fn is_integer(of: &Type) -> bool {
    match of {
        Type::Reference(to) => is_integer(&to.elem),
        Type::Path(path) => {
            path.path.segments.last().is_some_and(|last| INTEGERS.iter().any(|name| last.ident == name))
        }
        _ => false,
    }
}

/// Whether this is a type of keys, which all end so.
fn is_key(of: &Type) -> bool {
    matches!(of, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident.to_string().ends_with("Key")))
}

fn arguments(of: &PathArguments) -> impl Iterator<Item = &Type> {
    let list = if let PathArguments::AngleBracketed(list) = of { Some(&list.args) } else { None };
    list.into_iter()
        .flatten()
        .filter_map(|one| if let syn::GenericArgument::Type(one) = one { Some(one) } else { None })
}

fn names_conversion(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(name) => CONVERSIONS.iter().any(|word| name == word),
        TokenTree::Group(group) => names_conversion(group.stream()),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{assert_none, assert_one, tree::sources};

    #[test]
    fn the_keys_of_the_tree_are_proven() {
        assert_none(&unproven_keys(sources()));
    }

    #[test]
    fn nothing_in_the_tree_can_be_swapped() {
        assert_none(&swappable(sources()));
    }

    #[test]
    fn keys_without_a_swap_and_no_keys_at_all_are_found() {
        assert_none(&unproven_keys(&[Source::new(KEYS, "//! ```compile_fail,E0308\n")]));
        assert_one(&unproven_keys(&[Source::new(KEYS, "//! ```compile_fail\n")]), &[KEYS]);
        assert_one(&unproven_keys(&[]), &[KEYS, "not there"]);
    }

    fn planted(text: &str) -> Vec<String> {
        swappable(&[Source::new(KEYS, text)])
    }

    #[test]
    fn two_bare_integers_are_found() {
        for text in [
            "\npub fn f(a: u32, b: usize) {}",
            "\npub(super) fn f(a: &str, b: &mut u64, c: std::primitive::i8) {}",
            "struct S; impl S {\npub(crate) fn f(&self, a: u32, b: u32) {} }",
            "trait T {\nfn f(&self, a: u32, b: u32); }",
            "mod inner {\npub fn f(a: u8, b: u8) {} }",
        ] {
            assert_one(&planted(text), &["keys.rs:2", "`f`"]);
        }
        assert_none(&planted("fn f(a: u32, b: u32) {} pub fn g(a: u32, b: &[u8], c: Key, d: Option<u8>) {}"));
        assert_none(&planted("#[cfg(test)] mod tests { pub fn f(a: u32, b: u32) {} }"));
        assert_none(&swappable(&[Source::new("client-wasm/src/lib.rs", "pub fn f(a: u32, b: u32) {}")]));
    }

    #[test]
    fn a_key_that_is_a_number_or_has_another_name_is_found() {
        for text in [
            "\nimpl From<u32> for RoomKey {}",
            "\nimpl From<super::RoomKey> for u32 {}",
            "\nimpl core::ops::Deref for RoomKey {}",
            "\nimpl AsRef<u32> for RoomKey {}",
            "\npub type Room = crate::RoomKey;",
            "\nkeys! { pub RoomKey; impl From<u32> for RoomKey {} }",
            "\nmacro_rules! keys { () => { impl Deref for $name {} } }",
        ] {
            assert_one(&planted(text), &["keys.rs:2"]);
        }
        assert_none(&planted(
            "impl From<Room> for Rooms {} impl Index<RoomKey> for Rooms { type Output = RoomKey; }",
        ));
    }
}
