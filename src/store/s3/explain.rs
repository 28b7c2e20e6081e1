//! Texts of the SDK's errors, for people.

use std::error::Error as StdError;

use crate::error::{ConfigurationError, Error};

/// The causes of an error, outermost first, each once. Where one of them is a mistake in the configuration, that one alone:
/// the SDK's words around it ("dispatch failure", "an error occurred while loading credentials") say nothing more.
pub(super) fn plain_text(error: &(dyn StdError + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(mistake) = configuration_error(error) {
            return mistake.to_string();
        }
        let text = error.to_string();
        if texts.last().is_none_or(|last| !last.ends_with(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    texts.join(": ")
}

fn configuration_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a ConfigurationError> {
    match error.downcast_ref::<Error>() {
        Some(Error::Configuration(mistake)) => Some(mistake),
        _ => error.downcast_ref::<ConfigurationError>(),
    }
}
