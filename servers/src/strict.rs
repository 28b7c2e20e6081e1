//! s3s-fs, the strict S3 server of the functional tests, served over loopback: by tests in their own process, and by
//! the program `s3_fs` for everyone else.

use std::net::SocketAddr;
use std::path::Path;

use hyper_util::rt::{TokioExecutor, TokioIo};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The access key that it takes.
pub const ACCESS_KEY: &str = "test";
/// The secret that goes with it.
pub const SECRET_KEY: &str = "testsecret";

/// A server on a folder. It takes no new connections once it is dropped.
pub struct S3sServer {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl S3sServer {
    /// Serves a folder, in which buckets are folders and objects are files. Port 0 is any that is free.
    ///
    /// # Errors
    /// Where the folder can't be made or the port can't be had.
    pub async fn start(folder: &Path, port: u16) -> Result<Self, Box<dyn std::error::Error>> {
        std::fs::create_dir_all(folder)?;
        let file_system =
            s3s_fs::FileSystem::new(folder).map_err(|error| format!("{}: {error:?}", folder.display()))?;
        let mut builder = S3ServiceBuilder::new(file_system);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        Ok(Self { address, accepting: tokio::spawn(accept(listener, builder.build())) })
    }

    /// Its URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for S3sServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, service: S3Service) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let service = service.clone();
        tokio::spawn(async move {
            let connection = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
