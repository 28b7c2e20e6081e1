//! s3s-fs as a program: the strict S3 server of the functional tests, on a folder.
//!
//! `s3_fs FOLDER [PORT]` prints its address and serves until its standard input closes. Keys: `test` / `testsecret`.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use hyper_util::rt::{TokioExecutor, TokioIo};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;

async fn serve(folder: &str, port: u16) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(folder)?;
    let file_system = s3s_fs::FileSystem::new(folder).map_err(|error| format!("{folder}: {error:?}"))?;
    let mut builder = S3ServiceBuilder::new(file_system);
    builder.set_auth(SimpleAuth::from_single("test", "testsecret"));
    let service = builder.build();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    std::thread::spawn(|| {
        let mut sink = [0; 256];
        while matches!(std::io::stdin().read(&mut sink), Ok(read) if read > 0) {}
        std::process::exit(0);
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service.clone();
        tokio::spawn(async move {
            let connection = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
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
