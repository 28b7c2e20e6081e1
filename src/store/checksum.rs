//! The checksum by which S3 tells that a part arrived as it was sent.

/// CRC-32 of bytes as S3 writes it: big-endian, in base64.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>
#[must_use]
pub(crate) fn crc32_text(bytes: &[u8]) -> String {
    // CRC-32 has 32 bits; the library gives all widths as 64.
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes) & 0xffff_ffff;
    base64_of_32_bits(sum)
}

/// Base64 of four bytes: five digits of six bits, one of two, and two of padding.
fn base64_of_32_bits(value: u64) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = value << 4;
    let digit = |place: u64| char::from(DIGITS[usize::try_from(bits >> (30 - 6 * place) & 63).unwrap_or(0)]);
    (0..6).map(digit).chain(['=', '=']).collect()
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
