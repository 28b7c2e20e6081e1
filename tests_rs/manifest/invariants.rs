//! What must hold for any bytes that are given for a manifest. Shared with the fuzz target, which compiles it in by path.

use super::manifest::{
    Content, Manifest, ManifestVersion, by_extension, canonical_order, check_strictly, compare, convert, decode,
    disk_usage, encode, merge, validate,
};

/// Panics where something doesn't hold.
pub fn hold_for(data: &[u8]) {
    for version in ["2023-03-03", "2025-12-04-beta"] {
        let _ = validate(data, version);
    }
    let Ok(manifest) = decode(data) else { return };
    let is_strict = check_strictly(&manifest).is_ok();
    let text = match encode(&manifest) {
        Ok(text) => text,
        // Names that look like references make directories of what is a file: read, but not written.
        Err(error) => {
            assert_eq!(manifest.version, ManifestVersion::V2025_12_04, "{error}");
            return;
        }
    };
    assert!(text.is_ascii());
    let again = decode(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(encode(&again).ok().as_ref(), Some(&text));
    let is_strict_again = check_strictly(&again).is_ok();
    assert_eq!(again.files.len(), manifest.files.len());
    // A high and a low surrogate that the text kept apart (one escaped, one not) are one character when read again, as with
    // Python's `json`; so a path may be another one then. All else is the same.
    if !keeps_surrogates_apart(&manifest) {
        assert_eq!(is_strict_again, is_strict);
        let sorted = canonical_order(&manifest.files).map(|order| manifest.files.select(&order));
        assert_eq!(&again.files, sorted.as_ref().unwrap_or(&manifest.files));
        assert_eq!(again.total_size_bytes, manifest.total_size_bytes);
        assert_eq!(again.parent_manifest_hash, manifest.parent_manifest_hash);
    }
    let _ = compare(&manifest, &again);
    let _ = merge(&[&manifest, &again]);
    let _ = disk_usage(&manifest.files, 3);
    let _ = by_extension(&manifest.files);
    for version in [ManifestVersion::V2023_03_03, ManifestVersion::V2025_12_04] {
        if let Ok(converted) = convert(&manifest, version) {
            let _ = encode(&converted);
        }
    }
}

/// Whether a path, a link's target or a directory holds a high and a low surrogate that are no character together.
fn keeps_surrogates_apart(manifest: &Manifest) -> bool {
    let apart = |wtf8: &[u8]| wtf8.windows(5).any(|five| matches!(five, [0xED, 0xA0..=0xAF, _, 0xED, 0xB0..=0xBF]));
    let files = &manifest.files;
    (0..files.len()).any(|row| {
        let target = matches!(files.content(row), Content::Symlink(target) if apart(target.as_bytes()));
        target || apart(files.path(row).as_bytes())
    }) || manifest.directories.iter().any(|directory| apart(&directory.path))
}
