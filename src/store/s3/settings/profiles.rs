//! The files with profiles: where they are, and what they say together.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::ini::{self, Section};
use crate::error::{ConfigurationError, Result};
use crate::store::s3::environment::Environment;

/// What both files say, merged as botocore merges them.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    /// `[profile x]` and `[default]` of the configuration file.
    pub(super) config: BTreeMap<String, Section>,
    /// All sections of the credentials file, under their names as they stand there.
    pub(super) credentials: BTreeMap<String, Section>,
    pub(super) services: BTreeMap<String, Section>,
    pub(super) sso_sessions: BTreeMap<String, Section>,
    config_file: PathBuf,
    credentials_file: PathBuf,
    /// Files that are there and can't be read: botocore goes on without, so that errors about what is missing name them.
    unreadable: Vec<String>,
}

impl Profiles {
    /// Reads the files that the environment names, or else those in `~/.aws`. A file that is not there is empty.
    ///
    /// # Errors
    /// [`ConfigurationError`] with file and line where the syntax is wrong.
    pub(super) fn read(environment: &Environment) -> Result<Self> {
        let mut profiles = Self {
            config_file: location(environment, "AWS_CONFIG_FILE", "config"),
            credentials_file: location(environment, "AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            ..Self::default()
        };
        for (header, section) in profiles.sections(&profiles.config_file.clone())? {
            profiles.add(&header, section);
        }
        profiles.credentials = profiles.sections(&profiles.credentials_file.clone())?.into_iter().collect();
        Ok(profiles)
    }

    /// Puts a section of the configuration file where it belongs. Those of other tools are left out.
    fn add(&mut self, header: &str, section: Section) {
        if header == "default" {
            self.config.insert(header.to_owned(), section);
            return;
        }
        let kinds: [(&str, &mut BTreeMap<String, Section>); 3] =
            [("profile", &mut self.config), ("sso-session", &mut self.sso_sessions), ("services", &mut self.services)];
        let Some((_, sections)) = kinds.into_iter().find(|(kind, _)| header.starts_with(kind)) else { return };
        if let Some(Ok([_, name])) = ini::words(header).map(<[String; 2]>::try_from) {
            // Of two spellings of one name, such as with and without quotes, the later section holds.
            sections.insert(name, section);
        }
    }

    fn sections(&mut self, path: &Path) -> Result<Vec<(String, Section)>> {
        if !path.is_file() {
            return Ok(Vec::new());
        }
        // Two small files once a call, not on a path that many files share.
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                self.unreadable.push(format!("{} ({error})", path.display()));
                return Ok(Vec::new());
            }
        };
        let file = || path.display().to_string();
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
            ConfigurationError::new(file(), format!("line {line} is not UTF-8; save the file as UTF-8"))
        })?;
        ini::parse(&text)
            .map_err(|error| ConfigurationError::new(file(), format!("line {}: {}", error.line, error.problem)).into())
    }

    /// A profile's options: those of the configuration file, and over them those of the credentials file.
    pub(super) fn profile(&self, name: &str) -> Option<Section> {
        let (config, credentials) = (self.config.get(name), self.credentials.get(name));
        if config.is_none() && credentials.is_none() {
            return None;
        }
        let mut merged = config.cloned().unwrap_or_default();
        merged.extend(credentials.cloned().unwrap_or_default());
        Some(merged)
    }

    /// How an error names a profile.
    pub(super) fn place(&self, name: &str) -> String {
        let file = if self.config.contains_key(name) || !self.credentials.contains_key(name) {
            &self.config_file
        } else {
            &self.credentials_file
        };
        format!("profile '{name}' in {}", file.display())
    }

    /// How an error says that a profile is missing.
    pub(super) fn missing(&self, name: &str) -> ConfigurationError {
        let files = format!("{} and {}", self.config_file.display(), self.credentials_file.display());
        let mut known: Vec<_> = self.config.keys().chain(self.credentials.keys()).map(String::as_str).collect();
        known.sort_unstable();
        known.dedup();
        let known = match known.as_slice() {
            [] => "no profiles are there".to_owned(),
            names => format!("there are {}", names.join(", ")),
        };
        let unreadable = self.unreadable_files();
        ConfigurationError::new(
            format!("profile '{name}'"),
            format!("it is in neither of {files}: {known}{unreadable}"),
        )
    }

    /// What to add to an error about something that is missing.
    pub(super) fn unreadable_files(&self) -> String {
        match self.unreadable.as_slice() {
            [] => String::new(),
            files => format!("; not readable: {}", files.join(", ")),
        }
    }
}

/// A file's place: `$NAME`, `${NAME}` and a leading `~` are replaced, as botocore does.
fn location(environment: &Environment, variable: &str, name: &str) -> PathBuf {
    match environment.path(variable).map(|path| (path, path.to_str())) {
        Some((_, Some(text))) => expanded(text, environment),
        Some((path, None)) => PathBuf::from(path),
        None => expanded("~", environment).join(".aws").join(name),
    }
}

pub(super) fn expanded(path: &str, environment: &Environment) -> PathBuf {
    let path = with_variables(path, environment);
    let home = ["HOME", "USERPROFILE"].iter().find_map(|name| environment.path(name));
    let below =
        path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with(['/', std::path::MAIN_SEPARATOR]));
    match (below, home) {
        (Some(below), Some(home)) => Path::new(home).join(below.trim_start_matches(['/', std::path::MAIN_SEPARATOR])),
        _ => PathBuf::from(path),
    }
}

/// Python's `os.path.expandvars`: what is not set stays as it is.
fn with_variables(text: &str, environment: &Environment) -> String {
    let mut pieces = text.split('$');
    let mut result = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let braced = piece.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let end = piece.find(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        let (name, rest) = braced.unwrap_or_else(|| piece.split_at(end.unwrap_or(piece.len())));
        match environment.raw(name).and_then(std::ffi::OsStr::to_str).filter(|_| !name.is_empty()) {
            Some(value) => result.extend([value, rest]),
            None => result.extend(["$", piece]),
        }
    }
    result
}
