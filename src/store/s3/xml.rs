//! Documents in replies, read by this crate: the SDK's reader knows S3 alone, and overlooks what it does not know.
//!
//! Servers that resemble S3 write the same elements with CDATA sections, other prefixes, blanks and comments.

use quick_xml::Reader;
use quick_xml::escape::{escape, resolve_xml_entity};
use quick_xml::events::{BytesRef, Event};

/// Replies of S3 are five deep.
const MAX_DEPTH: usize = 32;

/// An element with what is in it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Element {
    /// Its name, without a prefix.
    pub(super) name: String,
    /// Its text, all of it.
    pub(super) text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads a document; gives its outermost element.
    pub(super) fn parse(document: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(document).map_err(|error| format!("it is no UTF-8: {error}"))?;
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}').trim_start());
        let mut open: Vec<Self> = Vec::new();
        let mut root: Option<Self> = None;
        loop {
            let closed = match reader.read_event().map_err(|error| error.to_string())? {
                Event::Start(start) => {
                    if root.is_some() || open.len() == MAX_DEPTH {
                        return Err("there is more than one document in it, or a very deep one".to_owned());
                    }
                    open.push(Self::named(start.local_name().as_ref()));
                    continue;
                }
                Event::Empty(start) if root.is_none() => Self::named(start.local_name().as_ref()),
                Event::End(_) => open.pop().ok_or("an element ends that did not begin")?,
                other => {
                    if let Event::Eof = other {
                        break;
                    }
                    append(&other, open.last_mut())?;
                    continue;
                }
            };
            match open.last_mut() {
                Some(parent) => parent.children.push(closed),
                None => root = Some(closed),
            }
        }
        match root {
            Some(root) if open.is_empty() => Ok(root),
            _ => Err("it breaks off".to_owned()),
        }
    }

    fn named(name: &[u8]) -> Self {
        Self { name: String::from_utf8_lossy(name).into_owned(), ..Self::default() }
    }

    /// The elements of a name in this one.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first element of a name, as it stands.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.children.iter().find(|child| child.name == name).map(|child| child.text.as_str())
    }

    /// The same without blanks around it, and without those that are empty: for all but keys, which may begin with blanks.
    pub(super) fn word(&self, name: &str) -> Option<&str> {
        self.text_of(name).map(str::trim).filter(|word| !word.is_empty())
    }

    /// A truth value; `None` where there is none.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, String> {
        let Some(word) = self.word(name) else { return Ok(None) };
        let is_one_of = |words: [&str; 4]| words.iter().any(|each| each.eq_ignore_ascii_case(word));
        if is_one_of(["true", "1", "yes", "t"]) {
            Ok(Some(true))
        } else if is_one_of(["false", "0", "no", "f"]) {
            Ok(Some(false))
        } else {
            Err(format!("its {name} is '{word}', which is neither true nor false"))
        }
    }

    /// Whether it reports an error.
    pub(super) fn is_error(&self) -> bool {
        self.name == "Error"
    }

    /// The code of an error; some servers put the error into an envelope.
    pub(super) fn error_as_s3_writes_it(&self) -> Option<String> {
        let error = if self.is_error() { self } else { self.children.iter().find(|child| child.is_error())? };
        let part = |name| error.word(name).map(|word| format!("<{name}>{}</{name}>", escape(word))).unwrap_or_default();
        Some(format!("<Error>{}{}</Error>", part("Code"), part("Message")))
    }
}

/// Adds text to the element that is open. White space between elements stays with their parent and is not asked for.
fn append(event: &Event<'_>, open: Option<&mut Element>) -> Result<(), String> {
    let is_blank = |text: &[u8]| text.iter().all(u8::is_ascii_whitespace);
    let text = match event {
        Event::Text(text) if open.is_none() && !is_blank(text) => return Err("there is text around it".to_owned()),
        Event::Text(text) => text.xml10_content().map_err(|error| error.to_string())?.into_owned(),
        Event::CData(text) => text.decode().map_err(|error| error.to_string())?.into_owned(),
        Event::GeneralRef(reference) => resolve(reference)?,
        Event::Empty(_) => return Err("there is more than one document in it".to_owned()),
        _ => return Ok(()), // declarations and comments
    };
    if let Some(open) = open {
        open.text.push_str(&text);
    }
    Ok(())
}

fn resolve(reference: &BytesRef<'_>) -> Result<String, String> {
    if let Some(letter) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(letter.to_string());
    }
    let name = reference.decode().map_err(|error| error.to_string())?;
    resolve_xml_entity(&name).map(str::to_owned).ok_or_else(|| format!("it has the unknown entity &{name};"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(document: &str) -> Vec<String> {
        let root = Element::parse(document.as_bytes()).unwrap();
        root.all("Contents").map(|row| row.text_of("Key").unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn text_is_read_however_it_is_written() {
        let document = "\u{feff}\n<?xml version='1.0'?><!-- c --><s3:R xmlns:s3='x'>\n <s3:Contents><Key>a&amp;b&#x20;&#252;</Key></s3:Contents>
            <Contents><Key><![CDATA[<c>]]>d<!-- e --><![CDATA[ f]]></Key></Contents><Contents><Key> g </Key></Contents><Contents/></s3:R>\n";
        assert_eq!(keys(document), ["a&b ü", "<c>d f", " g ", ""]);
    }

    #[test]
    fn what_is_no_whole_document_is_an_error() {
        let broken = [
            "",
            " ",
            "<a>",
            "<a><b></a>",
            "<a/><b/>",
            "<a></a>x",
            "x",
            "<a>&nope;</a>",
            "<a/>&amp;x<b>",
            "</a>",
            "<a b",
            "<html><br></html>",
        ];
        for document in broken {
            assert!(Element::parse(document.as_bytes()).is_err(), "{document:?}");
        }
        assert!(Element::parse(b"<a>\xff</a>").is_err());
        assert!(Element::parse("<a>".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn truth_has_several_words() {
        let flag = |word: &str| Element::parse(format!("<a><b>{word}</b></a>").as_bytes()).unwrap().flag("b");
        for word in ["true", "True", "TRUE", " true\n", "1", "yes", "<![CDATA[true]]>"] {
            assert_eq!(flag(word), Ok(Some(true)), "{word}");
        }
        for word in ["false", "False", "0", " no "] {
            assert_eq!(flag(word), Ok(Some(false)), "{word}");
        }
        assert_eq!((flag(""), flag(" ")), (Ok(None), Ok(None)));
        assert!(flag("maybe").unwrap_err().contains("maybe"));
    }

    #[test]
    fn errors_are_written_as_s3_writes_them() {
        let error = |document: &str| Element::parse(document.as_bytes()).unwrap().error_as_s3_writes_it();
        let plain = "<Error><Code>SlowDown</Code><Message>a &lt; b</Message></Error>";
        assert_eq!(
            error("<Error>\n<Code> <![CDATA[SlowDown]]> </Code><Message>a &lt; b</Message></Error>").as_deref(),
            Some(plain)
        );
        assert_eq!(error("<ErrorResponse><Error><Code>SlowDown</Code><Message><![CDATA[a < b]]></Message></Error></ErrorResponse>").as_deref(), Some(plain));
        assert_eq!(error("<ListBucketResult/>"), None);
    }
}
