//! `push`: upload a folder and a manifest of it.

use std::sync::Arc;

use serde_json::json;

use super::snapshot;
use crate::cli::arguments::PushArguments;
use crate::cli::failure::Failure;
use crate::cli::places::Reader;
use crate::cli::progress::Runner;
use crate::cli::status::SUCCESS;
use crate::cli::text;
use crate::{Client, Manifest, UploadOptions, UploadRequest, VerifyObjectsRequest};

/// The folder of pushed manifests below `<prefix>/Manifests/`.
const FOLDER: &str = "push";

pub(super) async fn run(arguments: PushArguments, runner: Runner<'_>) -> Result<u8, Failure> {
    let request = snapshot::request(&arguments.root, &arguments.patterns);
    let client = Reader::new(runner, &arguments.connection).client().await?;
    let manifest = runner.run("Hashing", None, crate::snapshot(request)).await?.manifest;
    if arguments.dry_run {
        return dry_run(&arguments, &client, manifest, runner).await;
    }
    let name = match &arguments.name {
        Some(name) => name.trim_matches('/').to_owned(),
        None => manifest.hash()?.to_string(),
    };
    let (buffer_bytes, force_check) = (arguments.memory.memory, arguments.force_check);
    let options = UploadOptions { force_check, buffer_bytes, ..UploadOptions::default() };
    let settings = &arguments.destination;
    let upload = UploadRequest::new(settings, Arc::clone(&manifest), &arguments.root)
        .manifest_key(format!("{FOLDER}/{name}"))
        .options(options);
    let report = runner.run("Uploading", Some(&client), client.upload(upload)).await?;
    let key = report.manifest_key.unwrap_or_default();
    let url = format!("s3://{}/{key}", settings.bucket);
    let output = runner.output;
    output.remark(&format!(
        "Uploaded {} ({}); {} ({}) {} in S3 already",
        text::files(report.uploaded_files),
        text::bytes(report.uploaded_bytes),
        text::files(report.skipped_files),
        text::bytes(report.skipped_bytes),
        if report.skipped_files == 1 { "was" } else { "were" },
    ))?;
    output.line(&format!("Manifest: {url}"))?;
    output.summary(json!({
        "uploaded_files": report.uploaded_files,
        "uploaded_bytes": report.uploaded_bytes,
        "skipped_files": report.skipped_files,
        "skipped_bytes": report.skipped_bytes,
        "manifest": url,
        "manifest_hash": report.manifest_hash.to_string(),
        "dry_run": false,
    }))?;
    Ok(SUCCESS)
}

async fn dry_run(
    arguments: &PushArguments,
    client: &Client,
    manifest: Arc<Manifest>,
    runner: Runner<'_>,
) -> Result<u8, Failure> {
    let files = manifest.len();
    let bytes = manifest.total_size_bytes();
    let request = VerifyObjectsRequest::new(&arguments.destination, Arc::clone(&manifest));
    let report = runner.run("Checking", Some(client), client.verify_objects(request)).await?;
    runner.output.line(&format!(
        "Would upload {} ({}) of {} ({})",
        text::counted(report.missing_objects, "object", "objects"),
        text::bytes(report.missing_bytes),
        text::files(files as u64),
        text::bytes(bytes.unsigned_abs()),
    ))?;
    runner.output.summary(json!({
        "files": files,
        "bytes": bytes,
        "would_upload_objects": report.missing_objects,
        "would_upload_bytes": report.missing_bytes,
        "dry_run": true,
    }))?;
    Ok(SUCCESS)
}
