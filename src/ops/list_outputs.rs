//! Finding the output manifests of jobs, steps, tasks and session actions.
//!
//! A task's manifests are in `<job>/<step>/<task>/<time>_<session action>/`; those of a step whose session actions run
//! chunks of several tasks are in `<job>/<step>/<time>_<session action>/`.

use std::collections::HashMap;
use std::sync::Arc;

use super::fetch_manifests::{FetchManifestsRequest, FetchedManifest, fetch_manifests};
use crate::error::{Error, Result};
use crate::manifest::{self, Manifest};
use crate::store::listing::Listing;
use crate::store::{ListRequest, ObjectStore};
use crate::transfer::context::Context;
use crate::transfer::tasks::blocking;

/// Manifests under one asset root (WTF-8).
pub(crate) type RootManifests = (Vec<u8>, Vec<Arc<Manifest>>);

/// Which of a task's session actions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PerTask {
    /// Only those in the last folder by name, whose names begin with the time.
    Latest,
    /// All.
    All,
}

/// Where outputs are looked for.
#[derive(Clone)]
pub(crate) struct FindOutputsRequest {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The bucket.
    pub bucket: String,
    /// The prefix of the manifests of a job, step or task.
    pub prefix: String,
}

/// Which session action's outputs are looked for, and where.
#[derive(Clone)]
pub(crate) struct FindSessionActionOutputsRequest {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The bucket.
    pub bucket: String,
    /// The task's prefix, then the step's: the first that has any counts.
    pub prefixes: Vec<String>,
    /// The session action.
    pub session_action_id: String,
}

/// All keys under a prefix, page by page.
///
/// # Errors
/// The store's; [`Error::Cancelled`].
pub(crate) async fn list_keys(request: &FindOutputsRequest, context: &Context) -> Result<Vec<String>> {
    let FindOutputsRequest { store, bucket, prefix } = request;
    let mut keys = Vec::new();
    let mut listing = Listing::new(store.as_ref(), ListRequest { bucket, prefix, delimiter: None, continuation: None });
    loop {
        context.check_cancelled("File download cancelled.")?;
        let Some(page) = listing.next_page().await? else { return Ok(keys) };
        keys.extend(page.objects.into_iter().map(|(key, _)| key));
    }
}

/// The output manifests among the keys below the prefix of a job, step or task: those of chunked steps first, then task by
/// task. Otherwise in the order of the listing.
///
/// What a key is follows from its place behind the prefix. The prefix itself may have any words in it.
#[must_use]
pub(crate) fn output_keys(keys: Vec<String>, prefix: &str, per_task: PerTask) -> Vec<String> {
    let level = Level::of(prefix);
    let mut chosen = Vec::new();
    let mut tasks: Vec<Task> = Vec::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    for key in keys {
        let Some(output) = Output::at(&key, prefix, level) else { continue };
        let Some(end) = output.task_folder_bytes else {
            chosen.push(key);
            continue;
        };
        let number = *numbers.entry(key[..end].to_owned()).or_insert_with(|| {
            tasks.push(Task { folder_bytes: end, keys: Vec::new() });
            tasks.len() - 1
        });
        tasks[number].keys.push(key);
    }
    for task in tasks {
        chosen.extend(task.into_chosen(per_task));
    }
    chosen
}

struct Task {
    /// How much of each key is the task's folder, with the slash at its end.
    folder_bytes: usize,
    keys: Vec<String>,
}

impl Task {
    fn into_chosen(self, per_task: PerTask) -> Vec<String> {
        let name = |key: &str| key[self.folder_bytes..].split('/').next().unwrap_or_default().to_owned();
        let Some(latest) = self.keys.iter().map(|key| name(key)).max() else { return Vec::new() };
        let below = format!("{latest}/");
        self.keys
            .into_iter()
            .filter(|key| per_task == PerTask::All || key[self.folder_bytes..].starts_with(&below))
            .collect()
    }
}

const STEP: &str = "step-";
const TASK: &str = "task-";
const OUTPUT: &str = "output";
/// How the names of the objects end that Hadoop's tools keep for folders. S3's console lets them end with a slash.
const FOLDER_MARK: &str = "_$folder$";

/// What a prefix is of, as the id at its end says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Job,
    Step,
    Task,
}

impl Level {
    fn of(prefix: &str) -> Self {
        match prefix.trim_end_matches('/').rsplit('/').next() {
            Some(id) if id.starts_with(TASK) => Self::Task,
            Some(id) if id.starts_with(STEP) => Self::Step,
            _ => Self::Job,
        }
    }
}

/// An output manifest's key.
struct Output<'a> {
    /// How much of the key is its task's folder, with the slash at its end; `None` for one of a step that runs in chunks.
    task_folder_bytes: Option<usize>,
    /// The folder that it is in: `<time>_<session action>`.
    folder: &'a str,
}

