//! The test rig's S3 server as a program.

use std::process::ExitCode;

use rusty_attachments_servers::rig::{Config, Rig, XxhashMode};
use rusty_attachments_servers::{announce, serve_until_stdin_closes};

const USAGE: &str = "\
Usage: s3_rig [OPTIONS]

An S3 server in memory on 127.0.0.1, which counts requests and injects faults. Prints its URL, and serves until its
standard input closes. It checks no signatures. HTTP requests to /_rig/ steer it (servers/src/rig/control.rs).

Options:
  --port N                           the port; any that is free by default
  --delay-ms N                       milliseconds that each reply waits
  --seed N                           seeds the faults that come by chance
  --account ID                       the AWS account that owns the buckets
  --xxhash128 accept|reject|ignore   what becomes of the header x-amz-checksum-xxhash128
  --if-none-match on|off             whether conditional requests are known
  --auto-buckets                     creates buckets when they are first named
  --bucket NAME                      creates a bucket; may be given several times
  --no-stdin                         serves until it is killed, whatever standard input does
  -h, --help                         print this text
";

#[derive(Default)]
struct Options {
    config: Config,
    port: u16,
    buckets: Vec<String>,
    ignores_stdin: bool,
    wants_help: bool,
}

const OPTIONS_WITH_VALUES: &[&str] =
    &["--port", "--delay-ms", "--seed", "--account", "--bucket", "--xxhash128", "--if-none-match"];

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(name) = arguments.next() {
        match name.as_str() {
            "--auto-buckets" => options.config.auto_buckets = true,
            "--no-stdin" => options.ignores_stdin = true,
            "--help" | "-h" => options.wants_help = true,
            _ if !OPTIONS_WITH_VALUES.contains(&name.as_str()) => return Err(format!("unknown argument {name}")),
            _ => {
                let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
                set(&mut options, &name, &value)?;
            }
        }
    }
    Ok(options)
}

fn set(options: &mut Options, name: &str, value: &str) -> Result<(), String> {
    let number = || value.parse::<u64>().map_err(|error| format!("{name} {value}: {error}"));
    match name {
        "--port" => options.port = u16::try_from(number()?).map_err(|error| format!("{name} {value}: {error}"))?,
        "--delay-ms" => options.config.delay_ms = number()?,
        "--seed" => options.config.seed = number()?,
        "--account" => options.config.account = Some(value.to_owned()),
        "--bucket" => options.buckets.push(value.to_owned()),
        "--xxhash128" => {
            options.config.xxhash128 = match value {
                "accept" => XxhashMode::Accept,
                "reject" => XxhashMode::Reject,
                "ignore" => XxhashMode::Ignore,
                _ => return Err(format!("{name} takes accept, reject or ignore, not {value}")),
            }
        }
        "--if-none-match" => {
            options.config.if_none_match = match value {
                "on" => true,
                "off" => false,
                _ => return Err(format!("{name} takes on or off, not {value}")),
            }
        }
        _ => return Err(format!("unknown option {name}")),
    }
    Ok(())
}

async fn serve(options: Options) -> std::io::Result<()> {
    let rig = Rig::start_with(options.config, options.port).await?;
    for bucket in &options.buckets {
        rig.create_bucket(bucket);
    }
    if options.ignores_stdin {
        announce(&rig.endpoint())?;
        std::future::pending::<()>().await;
    }
    serve_until_stdin_closes(&rig.endpoint()).await
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprint!("s3_rig: {message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if options.wants_help {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match serve(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("s3_rig: {error}");
            ExitCode::FAILURE
        }
    }
}
