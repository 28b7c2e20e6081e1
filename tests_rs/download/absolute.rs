//! Manifests with absolute paths, below a root that has a name and below none.

use std::os::unix::fs::symlink;

use super::*;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn absolute_paths_are_taken_where_they_lead_below_the_root() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().canonicalize().unwrap();
    let root = base.join("root");
    std::fs::create_dir_all(root.join("real")).unwrap();
    // By another name, through an absolute link that stays inside, and to what is not there yet.
    symlink(&root, base.join("other name")).unwrap();
    symlink(root.join("real"), root.join("link")).unwrap();
    let files = [
        (root.join("new/folder/a"), &b"1"[..]),
        (base.join("other name/b"), b"2"),
        (root.join("link/c"), b"3"),
        (root.join("././/d"), b"4"),
        (PathBuf::from("e"), b"5"),
    ];
    let manifest = manifest(&files.each_ref().map(|(path, contents)| (text(path), *contents)));
    let store = Arc::new(store_with(&[b"1", b"2", b"3", b"4", b"5"]));
    for given in [root.clone(), base.join("other name")] {
        let (report, counts) = fetch(&store, &given, &manifest, ConflictResolution::Overwrite).await.unwrap();
        assert_eq!(written(&report, &root), ["b", "d", "e", "new/folder/a", "real/c"]);
        assert_eq!(counts.processed_files, 5);
        assert_eq!(std::fs::read(root.join("real/c")).unwrap(), b"3");
        assert_eq!(mtime_micros(&root.join("b")), FIRST_MTIME_MICROS + 1);
    }
    // A root that is not there yet has them below it, too.
    std::fs::remove_dir_all(&root).unwrap();
    let manifest = super::manifest(&[(text(&root.join("x/y")), b"1")]);
    fetch(&store, &root, &manifest, ConflictResolution::CreateCopy).await.unwrap();
    assert_eq!(std::fs::read(root.join("x/y")).unwrap(), b"1");
}

#[tokio::test]
async fn absolute_paths_that_lead_elsewhere_are_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().canonicalize().unwrap();
    let (root, outside) = (base.join("root"), base.join("outside"));
    for made in [&root, &outside, &base.join("root-2")] {
        std::fs::create_dir_all(made).unwrap();
    }
    symlink(&outside, root.join("out")).unwrap();
    symlink("../outside", root.join("up")).unwrap();
    let store = Arc::new(store_with(&[b"good", b"evil"]));
    let below = |path: &str| format!("{}/{path}", root.display());
    let hostile = [
        text(&outside.join("x")).to_owned(),
        format!("{}-2/x", root.display()),
        below("out/x"),
        below("out/deep/x"),
        below("up/x"),
        below("../outside/x"),
        below("a/../x"),
        below("\0"),
        below(""),
        "/".to_owned(),
        "/..".to_owned(),
    ];
    for path in &hostile {
        let manifest = manifest(&[("good", b"good"), (path, b"evil")]);
        let error = fetch(&store, &root, &manifest, ConflictResolution::Overwrite).await.unwrap_err();
        assert!(matches!(error, Error::PathOutsideRoot { .. }), "{path:?}: {error}");
        assert!(error.to_string().contains("is not under the root directory: "), "{error}");
    }
    assert_eq!(store.calls(), 0);
    assert_eq!(tree_of(&outside), BTreeMap::new());
    assert_eq!(tree_of(&root).keys().collect::<Vec<_>>(), ["out", "up"]);
}

#[tokio::test]
async fn without_a_root_absolute_paths_are_taken_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().canonicalize().unwrap();
    std::fs::create_dir_all(base.join("real")).unwrap();
    symlink("real", base.join("link")).unwrap();
    std::fs::write(base.join("real/there"), "old").unwrap();
    symlink(base.join("real/there"), base.join("file link")).unwrap();
    symlink("nothing", base.join("dangling")).unwrap();
    let files = [
        (base.join("one/deep/a"), &b"1"[..]),
        (base.join("link/b"), b"2"),
        (base.join("link/there"), b"3"),
        (base.join("file link"), b"4"),
        (base.join("dangling"), b"5"),
    ];
    let manifest = manifest(&files.each_ref().map(|(path, contents)| (text(path), *contents)));
    let store = Arc::new(store_with(&[b"1", b"2", b"3", b"4", b"5"]));
    let none = Path::new("");
    let (report, _) = fetch(&store, none, &manifest, ConflictResolution::CreateCopy).await.unwrap();
    let names = ["dangling", "file link (1)", "one/deep/a", "real/b", "real/there (1)"];
    assert_eq!(written(&report, &base), names);
    assert_eq!(std::fs::read(base.join("real/there")).unwrap(), b"old");
    assert_eq!(std::fs::read(base.join("file link (1)")).unwrap(), b"4");
    // A link in the file's way is replaced, not written through.
    fetch(&store, none, &manifest, ConflictResolution::Overwrite).await.unwrap();
    assert_eq!(std::fs::read(base.join("real/there")).unwrap(), b"3");
    assert!(!base.join("file link").is_symlink());
    let (report, counts) = fetch(&store, none, &manifest, ConflictResolution::Skip).await.unwrap();
    assert_eq!((written(&report, &base).len(), counts.skipped_files), (0, 5));
    let (_, counts) = fetch(&store, none, &manifest, ConflictResolution::Resume).await.unwrap();
    assert_eq!(counts.skipped_files, 5);
}

