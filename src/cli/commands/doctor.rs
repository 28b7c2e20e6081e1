//! `doctor`: what is installed, how S3 would be reached, and whether it can be.

use serde_json::{Map, Value, json};

use super::cache;
use crate::cli::arguments::DoctorArguments;
use crate::cli::failure::Failure;
use crate::cli::places::Reader;
use crate::cli::progress::Runner;
use crate::cli::status::{FAILURE, SUCCESS};
use crate::cli::text;
use crate::{CacheFolder, Client, Error, JobAttachmentS3Settings, OutputsRequest};

pub(super) async fn run(
    arguments: &DoctorArguments,
    runner: Runner<'_>,
    facts: &[(String, String)],
) -> Result<u8, Failure> {
    let output = runner.output;
    let mut report = Map::new();
    let mut say = |name: &str, value: &str| {
        report.insert(name.to_owned(), value.into());
        output.line(&format!("{:16} {value}", format!("{name}:")))
    };
    say("version", env!("CARGO_PKG_VERSION"))?;
    say("features", if cfg!(feature = "python") { "s3, cli, python" } else { "s3, cli" })?;
    say("system", &format!("{} {}", std::env::consts::OS, std::env::consts::ARCH))?;
    for file in CacheFolder::Default.files() {
        let name = format!("cache {}", cache::word(file.kind));
        say(&name, &cache::shown(&file))?;
    }
    if facts.is_empty() {
        say("python", "this is the program without Python; what is swapped shows in the one of the Python package")?;
    }
    for (name, value) in facts {
        say(name, value)?;
    }
    let mut reader = Reader::new(runner, &arguments.connection);
    let client = match reader.client().await {
        Ok(client) => client,
        Err(Failure::Error(error)) if !error.is_cancelled() => {
            say("s3", &text::error(&error))?;
            return end(&report, false, runner);
        }
        Err(failure) => return Err(failure),
    };
    let connection = client.connection();
    say("s3 region", &connection.region)?;
    say("s3 endpoint", connection.endpoint_url.as_deref().unwrap_or("AWS"))?;
    say("s3 credentials", connection.credentials.as_deref().unwrap_or("none, requests are not signed"))?;
    say("s3 account", connection.account_id.as_deref().unwrap_or("not known"))?;
    say("s3 certificates", &connection.ca_bundle.map_or_else(|| "the system's".to_owned(), |path| text::path(&path)))?;
    let mut is_well = true;
    if let Some(settings) = &arguments.check {
        let outcome = check(&client, settings, runner).await?;
        is_well = outcome.is_none();
        let answer = outcome.map_or_else(|| "can be listed".to_owned(), |error| text::error(&error));
        say("s3 check", &format!("s3://{}/{} {answer}", settings.bucket, settings.root_prefix))?;
    }
    end(&report, is_well, runner)
}

/// Lists a job that is not there: one request, which needs the bucket, the credentials and the right to list.
async fn check(
    client: &Client,
    settings: &JobAttachmentS3Settings,
    runner: Runner<'_>,
) -> Result<Option<Error>, Failure> {
    let request = OutputsRequest::job(settings, "doctor", "doctor", "doctor");
    match runner.run("Asking", Some(client), client.outputs(request)).await {
        Ok(_) => Ok(None),
        Err(Failure::Error(error)) if !error.is_cancelled() => Ok(Some(*error)),
        Err(failure) => Err(failure),
    }
}

fn end(report: &Map<String, Value>, is_well: bool, runner: Runner<'_>) -> Result<u8, Failure> {
    runner.output.summary(json!({ "report": report, "ok": is_well }))?;
    Ok(if is_well { SUCCESS } else { FAILURE })
}
