//! `cache`: the hash cache and the S3 check cache.

use serde_json::json;

use crate::cli::arguments::{CacheAction, CacheArguments};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::status::SUCCESS;
use crate::cli::text;
use crate::{CacheFile, CacheFolder, CacheKind};

pub(in crate::cli) fn run(arguments: &CacheArguments, output: &Output) -> Result<u8, Failure> {
    let folder = arguments.folder.clone().map_or(CacheFolder::Default, CacheFolder::At);
    match arguments.action {
        CacheAction::Info => info(&folder, output),
        CacheAction::Clear => {
            let bytes = folder.files().iter().map(|file| file.size_bytes).sum::<u64>();
            let entries = folder.clear()?;
            output.remark(&format!("Removed {}", text::counted(entries, "entry", "entries")))?;
            output.summary(json!({ "removed_entries": entries, "bytes_before": bytes }))?;
            Ok(SUCCESS)
        }
    }
}

fn info(folder: &CacheFolder, output: &Output) -> Result<u8, Failure> {
    let files = folder.files();
    if files.is_empty() {
        return Err(Failure::text("there is no home directory: name the caches' folder with --folder"));
    }
    for file in &files {
        output.line(&shown(file))?;
    }
    let list = files.iter().map(|file| {
        json!({
            "cache": word(file.kind), "path": text::path(&file.path),
            "bytes": file.size_bytes, "entries": file.entries,
        })
    });
    output.summary(json!({ "caches": list.collect::<Vec<_>>() }))?;
    Ok(SUCCESS)
}

/// `Hash cache: 12 entries, 1.2 MB in /home/…`.
pub(super) fn shown(file: &CacheFile) -> String {
    let name = match file.kind {
        CacheKind::Hashes => "Hash cache",
        CacheKind::S3Check => "S3 check cache",
    };
    let path = text::path(&file.path);
    match file.entries {
        Some(entries) => {
            let entries = text::counted(entries, "entry", "entries");
            format!("{name}: {entries}, {} in {path}", text::bytes(file.size_bytes))
        }
        None => format!("{name}: {path} can't be read; it is put aside when it is next used"),
    }
}

pub(super) const fn word(kind: CacheKind) -> &'static str {
    match kind {
        CacheKind::Hashes => "hashes",
        CacheKind::S3Check => "s3_check",
    }
}