impl<'a> Output<'a> {
    /// Reads a key that was listed below a prefix; `None` for what is no output manifest.
    fn at(key: &'a str, prefix: &str, level: Level) -> Option<Self> {
        let mut rest = key.strip_prefix(prefix.trim_end_matches('/'))?.trim_start_matches('/');
        if level == Level::Job {
            let (step, below) = rest.split_once('/')?;
            rest = below;
            if !step.starts_with(STEP) {
                return None;
            }
        }
        let task_folder_bytes = match rest.split_once('/')? {
            _ if level == Level::Task => Some(key.len() - rest.len()),
            (task, below) if task.starts_with(TASK) => {
                rest = below;
                Some(key.len() - rest.len())
            }
            _ => None,
        };
        let (folders, name) = rest.rsplit_once('/')?;
        let is_output = name.contains(OUTPUT) && !name.ends_with(FOLDER_MARK);
        let folder = folders.rsplit('/').next().unwrap_or_default();
        is_output.then_some(Self { task_folder_bytes, folder })
    }

    /// Whether it is of a session action. `sessionaction-1-1` is not `sessionaction-1-10`; as in the reference,
    /// `sessionaction-1` is both.
    fn is_of(&self, session_action_id: &str) -> bool {
        let action = self.folder.split_once('_').map_or(self.folder, |(_time, action)| action);
        let rest = action.strip_prefix(session_action_id);
        rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()))
    }
}

/// The outputs of a job, step or task: for each root one manifest, in which of several outputs of a file the one that was
/// stored last counts.
///
/// # Errors
/// Those of [`fetch_manifests`]; [`Error::MissingAssetRoot`] for a manifest whose metadata names no root;
/// [`Error::NotSupported`] where manifests can't be merged.
pub(crate) async fn find_outputs(
    request: FindOutputsRequest,
    context: &Context,
) -> Result<Vec<(Vec<u8>, Arc<Manifest>)>> {
    let keys = output_keys(list_keys(&request, context).await?, &request.prefix, PerTask::Latest);
    let FindOutputsRequest { store, bucket, .. } = request;
    let fetched = fetch_with_roots(FetchManifestsRequest { store, bucket, keys }, context).await?;
    blocking(move || by_root(fetched).into_iter().map(|(root, fetched)| Ok((root, merge_by_time(fetched)?))).collect())
        .await
}

/// The outputs of one session action: under the task's prefix, or else, for a step that runs in chunks, under the step's.
/// Several manifests of one root are not merged.
///
/// # Errors
/// As [`find_outputs`].
pub(crate) async fn find_session_action_outputs(
    request: FindSessionActionOutputsRequest,
    context: &Context,
) -> Result<Vec<RootManifests>> {
    let FindSessionActionOutputsRequest { store, bucket, prefixes, session_action_id } = request;
    for prefix in prefixes {
        let (store, bucket) = (Arc::clone(&store), bucket.clone());
        let listed = FindOutputsRequest { store, bucket, prefix };
        let mut keys = list_keys(&listed, context).await?;
        let FindOutputsRequest { store, bucket, prefix } = listed;
        let level = Level::of(&prefix);
        keys.retain(|key| Output::at(key, &prefix, level).is_some_and(|output| output.is_of(&session_action_id)));
        if !keys.is_empty() {
            let fetched = fetch_with_roots(FetchManifestsRequest { store, bucket, keys }, context).await?;
            let plain = |(root, list): (Vec<u8>, Vec<FetchedManifest>)| {
                (root, list.into_iter().map(|fetched| fetched.manifest).collect())
            };
            return Ok(by_root(fetched).into_iter().map(plain).collect());
        }
    }
    Ok(Vec::new())
}

/// Fetches output manifests, whose metadata must name their roots.
///
/// # Errors
/// Those of [`fetch_manifests`]; [`Error::MissingAssetRoot`].
pub(crate) async fn fetch_with_roots(
    request: FetchManifestsRequest,
    context: &Context,
) -> Result<Vec<FetchedManifest>> {
    let keys = request.keys.clone();
    let fetched = fetch_manifests(request, context).await?;
    for (key, fetched) in keys.iter().zip(&fetched) {
        if fetched.asset_root.as_ref().is_none_or(Vec::is_empty) {
            return Err(Error::MissingAssetRoot { key: key.clone() });
        }
    }
    Ok(fetched)
}

/// In the order in which roots come first.
fn by_root(fetched: Vec<FetchedManifest>) -> Vec<(Vec<u8>, Vec<FetchedManifest>)> {
    let mut numbers: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut roots: Vec<(Vec<u8>, Vec<FetchedManifest>)> = Vec::new();
    for fetched in fetched {
        let root = fetched.asset_root.clone().unwrap_or_default();
        let number = *numbers.entry(root.clone()).or_insert_with(|| {
            roots.push((root, Vec::new()));
            roots.len() - 1
        });
        roots[number].1.push(fetched);
    }
    roots
}

