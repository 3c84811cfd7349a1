//! A request body, as it arrives: by length or in chunks, into one buffer.
//!
//! Owns the framing of a body and its bound. It never looks into the body.
//!
//! Invariants: no byte is looked at twice, however slowly they arrive; what a body may hold is judged by what it
//! announces, before that is kept; bytes after its end are left alone.

use crate::{
    causes::Violation,
    wire::http::{refusal::Refusal, request::BodyKind},
};

/// The longest line between two chunks, in bytes: a size, perhaps an extension nobody reads.
const LINE_BYTES_MAX: usize = 256;

const TOO_BIG: Refusal = Refusal {
    status: 413,
    reason: "The body is longer than maxPayload, which the handshake announced.",
    violation: Violation::BodyTooBig,
};
const BAD_CHUNK: Refusal =
    Refusal::bad_request(Violation::BadChunk, "The body is not in well-formed chunks.");

/// A body as far as it has arrived.
#[derive(Debug)]
pub struct Body {
    bytes: Vec<u8>,
    bytes_max: usize,
    due: Due,
}

/// The part of the body that is due.
#[derive(Debug)]
enum Due {
    /// So many bytes, and then the body is whole.
    Bytes(usize),
    /// The line with the length of the next chunk.
    Size(Vec<u8>),
    /// So many bytes of a chunk.
    Chunk(usize),
    /// The line break after a chunk.
    Break(Vec<u8>),
    /// The line after the last chunk, which must be empty: there is no use for trailers here.
    End(Vec<u8>),
}

impl Body {
    /// A body of that kind with at most `bytes_max` bytes.
    ///
    /// # Errors
    /// The [`Refusal`] of one that announces more.
    pub fn new(kind: BodyKind, bytes_max: usize) -> Result<Body, Refusal> {
        let due = match kind {
            BodyKind::None => Due::Bytes(0),
            BodyKind::Length(length) => {
                let length = usize::try_from(length).ok().filter(|length| *length <= bytes_max);
                Due::Bytes(length.ok_or(TOO_BIG)?)
            }
            BodyKind::Chunked => Due::Size(Vec::new()),
        };
        Ok(Body { bytes: Vec::new(), bytes_max, due })
    }

    /// Takes bytes up to the body's end; returns how many it took and whether it is whole.
    ///
    /// # Errors
    /// The [`Refusal`] to answer with.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(usize, bool), Refusal> {
        let mut rest = bytes;
        loop {
            let is_whole = self.step(&mut rest)?;
            if is_whole || rest.is_empty() {
                return Ok((bytes.len() - rest.len(), is_whole));
            }
        }
    }

    /// Takes what one state wants of `rest`; returns whether the body is whole.
    fn step(&mut self, rest: &mut &[u8]) -> Result<bool, Refusal> {
        match &mut self.due {
            Due::Bytes(left) => {
                take(left, rest, &mut self.bytes);
                return Ok(*left == 0);
            }
            Due::Chunk(left) => {
                take(left, rest, &mut self.bytes);
                if *left == 0 {
                    self.due = Due::Break(Vec::new());
                }
            }
            Due::Size(line) => {
                if take_line(line, rest)? {
                    self.due = match chunk_bytes(line)? {
                        0 => Due::End(Vec::new()),
                        length if length > self.bytes_max - self.bytes.len() => return Err(TOO_BIG),
                        length => Due::Chunk(length),
                    };
                }
            }
            Due::Break(line) => {
                if take_line(line, rest)? {
                    if line != b"\r\n" {
                        return Err(BAD_CHUNK);
                    }
                    self.due = Due::Size(Vec::new());
                }
            }
            Due::End(line) => {
                if take_line(line, rest)? {
                    return if line == b"\r\n" { Ok(true) } else { Err(BAD_CHUNK) };
                }
            }
        }
        Ok(false)
    }

    /// The whole body.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

fn take(left: &mut usize, rest: &mut &[u8], into: &mut Vec<u8>) {
    let (taken, after) = rest.split_at((*left).min(rest.len()));
    into.extend_from_slice(taken);
    *left -= taken.len();
    *rest = after;
}

/// Moves bytes to `line` up to its LF; returns whether that came.
fn take_line(line: &mut Vec<u8>, rest: &mut &[u8]) -> Result<bool, Refusal> {
    let end = rest.iter().position(|byte| *byte == b'\n');
    let (taken, after) = rest.split_at(end.map_or(rest.len(), |at| at + 1));
    if line.len() + taken.len() > LINE_BYTES_MAX {
        return Err(BAD_CHUNK);
    }
    line.extend_from_slice(taken);
    *rest = after;
    Ok(end.is_some())
}

