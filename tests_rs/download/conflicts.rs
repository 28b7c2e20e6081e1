//! What is there already.

use super::*;

/// A root with files whose contents are their names, which are in the way of a download of other contents.
fn occupied(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        std::fs::write(folder.path().join(name), name).unwrap();
    }
    folder
}

#[tokio::test]
async fn skip_leaves_what_is_there() {
    let root = occupied(&["a"]);
    let before = mtime_micros(&root.path().join("a"));
    let store = Arc::new(store_with(&[b"new a", b"new b"]));
    let manifest = manifest(&[("a", b"new a"), ("b", b"new b")]);
    let (report, counts) = fetch(&store, root.path(), &manifest, ConflictResolution::Skip).await.unwrap();
    assert_eq!(tree_of(root.path()), expected(&[("a", b"a"), ("b", b"new b")]));
    assert_eq!(mtime_micros(&root.path().join("a")), before);
    assert_eq!(written(&report, root.path()), ["b"]);
    assert_eq!((counts.processed_files, counts.skipped_files, counts.skipped_bytes), (1, 1, 5));
    assert_eq!(store.calls(), 1, "what is skipped is not fetched");
}

#[tokio::test]
async fn overwrite_replaces_files_and_links_but_not_what_links_lead_to() {
    let root = occupied(&["a", "target"]);
    std::os::unix::fs::symlink("target", root.path().join("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", root.path().join("dangling")).unwrap();
    let store = Arc::new(store_with(&[b"new"]));
    let manifest = manifest(&[("a", b"new"), ("link", b"new"), ("dangling", b"new")]);
    let (report, _) = fetch(&store, root.path(), &manifest, ConflictResolution::Overwrite).await.unwrap();
    let files: [(&str, &[u8]); 4] = [("a", b"new"), ("target", b"target"), ("link", b"new"), ("dangling", b"new")];
    assert_eq!(tree_of(root.path()), expected(&files));
    assert_eq!(written(&report, root.path()), ["a", "dangling", "link"]);
}

#[tokio::test]
async fn copies_get_the_first_free_number_before_the_last_suffix() {
    let names = ["b.tar.gz", "noext", ".hidden", "taken.txt"];
    let root = occupied(&[&names[..], &["noext (1)"]].concat());
    let store = Arc::new(store_with(&[b"new"]));
    // The manifest's own names are not free either.
    let mut files: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, &b"new"[..])).collect();
    files.push(("taken (1).txt", b"new"));
    let manifest = manifest(&files);
    let (report, _) = fetch(&store, root.path(), &manifest, ConflictResolution::CreateCopy).await.unwrap();
    let first = [".hidden (1)", "b.tar (1).gz", "noext (2)", "taken (1).txt", "taken (2).txt"];
    assert_eq!(written(&report, root.path()), first);
    let (report, _) = fetch(&store, root.path(), &manifest, ConflictResolution::CreateCopy).await.unwrap();
    let second = [".hidden (2)", "b.tar (2).gz", "noext (3)", "taken (1) (1).txt", "taken (3).txt"];
    assert_eq!(written(&report, root.path()), second);
    let tree = tree_of(root.path());
    assert!(names.iter().all(|name| tree[*name] == name.as_bytes()), "what was there is as it was");
    assert!(first.iter().chain(&second).all(|name| tree[*name] == b"new"));
    assert_eq!(tree.len(), names.len() + 1 + first.len() + second.len());
}

#[tokio::test]
async fn resume_fetches_only_what_is_not_right() {
    let root = tempfile::tempdir().unwrap();
    let large = bytes(RANGE + 3, 9);
    let mut torn = large.clone();
    torn[RANGE] ^= 1;
    for (name, contents) in [("right", &b"right"[..]), ("other", b"OTHER"), ("short", b"sho"), ("large", &torn)] {
        std::fs::write(root.path().join(name), contents).unwrap();
    }
    let files: [(&str, &[u8]); 5] =
        [("right", b"right"), ("other", b"other"), ("short", b"short"), ("large", &large), ("new", b"new")];
    let asked = Arc::new(Mutex::new(Vec::new()));
    let keys = Arc::clone(&asked);
    let store = store_that_tells(move |key| keys.lock().unwrap().push(key.to_owned()));
    let store = Arc::new(filled(store, &files.map(|(_, contents)| contents)));
    let (report, counts) = fetch(&store, root.path(), &manifest(&files), ConflictResolution::Resume).await.unwrap();
    assert!(tree_of(root.path()) == expected(&files));
    assert_eq!(written(&report, root.path()), ["large", "new", "other", "short"]);
    assert_eq!((counts.processed_files, counts.skipped_files, counts.skipped_bytes), (4, 1, 5));
    let asked = std::mem::take(&mut *asked.lock().unwrap());
    assert_eq!(asked.len(), 5, "three small ones and two ranges: {asked:?}");
    assert!(!asked.contains(&key_of(b"right").key));

    let store = Arc::new(Arc::into_inner(store).unwrap().now_failing(|_| Fault::Refused(500)));
    let (report, counts) = fetch(&store, root.path(), &manifest(&files), ConflictResolution::Resume).await.unwrap();
    assert_eq!((store.calls(), counts.skipped_files), (0, 5), "a second time there is nothing to do");
    assert_eq!(written(&report, root.path()), [""; 0]);
}

