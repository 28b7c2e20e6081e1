//! The local tree: finding files, grouping them under roots, hashing them, and comparing them with a manifest.
//!
//! Files cross the boundary as lists that stay native; only what callers look at becomes Python objects.

#![allow(clippy::needless_pass_by_value, reason = "pyo3 hands extracted arguments over by value")]

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use super::errors::to_py_err;
use super::manifest::{manifest_from_python, manifest_to_python};
use super::pump::{Caller, Operation};
use super::wtf8::{string_from_wtf8, with_wtf8};
use crate::cache::HashCache;
use crate::fs::collect::SymlinkPolicy;
use crate::fs::glob::{self, GlobRequest};
use crate::fs::open::LinkPolicy;
use crate::fs::path_list::PathList;
use crate::glob::Selection;
use crate::grouping::{self, FileSystemLocation};
use crate::ops;
use crate::ops::build_manifest::{BuildManifestRequest, BuildReport};
use crate::ops::collect_tree::{CollectListedRequest, CollectTreeRequest};
use crate::ops::diff_tree::{DiffTreeRequest, Difference};
use crate::ops::hash_files::HashReason;
use crate::ops::prepare_inputs::{PrepareInputsRequest, Prepared};
use crate::ops::survey::{Survey, SurveyRequest};
use crate::transfer::context::Context;

/// Adds what this module has for Python.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<LocalPaths>()?;
    module.add_class::<FileSurvey>()?;
    module.add_function(wrap_pyfunction!(glob_files, module)?)?;
    module.add_function(wrap_pyfunction!(survey_files, module)?)?;
    module.add_function(wrap_pyfunction!(collect_tree, module)?)?;
    module.add_function(wrap_pyfunction!(build_manifest, module)?)?;
    module.add_function(wrap_pyfunction!(diff_tree, module)?)?;
    module.add_function(wrap_pyfunction!(prepare_inputs, module)?)?;
    Ok(())
}

/// A list of paths.
#[pyclass(frozen, module = "rusty_attachments._native")]
pub(crate) struct LocalPaths {
    paths: Arc<PathList>,
}

#[pymethods]
impl LocalPaths {
    /// A list of any iterable of strings and path-like objects.
    #[new]
    fn new(paths: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self { paths: Arc::new(paths_from_python(paths)?) })
    }

    fn __len__(&self) -> usize {
        self.paths.len()
    }

    /// The paths as strings, each with `prefix` before it.
    #[pyo3(signature = (prefix = None))]
    fn strings<'py>(&self, py: Python<'py>, prefix: Option<&Bound<'py, PyString>>) -> PyResult<Bound<'py, PyList>> {
        let mut text = match prefix {
            Some(prefix) => with_wtf8(prefix, <[u8]>::to_vec)?,
            None => Vec::new(),
        };
        let length = text.len();
        let list = PyList::empty(py);
        for path in self.paths.iter() {
            text.truncate(length);
            text.extend_from_slice(path);
            list.append(string_from_wtf8(py, &text)?)?;
        }
        Ok(list)
    }

    /// The same paths relative to a root.
    ///
    /// # Errors
    /// `ValueError` for a path that is not below it.
    fn relative_to(&self, py: Python<'_>, root: &Bound<'_, PyString>) -> PyResult<Self> {
        let root = with_wtf8(root, <[u8]>::to_vec)?;
        let mut below = PathList::new();
        for path in self.paths.iter() {
            let Some(relative) = grouping::below(path, &root).filter(|relative| !relative.is_empty()) else {
                let (path, root) = (string_from_wtf8(py, path)?.repr()?, string_from_wtf8(py, &root)?.repr()?);
                return Err(PyValueError::new_err(format!(
                    "{path} is not in the subpath of {root} OR one path is relative and the other is absolute."
                )));
            };
            below.push(relative);
        }
        Ok(Self { paths: Arc::new(below) })
    }
}

/// Files of a root, as they were when they were looked at.
#[pyclass(frozen, module = "rusty_attachments._native")]
pub(crate) struct FileSurvey {
    survey: Arc<Survey>,
}

#[pymethods]
impl FileSurvey {
    fn __len__(&self) -> usize {
        self.survey.files.len()
    }

