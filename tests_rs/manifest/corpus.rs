//! The fuzzer's corpus, replayed.

use super::invariants::hold_for;

#[test]
fn the_corpus_holds() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/decode");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        hold_for(&std::fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= 20, "the corpus was not found");
}
