//! `ls`, `tree` and `du`: what is in a manifest or a job.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use serde_json::json;

use crate::cli::arguments::{DuArguments, LsArguments, Sort, Source, TreeArguments};
use crate::cli::failure::Failure;
use crate::cli::places::{Reader, S3Place, filtered};
use crate::cli::progress::Runner;
use crate::cli::status::SUCCESS;
use crate::cli::text;
use crate::{Content, Entry, JobAttachmentS3Settings, Manifest};

/// The manifest that was named, or one of all roots of a job's outputs.
async fn load(source: &Source, runner: Runner<'_>) -> Result<Vec<Arc<Manifest>>, Failure> {
    let mut reader = Reader::new(runner, &source.connection);
    if source.job.job.is_none() {
        let manifest = reader.manifest(&source.manifest).await?;
        return Ok(vec![filtered(manifest, &source.include)?]);
    }
    let needs = || Failure::usage("a job's outputs are below s3://bucket/prefix");
    let place = S3Place::parse(&source.manifest).ok_or_else(needs)??;
    let settings = JobAttachmentS3Settings::new(place.bucket, place.key);
    let request = source.job.request(&settings).ok_or_else(needs)?;
    let client = reader.client().await?;
    let found = runner.run("Looking", Some(&client), client.outputs(request)).await?;
    found.into_iter().map(|root| filtered(root.manifest, &source.include)).collect()
}

fn entries(manifests: &[Arc<Manifest>]) -> impl Iterator<Item = Entry<'_>> {
    manifests.iter().flat_map(|manifest| manifest.entries())
}

fn size(entry: &Entry<'_>) -> u64 {
    entry.size_bytes().unsigned_abs()
}

pub(super) async fn ls(arguments: &LsArguments, runner: Runner<'_>) -> Result<u8, Failure> {
    let manifests = load(&arguments.source, runner).await?;
    let mut all: Vec<Entry<'_>> = entries(&manifests).collect();
    match arguments.sort {
        Sort::Path => all.sort_by_key(Entry::path),
        Sort::Size => all.sort_by_key(|entry| (Reverse(size(entry)), entry.path())),
        Sort::Time => all.sort_by_key(|entry| (Reverse(entry.mtime_micros()), entry.path())),
    }
    if arguments.reverse {
        all.reverse();
    }
    let output = runner.output;
    let bytes = all.iter().map(size).sum::<u64>();
    if output.is_json() {
        for entry in &all {
            output.event("file", file(entry))?;
        }
    } else {
        let mut lines = BufWriter::new(std::io::stdout().lock());
        for entry in &all {
            let path = text::manifest_path(entry.path());
            if arguments.long {
                let (size, time) = (text::bytes(size(entry)), text::time(entry.mtime_micros()));
                writeln!(lines, "{size:>8}  {time}  {path}")?;
            } else {
                writeln!(lines, "{path}")?;
            }
        }
        lines.flush()?;
    }
    if arguments.long {
        output.remark(&format!("{}, {}", text::files(all.len() as u64), text::bytes(bytes)))?;
    }
    output.summary(json!({ "files": all.len(), "bytes": bytes }))?;
    Ok(SUCCESS)
}

fn file(entry: &Entry<'_>) -> serde_json::Value {
    let hash = match entry.content() {
        Content::Hash(hash) => Some(hash.to_string()),
        _ => None,
    };
    json!({
        "path": text::manifest_path(entry.path()),
        "size_bytes": entry.size_bytes(),
        "mtime_micros": entry.mtime_micros(),
        "hash": hash,
    })
}

/// Files and bytes under one name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    files: u64,
    bytes: u64,
}

impl Sum {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// Folders down to so many levels, each with all that is below it. The root has no components.
fn folders<'a>(entries: impl Iterator<Item = Entry<'a>>, depth: usize) -> BTreeMap<Vec<&'a [u8]>, Sum> {
    let mut sums: BTreeMap<Vec<&[u8]>, Sum> = BTreeMap::from([(Vec::new(), Sum::default())]);
    for entry in entries {
        let mut parts: Vec<&[u8]> = entry.path().components().collect();
        parts.pop();
        for level in 0..=parts.len().min(depth) {
            sums.entry(parts[..level].to_vec()).or_default().add(size(&entry));
        }
    }
    sums
}

fn name(parts: &[&[u8]]) -> String {
    if parts.is_empty() { ".".to_owned() } else { lossy(&parts.join(&b'/')) }
}

fn lossy(bytes: &[u8]) -> String {
    text::path(std::path::Path::new(&*String::from_utf8_lossy(bytes)))
}

