//! Where manifests come from: a file, standard input, S3, or a folder that is hashed.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::failure::Failure;
use super::options::ConnectionOptions;
use super::progress::Runner;
use crate::{Client, Error, JobAttachmentS3Settings, Manifest, SnapshotRequest, snapshot};

const SCHEME: &str = "s3://";
const MANIFESTS: &str = "/Manifests/";

/// A place in S3 as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct S3Place {
    pub(super) bucket: String,
    /// A prefix or a key, without a slash at its end.
    pub(super) key: String,
}

impl S3Place {
    /// `None` for what does not begin with `s3://`.
    pub(super) fn parse(argument: &OsStr) -> Option<Result<Self, Failure>> {
        let text = argument.to_str()?;
        let rest = text.strip_prefix(SCHEME)?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let key = key.trim_end_matches('/');
        if bucket.is_empty() || key.is_empty() {
            let text = format!("'{text}' does not name a bucket and a prefix: write s3://bucket/prefix");
            return Some(Err(Failure::usage(text)));
        }
        Some(Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() }))
    }

    /// The settings of the job attachments that a manifest's key belongs to.
    pub(super) fn settings_of_manifest(&self) -> Option<JobAttachmentS3Settings> {
        let (prefix, _) = self.key.rsplit_once(MANIFESTS)?;
        Some(JobAttachmentS3Settings::new(&self.bucket, prefix))
    }
}

/// `s3://bucket/prefix` as settings: for clap.
pub(super) fn parse_settings(text: &str) -> Result<JobAttachmentS3Settings, String> {
    match S3Place::parse(OsStr::new(text)) {
        Some(Ok(place)) => Ok(JobAttachmentS3Settings::new(place.bucket, place.key)),
        _ => Err("write s3://bucket/prefix".to_owned()),
    }
}

/// Reads manifests, and makes the client when one is needed.
pub(super) struct Reader<'a> {
    pub(super) runner: Runner<'a>,
    pub(super) connection: &'a ConnectionOptions,
    client: Option<Client>,
    /// Whether standard input was read.
    has_read_input: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(runner: Runner<'a>, connection: &'a ConnectionOptions) -> Self {
        Self { runner, connection, client: None, has_read_input: false }
    }

    /// The client; it is made once.
    pub(super) async fn client(&mut self) -> Result<Client, Failure> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let client = tokio::select! {
            biased;
            () = self.runner.interrupts.token().cancelled() => {
                return Err(Error::Cancelled("stopped".to_owned()).into());
            }
            client = self.connection.client() => client?,
        };
        self.client = Some(client.clone());
        Ok(client)
    }

    /// The manifest that an argument names: a file, `-` for standard input, `s3://bucket/key`, or a folder, which is hashed.
    pub(super) async fn manifest(&mut self, argument: &OsStr) -> Result<Arc<Manifest>, Failure> {
        if let Some(place) = S3Place::parse(argument) {
            let place = place?;
            let client = self.client().await?;
            return self.runner.run_silently(client.fetch_manifest(&place.bucket, &place.key)).await;
        }
        if argument == "-" {
            return self.read_input();
        }
        let path = Path::new(argument);
        if path.is_dir() {
            let request = SnapshotRequest::new(path);
            return Ok(self.runner.run("Hashing", None, snapshot(request)).await?.manifest);
        }
        Ok(Arc::new(Manifest::read(path)?))
    }

    fn read_input(&mut self) -> Result<Arc<Manifest>, Failure> {
        if std::mem::replace(&mut self.has_read_input, true) {
            return Err(Failure::usage("- stands for standard input, which can be read once"));
        }
        let mut text = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut text);
        read.map_err(|error| Failure::text(format!("standard input can't be read: {error}")))?;
        let manifest = Manifest::decode(&text);
        Ok(Arc::new(manifest.map_err(|error| Failure::text(format!("standard input: {error}")))?))
    }

    /// One manifest of several; of a path that several have, the last counts.
    pub(super) async fn merged(&mut self, arguments: &[OsString]) -> Result<Arc<Manifest>, Failure> {
        let mut manifests = Vec::with_capacity(arguments.len());
        for argument in arguments {
            manifests.push(self.manifest(argument).await?);
        }
        if let [only] = manifests.as_slice() {
            return Ok(Arc::clone(only));
        }
        let merged = Manifest::merge(manifests.iter().map(AsRef::as_ref))?;
        merged.map(Arc::new).ok_or_else(|| Failure::usage("there is no manifest"))
    }
}

/// Where the contents of manifests are: as an option says, else as their keys in S3 say.
pub(super) fn settings_of(
    given: Option<&JobAttachmentS3Settings>,
    manifests: &[OsString],
    option: &str,
) -> Result<JobAttachmentS3Settings, Failure> {
    if let Some(given) = given {
        return Ok(given.clone());
    }
    let mut found: Option<JobAttachmentS3Settings> = None;
    for place in manifests.iter().filter_map(|argument| S3Place::parse(argument)) {
        let place = place?;
        let settings = place.settings_of_manifest().ok_or_else(|| {
            let key = &place.key;
            Failure::usage(format!("the key '{key}' has no '/Manifests/': say with {option} where the files are"))
        })?;
        if found.as_ref().is_some_and(|known| *known != settings) {
            return Err(Failure::usage("the manifests are of different buckets or prefixes: fetch them one by one"));
        }
        found = Some(settings);
    }
    found.ok_or_else(|| Failure::usage(format!("say with {option} s3://bucket/prefix where the files are")))
}

/// A manifest, or the part of it that matches one of the patterns.
pub(super) fn filtered(manifest: Arc<Manifest>, patterns: &[String]) -> Result<Arc<Manifest>, Failure> {
    if patterns.is_empty() {
        return Ok(manifest);
    }
    Ok(Arc::new(manifest.filter(patterns.iter().map(String::as_str))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_manifests_say_where_the_files_are() {
        let place = S3Place::parse(OsStr::new("s3://b/a/Manifests/c/Manifests/push/x")).unwrap().unwrap();
        assert_eq!(place.settings_of_manifest(), Some(JobAttachmentS3Settings::new("b", "a/Manifests/c")));
        assert_eq!(parse_settings("s3://b/p/q/"), Ok(JobAttachmentS3Settings::new("b", "p/q")));
        assert!(S3Place::parse(OsStr::new("file.json")).is_none());
        assert!(S3Place::parse(OsStr::new("s3://b")).unwrap().is_err());
    }
}
