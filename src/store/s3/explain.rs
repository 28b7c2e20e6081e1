//! Sentences for the SDK's errors.
//!
//! Their own texts are for those who know the SDK: "dispatch failure", "client error (Connect)", or what `Debug` prints.

use std::error::Error as StdError;
use std::io;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::Response;

use crate::error::{ConfigurationError, Error};

/// Why a request brought no reply of S3's that can be used.
pub(super) fn explain<E>(error: &SdkError<E, Response>) -> String
where
    E: StdError + ProvideErrorMetadata + 'static,
{
    if let Some(mistake) = mistake(error) {
        return mistake.to_string();
    }
    match error {
        SdkError::ConstructionFailure(_) => format!("the request cannot be made: {}", causes(error)),
        SdkError::TimeoutError(_) => format!("no reply came in time: {}", causes(error)),
        SdkError::DispatchFailure(failure) => failure.as_connector_error().map_or_else(|| causes(error), connection),
        SdkError::ResponseError(_) => format!("the reply cannot be read: {}", causes(error)),
        // A reply with status 200 whose body is an error.
        _ => match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("S3 reports {code}: {message}"),
            (Some(code), None) => format!("S3 reports {code}"),
            (None, Some(message)) => format!("S3 reports a failure: {message}"),
            (None, None) => format!("S3 reports a failure: {}", causes(error)),
        },
    }
}

/// Why an attempt brought no reply.
pub(super) fn connection(error: &ConnectorError) -> String {
    if let Some(mistake) = mistake(error) {
        return mistake.to_string();
    }
    let what = if error.is_timeout() {
        "no reply came in time"
    } else if error.is_user() {
        "the request cannot be sent"
    } else {
        "the connection failed"
    };
    // The system's reason says all; else the innermost: those above it are the HTTP client's, for its own states.
    let reason = chain(error).find(|cause| cause.is::<io::Error>()).or_else(|| chain(error).skip(1).last());
    reason.map_or_else(|| what.to_owned(), |reason| format!("{what}: {reason}"))
}

/// What is beneath an error: each text once, from the outermost cause on.
pub(super) fn causes(error: &(dyn StdError + 'static)) -> String {
    if let Some(mistake) = mistake(error) {
        return mistake.to_string();
    }
    if let Some(failure) = chain(error).find_map(|cause| cause.downcast_ref::<ConnectorError>()) {
        return connection(failure);
    }
    let mut texts: Vec<String> = Vec::new();
    for text in chain(error).skip(1).map(ToString::to_string) {
        if texts.last().is_none_or(|last| !last.ends_with(&text)) {
            texts.push(text);
        }
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}

/// A mistake in the configuration, wherever it is among the causes: words around it say nothing more.
fn mistake<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a ConfigurationError> {
    chain(error).find_map(|error| match error.downcast_ref::<Error>() {
        Some(Error::Configuration(mistake)) => Some(&**mistake),
        _ => error.downcast_ref::<ConfigurationError>(),
    })
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    fn source<'a>(error: &&'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
        (**error).source()
    }
    std::iter::successors(Some(error), source)
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("client error (Connect)")]
    struct OfClient(#[source] io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("service error")]
    struct OfService(ErrorMetadata);

    impl ProvideErrorMetadata for OfService {
        fn meta(&self) -> &ErrorMetadata {
            &self.0
        }
    }

    fn text(error: &SdkError<OfService, Response>) -> String {
        explain(error)
    }

    #[test]
    fn each_kind_of_failure_has_a_sentence() {
        let refused = || OfClient(io::Error::from_raw_os_error(111)).into();
        let dispatched = |error: ConnectorError| text(&SdkError::dispatch_failure(error));
        let system = "Connection refused (os error 111)";
        assert_eq!(dispatched(ConnectorError::io(refused())), format!("the connection failed: {system}"));
        assert_eq!(dispatched(ConnectorError::timeout(refused())), format!("no reply came in time: {system}"));
        let closed = ConnectorError::other("closed before the message was complete".into(), None);
        assert_eq!(dispatched(closed), "the connection failed: closed before the message was complete");
        assert_eq!(
            dispatched(ConnectorError::user("no such proxy".into())),
            "the request cannot be sent: no such proxy"
        );
        assert_eq!(text(&SdkError::construction_failure("no bucket")), "the request cannot be made: no bucket");
        assert_eq!(text(&SdkError::timeout_error("it took 3 s")), "no reply came in time: it took 3 s");
        let reply = || Response::new(200_u16.try_into().unwrap(), aws_smithy_types::body::SdkBody::empty());
        assert_eq!(text(&SdkError::response_error("no XML", reply())), "the reply cannot be read: no XML");
        let meta = ErrorMetadata::builder().code("InternalError").message("We are sorry.").build();
        assert_eq!(text(&SdkError::service_error(OfService(meta), reply())), "S3 reports InternalError: We are sorry.");
    }

    #[test]
    fn a_mistake_in_the_configuration_stands_for_itself() {
        let mistake = ConfigurationError::new("the proxy", "it is no URL");
        let error = SdkError::dispatch_failure(ConnectorError::user(Error::from(mistake.clone()).into()));
        assert_eq!(text(&error), mistake.to_string());
    }
}
