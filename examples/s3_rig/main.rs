//! The test rig's S3 server as a program: prints its address on one line and serves until its standard input closes, so
//! that a parent that died leaves no server behind.
//!
//! `s3_rig [--port N] [--delay-ms N] [--seed N] [--account ID] [--xxhash128 accept|reject|ignore]
//! [--if-none-match on|off] [--auto-buckets] [--bucket NAME]… [--no-stdin]`

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

mod rig;

use rig::{Config, Rig, XxhashMode};

struct Options {
    config: Config,
    port: u16,
    buckets: Vec<String>,
    watch_stdin: bool,
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { config: Config::default(), port: 0, buckets: Vec::new(), watch_stdin: true };
    while let Some(name) = arguments.next() {
        match name.as_str() {
            "--auto-buckets" => options.config.auto_buckets = true,
            "--no-stdin" => options.watch_stdin = false,
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

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("s3_rig: {message}");
            return ExitCode::from(2);
        }
    };
    let rig = match Rig::start_with(options.config, options.port).await {
        Ok(rig) => rig,
        Err(error) => {
            eprintln!("s3_rig: {error}");
            return ExitCode::FAILURE;
        }
    };
    for bucket in &options.buckets {
        rig.create_bucket(bucket);
    }
    println!("{}", rig.endpoint());
    let _ = std::io::stdout().flush();
    if options.watch_stdin {
        let (closed, wait) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut sink = [0; 256];
            while matches!(std::io::stdin().read(&mut sink), Ok(read) if read > 0) {}
            let _ = closed.send(());
        });
        let _ = wait.await;
    } else {
        std::future::pending::<()>().await;
    }
    ExitCode::SUCCESS
}
