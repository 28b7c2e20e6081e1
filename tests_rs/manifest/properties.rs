//! Version 2025-12-04-beta as a whole: what is written is read again, whatever it is.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rusty_attachments::hash::{ContentHash, HashAlgorithm, hash_bytes};
use rusty_attachments::manifest::chunks::CHUNK_BYTES;
use rusty_attachments::manifest::{
    Content, Directory, FileTable, Manifest, ManifestVersion, apply_diffs, canonical_order, check_strictly,
    compute_diff, convert, decode, encode, merge, partition, subtree, with_prefix,
};
use rusty_attachments::path::ManifestPath;

/// Names of directories and of files, disjoint, so that no path is both: with what looks like references, and with what
/// sorts differently by bytes and by code units.
const FOLDERS: &[&[u8]] = &[b"d", b"$0", b"$12", b"$", b"$x", "é".as_bytes(), b"\xed\xa0\x80d", b"d d"];
const LEAVES: &[&[u8]] =
    &[b"x.exr", b"$3", b"$$", "\u{1F600}".as_bytes(), "\u{FB33}".as_bytes(), b"lone\xed\xb3\xbf", b"\"\\\x7f"];

#[derive(Debug, Clone)]
enum Kind {
    Hash(u8, i64),
    Text,
    Chunks(u8),
    Symlink(Vec<u8>),
    Deleted,
}

fn folder() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(FOLDERS), 1..4).prop_map(|parts| parts.join(b"/".as_slice()))
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    (prop::collection::vec(prop::sample::select(FOLDERS), 0..4), prop::sample::select(LEAVES)).prop_map(
        |(mut parts, leaf)| {
            parts.push(leaf);
            parts.join(b"/".as_slice())
        },
    )
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => (any::<u8>(), 0..1_i64 << 50).prop_map(|(seed, size)| Kind::Hash(seed, size)),
        1 => Just(Kind::Text),
        1 => (2..5_u8).prop_map(Kind::Chunks),
        2 => path().prop_map(Kind::Symlink),
        1 => Just(Kind::Deleted),
    ]
}

type Files = BTreeMap<Vec<u8>, (Kind, i64, bool)>;

fn files() -> impl Strategy<Value = Files> {
    prop::collection::btree_map(path(), (kind(), any::<i64>(), any::<bool>()), 0..12)
}

fn folders() -> impl Strategy<Value = BTreeSet<Vec<u8>>> {
    prop::collection::btree_set(folder(), 0..8)
}

/// All directories of a path that looks like a reference: a manifest lists them.
fn must_list(path: &[u8]) -> Vec<Vec<u8>> {
    let digits = path.iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count();
    if path[0] != b'$' || digits == 0 || path.get(digits + 1) != Some(&b'/') {
        return Vec::new();
    }
    (0..path.len()).filter(|end| path[*end] == b'/').map(|end| path[..end].to_vec()).collect()
}

