//! The JSON form of worker properties.

use super::{ManifestProperties, WorkerManifestProperties};
use crate::error::{Error, Result};
use crate::manifest::canonical::push_string;
use crate::manifest::json::{Kind, Reader, SyntaxError};
use crate::path::PathFormat;
use crate::path_mapping::{format_from_name, format_name};

/// Reads a list of properties. Unknown fields are skipped, `null` counts as missing.
///
/// # Errors
/// [`Error::Json`] for text that is no JSON; [`Error::InvalidArgument`] for JSON of another shape, naming the entry and the
/// field.
pub(crate) fn properties_from_json(text: &[u8]) -> Result<Vec<WorkerManifestProperties>> {
    let mut reader = Reader::new(text);
    let located = |error: SyntaxError| error.locate(text);
    let parsed = read_list(&mut reader).map_err(located)?;
    reader.finish().map_err(located)?;
    let Some(entries) = parsed else {
        return Err(Error::InvalidArgument(
            "Expected a list but got another value in worker properties file".to_owned(),
        ));
    };
    let entry = |(index, entry): (usize, Value)| {
        let properties = properties(entry);
        properties.map_err(|problem| Error::InvalidArgument(format!("worker properties, entry {index}: {problem}")))
    };
    entries.into_iter().enumerate().map(entry).collect()
}

/// Writes a list of properties as Python's `json.dumps` writes what the agent makes of them.
#[must_use]
pub(crate) fn properties_to_json(properties: &[WorkerManifestProperties]) -> Vec<u8> {
    let mut out = Vec::new();
    push_list(&mut out, properties, push_properties);
    out
}

/// As much of a JSON value as properties need.
enum Value {
    Text(Vec<u8>),
    List(Vec<Value>),
    Object(Vec<(Vec<u8>, Value)>),
    Null,
    Other,
}

/// The elements of the list, or `None` where the document is no list.
fn read_list(reader: &mut Reader<'_>) -> Result<Option<Vec<Value>>, SyntaxError> {
    Ok(match read_value(reader)? {
        Value::List(entries) => Some(entries),
        _ => None,
    })
}

/// The reader limits how deep this recurses.
fn read_value(reader: &mut Reader<'_>) -> Result<Value, SyntaxError> {
    Ok(match reader.kind()? {
        Kind::String => Value::Text(reader.string()?.into_owned()),
        Kind::Null => {
            reader.null()?;
            Value::Null
        }
        Kind::Number => {
            reader.number()?;
            Value::Other
        }
        Kind::Array => {
            reader.open_array()?;
            let (mut first, mut list) = (true, Vec::new());
            while reader.next_element(&mut first)? {
                list.push(read_value(reader)?);
            }
            Value::List(list)
        }
        Kind::Object => {
            reader.open_object()?;
            let (mut first, mut fields) = (true, Vec::new());
            while let Some(key) = reader.next_key(&mut first)? {
                fields.push((key.into_owned(), read_value(reader)?));
            }
            Value::Object(fields)
        }
    })
}

/// The fields of an object; of two with one name the last counts, as in Python.
struct Fields(Vec<(Vec<u8>, Value)>);

impl Fields {
    fn of(value: Value, what: &str) -> Result<Self, String> {
        match value {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(format!("{what} is no object")),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().rposition(|(key, _)| key == name.as_bytes())?;
        Some(self.0.swap_remove(at).1).filter(|value| !matches!(value, Value::Null))
    }

    fn optional_text(&mut self, name: &str) -> Result<Option<Vec<u8>>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(format!("{name} is no string")),
        }
    }

    fn text(&mut self, name: &str) -> Result<Vec<u8>, String> {
        self.optional_text(name)?.ok_or_else(|| format!("{name} is missing"))
    }

    fn optional_texts(&mut self, name: &str) -> Result<Option<Vec<Vec<u8>>>, String> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Value::List(list) = value else { return Err(format!("{name} is no list")) };
        let text = |value| match value {
            Value::Text(text) => Ok(text),
            _ => Err(format!("{name} has an element that is no string")),
        };
        list.into_iter().map(text).collect::<Result<_, _>>().map(Some)
    }
}

fn properties(entry: Value) -> Result<WorkerManifestProperties, String> {
    let mut fields = Fields::of(entry, "it")?;
    let inner = fields.take("manifestProperties").ok_or("manifestProperties is missing")?;
    Ok(WorkerManifestProperties {
        manifest_properties: manifest_properties(inner)?,
        local_root_path: fields.text("localRootPath")?,
        local_manifest_paths: fields.optional_texts("localManifestPaths")?.unwrap_or_default(),
        local_input_manifest_path: fields.optional_text("localInputManifestPath")?,
    })
}

fn manifest_properties(value: Value) -> Result<ManifestProperties, String> {
    let mut fields = Fields::of(value, "manifestProperties")?;
    Ok(ManifestProperties {
        root_path: fields.text("rootPath")?,
        root_path_format: path_format(&fields.text("rootPathFormat")?)?,
        file_system_location_name: fields.optional_text("fileSystemLocationName")?,
        input_manifest_path: fields.optional_text("inputManifestPath")?,
        input_manifest_hash: fields.optional_text("inputManifestHash")?,
        output_relative_directories: fields.optional_texts("outputRelativeDirectories")?,
    })
}

/// The agent takes the lower-case names alone.
fn path_format(name: &[u8]) -> Result<PathFormat, String> {
    let text = String::from_utf8_lossy(name);
    let found = format_from_name(&text).ok().filter(|format| format_name(*format) == text);
    found.ok_or_else(|| format!("rootPathFormat '{text}' is not a valid PathFormat"))
}

