//! Bodies of requests, plain and `aws-chunked`.

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::content::Content;
use super::reply::{BrokenOff, Failure};

/// Trailing headers: names in lower case.
pub type Trailers = Vec<(String, String)>;

/// A request's body without its framing.
pub struct Payload {
    pub content: Content,
    pub trailers: Trailers,
}

/// Reads the whole body, or its first `limit` bytes: then the connection is to be broken off.
pub async fn collect(headers: &HeaderMap, mut body: Incoming) -> Result<Result<Payload, Failure>, BrokenOff> {
    let mut decoder = is_chunked(headers).then(ChunkDecoder::default);
    let mut plain = Vec::new();
    let mut broken = None;
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame.map_err(|_| BrokenOff)?.into_data() else { continue };
        match &mut decoder {
            None => plain.push(bytes),
            Some(decoder) if broken.is_none() => broken = decoder.feed(bytes).err(),
            Some(_) => {}
        }
    }
    if let Some(failure) = broken {
        return Ok(Err(failure));
    }
    let (parts, trailers) = match decoder {
        None => (plain, Vec::new()),
        Some(decoder) => match decoder.finish() {
            Ok(finished) => finished,
            Err(failure) => return Ok(Err(failure)),
        },
    };
    let content = Content::new(parts);
    let announced = headers.get("x-amz-decoded-content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|expected: u64| expected != content.len()) {
        return Ok(Err(incomplete()));
    }
    Ok(Ok(Payload { content, trailers }))
}

/// Reads until so many bytes have come, and leaves the rest unread.
pub async fn read_some(mut body: Incoming, limit: u64) {
    let mut seen = 0;
    while seen < limit {
        match body.frame().await {
            Some(Ok(frame)) => seen += frame.data_ref().map_or(0, |bytes| bytes.len() as u64),
            _ => return,
        }
    }
}

fn is_chunked(headers: &HeaderMap) -> bool {
    let says = |name: &str, what: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(what))
    };
    says("content-encoding", "aws-chunked") || says("x-amz-content-sha256", "STREAMING-")
}

fn incomplete() -> Failure {
    let message = "You did not provide the number of bytes specified by the Content-Length HTTP header.";
    Failure::new(400, "IncompleteBody", message)
}

enum State {
    Size,
    Data(usize),
    AfterData,
    Trailers,
    Done,
}

/// `size[;chunk-signature=…]\r\n data \r\n … 0[;…]\r\n name:value\r\n … \r\n`
struct ChunkDecoder {
    state: State,
    line: Vec<u8>,
    parts: Vec<Bytes>,
    trailers: Vec<(String, String)>,
}

impl Default for ChunkDecoder {
    fn default() -> Self {
        Self { state: State::Size, line: Vec::new(), parts: Vec::new(), trailers: Vec::new() }
    }
}

impl ChunkDecoder {
    fn feed(&mut self, mut bytes: Bytes) -> Result<(), Failure> {
        while !bytes.is_empty() {
            if let State::Data(left) = &mut self.state {
                let taken = bytes.split_to(bytes.len().min(*left));
                *left -= taken.len();
                self.parts.push(taken);
                if *left == 0 {
                    self.state = State::AfterData;
                }
                continue;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            self.line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
            bytes.advance(end.map_or(bytes.len(), |end| end + 1));
            if end.is_some() {
                let line = std::mem::take(&mut self.line);
                self.end_of_line(std::str::from_utf8(&line).unwrap_or("?").trim_end_matches('\r'))?;
            }
        }
        Ok(())
    }

    fn end_of_line(&mut self, line: &str) -> Result<(), Failure> {
        match self.state {
            State::Size => {
                let size = line.split(';').next().unwrap_or_default();
                let size = usize::from_str_radix(size, 16).map_err(|_| incomplete())?;
                self.state = if size == 0 { State::Trailers } else { State::Data(size) };
            }
            State::AfterData if line.is_empty() => self.state = State::Size,
            State::Trailers if line.is_empty() => self.state = State::Done,
            State::Trailers => {
                let (name, value) = line.split_once(':').ok_or_else(incomplete)?;
                self.trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
            State::Done if line.is_empty() => {}
            _ => return Err(incomplete()),
        }
        Ok(())
    }

    fn finish(self) -> Result<(Vec<Bytes>, Trailers), Failure> {
        // The last blank line is left out by some clients.
        if matches!(self.state, State::Done | State::Trailers) {
            Ok((self.parts, self.trailers))
        } else {
            Err(incomplete())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_together_however_they_arrive() {
        let framed = b"5;chunk-signature=ab\r\nhello\r\n1\r\n!\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        for step in 1..framed.len() {
            let mut decoder = ChunkDecoder::default();
            for piece in framed.chunks(step) {
                decoder.feed(Bytes::copy_from_slice(piece)).unwrap();
            }
            let (parts, trailers) = decoder.finish().unwrap();
            assert_eq!(parts.concat(), b"hello!");
            assert_eq!(trailers, [("x-amz-checksum-crc32".to_owned(), "AAAA".to_owned())]);
        }
    }

    #[test]
    fn a_body_that_ends_within_a_chunk_is_refused() {
        let mut decoder = ChunkDecoder::default();
        decoder.feed(Bytes::from_static(b"5\r\nhel")).unwrap();
        assert_eq!(decoder.finish().unwrap_err().code, "IncompleteBody");
    }
}
