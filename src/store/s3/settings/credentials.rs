//! Where a profile's credentials come from, decided in botocore's order, and what is wrong with it.
//!
//! The SDK decides too, but in another order, and names mistakes badly or not at all the second time. It gets only what
//! has been decided here.

use super::ini::{Section, Value};
use super::profiles::Profiles;
use super::render::SdkProfile;
use crate::error::{ConfigurationError, Result};
use crate::store::s3::environment::{Environment, variable};

/// Where credentials come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::s3) enum Origin {
    /// `AWS_ACCESS_KEY_ID` and its companions.
    Environment,
    /// Keys of a profile.
    Keys(Keys),
    /// A role, single sign-on or a program: the SDK gets it from the profile that is handed to it.
    Profile { place: String },
    /// `AWS_WEB_IDENTITY_TOKEN_FILE`.
    WebIdentity,
    /// What container or instance say; `looked_in` says where nothing was found.
    Host { looked_in: String },
}

impl Origin {
    /// How errors name it.
    pub(in crate::store::s3) fn place(&self) -> &str {
        match self {
            Self::Environment => "the environment",
            Self::Keys(keys) => &keys.place,
            Self::Profile { place } => place,
            Self::WebIdentity => "the environment variable AWS_WEB_IDENTITY_TOKEN_FILE",
            Self::Host { .. } => "the container or the instance",
        }
    }
}

/// Keys as a profile has them.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::store::s3) struct Keys {
    /// The profile and its file.
    pub(in crate::store::s3) place: String,
    pub(in crate::store::s3) access_key_id: String,
    pub(in crate::store::s3) secret_access_key: String,
    pub(in crate::store::s3) session_token: Option<String>,
    pub(in crate::store::s3) account_id: Option<String>,
}

impl std::fmt::Debug for Keys {
    /// Without the secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("place", &self.place).finish_non_exhaustive()
    }
}

/// The programs' own names of credential sources, in the spelling that botocore takes.
const SOURCES: [&str; 3] = ["Environment", "EcsContainer", "Ec2InstanceMetadata"];
const ROLE: [&str; 5] = ["role_arn", "role_session_name", "external_id", "duration_seconds", "credential_source"];
const WEB_IDENTITY: [&str; 3] = ["web_identity_token_file", "role_arn", "role_session_name"];
const SSO: [&str; 5] = ["sso_account_id", "sso_role_name", "sso_start_url", "sso_region", "sso_session"];

/// What is looked at to find credentials.
pub(super) struct Search<'a> {
    pub(super) environment: &'a Environment,
    pub(super) profiles: &'a Profiles,
    /// Whether the caller named the profile: the environment's keys don't count then.
    pub(super) by_name: bool,
}

