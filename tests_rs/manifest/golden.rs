//! Documents that the reference wrote (`tests_rs/data/make_manifests.py`).

use rusty_attachments::manifest::{check_strictly, decode, encode};

fn read(name: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests_rs/data/manifests");
    std::fs::read(folder.join(name)).unwrap()
}

#[test]
fn what_the_reference_wrote_is_written_again_byte_for_byte() {
    for name in ["names", "one", "odd", "many"] {
        let canonical = String::from_utf8(read(&format!("{name}.json"))).unwrap();
        assert_eq!(encode(&decode(canonical.as_bytes()).unwrap()).unwrap(), canonical, "{name}");
        let shuffled = decode(&read(&format!("{name}.shuffled.json"))).unwrap();
        assert_eq!(encode(&shuffled).unwrap(), canonical, "{name}, shuffled");
    }
}

#[test]
fn the_order_of_the_document_is_kept_in_memory() {
    let manifest = decode(&read("odd.shuffled.json")).unwrap();
    let canonical = decode(&read("odd.json")).unwrap();
    assert_eq!(manifest.files.len(), canonical.files.len());
    assert_ne!(manifest.files, canonical.files);
}

#[test]
fn strict_mode_tells_the_odd_from_the_usable() {
    check_strictly(&decode(&read("one.json")).unwrap()).unwrap();
    check_strictly(&decode(&read("odd.json")).unwrap()).unwrap_err();
}
