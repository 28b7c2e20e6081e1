//! A JSON reader that makes no values: the decoder asks for what it needs and skips the rest.
//!
//! It takes what Python's `json` takes: `NaN` and the infinities as numbers, lone surrogates in strings, keys more than once.
//! Texts and offsets of errors are those of Python's `json` where one text fits all its versions.

use std::borrow::Cow;

use crate::error::{Error, ManifestProblem};
use crate::path::push_code_point;

/// How deep arrays and objects may be nested. The reference fails at about this depth too, with `RecursionError`.
pub(crate) const MAXIMUM_DEPTH: usize = 1000;

/// Why a text is no JSON that this reader takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// What was wrong.
    pub message: &'static str,
    /// Where, in bytes.
    pub offset: usize,
}

/// The message for text that is nested too deeply; it is valid JSON all the same.
pub(crate) const TOO_DEEP: &str = "the document is nested too deeply";

impl SyntaxError {
    /// The error with the position in characters, line and column that `json.JSONDecodeError` gives.
    #[must_use]
    #[allow(clippy::naive_bytecount, reason = "done once, for an error")]
    pub(crate) fn locate(self, text: &[u8]) -> Error {
        if self.message == TOO_DEEP {
            return Error::manifest(
                ManifestProblem::Form,
                format!("manifest is nested deeper than {MAXIMUM_DEPTH} levels"),
            );
        }
        let before = &text[..self.offset.min(text.len())];
        let characters = |bytes: &[u8]| bytes.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        Error::Json {
            message: self.message.to_owned(),
            position: characters(before),
            line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
            column: characters(&before[line_start..]) + 1,
        }
    }
}

type Outcome<T> = Result<T, SyntaxError>;

/// A number, as far as manifests care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    /// An integer that fits.
    Integer(i64),
    /// An integer beyond 64 bits.
    Huge,
    /// Anything with a fraction or an exponent, `NaN`, infinities.
    Float,
}

/// What kind of value comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `"…"`
    String,
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// A number, `true` or `false`, which Python takes for integers.
    Number,
    /// `null`.
    Null,
}