/// httparse takes a line without a digit for zero, which another parser may not: only digits count here. And a control
/// byte in what follows, such as a bare CR, may be the end of the line elsewhere.
fn chunk_bytes(line: &[u8]) -> Result<usize, Refusal> {
    let line = line.strip_suffix(b"\r\n").and_then(|line| str::from_utf8(line).ok()).ok_or(BAD_CHUNK)?;
    let digits = line.split(';').next().unwrap_or_default();
    if line.contains(char::is_control) {
        return Err(BAD_CHUNK);
    }
    if digits.is_empty() || digits.len() > 16 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(BAD_CHUNK);
    }
    usize::from_str_radix(digits, 16).map_err(|_| TOO_BIG)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A whole body and what is left over; `None` for one that is incomplete.
    type Outcome = Result<Option<(Vec<u8>, Vec<u8>)>, Refusal>;

    /// Feeds `step` bytes at a time.
    fn read(kind: BodyKind, bytes: &[u8], step: usize) -> Outcome {
        let mut body = Body::new(kind, 20)?;
        let mut at = 0;
        loop {
            let piece = &bytes[at..bytes.len().min(at + step)];
            let (taken, is_whole) = body.feed(piece)?;
            at += taken;
            if is_whole {
                return Ok(Some((body.into_bytes(), bytes[at..].to_vec())));
            }
            assert_eq!(taken, piece.len(), "an incomplete body takes everything");
            if piece.is_empty() {
                return Ok(None);
            }
        }
    }

    fn text(outcome: Outcome) -> (String, String) {
        let (body, rest) = outcome.unwrap().expect("a whole body");
        (String::from_utf8(body).unwrap(), String::from_utf8(rest).unwrap())
    }

    const CHUNKED: &[u8] = b"5\r\nhello\r\n00a;x=1\r\n, chunked!\r\n0\r\n\r\nGET /";

    #[test]
    fn a_body_is_the_same_however_it_arrives_and_what_follows_is_left() {
        for step in 1..=CHUNKED.len() {
            let whole = ("hello, chunked!".into(), "GET /".into());
            assert_eq!(text(read(BodyKind::Chunked, CHUNKED, step)), whole);
            let whole = ("hello".into(), "GET /".into());
            assert_eq!(text(read(BodyKind::Length(5), b"helloGET /", step)), whole);
            assert_eq!(text(read(BodyKind::None, b"GET /", step)), (String::new(), "GET /".into()));
        }
    }

    #[test]
    fn a_body_cut_short_is_incomplete() {
        for cut in 0..CHUNKED.len() - 5 {
            assert_eq!(read(BodyKind::Chunked, &CHUNKED[..cut], 1), Ok(None), "cut at {cut}");
        }
        assert_eq!(read(BodyKind::Length(5), b"hell", 1), Ok(None));
    }

    #[test]
    fn more_than_the_bound_is_refused_when_it_is_announced() {
        assert_eq!(Body::new(BodyKind::Length(21), 20).unwrap_err(), TOO_BIG);
        assert_eq!(Body::new(BodyKind::Length(u64::MAX), 20).unwrap_err(), TOO_BIG);
        for announced in [&b"15\r\n"[..], b"b\r\nhello hello\r\na\r\n", b"ffffffffffffffff\r\n"] {
            assert_eq!(read(BodyKind::Chunked, announced, 1).unwrap_err(), TOO_BIG);
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for bytes in [
            &b"5\nhello"[..],
            b"x\r\n",
            b"\r\n",
            b"-1\r\n",
            b"0x5\r\n",
            b"5 5\r\n",
            b"5;a\rb\r\n",
            b"5\r\nhellox\r\n",
            b"5\r\nhello\n",
            b"0\r\nTrailer: 1\r\n\r\n",
            b"0\r\n\n",
            b"00000000000000000005\r\n",
        ] {
            let outcome = read(BodyKind::Chunked, bytes, 1);
            assert_eq!(outcome, Err(BAD_CHUNK), "{:?}", String::from_utf8_lossy(bytes));
        }
        let endless = [&b"5;"[..], &[b'x'; LINE_BYTES_MAX]].concat();
        assert_eq!(read(BodyKind::Chunked, &endless, 7).unwrap_err(), BAD_CHUNK);
    }
}
