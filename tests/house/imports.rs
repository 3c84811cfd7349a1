//! The form of a file's imports: one block without gaps, one `use` per root. The order inside is rustfmt's.
//!
//! Re-exports may stand in a block of their own. Imports inside functions and of the module `tests` are free.

use crate::{modules::flatten, tree::Source};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};
use syn::{Item, ItemUse, Visibility, spanned::Spanned};

fn untidy_imports(sources: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    for source in sources.iter().filter(|source| source.has_kind(&["rs"])) {
        let items = source.parse().items;
        let imports: Vec<_> = items
            .iter()
            .filter_map(|item| if let Item::Use(import) = item { Some(import) } else { None })
            .collect();
        let (own, public): (Vec<&ItemUse>, Vec<&ItemUse>) =
            imports.iter().partition(|import| matches!(import.vis, Visibility::Inherited));
        let taken: BTreeSet<_> = imports.iter().flat_map(|import| lines_of(import)).collect();
        problems.extend([own, public].iter().filter_map(|block| gap(source, block, &taken)));
        problems.extend(repeated_roots(source, &imports));
    }
    problems
}

fn lines_of(import: &ItemUse) -> RangeInclusive<usize> {
    import.span().start().line..=import.span().end().line
}

/// The first line between the imports of one block that is neither an import nor a comment.
fn gap(source: &Source, block: &[&ItemUse], taken: &BTreeSet<usize>) -> Option<String> {
    let (first, last) = (block.first()?.span().start().line, block.last()?.span().end().line);
    let mut lines = source.text.lines().enumerate().map(|(index, text)| (index + 1, text.trim()));
    let apart = |(line, text): &(usize, &str)| {
        (first..last).contains(line) && !taken.contains(line) && !text.starts_with("//")
    };
    let (line, _) = lines.find(apart)?;
    Some(format!("{}:{line}: a gap between imports", source.path))
}

/// Imports that could be one: the same root, visibility and attributes.
fn repeated_roots(source: &Source, imports: &[&ItemUse]) -> Vec<String> {
    let (mut seen, mut problems) = (BTreeMap::new(), Vec::new());
    for import in imports {
        let line = import.span().start().line;
        let visibility = source_text(&import.vis);
        let attributes: String = import.attrs.iter().map(source_text).collect();
        let mut roots: Vec<_> =
            flatten(&import.tree).into_iter().filter_map(|(path, _)| path.into_iter().next()).collect();
        roots.dedup();
        for root in roots {
            let key = (root.clone(), visibility.clone(), attributes.clone());
            if let Some(first) = seen.insert(key, line) {
                problems.push(format!("{}:{line}: `use {root}` stands in line {first} already", source.path));
            }
        }
    }
    problems
}

fn source_text(node: &impl Spanned) -> String {
    node.span().source_text().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{assert_none, assert_one, tree::sources};

    fn untidy(text: &str) -> Vec<String> {
        untidy_imports(&[Source::new("a.rs", text)])
    }

    #[test]
    fn the_imports_of_the_tree_are_tidy() {
        assert_none(&untidy_imports(sources()));
    }

    #[test]
    fn one_block_with_another_of_re_exports_passes() {
        assert_none(&untidy(
            "mod x;\n\nuse crate::a;\n#[cfg(unix)]\nuse std::{\n    b,\n    c,\n};\n\npub use x::{y, z};\n",
        ));
        assert_none(&untidy("use crate::a;\npub use crate::d;\nuse std::b;\n#[cfg(unix)]\nuse std::c;\n"));
        assert_none(&untidy(
            "use std::a;\n\nfn f() {\n    use std::b;\n}\n\nmod tests {\n    use std::c;\n}\n",
        ));
    }

    #[test]
    fn a_gap_is_found() {
        for text in [
            "use a::a;\n\nuse std::b;\n",
            "use a::a;\nmod x;\nuse std::b;\n",
            "pub use a::a;\n\npub use x::b;\n",
        ] {
            assert_one(&untidy(text), &["a.rs:2", "gap"]);
        }
    }

    #[test]
    fn a_repeated_root_is_found() {
        assert_one(&untidy("use std::a;\nuse std::b;\n"), &["a.rs:2", "`use std`"]);
        assert_one(&untidy("use std::a;\npub use x::a;\npub use x::b;\n"), &["a.rs:3", "`use x`"]);
    }
}