pub(super) async fn tree(arguments: &TreeArguments, runner: Runner<'_>) -> Result<u8, Failure> {
    let manifests = load(&arguments.source, runner).await?;
    let sums = folders(entries(&manifests), arguments.depth.unwrap_or(usize::MAX));
    let output = runner.output;
    for (parts, sum) in &sums {
        let shown = match parts.split_last() {
            Some((last, above)) => format!("{}{}/", "  ".repeat(above.len() + 1), lossy(last)),
            None => "./".to_owned(),
        };
        output.line(&format!("{shown}  {}, {}", text::files(sum.files), text::bytes(sum.bytes)))?;
        output.event("folder", folder(parts, *sum))?;
    }
    summarise(&manifests, runner)
}

fn folder(parts: &[&[u8]], sum: Sum) -> serde_json::Value {
    json!({ "path": name(parts), "files": sum.files, "bytes": sum.bytes })
}

fn summarise(manifests: &[Arc<Manifest>], runner: Runner<'_>) -> Result<u8, Failure> {
    let files = entries(manifests).count();
    let bytes = entries(manifests).map(|entry| size(&entry)).sum::<u64>();
    runner.output.summary(json!({ "files": files, "bytes": bytes }))?;
    Ok(SUCCESS)
}

pub(super) async fn du(arguments: &DuArguments, runner: Runner<'_>) -> Result<u8, Failure> {
    let manifests = load(&arguments.source, runner).await?;
    if arguments.duplicates {
        duplicates(&manifests, runner)?;
    } else if arguments.by_extension {
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        for entry in entries(&manifests) {
            sums.entry(extension(&entry)).or_default().add(size(&entry));
        }
        let mut sums: Vec<(String, Sum)> = sums.into_iter().collect();
        sums.sort_by_key(|(_, sum)| Reverse(sum.bytes));
        for (extension, sum) in sums {
            let shown = if extension.is_empty() { "(none)" } else { &extension };
            line(sum, shown, runner)?;
            let fields = json!({ "extension": extension, "files": sum.files, "bytes": sum.bytes });
            runner.output.event("extension", fields)?;
        }
    } else {
        for (parts, sum) in folders(entries(&manifests), arguments.depth) {
            line(sum, &name(&parts), runner)?;
            runner.output.event("folder", folder(&parts, sum))?;
        }
    }
    summarise(&manifests, runner)
}

fn line(sum: Sum, name: &str, runner: Runner<'_>) -> Result<(), Failure> {
    runner.output.line(&format!("{:>8}  {:>9}  {name}", text::bytes(sum.bytes), text::grouped(sum.files)))
}

/// The last suffix of a file's name: none for `.hidden` and for `name.`.
fn extension(entry: &Entry<'_>) -> String {
    let name = entry.path().components().next_back().unwrap_or_default();
    match name.iter().rposition(|byte| *byte == b'.') {
        Some(dot) if dot > 0 && dot + 1 < name.len() => lossy(&name[dot..]),
        _ => String::new(),
    }
}

/// Files with the same contents, by the bytes that the copies take.
fn duplicates(manifests: &[Arc<Manifest>], runner: Runner<'_>) -> Result<(), Failure> {
    let mut groups: BTreeMap<String, Vec<Entry<'_>>> = BTreeMap::new();
    for entry in entries(manifests) {
        if let Content::Hash(hash) = entry.content() {
            groups.entry(hash.to_string()).or_default().push(entry);
        }
    }
    let mut groups: Vec<(String, Vec<Entry<'_>>)> = groups.into_iter().filter(|(_, group)| group.len() > 1).collect();
    let wasted = |group: &[Entry<'_>]| size(&group[0]) * (group.len() as u64 - 1);
    groups.sort_by_key(|(_, group)| Reverse(wasted(group)));
    for (hash, group) in &groups {
        let paths: Vec<String> = group.iter().map(|entry| text::manifest_path(entry.path())).collect();
        let count = group.len() as u64;
        runner.output.line(&format!("{} times {}:", text::grouped(count), text::bytes(size(&group[0]))))?;
        for path in &paths {
            runner.output.line(&format!("  {path}"))?;
        }
        let fields = json!({ "hash": hash, "size_bytes": size(&group[0]), "paths": paths });
        runner.output.event("duplicates", fields)?;
    }
    let total = groups.iter().map(|(_, group)| wasted(group)).sum::<u64>();
    runner.output.remark(&format!("Copies take {}; S3 keeps each contents once", text::bytes(total)))
}