/// The oldest first; those of the same second stay in their order.
fn merge_by_time(mut fetched: Vec<FetchedManifest>) -> Result<Arc<Manifest>> {
    fetched.sort_by_key(|fetched| fetched.last_modified);
    if let [only] = fetched.as_slice() {
        return Ok(Arc::clone(&only.manifest));
    }
    let manifests: Vec<&Manifest> = fetched.iter().map(|fetched| fetched.manifest.as_ref()).collect();
    let merged = manifest::merge(&manifests)?;
    merged.map(Arc::new).ok_or_else(|| Error::Sync("there was no manifest to merge".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "r/M/f/q/job-1/";

    fn chosen(keys: &[&str], prefix: &str, per_task: PerTask) -> Vec<String> {
        output_keys(keys.iter().map(|key| (*key).to_owned()).collect(), prefix, per_task)
    }

    #[test]
    fn chunked_steps_come_first_and_of_a_task_only_the_last_folder_counts() {
        let keys = [
            "r/M/f/q/job-1/step-1/task-1/2023-01_a/h_output",
            "r/M/f/q/job-1/step-1/task-1/2023-02_b/h_output",
            "r/M/f/q/job-1/step-1/task-1/2023-02_b/i_output",
            "r/M/f/q/job-1/step-2/2023-01_c/h_output",
            "r/M/f/q/job-1/step-2/2023-02_c/h_output",
        ];
        assert_eq!(chosen(&keys, JOB, PerTask::Latest), [keys[3], keys[4], keys[1], keys[2]]);
        assert_eq!(chosen(&keys, JOB, PerTask::All), [keys[3], keys[4], keys[0], keys[1], keys[2]]);
    }

    #[test]
    fn a_root_prefix_may_have_any_words_in_it() {
        for root in
            ["night-task-data", "task-", "step-x/task-y", "my_output", "job-1/step-1/task-1", "a//b", "x\ny", "é/ü"]
        {
            let job = format!("{root}/Manifests/farm-1/queue-1/job-1/");
            let step = format!("{job}step-1/");
            let [old, new, other] =
                ["task-1/2025-01_sa-1/h_output", "task-1/2025-02_sa-2/h_output", "task-2/2025-01_sa-1/h_output"]
                    .map(|key| format!("{step}{key}"));
            let chunk = format!("{step}2025-01_sa-3/h_output");
            let keys = [&old, &new, &other, &chunk].map(String::as_str);
            for prefix in [&job, &step] {
                assert_eq!(
                    chosen(&keys, prefix, PerTask::Latest),
                    [&chunk, &new, &other].map(String::as_str),
                    "{prefix}"
                );
            }
            let task = format!("{step}task-1/");
            assert_eq!(chosen(&keys, &task, PerTask::Latest), [new.as_str()], "{task}");
        }
    }

    #[test]
    fn what_is_no_output_manifest_in_its_place_is_left_out() {
        let others = [
            "r/M/f/q/job-1/",
            "r/M/f/q/job-1/output",
            "r/M/f/q/job-1/output/",
            "r/M/f/q/job-1/step-1/output/",
            "r/M/f/q/job-1/step-1/h_output",
            "r/M/f/q/job-1/step-1/task-1/output/",
            "r/M/f/q/job-1/step-1/task-1/h_output",
            "r/M/f/q/job-1/step-1/task-1/2023-01_a/output/",
            "r/M/f/q/job-1/step-1/task-1/2023-01_a/output_$folder$",
            "r/M/f/q/job-1/step-1/task-1/2023-01_a_output/",
            "r/M/f/q/job-1/step-1/task-1/2023-01_a_output/notes.txt",
            "r/M/f/q/job-1/notes/step-1/2023-01_a/h_output",
            "r/M/f/q/Inputs/step-1/2023-01_a/h_output",
        ];
        for key in others {
            assert_eq!(chosen(&[key], JOB, PerTask::All), [""; 0], "{key}");
        }
        let key = "r/M/f/q/job-1/step-1/task-1/2023-01_a/h_output.json";
        assert_eq!(chosen(&[key], JOB, PerTask::All), [key]);
    }

    #[test]
    fn a_session_action_is_named_whole() {
        let is_of = |key: &str, id| Output::at(key, "r/step-1/", Level::Step).is_some_and(|output| output.is_of(id));
        assert!(is_of("r/step-1/task-1/2023_sessionaction-1-0/h_output", "sessionaction-1-0"));
        assert!(is_of("r/step-1/2023_sessionaction-1-0/h_output", "sessionaction-1-0"));
        assert!(!is_of("r/step-1/task-1/2023_sessionaction-1-1/h_output", "sessionaction-1-0"));
        assert!(is_of("r/step-1/task-1/2023_sessionaction-1-0/h_output", "sessionaction-1"));
        assert!(!is_of("r/step-1/task-1/2023_sessionaction-1-10/h_output", "sessionaction-1-1"));
        assert!(!is_of("r/step-1/task-1/2023_sessionaction-10-1/h_output", "sessionaction-1"));
        assert!(!is_of("r/step-1/task-1/2023_mysessionaction-1-1/h_output", "sessionaction-1-1"));
        assert!(!is_of("r/step-1/task-1/2023_sessionaction-1-1/output/", "sessionaction-1-1"));
    }
}
