//! Two S3 servers for tests, served over loopback in a test's own process or as programs:
//!
//! - [`rig`], ours: in memory and fast, counts requests and injects faults (program `s3_rig`)
//! - [`strict`], s3s-fs: checks signatures and requests strictly, keeps objects as files (program `s3_fs`)
//!
//! [`studio`] surrounds the examples of the documentation.
//!
//! The crate is not published. It depends neither on the AWS SDK nor on `rusty-attachments`, whose tests use it.

use std::io::{Read as _, Write as _};

pub mod rig;
pub mod strict;
pub mod studio;

/// Prints the address of a server on a line of its own, and waits until standard input closes: a parent that died leaves no
/// server behind.
///
/// # Errors
/// Where the address can't be written.
pub async fn serve_until_stdin_closes(endpoint: &str) -> std::io::Result<()> {
    announce(endpoint)?;
    let (closed, wait) = tokio::sync::oneshot::channel();
    // A thread of our own: the runtime would wait for a blocking read of its own when it shuts down.
    std::thread::spawn(move || {
        let mut sink = [0; 256];
        while matches!(std::io::stdin().read(&mut sink), Ok(read) if read > 0) {}
        let _ = closed.send(());
    });
    let _ = wait.await;
    Ok(())
}

/// Prints the address of a server on a line of its own.
///
/// # Errors
/// Where the address can't be written.
pub fn announce(endpoint: &str) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{endpoint}")?;
    output.flush()
}
