//! A scanner for the paths of Rust code. It knows comments, literals, `use` trees, items under `cfg(test)` and inline
//! modules; it does not know macros, types or scopes, which the rules of the layers don't need.

/// One token: a word, `::`, or any other character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    Word(String),
    PathSeparator,
    Other(char),
}

impl Token {
    fn word(&self) -> Option<&str> {
        if let Self::Word(word) = self { Some(word) } else { None }
    }

    fn is(&self, character: char) -> bool {
        *self == Self::Other(character)
    }
}

/// A path as it is written, in the module that it is written in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// How many inline modules of the file surround it.
    pub inline_depth: usize,
    pub segments: Vec<String>,
    /// The path stands in a `use` with a visibility, which only passes the name on.
    pub is_reexport: bool,
}

/// What a file says.
#[derive(Debug, Default)]
pub struct Scan {
    pub paths: Vec<Path>,
    /// Names that `use` brings in, with what they stand for. A glob has the name `*`.
    pub imports: Vec<(String, Path)>,
    /// Names of items that the file defines.
    pub defined: Vec<String>,
    /// Modules that are declared for tests only.
    pub test_modules: Vec<String>,
    /// Lines' worth of parameters that are tuples of more than one element: `name: (A, B)`.
    pub tuple_parameters: Vec<String>,
}

const ITEMS: &[&str] = &["fn", "struct", "enum", "trait", "type", "const", "static", "union", "macro_rules"];

pub fn scan(text: &str) -> Scan {
    let (tokens, test_modules) = without_tests(&tokens(text));
    let mut scan = Scan { test_modules, ..Scan::default() };
    // Depths of braces at which inline modules were opened.
    let mut inline = Vec::new();
    let mut depth = 0;
    let mut at = 0;
    while at < tokens.len() {
        let token = &tokens[at];
        if token.is('{') {
            depth += 1;
        } else if token.is('}') {
            depth -= 1;
            if inline.last() == Some(&depth) {
                inline.pop();
            }
        }
        match token.word() {
            Some("use") => {
                at = scan_use(&tokens, at, inline.len(), &mut scan);
                continue;
            }
            Some("mod") if tokens.get(at + 2).is_some_and(|next| next.is('{')) => inline.push(depth),
            // `pub(in some::path)` says who may see an item, and uses nothing.
            Some("pub") if tokens.get(at + 1).is_some_and(|next| next.is('(')) => {
                at += 1 + closing(&tokens[at + 1..]);
                continue;
            }
            Some("fn") => scan.tuple_parameters.extend(tuple_parameters(&tokens[at..])),
            _ => {}
        }
        if let Some(word) = token.word() {
            if ITEMS.contains(&word) {
                let name = tokens[at + 1..].iter().take(2).find_map(Token::word);
                scan.defined.extend(name.map(ToOwned::to_owned));
            }
            let end = end_of_path(&tokens, at);
            if end > at + 1 {
                let segments = tokens[at..end].iter().filter_map(Token::word).map(ToOwned::to_owned).collect();
                scan.paths.push(Path { inline_depth: inline.len(), segments, is_reexport: false });
            }
            at = end;
        } else {
            at += 1;
        }
    }
    scan
}

/// Where the path that begins at a word ends: one beyond its last word.
fn end_of_path(tokens: &[Token], start: usize) -> usize {
    let mut end = start + 1;
    while tokens.get(end) == Some(&Token::PathSeparator) && tokens.get(end + 1).is_some_and(|t| t.word().is_some()) {
        end += 2;
    }
    end
}

/// Takes a `use` in, and gives the place after its semicolon.
fn scan_use(tokens: &[Token], start: usize, inline_depth: usize, scan: &mut Scan) -> usize {
    let end = start + tokens[start..].iter().position(|token| token.is(';')).unwrap_or(tokens.len() - start);
    let before = start.checked_sub(1).map(|at| &tokens[at]);
    let is_reexport = before.is_some_and(|token| token.word() == Some("pub") || token.is(')'));
    let mut leaves = Vec::new();
    use_leaves(&tokens[start + 1..end], &[], &mut leaves);
    for (name, segments) in leaves {
        let path = Path { inline_depth, segments, is_reexport };
        scan.imports.push((name, path.clone()));
        scan.paths.push(path);
    }
    end
}

