//! What environment and profiles say about S3, read as botocore reads it: the reference's users have configured that.
//!
//! The SDK reads the same files by other rules, so its reader is not used. It gets what was decided here, as the text of a
//! profile with what it needs to fetch credentials.

mod credentials;
mod ini;
mod profiles;
mod render;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub(super) use credentials::{Keys, Origin};
use credentials::{Search, text};
use ini::{Section, Value};
use profiles::Profiles;
use render::SdkProfile;

use super::S3Options;
use super::environment::{Environment, variable};
use super::http::{Proxies, Trust};
use crate::error::{ConfigurationError, Result};

/// What a client of S3 is made of, besides [`S3Options`]. A caller that has it already, as a boto3 session does, gives it in
/// [`S3Options::settings`], and neither environment nor profiles are read then.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools)] // independent switches under botocore's names
pub(crate) struct S3Settings {
    /// The region to sign for.
    pub region: Option<String>,
    /// Where S3 is, if it is not AWS's.
    pub endpoint_url: Option<String>,
    /// Where STS is, if it is not AWS's.
    pub sts_endpoint_url: Option<String>,
    /// `path`, `virtual` or `auto`: whether the bucket is part of the host's name.
    pub addressing_style: Option<String>,
    /// Whether AWS is reached over IPv6 too.
    pub use_dualstack: bool,
    /// Whether AWS's endpoints are those with FIPS cryptography.
    pub use_fips: bool,
    /// Whether buckets are reached through transfer acceleration.
    pub use_accelerate: bool,
    /// Whether requests carry only the checksums that S3 asks for.
    pub checksums_when_required: bool,
    /// The file with the certificates to trust, and what named it; else the system's.
    pub ca_bundle: Option<(PathBuf, String)>,
    /// URLs of proxies by scheme, as `HTTPS_PROXY` has them; else those of the environment.
    pub proxies: Option<BTreeMap<String, String>>,
}

/// Everything that a connection needs to know.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) settings: S3Settings,
    pub(super) trust: Trust,
    pub(super) proxies: Proxies,
    pub(super) origin: Option<Origin>,
    /// A file's text for the SDK, and the profile's name in it.
    pub(super) sdk_profile: (String, String),
    /// Whether the caller named the profile.
    pub(super) named_profile: bool,
}

/// What is named by environment and options, before a profile was looked at.
const PROFILE_VARIABLES: [&str; 2] = ["AWS_DEFAULT_PROFILE", "AWS_PROFILE"];

/// Reads what the options leave open.
///
/// # Errors
/// [`ConfigurationError`], naming file, profile or variable and what is wrong there.
pub(super) fn resolve(options: &S3Options, environment: &Environment) -> Result<Resolved> {
    let Some(given) = &options.settings else { return from_files(options, environment) };
    let mut settings = given.clone();
    settings.region = options.region.clone().or(settings.region);
    settings.endpoint_url = options.endpoint_url.clone().or(settings.endpoint_url);
    let sdk = SdkProfile::new("default");
    finish(settings, environment, Selected { by_name: false, sdk, origin: None })
}

struct Selected {
    by_name: bool,
    sdk: SdkProfile,
    origin: Option<Origin>,
}

fn from_files(options: &S3Options, environment: &Environment) -> Result<Resolved> {
    let profiles = Profiles::read(environment)?;
    let mut from_variable = None;
    for name in PROFILE_VARIABLES {
        from_variable = from_variable.or(environment.text(name)?);
    }
    let by_name = options.profile.is_some();
    let name = options.profile.as_deref().or(from_variable).unwrap_or("default").to_owned();
    // botocore insists on `default` too where it is named. It may be left out here: there is nothing in it to miss.
    let profile = match profiles.profile(&name) {
        Some(profile) => profile,
        None if name == "default" => Section::new(),
        None => return Err(profiles.missing(&name).into()),
    };
    let reader = Reader { environment, profiles: &profiles, profile: &profile, place: profiles.place(&name) };
    let mut settings = reader.settings(options)?;
    if let Some(path) = &options.ca_bundle {
        settings.ca_bundle = Some((path.clone(), "the option ca_bundle".to_owned()));
    }
    let mut sdk = SdkProfile::new(&name);
    let origin = match &options.credentials {
        Some(_) => None,
        None if options.unsigned => None,
        None => Some(Search { environment, profiles: &profiles, by_name }.origin(&name, &mut sdk)?),
    };
    if !reader.ignores_endpoints()? {
        reader.endpoints_for_sdk(&name, &mut sdk)?;
    }
    finish(settings, environment, Selected { by_name, sdk, origin })
}