    /// Whether there is nothing at all for a manifest.
    #[getter]
    fn is_empty(&self) -> bool {
        let tree = self.survey.tree.as_ref();
        self.survey.files.is_empty() && tree.is_none_or(|tree| tree.directories.is_empty() && tree.symlinks.is_empty())
    }

    /// The size of all files in bytes.
    #[getter]
    fn total_bytes(&self) -> u64 {
        self.survey.total_bytes()
    }

    /// Some of the files, by their indices.
    fn select(&self, py: Python<'_>, indices: Vec<usize>) -> PyResult<Self> {
        if indices.iter().any(|index| *index >= self.survey.files.len()) {
            return Err(pyo3::exceptions::PyIndexError::new_err("index out of range"));
        }
        let survey = self.survey.select(&indices).map_err(|error| to_py_err(py, &error))?;
        Ok(Self { survey: Arc::new(survey) })
    }
}

/// Files that match any of the first patterns and none of the second; a pair in Python.
#[derive(FromPyObject)]
pub(crate) struct SelectionPatterns<'py> {
    #[pyo3(item(0))]
    include: Vec<Bound<'py, PyString>>,
    #[pyo3(item(1))]
    exclude: Vec<Bound<'py, PyString>>,
}

/// The paths of a submission; a triple in Python.
#[derive(FromPyObject)]
pub(crate) struct SubmittedPaths<'py> {
    #[pyo3(item(0))]
    inputs: Bound<'py, PyAny>,
    #[pyo3(item(1))]
    outputs: Bound<'py, PyAny>,
    #[pyo3(item(2))]
    references: Bound<'py, PyAny>,
}

/// Finds files by patterns. The result: paths below the root, absolute paths elsewhere, links that loop.
#[pyfunction]
pub(crate) fn glob_files(
    py: Python<'_>,
    root: &Bound<'_, PyString>,
    include: Vec<Bound<'_, PyString>>,
    exclude: Vec<Bound<'_, PyString>>,
) -> PyResult<Operation> {
    let root = os_path(root)?;
    let texts = |patterns: &[Bound<'_, PyString>]| -> PyResult<Vec<Vec<u8>>> {
        patterns.iter().map(|pattern| with_wtf8(pattern, <[u8]>::to_vec)).collect()
    };
    let (include, exclude) = (texts(&include)?, texts(&exclude)?);
    Operation::start_blocking(
        py,
        Caller::default(),
        move |context| {
            let is_cancelled = || context.cancel.is_cancelled();
            let request =
                GlobRequest { root: &root, include: &include, exclude: &exclude, is_cancelled: &is_cancelled };
            let globbed = glob::glob(&request)?;
            context.check_cancelled(ops::survey::CANCELLED)?;
            Ok(globbed)
        },
        |py, globbed| {
            let native = |paths: PathList| Bound::new(py, LocalPaths { paths: Arc::new(paths) });
            let loops: Vec<_> = globbed.loops.into_iter().map(|path| path.display().to_string()).collect();
            Ok((native(globbed.files)?, native(globbed.outside)?, loops).into_pyobject(py)?.into_any().unbind())
        },
    )
}

/// Looks at files below a root, given relative to it; with a policy for links, also at the directories above them, for a v2025
/// manifest. The result: a `FileSurvey`.
#[pyfunction]
#[pyo3(signature = (root, paths, may_vanish, policy = None))]
pub(crate) fn survey_files(
    py: Python<'_>,
    root: &Bound<'_, PyString>,
    paths: &Bound<'_, LocalPaths>,
    may_vanish: bool,
    policy: Option<&str>,
) -> PyResult<Operation> {
    let root = os_path(root)?;
    let policy = policy.map(symlink_policy).transpose()?;
    let files = Arc::clone(&paths.get().paths);
    Operation::start_blocking(
        py,
        Caller::default(),
        move |context| {
            if let Some(policy) = policy {
                let request = CollectListedRequest { root: &root, files: &files, policy };
                return ops::collect_tree::collect_listed(&request, context);
            }
            let request = SurveyRequest { root: &root, files: &files, links: LinkPolicy::Follow, may_vanish };
            ops::survey::survey_files(&request, context)
        },
        |py, survey| Ok(Bound::new(py, FileSurvey { survey: Arc::new(survey) })?.into_any().unbind()),
    )
}

