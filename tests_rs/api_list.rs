//! The crate's root shows what `docs/rust.md` lists, and nothing else.

use std::collections::BTreeSet;
use std::path::Path;

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The names that the root re-exports.
fn exported(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for statement in source.split(';').filter_map(|part| part.split("pub use ").nth(1)) {
        let list = match statement.split_once('{') {
            Some((_, list)) => list.trim_end().trim_end_matches('}'),
            None => statement.rsplit("::").next().unwrap(),
        };
        names.extend(list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned));
    }
    names
}

#[test]
fn the_root_and_the_page_have_the_same_names() {
    let page = read("docs/rust.md");
    let (_, lists) = page.split_once("## All names").unwrap();
    let first_cells = lists.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next());
    let listed: BTreeSet<String> = first_cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(exported(&read("src/lib.rs")), listed);
}

#[test]
fn the_root_has_nothing_but_its_names() {
    let source = read("src/lib.rs");
    let others: Vec<&str> =
        source.lines().filter(|line| line.starts_with("pub ") && !line.starts_with("pub use ")).collect();
    assert!(others.is_empty(), "public at the root: {others:?}");
}

/// The program in the README is the one that runs as a test in the crate's documentation.
#[test]
fn the_readme_begins_as_the_documentation_does() {
    let readme = read("README.md");
    let shown = readme.split("```rust\n").nth(1).unwrap().split("```").next().unwrap();
    let source = read("src/lib.rs");
    let tested = source.split("//! ```standalone_crate\n").nth(1).unwrap().split("//! ```").next().unwrap();
    let visible = tested.lines().filter(|line| !line.starts_with("//! # "));
    let visible: String =
        visible.map(|line| line[3..].strip_prefix(' ').unwrap_or_default().to_owned() + "\n").collect();
    assert_eq!(shown, visible);
}

#[test]
fn the_scanner_sees_names() {
    let names = exported("mod a;\npub use a::{B, c};\npub use d::E;\npub use f::g::{\n    H,\n};\n");
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["B", "E", "H", "c"]);
}