/// Reads a document from front to back.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of generalised UTF-8 text.
    #[must_use]
    pub(crate) const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// The offset in bytes.
    #[must_use]
    pub(crate) const fn offset(&self) -> usize {
        self.at
    }

    /// The bytes from `start` up to here.
    #[must_use]
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        &self.text[start..self.at]
    }

    fn fail<T>(&self, message: &'static str) -> Outcome<T> {
        Err(SyntaxError { message, offset: self.at })
    }

    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
    }

    /// The kind of the value that begins here; nothing is read but blanks.
    pub(crate) fn kind(&mut self) -> Outcome<Kind> {
        self.skip_blanks();
        match self.byte() {
            Some(b'"') => Ok(Kind::String),
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'n') => Ok(Kind::Null),
            Some(b'-' | b'0'..=b'9' | b't' | b'f' | b'N' | b'I') => Ok(Kind::Number),
            _ => self.fail("Expecting value"),
        }
    }

    fn enter(&mut self) -> Outcome<()> {
        self.depth += 1;
        if self.depth > MAXIMUM_DEPTH {
            return self.fail(TOO_DEEP);
        }
        self.at += 1;
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    /// Enters the object that begins here.
    pub(crate) fn open_object(&mut self) -> Outcome<()> {
        self.enter()
    }

    /// The next key of the object, with the reader at its value; `None` once the object is read. `first` must be true
    /// before the first key and is cleared.
    pub(crate) fn next_key(&mut self, first: &mut bool) -> Outcome<Option<Cow<'a, [u8]>>> {
        self.skip_blanks();
        match self.byte() {
            Some(b'}') => {
                self.leave();
                return Ok(None);
            }
            Some(b',') if !*first => {
                self.at += 1;
                self.skip_blanks();
            }
            _ if !*first => return self.fail("Expecting ',' delimiter"),
            _ => {}
        }
        *first = false;
        if self.byte() != Some(b'"') {
            return self.fail("Expecting property name enclosed in double quotes");
        }
        let key = self.string()?;
        self.skip_blanks();
        if self.byte() != Some(b':') {
            return self.fail("Expecting ':' delimiter");
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// Enters the array that begins here.
    pub(crate) fn open_array(&mut self) -> Outcome<()> {
        self.enter()
    }

    /// Whether another element follows, with the reader at it; false once the array is read. `first` as in
    /// [`Self::next_key`].
    pub(crate) fn next_element(&mut self, first: &mut bool) -> Outcome<bool> {
        self.skip_blanks();
        match self.byte() {
            Some(b']') => {
                self.leave();
                return Ok(false);
            }
            Some(b',') if !*first => {
                self.at += 1;
            }
            _ if !*first => return self.fail("Expecting ',' delimiter"),
            _ => {}
        }
        *first = false;
        Ok(true)
    }

    /// The string that begins here: borrowed where it has no escapes.
    pub(crate) fn string(&mut self) -> Outcome<Cow<'a, [u8]>> {
        let quote = self.at;
        self.at += 1;
        let start = self.at;
        self.skip_plain();
        if self.byte() == Some(b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(&self.text[start..self.at - 1]));
        }
        let mut out = self.text[start..self.at].to_vec();
        loop {
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(out));
                }
                Some(b'\\') => self.escape(&mut out, quote)?,
                Some(_) => return self.fail("Invalid control character at"),
                None => return Err(SyntaxError { message: "Unterminated string starting at", offset: quote }),
            }
            let start = self.at;
            self.skip_plain();
            out.extend_from_slice(&self.text[start..self.at]);
        }
    }

    /// Goes to the next byte that is special in a string, or to the end.
    fn skip_plain(&mut self) {
        let rest = &self.text[self.at..];
        let words = rest.chunks_exact(8);
        let mut plain = 0;
        for word in words {
            let word: [u8; 8] = word.try_into().unwrap_or_default();
            if has_special(u64::from_le_bytes(word)) {
                break;
            }
            plain += 8;
        }
        let end = rest[plain..].iter().position(|byte| is_special(*byte));
        self.at += end.map_or(rest.len(), |end| plain + end);
    }

    /// Reads `{"hash":"…","mtime":…,"path":"…","size":…}` as canonical JSON spells it. Gives `None` and reads nothing where
    /// it is spelled in any other way.
    pub(crate) fn canonical_entry(&mut self) -> Option<CanonicalEntry<'a>> {
        let start = self.at;
        let entry = self.try_canonical_entry();
        if entry.is_none() {
            self.at = start;
        }
        entry
    }

    fn try_canonical_entry(&mut self) -> Option<CanonicalEntry<'a>> {
        self.skip_exactly(b"{\"hash\":\"")?;
        let hash = crate::hash::parse_hex_bytes(self.text.get(self.at..self.at + 32)?)?;
        self.at += 32;
        self.skip_exactly(b"\",\"mtime\":")?;
        let mtime = self.plain_integer()?;
        self.skip_exactly(b",\"path\":\"")?;
        let start = self.at;
        self.skip_plain();
        let path = &self.text[start..self.at];
        self.skip_exactly(b"\",\"size\":")?;
        let size = self.plain_integer()?;
        self.skip_exactly(b"}")?;
        Some(CanonicalEntry { hash, mtime, path, size })
    }

    fn skip_exactly(&mut self, wanted: &[u8]) -> Option<()> {
        let found = self.text[self.at..].starts_with(wanted);
        self.at += wanted.len();
        found.then_some(())
    }

    /// An integer of at most 18 digits, which needs no care for overflow, with no fraction or leading zero.
    fn plain_integer(&mut self) -> Option<i64> {
        let negative = self.byte() == Some(b'-');
        self.at += usize::from(negative);
        let start = self.at;
        let mut value = 0_i64;
        while let Some(digit @ b'0'..=b'9') = self.byte() {
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            self.at += 1;
        }
        let length = self.at - start;
        let is_plain = length > 0 && length <= 18 && (length == 1 || self.text[start] != b'0');
        is_plain.then_some(if negative { value.wrapping_neg() } else { value })
    }

    fn escape(&mut self, out: &mut Vec<u8>, quote: usize) -> Outcome<()> {
        let Some(letter) = self.text.get(self.at + 1) else {
            return Err(SyntaxError { message: "Unterminated string starting at", offset: quote });
        };
        let plain = match letter {
            b'"' | b'\\' | b'/' => *letter,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return self.unicode_escape(out),
            _ => return self.fail("Invalid \\escape: "),
        };
        out.push(plain);
        self.at += 2;
        Ok(())
    }

    fn unicode_escape(&mut self, out: &mut Vec<u8>) -> Outcome<()> {
        let Some(unit) = self.hex_unit(self.at) else {
            self.at += 1;
            return self.fail("Invalid \\uXXXX escape");
        };
        self.at += 6;
        let mut point = unit;
        if (0xD800..0xDC00).contains(&unit)
            && let Some(low @ 0xDC00..0xE000) = self.hex_unit(self.at)
        {
            point = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
            self.at += 6;
        }
        push_code_point(out, point);
        Ok(())
    }

    /// The value of `\uXXXX` at `at`, if that is what stands there.
    fn hex_unit(&self, at: usize) -> Option<u32> {
        let [b'\\', b'u', digits @ ..] = self.text.get(at..at + 6)? else { return None };
        digits.iter().try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
    }

    /// The number or truth value that begins here.
    pub(crate) fn number(&mut self) -> Outcome<Number> {
        for (word, number) in [
            ("true", Number::Integer(1)),
            ("false", Number::Integer(0)),
            ("NaN", Number::Float),
            ("Infinity", Number::Float),
            ("-Infinity", Number::Float),
        ] {
            if self.byte().is_some_and(|byte| !byte.is_ascii_digit()) && self.take_word(word) {
                return Ok(number);
            }
        }
        let start = self.at;
        let negative = self.byte() == Some(b'-');
        self.at += usize::from(negative);
        let digits = self.skip_digits();
        if digits.is_empty() {
            self.at = start;
            return self.fail("Expecting value");
        }
        if digits.len() > 1 && digits[0] == b'0' {
            // A leading zero is a whole number, and what follows it is "extra".
            self.at = start + usize::from(negative) + 1;
            return Ok(Number::Integer(0));
        }
        if self.skip_fraction_and_exponent() {
            return Ok(Number::Float);
        }
        Ok(parse_integer(negative, digits).map_or(Number::Huge, Number::Integer))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.text[self.at..].starts_with(word.as_bytes());
        if found {
            self.at += word.len();
        }
        found
    }

    fn skip_digits(&mut self) -> &'a [u8] {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    fn skip_fraction_and_exponent(&mut self) -> bool {
        let mut found = false;
        if self.byte() == Some(b'.') && self.text.get(self.at + 1).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
            self.skip_digits();
            found = true;
        }
        if let Some(b'e' | b'E') = self.byte() {
            let back = self.at;
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            if self.skip_digits().is_empty() {
                self.at = back;
            } else {
                found = true;
            }
        }
        found
    }

    /// Reads `null`.
    pub(crate) fn null(&mut self) -> Outcome<()> {
        if self.take_word("null") { Ok(()) } else { self.fail("Expecting value") }
    }

    /// Reads any value and keeps nothing of it. The depth of its nesting costs one bit a level.
    pub(crate) fn skip_value(&mut self) -> Outcome<()> {
        let mut nested: Vec<Nested> = Vec::new();
        loop {
            match self.kind()? {
                Kind::String => drop(self.string()?),
                Kind::Number => {
                    self.number()?;
                }
                Kind::Null => self.null()?,
                Kind::Object => {
                    self.open_object()?;
                    nested.push(Nested { object: true, first: true });
                }
                Kind::Array => {
                    self.open_array()?;
                    nested.push(Nested { object: false, first: true });
                }
            }
            loop {
                let Some(innermost) = nested.last_mut() else { return Ok(()) };
                let more = if innermost.object {
                    self.next_key(&mut innermost.first)?.is_some()
                } else {
                    self.next_element(&mut innermost.first)?
                };
                if more {
                    break;
                }
                nested.pop();
            }
        }
    }

    /// Checks that nothing but blanks follows.
    pub(crate) fn finish(&mut self) -> Outcome<()> {
        self.skip_blanks();
        if self.at == self.text.len() { Ok(()) } else { self.fail("Extra data") }
    }
}

