//! `pull`: download the files of manifests.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use crate::cli::arguments::{Conflict, PullArguments, WriteOptions};
use crate::cli::failure::Failure;
use crate::cli::places::{Reader, filtered, settings_of};
use crate::cli::progress::Runner;
use crate::cli::status::SUCCESS;
use crate::cli::text;
use crate::{
    Client, Content, DownloadOptions, DownloadRequest, JobAttachmentS3Settings, Manifest, Mismatch, VerifyFilesRequest,
    verify_files,
};

pub(super) async fn run(arguments: &PullArguments, runner: Runner<'_>) -> Result<u8, Failure> {
    let settings = settings_of(arguments.from.as_ref(), &arguments.manifests, "--from")?;
    let mut reader = Reader::new(runner, &arguments.connection);
    let manifest = filtered(reader.merged(&arguments.manifests).await?, &arguments.write.include)?;
    let roots = vec![(arguments.destination.clone(), manifest)];
    if arguments.write.dry_run {
        return dry_run(roots, arguments.write.conflict, runner).await;
    }
    let client = reader.client().await?;
    let how = How { write: &arguments.write, memory: arguments.memory.memory };
    download(&client, &settings, roots, &how, runner).await
}

/// How files are written, and within how much memory.
pub(super) struct How<'a> {
    pub(super) write: &'a WriteOptions,
    pub(super) memory: u64,
}

/// Downloads the files of manifests below their folders, and says how it went.
pub(super) async fn download(
    client: &Client,
    settings: &JobAttachmentS3Settings,
    roots: Vec<(PathBuf, Arc<Manifest>)>,
    how: &How<'_>,
    runner: Runner<'_>,
) -> Result<u8, Failure> {
    let options = DownloadOptions {
        conflicts: how.write.conflict.into(),
        verify: how.write.verify.into(),
        sync: how.write.fsync,
        buffer_bytes: how.memory,
        ..DownloadOptions::default()
    };
    let folders: Vec<PathBuf> = roots.iter().map(|(folder, _)| folder.clone()).collect();
    let mut request = DownloadRequest::new(settings).options(options);
    for (folder, manifest) in roots {
        request = request.root(folder, manifest);
    }
    let report = runner.run("Downloading", Some(client), client.download(request)).await?;
    let output = runner.output;
    for path in report.written.iter().flatten() {
        output.event("file", json!({ "path": text::path(path) }))?;
    }
    let (files, bytes) = (text::files(report.downloaded_files), text::bytes(report.downloaded_bytes));
    let stayed = match report.skipped_files {
        0 => String::new(),
        count => format!("; {} ({}) left alone", text::files(count), text::bytes(report.skipped_bytes)),
    };
    output.remark(&format!("Downloaded {files} ({bytes}){stayed}"))?;
    for folder in &folders {
        output.remark(&format!("Folder: {}", text::path(folder)))?;
    }
    output.summary(json!({
        "downloaded_files": report.downloaded_files,
        "downloaded_bytes": report.downloaded_bytes,
        "skipped_files": report.skipped_files,
        "skipped_bytes": report.skipped_bytes,
        "folders": folders.iter().map(|folder| text::path(folder)).collect::<Vec<_>>(),
        "dry_run": false,
    }))?;
    Ok(SUCCESS)
}

/// What a download would do.
#[derive(Default)]
struct Planned {
    written_files: u64,
    written_bytes: u64,
    skipped_files: u64,
    fetched_objects: u64,
    fetched_bytes: u64,
}

/// Says what would be fetched and written, by what is there now.
pub(super) async fn dry_run(
    roots: Vec<(PathBuf, Arc<Manifest>)>,
    conflict: Conflict,
    runner: Runner<'_>,
) -> Result<u8, Failure> {
    let mut planned = Planned::default();
    let mut fetched = HashSet::new();
    for (folder, manifest) in &roots {
        let written = written(folder, manifest, conflict, runner).await?;
        for entry in manifest.entries() {
            if written.as_ref().is_some_and(|written| !written.contains(entry.path().as_bytes())) {
                planned.skipped_files += 1;
                continue;
            }
            let size = entry.size_bytes().unsigned_abs();
            planned.written_files += 1;
            planned.written_bytes += size;
            let is_first = match entry.content() {
                Content::Hash(hash) => fetched.insert(hash.to_string()),
                Content::Chunks(hashes) => fetched.insert(hashes.iter().map(|hash| hash.text()).collect::<String>()),
                _ => false,
            };
            if is_first {
                planned.fetched_objects += 1;
                planned.fetched_bytes += size;
            }
        }
    }
    say(&planned, runner)
}

fn say(planned: &Planned, runner: Runner<'_>) -> Result<u8, Failure> {
    let left_alone = match planned.skipped_files {
        0 => String::new(),
        count => format!("; {} left alone", text::files(count)),
    };
    runner.output.line(&format!(
        "Would fetch {} ({}) and write {} ({}){left_alone}",
        text::counted(planned.fetched_objects, "object", "objects"),
        text::bytes(planned.fetched_bytes),
        text::files(planned.written_files),
        text::bytes(planned.written_bytes),
    ))?;
    runner.output.summary(json!({
        "would_fetch_objects": planned.fetched_objects,
        "would_fetch_bytes": planned.fetched_bytes,
        "would_write_files": planned.written_files,
        "would_write_bytes": planned.written_bytes,
        "would_skip_files": planned.skipped_files,
        "dry_run": true,
    }))?;
    Ok(SUCCESS)
}

/// The paths that would be written; `None` for all.
async fn written(
    folder: &Path,
    manifest: &Arc<Manifest>,
    conflict: Conflict,
    runner: Runner<'_>,
) -> Result<Option<HashSet<Vec<u8>>>, Failure> {
    let contents = match conflict {
        Conflict::CreateCopy | Conflict::Overwrite => return Ok(None),
        Conflict::Skip => false,
        Conflict::Resume => true,
    };
    if !folder.exists() {
        return Ok(None);
    }
    let mut request = VerifyFilesRequest::new(Arc::clone(manifest), folder);
    request.contents = contents;
    let report = runner.run("Checking", None, verify_files(request)).await?;
    let counts = |mismatch: &Mismatch| contents || *mismatch == Mismatch::Missing;
    let wrong: HashSet<PathBuf> =
        report.problems.into_iter().filter(|problem| counts(&problem.mismatch)).map(|problem| problem.path).collect();
    let is_wrong = |name: &std::ffi::OsString| wrong.contains(Path::new(name));
    let paths = manifest.entries().map(|entry| entry.path());
    let chosen = paths.filter(|path| path.to_os_string().is_ok_and(|name| is_wrong(&name)));
    Ok(Some(chosen.map(|path| path.as_bytes().to_vec()).collect()))
}
