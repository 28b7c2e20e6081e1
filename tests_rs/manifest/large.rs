//! Merging and comparing many entries, where paths are compared and copied many at once.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rusty_attachments::manifest::{FileStatus, Manifest, compare, decode, encode, merge};

const ENTRIES: u32 = 70_000;

fn text(entries: &BTreeMap<String, u32>) -> String {
    let mut paths = String::new();
    for (path, size) in entries {
        let comma = if paths.is_empty() { "" } else { "," };
        write!(paths, r#"{comma}{{"hash":"{size:032x}","mtime":{size},"path":"{path}","size":{size}}}"#).unwrap();
    }
    let total: u64 = entries.values().map(|size| u64::from(*size)).sum();
    format!(r#"{{"hashAlg":"xxh128","manifestVersion":"2023-03-03","paths":[{paths}],"totalSize":{total}}}"#)
}

/// Entries with every `step`th left out, and every `change`th of another size.
fn entries(numbers: std::ops::Range<u32>, step: u32, change: u32) -> BTreeMap<String, u32> {
    let kept = numbers.filter(|number| number % step != 0);
    // Names of different lengths, so that offsets matter.
    let name =
        |number: u32| format!("folder/{:0width$}/{number:06}.exr", number / 100, width = 3 + number as usize % 7);
    kept.map(|number| (name(number), number + u32::from(number % change == 0))).collect()
}

fn manifest(entries: &BTreeMap<String, u32>) -> Manifest {
    decode(text(entries).as_bytes()).unwrap()
}

#[test]
fn many_entries_merge_as_a_dictionary_does() {
    let all = [entries(0..ENTRIES, 1000, 77), entries(ENTRIES / 2..ENTRIES * 2, 65, 3), entries(10..20_000, 64, 5)];
    let manifests: Vec<Manifest> = all.iter().map(manifest).collect();
    let mut expected = BTreeMap::new();
    for entries in all {
        expected.extend(entries);
    }
    let merged = merge(&manifests.iter().collect::<Vec<_>>()).unwrap().unwrap();
    assert_eq!(merged.files.len(), expected.len());
    assert_eq!(encode(&merged).unwrap(), text(&expected));
}

#[test]
fn many_entries_compare_as_dictionaries_do() {
    for (step, change) in [(1000, 77), (65, 64), (3, 2), (ENTRIES, ENTRIES - 1)] {
        let (before, now) = (entries(0..ENTRIES, 500, ENTRIES), entries(0..ENTRIES, step, change));
        let mut counts = BTreeMap::new();
        for difference in compare(&manifest(&before), &manifest(&now)) {
            *counts.entry(format!("{:?}", difference.status)).or_insert(0) += 1;
        }
        let mut expected = BTreeMap::new();
        for path in before.keys().chain(now.keys().filter(|path| !before.contains_key(*path))) {
            let status = match (before.get(path), now.get(path)) {
                (None, _) => FileStatus::New,
                (_, None) => FileStatus::Deleted,
                (old, new) if old == new => FileStatus::Unchanged,
                _ => FileStatus::Modified,
            };
            *expected.entry(format!("{status:?}")).or_insert(0) += 1;
        }
        assert_eq!(counts, expected);
    }
}
