//! No circle of modules in any crate: following the items that files name, nobody comes back to where they began.

use crate::{
    edges::{Edge, edges},
    tree::Source,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// One shortest circle per knot: files that all reach each other.
fn circles(sources: &[Source], folder: &str) -> Vec<String> {
    let edges = edges(sources, folder);
    let mut graph = BTreeMap::<&str, Vec<&Edge>>::new();
    for edge in &edges {
        graph.entry(&edge.from).or_default().push(edge);
    }
    let (mut problems, mut told) = (Vec::new(), BTreeSet::new());
    for file in graph.keys() {
        let Some(circle) = shortest_circle(&graph, file).filter(|_| !told.contains(file)) else { continue };
        let knot: BTreeSet<_> = knot_of(&graph, file);
        let shortest = knot.iter().filter_map(|file| shortest_circle(&graph, file)).min_by_key(Vec::len);
        problems.push(describe(&shortest.unwrap_or(circle), knot.len()));
        told.extend(knot);
    }
    problems
}

type Graph<'a> = BTreeMap<&'a str, Vec<&'a Edge>>;

fn describe(circle: &[&Edge], files: usize) -> String {
    let step = |edge: &&Edge| format!("\n  {}:{} names `{}` of {}", edge.from, edge.line, edge.item, edge.to);
    format!("a circle, in a knot of {files} files:{}", circle.iter().map(step).collect::<String>())
}

/// The files that `start` reaches and that reach it.
fn knot_of<'a>(graph: &Graph<'a>, start: &'a str) -> BTreeSet<&'a str> {
    let reached = ways_from(graph, start);
    reached.keys().copied().filter(|file| ways_from(graph, file).contains_key(start)).collect()
}

fn shortest_circle<'a>(graph: &Graph<'a>, start: &'a str) -> Option<Vec<&'a Edge>> {
    let ways = ways_from(graph, start);
    let mut circle = vec![*ways.get(start)?];
    while circle[0].from != start {
        circle.insert(0, ways[circle[0].from.as_str()]);
    }
    Some(circle)
}

/// For each file that `start` reaches in one or more steps, the last step of a shortest way.
fn ways_from<'a>(graph: &Graph<'a>, start: &'a str) -> BTreeMap<&'a str, &'a Edge> {
    let (mut ways, mut queue) = (BTreeMap::new(), VecDeque::from([start]));
    while let Some(file) = queue.pop_front() {
        for edge in graph.get(file).into_iter().flatten() {
            if !ways.contains_key(edge.to.as_str()) {
                ways.insert(edge.to.as_str(), *edge);
                queue.push_back(&edge.to);
            }
        }
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        assert_none, assert_one,
        tree::{CRATES, TEST_CRATES, sources},
    };

    fn planted(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<_> =
            files.iter().map(|(path, text)| Source::new(&format!("c/{path}"), text)).collect();
        circles(&sources, "c")
    }

    #[test]
    fn no_crate_of_the_tree_has_a_circle() {
        let folders = CRATES.iter().chain(&TEST_CRATES);
        assert_none(&folders.flat_map(|folder| circles(sources(), folder)).collect::<Vec<_>>());
    }

    #[test]
    fn a_circle_is_found_once_and_the_shortest_is_told() {
        let problems = planted(&[
            ("lib.rs", "mod a; mod b; mod d;"),
            ("a.rs", "pub struct A; use crate::b::B;"),
            ("b.rs", "pub struct B; use crate::d::D;\n\nfn f(_: crate::a::A) {}"),
            ("d.rs", "pub struct D; use crate::a::A;"),
        ]);
        assert_one(&problems, &["3 files", "c/a.rs:1 names `B` of c/b.rs", "c/b.rs:3 names `A` of c/a.rs"]);
        assert!(!problems[0].contains("c/d.rs"), "{problems:?}");
    }

    #[test]
    fn a_circle_through_a_parent_is_found() {
        let files =
            [("main.rs", "mod a; fn f() { a::g(); } pub struct S;"), ("a.rs", "use crate::S; pub fn g() {}")];
        assert_one(&planted(&files), &["c/a.rs:1 names `S` of c/main.rs", "c/main.rs:1 names `g` of c/a.rs"]);
    }

    #[test]
    fn declarations_re_exports_and_tests_make_no_circle() {
        assert_none(&planted(&[
            ("lib.rs", "mod a; pub use a::{deep::A, b::B};"),
            ("a/mod.rs", "pub mod deep; pub mod b; pub mod f; pub use deep::*; pub(crate) use f::f;"),
            ("a/deep.rs", "pub struct A; use super::f; #[cfg(test)] mod tests { use crate::B; }"),
            ("a/b.rs", "pub struct B; use crate::A;"),
            ("a/f.rs", "pub(crate) fn f() {}"),
        ]));
    }
}
