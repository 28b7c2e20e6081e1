//! Several roots at once.

use super::*;
use rusty_attachments::fs::path_list::PathList;

#[tokio::test]
async fn roots_share_contents_and_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["one", "two/deep", "three"].map(|name| folder.path().join(name));
    let large = bytes(RANGE + 1, 4);
    let manifests = [
        manifest(&[("a", b"same"), ("large", &large)]),
        manifest(&[("a", b"same"), ("a copy", b"same"), ("b", b"other")]),
        manifest(&[("again", &large)]),
    ];
    let store = Arc::new(store_with(&[b"same", b"other", &large]));
    let roots: Vec<(&Path, &Manifest)> = paths.iter().map(PathBuf::as_path).zip(&manifests).collect();
    let context = Context::new();
    let report = download(request(&store, &roots, ConflictResolution::CreateCopy), &context).await.unwrap();
    assert_eq!(store.calls(), 4, "each content once over all roots");
    assert!(tree_of(&paths[0]) == expected(&[("a", b"same"), ("large", &large)]));
    assert!(tree_of(&paths[1]) == expected(&[("a", b"same"), ("a copy", b"same"), ("b", b"other")]));
    assert!(tree_of(&paths[2]) == expected(&[("again", &large)]));
    assert_eq!(report.written.iter().map(PathList::len).collect::<Vec<_>>(), [2, 3, 1]);
    assert_eq!(context.progress.snapshot().processed_files, 6);
}

#[tokio::test]
async fn two_manifests_for_one_directory_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    std::os::unix::fs::symlink("root", folder.path().join("alias")).unwrap();
    let store = Arc::new(store_with(&[b"1", b"2"]));
    let (one, other) = (manifest(&[("a", b"1")]), manifest(&[("b", b"2")]));
    for second in [root.clone(), root.join("../root"), folder.path().join("alias")] {
        let roots = [(root.as_path(), &one), (second.as_path(), &other)];
        let asked = request(&store, &roots, ConflictResolution::Overwrite);
        let error = download(asked, &Context::new()).await.unwrap_err();
        assert!(error.to_string().contains("are the same directory: merge their manifests first"), "{error}");
        assert!(error.to_string().contains(second.to_str().unwrap()), "{error}");
    }
    assert_eq!((store.calls(), tree_of(&root).len()), (0, 0));
}

#[tokio::test]
async fn a_root_that_cannot_be_made_fails_before_the_others_are_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good"), folder.path().join("file/below"));
    std::fs::write(folder.path().join("file"), "").unwrap();
    let store = Arc::new(store_with(&[b"1"]));
    let manifest = manifest(&[("a", b"1")]);
    let asked = request(&store, &[(&good, &manifest), (&bad, &manifest)], ConflictResolution::Overwrite);
    let error = download(asked, &Context::new()).await.unwrap_err();
    assert!(error.to_string().contains("Failed to create download directory"), "{error}");
    assert!(error.to_string().contains(bad.to_str().unwrap()), "{error}");
    assert_eq!((store.calls(), tree_of(&good).len()), (0, 0));
}
