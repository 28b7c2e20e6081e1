//! Fetching many manifests from S3, several at a time, each in one request.

use std::sync::Arc;
use std::time::SystemTime;

use super::lanes::{Queue, Workers};
use crate::error::{Error, Result, S3Action};
use crate::manifest::json::Reader;
use crate::manifest::{self, Manifest};
use crate::store::dates::parse_time;
use crate::store::{ObjectInfo, ObjectKey, ObjectStore};
use crate::transfer::context::{Context, LogLevel};
use crate::transfer::in_memory::{ObjectInMemory, fetch_into_memory};
use crate::transfer::limits::{DEFAULT_BUFFER_BYTES, Limits};
use crate::transfer::tasks::blocking;
use parking_lot::Mutex;

/// Longer manifests are decoded on a thread that may be busy for a while.
const DECODED_AT_ONCE_BYTES: usize = 256 * 1024;
const LOGGER: &str = "download";

/// A manifest as S3 has it.
#[derive(Debug, Clone)]
pub(crate) struct FetchedManifest {
    /// The asset root that its metadata names, WTF-8. Output manifests have one, input manifests don't.
    pub asset_root: Option<Vec<u8>>,
    /// When it was stored, at S3's resolution of one second. Where S3 does not say so, the time in its key.
    pub last_modified: Option<SystemTime>,
    /// The manifest.
    pub manifest: Arc<Manifest>,
}

/// Which manifests to fetch.
#[derive(Clone)]
pub(crate) struct FetchManifestsRequest {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The bucket.
    pub bucket: String,
    /// Their keys.
    pub keys: Vec<String>,
}

/// Which one manifest to fetch.
#[derive(Clone)]
pub(crate) struct FetchManifestRequest {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// Where it is.
    pub object: ObjectKey,
    /// Whether to refuse what [`manifest::check_strictly`] refuses.
    pub strict: bool,
}

struct FetchJob {
    store: Arc<dyn ObjectStore>,
    bucket: String,
    keys: Vec<String>,
    limits: Limits,
    context: Context,
    fetched: Mutex<Vec<Option<FetchedManifest>>>,
}

/// Fetches and decodes manifests; the results are in the order of `keys`.
///
/// # Errors
/// The store's, with the action `downloading binary file`; [`Error::Sync`] with the decoder's text for what is no manifest,
/// as the reference raises it; [`Error::Cancelled`].
pub(crate) async fn fetch_manifests(request: FetchManifestsRequest, context: &Context) -> Result<Vec<FetchedManifest>> {
    let FetchManifestsRequest { store, bucket, keys } = request;
    let limits = Limits::new(store.max_connections(), DEFAULT_BUFFER_BYTES);
    let most = limits.most_requests();
    let queue = Queue::new((0..keys.len()).collect::<Vec<_>>());
    let job = Arc::new(FetchJob {
        store,
        bucket,
        limits,
        context: context.clone(),
        fetched: Mutex::new(vec![None; keys.len()]),
        keys,
    });
    let mut workers = Workers::new(&job);
    workers.spawn(&queue, most, |job, index| async move {
        tokio::select! {
            biased;
            () = job.context.cancel.cancelled() => Err(Error::Cancelled("File download cancelled.".to_owned())),
            outcome = job.fetch(index) => outcome,
        }
    });
    workers.finish().await?;
    let fetched = std::mem::take(&mut *job.fetched.lock());
    // Callers go by the order of the keys: a list with a gap must not become a shorter one.
    let all: Option<Vec<FetchedManifest>> = fetched.into_iter().collect();
    all.ok_or_else(|| Error::Sync("a manifest was not fetched".to_owned()))
}

/// Fetches and decodes one manifest, wherever in S3 it is. What is wrong with it is told with its URL.
///
/// # Errors
/// As [`fetch_manifests`]; with `strict`, also for what [`manifest::check_strictly`] refuses.
pub(crate) async fn fetch_manifest(request: FetchManifestRequest, context: &Context) -> Result<Arc<Manifest>> {
    let FetchManifestRequest { store, object, strict } = request;
    object.check(S3Action::DownloadingBinaryFile)?;
    let named = |source: Arc<Error>| Error::StoredManifest { url: object.url(), names_url: true, source };
    let request = FetchManifestsRequest { store, bucket: object.bucket.clone(), keys: vec![object.key.clone()] };
    let fetched = fetch_manifests(request, context).await;
    let fetched = fetched.map_err(|error| match error {
        Error::StoredManifest { source, .. } => named(source),
        other => other,
    })?;
    let Some(FetchedManifest { manifest, .. }) = fetched.into_iter().next() else {
        return Err(Error::Sync(format!("{}: nothing was fetched", object.url())));
    };
    if strict {
        let checked = Arc::clone(&manifest);
        let outcome = blocking(move || manifest::check_strictly(&checked)).await;
        outcome.map_err(|error| named(Arc::new(error)))?;
    }
    Ok(manifest)
}

