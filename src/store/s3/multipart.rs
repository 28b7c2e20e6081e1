//! Multipart uploads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;

use super::S3Store;
use super::errors::Asked;
use super::objects::{bulk_timeouts, is_unknown_condition, system_time};
use crate::error::{Result, S3Action};
use crate::store::{Conditions, MultipartUpload, ObjectKey, PutOutcome, UploadedPart};

/// Joining the parts of a large object takes S3 minutes at the worst; it sends blanks to keep the connection.
const COMPLETE_BYTES_EQUIVALENT: usize = 32 * 1024 * 1024;

impl S3Store {
    pub(super) async fn create_upload(&self, object: &ObjectKey) -> Result<MultipartUpload> {
        let asked = Asked::object(S3Action::UploadingFile, "CreateMultipartUpload", object);
        let send = || {
            let builder = self.client(&object.bucket).create_multipart_upload().bucket(&object.bucket).key(&object.key);
            builder
                .set_checksum_algorithm(self.options.checksums.then_some(ChecksumAlgorithm::Crc32))
                .set_expected_bucket_owner(self.owner())
                .send()
        };
        let answer = self.send(asked, 0, send).await.map_err(|failure| failure.error)?;
        let id = answer.upload_id().unwrap_or_default().to_owned();
        Ok(MultipartUpload { object: object.clone(), id, initiated: None })
    }

    pub(super) async fn send_part(&self, upload: &MultipartUpload, number: i32, body: Bytes) -> Result<UploadedPart> {
        let asked = Asked::object(S3Action::UploadingFile, "UploadPart", &upload.object);
        let length = body.len();
        let send = || {
            let timeouts = aws_sdk_s3::config::Builder::new().timeout_config(bulk_timeouts(length));
            let builder =
                self.client(&upload.object.bucket).upload_part().bucket(&upload.object.bucket).key(&upload.object.key);
            builder
                .upload_id(&upload.id)
                .part_number(number)
                .set_checksum_algorithm(self.options.checksums.then_some(ChecksumAlgorithm::Crc32))
                .set_expected_bucket_owner(self.owner())
                .body(ByteStream::from(body.clone()))
                .customize()
                .disable_payload_signing()
                .config_override(timeouts)
                .send()
        };
        let answer = self.send(asked, length, send).await.map_err(|failure| failure.error)?;
        Ok(UploadedPart {
            number,
            etag: answer.e_tag().unwrap_or_default().to_owned(),
            size_bytes: length as u64,
            crc32: answer.checksum_crc32().map(str::to_owned),
        })
    }