fn push_list<T>(out: &mut Vec<u8>, list: &[T], push: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (index, element) in list.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        push(out, element);
    }
    out.push(b']');
}

fn push_texts(out: &mut Vec<u8>, texts: &[Vec<u8>]) {
    push_list(out, texts, |out, text| push_string(out, text));
}

/// Appends a key, and the comma before it unless it is the first.
fn push_key(out: &mut Vec<u8>, key: &str) {
    if out.last() != Some(&b'{') {
        out.extend_from_slice(b", ");
    }
    push_string(out, key.as_bytes());
    out.extend_from_slice(b": ");
}

fn push_properties(out: &mut Vec<u8>, properties: &WorkerManifestProperties) {
    out.push(b'{');
    push_key(out, "manifestProperties");
    push_manifest_properties(out, &properties.manifest_properties);
    push_key(out, "localManifestPaths");
    push_texts(out, &properties.local_manifest_paths);
    push_key(out, "localRootPath");
    push_string(out, &properties.local_root_path);
    push_key(out, "localInputManifestPath");
    match &properties.local_input_manifest_path {
        Some(path) => push_string(out, path),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
}

/// Fields without a value are left out, empty ones too.
fn push_manifest_properties(out: &mut Vec<u8>, properties: &ManifestProperties) {
    let push_optional = |out: &mut Vec<u8>, key: &str, value: &Option<Vec<u8>>| {
        if let Some(text) = value.as_ref().filter(|text| !text.is_empty()) {
            push_key(out, key);
            push_string(out, text);
        }
    };
    out.push(b'{');
    push_key(out, "rootPath");
    push_string(out, &properties.root_path);
    push_optional(out, "fileSystemLocationName", &properties.file_system_location_name);
    push_key(out, "rootPathFormat");
    push_string(out, format_name(properties.root_path_format).as_bytes());
    push_optional(out, "inputManifestPath", &properties.input_manifest_path);
    push_optional(out, "inputManifestHash", &properties.input_manifest_hash);
    if let Some(directories) = properties.output_relative_directories.as_ref().filter(|list| !list.is_empty()) {
        push_key(out, "outputRelativeDirectories");
        push_texts(out, directories);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the agent writes, with `json.dumps`.
    const AGENTS: &str = concat!(
        r#"[{"manifestProperties": {"rootPath": "C:\\caf\u00e9", "fileSystemLocationName": "shows", "#,
        r#""rootPathFormat": "windows", "inputManifestPath": "f/q/Inputs/g/h_input", "inputManifestHash": "ab", "#,
        r#""outputRelativeDirectories": ["renders\\final"]}, "localManifestPaths": ["/s/m1", "/s/\udcff"], "#,
        r#""localRootPath": "/s/assetroot-1", "localInputManifestPath": "/s/m1"}, "#,
        r#"{"manifestProperties": {"rootPath": "/r", "rootPathFormat": "posix"}, "localManifestPaths": [], "#,
        r#""localRootPath": "/s/2", "localInputManifestPath": null}]"#,
    );

    #[test]
    fn the_agents_text_comes_back() {
        let properties = properties_from_json(AGENTS.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(properties_to_json(&properties)).unwrap(), AGENTS);
        let first = &properties[0];
        assert_eq!(first.manifest_properties.root_path, "C:\\café".as_bytes());
        let directories = first.local_output_relative_directories(PathFormat::Posix).unwrap();
        assert_eq!(directories, Some(vec![b"renders/final".to_vec()]));
        assert_eq!(first.hashed_source_path(), crate::hash::hash_bytes("showsC:\\café".as_bytes()));
        let json = br#""C:\\caf\u00e9""#.to_vec();
        let expected = [("asset-root-json", json.clone()), ("asset-root", json)];
        assert_eq!(first.output_metadata()[..2], expected);
        assert_eq!(first.output_metadata()[2], ("file-system-location-name", b"shows".to_vec()));
        assert_eq!(properties[1].output_metadata(), [("asset-root", b"/r".to_vec())]);
        assert_eq!(first.to_path_mapping_rule().destination_path, b"/s/assetroot-1");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, problem) in [
            ("", "Expecting value"),
            ("[", "Expecting value"),
            ("{}", "Expected a list"),
            ("[] x", "Extra data"),
            ("[3]", "entry 0: it is no object"),
            ("[{}]", "entry 0: manifestProperties is missing"),
            (r#"[{"manifestProperties": 3}]"#, "entry 0: manifestProperties is no object"),
            (r#"[{"manifestProperties": {}}]"#, "entry 0: rootPath is missing"),
            (r#"[{"manifestProperties": {"rootPath": 3}}]"#, "entry 0: rootPath is no string"),
            (
                r#"[{"manifestProperties": {"rootPath": "/", "rootPathFormat": "POSIX"}}]"#,
                "rootPathFormat 'POSIX' is not a valid PathFormat",
            ),
            (
                r#"[{"manifestProperties": {"rootPath": "/", "rootPathFormat": "posix"}}]"#,
                "entry 0: localRootPath is missing",
            ),
            (
                r#"[{"manifestProperties": {"rootPath": "/", "rootPathFormat": "posix"}, "localRootPath": "/", "localManifestPaths": [1]}]"#,
                "localManifestPaths has an element that is no string",
            ),
        ] {
            let error = properties_from_json(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }
}
