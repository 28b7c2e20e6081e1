//! Manifests that mean harm.

use super::*;

#[tokio::test]
async fn hostile_paths_are_refused_before_anything_is_asked_for_or_made() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let store = Arc::new(store_with(&[b"good", b"evil"]));
    for path in ["../evil", "a/../../evil", "/evil", "a/..", "", "a\0b", "/", "..", "a/../b"] {
        let manifest = manifest(&[("good", b"good"), (path, b"evil")]);
        let error = fetch(&store, &root, &manifest, ConflictResolution::Overwrite).await.unwrap_err();
        assert!(matches!(error, Error::PathOutsideRoot { .. }), "{path:?}: {error}");
        assert!(error.to_string().starts_with("The provided path is not under the root directory: "), "{error}");
    }
    let mut sneaky = manifest(&[("good", b"good")]);
    sneaky.directories.push(Directory { path: b"../evil".to_vec().into(), deleted: false });
    let error = fetch(&store, &root, &sneaky, ConflictResolution::Overwrite).await.unwrap_err();
    assert!(matches!(error, Error::PathOutsideRoot { .. }), "{error}");
    assert_eq!(store.calls(), 0);
    assert_eq!(tree_of(folder.path()).len(), 0, "not even the root");
}

#[tokio::test]
async fn links_that_lead_out_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
    std::fs::create_dir_all(&root).unwrap();
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("file"), "theirs").unwrap();
    for (link, destination) in
        [("up", PathBuf::from("..")), ("absolute", outside.clone()), ("file", outside.join("file"))]
    {
        std::os::unix::fs::symlink(destination, root.join(link)).unwrap();
    }
    let store = Arc::new(store_with(&[b"evil"]));
    for path in ["up/new", "up/outside/file", "absolute/new", "absolute/file", "absolute/sub/new", "file"] {
        for resolution in [ConflictResolution::Overwrite, ConflictResolution::CreateCopy, ConflictResolution::Skip] {
            let manifest = manifest(&[(path, b"evil")]);
            let error = fetch(&store, &root, &manifest, resolution).await.unwrap_err();
            assert!(matches!(&error, Error::PathOutsideRoot { .. }), "{path}: {error}");
            assert!(error.to_string().contains(path), "{error}");
        }
    }
    assert_eq!(tree_of(&outside), expected(&[("file", b"theirs")]));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn a_link_that_is_put_in_the_way_meanwhile_leads_nowhere() {
    let large = bytes(RANGE + 3, 9);
    for contents in [&b"new"[..], &large] {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
        std::fs::create_dir_all(&outside).unwrap();
        let (sub, target) = (root.join("a/sub"), outside.clone());
        // The directory is there when the download begins, and is swapped for a link while the contents are fetched.
        let swap = move |_: &str| {
            if std::fs::rename(&sub, sub.with_file_name("moved")).is_err() {
                std::fs::create_dir_all(sub.parent().unwrap()).unwrap();
            }
            let _ = std::os::unix::fs::symlink(&target, &sub);
        };
        let store = Arc::new(filled(store_that_tells(swap), &[contents]));
        let manifest = manifest(&[("a/sub/f", contents)]);
        for is_there in [false, true] {
            let _ = std::fs::remove_dir_all(&root);
            if is_there {
                std::fs::create_dir_all(root.join("a/sub")).unwrap();
            }
            let outcome = fetch(&store, &root, &manifest, ConflictResolution::Overwrite).await;
            if let Err(error) = outcome {
                assert!(matches!(&error, Error::PathOutsideRoot { .. }), "{error}");
            }
            assert_eq!(tree_of(&outside), BTreeMap::new());
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        }
    }
}

#[tokio::test]
async fn paths_in_each_others_way_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(store_with(&[b"1", b"2"]));
    for files in [
        [("a", b"1"), ("a", b"2")],
        [("a", b"1"), ("./a", b"2")],
        [("a/b", b"1"), ("a//b/.", b"2")],
        [("a", b"1"), ("a/b", b"2")],
        [("a/b/c", b"1"), ("a/b", b"1")],
    ] {
        let files = files.map(|(path, contents)| (path, &contents[..]));
        let error = fetch(&store, folder.path(), &manifest(&files), ConflictResolution::Overwrite).await.unwrap_err();
        assert!(matches!(&error, Error::ManifestInvalid { .. }), "{files:?}: {error}");
        assert!(error.to_string().contains('a'), "{error}");
    }
    assert_eq!((store.calls(), tree_of(folder.path()).len()), (0, 0));
    // The same file twice is one file.
    let twice = manifest(&[("a", b"1"), ("./a", b"1")]);
    let (_, counts) = fetch(&store, folder.path(), &twice, ConflictResolution::CreateCopy).await.unwrap();
    assert_eq!(tree_of(folder.path()), expected(&[("a", b"1")]));
    assert_eq!((counts.processed_files, counts.skipped_files), (1, 1));
}

#[tokio::test]
async fn sizes_that_no_file_has_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let mut files = FileTable::with_capacity(1);
    files.push(ManifestPath::from_wtf8(b"a"), Content::Hash(hash_bytes(b"")), -1, 0);
    let manifest = of_table(ManifestVersion::V2023_03_03, files);
    let error = fetch(&store, folder.path(), &manifest, ConflictResolution::Overwrite).await.unwrap_err();
    assert!(error.to_string().contains("has a negative size"), "{error}");
    assert_eq!(store.calls(), 0);
}