/// The paths of a `use` tree, each with the name that it gets. Of `a::{self}` the path is `a`, and of `a::*` it is `a`.
fn use_leaves(tree: &[Token], prefix: &[String], leaves: &mut Vec<(String, Vec<String>)>) {
    let mut segments = prefix.to_vec();
    let mut name = None;
    let mut at = 0;
    while at < tree.len() {
        match &tree[at] {
            Token::Word(word) if word == "as" => {
                name = tree.get(at + 1).and_then(Token::word).map(ToOwned::to_owned);
                at += 1;
            }
            Token::Word(word) if word == "self" && !segments.is_empty() => {}
            Token::Word(word) => segments.push(word.clone()),
            Token::Other('*') => name = Some("*".to_owned()),
            Token::Other('{') => {
                let end = at + closing(&tree[at..]);
                for branch in branches(&tree[at + 1..end]) {
                    use_leaves(branch, &segments, leaves);
                }
                return;
            }
            _ => {}
        }
        at += 1;
    }
    if let Some(last) = segments.last() {
        leaves.push((name.unwrap_or_else(|| last.clone()), segments));
    }
}

/// The parts of a list that commas outside its brackets divide.
fn branches(list: &[Token]) -> Vec<&[Token]> {
    let mut found = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, token) in list.iter().enumerate() {
        match token {
            Token::Other('{' | '(' | '[' | '<') => depth += 1,
            Token::Other('>') if at > 0 && list[at - 1].is('-') => {}
            Token::Other('}' | ')' | ']' | '>') => depth -= 1,
            Token::Other(',') if depth == 0 => {
                found.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&list[start..]);
    found.retain(|part| !part.is_empty());
    found
}

/// Parameters of the function at the start of the tokens whose type is a tuple of more than one element.
fn tuple_parameters(function: &[Token]) -> Vec<String> {
    let Some(name) = function.get(1).and_then(Token::word) else { return Vec::new() };
    let Some(open) = opening_of_parameters(function) else { return Vec::new() };
    let parameters = &function[open + 1..open + closing(&function[open..])];
    let is_tuple = |parameter: &&[Token]| {
        let Some(colon) = parameter.iter().position(|token| token.is(':')) else { return false };
        let mut kind = &parameter[colon + 1..];
        loop {
            match kind {
                [Token::Other('&'), rest @ ..] | [Token::Other('\''), Token::Word(_), rest @ ..] => kind = rest,
                [Token::Word(word), rest @ ..] if word == "mut" => kind = rest,
                [Token::Word(word), Token::Other('<'), rest @ ..] if word == "Option" => kind = rest,
                _ => break,
            }
        }
        kind.first().is_some_and(|token| token.is('(')) && branches(&kind[1..closing(kind)]).len() > 1
    };
    let parameters = branches(parameters);
    let named = |parameter: &[Token]| parameter.iter().find_map(Token::word).unwrap_or("(…)").to_owned();
    parameters.into_iter().filter(is_tuple).map(|parameter| format!("{name}({})", named(parameter))).collect()
}

/// Where the parameters of a function begin, after its generics.
fn opening_of_parameters(function: &[Token]) -> Option<usize> {
    let mut depth = 0;
    for (at, token) in function.iter().enumerate().skip(2) {
        match token {
            Token::Other('<') => depth += 1,
            Token::Other('>') if !function[at - 1].is('-') => depth -= 1,
            Token::Other('(') if depth == 0 => return Some(at),
            Token::Other('{' | ';') if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Where the bracket that the tokens begin with is closed.
fn closing(tokens: &[Token]) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Other('{' | '(' | '[') => depth += 1,
            Token::Other('}' | ')' | ']') => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    tokens.len() - 1
}

/// The tokens without items under `cfg(test)`, and the names of the modules among those items.
fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    let mut kept = Vec::new();
    let mut modules = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_attribute = tokens[at].is('#') && tokens.get(at + 1).is_some_and(|next| next.is('['));
        if !is_attribute {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let end = at + 1 + closing(&tokens[at + 1..]) + 1;
        let words: Vec<&str> = tokens[at..end].iter().filter_map(Token::word).collect();
        if words.first() == Some(&"cfg") && words.contains(&"test") && !words.contains(&"not") {
            let length = length_of_item(&tokens[end..]);
            let item = &tokens[end..end + length];
            if let Some(declared) = item.iter().position(|token| token.word() == Some("mod")) {
                modules.extend(item.get(declared + 1).and_then(Token::word).map(ToOwned::to_owned));
            }
            at = end + length;
        } else {
            kept.extend_from_slice(&tokens[at..end]);
            at = end;
        }
    }
    (kept, modules)
}

/// How many tokens the item at the start has: up to its semicolon, or the end of its braces.
fn length_of_item(tokens: &[Token]) -> usize {
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at] {
            Token::Other('(' | '[') => at += closing(&tokens[at..]),
            Token::Other('{') => {
                at += closing(&tokens[at..]) + 1;
                // A `use` with braces has its semicolon yet to come.
                return if tokens.get(at).is_some_and(|next| next.is(';')) { at + 1 } else { at };
            }
            Token::Other(';' | ',') => return at + 1,
            _ => {}
        }
        at += 1;
    }
    at
}