fn finish(settings: S3Settings, environment: &Environment, selected: Selected) -> Result<Resolved> {
    let proxies = match &settings.proxies {
        Some(proxies) => Proxies::given(proxies, environment),
        None => Proxies::from_environment(environment),
    };
    let trust = match &settings.ca_bundle {
        Some((path, named_by)) => Trust::bundle(path, named_by)?,
        None => Trust::System,
    };
    Ok(Resolved {
        trust,
        proxies,
        settings,
        origin: selected.origin,
        sdk_profile: (selected.sdk.text()?, SdkProfile::selected()),
        named_profile: selected.by_name,
    })
}

/// Looks options up where botocore does.
struct Reader<'a> {
    environment: &'a Environment,
    profiles: &'a Profiles,
    profile: &'a Section,
    place: String,
}

impl Reader<'_> {
    fn settings(&self, options: &S3Options) -> Result<S3Settings> {
        let block = match self.profile.get("s3") {
            Some(Value::Block(block)) => block.clone(),
            _ => BTreeMap::new(),
        };
        let in_block = |name: &str| block.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let addressing_style = in_block("addressing_style").map(str::to_owned);
        if let Some(style) = addressing_style.as_deref().filter(|style| !["auto", "path", "virtual"].contains(style)) {
            let problem = format!("addressing_style must be auto, path or virtual, not '{style}'");
            return Err(ConfigurationError::new(&self.place, problem).into());
        }
        let dualstack = in_block("use_dualstack_endpoint").map(is_true);
        let endpoint_url = match &options.endpoint_url {
            Some(url) => Some(checked_url(url, "the option endpoint_url")?),
            None => self.endpoint("s3")?,
        };
        Ok(S3Settings {
            region: self.region(options)?,
            endpoint_url,
            sts_endpoint_url: self.endpoint("sts")?,
            addressing_style,
            use_dualstack: match dualstack {
                Some(dualstack) => dualstack,
                None => self.flag("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint")?,
            },
            use_fips: self.flag("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint")?,
            use_accelerate: in_block("use_accelerate_endpoint").is_some_and(is_true),
            checksums_when_required: self.checksums_when_required()?,
            ca_bundle: self.ca_bundle(),
            proxies: None,
        })
    }

    /// An option of the environment, else of the profile, with its place.
    fn lookup(&self, name: &str, option: &str) -> Result<Option<(&str, String)>> {
        if let Some(value) = self.environment.text(name)? {
            return Ok(Some((value, variable(name))));
        }
        Ok(text(self.profile, option).map(|value| (value, format!("{} ({option})", self.place))))
    }

    /// botocore takes only `true`, in any case, for a yes.
    fn flag(&self, name: &str, option: &str) -> Result<bool> {
        Ok(self.lookup(name, option)?.is_some_and(|(value, _)| is_true(value)))
    }

    /// botocore does not know `AWS_REGION`, which other SDKs put first. It fills the gap where botocore finds no region.
    fn region(&self, options: &S3Options) -> Result<Option<String>> {
        let found = match &options.region {
            Some(region) => Some((region.as_str(), "the option region".to_owned())),
            None => match self.lookup("AWS_DEFAULT_REGION", "region")? {
                Some(found) => Some(found),
                None => self.environment.text("AWS_REGION")?.map(|region| (region, variable("AWS_REGION"))),
            },
        };
        let Some((region, place)) = found else { return Ok(None) };
        if !is_host_label(region) {
            return Err(ConfigurationError::new(place, format!("'{}' is no region", region.escape_debug())).into());
        }
        Ok(Some(region.to_owned()))
    }

    fn ignores_endpoints(&self) -> Result<bool> {
        self.flag("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls")
    }

    /// A service's endpoint: its own variable, the general one, its own option, the general one.
    fn endpoint(&self, service: &str) -> Result<Option<String>> {
        if self.ignores_endpoints()? {
            return Ok(None);
        }
        for name in [format!("AWS_ENDPOINT_URL_{}", service.to_uppercase()), "AWS_ENDPOINT_URL".to_owned()] {
            if let Some(url) = self.environment.text(&name)? {
                return checked_url(url, &variable(&name)).map(Some);
            }
        }
        let own = match self.services()?.and_then(|services| services.get(service)) {
            Some(Value::Block(block)) => block.get("endpoint_url").map(String::as_str).filter(|url| !url.is_empty()),
            _ => None,
        };
        let url = own.or_else(|| text(self.profile, "endpoint_url"));
        url.map(|url| checked_url(url, &format!("{} (endpoint_url)", self.place))).transpose()
    }

    fn services(&self) -> Result<Option<&Section>> {
        let Some(name) = text(self.profile, "services") else { return Ok(None) };
        let missing = || ConfigurationError::new(&self.place, format!("its services section '{name}' does not exist"));
        self.profiles.services.get(name).map(Some).ok_or_else(|| missing().into())
    }

    /// What the SDK needs to ask for credentials elsewhere than at AWS. It reads the variables by itself.
    fn endpoints_for_sdk(&self, name: &str, sdk: &mut SdkProfile) -> Result<()> {
        sdk.copy(name, self.profile, &["endpoint_url"]);
        if let Some(services) = self.services()? {
            sdk.services(name, services);
        }
        Ok(())
    }

    fn checksums_when_required(&self) -> Result<bool> {
        let option = "request_checksum_calculation";
        let Some((value, place)) = self.lookup("AWS_REQUEST_CHECKSUM_CALCULATION", option)? else { return Ok(false) };
        match value.to_lowercase().as_str() {
            "when_required" => Ok(true),
            "when_supported" => Ok(false),
            _ => {
                let problem = format!("{option} must be when_supported or when_required, not '{value}'");
                Err(ConfigurationError::new(place, problem).into())
            }
        }
    }

    /// botocore refuses an empty value; here it stands for none.
    fn ca_bundle(&self) -> Option<(PathBuf, String)> {
        if let Some(path) = self.environment.path("AWS_CA_BUNDLE") {
            return Some((PathBuf::from(path), variable("AWS_CA_BUNDLE")));
        }
        if let Some(path) = text(self.profile, "ca_bundle") {
            return Some((PathBuf::from(path), format!("{} (ca_bundle)", self.place)));
        }
        let requests = self.environment.path("REQUESTS_CA_BUNDLE");
        requests.map(|path| (PathBuf::from(path), variable("REQUESTS_CA_BUNDLE")))
    }
}