#[tokio::test]
async fn without_a_root_one_path_may_come_twice() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().canonicalize().unwrap();
    symlink(".", base.join("same")).unwrap();
    let (path, again) = (base.join("a.exr"), base.join("same/a.exr"));
    let twice = manifest(&[(text(&path), b"1"), (text(&again), b"2")]);
    let store = Arc::new(store_with(&[b"1", b"2"]));
    fetch(&store, Path::new(""), &twice, ConflictResolution::CreateCopy).await.unwrap();
    assert_eq!(std::fs::read(base.join("a.exr")).unwrap(), b"1");
    assert_eq!(std::fs::read(base.join("a (1).exr")).unwrap(), b"2");
    fetch(&store, Path::new(""), &twice, ConflictResolution::Overwrite).await.unwrap();
    assert_eq!(std::fs::read(base.join("a.exr")).unwrap(), b"2");
    // Below a root that has a name nobody has said which should win.
    let error = fetch(&store, &base, &twice, ConflictResolution::Overwrite).await.unwrap_err();
    assert!(matches!(error, Error::ManifestInvalid { .. }), "{error}");
}

#[tokio::test]
async fn permissions_need_a_root() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let store = Arc::new(store_with(&[b"1"]));
    let manifest = manifest(&[(text(&path), b"1")]);
    let mut wanted = request(&store, &[(Path::new(""), &manifest)], ConflictResolution::Overwrite);
    wanted.options.permissions = Some(Permissions { group: None, file_mode: 0o040, directory_mode: 0o050 });
    let error = download(wanted, &Context::new()).await.unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    assert_eq!((store.calls(), tree_of(folder.path()).len()), (0, 0));
}

#[tokio::test]
async fn names_are_on_the_disk_though_directories_above_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().canonicalize().unwrap();
    // It may be walked through, and not be read: root reads it all the same.
    std::fs::create_dir_all(base.join("closed/open")).unwrap();
    std::fs::set_permissions(base.join("closed"), std::fs::Permissions::from_mode(0o111)).unwrap();
    let path = base.join("closed/open/new/a");
    let store = Arc::new(store_with(&[b"1"]));
    let manifest = manifest(&[(text(&path), b"1")]);
    let mut wanted = request(&store, &[(Path::new(""), &manifest)], ConflictResolution::Overwrite);
    wanted.options.sync = true;
    download(wanted, &Context::new()).await.unwrap();
    std::fs::set_permissions(base.join("closed"), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), b"1");
}

#[tokio::test]
async fn a_link_that_is_swapped_in_leads_nowhere_though_all_is_below_the_top() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().canonicalize().unwrap();
    let (target, outside) = (base.join("target"), base.join("outside"));
    std::fs::create_dir_all(&outside).unwrap();
    for is_there in [false, true] {
        let _ = std::fs::remove_file(&target);
        if is_there {
            std::fs::create_dir_all(&target).unwrap();
        }
        let (from, to, aside) = (target.clone(), outside.clone(), base.join("aside"));
        let swap = move |_: &str| {
            let _ = std::fs::rename(&from, &aside);
            let _ = symlink(&to, &from);
        };
        let store = Arc::new(filled(store_that_tells(swap), &[b"new"]));
        let manifest = manifest(&[(text(&target.join("f")), b"new")]);
        let error = fetch(&store, Path::new(""), &manifest, ConflictResolution::Overwrite).await.unwrap_err();
        assert!(matches!(&error, Error::PathOutsideRoot { .. }), "{error}");
        assert_eq!(tree_of(&outside), BTreeMap::new());
    }
}
