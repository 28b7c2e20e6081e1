//! Work on this machine: it counts, it beats, and it ends where its caller says so.

use super::*;
use rusty_attachments::transfer::context::LogLevel;

/// Larger than one step of copying.
fn large() -> Vec<u8> {
    bytes(RANGE + 9, 5)
}

#[tokio::test]
async fn copies_count_as_they_are_made() {
    let (folder, contents) = (tempfile::tempdir().unwrap(), large());
    let store = Arc::new(store_with(&[&contents]));
    let files: Vec<(&str, &[u8])> = ["a", "b", "c"].iter().map(|name| (*name, contents.as_slice())).collect();
    let context = Context::new();
    let wanted = manifest(&files);
    download(request(&store, &[(folder.path(), &wanted)], ConflictResolution::CreateCopy), &context).await.unwrap();
    let end = context.progress.snapshot();
    assert_eq!((end.processed_files, end.processed_bytes), (3, 3 * contents.len() as u64));
    assert_eq!(tree_of(folder.path()), expected(&files));
    // Local work is over: a look is no beat any more.
    assert_eq!(context.progress.snapshot().beats, end.beats);
}

#[tokio::test]
async fn every_look_at_what_is_there_is_a_beat() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..500).map(|number| format!("d{}/{number}", number % 7)).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
    let store = Arc::new(store_with(&[b"x"]));
    let wanted = manifest(&files);
    let (first, again) = (Context::new(), Context::new());
    let asked = || request(&store, &[(folder.path(), &wanted)], ConflictResolution::Skip);
    download(asked(), &first).await.unwrap();
    std::fs::remove_file(folder.path().join("d0/7")).unwrap();
    download(asked(), &again).await.unwrap();
    let end = again.progress.snapshot();
    assert_eq!((end.processed_files, end.skipped_files, end.beats), (1, 499, 500));
    assert!(folder.path().join("d0/7").is_file());
}

#[tokio::test]
async fn looks_and_copies_end_with_the_call() {
    let (folder, contents) = (tempfile::tempdir().unwrap(), large());
    let store = Arc::new(store_with(&[&contents]));
    let files: Vec<(&str, &[u8])> = ["a", "b", "c", "d"].iter().map(|name| (*name, contents.as_slice())).collect();
    let wanted = manifest(&files);
    // The first copy is told of once it has its name; then the call ends.
    let context = Context::new();
    let cancel = context.cancel.clone();
    let context = context.with_log(LogLevel::Debug, Arc::new(move |_| cancel.cancel()));
    let asked = || request(&store, &[(folder.path(), &wanted)], ConflictResolution::Skip);
    let ended = download(asked(), &context).await.unwrap_err();
    assert!(ended.is_cancelled(), "{ended}");
    assert_eq!(tree_of(folder.path()), expected(&[("b", &contents)]));
    // A call that has ended looks at nothing.
    let before = context.progress.snapshot().beats;
    assert!(download(asked(), &context).await.unwrap_err().is_cancelled());
    assert_eq!(context.progress.snapshot().beats, before);
}
