//! `outputs`: what a job has produced.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::pull::{How, download, dry_run};
use crate::cli::arguments::OutputsArguments;
use crate::cli::failure::Failure;
use crate::cli::places::{Reader, filtered};
use crate::cli::progress::Runner;
use crate::cli::status::SUCCESS;
use crate::cli::text;
use crate::{Error, Manifest, PathFormat, PathMappingRule, PathMappingRuleApplier, RootOutputs};

type Roots = Vec<(PathBuf, Arc<Manifest>)>;

pub(super) async fn run(arguments: &OutputsArguments, runner: Runner<'_>) -> Result<u8, Failure> {
    let Some(request) = arguments.job.request(&arguments.source) else {
        return Err(Failure::usage("name the job with --farm, --queue and --job"));
    };
    let mut reader = Reader::new(runner, &arguments.connection);
    let client = reader.client().await?;
    let found = runner.run("Looking", Some(&client), client.outputs(request)).await?;
    let mut outputs = Vec::with_capacity(found.len());
    for mut each in found {
        each.manifest = filtered(each.manifest, &arguments.write.include)?;
        outputs.push(each);
    }
    if outputs.is_empty() {
        runner.output.remark("There are no outputs")?;
        runner.output.summary(json!({ "downloaded_files": 0, "downloaded_bytes": 0 }))?;
        return Ok(SUCCESS);
    }
    if arguments.list {
        return list(&outputs, runner);
    }
    let roots = placed(outputs, arguments)?;
    if arguments.write.dry_run {
        return dry_run(roots, arguments.write.conflict, runner).await;
    }
    let how = How { write: &arguments.write, memory: arguments.memory.memory };
    download(&client, &arguments.source, roots, &how, runner).await
}

fn list(outputs: &[RootOutputs], runner: Runner<'_>) -> Result<u8, Failure> {
    let output = runner.output;
    let (mut files, mut bytes) = (0, 0);
    for root in outputs {
        let root_text = text::path(&root.root);
        output.line(&format!("{root_text}:"))?;
        for entry in root.manifest.entries() {
            let (path, size) = (text::manifest_path(entry.path()), entry.size_bytes().unsigned_abs());
            output.line(&format!("{:>8}  {path}", text::bytes(size)))?;
            output.event("file", json!({ "root": root_text, "path": path, "size_bytes": size }))?;
            files += 1;
            bytes += size;
        }
    }
    output.remark(&format!("{}, {}", text::files(files), text::bytes(bytes)))?;
    output.summary(json!({ "files": files, "bytes": bytes, "roots": outputs.len() }))?;
    Ok(SUCCESS)
}

/// Where the files of each root go on this machine.
fn placed(outputs: Vec<RootOutputs>, arguments: &OutputsArguments) -> Result<Roots, Failure> {
    if let Some(destination) = &arguments.destination {
        return Ok(below(destination, outputs));
    }
    let rules = rules(arguments)?;
    let applier = PathMappingRuleApplier::for_host(&rules)?;
    let place = |root: RootOutputs| {
        let shown = root.root.display().to_string();
        let mapped = applier.map(&shown).unwrap_or_else(|| root.root.clone());
        if mapped.is_absolute() {
            return Ok((mapped, root.manifest));
        }
        let text = format!("the job's folder '{shown}' can't be on this machine: name DEST, or map it with --map");
        Err(Failure::text(text))
    };
    outputs.into_iter().map(place).collect()
}

/// One root goes to the folder itself; several go to folders below it, named after the roots.
fn below(destination: &Path, outputs: Vec<RootOutputs>) -> Roots {
    if outputs.len() == 1 {
        return outputs.into_iter().map(|root| (destination.to_owned(), root.manifest)).collect();
    }
    let mut uses: HashMap<String, u32> = HashMap::new();
    let place = |root: RootOutputs| {
        let shown = root.root.display().to_string();
        let name = shown.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or("root").replace(':', "");
        let number = uses.entry(name.clone()).or_default();
        *number += 1;
        let folder = if *number == 1 { name } else { format!("{name} ({number})") };
        (destination.join(folder), root.manifest)
    };
    outputs.into_iter().map(place).collect()
}

fn rules(arguments: &OutputsArguments) -> Result<Vec<PathMappingRule>, Failure> {
    if let Some(path) = &arguments.path_mapping {
        let text = std::fs::read_to_string(path).map_err(|error| Error::io("read", path, error))?;
        let rules = PathMappingRule::from_json(&text);
        return rules.map_err(|error| Failure::text(format!("{}: {error}", text::path(path))));
    }
    arguments.map.iter().map(|pair| rule(pair)).collect()
}

/// `FROM=TO`; the format of `FROM` shows in itself.
fn rule(pair: &OsStr) -> Result<PathMappingRule, Failure> {
    let wrong = || Failure::usage(format!("--map takes FROM=TO, not '{}'", pair.display()));
    let (from, to) = pair.to_str().and_then(|pair| pair.split_once('=')).ok_or_else(wrong)?;
    if from.is_empty() || to.is_empty() {
        return Err(wrong());
    }
    let format = if from.starts_with('/') { PathFormat::Posix } else { PathFormat::Windows };
    let to = std::path::absolute(to).map_err(|error| Error::io("find directory", to, error))?;
    Ok(PathMappingRule::new(format, from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(roots: &[&str]) -> Vec<RootOutputs> {
        let manifest = Arc::new(
            Manifest::decode(br#"{"hashAlg":"xxh128","manifestVersion":"2023-03-03","paths":[],"totalSize":0}"#)
                .unwrap(),
        );
        roots.iter().map(|root| RootOutputs { root: root.into(), manifest: Arc::clone(&manifest) }).collect()
    }

    #[test]
    fn roots_get_folders_of_their_own() {
        let folders = |roots: &[&str]| {
            let placed = below(Path::new("out"), outputs(roots));
            placed.into_iter().map(|(folder, _)| folder.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(folders(&["/a/shot"]), ["out"]);
        assert_eq!(folders(&["/a/shot", r"C:\b\shot\", "/"]), ["out/shot", "out/shot (2)", "out/root"]);
    }

    #[test]
    fn maps_are_read() {
        assert_eq!(rule(OsStr::new(r"C:\a=/b")).unwrap().format(), PathFormat::Windows);
        assert_eq!(rule(OsStr::new("/a=/b=c")).unwrap().destination(), Path::new("/b=c"));
        assert!(rule(OsStr::new("/a")).is_err());
    }
}
