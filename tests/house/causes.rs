//! The operators' table of causes, `server/CAUSES.md`: it holds every cause of the code, with the code's own words.
//!
//! `BLESS=1 cargo test -p moorline-tests --test house causes` writes it. It judges no sentence; the causes' own tests
//! do.

use moorline::causes::{CauseRow, CounterRow, counters, table};

const INTRODUCTION: &str = "\
# What each drop and refusal means, and what to do

`/metrics` counts every cause below from the start, at 0 before it first happens. One that stands still is nothing to
look at; one that rises says here what happens, and what to do about it. The causes come from the code, and so does this
page; a test compares the two.
";

/// The page for these causes, and for the refusals and losses that have a metric of their own.
fn page(rows: &[CauseRow], counters: &[CounterRow]) -> String {
    let mut page = String::from(INTRODUCTION);
    let mut metric = "";
    for row in rows {
        if row.metric != metric {
            metric = row.metric;
            let label_name = row.label_name;
            page.push_str(&format!(
                "\n## `moorline_{metric}`\n\n| {label_name} | meaning | what to do |\n|---|---|---|\n"
            ));
        }
        page.push_str(&format!("| `{}` | {} | {} |\n", row.label, row.meaning, row.remedy));
    }
    page.push_str("\n## Metrics of their own\n\n| metric | meaning | what to do |\n|---|---|---|\n");
    for row in counters {
        page.push_str(&format!("| `moorline_{}` | {} | {} |\n", row.metric, row.meaning, row.remedy));
    }
    page
}

/// The lines in which a page differs from the code.
fn differences(page: &str, expected: &str) -> Vec<String> {
    let missing = expected.lines().filter(|line| !page.lines().any(|other| other == *line));
    let surplus = page.lines().filter(|line| !expected.lines().any(|other| other == *line));
    let missing = missing.map(|line| format!("server/CAUSES.md lacks: {line}"));
    let mut lines: Vec<String> = missing
        .chain(surplus.map(|line| format!("server/CAUSES.md holds, but the code does not: {line}")))
        .collect();
    if lines.is_empty() && page != expected {
        lines.push("server/CAUSES.md has its lines in another order".into());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{assert_none, assert_one};
    use std::{env, fs, path::Path};

    #[test]
    fn the_page_of_the_tree_is_what_the_code_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/CAUSES.md");
        let expected = page(&table(), &counters());
        if env::var_os("BLESS").is_some() {
            fs::write(&path, &expected).expect("the page can be written");
        }
        let found = fs::read_to_string(&path).expect("server/CAUSES.md can be read");
        assert_none(&differences(&found, &expected));
    }

    #[test]
    fn a_cause_that_the_page_lacks_or_words_otherwise_is_told() {
        let expected = page(&table(), &counters());
        let row = "| `slow_consumer` | A client read too slowly";
        let line = expected.lines().find(|line| line.starts_with(row)).expect("a cause");
        assert_one(&differences(&expected.replace(&format!("{line}\n"), ""), &expected), &["lacks", row]);
        let reworded = expected.replace("A client read too slowly", "A client was slow");
        assert_eq!(differences(&reworded, &expected).len(), 2);
        assert_none(&differences(&expected, &expected));
    }
}
