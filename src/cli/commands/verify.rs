//! `verify`: compare files, or objects in S3, with a manifest.

use serde_json::json;

use crate::cli::arguments::VerifyArguments;
use crate::cli::failure::Failure;
use crate::cli::places::{Reader, filtered};
use crate::cli::progress::Runner;
use crate::cli::status::{FAILURE, SUCCESS};
use crate::cli::text;
use crate::{Mismatch, VerifyFilesRequest, VerifyObjectsRequest, VerifyReport, verify_files};

pub(super) async fn run(arguments: &VerifyArguments, runner: Runner<'_>) -> Result<u8, Failure> {
    let mut reader = Reader::new(runner, &arguments.connection);
    let manifest = filtered(reader.manifest(&arguments.manifest).await?, &arguments.include)?;
    let mut is_right = true;
    let mut files = None;
    if let Some(root) = &arguments.root {
        let request = VerifyFilesRequest::new(manifest.clone(), root);
        let report = runner.run("Verifying", None, verify_files(request)).await?;
        is_right &= show(&report, "file", runner)?;
        files = Some(report);
    }
    let mut objects = None;
    if let Some(settings) = &arguments.remote {
        let client = reader.client().await?;
        let mut request = VerifyObjectsRequest::new(settings, manifest);
        request.deep = arguments.deep;
        let report = runner.run("Verifying", Some(&client), client.verify_objects(request)).await?;
        is_right &= show(&report, "object", runner)?;
        objects = Some(report);
    }
    let numbers = |report: VerifyReport| json!({ "checked": report.checked, "bytes": report.checked_bytes, "problems": report.problems.len() });
    runner.output.summary(json!({ "files": files.map(numbers), "objects": objects.map(numbers) }))?;
    Ok(if is_right { SUCCESS } else { FAILURE })
}

/// One line for each problem; whether there is none.
fn show(report: &VerifyReport, thing: &str, runner: Runner<'_>) -> Result<bool, Failure> {
    let output = runner.output;
    for problem in &report.problems {
        let path = text::path(&problem.path);
        let note = if thing == "object" { "its object in S3 " } else { "" };
        output.line(&format!("{path}: {note}{}", problem.mismatch))?;
        let kind = match problem.mismatch {
            Mismatch::Missing => "missing",
            Mismatch::Size { .. } => "size",
            Mismatch::Contents { .. } => "contents",
            Mismatch::Link { .. } => "link",
            Mismatch::Unusable(_) => "unusable",
        };
        let message = problem.mismatch.to_string();
        output.event("problem", json!({ "where": thing, "path": path, "problem": kind, "message": message }))?;
    }
    let checked = text::counted(report.checked, thing, &format!("{thing}s"));
    let bytes = text::bytes(report.checked_bytes);
    output.remark(&match report.problems.len() {
        0 => format!("{checked} ({bytes}) are as the manifest says"),
        count => format!("{checked} ({bytes}) checked, {}", text::counted(count as u64, "problem", "problems")),
    })?;
    Ok(report.problems.is_empty())
}
