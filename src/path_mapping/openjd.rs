//! Path mapping files of Open Job Description
//! (<https://github.com/OpenJobDescription/openjd-specifications/wiki/How-Jobs-Are-Run#path-mapping>).

use serde::de::{Deserialize, Deserializer, IgnoredAny, Visitor};

use super::{PathMappingRule, format_from_name};
use crate::error::{Error, Result};

const VERSION: &str = "pathmapping-1.0";

/// Rules from a file's text: `{"version": "pathmapping-1.0", "path_mapping_rules": [{"source_path_format": "POSIX",
/// "source_path": …, "destination_path": …}, …]}`, or the list alone. Other fields are ignored.
///
/// # Errors
/// [`Error::NonValidInput`] where the text is no JSON or has another shape, naming the rule and the field, or the line and
/// the column.
pub(crate) fn rules_from_json(text: &str) -> Result<Vec<PathMappingRule>> {
    read(text).map_err(|problem| Error::NonValidInput(format!("The path mapping rules are not valid: {problem}")))
}

fn read(text: &str) -> Result<Vec<PathMappingRule>, String> {
    let fail = |error: serde_json::Error| error.to_string();
    let rules: Option<Vec<Rule>> = match text.trim_start().as_bytes().first() {
        Some(b'[') => Some(serde_json::from_str(text).map_err(fail)?),
        Some(b'{') => {
            // The version first: another one may have another shape.
            let Version { version } = serde_json::from_str(text).map_err(fail)?;
            if let Some(version) = version.filter(|version| version != VERSION) {
                return Err(format!("version {version} is not supported"));
            }
            serde_json::from_str::<RulesDocument>(text).map_err(fail)?.path_mapping_rules
        }
        _ => serde_json::from_str(text).map(|IgnoredAny| None).map_err(fail)?,
    };
    let rules = rules.ok_or("expected a list of rules, or an object with path_mapping_rules")?;
    let rule = |(index, rule): (usize, Rule)| rule.check().map_err(|problem| format!("rule {index}: {problem}"));
    rules.into_iter().enumerate().map(rule).collect()
}

#[derive(serde::Deserialize)]
struct Version {
    version: Option<String>,
}

#[derive(serde::Deserialize)]
struct RulesDocument {
    path_mapping_rules: Option<Vec<Rule>>,
}

#[derive(serde::Deserialize)]
struct Rule {
    source_path_format: Option<String>,
    source_path: Option<Wtf8>,
    destination_path: Option<Wtf8>,
}

impl Rule {
    fn check(self) -> Result<PathMappingRule, String> {
        let format = self.source_path_format.ok_or("source_path_format is missing")?;
        Ok(PathMappingRule {
            source_path_format: format_from_name(&format).map_err(|error| error.to_string())?,
            source_path: self.source_path.ok_or("source_path is missing")?.0,
            destination_path: self.destination_path.ok_or("destination_path is missing")?.0,
        })
    }
}

/// A text that may hold lone surrogates, which JSON can only escape: Python writes names that are no UTF-8 so.
struct Wtf8(Vec<u8>);

impl<'de> Deserialize<'de> for Wtf8 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Wtf8;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Wtf8, E> {
                Ok(Wtf8(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::PathFormat;

    #[test]
    fn files_and_bare_lists_are_read() {
        let rule = r#"{"source_path_format": "WINDOWS", "source_path": "C:\\a", "destination_path": "/a"}"#;
        let file = format!(r#"{{"version": "pathmapping-1.0", "path_mapping_rules": [{rule}]}}"#);
        for text in [file, format!("[{rule}]")] {
            let rules = rules_from_json(&text).unwrap();
            assert_eq!(rules.len(), 1);
            assert_eq!(rules[0].source_path_format, PathFormat::Windows);
            assert_eq!(rules[0].source_path, b"C:\\a");
        }
        assert!(rules_from_json("[]").unwrap().is_empty());
        let odd =
            r#"[{"source_path_format": "posix", "source_path": "/\udcff\u00e9", "destination_path": "/é", "x": [{}]}]"#;
        let rules = rules_from_json(odd).unwrap();
        assert_eq!(rules[0].source_path, b"/\xed\xb3\xbf\xc3\xa9", "a name that is no UTF-8");
        assert_eq!(rules[0].destination_path, "/é".as_bytes());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, problem) in [
            ("{", "EOF while parsing"),
            ("3", "expected a list of rules"),
            (r#"{"rules": []}"#, "expected a list of rules"),
            (r#"{"version": "pathmapping-2.0", "path_mapping_rules": []}"#, "version pathmapping-2.0 is not supported"),
            (r#"[{"source_path_format": "POSIX"}]"#, "rule 0: source_path is missing"),
            (r#"[{"source_path_format": "MAC"}]"#, "rule 0: Unexpected source path format MAC"),
            (r#"[{"source_path_format": 1}]"#, "invalid type: integer `1`, expected a string at line 1 column 25"),
            ("[{\n\"source_path\": {}}]", "invalid type: map, expected a string at line 2"),
            (r#"{"version": "pathmapping-2.0", "path_mapping_rules": 3}"#, "version pathmapping-2.0 is not supported"),
            ("", "EOF while parsing"),
            ("[] x", "trailing characters"),
        ] {
            let error = rules_from_json(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }
}
