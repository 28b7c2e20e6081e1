//! What must hold for any bytes that are given for a manifest. Shared with the fuzz target, which compiles it in by path.

use super::manifest::{
    ManifestVersion, by_extension, check_strictly, compare, convert, decode, disk_usage, encode, merge, validate,
};

/// Panics where something doesn't hold.
pub fn hold_for(data: &[u8]) {
    for version in ["2023-03-03", "2025-12-04-beta"] {
        let _ = validate(data, version);
    }
    let Ok(manifest) = decode(data) else { return };
    let _ = check_strictly(&manifest);
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
    let _ = check_strictly(&again);
    assert_eq!(again.files.len(), manifest.files.len());
    // A high and a low surrogate that the text kept apart (one escaped, one not) are one character when read again, as with
    // Python's `json`; so a path may be another one then.
    assert!(compare(&manifest, &again).len() <= 2 * manifest.files.len());
    let _ = merge(&[&manifest, &again]);
    let _ = disk_usage(&manifest.files, 3);
    let _ = by_extension(&manifest.files);
    for version in [ManifestVersion::V2023_03_03, ManifestVersion::V2025_12_04] {
        if let Ok(converted) = convert(&manifest, version) {
            let _ = encode(&converted);
        }
    }
}
