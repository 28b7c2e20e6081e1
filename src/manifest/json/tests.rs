//! What the reader takes and refuses.

use super::*;

fn skip(text: &str) -> Result<(), SyntaxError> {
    let mut reader = Reader::new(text.as_bytes());
    reader.skip_value()?;
    reader.finish()
}

#[test]
fn takes_what_python_takes() {
    for text in
        ["{}", " [ ] ", "[1,-0,1.5e+3,NaN,-Infinity,Infinity]", r#"{"a":{"b":[null,true,false,"\ud800"]},"a":1}"#]
    {
        assert_eq!(skip(text), Ok(()), "{text}");
    }
}

#[test]
fn refuses_what_python_refuses_with_its_words() {
    for (text, message, offset) in [
        ("", "Expecting value", 0),
        ("{\"a\" 1}", "Expecting ':' delimiter", 5),
        ("{\"a\":1 \"b\"}", "Expecting ',' delimiter", 7),
        ("{a}", "Expecting property name enclosed in double quotes", 1),
        ("[1,]", "Expecting value", 3),
        ("01", "Extra data", 1),
        ("1.", "Extra data", 1),
        ("\"a", "Unterminated string starting at", 0),
        ("\"\n\"", "Invalid control character at", 1),
        ("\"\\x\"", "Invalid \\escape: ", 1),
        ("\"\\u12g4\"", "Invalid \\uXXXX escape", 2),
        ("{} x", "Extra data", 3),
    ] {
        assert_eq!(skip(text), Err(SyntaxError { message, offset }), "{text}");
    }
}

#[test]
fn depth_is_bounded_and_costs_no_stack() {
    assert_eq!(skip(&format!("{}{}", "[".repeat(MAXIMUM_DEPTH), "]".repeat(MAXIMUM_DEPTH))), Ok(()));
    let error = skip(&"[".repeat(100_000)).unwrap_err();
    assert_eq!(error.message, TOO_DEEP);
}

#[test]
fn integers_reach_both_ends() {
    let number = |text: &str| Reader::new(text.as_bytes()).number().unwrap();
    assert_eq!(number("9223372036854775807"), Number::Integer(i64::MAX));
    assert_eq!(number("-9223372036854775808"), Number::Integer(i64::MIN));
    assert_eq!(number("9223372036854775808"), Number::Huge);
    assert_eq!(number("1e3"), Number::Float);
    assert_eq!(number("true"), Number::Integer(1));
}

#[test]
fn strings_are_unescaped_and_surrogates_joined() {
    let string = |text: &str| Reader::new(text.as_bytes()).string().unwrap().into_owned();
    assert_eq!(string(r#""a\/\u0041\n""#), b"a/A\n");
    assert_eq!(string(r#""\ud83d\ude00""#), "\u{1F600}".as_bytes());
    assert_eq!(string(r#""\udcff""#), b"\xed\xb3\xbf");
    assert_eq!(string(r#""\ud83d\ud83d\ude00""#), b"\xed\xa0\xbd\xf0\x9f\x98\x80");
}

#[test]
fn words_of_eight_bytes_are_seen_through() {
    for at in 0..16 {
        for special in [b'"', b'\\', 0, 0x1F, b'\n'] {
            let mut text = [b'~'; 16];
            text[at] = special;
            let words = text.chunks_exact(8).map(|word| has_special(u64::from_le_bytes(word.try_into().unwrap())));
            assert_eq!(words.collect::<Vec<_>>(), [at < 8, at >= 8], "{special} at {at}");
        }
    }
    for plain in [b' ', b'!', b'#', b'[', b']', 0x7F, 0x80, 0xDC, 0xA2, 0xFF] {
        assert!(!has_special(u64::from_le_bytes([plain; 8])), "{plain}");
    }
}

#[test]
fn entries_in_canonical_spelling_are_read_at_once() {
    let entry = |text: &str| {
        let text = text.replace('H', "99aa06d3014798d86001c324468d497f");
        Reader::new(text.as_bytes()).canonical_entry().map(|entry| (entry.path.to_vec(), entry.mtime, entry.size))
    };
    let read = |path: &str, mtime, size| Some((path.as_bytes().to_vec(), mtime, size));
    assert_eq!(entry(r#"{"hash":"H","mtime":17,"path":"a/b","size":0}"#), read("a/b", 17, 0));
    assert_eq!(
        entry(r#"{"hash":"H","mtime":-17,"path":"é","size":999999999999999999}"#),
        read("é", -17, 999_999_999_999_999_999)
    );
    for other in [
        r#"{"hash":"H","mtime":01,"path":"a","size":0}"#,
        r#"{"hash":"H","mtime":1.0,"path":"a","size":0}"#,
        r#"{"hash":"H","mtime":1,"path":"a\n","size":0}"#,
        r#"{"hash":"H","mtime":1,"path":"a","size":1000000000000000000}"#,
        r#"{"hash":"H","mtime":1,"path":"a","size":}"#,
        r#"{"hash":"H","mtime":1,"path":"a","size":0"#,
        r#"{"hash":"HH","mtime":1,"path":"a","size":0}"#,
        r#"{"hash":"h","mtime":1,"path":"a","size":0}"#,
    ] {
        assert_eq!(entry(other), None, "{other}");
    }
}

#[test]
fn errors_are_located_in_characters() {
    let text = "{\n \"é\": x}";
    let error = skip(text).unwrap_err().locate(text.as_bytes());
    assert_eq!(error.to_string(), "Expecting value: line 2 column 7 (char 8)");
}