/// An entry of a v2023 manifest, in the spelling of nearly all of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CanonicalEntry<'a> {
    /// The bytes that the hash spells.
    pub hash: [u8; 16],
    /// Microseconds since the epoch.
    pub mtime: i64,
    /// The path, which has no escapes.
    pub path: &'a [u8],
    /// Bytes.
    pub size: i64,
}

const fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..=0x1F)
}

/// Whether any of eight bytes is special, without looking at each. (It may also be true where a byte after a special one
/// borrows: then the bytes are looked at one by one.)
const fn has_special(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let quote = word ^ (ONES * 0x22);
    let backslash = word ^ (ONES * 0x5C);
    let below_blank = word.wrapping_sub(ONES * 0x20) & !word;
    let zero = (quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash);
    (zero | below_blank) & HIGH != 0
}

struct Nested {
    object: bool,
    first: bool,
}

fn parse_integer(negative: bool, digits: &[u8]) -> Option<i64> {
    let value = digits.iter().try_fold(0_i64, |value, digit| {
        let digit = i64::from(digit - b'0');
        // Counting downwards reaches the smallest number too.
        value.checked_mul(10)?.checked_sub(digit)
    })?;
    if negative { Some(value) } else { value.checked_neg() }
}

#[cfg(test)]
mod tests;