/// Looks at a tree with its directories and links, for a v2025 manifest. The result: a `FileSurvey`.
#[pyfunction]
pub(crate) fn collect_tree(
    py: Python<'_>,
    root: &Bound<'_, PyString>,
    patterns: SelectionPatterns<'_>,
    policy: &str,
) -> PyResult<Operation> {
    let root = os_path(root)?;
    let texts = |patterns: &[Bound<'_, PyString>]| -> PyResult<Vec<Vec<u8>>> {
        patterns.iter().map(|pattern| with_wtf8(pattern, <[u8]>::to_vec)).collect()
    };
    let selection = Selection::new(&texts(&patterns.include)?, &texts(&patterns.exclude)?)
        .map_err(|error| to_py_err(py, &error))?;
    let policy = symlink_policy(policy)?;
    Operation::start_blocking(
        py,
        Caller::default(),
        move |context| {
            let request = CollectTreeRequest { root: &root, selection: &selection, policy };
            ops::collect_tree::collect_tree(&request, context)
        },
        |py, survey| Ok(Bound::new(py, FileSurvey { survey: Arc::new(survey) })?.into_any().unbind()),
    )
}

fn symlink_policy(name: &str) -> PyResult<SymlinkPolicy> {
    Ok(match name {
        "COLLAPSE_ESCAPING" => SymlinkPolicy::CollapseEscaping,
        "COLLAPSE_ALL" => SymlinkPolicy::CollapseAll,
        "EXCLUDE_ESCAPING" => SymlinkPolicy::ExcludeEscaping,
        "EXCLUDE_ALL" => SymlinkPolicy::ExcludeAll,
        other => return Err(PyValueError::new_err(format!("Unknown policy for symbolic links: {other}"))),
    })
}

/// Hashes the files of a survey; those that an earlier manifest has with the same size and time are not read. The result: a v2023 or v2025 manifest; how many files were read, by why; and of each of its
/// files in order whether the cache knew it (`u`), had another state of it (`m`) or had none (`n`).
#[pyfunction]
#[pyo3(signature = (survey, cache_folder, tracker = None, update_cache = true, since = None))]
pub(crate) fn build_manifest(
    py: Python<'_>,
    survey: &Bound<'_, FileSurvey>,
    cache_folder: Option<PathBuf>,
    tracker: Option<Py<PyAny>>,
    update_cache: bool,
    since: Option<&Bound<'_, PyAny>>,
) -> PyResult<Operation> {
    let survey = Arc::clone(&survey.get().survey);
    let since = since.map(manifest_from_python).transpose()?;
    Operation::start_blocking(
        py,
        Caller { tracker, ..Caller::default() },
        move |context| {
            let cache = HashCache::open(cache_folder.as_deref());
            let request =
                BuildManifestRequest { survey: &survey, earlier: since.as_deref(), cache: &cache, update_cache };
            ops::build_manifest::build_manifest(&request, context)
        },
        |py, BuildReport { manifest, hashed, reasons }| {
            let counts = PyDict::new(py);
            for reason in HashReason::ALL {
                if let Some(count) = hashed.get(&reason) {
                    counts.set_item(reason.as_str(), count)?;
                }
            }
            let statuses: Vec<u8> = reasons.into_iter().map(status_letter).collect();
            let statuses = PyBytes::new(py, &statuses);
            Ok((manifest_to_python(py, Arc::new(manifest))?, counts, statuses).into_pyobject(py)?.into_any().unbind())
        },
    )
}

const fn status_letter(reason: Option<HashReason>) -> u8 {
    match reason {
        None => b'u',
        Some(HashReason::New | HashReason::NoCache) => b'n',
        Some(_) => b'm',
    }
}

