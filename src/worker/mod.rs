//! What a worker knows of a job's roots, and when it gives a transfer up.
//!
//! The worker agent hands the properties to its download and upload processes as a JSON file, which has the form of
//! `deadline-cloud-worker-agent` 0.33.6.

mod json;
mod low_transfer_rate;

use crate::error::Result;
use crate::hash::{ContentHash, hash_bytes};
use crate::manifest::canonical::push_string;
use crate::path::PathFormat;
use crate::path_mapping::{PathMappingRule, convert_directory};

pub(crate) use json::{properties_from_json, properties_to_json};
pub use low_transfer_rate::LowTransferRateDetector;

/// One asset root of a job, as the Deadline Cloud API knows it. Its texts are kept as generalised UTF-8 (WTF-8), so that lone
/// surrogates survive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ManifestProperties {
    /// The path on the submitter's machine that the manifest's paths are relative to.
    pub(crate) root_path: Vec<u8>,
    /// The format of that path.
    pub(crate) root_path_format: PathFormat,
    /// The LOCAL location of the submitter's storage profile that the root lies in, if any.
    pub(crate) file_system_location_name: Option<Vec<u8>>,
    /// The input manifest's key without `<rootPrefix>/Manifests/`.
    pub(crate) input_manifest_path: Option<Vec<u8>>,
    /// The hash of the input manifest's text.
    pub(crate) input_manifest_hash: Option<Vec<u8>>,
    /// Where outputs are looked for, relative to the root.
    pub(crate) output_relative_directories: Option<Vec<Vec<u8>>>,
}

/// An asset root with the places that it has on a worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkerManifestProperties {
    /// The root as the job has it.
    pub(crate) manifest_properties: ManifestProperties,
    /// The root's directory on the worker.
    pub(crate) local_root_path: Vec<u8>,
    /// Manifest files on the worker: the inputs' and those of earlier steps' outputs.
    pub(crate) local_manifest_paths: Vec<Vec<u8>>,
    /// The file of the merged input manifest, if the root has inputs.
    pub(crate) local_input_manifest_path: Option<Vec<u8>>,
}

impl WorkerManifestProperties {
    /// The rule that maps the root to the worker's directory.
    #[must_use]
    pub(crate) fn to_path_mapping_rule(&self) -> PathMappingRule {
        PathMappingRule {
            source_path_format: self.manifest_properties.root_path_format,
            source_path: self.manifest_properties.root_path.clone(),
            destination_path: self.local_root_path.clone(),
        }
    }

    /// The hash of the location's name and the root path, which output manifests are named after.
    #[must_use]
    pub(crate) fn hashed_source_path(&self) -> ContentHash {
        let mut text = self.manifest_properties.file_system_location_name.clone().unwrap_or_default();
        text.extend_from_slice(&self.manifest_properties.root_path);
        hash_bytes(&text)
    }

    /// The output directories in the format of `host`.
    ///
    /// # Errors
    /// [`crate::Error::InvalidArgument`] for a directory of the other format that is not relative.
    pub(crate) fn local_output_relative_directories(&self, host: PathFormat) -> Result<Option<Vec<Vec<u8>>>> {
        let format = self.manifest_properties.root_path_format;
        let directories = self.manifest_properties.output_relative_directories.as_ref();
        let convert =
            |given: &Vec<Vec<u8>>| given.iter().map(|directory| convert_directory(directory, format, host)).collect();
        directories.map(convert).transpose()
    }

    /// The S3 metadata of an output manifest of this root.
    ///
    /// Metadata is ASCII: another root is written as JSON with escapes, under `asset-root-json` for readers that know this
    /// and under `asset-root` for the others.
    #[must_use]
    pub(crate) fn output_metadata(&self) -> Vec<(&'static str, Vec<u8>)> {
        let root = &self.manifest_properties.root_path;
        let mut metadata = if root.is_ascii() {
            vec![("asset-root", root.clone())]
        } else {
            let mut quoted = Vec::new();
            push_string(&mut quoted, root);
            vec![("asset-root-json", quoted.clone()), ("asset-root", quoted)]
        };
        if let Some(name) = self.manifest_properties.file_system_location_name.as_ref().filter(|name| !name.is_empty())
        {
            metadata.push(("file-system-location-name", name.clone()));
        }
        metadata
    }
}
