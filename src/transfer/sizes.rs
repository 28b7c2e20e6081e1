//! How long the pieces are in which large objects travel.

use crate::store::MAX_PARTS;

/// Bodies up to this size are sent and fetched in one request; larger ones in parts of at least this size. The
/// reference's `S3_MULTIPART_UPLOAD_CHUNK_SIZE`.
pub(crate) const PART_BYTES: u64 = 8 * 1024 * 1024;

/// The part size for an object, so that 10,000 parts suffice.
pub(crate) fn part_size(size_bytes: u64) -> u64 {
    const STEP: u64 = 1024 * 1024;
    PART_BYTES.max(size_bytes.div_ceil(MAX_PARTS).div_ceil(STEP) * STEP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MAX_OBJECT_BYTES;

    #[test]
    fn parts_suffice_for_every_size_that_s3_takes() {
        assert_eq!(part_size(PART_BYTES + 1), PART_BYTES);
        for size_bytes in [MAX_PARTS * PART_BYTES, MAX_PARTS * PART_BYTES + 1, MAX_OBJECT_BYTES - 1, MAX_OBJECT_BYTES] {
            let part = part_size(size_bytes);
            assert!(size_bytes.div_ceil(part) <= MAX_PARTS, "{size_bytes} in parts of {part}");
            assert!(part <= 5 * 1024 * 1024 * 1024, "a part may have 5 GiB");
        }
    }
}
