//! The syntax of AWS's configuration files, by the rules of Python's `configparser.RawConfigParser`, which botocore reads
//! them with.
//!
//! The SDK's own reader is stricter in some ways and more lenient in others: it drops quoted profile names, refuses files
//! in which one line is not to its taste, and cuts values at ` #`. No crate follows configparser's rules.

use std::collections::BTreeMap;

/// A value: text, or a block of indented `key = value` lines below an empty value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Block(BTreeMap<String, String>),
}

impl Value {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Block(_) => None,
        }
    }
}

/// Options of one section, by lower-case name.
pub(super) type Section = BTreeMap<String, Value>;

/// Why a file can't be read, and on which line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) problem: String,
}

/// The section whose options all others inherit.
const DEFAULTS: &str = "DEFAULT";

/// Reads a file's sections, in their order. A mark of the byte order at the start is skipped.
pub(super) fn parse(text: &str) -> Result<Vec<(String, Section)>, SyntaxError> {
    let mut reader = Reader::default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in lines(text).enumerate() {
        reader.line = index + 1;
        reader.read(line)?;
    }
    reader.finish()
}

/// Python's universal line ends: `\n`, `\r\n`, `\r`.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// The options of one section while they are read: the lines of each value.
type RawSection = BTreeMap<String, RawValue>;

#[derive(Default, Clone)]
struct RawValue {
    line: usize,
    lines: Vec<String>,
}

#[derive(Default)]
struct Reader {
    line: usize,
    /// How far the last option or section was indented.
    indentation: usize,
    sections: BTreeMap<String, RawSection>,
    /// The sections' names as they came.
    order: Vec<String>,
    section: Option<String>,
    option: Option<String>,
}

impl Reader {
    fn read(&mut self, line: &str) -> Result<(), SyntaxError> {
        let value = line.trim();
        if value.starts_with(['#', ';']) {
            return Ok(());
        }
        if value.is_empty() {
            if let Some(option) = self.current() {
                option.lines.push(String::new());
            }
            return Ok(());
        }
        let indentation = line.chars().take_while(|character| character.is_whitespace()).count();
        if indentation > self.indentation
            && let Some(option) = self.current()
        {
            option.lines.push(value.to_owned());
            return Ok(());
        }
        self.indentation = indentation;
        match header(value) {
            Some(name) => self.begin(name),
            None => self.assign(value),
        }
    }

    /// The option that a continued line belongs to.
    fn current(&mut self) -> Option<&mut RawValue> {
        let (section, option) = (self.section.as_ref()?, self.option.as_ref()?);
        self.sections.get_mut(section)?.get_mut(option)
    }

    fn begin(&mut self, name: &str) -> Result<(), SyntaxError> {
        if name != DEFAULTS && self.sections.contains_key(name) {
            return Err(self.error(format!("section [{name}] is there twice")));
        }
        self.sections.entry(name.to_owned()).or_default();
        self.order.push(name.to_owned());
        self.section = Some(name.to_owned());
        self.option = None;
        Ok(())
    }

    fn assign(&mut self, line: &str) -> Result<(), SyntaxError> {
        let Some(section) = self.section.clone() else {
            return Err(self.error("the first line that says something must be a section such as [default]".to_owned()));
        };
        let Some((name, value)) = line.split_once(['=', ':']).filter(|(name, _)| !name.trim().is_empty()) else {
            // The line may hold a secret, so it is not quoted.
            return Err(self.error("neither a section nor `name = value`".to_owned()));
        };
        let name = name.trim_end().to_lowercase();
        let raw = RawValue { line: self.line, lines: vec![value.trim().to_owned()] };
        let known = self.sections.entry(section.clone()).or_default().insert(name.clone(), raw);
        if known.is_some() {
            return Err(self.error(format!("`{name}` is there twice in section [{section}]")));
        }
        self.option = Some(name);
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<(String, Section)>, SyntaxError> {
        let defaults = self.sections.remove(DEFAULTS).unwrap_or_default();
        let mut sections = Vec::with_capacity(self.sections.len());
        for name in self.order {
            let Some(options) = self.sections.remove(&name) else { continue };
            let mut section = Section::new();
            for (option, raw) in defaults.iter().chain(&options) {
                section.insert(option.clone(), joined(raw)?);
            }
            sections.push((name, section));
        }
        Ok(sections)
    }

    fn error(&self, problem: String) -> SyntaxError {
        SyntaxError { line: self.line, problem }
    }
}

/// What stands between the first bracket and the last one; what follows is ignored.
fn header(line: &str) -> Option<&str> {
    let inside = line.strip_prefix('[')?;
    let end = inside.rfind(']').filter(|end| *end > 0)?;
    Some(&inside[..end])
}

fn joined(raw: &RawValue) -> Result<Value, SyntaxError> {
    let text = raw.lines.join("\n");
    let text = text.trim_end();
    if !text.starts_with('\n') {
        return Ok(Value::Text(text.to_owned()));
    }
    let mut block = BTreeMap::new();
    for line in text.split('\n').map(str::trim).filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once('=') else {
            let problem = "a line of the indented block below is not `name = value`".to_owned();
            return Err(SyntaxError { line: raw.line, problem });
        };
        block.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    Ok(Value::Block(block))
}

/// Words as a POSIX shell splits them, quotes and backslashes taken away; `None` where a quote is not closed. botocore
/// splits the names of sections with Python's `shlex`.
pub(super) fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character.is_ascii_whitespace() {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_default();
        match character {
            quote @ ('\'' | '"') => quoted(quote, &mut characters, word)?,
            '\\' => word.push(characters.next()?),
            plain => word.push(plain),
        }
    }
    words.extend(word);
    Some(words)
}

/// Reads on to the closing quote.
fn quoted(quote: char, characters: &mut std::str::Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match characters.next()? {
            end if end == quote => return Some(()),
            '\\' if quote == '"' => match characters.next()? {
                escaped @ ('"' | '\\') => word.push(escaped),
                other => word.extend(['\\', other]),
            },
            inner => word.push(inner),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_split_as_a_shell_would() {
        let split = |text: &str| words(text).map(|words| words.join("|"));
        assert_eq!(split("profile lab").as_deref(), Some("profile|lab"));
        assert_eq!(split("  profile\t'a b'  ").as_deref(), Some("profile|a b"));
        assert_eq!(split(r#"profile "a\"b\c""#).as_deref(), Some(r#"profile|a"b\c"#));
        assert_eq!(split(r"profile a\ b''").as_deref(), Some("profile|a b"));
        assert_eq!(split("profile ''").as_deref(), Some("profile|"));
        assert_eq!(split("profile 'a"), None);
    }

    #[test]
    fn blocks_and_continued_lines() {
        let text = "\u{feff}[DEFAULT]\nb = 2\n[x]\r\n  a = 1\r\n\r\n# c\ns3 =\n    k = v=w\n\n  ; no\n  K2=v2\nlong = one\n  two\n";
        let sections = parse(text).unwrap();
        let (name, section) = &sections[0];
        assert_eq!((sections.len(), name.as_str()), (1, "x"));
        assert_eq!(section["a"], Value::Text("1".to_owned()));
        assert_eq!(section["b"], Value::Text("2".to_owned()));
        assert_eq!(section["long"], Value::Text("one\ntwo".to_owned()));
        let block = BTreeMap::from([("k".to_owned(), "v=w".to_owned()), ("K2".to_owned(), "v2".to_owned())]);
        assert_eq!(section["s3"], Value::Block(block));
    }
}