/// The tokens of a text. Comments and the contents of literals are left out.
fn tokens(text: &str) -> Vec<Token> {
    let characters: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        let rest = &characters[at..];
        at += match rest {
            ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => length_of_comment(rest),
            ['"', ..] => length_of_string(rest),
            ['\'', ..] => {
                let length = length_of_character(rest);
                if length == 1 {
                    found.push(Token::Other('\''));
                }
                length
            }
            [':', ':', ..] => {
                found.push(Token::PathSeparator);
                2
            }
            [first, ..] if first.is_alphanumeric() || *first == '_' => {
                let length = rest.iter().position(|c| !c.is_alphanumeric() && *c != '_').unwrap_or(rest.len());
                let word: String = rest[..length].iter().collect();
                let is_prefix = matches!(word.as_str(), "r" | "b" | "br" | "c" | "cr");
                match (is_prefix, rest.get(length)) {
                    (true, Some('#' | '"')) if length_of_raw_string(&rest[length..]).is_some() => {
                        let is_raw = word.contains('r');
                        let after = &rest[length..];
                        let raw = length_of_raw_string(after).unwrap_or(after.len());
                        length + if is_raw { raw } else { length_of_string(after) }
                    }
                    // `r#type` is the word `type`.
                    (true, Some('#')) => length + 1,
                    _ => {
                        found.push(Token::Word(word));
                        length
                    }
                }
            }
            [other, ..] => {
                if !other.is_whitespace() {
                    found.push(Token::Other(*other));
                }
                1
            }
            [] => break,
        };
    }
    found
}

fn length_of_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn length_of_string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The length of `#"…"#` or `"…"` without escapes; `None` if it is no string.
fn length_of_raw_string(rest: &[char]) -> Option<usize> {
    let hashes = rest.iter().take_while(|c| **c == '#').count();
    if rest.get(hashes) != Some(&'"') {
        return None;
    }
    let ends = |at: &usize| rest[*at] == '"' && rest[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
    Some((hashes + 1..rest.len()).find(ends).map_or(rest.len(), |at| at + 1 + hashes))
}

/// The length of a character literal; 1 for the quote of a lifetime.
fn length_of_character(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', ..] => 3 + rest[3..].iter().position(|c| *c == '\'').unwrap_or(0) + usize::from(rest.len() > 3),
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        scan(text).paths.iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn paths_of_use_trees_and_of_code_are_found() {
        assert_eq!(
            paths("use crate::{fs::open, hash::{self, Hasher as H}, x::*};"),
            ["crate::fs::open", "crate::hash", "crate::hash::Hasher", "crate::x",]
        );
        assert_eq!(
            paths("fn f() { super::a::b(1); let x: self::c::D<e::F> = g(); }"),
            ["super::a::b", "self::c::D", "e::F"]
        );
        assert_eq!(
            paths("pub(in x::y) struct A; pub(crate) use a::b;\nfn g() -> std::fs::File {}"),
            ["a::b", "std::fs::File"]
        );
    }

    #[test]
    fn comments_literals_and_tests_are_left_out() {
        let text = r##"
            // a::b
            /* a::b /* a::c */ a::d */
            const TEXT: &str = "a::b \" a::c"; const RAW: &str = r#"a::b " a::c"#; const QUOTE: char = '"'; const T: char = '\'';
            fn f<'a>(x: &'a b::C) {}
            #[cfg(test)]
            use a::{b, c};
            #[cfg(all(test, unix))]
            mod tests { use a::b; fn f() { a::c() } }
            #[cfg(not(test))]
            fn g() { d::e() }
        "##;
        assert_eq!(paths(text), ["b::C", "d::e"]);
        assert_eq!(scan(text).test_modules, ["tests"]);
    }

    #[test]
    fn inline_modules_and_reexports_are_known() {
        let scan = scan("mod a { mod b { use super::super::c; } } pub use d::E; use f::G; fn h() {}");
        let found: Vec<_> = scan.paths.iter().map(|path| (path.inline_depth, path.is_reexport)).collect();
        assert_eq!(found, [(2, false), (0, true), (0, false)]);
        assert_eq!(scan.imports.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["c", "E", "G"]);
        assert_eq!(scan.defined, ["h"]);
    }

    #[test]
    fn tuple_parameters_are_found() {
        let text = "
            fn a(x: (A, B), y: &(C<D, E>, F), z: Option<(G, H)>, &'a mut (I, J): &'a mut (I, J)) {}
            fn b<T: Fn(A, B) -> C>(&self, one: (A,), none: (), list: Vec<(A, B)>, work: impl Fn((A, B)) -> (C, D)) -> (E, F);
            fn c((x, y): (A, B)) {}
        ";
        assert_eq!(scan(text).tuple_parameters, ["a(x)", "a(y)", "a(z)", "a(a)", "c(x)"]);
    }
}
