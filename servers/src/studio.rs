//! A studio for examples in documentation: a server with a bucket, a folder of files, and an environment that leads there.

use std::path::Path;

use tempfile::TempDir;

use crate::strict::{ACCESS_KEY, S3sServer, SECRET_KEY};

/// What keeps an example's surroundings there.
pub struct Studio {
    _folder: TempDir,
    _server: S3sServer,
}

/// Starts a server with a bucket, makes a folder of two files in a new working directory, and points the AWS configuration and
/// the caches of this process there.
///
/// # Panics
/// Where that can't be done: the example then fails.
pub async fn set_up(bucket: &str, files: &str) -> Studio {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let buckets = folder.path().join("s3");
    std::fs::create_dir_all(buckets.join(bucket)).expect("a bucket");
    let tree = folder.path().join(files);
    std::fs::create_dir_all(tree.join("textures")).expect("a folder");
    std::fs::write(tree.join("scene.ma"), "a scene").expect("a file");
    std::fs::write(tree.join("textures/wood.tex"), "a texture").expect("a file");
    let server = S3sServer::start(&buckets, 0).await.expect("a server");
    std::env::set_current_dir(folder.path()).expect("a working directory");
    set_environment(folder.path(), &server.endpoint());
    Studio { _folder: folder, _server: server }
}

#[expect(unsafe_code, reason = "an example has a process of its own, in which nothing else reads the environment yet")]
fn set_environment(home: &Path, endpoint: &str) {
    let values = [
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_REGION", "us-west-2"),
        ("AWS_ENDPOINT_URL_S3", endpoint),
    ];
    for (name, value) in values {
        // SAFETY: see above.
        unsafe { std::env::set_var(name, value) };
    }
    // SAFETY: see above.
    unsafe { std::env::set_var("HOME", home) };
}
