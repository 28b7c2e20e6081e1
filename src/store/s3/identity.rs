//! Credentials, cached here rather than in the SDK, so that an `ExpiredToken` reply can drop them at once.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use parking_lot::{Mutex, MutexGuard};

use super::environment::{Environment, variable};
use super::explain::causes;
use super::settings::{Keys, Origin};
use crate::error::ConfigurationError;
use crate::store::credentials::CredentialSource;

/// How long before their end credentials are fetched anew, as botocore does for its advisory refresh.
const REFRESH_BEFORE: Duration = Duration::from_mins(2);
/// How long credentials without an end are kept before the caller's session is asked again. Asking is cheap there: the
/// session caches on its own.
const KEEP_UNDATED: Duration = Duration::from_mins(1);

/// Where credentials come from, and the last ones that came.
#[derive(Debug)]
pub(super) struct Identity {
    source: Source,
    /// One fetch at a time; the others wait for it and find its result.
    fetching: tokio::sync::Mutex<()>,
    current: Mutex<Option<Cached>>,
}

#[derive(Debug)]
enum Source {
    /// The variables, read anew each time: a program may put fresh ones there.
    Environment,
    Keys(Keys),
    /// The SDK's providers, and where they look.
    Chain(SharedCredentialsProvider, Option<Origin>),
    Caller(Arc<dyn CredentialSource>),
}

#[derive(Debug, Clone)]
struct Cached {
    credentials: Credentials,
    refresh_at: SystemTime,
    fetched_at: Instant,
    /// When the first of them came: what was fetched since is the same.
    changed_at: Instant,
    /// Whether they were refused: nobody uses them any more.
    is_refused: bool,
}

impl Identity {
    pub(super) fn from_environment() -> Self {
        Self::new(Source::Environment)
    }

    pub(super) fn from_keys(keys: Keys) -> Self {
        Self::new(Source::Keys(keys))
    }

    pub(super) fn from_chain(provider: SharedCredentialsProvider, origin: Option<Origin>) -> Self {
        Self::new(Source::Chain(provider, origin))
    }

    pub(super) fn from_caller(source: Arc<dyn CredentialSource>) -> Self {
        Self::new(Source::Caller(source))
    }

    fn new(source: Source) -> Self {
        Self { source, fetching: tokio::sync::Mutex::new(()), current: Mutex::new(None) }
    }

    /// Whether a request that S3 refused as expired is worth sending again: other credentials have come since it began, or come
    /// now. Of many requests that fail together, only the first makes them be fetched.
    pub(super) async fn renew(&self, request_began: Instant) -> bool {
        if let Some(cached) = self.lock().as_mut()
            && cached.fetched_at <= request_began
        {
            cached.is_refused = true;
        }
        // Where none come, the request says so, and why.
        self.credentials().await.is_err() || self.lock().as_ref().is_none_or(|cached| cached.changed_at > request_began)
    }