    pub(super) async fn complete_upload(
        &self,
        upload: &MultipartUpload,
        parts: &[UploadedPart],
        if_absent: bool,
    ) -> Result<PutOutcome> {
        let asked = Asked::object(S3Action::UploadingFile, "CompleteMultipartUpload", &upload.object);
        let completed =
            CompletedMultipartUpload::builder().set_parts(Some(parts.iter().map(completed_part).collect())).build();
        let conditional = AtomicBool::new(if_absent && self.endpoint.conditions() != Conditions::Unusable);
        let send = || {
            let condition = conditional.load(Ordering::Relaxed).then(|| "*".to_owned());
            let builder = self
                .client(&upload.object.bucket)
                .complete_multipart_upload()
                .bucket(&upload.object.bucket)
                .key(&upload.object.key);
            builder
                .upload_id(&upload.id)
                .multipart_upload(completed.clone())
                .set_if_none_match(condition)
                .set_expected_bucket_owner(self.owner())
                .send()
        };
        let mut tries = 0;
        let began = Instant::now();
        loop {
            match self.send(asked, COMPLETE_BYTES_EQUIVALENT, send).await {
                Ok(_) => return Ok(PutOutcome::Created),
                Err(failure) if failure.status == Some(412) && conditional.load(Ordering::Relaxed) => {
                    return Ok(PutOutcome::AlreadyThere);
                }
                // A server that does not know the header, or another writer of the same key: the contents are what the key
                // says, whoever wins.
                Err(failure)
                    if (failure.status == Some(409) || is_unknown_condition(&failure))
                        && conditional.swap(false, Ordering::Relaxed) => {}
                // A 200 that holds an error is S3's way to fail late; it asks to try again.
                Err(failure)
                    if failure.is_code(&["InternalError", "SlowDown"])
                        && tries < 5
                        && began.elapsed() < self.options.retry_budget =>
                {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(100 << tries)).await;
                }
                Err(failure) => return Err(failure.error),
            }
        }
    }

    pub(super) async fn abort_upload(&self, upload: &MultipartUpload) -> Result<()> {
        let asked = Asked::object(S3Action::UploadingFile, "AbortMultipartUpload", &upload.object);
        let send = || {
            let builder = self
                .client(&upload.object.bucket)
                .abort_multipart_upload()
                .bucket(&upload.object.bucket)
                .key(&upload.object.key);
            builder.upload_id(&upload.id).set_expected_bucket_owner(self.owner()).send()
        };
        match self.send(asked, 0, send).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.status == Some(404) => Ok(()),
            Err(failure) => Err(failure.error),
        }
    }

    pub(super) async fn list_upload_parts(&self, upload: &MultipartUpload) -> Result<Vec<UploadedPart>> {
        let asked = Asked::object(S3Action::UploadingFile, "ListParts", &upload.object);
        let mut parts = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let send = || {
                let builder = self
                    .client(&upload.object.bucket)
                    .list_parts()
                    .bucket(&upload.object.bucket)
                    .key(&upload.object.key);
                builder
                    .upload_id(&upload.id)
                    .set_part_number_marker(marker.clone())
                    .set_expected_bucket_owner(self.owner())
                    .send()
            };
            let answer = self.send(asked, 0, send).await.map_err(|failure| failure.error)?;
            parts.extend(answer.parts().iter().filter_map(|part| {
                Some(UploadedPart {
                    number: part.part_number()?,
                    etag: part.e_tag()?.to_owned(),
                    size_bytes: u64::try_from(part.size()?).ok()?,
                    crc32: part.checksum_crc32().map(str::to_owned),
                })
            }));
            match answer.next_part_number_marker() {
                Some(next) if answer.is_truncated() == Some(true) => marker = Some(next.to_owned()),
                _ => return Ok(parts),
            }
        }
    }

    pub(super) async fn list_uploads(&self, bucket: &str, prefix: &str) -> Result<Vec<MultipartUpload>> {
        let asked =
            Asked { action: S3Action::ListingBucketContents, operation: "ListMultipartUploads", bucket, key: prefix };
        let mut uploads = Vec::new();
        let mut markers: (Option<String>, Option<String>) = (None, None);
        loop {
            let send = || {
                let builder = self.client(bucket).list_multipart_uploads().bucket(bucket).prefix(prefix);
                builder
                    .set_key_marker(markers.0.clone())
                    .set_upload_id_marker(markers.1.clone())
                    .set_expected_bucket_owner(self.owner())
                    .send()
            };
            let answer = self.send(asked, 0, send).await.map_err(|failure| failure.error)?;
            uploads.extend(answer.uploads().iter().filter_map(|upload| {
                Some(MultipartUpload {
                    object: ObjectKey::new(bucket, upload.key()?),
                    id: upload.upload_id()?.to_owned(),
                    initiated: upload.initiated().and_then(system_time),
                })
            }));
            if answer.is_truncated() != Some(true) {
                return Ok(uploads);
            }
            markers = (answer.next_key_marker().map(str::to_owned), answer.next_upload_id_marker().map(str::to_owned));
        }
    }
}

fn completed_part(part: &UploadedPart) -> CompletedPart {
    CompletedPart::builder().part_number(part.number).e_tag(&part.etag).set_checksum_crc32(part.crc32.clone()).build()
}
