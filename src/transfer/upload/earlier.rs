//! Large uploads that an earlier call of this machine began and did not finish: what S3 has of them need not be sent again.

use std::collections::HashMap;
use std::sync::Arc;

use super::{LOGGER, ObjectUpload, Uploader};
use crate::cache::uploads::{UploadPlace, UploadRecord};
use crate::error::Result;
use crate::store::{MultipartUpload, ObjectKey, UploadedPart};
use crate::transfer::context::LogLevel;
use crate::transfer::sizes::part_size;
use crate::transfer::tasks::blocking;

/// An upload that an earlier call left, with the parts that S3 has of it.
pub(super) struct Earlier {
    pub(super) multipart: MultipartUpload,
    pub(super) known: HashMap<i32, UploadedPart>,
}

impl Uploader {
    /// Takes the record of an object's upload. Without one, the upload is begun anew and not gone on with: another process
    /// of this machine has it, or there are no records.
    pub(super) async fn record(&self, object: &ObjectKey) -> Option<UploadRecord> {
        let inner = Arc::clone(self.resuming.0.as_ref()?);
        let sweeper = Arc::clone(&inner);
        let sweep = || async move { blocking(move || sweeper.records.remove_forgotten()).await };
        inner.is_swept.get_or_init(sweep).await;
        let (store, object) = (self.store.place().to_owned(), object.clone());
        blocking(move || inner.records.take(UploadPlace { store: &store, bucket: &object.bucket, key: &object.key }))
            .await
    }

    /// The upload that a record names, if it is there still. One that is too old is dropped: it is this machine's to drop.
    pub(super) async fn earlier(
        &self,
        upload: &ObjectUpload,
        record: Option<&UploadRecord>,
    ) -> Result<Option<Earlier>> {
        let (Some(inner), Some(left)) = (&self.resuming.0, record.and_then(UploadRecord::left)) else {
            return Ok(None);
        };
        let multipart = MultipartUpload { object: upload.object.clone(), id: left.id.clone(), initiated: None };
        if left.age > inner.within {
            self.abort(&multipart).await;
            return Ok(None);
        }
        let listed = {
            let _permit = self.or_cancelled(self.request()).await?;
            self.or_cancelled(self.store.list_parts(&multipart)).await?
        };
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) if error.status_code() == Some(404) => return Ok(None),
            // Without the right to list parts all are sent again, in the place of those that are there.
            Err(error) => {
                self.context.log(LogLevel::Debug, LOGGER, || {
                    format!("The parts of upload {} of {} could not be listed: {error}", left.id, upload.object.url())
                });
                Vec::new()
            }
        };
        let part_bytes = part_size(upload.size_bytes);
        let fits = |part: &UploadedPart| part.crc32.is_some() && part.size_bytes <= part_bytes;
        let known: HashMap<i32, UploadedPart> =
            listed.into_iter().filter(fits).map(|part| (part.number, part)).collect();
        self.context.log(LogLevel::Info, LOGGER, || {
            let (id, url, count) = (&multipart.id, upload.object.url(), known.len());
            format!("Going on with upload {id} of {url}, of which S3 has {count} parts")
        });
        Ok(Some(Earlier { multipart, known }))
    }

    /// Writes down which upload it is. One that can't be written down is not gone on with.
    pub(super) async fn write_record(&self, record: UploadRecord, multipart: &MultipartUpload) -> Option<UploadRecord> {
        let id = multipart.id.clone();
        let written = blocking(move || {
            let mut record = record;
            match record.write(&id) {
                Ok(()) => Ok(record),
                Err(error) => {
                    record.remove();
                    Err(error)
                }
            }
        })
        .await;
        match written {
            Ok(record) => Some(record),
            Err(error) => {
                self.context.log(LogLevel::Debug, LOGGER, || {
                    format!("Upload {} of {} has no record: {error}", multipart.id, multipart.object.url())
                });
                None
            }
        }
    }
}

/// The upload is over, and so is its record.
pub(super) async fn forget(record: Option<UploadRecord>) {
    if let Some(record) = record {
        blocking(move || record.remove()).await;
    }
}
