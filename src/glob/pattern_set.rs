//! Many patterns at once: through globset where its syntax can express the pattern, else one after another.
//!
//! globset knows no hidden names, counts characters in bytes, lets `[!…]` match a slash, and has `{a,b}` and an escape
//! character. So it is asked about paths without hidden names (and, where a pattern counts characters, ASCII paths) in a
//! text that is made from the pattern's tokens, and about no pattern that it would take otherwise.
//!
//! Measured on 200,000 paths of four components: twenty patterns take it 0.05 to 0.15 µs a path, and 1.8 to 7 µs one after
//! another; one pattern takes 0.06 to 0.4 µs either way.

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

use super::component::Component;
use super::fnmatch::Token;

/// Patterns of which any may match.
pub(crate) struct PatternSet {
    patterns: Vec<GlobPattern>,
    /// The patterns that globset's syntax can express.
    at_once: GlobSet,
    /// The others.
    one_by_one: Vec<GlobPattern>,
    /// Whether a pattern of `at_once` counts characters.
    needs_ascii: bool,
    /// Whether one of them is `**/*`, as they are by default: it finds all that has no hidden names.
    has_all: bool,
}

impl PatternSet {
    pub(crate) fn new(patterns: Vec<GlobPattern>) -> Self {
        let (mut at_once, mut one_by_one) = (GlobSetBuilder::new(), Vec::new());
        let (mut needs_ascii, mut has_all) = (false, false);
        for pattern in &patterns {
            if let Some(translated) = GlobsetPattern::of(pattern)
                && let Ok(glob) =
                    GlobBuilder::new(&translated.text).literal_separator(true).backslash_escape(true).build()
            {
                at_once.add(glob);
                needs_ascii |= translated.counts_characters;
                has_all |= translated.text == "**/*";
            } else {
                one_by_one.push(pattern.clone());
            }
        }
        match at_once.build() {
            Ok(at_once) => Self { patterns, at_once, one_by_one, needs_ascii, has_all },
            // Too much for one automaton.
            Err(_) => Self {
                one_by_one: patterns.clone(),
                patterns,
                at_once: GlobSet::empty(),
                needs_ascii: false,
                has_all: false,
            },
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether any pattern matches the file at a path (WTF-8) below the root.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        let any = |patterns: &[GlobPattern]| {
            if patterns.is_empty() {
                return false;
            }
            let parts: Vec<&[u8]> = components(path).collect();
            patterns.iter().any(|pattern| pattern.matches(&parts))
        };
        let has_hidden_names = components(path).any(|part| part.starts_with(b"."));
        if has_hidden_names || (self.needs_ascii && !path.is_ascii()) {
            return any(&self.patterns);
        }
        self.has_all || self.at_once.is_match_candidate(&Candidate::from_bytes(path)) || any(&self.one_by_one)
    }

    /// Whether any pattern may match something below a directory. globset has no answer to that.
    pub(crate) fn may_match_below(&self, directory: &[u8]) -> bool {
        let parts: Vec<&[u8]> = components(directory).collect();
        self.patterns.iter().any(|pattern| pattern.may_match_below(&parts))
    }
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
}

/// A pattern translated to globset's syntax.
#[derive(Debug, Default)]
struct GlobsetPattern {
    text: String,
    /// Whether it has a `?` or a set, which match one byte there.
    counts_characters: bool,
}

impl GlobsetPattern {
    /// `None` where globset's syntax cannot express the pattern.
    fn of(pattern: &GlobPattern) -> Option<Self> {
        let mut translated = Self::default();
        for (number, component) in pattern.components.iter().enumerate() {
            if number > 0 {
                translated.text.push('/');
            }
            match component {
                Component::Literal(name) => std::str::from_utf8(name).ok()?.chars().for_each(|c| translated.literal(c)),
                Component::Recursive => translated.text.push_str("**"),
                Component::Wild(wildcards) => {
                    for token in wildcards.pattern.tokens() {
                        translated.token(token)?;
                    }
                }
            }
        }
        Some(translated)
    }

