//! Finding the output manifests of jobs, steps, tasks and session actions.
//!
//! A task's manifests are in `<job>/<step>/<task>/<time>_<session action>/`; those of a step whose session actions run
//! chunks of several tasks are in `<job>/<step>/<time>_<session action>/`.

use std::collections::HashMap;
use std::sync::Arc;

use super::fetch_manifests::{FetchedManifest, fetch_manifests};
use crate::error::{Error, Result};
use crate::manifest::{self, Manifest};
use crate::store::{ListRequest, ObjectStore};
use crate::transfer::context::Context;
use crate::transfer::tasks::blocking;

/// Manifests under one asset root (WTF-8).
pub type RootManifests = (Vec<u8>, Vec<Arc<Manifest>>);

/// Which of a task's session actions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerTask {
    /// Only those in the last folder by name, whose names begin with the time.
    Latest,
    /// All.
    All,
}

/// All keys under a prefix, page by page.
///
/// # Errors
/// The store's; [`Error::Cancelled`].
pub async fn list_keys(store: &dyn ObjectStore, bucket: &str, prefix: &str, context: &Context) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    let mut continuation: Option<String> = None;
    loop {
        context.check_cancelled("File download cancelled.")?;
        let request = ListRequest { bucket, prefix, delimiter: None, continuation: continuation.as_deref() };
        let page = store.list(request).await?;
        keys.extend(page.objects.into_iter().map(|(key, _)| key));
        continuation = page.continuation;
        if continuation.is_none() {
            return Ok(keys);
        }
    }
}

/// The output manifests among the keys of a job or step: those of chunked steps first, then task by task. Otherwise in the
/// order of the listing.
#[must_use]
pub fn output_keys(keys: Vec<String>, per_task: PerTask) -> Vec<String> {
    let mut chosen = Vec::new();
    let mut tasks: Vec<Task> = Vec::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    for key in keys.into_iter().filter(|key| is_output_of_step(key)) {
        let Some(end) = task_folder_end(&key) else {
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

/// Where the first folder of a key that is named after a task ends, its slash included.
fn task_folder_end(key: &str) -> Option<usize> {
    let mut start = 0;
    for part in key.split_inclusive('/') {
        start += part.len();
        if part.contains("task-") {
            return part.ends_with('/').then_some(start);
        }
    }
    None
}

/// What the reference's pattern `step-.*/.*/.*output.*` finds. A dot matches all but a line's end.
fn is_output_of_step(key: &str) -> bool {
    key.split('\n').any(|line| has_in_order(line, &["step-", "/", "/", "output"]))
}

fn has_in_order(text: &str, words: &[&str]) -> bool {
    let mut rest = text;
    words.iter().all(|word| match rest.split_once(word) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

/// Whether a key is an output of a session action: the reference's pattern `.*<id>.*output.*`.
fn is_output_of_session_action(key: &str, id: &str) -> bool {
    key.split('\n').any(|line| has_in_order(line, &[id, "output"]))
}

/// The outputs of a job, step or task: for each root one manifest, in which of several outputs of a file the one that was
/// stored last counts.
///
/// # Errors
/// Those of [`fetch_manifests`]; [`Error::MissingAssetRoot`] for a manifest whose metadata names no root;
/// [`Error::NotSupported`] where manifests can't be merged.
pub async fn find_outputs(
    store: &Arc<dyn ObjectStore>,
    bucket: &str,
    prefix: &str,
    context: &Context,
) -> Result<Vec<(Vec<u8>, Arc<Manifest>)>> {
    let keys = output_keys(list_keys(store.as_ref(), bucket, prefix, context).await?, PerTask::Latest);
    let fetched = fetch_with_roots(store, bucket, keys, context).await?;
    blocking(move || by_root(fetched).into_iter().map(|(root, fetched)| Ok((root, merge_by_time(fetched)?))).collect())
        .await
}

/// The outputs of one session action: under the task's prefix, or else, for a step that runs in chunks, under the step's.
/// Several manifests of one root are not merged.
///
/// # Errors
/// As [`find_outputs`].
pub async fn find_session_action_outputs(
    store: &Arc<dyn ObjectStore>,
    bucket: &str,
    (prefixes, session_action_id): (&[String], &str),
    context: &Context,
) -> Result<Vec<RootManifests>> {
    for prefix in prefixes {
        let mut keys = list_keys(store.as_ref(), bucket, prefix, context).await?;
        keys.retain(|key| is_output_of_session_action(key, session_action_id));
        if !keys.is_empty() {
            let fetched = fetch_with_roots(store, bucket, keys, context).await?;
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
pub async fn fetch_with_roots(
    store: &Arc<dyn ObjectStore>,
    bucket: &str,
    keys: Vec<String>,
    context: &Context,
) -> Result<Vec<FetchedManifest>> {
    let fetched = fetch_manifests(store, bucket, keys.clone(), context).await?;
    for (key, fetched) in keys.iter().zip(&fetched) {
        if fetched.asset_root.as_ref().is_none_or(Vec::is_empty) {
            return Err(Error::MissingAssetRoot(format!(
                "Failed to get asset root from metadata of output manifest: {key}"
            )));
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

    fn chosen(keys: &[&str], per_task: PerTask) -> Vec<String> {
        output_keys(keys.iter().map(|key| (*key).to_owned()).collect(), per_task)
    }

    #[test]
    fn chunked_steps_come_first_and_of_a_task_only_the_last_folder_counts() {
        let keys = [
            "r/M/f/q/job-1/step-1/task-1/2023-01_a/h_output",
            "r/M/f/q/job-1/step-1/task-1/2023-02_b/h_output",
            "r/M/f/q/job-1/step-1/task-1/2023-02_b/i_output",
            "r/M/f/q/job-1/step-2/2023-01_c/h_output",
            "r/M/f/q/job-1/step-2/2023-02_c/h_output",
            "r/M/f/q/Inputs/x_input",
        ];
        assert_eq!(chosen(&keys, PerTask::Latest), [keys[3], keys[4], keys[1], keys[2]]);
        assert_eq!(chosen(&keys, PerTask::All), [keys[3], keys[4], keys[0], keys[1], keys[2]]);
    }

    #[test]
    fn keys_match_as_the_pattern_says() {
        for key in ["step-/x/output", "a/step-1/b/c/my_output_2", "step-1//output", "x\nstep-1/a/output"] {
            assert!(is_output_of_step(key), "{key:?}");
        }
        for key in ["step-1/output", "step-1/a/outpu", "step-1\n/a/output", "stp-1/a/b/output"] {
            assert!(!is_output_of_step(key), "{key:?}");
        }
        assert!(is_output_of_session_action("t/2023_sessionaction-1-0/h_output", "sessionaction-1-0"));
        assert!(!is_output_of_session_action("t/2023_sessionaction-1-1/h_output", "sessionaction-1-0"));
    }
}
