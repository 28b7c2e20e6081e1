//! Reading a source block by block.

use std::io::{ErrorKind, Result as IoResult};

/// Reads blocks until `length` bytes have come or the source ends, and hands each to `take`. Gives how many bytes came.
///
/// `read` fills a part of a buffer from an offset, which counts from 0. A read that a signal interrupts is repeated. The outer
/// error is that of `take`, which ends the reading; the inner one is that of `read`.
pub(crate) fn read_blocks<E>(
    buffer: &mut [u8],
    length: u64,
    mut read: impl FnMut(&mut [u8], u64) -> IoResult<usize>,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<IoResult<u64>, E> {
    let mut offset = 0;
    while offset < length {
        let most = usize::try_from(length - offset).unwrap_or(usize::MAX).min(buffer.len());
        match read(&mut buffer[..most], offset) {
            Ok(0) => break,
            Ok(got) => {
                take(&buffer[..got])?;
                offset += got as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source of ten bytes that gives three at a time, after an interruption each.
    fn read(bytes: &mut [u8], offset: u64, interrupted: &mut bool) -> IoResult<usize> {
        *interrupted = !*interrupted;
        if *interrupted {
            return Err(ErrorKind::Interrupted.into());
        }
        let rest = &b"0123456789"[usize::try_from(offset).unwrap()..];
        let got = rest.len().min(bytes.len()).min(3);
        bytes[..got].copy_from_slice(&rest[..got]);
        Ok(got)
    }

    #[test]
    fn blocks_come_in_order_up_to_the_length_or_the_end() {
        for (length, expected) in [(0, ""), (4, "0123"), (10, "0123456789"), (u64::MAX, "0123456789")] {
            let (mut taken, mut interrupted) = (Vec::new(), false);
            let came = read_blocks(
                &mut [0; 4],
                length,
                |bytes, offset| read(bytes, offset, &mut interrupted),
                |block| {
                    taken.extend_from_slice(block);
                    Ok::<_, ()>(())
                },
            );
            assert_eq!(came.unwrap().unwrap(), expected.len() as u64);
            assert_eq!(taken, expected.as_bytes());
        }
    }

    #[test]
    fn errors_of_both_sides_end_it() {
        let broken = read_blocks(&mut [0; 4], 9, |_, _| Err(ErrorKind::PermissionDenied.into()), |_| Ok::<_, ()>(()));
        assert_eq!(broken.unwrap().unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(read_blocks(&mut [0; 4], 9, |_, _| Ok(1), |_| Err("enough")).unwrap_err(), "enough");
    }
}
