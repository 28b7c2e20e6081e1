//! s3s-fs as a program: the strict S3 server of the functional tests, on a folder.
//!
//! `s3_fs FOLDER [PORT]` prints its address and serves until its standard input closes. Keys: `test` / `testsecret`.

#![allow(unreachable_pub, reason = "a module of the tests has it, too")]

#[path = "../tests_rs/s3s_server.rs"]
mod s3s_server;

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use s3s_server::S3sServer;

async fn serve(folder: &str, port: u16) -> Result<(), Box<dyn std::error::Error>> {
    let server = S3sServer::start(Path::new(folder), port).await?;
    println!("{}", server.endpoint());
    std::io::stdout().flush()?;
    let standard_input_is_closed = tokio::task::spawn_blocking(|| {
        let mut sink = [0; 256];
        while matches!(std::io::stdin().read(&mut sink), Ok(read) if read > 0) {}
    });
    Ok(standard_input_is_closed.await?)
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next() else {
        eprintln!("s3_fs: FOLDER [PORT]");
        return ExitCode::from(2);
    };
    let port = arguments.next().and_then(|port| port.parse().ok()).unwrap_or(0);
    match serve(&folder, port).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("s3_fs: {error}");
            ExitCode::FAILURE
        }
    }
}
