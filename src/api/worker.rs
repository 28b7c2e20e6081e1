//! What a worker agent knows of a job, for Rust programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::path::{PathFormat, path_from_wtf8, wtf8_from_os_str};
use crate::path_mapping::PathMappingRule;
use crate::worker::{ManifestProperties, WorkerManifestProperties, properties_from_json, properties_to_json};

impl ManifestProperties {
    /// A root of the submitter's machine, without a location, manifest or output directories.
    #[must_use]
    pub fn new(root_path: &str, format: PathFormat) -> Self {
        Self {
            root_path: root_path.into(),
            root_path_format: format,
            file_system_location_name: None,
            input_manifest_path: None,
            input_manifest_hash: None,
            output_relative_directories: None,
        }
    }

    /// The root, a path of the submitter's machine.
    #[must_use]
    pub fn root_path(&self) -> PathBuf {
        path_from_wtf8(&self.root_path)
    }

    /// The format of that path.
    #[must_use]
    pub fn root_path_format(&self) -> PathFormat {
        self.root_path_format
    }

    /// The key of the input manifest below `<rootPrefix>/Manifests/`, if the root has inputs.
    #[must_use]
    pub fn input_manifest_key(&self) -> Option<String> {
        self.input_manifest_path.as_deref().map(|key| String::from_utf8_lossy(key).into_owned())
    }
}

impl WorkerManifestProperties {
    /// Reads the worker properties file that the agent hands to its processes.
    ///
    /// # Errors
    /// [`crate::Error::Io`] where the file can't be read, [`crate::Error::Json`] and [`crate::Error::NonValidInput`] for what is none.
    pub fn read(path: impl AsRef<Path>) -> Result<Vec<Self>> {
        let path = path.as_ref();
        let text = super::read_file(path)?;
        Self::from_json(&text)
    }

    /// Reads worker properties from the text of such a file.
    ///
    /// # Errors
    /// [`crate::Error::Json`] and [`crate::Error::NonValidInput`].
    pub fn from_json(text: &[u8]) -> Result<Vec<Self>> {
        properties_from_json(text)
    }

    /// The text of a worker properties file, as the agent writes it.
    #[must_use]
    pub fn to_json(properties: &[Self]) -> Vec<u8> {
        properties_to_json(properties)
    }

    /// A root with its directory on this machine, and no manifests.
    #[must_use]
    pub fn new(manifest_properties: ManifestProperties, local_root_path: impl AsRef<Path>) -> Self {
        Self {
            manifest_properties,
            local_root_path: wtf8_from_os_str(local_root_path.as_ref().as_os_str()),
            local_manifest_paths: Vec::new(),
            local_input_manifest_path: None,
        }
    }

    /// The root as the job has it.
    #[must_use]
    pub fn manifest_properties(&self) -> &ManifestProperties {
        &self.manifest_properties
    }

    /// The root's directory on this machine.
    #[must_use]
    pub fn local_root_path(&self) -> PathBuf {
        path_from_wtf8(&self.local_root_path)
    }

    /// Manifest files on this machine: those of the inputs, and of the outputs of earlier steps.
    #[must_use]
    pub fn local_manifest_paths(&self) -> Vec<PathBuf> {
        self.local_manifest_paths.iter().map(|path| path_from_wtf8(path)).collect()
    }

    /// The file of the merged input manifest, if the root has inputs.
    #[must_use]
    pub fn local_input_manifest_path(&self) -> Option<PathBuf> {
        self.local_input_manifest_path.as_deref().map(path_from_wtf8)
    }

    /// The directories in which outputs are looked for, relative to the root.
    ///
    /// # Errors
    /// [`crate::Error::InvalidArgument`] for a directory of another system's format that is not relative.
    pub fn output_directories(&self) -> Result<Vec<PathBuf>> {
        let directories = self.local_output_relative_directories(PathFormat::host())?.unwrap_or_default();
        Ok(directories.iter().map(|path| path_from_wtf8(path)).collect())
    }

    /// The rule that maps the root to its directory on this machine.
    #[must_use]
    pub fn path_mapping_rule(&self) -> PathMappingRule {
        self.to_path_mapping_rule()
    }

    /// The name of an output manifest of this root: the hash of the location's name and the root, and `_output`.
    #[must_use]
    pub fn output_manifest_name(&self) -> String {
        format!("{}_output", self.hashed_source_path())
    }

    /// The S3 metadata of an output manifest of this root. Metadata is ASCII: a root that is not is written as JSON.
    #[must_use]
    pub fn output_manifest_metadata(&self) -> BTreeMap<String, String> {
        let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
        self.output_metadata().into_iter().map(|(name, value)| (name.to_owned(), text(value))).collect()
    }
}

/// The pattern of all files below a directory, whatever characters its name has.
#[must_use]
pub fn files_below(directory: impl AsRef<Path>) -> String {
    let name = String::from_utf8_lossy(&wtf8_from_os_str(directory.as_ref().as_os_str())).into_owned();
    let mut pattern = String::with_capacity(name.len() + 3);
    for character in name.chars() {
        match character {
            '*' | '?' | '[' => pattern.extend(['[', character, ']']),
            other => pattern.push(other),
        }
    }
    pattern + "/**"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_written_and_read() {
        let root = ManifestProperties::new(r"C:\shots", PathFormat::Windows);
        let written = vec![WorkerManifestProperties::new(root, "/sessions/1/assetroot-1")];
        let read = WorkerManifestProperties::from_json(&WorkerManifestProperties::to_json(&written)).unwrap();
        assert_eq!(read, written);
        assert_eq!(read[0].path_mapping_rule().destination(), Path::new("/sessions/1/assetroot-1"));
    }

    #[test]
    fn patterns_of_directories_take_their_names_as_they_are() {
        assert_eq!(files_below("renders [final]/v?*"), "renders [[]final]/v[?][*]/**");
    }
}