#[tokio::test]
async fn an_unknown_resolution_matters_only_where_there_is_a_conflict() {
    let root = occupied(&[]);
    let unknown = || ConflictResolution::Unknown("9".to_owned());
    let store = Arc::new(store_with(&[b"a", b"b"]));
    fetch(&store, root.path(), &manifest(&[("a", b"a")]), unknown()).await.unwrap();
    let both = manifest(&[("b", b"b"), ("a", b"a")]);
    let error = fetch(&store, root.path(), &both, unknown()).await.unwrap_err();
    assert_eq!(error.to_string(), "Unknown choice for file conflict resolution: 9");
    assert!(matches!(error, Error::InvalidArgument(_)));
    assert_eq!(tree_of(root.path()), expected(&[("a", b"a")]), "nothing of the other file either");
}

#[tokio::test]
async fn a_directory_in_the_way_is_an_error_that_names_it_before_anything_is_fetched() {
    for resolution in [ConflictResolution::Skip, ConflictResolution::Overwrite, ConflictResolution::CreateCopy] {
        let root = occupied(&[]);
        std::fs::create_dir(root.path().join("b")).unwrap();
        let store = Arc::new(store_with(&[b"a", b"b"]));
        let error = fetch(&store, root.path(), &manifest(&[("a", b"a"), ("b", b"b")]), resolution).await.unwrap_err();
        assert!(error.to_string().contains(root.path().join("b").to_str().unwrap()), "{error}");
        assert_eq!((store.calls(), tree_of(root.path()).len()), (0, 1));
    }
}

#[tokio::test]
async fn a_file_where_a_directory_is_needed_is_an_error_that_names_it() {
    let root = occupied(&["b"]);
    let store = Arc::new(store_with(&[b"c"]));
    let error =
        fetch(&store, root.path(), &manifest(&[("b/c", b"c")]), ConflictResolution::Overwrite).await.unwrap_err();
    assert!(error.to_string().contains("Failed to create download directory"), "{error}");
    assert!(error.to_string().contains(root.path().join("b").to_str().unwrap()), "{error}");
    assert_eq!(tree_of(root.path()), expected(&[("b", b"b")]));
}

/// Files that come while theirs are being fetched are in the way as those that were there before.
#[tokio::test]
async fn what_comes_meanwhile_is_treated_as_what_was_there() {
    let large = bytes(RANGE + 3, 9);
    for contents in [&b"new"[..], &large] {
        for (resolution, names) in [
            (ConflictResolution::Skip, &["f.txt"][..]),
            (ConflictResolution::Overwrite, &["f.txt"]),
            (ConflictResolution::Resume, &["f.txt"]),
            (ConflictResolution::CreateCopy, &["f (2).txt", "f (1).txt", "f.txt"]),
        ] {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().to_path_buf();
            let meanwhile = move |_: &str| {
                for name in ["f.txt", "f (1).txt"] {
                    std::fs::write(path.join(name), "theirs").unwrap();
                }
            };
            let store = Arc::new(filled(store_that_tells(meanwhile), &[contents]));
            let manifest = manifest(&[("f.txt", contents)]);
            let (report, counts) = fetch(&store, root.path(), &manifest, resolution.clone()).await.unwrap();
            let tree = tree_of(root.path());
            let is_skipped = resolution == ConflictResolution::Skip;
            assert!(tree[names[0]] == if is_skipped { b"theirs" } else { contents }, "{resolution:?}");
            assert!(names[1..].iter().all(|name| tree[*name] == b"theirs"), "{resolution:?}");
            assert_eq!(tree["f (1).txt"], b"theirs");
            assert_eq!(tree.len(), names.len().max(2), "{resolution:?}: nothing else is left");
            assert_eq!(written(&report, root.path()), if is_skipped { &[][..] } else { &names[..1] });
            let bytes = contents.len() as u64;
            let expected = if is_skipped { (0, 0, 1, bytes) } else { (1, bytes, 0, 0) };
            let counts = (counts.processed_files, counts.processed_bytes, counts.skipped_files, counts.skipped_bytes);
            assert_eq!(counts, expected, "{resolution:?}");
        }
    }
}