    fn literal(&mut self, character: char) {
        if matches!(character, '*' | '?' | '[' | ']' | '{' | '}' | '\\' | ',') {
            self.text.push('\\');
        }
        self.text.push(character);
    }

    fn token(&mut self, token: &Token) -> Option<()> {
        match token {
            Token::Star => self.text.push('*'),
            Token::Any => {
                self.counts_characters = true;
                self.text.push('?');
            }
            Token::Literal(point) => self.literal(char::from_u32(*point)?),
            Token::Set { negated, ranges } => {
                self.counts_characters = true;
                self.text.push('[');
                if *negated {
                    // In Python's glob no set sees a slash.
                    self.text.push_str("!/");
                } else if ranges.is_empty() {
                    return None;
                }
                for (first, last) in ranges {
                    let (first, last) = (plain_member(*first)?, plain_member(*last)?);
                    self.text.push(first);
                    if first != last {
                        self.text.extend(['-', last]);
                    }
                }
                self.text.push(']');
            }
        }
        Some(())
    }
}

/// A character that stands for nothing but itself in a set of globset's; between two of them there is no slash.
fn plain_member(point: u32) -> Option<char> {
    char::from_u32(point).filter(|character| character.is_ascii_alphanumeric() || *character == '_')
}

/// A pattern relative to some directory.
#[derive(Debug, Clone)]
pub(crate) struct GlobPattern {
    pub(crate) components: Vec<Component>,
}

impl GlobPattern {
    /// Empty components and `.` mean nothing and are dropped.
    pub(crate) fn new(text: &[u8]) -> Self {
        let parts = text.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
        Self { components: parts.map(Component::new).collect() }
    }

    /// Whether the file with these components matches.
    fn matches(&self, parts: &[&[u8]]) -> bool {
        self.states_after(parts)[self.components.len()]
    }

    /// Whether something below the directory with these components may match.
    fn may_match_below(&self, parts: &[&[u8]]) -> bool {
        let states = self.states_after(parts);
        states[..self.components.len()].contains(&true)
    }

    /// At which components of the pattern one may stand after the path's; the last state is past them all.
    fn states_after(&self, parts: &[&[u8]]) -> Vec<bool> {
        let length = self.components.len();
        let mut states = vec![false; length + 1];
        states[0] = true;
        for part in parts {
            let mut next = vec![false; length + 1];
            for at in 0..length {
                // `**` may stand for no directory, but where it ends a pattern it stands for at least one name.
                if states[at] && self.components[at].is_recursive() && at + 1 < length {
                    states[at + 1] = true;
                }
                if !states[at] || !self.components[at].matches(part) {
                    continue;
                }
                if self.components[at].is_recursive() {
                    next[at] = true;
                    next[length] |= at + 1 == length;
                } else {
                    next[at + 1] = true;
                }
            }
            states = next;
        }
        states
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let pattern = GlobPattern::new(pattern.as_bytes());
        let alone = pattern.matches(&components(path.as_bytes()).collect::<Vec<_>>());
        assert_eq!(PatternSet::new(vec![pattern]).matches(path.as_bytes()), alone, "{path}");
        alone
    }

    #[test]
    fn components_match_as_pythons_glob_has_them() {
        let yes = [
            ("**/*", "a"),
            ("**/*", "a/b/c"),
            ("**", "a/b"),
            ("a/**", "a/b/c"),
            ("a/**/c", "a/c"),
            ("a/**/c", "a/x/y/c"),
            ("**/**", "a"),
            ("*/.hidden", "a/.hidden"),
            ("./a//*.exr", "a/b.exr"),
            ("a**", "abc"),
            ("{a,b}*", "{a,b}c"),
            ("a\\*", "a\\b"),
            ("?", "é"),
            ("*[!a]c", "a\nc"),
            ("**/b.", "a/b."),
        ];
        for (pattern, path) in yes {
            assert!(matches(pattern, path), "{pattern} should match {path}");
        }
        let no = [
            ("*", "a/b"),
            ("**/*", ".hidden"),
            ("**/*", ".folder/a"),
            ("**/.hidden/*", ".folder/.hidden/a"),
            ("*/**", "a"),
            ("a/**", "a"),
            ("a**", "a/b"),
            ("{a,b}", "a"),
            ("{a,b}*", "ab"),
            ("a[!x]b", "a/b"),
            ("a?b", "a/b"),
            ("A*", "ab"),
        ];
        for (pattern, path) in no {
            assert!(!matches(pattern, path), "{pattern} should not match {path}");
        }
    }

