//! s3s-fs as a program: the strict S3 server of the functional tests, on a folder.

use std::path::Path;
use std::process::ExitCode;

use rusty_attachments_servers::serve_until_stdin_closes;
use rusty_attachments_servers::strict::S3sServer;

const USAGE: &str = "\
Usage: s3_fs FOLDER [PORT]

A strict S3 server (s3s-fs) on 127.0.0.1. Buckets are folders in FOLDER, which is created if it is missing; objects
are files in them. Prints its URL, and serves until its standard input closes. Access key: test, secret: testsecret.

Arguments:
  FOLDER  the folder that is served
  PORT    the port; any that is free by default

Options:
  -h, --help  print this text
";

enum Command {
    Help,
    Serve { folder: String, port: u16 },
}

fn command(arguments: &[String]) -> Result<Command, String> {
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        return Ok(Command::Help);
    }
    if let Some(option) = arguments.iter().find(|argument| argument.starts_with('-')) {
        return Err(format!("unknown option {option}"));
    }
    match arguments {
        [] => Err("FOLDER is missing".to_owned()),
        [folder] => Ok(Command::Serve { folder: folder.clone(), port: 0 }),
        [folder, port] => {
            let port = port.parse().map_err(|error| format!("PORT {port}: {error}"))?;
            Ok(Command::Serve { folder: folder.clone(), port })
        }
        [_, _, surplus, ..] => Err(format!("unexpected argument {surplus}")),
    }
}

async fn serve(folder: &str, port: u16) -> Result<(), Box<dyn std::error::Error>> {
    let server = S3sServer::start(Path::new(folder), port).await?;
    Ok(serve_until_stdin_closes(&server.endpoint()).await?)
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, port) = match command(&arguments) {
        Ok(Command::Help) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Ok(Command::Serve { folder, port }) => (folder, port),
        Err(message) => {
            eprint!("s3_fs: {message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match serve(&folder, port).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("s3_fs: {error}");
            ExitCode::FAILURE
        }
    }
}
