//! What the reference tells people about an HTTP status from S3. The texts are part of its interface: users and tests match
//! them.

use crate::error::{S3Action, S3ServiceError, ServiceReply};

/// A lifecycle rule has moved the object: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects.html>. The
/// reference sends people to look at their permissions.
const ARCHIVED: &str = "The object is archived and can't be read until it is restored. Please restore it or submit the job again \
                        after deleting it, and exclude job attachments from the bucket's lifecycle rules that archive objects.";

/// What is known of an error reply.
#[derive(Debug)]
pub(crate) struct ErrorReply<'a> {
    /// What was being done.
    pub action: S3Action,
    /// S3's name of the operation: `PutObject`, …
    pub operation: &'a str,
    /// The HTTP status.
    pub status_code: u16,
    /// S3's code; a HEAD reply has no body and so no code.
    pub code: Option<&'a str>,
    /// S3's text.
    pub message: Option<&'a str>,
    /// The bucket.
    pub bucket: &'a str,
    /// The key or prefix.
    pub key: &'a str,
    /// The caller's account, where it is known.
    pub account_id: Option<&'a str>,
    /// `x-amz-request-id`.
    pub request_id: Option<&'a str>,
    /// `x-amz-id-2`.
    pub host_id: Option<&'a str>,
}

impl ErrorReply<'_> {
    /// The error with guidance and S3's own words, as the reference puts them together.
    #[must_use]
    pub(crate) fn into_error(self) -> S3ServiceError {
        let reply = self.reply();
        let ServiceReply { operation, code, text: reason, .. } = &reply;
        let text = format!("An error occurred ({code}) when calling the {operation} operation: {reason}");
        let guidance = self.guidance(&text);
        let message = match self.action {
            S3Action::CheckingIfObjectExists => guidance.unwrap_or(text),
            _ => format!("{} {text}", guidance.unwrap_or_default()),
        };
        S3ServiceError {
            action: self.action,
            status_code: self.status_code,
            bucket: self.bucket.to_owned(),
            key: self.key.to_owned(),
            code: self.code.map(str::to_owned),
            message,
            reply,
        }
    }

    /// What botocore reads in the reply. Without a body it uses the status and its reason phrase.
    fn reply(&self) -> ServiceReply {
        ServiceReply {
            operation: self.operation.to_owned(),
            code: self.code.map_or_else(|| self.status_code.to_string(), str::to_owned),
            text: self.message.unwrap_or_else(|| reason_phrase(self.status_code)).to_owned(),
            request_id: self.request_id.map(str::to_owned),
            host_id: self.host_id.map(str::to_owned),
        }
    }

    fn guidance(&self, text: &str) -> Option<String> {
        match self.status_code {
            // S3 gives no reason to a HEAD; this is the usual one.
            400 if self.action == S3Action::CheckingIfObjectExists => Some(format!("{text}. Your AWS credentials may have expired.")),
            403 if self.code == Some("InvalidObjectState") => Some(ARCHIVED.to_owned()),
            403 => Some(self.forbidden(text)),
            404 => not_found(self.action).map(str::to_owned),
            408 => Some(
                "Request timeout. Please consider retrying later, or ensure your network connection is stable.".to_owned(),
            ),
            500 => Some(
                "Internal server error. It might be an issue on AWS's side; please consider retrying later or contacting AWS \
                 support."
                    .to_owned(),
            ),
            503 => Some(
                "Service unavailable. AWS S3 might be down or experiencing high traffic. Please consider retrying after some \
                 time."
                    .to_owned(),
            ),
            _ => None,
        }
    }

    fn forbidden(&self, text: &str) -> String {
        let (permission, kms) = match self.action {
            S3Action::CheckingIfObjectExists => return self.forbidden_head(),
            S3Action::ListingBucketContents => {
                return "Forbidden or Access denied. Please check your AWS credentials, and ensure that your AWS IAM Role or \
                        User has the 's3:ListBucket' permission for this bucket."
                    .to_owned();
            }
            S3Action::UploadingFile | S3Action::UploadingBinaryFile => {
                ("s3:PutObject", "'kms:GenerateDataKey' and 'kms:DescribeKey'")
            }
            S3Action::DownloadingFile | S3Action::DownloadingBinaryFile => {
                ("s3:GetObject", "'kms:Decrypt' and 'kms:DescribeKey'")
            }
        };
        if text.contains("kms:") {
            format!(
                "Forbidden or Access denied. Please check your AWS credentials and Job Attachments S3 bucket encryption \
                 settings. If a customer-managed KMS key is set, confirm that your AWS IAM Role or User has the {kms} \
                 permissions for the key used to encrypt the bucket."
            )
        } else {
            format!(
                "Forbidden or Access denied. Please check your AWS credentials, and ensure that your AWS IAM Role or User has \
                 the '{permission}' permission for this bucket. "
            )
        }
    }

    fn forbidden_head(&self) -> String {
        let place = self.account_id.map_or_else(
            || "Please check your AWS credentials, and ensure that ".to_owned(),
            |account| format!("Ensure that the bucket is in the account {account}, and "),
        );
        format!("Access denied. {place}your AWS IAM Role or User has the 's3:ListBucket' permission for this bucket.")
    }
}

const fn not_found(action: S3Action) -> Option<&'static str> {
    match action {
        S3Action::UploadingBinaryFile => {
            Some("Not found. Please check your bucket name, and ensure that it exists in the AWS account.")
        }
        S3Action::ListingBucketContents => Some("Not found. Please ensure that the bucket and key/prefix exists."),
        S3Action::CheckingIfObjectExists => None,
        _ => Some(
            "Not found. Please check your bucket name and object key, and ensure that they exist in the AWS account.",
        ),
    }
}

/// Reason phrases of the statuses that S3 sends without a body, as botocore shows them.
const fn reason_phrase(status: u16) -> &'static str {
    match status {
        301 => "Moved Permanently",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        412 => "Precondition Failed",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}