impl FetchJob {
    async fn fetch(&self, index: usize) -> Result<()> {
        let object = ObjectKey::new(self.bucket.clone(), self.keys[index].clone());
        let mut outcome = self.fetch_once(&object).await;
        if matches!(outcome, Err(Error::ManifestInvalid { .. } | Error::Json { .. })) {
            // Nothing but its own form tells whether a manifest came over whole: one more look is cheap.
            outcome = self.fetch_once(&object).await;
        }
        let fetched = outcome.map_err(|error| self.explain(error, &object))?;
        self.fetched.lock()[index] = Some(fetched);
        Ok(())
    }

    async fn fetch_once(&self, object: &ObjectKey) -> Result<FetchedManifest> {
        let fetched_object = fetch_into_memory(self.store.as_ref(), &self.limits, &self.context, object).await?;
        let fetched = if fetched_object.text.len() <= DECODED_AT_ONCE_BYTES {
            read(&fetched_object)?
        } else {
            blocking(move || read(&fetched_object)).await?
        };
        // Some gateways leave the time out. Manifests are merged by it, and their keys have one too.
        Ok(FetchedManifest { last_modified: fetched.last_modified.or_else(|| time_in(&object.key)), ..fetched })
    }

    /// The reference wraps what is wrong with a manifest in S3 into an `AssetSyncError` with the plain text. Which manifest it
    /// is goes to the log.
    fn explain(&self, error: Error, object: &ObjectKey) -> Error {
        match error {
            Error::ManifestInvalid { .. } | Error::Json { .. } => {
                let url = object.url();
                self.context.log(LogLevel::Warning, LOGGER, || format!("The manifest {url} can't be used: {error}"));
                Error::StoredManifest { url, names_url: false, source: Arc::new(error) }
            }
            other => other,
        }
    }
}

/// The time in `…/<time>_<session action>/<name>`, as the worker wrote it.
fn time_in(key: &str) -> Option<SystemTime> {
    let folder = key.rsplit('/').nth(1)?;
    parse_time(folder.split('_').next()?)
}

fn read(object: &ObjectInMemory) -> Result<FetchedManifest> {
    let manifest = manifest::decode(&object.text)?;
    Ok(FetchedManifest {
        asset_root: asset_root(&object.info)?,
        last_modified: object.info.last_modified,
        manifest: Arc::new(manifest),
    })
}

/// The root in an output manifest's metadata. `asset-root-json` wins: `asset-root` holds ASCII only.
fn asset_root(info: &ObjectInfo) -> Result<Option<Vec<u8>>> {
    let Some(json) = info.metadata.get("asset-root-json") else {
        return Ok(info.metadata.get("asset-root").map(|root| root.clone().into_bytes()));
    };
    let mut reader = Reader::new(json.as_bytes());
    let root = reader.string().map(std::borrow::Cow::into_owned).map_err(|error| error.locate(json.as_bytes()))?;
    reader.finish().map_err(|error| error.locate(json.as_bytes()))?;
    Ok(Some(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(entries: &[(&str, &str)]) -> ObjectInfo {
        let metadata = entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ObjectInfo { metadata, ..ObjectInfo::default() }
    }

    #[test]
    fn keys_of_outputs_have_a_time() {
        let key = "r/Manifests/f/q/j/step-1/task-1/2025-01-02T03:04:05.678901Z_sessionaction-1-0/h_output";
        assert_eq!(time_in(key), parse_time("2025-01-02T03:04:05.678901Z"));
        assert_eq!((time_in("a/Inputs/guid/h_input"), time_in("name")), (None, None));
    }

    #[test]
    fn the_json_form_of_a_root_wins_and_may_hold_lone_surrogates() {
        let root = asset_root(&info(&[("asset-root", "x"), ("asset-root-json", r#""/b\u00fc\udc80""#)])).unwrap();
        assert_eq!(root.unwrap(), b"/b\xc3\xbc\xed\xb2\x80");
        assert_eq!(asset_root(&info(&[("asset-root", "/a")])).unwrap().unwrap(), b"/a");
        assert_eq!(asset_root(&info(&[])).unwrap(), None);
        assert!(asset_root(&info(&[("asset-root-json", "{}")])).is_err());
        assert!(asset_root(&info(&[("asset-root-json", "\"a\" b")])).is_err());
    }
}
