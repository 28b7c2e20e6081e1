//! Storing one local file under a key that does not name its contents.

use std::path::PathBuf;
use std::sync::Arc;

use super::notices::tell_notices;
use crate::error::{Error, Result, S3Action};
use crate::fs::blocks::read_blocks;
use crate::fs::leases::GoesOn;
use crate::fs::open::OpenedFile;
use crate::hash::Hasher;
use crate::store::{ObjectKey, ObjectStore};
use crate::transfer::context::Context;
use crate::transfer::limits::{DEFAULT_BUFFER_BYTES, Limits};
use crate::transfer::tasks::blocking;
use crate::transfer::upload::{ObjectUpload, OpenSource, Uploader};

const READ_BYTES: usize = 1024 * 1024;
const CANCELLED: &str = "File upload cancelled.";
const LOGGER: &str = "upload";

/// Stores a file, over whatever is at the key. Links are resolved first.
///
/// The file is hashed before it is sent and checked while it is sent: what is stored is what was there at one moment.
///
/// # Errors
/// [`Error::SourceFile`] where the file is missing, no regular file, unreadable, or changes meanwhile; S3's errors.
pub(crate) async fn put_file(
    store: Arc<dyn ObjectStore>,
    path: PathBuf,
    object: ObjectKey,
    context: &Context,
) -> Result<()> {
    object.check(S3Action::UploadingFile)?;
    let source = Arc::new(OneFile { path, waits: context.goes_on(CANCELLED) });
    let reader = Arc::clone(&source);
    let (expected, size_bytes) = blocking(move || hash_file(&reader)).await?;
    let limits = Limits::new(store.max_connections(), DEFAULT_BUFFER_BYTES);
    let upload = ObjectUpload {
        object,
        expected,
        size_bytes,
        source: Arc::clone(&source) as Arc<dyn OpenSource>,
        index: 0,
        offset_bytes: 0,
        file_size_bytes: size_bytes,
        replace: true,
    };
    let outcome = Uploader::new(Arc::clone(&store), limits, context.clone()).ensure(&upload).await;
    tell_notices(store.as_ref(), LOGGER, context);
    match outcome {
        Ok(_) => {
            context.progress.finish_file();
            Ok(())
        }
        Err(Error::S3Service(mut error)) if error.action == S3Action::UploadingFile => {
            error.message = format!("{} (Failed to upload {})", error.message, source.path.display());
            Err(Error::S3Service(error))
        }
        Err(error) => Err(error),
    }
}

fn hash_file(source: &OneFile) -> Result<(crate::hash::ContentHash, u64)> {
    use std::io::Read;
    let mut opened = source.open(0)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; READ_BYTES];
    let read = |bytes: &mut [u8], _| opened.file.read(bytes);
    let came = read_blocks(&mut buffer, u64::MAX, read, |block| {
        hasher.update(block);
        Ok::<_, Error>(())
    })?;
    let size_bytes = came.map_err(|error| Error::source_file(&source.path, &error))?;
    Ok((hasher.finish(), size_bytes))
}

struct OneFile {
    path: PathBuf,
    waits: GoesOn,
}

impl OpenSource for OneFile {
    fn open(&self, _index: usize) -> Result<OpenedFile> {
        OpenedFile::open(&self.path, &self.waits)
    }

    fn shown(&self, _index: usize) -> PathBuf {
        self.path.clone()
    }
}
