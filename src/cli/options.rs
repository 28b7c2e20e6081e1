//! Options that several commands have.

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use super::text::parse_bytes;
use crate::{Client, JobAttachmentS3Settings, OutputsRequest};

const CONNECTION: &str = "Connection";

/// What every command takes.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct CommonOptions {
    /// Say nothing but results and errors
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// One JSON object per line, a summary at the end
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Show events, such as retries; -vv shows more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
}

/// How S3 is reached.
#[derive(Debug, Clone, Args)]
pub(super) struct ConnectionOptions {
    /// Profile of the AWS configuration
    #[arg(long, value_name = "NAME", help_heading = CONNECTION)]
    profile: Option<String>,
    /// AWS region
    #[arg(long, value_name = "NAME", help_heading = CONNECTION)]
    region: Option<String>,
    /// Endpoint of another S3 service
    #[arg(long, value_name = "URL", help_heading = CONNECTION)]
    endpoint_url: Option<String>,
    /// Certificates to trust, a PEM file
    #[arg(long, value_name = "FILE", help_heading = CONNECTION)]
    ca_bundle: Option<PathBuf>,
    /// Use no credentials, for public buckets
    #[arg(long, help_heading = CONNECTION, conflicts_with = "profile")]
    no_sign_request: bool,
    /// Most requests at once
    #[arg(long, value_name = "N", default_value_t = 50, help_heading = CONNECTION,
          value_parser = clap::value_parser!(u16).range(1..))]
    max_connections: u16,
    /// Most bytes a second each way, such as 20MB/s
    #[arg(long, value_name = "RATE", value_parser = parse_bytes, help_heading = CONNECTION)]
    limit_rate: Option<u64>,
}

impl ConnectionOptions {
    pub(super) async fn client(&self) -> Result<Client, Failure> {
        let mut builder = Client::builder().max_connections(self.max_connections.into());
        if let Some(profile) = &self.profile {
            builder = builder.profile(profile);
        }
        if let Some(region) = &self.region {
            builder = builder.region(region);
        }
        if let Some(url) = &self.endpoint_url {
            builder = builder.endpoint_url(url);
        }
        if let Some(path) = &self.ca_bundle {
            builder = builder.ca_bundle(path);
        }
        if let Some(rate) = self.limit_rate {
            builder = builder.limit_rate(rate);
        }
        if self.no_sign_request {
            builder = builder.no_sign_request();
        }
        Ok(builder.build().await?)
    }
}

/// How much memory transfers take.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct MemoryOptions {
    /// Memory for files on their way
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_bytes, help_heading = CONNECTION)]
    pub(super) memory: u64,
}

/// Which files of a folder.
#[derive(Debug, Clone, Args)]
pub(super) struct Patterns {
    /// Only files that match, such as 'renders/**/*.exr'
    #[arg(long, value_name = "PATTERN")]
    pub(super) include: Vec<String>,
    /// Not files that match
    #[arg(long, value_name = "PATTERN")]
    pub(super) exclude: Vec<String>,
}

/// A job, or a part of it.
#[derive(Debug, Clone, Args)]
pub(super) struct JobIds {
    /// The farm's id
    #[arg(long, value_name = "ID", requires = "queue")]
    pub(super) farm: Option<String>,
    /// The queue's id
    #[arg(long, value_name = "ID", requires = "job")]
    pub(super) queue: Option<String>,
    /// The job's id
    #[arg(long, value_name = "ID", requires = "farm")]
    pub(super) job: Option<String>,
    /// Only outputs of this step
    #[arg(long, value_name = "ID", requires = "job")]
    pub(super) step: Option<String>,
    /// Only outputs of this task
    #[arg(long, value_name = "ID", requires = "step")]
    pub(super) task: Option<String>,
}

impl JobIds {
    /// Whose outputs to find, if a job was named.
    pub(super) fn request(&self, settings: &JobAttachmentS3Settings) -> Option<OutputsRequest> {
        let (farm, queue, job) = (self.farm.as_deref()?, self.queue.as_deref()?, self.job.as_deref()?);
        let mut request = OutputsRequest::job(settings, farm, queue, job);
        if let Some(step) = &self.step {
            request = request.step(step);
        }
        if let Some(task) = &self.task {
            request = request.task(task);
        }
        Some(request)
    }
}
