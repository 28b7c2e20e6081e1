//! `peer-openjd-snapshots upload|download FOLDER BUCKET MANIFEST`: hashes and uploads a folder and writes its manifest
//! (2023-03-03), or downloads what a manifest names into a folder.

use std::error::Error;
use std::sync::Arc;

use openjd_snapshots::{
    AbsManifest, AsyncDataCache, CollectOptions, DownloadOptions, HashUploadOptions, S3DataCache, SymlinkPolicy,
    WHOLE_FILE_CHUNK_SIZE, collect_abs_snapshot, decode_v2023, download_abs_manifest, encode_snapshot_v2023,
    hash_upload_abs_manifest, join_snapshot, subtree_snapshot,
};

async fn cache(bucket: &str) -> Arc<dyn AsyncDataCache> {
    let settings = aws_config::defaults(aws_config::BehaviorVersion::latest()).load().await;
    let settings = aws_sdk_s3::config::Builder::from(&settings).force_path_style(true).build();
    let client = aws_sdk_s3::Client::from_conf(settings);
    Arc::new(S3DataCache::new(bucket.to_owned(), "root/Data".to_owned(), client))
}

async fn upload(folder: &str, bucket: &str, manifest: &str) -> Result<(), Box<dyn Error>> {
    let options = CollectOptions { file_chunk_size_bytes: Some(WHOLE_FILE_CHUNK_SIZE), ..CollectOptions::default() };
    let found = AbsManifest::Snapshot(collect_abs_snapshot(&[folder], &[] as &[&str], options)?);
    let options =
        HashUploadOptions { file_chunk_size_bytes: Some(WHOLE_FILE_CHUNK_SIZE), ..HashUploadOptions::default() };
    let AbsManifest::Snapshot(hashed) = hash_upload_abs_manifest(&found, cache(bucket).await, options).await?.manifest
    else {
        return Err("a snapshot became a diff".into());
    };
    let relative = subtree_snapshot(&hashed, folder, SymlinkPolicy::CollapseAll)?;
    Ok(std::fs::write(manifest, encode_snapshot_v2023(&relative)?)?)
}

async fn download(folder: &str, bucket: &str, manifest: &str) -> Result<(), Box<dyn Error>> {
    let relative = decode_v2023(&std::fs::read_to_string(manifest)?)?;
    let wanted = AbsManifest::Snapshot(join_snapshot(&relative, folder)?);
    download_abs_manifest(&wanted, cache(bucket).await, DownloadOptions::default()).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["upload", folder, bucket, manifest] => upload(folder, bucket, manifest).await,
        ["download", folder, bucket, manifest] => download(folder, bucket, manifest).await,
        _ => Err("peer-openjd-snapshots upload|download FOLDER BUCKET MANIFEST".into()),
    }
}
