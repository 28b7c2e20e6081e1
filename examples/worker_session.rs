//! What a worker agent does with job attachments: it fetches a job's inputs, runs a command, and stores its outputs.
//!
//! `worker_session S3_URI PROPERTIES COMMAND [ARGUMENTS…]`
//!
//! `S3_URI` is the queue's `s3://bucket/prefix`, `PROPERTIES` the worker properties file that the agent writes for a session.
//! The session action is described by the environment, as the agent sets it: `DEADLINE_FARM_ID` and so on. The exit status is
//! that of the command, or 1 where job attachments failed.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use rusty_attachments::{
    Client, ConflictResolution, DownloadRequest, JobAttachmentS3Settings, LowTransferRateDetector, Manifest,
    ProgressObserver, ProgressReport, Result, SessionAction, SnapshotRequest, UploadRequest, WorkerManifestProperties,
    files_below, snapshot,
};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [uri, properties, command @ ..] = arguments.as_slice() else {
        eprintln!("usage: worker_session S3_URI PROPERTIES COMMAND [ARGUMENTS…]");
        return ExitCode::from(2);
    };
    if command.is_empty() {
        eprintln!("worker_session: there is no command");
        return ExitCode::from(2);
    }
    run(uri, properties, command).await.unwrap_or_else(|error| {
        eprintln!("worker_session: {error}");
        ExitCode::FAILURE
    })
}

async fn run(uri: &str, properties: &str, command: &[String]) -> Result<ExitCode> {
    let settings = JobAttachmentS3Settings::from_uri(uri)?;
    let action = SessionAction::from_env()?;
    let roots = WorkerManifestProperties::read(properties)?;
    let client = Client::from_env().await?;

    download_inputs(&client, &settings, &roots).await?;
    let status = match Command::new(&command[0]).args(&command[1..]).status() {
        Ok(status) => status,
        Err(error) => {
            eprintln!("worker_session: {}: {error}", command[0]);
            return Ok(ExitCode::from(127));
        }
    };
    for root in &roots {
        upload_outputs(&client, &settings, &action, root).await?;
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Fetches the inputs of all roots in one download. Files that are there and right stay, so that a retry fetches what is missing.
async fn download_inputs(
    client: &Client,
    settings: &JobAttachmentS3Settings,
    roots: &[WorkerManifestProperties],
) -> Result<()> {
    let mut manifests_by_root: BTreeMap<PathBuf, Vec<Manifest>> = BTreeMap::new();
    for root in roots {
        if let Some(file) = root.local_input_manifest_path() {
            manifests_by_root.entry(root.local_root_path()).or_default().push(Manifest::read(file)?);
        }
    }
    let mut request = DownloadRequest::new(settings).conflicts(ConflictResolution::Resume);
    for (directory, manifests) in manifests_by_root {
        // Two roots of the job may have one directory: of a path in both the later counts.
        if let Some(merged) = Manifest::merge(&manifests)? {
            request = request.root(directory, merged);
        }
    }
    let report = client.download(request).progress(Console::default()).await?;
    println!("Downloaded {} files, {} were there", report.downloaded_files, report.skipped_files);
    Ok(())
}

/// Stores what is new or changed in the output directories of a root.
async fn upload_outputs(
    client: &Client,
    settings: &JobAttachmentS3Settings,
    action: &SessionAction,
    root: &WorkerManifestProperties,
) -> Result<()> {
    let directories = root.output_directories()?;
    if directories.is_empty() {
        return Ok(());
    }
    let earlier = root.local_manifest_paths().iter().map(Manifest::read).collect::<Result<Vec<_>>>()?;
    let mut request = SnapshotRequest::new(root.local_root_path()).include(directories.iter().map(files_below));
    if let Some(merged) = Manifest::merge(&earlier)? {
        request = request.changed_since(merged);
    }
    let manifest = snapshot(request).await?.manifest;
    if manifest.is_empty() {
        println!("No output below {}", root.local_root_path().display());
        return Ok(());
    }
    let request = UploadRequest::new(settings, Arc::clone(&manifest), root.local_root_path())
        .manifest_key(action.manifest_key(&root.output_manifest_name()))
        .manifest_metadata(root.output_manifest_metadata());
    let report = client.upload(request).progress(Console::default()).await?;
    println!("Uploaded {} files: {}", report.uploaded_files, report.manifest_key.unwrap_or_default());
    Ok(())
}

/// Prints progress as the agent reads it, and gives a transfer up after a minute of low rates.
#[derive(Default)]
struct Console {
    detector: LowTransferRateDetector,
    percent: Option<u64>,
}

impl ProgressObserver for Console {
    fn report(&mut self, report: &ProgressReport) -> ControlFlow<String> {
        let done = report.processed_bytes + report.skipped_bytes;
        let percent = report.total_bytes.map(|total| 100 * done / total.max(1));
        if percent.is_some() && percent > self.percent {
            self.percent = percent;
            println!("openjd_progress: {}", percent.unwrap_or_default());
        }
        self.detector.report(report)
    }
}
