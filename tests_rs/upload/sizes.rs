//! Sizes around the limits of parts.

use super::*;

#[tokio::test]
async fn every_size_around_a_part_arrives_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    for (seed, length) in [0, 1, PART - 1, PART, PART + 1, 3 * PART + 7].into_iter().enumerate() {
        let contents = bytes(length, u8::try_from(seed).unwrap());
        let store = Arc::new(MemoryStore::new());
        let manifest = tree(folder.path(), &[("file", &contents)]);
        let context = Context::new();
        upload_assets(request(&store, folder.path(), manifest), &context).await.unwrap();
        assert_eq!(store.objects()[&key_of(&contents)], contents, "{length} bytes");
        assert_eq!(context.progress.snapshot().processed_bytes, length as u64);
        assert_eq!(store.uploads(), []);
    }
}
