//! `snapshot`: hash a folder and write a manifest of it.

use std::path::PathBuf;

use serde_json::json;

use crate::cli::arguments::{Format, SnapshotArguments};
use crate::cli::failure::Failure;
use crate::cli::options::Patterns;
use crate::cli::places::Reader;
use crate::cli::progress::Runner;
use crate::cli::status::SUCCESS;
use crate::cli::text;
use crate::{Error, SnapshotRequest, SymlinkPolicy, snapshot};

pub(super) async fn run(arguments: &SnapshotArguments, runner: Runner<'_>) -> Result<u8, Failure> {
    let mut request = request(&arguments.root, &arguments.patterns);
    if arguments.format == Format::V2025 {
        let policy = arguments.symlinks.map_or_else(SymlinkPolicy::default, SymlinkPolicy::from);
        request = request.symlinks(policy);
    } else if arguments.symlinks.is_some() {
        return Err(Failure::usage("--symlinks needs --format 2025-12-04-beta: the other format has no links"));
    }
    if let Some(earlier) = &arguments.diff {
        let earlier = Reader::new(runner, &arguments.connection).manifest(earlier).await?;
        request = request.changed_since(earlier);
    }
    let report = runner.run("Hashing", None, snapshot(request)).await?;
    let manifest = report.manifest;
    let encoded = manifest.encode()?;
    if arguments.output.as_os_str() == "-" {
        runner.output.line(&encoded)?;
    }
    let hash = manifest.hash()?;
    let path = if arguments.output.as_os_str() == "-" {
        None
    } else {
        Some(write(&arguments.output, &format!("{hash}.manifest"), &encoded)?)
    };
    let read: u64 = report.hashed.values().sum();
    if let Some(path) = &path {
        runner.output.remark(&format!(
            "{}, {}; {} read",
            text::files(manifest.len() as u64),
            text::bytes(manifest.total_size_bytes().unsigned_abs()),
            text::grouped(read),
        ))?;
        runner.output.line(&format!("Manifest: {}", text::path(path)))?;
    }
    runner.output.summary(json!({
        "files": manifest.len(),
        "bytes": manifest.total_size_bytes(),
        "hashed_files": read,
        "manifest": path.as_ref().map(|path| text::path(path)),
        "manifest_hash": hash.to_string(),
    }))?;
    Ok(SUCCESS)
}

/// The files of a folder that match; hidden ones only where a pattern names them.
pub(super) fn request(root: &std::path::Path, patterns: &Patterns) -> SnapshotRequest {
    let mut request = SnapshotRequest::new(root).exclude(patterns.exclude.iter().map(String::as_str));
    if !patterns.include.is_empty() {
        request = request.include(patterns.include.iter().map(String::as_str));
    }
    request
}

fn write(directory: &std::path::Path, name: &str, text: &str) -> Result<PathBuf, Failure> {
    std::fs::create_dir_all(directory).map_err(|error| Error::io("create directory", directory, error))?;
    let path = directory.join(name);
    std::fs::write(&path, text).map_err(|error| Error::io("write", &path, error))?;
    Ok(path)
}
