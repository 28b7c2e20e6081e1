//! The outputs of jobs.

use std::path::PathBuf;
use std::sync::Arc;

use super::Client;
use super::operation::Operation;
use crate::manifest::Manifest;
use crate::ops::list_outputs::{FindOutputsRequest, find_outputs};
use crate::path::path_from_wtf8;
use crate::settings::{JobAttachmentS3Settings, MANIFESTS_FOLDER, join_key};
use crate::store::ObjectStore;

/// Whose outputs to find: those of a job, of a step of it, or of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputsRequest {
    /// The bucket and root prefix.
    pub settings: JobAttachmentS3Settings,
    /// The ids of farm, queue and job, and then of the step and the task if only theirs are wanted.
    pub ids: Vec<String>,
}

/// Outputs below one root of the submitter's machine.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RootOutputs {
    /// The root, a path of the submitter's machine.
    pub root: PathBuf,
    /// The files. Of several outputs of one file the one that was stored last counts.
    pub manifest: Arc<Manifest>,
}

impl OutputsRequest {
    /// The outputs of a job.
    #[must_use]
    pub fn job(settings: &JobAttachmentS3Settings, farm_id: &str, queue_id: &str, job_id: &str) -> Self {
        let ids = [farm_id, queue_id, job_id].map(str::to_owned).to_vec();
        Self { settings: settings.clone(), ids }
    }

    /// Those of one step of the job.
    #[must_use]
    pub fn step(mut self, step_id: &str) -> Self {
        self.ids.truncate(3);
        self.ids.push(step_id.to_owned());
        self
    }

    /// Those of one task of the step that was named before.
    #[must_use]
    pub fn task(mut self, task_id: &str) -> Self {
        self.ids.truncate(4);
        self.ids.push(task_id.to_owned());
        self
    }

    fn prefix(&self) -> String {
        let mut parts = vec![self.settings.root_prefix.as_str(), MANIFESTS_FOLDER];
        parts.extend(self.ids.iter().map(String::as_str));
        // With the slash, so that `job-1` is not `job-10`.
        parts.push("");
        join_key(&parts)
    }
}

impl Client {
    /// Finds the outputs of a job, step or task in S3, for each root one manifest.
    ///
    /// # Errors
    /// [`Error::MissingAssetRoot`](crate::Error::MissingAssetRoot) for an output manifest that names no root;
    /// [`Error::NotSupported`](crate::Error::NotSupported) where manifests can't be merged;
    /// [`Error::Sync`](crate::Error::Sync) for an object that is no manifest;
    /// [`Error::S3Service`](crate::Error::S3Service) and [`Error::S3Client`](crate::Error::S3Client);
    /// [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn outputs(&self, request: OutputsRequest) -> Operation<Vec<RootOutputs>> {
        let store: Arc<dyn ObjectStore> = Arc::clone(&self.store) as _;
        Operation::new(async move |context, _| {
            let prefix = request.prefix();
            let request = FindOutputsRequest { store, bucket: request.settings.bucket, prefix };
            let found = find_outputs(request, &context).await?;
            Ok(found
                .into_iter()
                .map(|(root, manifest)| RootOutputs { root: path_from_wtf8(&root), manifest })
                .collect())
        })
    }
}
