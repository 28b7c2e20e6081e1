//! The one profile that the SDK gets to see: what has been decided, in its own syntax.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::ini::{Section, Value};
use crate::error::{ConfigurationError, Result};

/// Sections in the SDK's syntax. Profiles get names that the SDK takes: it ignores those with blanks or umlauts.
#[derive(Debug, Default)]
pub(super) struct SdkProfile {
    profiles: Vec<(String, BTreeMap<String, Value>)>,
    sessions: BTreeMap<String, Section>,
    services: Option<Section>,
}

/// The name under which the SDK finds the services' endpoints.
const SERVICES: &str = "services";

impl SdkProfile {
    /// Begins with the profile that was asked for.
    pub(super) fn new(name: &str) -> Self {
        Self { profiles: vec![(name.to_owned(), BTreeMap::new())], ..Self::default() }
    }

    /// The name that the SDK knows the profile by.
    pub(super) fn selected() -> String {
        alias(0)
    }

    fn index(&mut self, name: &str) -> usize {
        self.profiles.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            self.profiles.push((name.to_owned(), BTreeMap::new()));
            self.profiles.len() - 1
        })
    }

    pub(super) fn set(&mut self, name: &str, option: &str, value: &str) {
        let value = match option {
            "source_profile" => alias(self.index(value)),
            _ => value.to_owned(),
        };
        let index = self.index(name);
        self.profiles[index].1.insert(option.to_owned(), Value::Text(value));
    }

    pub(super) fn copy(&mut self, name: &str, profile: &Section, options: &[&str]) {
        for option in options {
            if let Some(text) = profile.get(*option).and_then(Value::text).filter(|text| !text.is_empty()) {
                self.set(name, option, text);
            }
        }
    }

    pub(super) fn session(&mut self, name: &str, session: &Section) {
        self.sessions.insert(name.to_owned(), session.clone());
    }

    /// Endpoints of other services than S3, which the SDK asks for credentials.
    pub(super) fn services(&mut self, selected: &str, services: &Section) {
        self.services = Some(services.clone());
        self.set(selected, "services", SERVICES);
    }

    /// The whole as a file's text.
    ///
    /// # Errors
    /// Where a value can't be written in the SDK's syntax, which knows comments behind values.
    pub(super) fn text(&self) -> Result<String> {
        let mut text = String::new();
        for (index, (name, options)) in self.profiles.iter().enumerate() {
            section(&mut text, "profile", &alias(index), options)
                .map_err(|option| unwritable(&format!("profile '{name}'"), &option))?;
        }
        for (name, options) in &self.sessions {
            section(&mut text, "sso-session", name, options)
                .map_err(|option| unwritable(&format!("sso-session '{name}'"), &option))?;
        }
        if let Some(options) = &self.services {
            section(&mut text, "services", SERVICES, options).map_err(|option| unwritable("services", &option))?;
        }
        Ok(text)
    }
}

fn alias(index: usize) -> String {
    format!("p{index}")
}

fn unwritable(place: &str, option: &str) -> crate::Error {
    let problem = format!("the value of {option} has a line end or a blank before # or ;, which is not supported here");
    ConfigurationError::new(place, problem).into()
}

/// Writes one section, or says whose value can't be written.
fn section(text: &mut String, kind: &str, name: &str, options: &Section) -> Result<(), String> {
    // Writing to a string can't fail.
    let _ = writeln!(text, "[{kind} {name}]");
    for (option, value) in options {
        match value {
            Value::Text(value) => {
                writable(value).ok_or(option.clone())?;
                let _ = writeln!(text, "{option} = {value}");
            }
            Value::Block(block) => {
                let _ = writeln!(text, "{option} =");
                for (inner, value) in block {
                    writable(value).ok_or(inner.clone())?;
                    let _ = writeln!(text, "  {inner} = {value}");
                }
            }
        }
    }
    Ok(())
}

fn writable(value: &str) -> Option<()> {
    let bad = ['\n', '\r'].iter().any(|end| value.contains(*end))
        || [" #", " ;", "\t#", "\t;"].iter().any(|comment| value.contains(comment));
    (!bad).then_some(())
}
