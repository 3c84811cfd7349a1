//! The rules of this repository about its own sources, each checked over the real tree and over planted text.
//!
//! Every check is a function from sources to sentences about what is wrong; none reads the disk itself. Formatting,
//! the order inside a block of imports and `foo.rs` beside `foo/` are left to rustfmt and clippy.

mod causes;
mod cycles;
mod edges;
mod hidden;
mod imports;
mod keys;
mod layers;
mod lengths;
mod map;
mod modules;
mod prose;
mod test_places;
mod tree;

/// Fails with all `problems`, one a line.
#[track_caller]
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "{} problems:\n{}\n", problems.len(), problems.join("\n"));
}

/// Fails unless exactly one problem was found and its sentence contains all of `parts`.
#[track_caller]
fn assert_one(problems: &[String], parts: &[&str]) {
    let [problem] = problems else { panic!("expected one problem, found {problems:#?}") };
    for part in parts {
        assert!(problem.contains(part), "{problem:?} does not mention {part:?}");
    }
}
