//! The checksum by which S3 tells that a part arrived as it was sent.

use base64::prelude::{BASE64_STANDARD, Engine};

/// CRC-32 of bytes as S3 writes it: big-endian, in base64.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>
#[must_use]
pub(crate) fn crc32_text(bytes: &[u8]) -> String {
    // CRC-32 has 32 bits; the library gives all widths as 64.
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes) & 0xffff_ffff;
    BASE64_STANDARD.encode(&sum.to_be_bytes()[4..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_algorithm_comes_out() {
        // CRC-32/ISO-HDLC of "123456789" is cbf43926: <https://reveng.sourceforge.io/crc-catalogue/17plus.htm>.
        assert_eq!(crc32_text(b"123456789"), "y/Q5Jg==");
        assert_eq!(crc32_text(b""), "AAAAAA==");
    }
}