    #[test]
    fn folders_that_no_pattern_needs_are_not_entered() {
        let patterns = PatternSet::new(vec![GlobPattern::new(b"renders/*/beauty/*.exr")]);
        let enters = |path: &str| patterns.may_match_below(path.as_bytes());
        assert!(enters("renders") && enters("renders/v1") && enters("renders/v1/beauty"));
        assert!(!enters("scenes") && !enters("renders/v1/depth") && !enters("renders/v1/beauty/sub"));
    }

    #[test]
    fn globset_is_asked_what_it_can_say() {
        let translated =
            |pattern: &[u8]| GlobsetPattern::of(&GlobPattern::new(pattern)).map(|translated| translated.text);
        for text in ["**/*.exr", "renders/*/beauty/*_?.exr", "a/**/b", "é*", "[ab]c"] {
            assert_eq!(translated(text.as_bytes()).as_deref(), Some(text));
        }
        assert_eq!(translated(b"[!a]x").as_deref(), Some("[!/a]x"));
        assert_eq!(translated(b"[0-9]").as_deref(), Some("[00-99]"), "the ends of a range are told twice");
        assert_eq!(translated(b"{a,b}\\*").as_deref(), Some("\\{a\\,b\\}\\\\*"));
        assert_eq!(translated(b"a***b[").as_deref(), Some("a*b\\["));
        for odd in [&b"*\xed\xb2\x80"[..], b"[--9]", b"[z-a]", b"[\xc3\xa9]", b"[^a]", b"[]]"] {
            assert_eq!(translated(odd), None, "{}", String::from_utf8_lossy(odd));
        }
    }

    /// Names of few different characters, so that patterns match often; among them one of two bytes and a lone surrogate.
    fn name() -> impl Strategy<Value = Vec<u8>> {
        let character = prop::sample::select(vec![
            &b"a"[..],
            b"b",
            b"c",
            b".",
            b"-",
            b"{",
            b",",
            b"\\",
            b"\n",
            b"\xc3\xa9",
            b"\xed\xb2\x80",
        ]);
        prop::collection::vec(character, 1..4).prop_map(|characters| characters.concat())
    }

    fn part_of_pattern() -> impl Strategy<Value = Vec<u8>> {
        let wild = prop::sample::select(vec![
            "*", "?", "[ab]", "[!a]", "[a-c]", "[c-a]", "[!-a]", "[--a]", "[]]", "[^a]", "[", "]", "{", "}", ",", "!",
            "\\", "a", "b", ".", "é", "**",
        ]);
        let mixed = prop::collection::vec(wild, 1..5).prop_map(|parts| parts.concat().into_bytes());
        prop_oneof![3 => mixed, 1 => Just(b"**".to_vec()), 1 => Just(b"*".to_vec()), 1 => name()]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn both_ways_agree(
            patterns in prop::collection::vec(prop::collection::vec(part_of_pattern(), 1..4), 1..4),
            path in prop::collection::vec(name(), 1..4),
        ) {
            let patterns: Vec<GlobPattern> = patterns.iter().map(|parts| GlobPattern::new(&parts.join(&b'/'))).collect();
            let parts: Vec<&[u8]> = path.iter().map(Vec::as_slice).collect();
            let expected = patterns.iter().any(|pattern| pattern.matches(&parts));
            prop_assert_eq!(PatternSet::new(patterns).matches(&path.join(&b'/')), expected);
        }
    }
}
