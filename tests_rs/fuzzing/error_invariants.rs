//! What must hold for any error reply of S3. Shared with the fuzz target, which compiles it in by path.

use super::error::{Error, S3Action};
use super::store::guidance::ErrorReply;

pub const BUCKET: &str = "the-bucket";
pub const KEY: &str = "root/Data/the-key";

/// A reply that is made of any bytes: two for the status, one that chooses, and the rest is the body.
pub struct Reply<'a> {
    /// From 300 to 599.
    pub status: u16,
    choice: u8,
    /// Whatever was said.
    pub body: &'a [u8],
}

/// Takes bytes apart.
pub fn reply(data: &[u8]) -> Option<Reply<'_>> {
    let [high, low, choice, body @ ..] = data else { return None };
    Some(Reply { status: 300 + u16::from_be_bytes([*high, *low]) % 300, choice: *choice, body })
}

/// Panics where something doesn't hold: the error keeps what the reply said and names bucket and key.
pub fn hold_for(data: &[u8]) {
    let Some(reply) = reply(data) else { return };
    let text = String::from_utf8_lossy(reply.body);
    let (code, message) = text.split_once('\n').unwrap_or((&text, ""));
    for action in [
        S3Action::UploadingFile,
        S3Action::UploadingBinaryFile,
        S3Action::DownloadingFile,
        S3Action::DownloadingBinaryFile,
        S3Action::ListingBucketContents,
        S3Action::CheckingIfObjectExists,
    ] {
        let told = ErrorReply {
            action,
            operation: "GetObject",
            status_code: reply.status,
            code: (reply.choice & 1 == 0).then_some(code),
            message: (reply.choice & 2 == 0).then_some(message),
            bucket: BUCKET,
            key: KEY,
            account_id: (reply.choice & 4 == 0).then_some("123456789012"),
            request_id: None,
            host_id: None,
        };
        let error = Error::from(told.into_error());
        assert_eq!(error.status_code(), Some(reply.status));
        assert!(!error.is_cancelled());
        names_its_object(&error);
        assert_eq!(error.clone().to_string(), error.to_string());
    }
}

/// A reader can act on the text alone.
pub fn names_its_object(error: &Error) {
    let text = error.to_string();
    assert!(text.contains(BUCKET) && text.contains(KEY), "{text}");
}