/// Compares a survey with a manifest. The result: `(index, path, "new" | "size" | "mtime")` for files that differ, and the
/// paths of the manifest that are not there.
#[pyfunction]
pub(crate) fn diff_tree<'py>(
    py: Python<'py>,
    survey: &Bound<'py, FileSurvey>,
    manifest: &Bound<'py, PyAny>,
) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyList>)> {
    let manifest = manifest_from_python(manifest)?;
    let survey = &survey.get().survey;
    let request = DiffTreeRequest { survey, manifest: &manifest };
    let diff =
        py.detach(|| ops::diff_tree::diff_tree(&request, &Context::new())).map_err(|error| to_py_err(py, &error))?;
    let changed = PyList::empty(py);
    for (index, difference) in diff.changed {
        let how = match difference {
            Difference::New => intern!(py, "new"),
            Difference::Size => intern!(py, "size"),
            Difference::ModificationTime => intern!(py, "mtime"),
        };
        changed.append((index, string_from_wtf8(py, survey.files.get(index))?, how))?;
    }
    let deleted = PyList::empty(py);
    for index in diff.deleted {
        deleted.append(string_from_wtf8(py, manifest.files.path(index).as_bytes())?)?;
    }
    Ok((changed, deleted))
}

/// Sorts the paths of a submission under roots. The locations are pairs of path and name. The result: groups as
/// `(location name, root, inputs, outputs, references)`, the number and size of the inputs, and warnings.
#[pyfunction]
pub(crate) fn prepare_inputs(
    py: Python<'_>,
    paths: SubmittedPaths<'_>,
    local_locations: Vec<(Bound<'_, PyString>, String)>,
    shared_locations: Vec<(Bound<'_, PyString>, String)>,
    require_paths_exist: bool,
) -> PyResult<Operation> {
    let locations = |given: Vec<(Bound<'_, PyString>, String)>| -> PyResult<Vec<FileSystemLocation>> {
        given
            .into_iter()
            .map(|(path, name)| Ok(FileSystemLocation { path: with_wtf8(&path, <[u8]>::to_vec)?, name }))
            .collect()
    };
    let mut request = PrepareInputsRequest {
        inputs: paths_from_python(&paths.inputs)?,
        outputs: paths_from_python(&paths.outputs)?,
        references: paths_from_python(&paths.references)?,
        local_locations: locations(local_locations)?,
        shared_locations: locations(shared_locations)?,
        require_paths_exist,
        current_directory: Vec::new(),
    };
    // A working directory that was removed is no obstacle for absolute paths.
    if request.has_relative_paths() {
        let current = py.import(intern!(py, "os"))?.call_method0(intern!(py, "getcwd"))?;
        request.current_directory = with_wtf8(current.cast::<PyString>()?, <[u8]>::to_vec)?;
    }
    Operation::start_blocking(
        py,
        Caller::default(),
        move |context| ops::prepare_inputs::prepare_inputs(&request, context),
        prepared_to_python,
    )
}

fn prepared_to_python(py: Python<'_>, prepared: Prepared) -> PyResult<Py<PyAny>> {
    let groups = PyList::empty(py);
    for group in prepared.groups {
        let native = |paths: PathList| Bound::new(py, LocalPaths { paths: Arc::new(paths) });
        groups.append((
            group.location_name,
            string_from_wtf8(py, &group.root)?,
            native(group.inputs)?,
            native(group.outputs)?,
            native(group.references)?,
        ))?;
    }
    let parts = (groups, prepared.total_files, prepared.total_bytes, prepared.warnings);
    Ok(parts.into_pyobject(py)?.into_any().unbind())
}

fn paths_from_python(paths: &Bound<'_, PyAny>) -> PyResult<PathList> {
    if let Ok(native) = paths.cast::<LocalPaths>() {
        return Ok((*native.get().paths).clone());
    }
    let mut list = PathList::new();
    for path in paths.try_iter()? {
        push_from_python(&mut list, &path?)?;
    }
    Ok(list)
}

fn push_from_python(list: &mut PathList, path: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Ok(text) = path.cast::<PyString>() {
        return with_wtf8(text, |text| list.push(text));
    }
    let text = match path.getattr_opt(intern!(path.py(), "__fspath__"))? {
        Some(fspath) => fspath.call0()?,
        None => path.clone(),
    };
    if let Ok(bytes) = text.cast::<PyBytes>() {
        list.push(&crate::path::escape_bytes(bytes.as_bytes()));
        return Ok(());
    }
    with_wtf8(text.cast::<PyString>()?, |text| list.push(text))
}

/// The host's path for a string.
fn os_path(text: &Bound<'_, PyString>) -> PyResult<PathBuf> {
    with_wtf8(text, crate::path::os_string_from_wtf8)?
        .map(PathBuf::from)
        .ok_or_else(|| PyValueError::new_err("the path holds a surrogate that no file name can hold"))
}
