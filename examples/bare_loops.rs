//! The least that the benchmark's work takes on a machine: loops that only read and hash, only receive, hash and write, only
//! read and send, over plain sockets, without manifests, checks, retries or atomic files.
//!
//! `bare_loops hash THREADS` | `get THREADS HOST:PORT BUCKET FOLDER` | `put THREADS HOST:PORT BUCKET`, each with lines of
//! `NAME SIZE` (a file for `hash` and `put`, a key for `get`) on standard input; prints the wall seconds.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Error, Read as _, Result, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rusty_attachments::Hasher;

/// What is moved at a time: stays in a core's own cache.
const BLOCK_BYTES: usize = 256 * 1024;
/// Larger files are shared out between the threads in pieces of this size.
const PIECE_BYTES: u64 = 64 * 1024 * 1024;

/// Bytes of one file or object.
struct Piece {
    name: String,
    start: u64,
    length: u64,
    whole: u64,
}

fn pieces() -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    for line in std::io::stdin().lines() {
        let line = line?;
        let (name, size) = line.rsplit_once(' ').ok_or_else(|| Error::other("NAME SIZE expected"))?;
        let whole: u64 = size.parse().map_err(Error::other)?;
        for start in (0..whole).step_by(usize::try_from(PIECE_BYTES).map_err(Error::other)?) {
            pieces.push(Piece { name: name.to_owned(), start, length: PIECE_BYTES.min(whole - start), whole });
        }
    }
    Ok(pieces)
}

/// Hands the pieces out to threads, each with a state of its own, and gives the seconds that it took.
fn on_threads<S>(
    threads: usize,
    pieces: &[Piece],
    state: impl Fn() -> Result<S> + Sync,
    work: impl Fn(&mut S, &Piece, &mut [u8]) -> Result<()> + Sync,
) -> Result<f64> {
    let (next, began) = (AtomicUsize::new(0), Instant::now());
    std::thread::scope(|scope| {
        let one = || {
            let (mut state, mut block) = (state()?, vec![0; BLOCK_BYTES]);
            while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                work(&mut state, piece, &mut block)?;
            }
            Ok::<(), Error>(())
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| Error::other("a thread panicked"))?)
    })?;
    Ok(began.elapsed().as_secs_f64())
}

/// Each block of a piece of a file, read.
fn read_blocks(piece: &Piece, block: &mut [u8], mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let file = File::open(&piece.name)?;
    let mut done = 0;
    while done < piece.length {
        let wanted = usize::try_from(piece.length - done).map_or(block.len(), |left| left.min(block.len()));
        file.read_exact_at(&mut block[..wanted], piece.start + done)?;
        each(&block[..wanted])?;
        done += wanted as u64;
    }
    Ok(())
}

fn hash(piece: &Piece, block: &mut [u8]) -> Result<()> {
    let mut hasher = Hasher::new();
    read_blocks(piece, block, |bytes| {
        hasher.update(bytes);
        Ok(())
    })?;
    std::hint::black_box(hasher.finish());
    Ok(())
}

/// Reads the head of a reply, and gives the length of its body; an error where it is no success.
fn read_head(connection: &mut BufReader<TcpStream>) -> Result<u64> {
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        if line.trim().is_empty() {
            return Ok(length);
        }
        if line.starts_with("HTTP/1.1 ") && !line.starts_with("HTTP/1.1 2") {
            return Err(Error::other(line));
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(Error::other)?;
        }
    }
}

fn get(
    connection: &mut BufReader<TcpStream>,
    (bucket, folder): (&str, &str),
    piece: &Piece,
    block: &mut [u8],
) -> Result<()> {
    let end = piece.start + piece.length - 1;
    let head =
        format!("GET /{bucket}/{} HTTP/1.1\r\nHost: rig\r\nRange: bytes={}-{end}\r\n\r\n", piece.name, piece.start);
    connection.get_mut().write_all(head.as_bytes())?;
    let (length, mut done) = (read_head(connection)?, 0);
    let path = format!("{folder}/{}", piece.name.rsplit('/').next().unwrap_or_default());
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    let mut hasher = Hasher::new();
    while done < length {
        let wanted = usize::try_from(length - done).map_or(block.len(), |left| left.min(block.len()));
        let got = connection.read(&mut block[..wanted])?;
        if got == 0 {
            return Err(Error::other("the connection closed"));
        }
        hasher.update(&block[..got]);
        file.write_all_at(&block[..got], piece.start + done)?;
        done += got as u64;
    }
    std::hint::black_box(hasher.finish());
    Ok(())
}

/// Each piece as an object of its own.
fn put(connection: &mut BufReader<TcpStream>, bucket: &str, piece: &Piece, block: &mut [u8]) -> Result<()> {
    let name = piece.name.rsplit('/').next().unwrap_or_default();
    let head = format!(
        "PUT /{bucket}/bare/{name}.{}.{} HTTP/1.1\r\nHost: rig\r\nContent-Length: {}\r\n\r\n",
        piece.start, piece.whole, piece.length
    );
    connection.get_mut().write_all(head.as_bytes())?;
    read_blocks(piece, block, |bytes| connection.get_mut().write_all(bytes))?;
    read_head(connection).map(drop)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let threads = arguments.get(1).and_then(|number| number.parse().ok()).unwrap_or(1);
    let rest: Vec<&str> = arguments.iter().skip(2).map(String::as_str).collect();
    let pieces = pieces()?;
    let connect = || {
        let stream = TcpStream::connect(rest[0])?;
        stream.set_nodelay(true)?;
        Ok(BufReader::with_capacity(BLOCK_BYTES, stream))
    };
    let seconds = match (arguments.first().map(String::as_str), rest.as_slice()) {
        (Some("hash"), []) => on_threads(threads, &pieces, || Ok(()), |(), piece, block| hash(piece, block))?,
        (Some("get"), [_, bucket, folder]) => on_threads(threads, &pieces, connect, |connection, piece, block| {
            get(connection, (bucket, folder), piece, block)
        })?,
        (Some("put"), [_, bucket]) => {
            on_threads(threads, &pieces, connect, |connection, piece, block| put(connection, bucket, piece, block))?
        }
        _ => {
            return Err(Error::other(
                "bare_loops hash THREADS | get THREADS HOST:PORT BUCKET FOLDER | put THREADS HOST:PORT BUCKET",
            ));
        }
    };
    println!("{seconds:.4}");
    Ok(())
}