impl Search<'_> {
    /// Decides, and adds what the SDK needs for it to the profile that it is given.
    ///
    /// # Errors
    /// A [`ConfigurationError`] that names profile and mistake.
    pub(super) fn origin(&self, name: &str, sdk: &mut SdkProfile) -> Result<Origin> {
        if !self.by_name && self.environment.text("AWS_ACCESS_KEY_ID")?.is_some() {
            return self.environment_keys();
        }
        let profile = self.profiles.profile(name).unwrap_or_default();
        if has_role(&profile) {
            self.role(name, &mut vec![name.to_owned()], sdk)?;
            return Ok(Origin::Profile { place: self.profiles.place(name) });
        }
        if !self.by_name && self.environment.path("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() {
            if self.environment.path("AWS_ROLE_ARN").is_none() {
                let problem = "it is set, and AWS_ROLE_ARN, the role to assume with it, is not";
                return Err(ConfigurationError::new(variable("AWS_WEB_IDENTITY_TOKEN_FILE"), problem).into());
            }
            return Ok(Origin::WebIdentity);
        }
        Ok(self.base(name, &profile, sdk)?.unwrap_or_else(|| Origin::Host { looked_in: self.looked_in(name) }))
    }

    fn environment_keys(&self) -> Result<Origin> {
        if self.environment.text("AWS_SECRET_ACCESS_KEY")?.is_none() {
            let problem = "it is set, and AWS_SECRET_ACCESS_KEY is not";
            return Err(ConfigurationError::new(variable("AWS_ACCESS_KEY_ID"), problem).into());
        }
        Ok(Origin::Environment)
    }

    fn looked_in(&self, name: &str) -> String {
        let variables = if self.by_name { "" } else { "the environment, " };
        let place = match self.profiles.profile(name) {
            Some(_) => format!("{}, which names no credentials", self.profiles.place(name)),
            None => format!("profile '{name}', which is not there"),
        };
        format!("{variables}{place}{}", self.profiles.unreadable_files())
    }

    /// A role, and all that it is assumed from.
    fn role(&self, name: &str, visited: &mut Vec<String>, sdk: &mut SdkProfile) -> Result<()> {
        let profile = self.profiles.profile(name).unwrap_or_default();
        let mistake = |problem: String| Err(ConfigurationError::new(self.profiles.place(name), problem).into());
        if text(&profile, "mfa_serial").is_some() {
            return mistake(
                "its role asks for a code (mfa_serial): pass a boto3 session that has asked for it".to_owned(),
            );
        }
        sdk.copy(name, &profile, &ROLE);
        match (text(&profile, "source_profile"), text(&profile, "credential_source")) {
            (Some(_), Some(_)) => {
                mistake("it has both source_profile and credential_source; one of them must go".to_owned())
            }
            (None, None) => mistake("it has a role_arn, and neither source_profile nor credential_source".to_owned()),
            (None, Some(source)) if SOURCES.contains(&source) => Ok(()),
            (None, Some(source)) => mistake(format!("credential_source '{source}' is none of {}", SOURCES.join(", "))),
            (Some(source), None) => {
                sdk.set(name, "source_profile", source);
                self.source(name, source, visited, sdk)
            }
        }
    }

    /// The profile that a role is assumed from.
    fn source(&self, name: &str, source: &str, visited: &mut Vec<String>, sdk: &mut SdkProfile) -> Result<()> {
        let mistake = |problem: String| Err(ConfigurationError::new(self.profiles.place(name), problem).into());
        let Some(profile) = self.profiles.profile(source) else {
            return mistake(format!("its source_profile '{source}' does not exist"));
        };
        let itself = source == name && has_keys(&profile);
        if visited.iter().any(|seen| seen == source) && !itself {
            return mistake(format!("its source_profile leads in a circle: {} -> {source}", visited.join(" -> ")));
        }
        visited.push(source.to_owned());
        if has_role(&profile) && !has_keys(&profile) {
            return self.role(source, visited, sdk);
        }
        match self.base(source, &profile, sdk)? {
            Some(Origin::Keys(keys)) => {
                sdk.set(source, "aws_access_key_id", &keys.access_key_id);
                sdk.set(source, "aws_secret_access_key", &keys.secret_access_key);
                if let Some(token) = keys.session_token {
                    sdk.set(source, "aws_session_token", &token);
                }
                Ok(())
            }
            Some(_) => Ok(()),
            None => mistake(format!("its source_profile '{source}' has no credentials")),
        }
    }

    /// What gives credentials without others, in botocore's order.
    fn base(&self, name: &str, profile: &Section, sdk: &mut SdkProfile) -> Result<Option<Origin>> {
        let place = || self.profiles.place(name);
        let by_sdk = || Ok(Some(Origin::Profile { place: place() }));
        if text(profile, "web_identity_token_file").is_some() {
            if text(profile, "role_arn").is_none() {
                let problem = "it has a web_identity_token_file and no role_arn to assume with it";
                return Err(ConfigurationError::new(place(), problem).into());
            }
            sdk.copy(name, profile, &WEB_IDENTITY);
            return by_sdk();
        }
        if profile.contains_key("sso_role_name") || profile.contains_key("sso_account_id") {
            self.single_sign_on(name, profile, sdk)?;
            return by_sdk();
        }
        if let Some(keys) = keys_in(self.profiles.credentials.get(name), place())? {
            return Ok(Some(keys));
        }
        for option in ["login_session", "credential_process"] {
            if let Some(value) = text(profile, option) {
                sdk.set(name, option, value);
                return by_sdk();
            }
        }
        keys_in(self.profiles.config.get(name), place())
    }

    fn single_sign_on(&self, name: &str, profile: &Section, sdk: &mut SdkProfile) -> Result<()> {
        let mistake = |problem: String| Err(ConfigurationError::new(self.profiles.place(name), problem).into());
        let mut known = profile.clone();
        if let Some(session_name) = text(profile, "sso_session") {
            let Some(session) = self.profiles.sso_sessions.get(session_name) else {
                return mistake(format!("its sso_session '{session_name}' does not exist"));
            };
            let differing =
                session.iter().find(|(option, value)| profile.get(*option).is_some_and(|own| own != *value));
            if let Some((option, _)) = differing {
                return mistake(format!("its {option} is another one than that of its sso_session '{session_name}'"));
            }
            known.extend(session.clone());
            sdk.session(session_name, session);
        }
        let missing: Vec<_> = SSO[..4].iter().filter(|option| !known.contains_key(**option)).copied().collect();
        if !missing.is_empty() {
            return mistake(format!("single sign-on lacks {}", missing.join(", ")));
        }
        // With a session, the SDK wants address and region there alone.
        let own: &[&str] = if profile.contains_key("sso_session") { &[SSO[0], SSO[1], SSO[4]] } else { &SSO[..4] };
        sdk.copy(name, profile, own);
        Ok(())
    }
}

/// An option's text where it is neither missing nor empty.
pub(super) fn text<'a>(section: &'a Section, option: &str) -> Option<&'a str> {
    section.get(option).and_then(Value::text).filter(|text| !text.is_empty())
}

fn has_role(profile: &Section) -> bool {
    text(profile, "role_arn").is_some() && text(profile, "web_identity_token_file").is_none()
}

fn has_keys(profile: &Section) -> bool {
    ["aws_access_key_id", "aws_secret_access_key"].iter().any(|option| text(profile, option).is_some())
}

/// Keys in one section. The SDK does not get them: it would cut a secret at ` #`.
fn keys_in(section: Option<&Section>, place: String) -> Result<Option<Origin>> {
    let Some(section) = section else { return Ok(None) };
    let Some(access_key_id) = text(section, "aws_access_key_id") else {
        if text(section, "aws_secret_access_key").is_some() {
            let problem = "it has an aws_secret_access_key and no aws_access_key_id";
            return Err(ConfigurationError::new(place, problem).into());
        }
        return Ok(None);
    };
    let Some(secret_access_key) = text(section, "aws_secret_access_key") else {
        let problem = "it has an aws_access_key_id and no aws_secret_access_key";
        return Err(ConfigurationError::new(place, problem).into());
    };
    let token = ["aws_security_token", "aws_session_token"].iter().find_map(|option| text(section, option));
    Ok(Some(Origin::Keys(Keys {
        place,
        access_key_id: access_key_id.to_owned(),
        secret_access_key: secret_access_key.to_owned(),
        session_token: token.map(str::to_owned),
        account_id: text(section, "aws_account_id").map(str::to_owned),
    })))
}
