//! Multipart uploads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;

use super::errors::{Failure, unanswered};
use super::objects::without_checksums;
use super::refusals::{Extra, Extras};
use super::replies::DocumentReader;
use super::request_info::RequestInfo;
use super::{S3Store, attempts};
use crate::error::{Result, S3Action};
use crate::store::backoff::Backoff;
use crate::store::{Conditions, MultipartUpload, ObjectKey, PutOutcome, UploadedPart};

/// A failure of which S3 says in the body of its reply, once it has worked for some seconds.
const LATE_FAILURE: Backoff = Backoff { first: Duration::from_millis(400), longest: Duration::from_secs(5) };
const COMPLETE: &str = "CompleteMultipartUpload";

impl S3Store {
    pub(super) async fn create_upload(&self, object: &ObjectKey) -> Result<MultipartUpload> {
        let asked = RequestInfo::object(S3Action::UploadingFile, "CreateMultipartUpload", object);
        let wanted = Extras::NONE.with(Extra::Crc32, self.options.checksums);
        let create = |extras: Extras| {
            let checksum = extras.has(Extra::Crc32).then_some(ChecksumAlgorithm::Crc32);
            let send = move |reader: DocumentReader| {
                let builder = self.client(&object.bucket).create_multipart_upload().bucket(&object.bucket);
                builder
                    .key(&object.key)
                    .set_checksum_algorithm(checksum.clone())
                    .set_expected_bucket_owner(self.owner())
                    .customize()
                    .interceptor(reader)
                    .send()
            };
            self.document(asked, send)
        };
        let document = self.with_extras(&object.bucket, wanted, create).await.map_err(|failure| failure.error)?;
        let id = document.word("UploadId").map(str::to_owned);
        let id = id.ok_or_else(|| unanswered(asked, "the server's reply names no upload".to_owned()))?;
        Ok(MultipartUpload { object: object.clone(), id, initiated: None })
    }

    pub(super) async fn send_part(&self, upload: &MultipartUpload, number: i32, body: Bytes) -> Result<UploadedPart> {
        let wanted = Extras::NONE.with(Extra::Crc32, self.options.checksums).with(Extra::UnsignedBody, true);
        let attempt = |extras: Extras| self.send_part_once(upload, number, body.clone(), extras);
        self.with_extras(&upload.object.bucket, wanted, attempt).await.map_err(|failure| failure.error)
    }

    async fn send_part_once(
        &self,
        upload: &MultipartUpload,
        number: i32,
        body: Bytes,
        extras: Extras,
    ) -> Result<UploadedPart, Failure> {
        let asked = RequestInfo::object(S3Action::UploadingFile, "UploadPart", &upload.object);
        let length = body.len();
        let send = || {
            let builder =
                self.client(&upload.object.bucket).upload_part().bucket(&upload.object.bucket).key(&upload.object.key);
            let builder = builder
                .upload_id(&upload.id)
                .part_number(number)
                .set_checksum_algorithm(extras.has(Extra::Crc32).then_some(ChecksumAlgorithm::Crc32))
                .set_expected_bucket_owner(self.owner())
                .body(ByteStream::from(body.clone()))
                .customize();
            let builder = if extras.has(Extra::Crc32) { builder } else { builder.config_override(without_checksums()) };
            if extras.has(Extra::UnsignedBody) { builder.disable_payload_signing() } else { builder }.send()
        };
        let answer = self.send(asked, send).await?;
        Ok(UploadedPart {
            number,
            etag: answer.e_tag().unwrap_or_default().to_owned(),
            size_bytes: length as u64,
            crc32: answer.checksum_crc32().map(str::to_owned),
            last_modified: None,
        })
    }

    pub(super) async fn complete_upload(
        &self,
        upload: &MultipartUpload,
        parts: &[UploadedPart],
        if_absent: bool,
    ) -> Result<PutOutcome> {
        let completed =
            CompletedMultipartUpload::builder().set_parts(Some(parts.iter().map(completed_part).collect())).build();
        let conditional = AtomicBool::new(if_absent && self.endpoint.conditions() != Conditions::Unusable);
        let mut tries = 0;
        let began = Instant::now();
        loop {
            let wanted = Extras::NONE.with(Extra::Condition, conditional.load(Ordering::Relaxed));
            let attempt = |extras: Extras| self.complete_once(upload, &completed, extras);
            match self.with_extras(&upload.object.bucket, wanted, attempt).await {
                Ok(()) => return Ok(PutOutcome::Created),
                Err(failure) if failure.status == Some(412) && conditional.swap(false, Ordering::Relaxed) => {
                    if self.is_there(&upload.object).await? {
                        return Ok(PutOutcome::AlreadyThere);
                    }
                }
                // Another writer of the same key: the contents are what the key says, whoever wins.
                Err(failure) if failure.status == Some(409) && conditional.swap(false, Ordering::Relaxed) => {}
                // A 200 that holds an error is S3's way to fail late; it asks to try again.
                Err(failure)
                    if failure.is_code(&["InternalError", "SlowDown"])
                        && tries < 5
                        && began.elapsed() < self.options.retry_budget =>
                {
                    tries += 1;
                    let wait = LATE_FAILURE.wait(tries);
                    let asked = RequestInfo::object(S3Action::UploadingFile, COMPLETE, &upload.object);
                    attempts::note_repeated(asked, &failure.error.to_string(), wait);
                    tokio::time::sleep(wait).await;
                }
                Err(failure) => return Err(failure.error),
            }
        }
    }

    async fn complete_once(
        &self,
        upload: &MultipartUpload,
        completed: &CompletedMultipartUpload,
        extras: Extras,
    ) -> Result<(), Failure> {
        let asked = RequestInfo::object(S3Action::UploadingFile, COMPLETE, &upload.object);
        let send = |reader: DocumentReader| {
            let builder = self.client(&upload.object.bucket).complete_multipart_upload().bucket(&upload.object.bucket);
            builder
                .key(&upload.object.key)
                .upload_id(&upload.id)
                .multipart_upload(completed.clone())
                .set_if_none_match(extras.has(Extra::Condition).then(|| "*".to_owned()))
                .set_expected_bucket_owner(self.owner())
                .customize()
                .interceptor(reader)
                .send()
        };
        self.document(asked, send).await.map(drop)
    }

    pub(super) async fn abort_upload(&self, upload: &MultipartUpload) -> Result<()> {
        let asked = RequestInfo::object(S3Action::UploadingFile, "AbortMultipartUpload", &upload.object);
        let send = || {
            let builder = self
                .client(&upload.object.bucket)
                .abort_multipart_upload()
                .bucket(&upload.object.bucket)
                .key(&upload.object.key);
            builder.upload_id(&upload.id).set_expected_bucket_owner(self.owner()).send()
        };
        match self.send(asked, send).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.status == Some(404) => Ok(()),
            Err(failure) => Err(failure.error),
        }
    }
}

fn completed_part(part: &UploadedPart) -> CompletedPart {
    CompletedPart::builder().part_number(part.number).e_tag(&part.etag).set_checksum_crc32(part.crc32.clone()).build()
}