fn build(files: &Files, folders: &BTreeSet<Vec<u8>>, is_diff: bool) -> Manifest {
    let mut table = FileTable::default();
    let mut listed = folders.clone();
    listed.extend(folders.iter().flat_map(|folder| must_list(folder)));
    for (path, (kind, mtime, runnable)) in files {
        listed.extend(must_list(path));
        let manifest_path = ManifestPath::from_wtf8(path);
        match kind {
            Kind::Hash(seed, size) => table.push(manifest_path, Content::Hash(hash_bytes(&[*seed])), *size, *mtime),
            Kind::Text => table.push(manifest_path, Content::Hash(ContentHash::from_text("aZ9")), 0, *mtime),
            Kind::Chunks(count) => {
                let chunks: Vec<_> = (0..*count).map(|seed| hash_bytes(&[seed])).collect();
                table.push(
                    manifest_path,
                    Content::Chunks(&chunks),
                    CHUNK_BYTES.cast_signed() * i64::from(*count) - 1,
                    *mtime,
                );
            }
            Kind::Symlink(target) => {
                listed.extend(must_list(target));
                table.push(manifest_path, Content::Symlink(ManifestPath::from_wtf8(target)), 0, 0);
            }
            Kind::Deleted if is_diff => table.push(manifest_path, Content::Deleted, 0, 0),
            Kind::Deleted => continue,
        }
        if *runnable && matches!(kind, Kind::Hash(..) | Kind::Text | Kind::Chunks(_)) {
            table.mark_last_runnable();
        }
    }
    let table = canonical_order(&table).map_or_else(|| table.clone(), |order| table.select(&order));
    Manifest {
        version: ManifestVersion::V2025_12_04,
        hash_algorithm: HashAlgorithm::Xxh128,
        total_size_bytes: i64::try_from(table.sum_of_sizes()).unwrap(),
        files: table,
        directories: listed.into_iter().map(|path| Directory { path: path.into(), deleted: false }).collect(),
        parent_manifest_hash: is_diff.then(|| "abc123".to_owned()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again(files in files(), folders in folders(), is_diff: bool) {
        let manifest = build(&files, &folders, is_diff);
        let text = encode(&manifest).unwrap();
        prop_assert!(text.is_ascii());
        let read = decode(text.as_bytes()).unwrap();
        prop_assert_eq!(&read, &manifest);
        prop_assert_eq!(encode(&read).unwrap(), text);
    }

    #[test]
    fn the_order_in_memory_makes_no_difference(files in files(), folders in folders(), seed: u64) {
        let manifest = build(&files, &folders, false);
        let mut rows: Vec<u32> = (0..u32::try_from(manifest.files.len()).unwrap()).collect();
        rows.sort_by_key(|row| (u64::from(*row) + 1).wrapping_mul(seed | 1));
        // A row that comes again later is written once.
        rows.extend(rows.first().copied());
        let mut shuffled = manifest.with_files(manifest.files.select(&rows));
        shuffled.directories.reverse();
        prop_assert_eq!(encode(&shuffled).unwrap(), encode(&manifest).unwrap());
    }

    #[test]
    fn a_diff_leads_from_one_snapshot_to_the_other(
        before in files(), now in files(), folders_before in folders(), folders_now in folders()
    ) {
        let (parent, current) = (build(&before, &folders_before, false), build(&now, &folders_now, false));
        let diff = compute_diff(&parent, &current).unwrap();
        let read = decode(encode(&diff).unwrap().as_bytes()).unwrap();
        let applied = apply_diffs(&parent, &[&read]).unwrap();
        prop_assert_eq!(encode(&applied).unwrap(), encode(&current).unwrap());
        let nothing = compute_diff(&current, &applied).unwrap();
        prop_assert!(nothing.files.is_empty() && nothing.directories.is_empty());
        if parent != current {
            apply_diffs(&current, &[&diff]).unwrap_err();
        }
    }

    #[test]
    fn a_prefix_comes_off_again(files in files(), folders in folders()) {
        let manifest = build(&files, &folders, false);
        let moved = with_prefix(&manifest, b"some/root").unwrap();
        prop_assert_eq!(&subtree(&moved, b"some/root/").unwrap(), &manifest);
        let (parts, rest) = partition(&moved, &[b"some", b"some/root", b"other"]).unwrap();
        prop_assert_eq!(&parts[1], &manifest);
        prop_assert!(parts[0].files.is_empty() && parts[2].files.is_empty() && rest.files.is_empty());
    }

    #[test]
    fn merging_with_itself_changes_nothing(files in files(), folders in folders()) {
        let manifest = build(&files, &folders, false);
        let merged = merge(&[&manifest, &manifest]).unwrap().unwrap();
        prop_assert_eq!(&merged, &manifest);
    }

    #[test]
    fn merging_goes_as_with_a_dict(stretches in prop::collection::vec((0..400_i64, 0..300_i64, 1..4_i64, any::<bool>(), any::<bool>()), 1..6)) {
        // Stretches of numbered names: some go on as those of an earlier manifest do, some leave names out or go backwards.
        let (mut manifests, mut order, mut values) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (index, (start, length, step, backwards, odd)) in (0_u8..).zip(stretches) {
            let mut numbers: Vec<i64> = (0..length).map(|at| start + at * step).collect();
            if backwards {
                numbers.reverse();
            }
            let mut files = FileTable::default();
            for number in numbers {
                let text = if odd && number % 7 == 0 { "aZ9".to_owned() } else { hash_bytes(&[index]).text().into_owned() };
                let name = format!("d/{number}");
                let content = Content::Hash(ContentHash::from_text(&text));
                files.push(ManifestPath::from_wtf8(name.as_bytes()), content, number, i64::from(index));
                if values.insert(name.clone(), (text, number, i64::from(index))).is_none() {
                    order.push(name);
                }
            }
            let total_size_bytes = i64::try_from(files.sum_of_sizes()).unwrap();
            manifests.push(Manifest {
                version: ManifestVersion::V2023_03_03,
                hash_algorithm: HashAlgorithm::Xxh128,
                files,
                directories: Vec::new(),
                total_size_bytes,
                parent_manifest_hash: None,
            });
        }
        let merged = merge(&manifests.iter().collect::<Vec<_>>()).unwrap().unwrap().files;
        prop_assert_eq!(merged.len(), order.len());
        for (row, name) in order.iter().enumerate() {
            let (text, size, mtime) = &values[name];
            prop_assert_eq!(merged.path(row).display(), name.clone());
            prop_assert_eq!(merged.content(row), Content::Hash(ContentHash::from_text(text)));
            prop_assert_eq!((merged.size_bytes(row), merged.mtime_micros(row)), (*size, *mtime));
        }
    }

    #[test]
    fn versions_convert_without_loss_or_not_at_all(files in files(), folders in folders()) {
        let manifest = build(&files, &folders, false);
        if let Ok(plain) = convert(&manifest, ManifestVersion::V2023_03_03) {
            prop_assert_eq!(&convert(&plain, ManifestVersion::V2025_12_04).unwrap(), &manifest);
            if !plain.files.is_empty() {
                prop_assert_eq!(&decode(encode(&plain).unwrap().as_bytes()).unwrap(), &plain);
            }
        } else {
            let plain_rows = (0..manifest.files.len()).all(|row| {
                matches!(manifest.files.content(row), Content::Hash(_)) && !manifest.files.is_runnable(row)
            });
            prop_assert!(!plain_rows || !manifest.directories.is_empty());
        }
    }

    #[test]
    fn damaged_documents_never_panic(files in files(), folders in folders(), cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut text = encode(&build(&files, &folders, true)).unwrap().into_bytes();
        for (index, byte) in cuts {
            let at = index.index(text.len());
            text[at] = byte;
        }
        if let Ok(manifest) = decode(&text) {
            let _ = check_strictly(&manifest);
            let again = encode(&manifest).unwrap();
            prop_assert_eq!(decode(again.as_bytes()).is_ok(), true);
        }
    }
}
