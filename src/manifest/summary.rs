//! What is in a manifest, added up.

use std::collections::BTreeMap;

use super::table::FileTable;

/// Files and bytes under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    /// A directory (`""` for the root) or an extension (with its dot, `""` for none).
    pub name: Vec<u8>,
    /// How many files.
    pub files: u64,
    /// The sum of their sizes.
    pub bytes: i128,
}

/// Files and bytes of each directory down to `depth` levels below the root, all that is below it included, as `du` shows
/// them. Sorted by path; the root comes first.
#[must_use]
pub(crate) fn disk_usage(files: &FileTable, depth: usize) -> Vec<Share> {
    let mut shares: BTreeMap<&[u8], (u64, i128)> = BTreeMap::from([(b"".as_slice(), (0, 0))]);
    for row in 0..files.len() {
        let path = files.path(row).as_bytes();
        let slashes = (0..path.len()).filter(|at| path[*at] == b'/').take(depth);
        for end in std::iter::once(0).chain(slashes) {
            let share = shares.entry(&path[..end]).or_default();
            share.0 += 1;
            share.1 += i128::from(files.size_bytes(row));
        }
    }
    into_shares(shares)
}

/// Files and bytes by extension, most bytes first.
#[must_use]
pub(crate) fn by_extension(files: &FileTable) -> Vec<Share> {
    let mut shares: BTreeMap<&[u8], (u64, i128)> = BTreeMap::new();
    for row in 0..files.len() {
        let share = shares.entry(extension(files.path(row).as_bytes())).or_default();
        share.0 += 1;
        share.1 += i128::from(files.size_bytes(row));
    }
    let mut shares = into_shares(shares);
    shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
    shares
}

/// The rows of the largest files, largest first; equal ones in the order of the table.
#[must_use]
pub(crate) fn largest(files: &FileTable, count: usize) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..files.len()).collect();
    let by_size = |row: &usize| (std::cmp::Reverse(files.size_bytes(*row)), *row);
    if count < rows.len() {
        rows.select_nth_unstable_by_key(count, by_size);
        rows.truncate(count);
    }
    rows.sort_unstable_by_key(by_size);
    rows
}

fn into_shares(shares: BTreeMap<&[u8], (u64, i128)>) -> Vec<Share> {
    let share = |(name, (files, bytes)): (&[u8], _)| Share { name: name.to_vec(), files, bytes };
    shares.into_iter().map(share).collect()
}

/// The last suffix of the last component, as `pathlib` has it: none for `.hidden` and for `name.`.
fn extension(path: &[u8]) -> &[u8] {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    match name.iter().rposition(|byte| *byte == b'.') {
        Some(dot) if dot > 0 && dot + 1 < name.len() => &name[dot..],
        _ => b"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::hash_bytes;
    use crate::manifest::Content;
    use crate::path::ManifestPath;

    fn table() -> FileTable {
        let mut files = FileTable::default();
        for (path, size) in [("a/b/x.exr", 5), ("a/y.exr", 7), ("z", 1), (".hidden", 7), ("a/b/c/d.tar.gz", 100)] {
            files.push(ManifestPath::from_wtf8(path.as_bytes()), Content::Hash(hash_bytes(b"")), size, 0);
        }
        files
    }

    fn shown(shares: Vec<Share>) -> Vec<(String, u64, i128)> {
        shares.into_iter().map(|share| (String::from_utf8(share.name).unwrap(), share.files, share.bytes)).collect()
    }

    #[test]
    fn directories_hold_what_is_below_them() {
        let usage = shown(disk_usage(&table(), 2));
        assert_eq!(usage, [(String::new(), 5, 120), ("a".into(), 3, 112), ("a/b".into(), 2, 105)]);
        assert_eq!(shown(disk_usage(&table(), 0)), [(String::new(), 5, 120)]);
        assert_eq!(disk_usage(&FileTable::default(), 3).len(), 1);
    }

    #[test]
    fn extensions_and_largest() {
        let shares = shown(by_extension(&table()));
        assert_eq!(shares, [(".gz".into(), 1, 100), (".exr".into(), 2, 12), (String::new(), 2, 8)]);
        assert_eq!(largest(&table(), 3), [4, 1, 3]);
        assert_eq!(largest(&table(), 30).len(), 5);
    }
}