impl S3Settings {
    /// Whether the bucket stands in the path, as botocore decides: a host of one's own rarely has a name for every bucket.
    pub(super) fn path_style(&self) -> bool {
        let style = self.addressing_style.as_deref();
        match (self.use_accelerate, &self.endpoint_url) {
            (true, _) => false,
            (false, Some(_)) => style != Some("virtual"),
            (false, None) => style == Some("path"),
        }
    }
}

fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}

/// What may stand between dots of a host's name, as botocore checks regions.
fn is_host_label(text: &str) -> bool {
    let plain = text.chars().all(|character| character.is_ascii_alphanumeric() || character == '-');
    let digits = text.chars().all(|character| character.is_ascii_digit());
    plain && !digits && text.len() <= 63 && !text.starts_with('-') && !text.ends_with('-')
}

/// A URL that a request can be made of.
fn checked_url(url: &str, place: &str) -> Result<String> {
    let usable = url.parse::<http::Uri>().is_ok_and(|uri| {
        let scheme = uri.scheme_str().is_some_and(|scheme| ["http", "https"].contains(&scheme));
        scheme && uri.host().is_some_and(|host| !host.is_empty())
    });
    if usable {
        return Ok(url.to_owned());
    }
    let problem = format!(
        "'{}' is no URL of an endpoint: it must look like https://host or http://host:port",
        url.escape_debug()
    );
    Err(ConfigurationError::new(place, problem).into())
}
