//! Path mapping for Python. Formats cross as their names, rules as (format, source path, destination path).

use pyo3::prelude::*;

use super::errors::to_py_err;
use super::wtf8::Text;
use crate::path::PathFormat;
use crate::path_mapping as rules;
use crate::path_mapping::{FileSystemLocation, PathMappingRule, StorageProfile, WindowsPrefixes};

type Rule = (String, Text, Text);
/// An id, a path format, and the locations as (name, path).
type Profile = (Text, String, Vec<(Text, Text)>);

fn rule_from_python(py: Python<'_>, (format, source, destination): Rule) -> PyResult<PathMappingRule> {
    Ok(PathMappingRule {
        source_path_format: rules::format_from_name(&format).map_err(|error| to_py_err(py, &error))?,
        source_path: source.0,
        destination_path: destination.0,
    })
}

fn rule_to_python(rule: PathMappingRule) -> Rule {
    let format = rules::format_name(rule.source_path_format).to_owned();
    (format, Text(rule.source_path), Text(rule.destination_path))
}

fn rules_from_python(py: Python<'_>, given: Vec<Rule>) -> PyResult<Vec<PathMappingRule>> {
    given.into_iter().map(|rule| rule_from_python(py, rule)).collect()
}

fn rules_to_python(found: Vec<PathMappingRule>) -> Vec<Rule> {
    found.into_iter().map(rule_to_python).collect()
}

fn profile_from_python(py: Python<'_>, (id, format, locations): Profile) -> PyResult<StorageProfile> {
    let location = |(name, path): (Text, Text)| FileSystemLocation { name: name.0, path: path.0 };
    Ok(StorageProfile {
        id: id.0,
        path_format: rules::format_from_name(&format).map_err(|error| to_py_err(py, &error))?,
        locations: locations.into_iter().map(location).collect(),
    })
}

/// Applies path mapping rules; see `rusty_attachments.path_mapping`.
#[pyclass(frozen, module = "rusty_attachments._native")]
pub(super) struct PathMappingRuleApplier(rules::PathMappingRuleApplier);

#[pymethods]
impl PathMappingRuleApplier {
    /// `classic` reads Windows prefixes as `pathlib` did before Python 3.12.
    #[new]
    fn new(py: Python<'_>, rules: Vec<Rule>, classic: bool) -> PyResult<Self> {
        let prefixes = if classic { WindowsPrefixes::Classic } else { WindowsPrefixes::Current };
        let rules = rules_from_python(py, rules)?;
        rules::PathMappingRuleApplier::new(&rules, PathFormat::host(), prefixes)
            .map(Self)
            .map_err(|error| to_py_err(py, &error))
    }

    #[allow(clippy::needless_pass_by_value, reason = "pyo3 extracts values")]
    fn transform(&self, path: Text) -> Option<Text> {
        self.0.transform(&path.0).map(Text)
    }
}

#[pyfunction]
fn generate_path_mapping_rules(py: Python<'_>, source: Profile, destination: Profile) -> PyResult<Vec<Rule>> {
    let (source, destination) = (profile_from_python(py, source)?, profile_from_python(py, destination)?);
    Ok(rules_to_python(rules::generate_path_mapping_rules(&source, &destination)))
}

#[pyfunction]
#[allow(clippy::needless_pass_by_value, reason = "pyo3 extracts values")]
fn unique_directory_name(root_path: Text) -> String {
    rules::unique_directory_name(&root_path.0)
}

/// `roots` are (root path, format, file system location's name).
#[pyfunction]
#[allow(clippy::needless_pass_by_value, reason = "pyo3 extracts values")]
fn generate_dynamic_path_mapping(
    py: Python<'_>,
    session_directory: Text,
    roots: Vec<(Text, String, Option<Text>)>,
) -> PyResult<Vec<Rule>> {
    let mut converted = Vec::with_capacity(roots.len());
    for (root_path, format, location) in &roots {
        let format = rules::format_from_name(format).map_err(|error| to_py_err(py, &error))?;
        converted.push((root_path.0.as_slice(), format, location.as_ref().map(|name| name.0.as_slice())));
    }
    let found = rules::generate_dynamic_path_mapping(&session_directory.0, converted, PathFormat::host());
    Ok(rules_to_python(found))
}

/// `by_profile` are (source path, destination path).
#[pyfunction]
#[allow(clippy::needless_pass_by_value, reason = "pyo3 extracts values")]
fn local_destination(
    py: Python<'_>,
    root_path: Text,
    has_location: bool,
    dynamic: Vec<Rule>,
    by_profile: Vec<(Text, Text)>,
) -> PyResult<Text> {
    let dynamic = rules_from_python(py, dynamic)?;
    let by_profile: Vec<_> = by_profile.into_iter().map(|(from, to)| (from.0, to.0)).collect();
    rules::local_destination(&root_path.0, has_location, &dynamic, &by_profile)
        .map(Text)
        .map_err(|error| to_py_err(py, &error))
}

#[pyfunction]
#[allow(clippy::needless_pass_by_value, reason = "pyo3 extracts values")]
fn convert_directory(py: Python<'_>, directory: Text, source_format: &str, target_format: &str) -> PyResult<Text> {
    let format = |name| rules::format_from_name(name).map_err(|error| to_py_err(py, &error));
    rules::convert_directory(&directory.0, format(source_format)?, format(target_format)?)
        .map(Text)
        .map_err(|error| to_py_err(py, &error))
}

#[pyfunction]
fn path_mapping_rules_from_json(py: Python<'_>, text: &str) -> PyResult<Vec<Rule>> {
    rules::rules_from_json(text).map(rules_to_python).map_err(|error| to_py_err(py, &error))
}

/// Adds this file's names to the native module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PathMappingRuleApplier>()?;
    module.add_function(wrap_pyfunction!(generate_path_mapping_rules, module)?)?;
    module.add_function(wrap_pyfunction!(unique_directory_name, module)?)?;
    module.add_function(wrap_pyfunction!(generate_dynamic_path_mapping, module)?)?;
    module.add_function(wrap_pyfunction!(local_destination, module)?)?;
    module.add_function(wrap_pyfunction!(convert_directory, module)?)?;
    module.add_function(wrap_pyfunction!(path_mapping_rules_from_json, module)?)
}
