//! Path mapping files of Open Job Description
//! (<https://github.com/OpenJobDescription/openjd-specifications/wiki/How-Jobs-Are-Run#path-mapping>).

use serde_json::Value;

use super::{PathMappingRule, format_from_name};
use crate::error::{Error, Result};

/// Rules from a file's text: `{"version": "pathmapping-1.0", "path_mapping_rules": [{"source_path_format": "POSIX",
/// "source_path": …, "destination_path": …}, …]}`, or the list alone. Other fields are ignored.
///
/// # Errors
/// [`Error::NonValidInput`] where the text is no JSON or has another shape, naming the rule and the field.
pub fn rules_from_json(text: &str) -> Result<Vec<PathMappingRule>> {
    let invalid = |problem: String| Error::NonValidInput(format!("The path mapping rules are not valid: {problem}"));
    let document: Value = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    let version = document.get("version").and_then(Value::as_str);
    if version.is_some_and(|version| version != "pathmapping-1.0") {
        return Err(invalid(format!("version {} is not supported", version.unwrap_or_default())));
    }
    let rules = if document.is_object() { document.get("path_mapping_rules") } else { Some(&document) };
    let rules = rules
        .and_then(Value::as_array)
        .ok_or_else(|| invalid("expected a list of rules, or an object with path_mapping_rules".to_owned()))?;
    let rule = |(index, rule): (usize, &Value)| {
        rule_from_json(rule).map_err(|problem| invalid(format!("rule {index}: {problem}")))
    };
    rules.iter().enumerate().map(rule).collect()
}

fn rule_from_json(rule: &Value) -> Result<PathMappingRule, String> {
    let field = |name: &str| {
        let value = rule.get(name).ok_or_else(|| format!("{name} is missing"))?;
        value.as_str().ok_or_else(|| format!("{name} is no string"))
    };
    Ok(PathMappingRule {
        source_path_format: format_from_name(field("source_path_format")?).map_err(|error| error.to_string())?,
        source_path: field("source_path")?.into(),
        destination_path: field("destination_path")?.into(),
    })
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
            (r#"[{"source_path_format": 1}]"#, "rule 0: source_path_format is no string"),
        ] {
            let error = rules_from_json(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }
}