    pub(super) async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        if let Some(credentials) = self.fresh() {
            return Ok(credentials);
        }
        let _turn = self.fetching.lock().await;
        if let Some(credentials) = self.fresh() {
            return Ok(credentials);
        }
        let credentials = self.fetch().await?;
        let refresh_at = credentials
            .expiry()
            .map_or_else(|| SystemTime::now() + KEEP_UNDATED, |end| end.checked_sub(REFRESH_BEFORE).unwrap_or(end));
        let (fetched_at, mut current) = (Instant::now(), self.lock());
        let changed_at = match &*current {
            Some(cached) if cached.credentials == credentials => cached.changed_at,
            _ => fetched_at,
        };
        let kept = credentials.clone();
        *current = Some(Cached { credentials: kept, refresh_at, fetched_at, changed_at, is_refused: false });
        Ok(credentials)
    }

    fn fresh(&self) -> Option<Credentials> {
        let current = self.lock();
        let is_fresh = |cached: &&Cached| !cached.is_refused && SystemTime::now() < cached.refresh_at;
        current.as_ref().filter(is_fresh).map(|cached| cached.credentials.clone())
    }

    async fn fetch(&self) -> Result<Credentials, CredentialsError> {
        let credentials = match &self.source {
            Source::Environment => from_environment(&Environment::of_process()).map_err(unusable)?,
            Source::Keys(keys) => from_keys(keys),
            Source::Chain(provider, origin) => provider
                .provide_credentials()
                .await
                .map_err(|error| unusable(failure(origin.as_ref(), &error).into()))?,
            Source::Caller(source) => {
                let session = source.fetch().await.map_err(CredentialsError::provider_error)?;
                let mut builder = Credentials::builder()
                    .access_key_id(session.access_key_id)
                    .secret_access_key(session.secret_access_key)
                    .provider_name("caller's session");
                builder.set_session_token(session.session_token);
                builder.set_expiry(session.expires);
                builder.set_account_id(session.account_id.map(Into::into));
                builder.build()
            }
        };
        sendable(credentials, &self.place())
    }

    /// How errors name where credentials come from.
    fn place(&self) -> String {
        match &self.source {
            Source::Environment => "the environment".to_owned(),
            Source::Keys(keys) => keys.place.clone(),
            Source::Chain(_, Some(origin)) => origin.place().to_owned(),
            Source::Chain(_, None) => "the AWS configuration".to_owned(),
            Source::Caller(_) => "the caller's session".to_owned(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Cached>> {
        self.current.lock()
    }
}

/// `AWS_SECURITY_TOKEN` is botocore's older name of `AWS_SESSION_TOKEN`, and comes first there.
fn from_environment(environment: &Environment) -> crate::Result<Credentials> {
    let required = |name: &str| -> crate::Result<&str> {
        Ok(environment.text(name)?.ok_or_else(|| ConfigurationError::new(variable(name), "it is not set"))?)
    };
    let token = match environment.text("AWS_SECURITY_TOKEN")? {
        Some(token) => Some(token),
        None => environment.text("AWS_SESSION_TOKEN")?,
    };
    let mut builder = Credentials::builder()
        .access_key_id(required("AWS_ACCESS_KEY_ID")?)
        .secret_access_key(required("AWS_SECRET_ACCESS_KEY")?)
        .provider_name("environment");
    builder.set_session_token(token.map(str::to_owned));
    builder.set_account_id(environment.text("AWS_ACCOUNT_ID")?.map(Into::into));
    Ok(builder.build())
}

fn from_keys(keys: &Keys) -> Credentials {
    let mut builder = Credentials::builder()
        .access_key_id(&keys.access_key_id)
        .secret_access_key(&keys.secret_access_key)
        .provider_name("profile");
    builder.set_session_token(keys.session_token.clone());
    builder.set_account_id(keys.account_id.clone().map(Into::into));
    builder.build()
}

fn unusable(error: crate::Error) -> CredentialsError {
    CredentialsError::invalid_configuration(error)
}

/// Why the SDK's providers gave nothing, with the place that they looked at.
fn failure(origin: Option<&Origin>, error: &CredentialsError) -> ConfigurationError {
    let reason = causes(error);
    match origin {
        Some(Origin::Host { looked_in }) => {
            let problem = match error {
                // Its text lists the SDK's names of what was looked at.
                CredentialsError::CredentialsNotLoaded(_) => {
                    format!("there are none in {looked_in}, and container and instance have none either")
                }
                _ => format!("there are none in {looked_in}, and container or instance fail: {reason}"),
            };
            ConfigurationError::new("credentials", problem)
        }
        origin => {
            let place = origin.map_or("the AWS configuration", Origin::place);
            ConfigurationError::new(place, format!("it gives no credentials: {reason}"))
        }
    }
}

/// Credentials that can go into a request. The SDK panics over others, or S3 says that the signature does not match.
fn sendable(credentials: Credentials, place: &str) -> Result<Credentials, CredentialsError> {
    let secret = credentials.secret_access_key();
    // The secret is not sent, and a store of one's own may allow any characters in it. A line end, or a blank at its ends, is a
    // mistake.
    let is_padded = secret.trim() != secret || secret.contains(['\r', '\n']);
    let secret_flaw = is_padded.then_some("has a line end in it, or begins or ends with a blank");
    let flaws = [
        ("access key id", flaw(credentials.access_key_id())),
        ("secret access key", secret_flaw),
        ("session token", credentials.session_token().and_then(flaw)),
        ("account id", credentials.account_id().and_then(|account| flaw(account.as_str()))),
    ];
    match flaws.into_iter().find_map(|(what, flaw)| Some((what, flaw?))) {
        None => Ok(credentials),
        Some((what, flaw)) => Err(unusable(ConfigurationError::new(place, format!("the {what} {flaw}")).into())),
    }
}

/// Why a text can't go into a header.
fn flaw(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        Some("is empty")
    } else if text.contains(['\r', '\n']) {
        Some("has a line end in it")
    } else if text.contains(char::is_whitespace) {
        Some("has a blank in it")
    } else if !text.chars().all(|character| character.is_ascii_graphic()) {
        Some("has characters in it that can't be sent")
    } else {
        None
    }
}

/// What the SDK sees.
#[derive(Debug)]
pub(super) struct IdentityProvider(pub(super) Arc<Identity>);

impl ProvideCredentials for IdentityProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.0.credentials())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::BoxFuture;

    use super::*;
    use crate::store::credentials::Credentials as SessionCredentials;

    fn text_of(key: &str, secret: &str, token: Option<&str>, account: Option<&str>) -> String {
        let mut builder = Credentials::builder().access_key_id(key).secret_access_key(secret).provider_name("a test");
        builder.set_session_token(token.map(str::to_owned));
        builder.set_account_id(account.map(Into::into));
        match sendable(builder.build(), "a test") {
            Ok(_) => String::new(),
            Err(error) => std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default(),
        }
    }

    /// A session that gives these access key ids one after another, and the last one for ever.
    #[derive(Debug)]
    struct Session {
        keys: Vec<&'static str>,
        asked: AtomicUsize,
    }

    impl CredentialSource for Session {
        fn fetch(&self) -> BoxFuture<'_, Result<SessionCredentials, String>> {
            let number = self.asked.fetch_add(1, Ordering::Relaxed).min(self.keys.len() - 1);
            let credentials = SessionCredentials {
                access_key_id: self.keys[number].to_owned(),
                secret_access_key: "secret".to_owned(),
                session_token: None,
                expires: None,
                account_id: None,
            };
            Box::pin(async move { Ok(credentials) })
        }
    }

    #[tokio::test]
    async fn refused_credentials_are_worth_another_request_while_others_take_their_place() {
        let session = Arc::new(Session { keys: vec!["first", "second", "third"], asked: AtomicUsize::new(0) });
        let identity = Identity::from_caller(Arc::<Session>::clone(&session));
        let asked = || session.asked.load(Ordering::Relaxed);
        let key = async || identity.credentials().await.unwrap().access_key_id().to_owned();
        assert_eq!(key().await, "first");
        let early = Instant::now();
        assert!(identity.renew(early).await);
        assert_eq!((key().await.as_str(), asked()), ("second", 2));
        assert!(identity.renew(early).await, "it was refused with the first");
        assert_eq!(asked(), 2, "those that came since were not refused");
        assert!(identity.renew(Instant::now()).await, "a second time, for the same request perhaps");
        assert_eq!((key().await.as_str(), asked()), ("third", 3));
        let late = Instant::now();
        assert!(!identity.renew(late).await, "the session has no others");
        assert!(!identity.renew(late).await);
        assert_eq!(asked(), 4, "one request asked for all that began before");
    }

    #[test]
    fn credentials_that_a_header_takes_pass() {
        assert_eq!(text_of("AKIA", "a secret with ü and blanks", Some("token/+=="), Some("123456789012")), "");
        assert_eq!(text_of("AKIA", "secret", None, None), "");
    }

    #[test]
    fn others_are_refused_by_name_and_without_their_value() {
        let right = ("AKIA", "secret", Some("token"), Some("123456789012"));
        for flawed in ["value\n", "value\r\n", "\nvalue", " value", "value ", "value\t", "va\u{b}lue\n"] {
            for (name, text) in [
                ("access key id", text_of(flawed, right.1, right.2, right.3)),
                ("secret access key", text_of(right.0, flawed, right.2, right.3)),
                ("session token", text_of(right.0, right.1, Some(flawed), right.3)),
                ("account id", text_of(right.0, right.1, right.2, Some(flawed))),
            ] {
                assert!(text.contains(name) && text.contains("line end") | text.contains("blank"), "{text} {flawed:?}");
                assert!(!text.contains("value"), "{text}");
            }
        }
        assert!(text_of("schlüssel", "secret", None, None).contains("can't be sent"));
        assert!(text_of("AKIA\0", "secret", None, None).contains("can't be sent"));
        assert!(text_of("", "secret", None, None).contains("is empty"));
    }
}
