//! Patterns of Python's `fnmatch`: `*` (which crosses `/`), `?`, `[seq]`, `[!seq]`; no braces, no escapes.

use crate::path::{code_points, first_code_point};

/// A pattern made ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FnmatchPattern(Vec<Token>);

/// What a pattern is made of; characters are code points, surrogates included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// Any number of any characters. Never twice in a row.
    Star,
    /// Any one character.
    Any,
    /// This character.
    Literal(u32),
    /// One character of these ranges, whose ends are among them, or of none of them.
    Set {
        /// Whether it is of none of them.
        negated: bool,
        /// First and last of each range.
        ranges: Vec<(u32, u32)>,
    },
}

impl Token {
    fn takes(&self, point: u32) -> bool {
        match self {
            Self::Star | Self::Any => true,
            Self::Literal(literal) => *literal == point,
            Self::Set { negated, ranges } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&point)) != *negated
            }
        }
    }
}

impl FnmatchPattern {
    /// Reads a pattern of generalised UTF-8. Every text is one: a `[` without its `]` stands for itself.
    #[must_use]
    pub(crate) fn new(pattern: &[u8]) -> Self {
        let points: Vec<u32> = code_points(pattern).collect();
        let mut tokens = Vec::with_capacity(points.len());
        let mut at = 0;
        while let Some(point) = points.get(at) {
            at += 1;
            let token = match char::from_u32(*point) {
                Some('*') if tokens.last() == Some(&Token::Star) => continue,
                Some('*') => Token::Star,
                Some('?') => Token::Any,
                Some('[') => match end_of_set(&points, at) {
                    Some(end) => {
                        let set = read_set(&points[at..end]);
                        at = end + 1;
                        set
                    }
                    None => Token::Literal(*point),
                },
                _ => Token::Literal(*point),
            };
            tokens.push(token);
        }
        Self(tokens)
    }

    /// What it is made of.
    pub(crate) fn tokens(&self) -> &[Token] {
        &self.0
    }

    /// Whether all of `text` matches.
    #[must_use]
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let (mut token, mut at) = (0, 0);
        // Where to go on if what follows the last star fails: the star takes one more character.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            if self.0.get(token) == Some(&Token::Star) {
                token += 1;
                retry = Some((token, at));
                continue;
            }
            match (self.0.get(token), first_code_point(&text[at..])) {
                (None, None) => return true,
                (Some(wanted), Some((point, length))) if wanted.takes(point) => {
                    token += 1;
                    at += length;
                }
                _ => {
                    let Some((after_star, from)) = retry else { return false };
                    let Some((_, length)) = first_code_point(&text[from..]) else { return false };
                    (token, at) = (after_star, from + length);
                    retry = Some((after_star, at));
                }
            }
        }
    }
}

const HYPHEN: u32 = '-' as u32;
const CLOSE: u32 = ']' as u32;
const NOT: u32 = '!' as u32;

/// Where the `]` stands that closes the set that begins at `start`: not right after `[` or `[!`.
fn end_of_set(points: &[u32], start: usize) -> Option<usize> {
    let mut from = start;
    if points.get(from) == Some(&NOT) {
        from += 1;
    }
    if points.get(from) == Some(&CLOSE) {
        from += 1;
    }
    (from..points.len()).find(|index| points[*index] == CLOSE)
}

/// The inside of a set. Ranges that are empty take nothing, as in `fnmatch` since Python 3.9.
fn read_set(inside: &[u32]) -> Token {
    let (negated, inside) = match inside.split_first() {
        Some((&NOT, rest)) => (true, rest),
        _ => (false, inside),
    };
    // Pieces between the hyphens that make a range: the first character of a piece is never such a hyphen, nor is the
    // second of those after the first (it was the end of a range).
    let mut pieces: Vec<Vec<u32>> = Vec::new();
    let (mut start, mut from) = (0, 1);
    while let Some(hyphen) = (from..inside.len()).find(|index| inside[*index] == HYPHEN) {
        pieces.push(inside[start..hyphen].to_vec());
        start = hyphen + 1;
        from = hyphen + 3;
    }
    match (inside.get(start..), pieces.last_mut()) {
        (Some(rest), _) if !rest.is_empty() => pieces.push(rest.to_vec()),
        (_, Some(last)) => last.push(HYPHEN),
        _ => {}
    }
    for index in (1..pieces.len()).rev() {
        if pieces[index - 1].last() > pieces[index].first() {
            let rest = pieces.remove(index);
            pieces[index - 1].pop();
            pieces[index - 1].extend(rest.into_iter().skip(1));
        }
    }
    let mut ranges = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        ranges.extend(piece.iter().map(|point| (*point, *point)));
        if let (Some(first), Some(last)) = (piece.last(), pieces.get(index + 1).and_then(|next| next.first())) {
            ranges.push((*first, *last));
        }
    }
    Token::Set { negated, ranges }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        FnmatchPattern::new(pattern.as_bytes()).matches(text.as_bytes())
    }

    #[test]
    fn wildcards() {
        assert!(matches("*", ""));
        assert!(matches("*.exr", "a/b/c.exr"));
        assert!(matches("a*b*c", "a-b-b-c"));
        assert!(!matches("a*b*c", "a-b-b-"));
        assert!(matches("?", "é") && matches("?", "\u{1F600}") && !matches("?", ""));
        assert!(matches("**x", "x"));
    }

    #[test]
    fn sets() {
        assert!(matches("[a-c]x", "bx") && !matches("[a-c]x", "dx"));
        assert!(matches("[!a-c]", "d") && !matches("[!a-c]", "a"));
        assert!(matches("[]]", "]") && matches("[!]]", "a") && !matches("[!]]", "]"));
        assert!(matches("[a", "[a") && matches("[", "["));
        assert!(matches("[-a]", "-") && matches("[a-]", "-") && matches("[a-]", "a"));
        assert!(!matches("[z-a]", "m") && matches("[!z-a]", "m"));
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = format!("{}b", "*a".repeat(50));
        assert!(!matches(&pattern, &"a".repeat(10_000)));
    }
}
