//! Checksums that clients send with their bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, Digest as Crc};
use http::{HeaderMap, HeaderName, HeaderValue};
use md5::Md5;
use sha2::Sha256;

use super::body::Payload;
use super::config::XxhashMode;
use super::content::Content;
use super::reply::Failure;
use super::store::Headers;

const PREFIX: &str = "x-amz-checksum-";

/// Checks what the headers and trailers say of the contents, and returns the checksums to keep with the object.
pub fn verify(headers: &HeaderMap, payload: &Payload, mode: XxhashMode) -> Result<Headers, Failure> {
    if let Some(expected) = headers.get("content-md5") {
        let actual = STANDARD.encode(digest::<Md5>(&payload.content));
        if expected.as_bytes() != actual.as_bytes() {
            return Err(Failure::new(
                400,
                "BadDigest",
                "The Content-MD5 you specified did not match what we received.",
            ));
        }
    }
    let mut kept = Vec::new();
    let named = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let trailing = payload.trailers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, expected) in named.chain(trailing) {
        let Some(algorithm) = name.strip_prefix(PREFIX) else { continue };
        if matches!(algorithm, "algorithm" | "type" | "mode") {
            continue;
        }
        let Some(actual) = checksum(algorithm, &payload.content, mode)? else { continue };
        if actual != expected {
            let message =
                format!("The {} you specified did not match the calculated checksum.", algorithm.to_uppercase());
            return Err(Failure::new(400, "BadDigest", &message));
        }
        let name = HeaderName::from_bytes(name.as_bytes()).ok();
        kept.extend(name.zip(HeaderValue::from_str(expected).ok()));
    }
    Ok(kept)
}

/// An entity tag. Contents whose checksum was verified are known by that: large ones are not read twice.
pub fn entity_tag(verified: &[(HeaderName, HeaderValue)], content: &Content) -> String {
    match verified.first() {
        Some((name, value)) => {
            let text = [name.as_str().as_bytes(), value.as_bytes(), &content.len().to_be_bytes()].concat();
            format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&text))
        }
        None => content.xxh128_hex(),
    }
}

/// The tag of an object of parts: made of theirs, as S3 makes it.
pub fn entity_tag_of_parts(tags: &[&str]) -> String {
    format!("{:032x}-{}", xxhash_rust::xxh3::xxh3_128(tags.concat().as_bytes()), tags.len())
}

/// CRC-32 in base64, as listings of parts give it.
pub fn crc32(content: &Content) -> String {
    let mut crc = Crc::new(CrcAlgorithm::Crc32IsoHdlc);
    content.all().for_each(|slice| crc.update(&slice));
    STANDARD.encode(u32::try_from(crc.finalize()).unwrap_or(u32::MAX).to_be_bytes())
}

/// Base64 of the checksum in S3's byte order; none for those that the rig takes unchecked.
fn checksum(algorithm: &str, content: &Content, mode: XxhashMode) -> Result<Option<String>, Failure> {
    let crc = |kind: CrcAlgorithm| {
        let mut crc = Crc::new(kind);
        content.all().for_each(|slice| crc.update(&slice));
        crc.finalize()
    };
    let crc32 = |kind: CrcAlgorithm| {
        let value = u32::try_from(crc(kind)).unwrap_or(u32::MAX);
        STANDARD.encode(value.to_be_bytes())
    };
    Ok(match algorithm {
        "crc32" => Some(crc32(CrcAlgorithm::Crc32IsoHdlc)),
        "crc32c" => Some(crc32(CrcAlgorithm::Crc32Iscsi)),
        "crc64nvme" => Some(STANDARD.encode(crc(CrcAlgorithm::Crc64Nvme).to_be_bytes())),
        "sha256" => Some(STANDARD.encode(digest::<Sha256>(content))),
        "xxhash128" => match mode {
            XxhashMode::Accept => Some(STANDARD.encode(content.xxh128().to_be_bytes())),
            XxhashMode::Ignore => None,
            XxhashMode::Reject => {
                let message = "Value for x-amz-checksum-xxhash128 header is invalid.";
                return Err(Failure::new(400, "InvalidRequest", message));
            }
        },
        _ => None,
    })
}

fn digest<D: md5::Digest>(content: &Content) -> Vec<u8> {
    let mut digest = D::new();
    content.all().for_each(|slice| digest.update(&slice));
    digest.finalize().to_vec()
}
