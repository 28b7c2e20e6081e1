//! What the fuzzers look for, replayed over their corpora; error bodies also as replies to the client of S3.

/// For the invariants, which the fuzz targets compile in beside the modules themselves.
use rusty_attachments::{error, fs, path, path_mapping, store};

mod error_invariants;
mod mapping_invariants;
mod path_invariants;
mod replies;

/// Everything in a committed corpus.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(names.len() >= 10, "the corpus of {target} was not found");
    names.iter().map(|name| std::fs::read(name).unwrap()).collect()
}

#[test]
fn no_path_leads_out_of_its_root() {
    let folder = tempfile::tempdir().unwrap();
    let playground = path_invariants::Playground::new(folder.path());
    for data in corpus("paths") {
        path_invariants::hold_for(&playground, &data);
    }
}

#[test]
fn the_trie_of_rules_is_what_one_rule_after_another_gives() {
    for data in corpus("mapping") {
        mapping_invariants::hold_for(&data);
    }
}

#[test]
fn errors_of_s3_name_bucket_and_key() {
    for data in corpus("s3_errors") {
        error_invariants::hold_for(&data);
    }
}
