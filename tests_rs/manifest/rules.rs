//! What is refused, with which words; and hostile input (F20).

use rusty_attachments::manifest::v2025::LONGEST_PATH_BYTES;
use rusty_attachments::manifest::{check_strictly, decode, encode};

fn error(text: &[u8]) -> String {
    decode(text).unwrap_err().to_string()
}

fn v2025(directories: &str, files: &str) -> String {
    document(directories, files, "")
}

fn diff(directories: &str, files: &str) -> String {
    document(directories, files, r#""parentManifestHash":"a1","#)
}

fn document(directories: &str, files: &str, more: &str) -> String {
    format!(
        r#"{{"dirs":[{directories}],"files":[{files}],"hashAlg":"xxh128","manifestVersion":"2025-12-04-beta",{more}"totalSize":0}}"#
    )
}

fn v2023(paths: &str, total: &str) -> String {
    format!(r#"{{"hashAlg":"xxh128","manifestVersion":"2023-03-03","paths":[{paths}],"totalSize":{total}}}"#)
}

fn entry(path: &str, size: &str) -> String {
    format!(r#"{{"hash":"a","mtime":1,"path":"{path}","size":{size}}}"#)
}

#[test]
fn each_rule_of_v2025_names_entry_and_field() {
    let file = |fields: &str| v2025("", &format!("{{\"name\":\"a\",{fields}}}"));
    let cases = [
        (file(r#""size":1,"mtime":1"#), r#"files[0] ("a"): must have one of hash, chunkhashes, symlink or delete"#),
        (
            file(r#""hash":"1","symlink":{"name":"b"}"#),
            r#"files[0] ("a"): must have only one of hash, chunkhashes and symlink"#,
        ),
        (file(r#""hash":"1","mtime":1"#), r#"files[0] ("a"): size is missing"#),
        (file(r#""hash":"1","size":-1,"mtime":1"#), r#"files[0] ("a"): size is negative"#),
        (file(r#""hash":"1","size":1.5,"mtime":1"#), r#"files[0] ("a"): size must be an integer"#),
        (
            file(r#""hash":"1","size":18446744073709551616,"mtime":1"#),
            r#"files[0] ("a"): size is beyond a signed 64-bit integer"#,
        ),
        (file(r#""hash":"1","size":1"#), r#"files[0] ("a"): mtime is missing"#),
        (file(r#""hash":"a-b","size":1,"mtime":1"#), r#"files[0] ("a"): hash "a-b" is not alphanumeric"#),
        (file(r#""hash":1,"size":1,"mtime":1"#), r#"files[0] ("a"): hash must be a string"#),
        (
            file(r#""chunkhashes":["1"],"size":5,"mtime":1"#),
            r#"files[0] ("a"): chunkhashes are for files of more than 268435456 bytes, size is 5"#,
        ),
        (
            file(r#""chunkhashes":["1"],"size":268435457,"mtime":1"#),
            r#"files[0] ("a"): chunkhashes must have 2 items for size 268435457, not 1"#,
        ),
        (
            file(r#""chunkhashes":["1",2],"size":268435457,"mtime":1"#),
            r#"files[0] ("a"): chunkhashes must be a list of strings"#,
        ),
        (file(r#""symlink":"b""#), r#"files[0] ("a"): symlink must be an object with a string name"#),
        (
            file(r#""symlink":{"name":"b"},"size":1"#),
            r#"files[0] ("a"): a symlink must not have size, mtime or runnable"#,
        ),
        (file(r#""symlink":{"name":"../b"}"#), r#"files[0] ("a"): symlink "../b" has a '..' component"#),
        (file(r#""symlink":{"name":"C:b"}"#), r#"files[0] ("a"): symlink "C:b" names a drive"#),
        (file(r#""symlink":{"name":"\\\\host\\x"}"#), r#"files[0] ("a"): symlink "\\\\host\\x" is a UNC path"#),
        (file(r#""delete":true"#), r#"files[0] ("a"): delete is for diff manifests, which have a parentManifestHash"#),
        (file(r#""delete":1"#), r#"files[0] ("a"): delete must be true or false"#),
        (
            file(r#""hash":"1","size":1,"mtime":1,"runnable":"yes""#),
            r#"files[0] ("a"): runnable must be true or false"#,
        ),
        (diff("", r#"{"name":"a","delete":true,"size":1}"#), r#"files[0] ("a"): a deleted file must not have size"#),
        (v2025("", "1"), "files[0] must be an object"),
        (v2025("", "{}"), "files[0]: name is missing"),
        (v2025("", r#"{"name":7}"#), "files[0]: name must be a string"),
        (v2025(r#"{"name":""}"#, ""), r#"dirs[0] (""): name is empty"#),
        (v2025(r#"{"name":"/a"}"#, ""), r#"dirs[0] ("/a"): name is absolute"#),
        (v2025(r#"{"name":"a/./b"}"#, ""), r#"dirs[0] ("a/./b"): name has a '.' component"#),
        (v2025(r#"{"name":"a//b"}"#, ""), r#"dirs[0] ("a//b"): name has an empty component"#),
        (v2025(r#"{"name":"a\u0000"}"#, ""), "dirs[0] (\"a\\0\"): name holds a NUL character"),
        (v2025(r#"{"name":"a","hash":"1"}"#, ""), r#"dirs[0] ("a"): a directory must not have hash"#),
        (
            v2025(r#"{"name":"$0/a"}"#, ""),
            r#"dirs[0] ("$0/a"): name "$0/a" refers to no directory among the 0 before it"#,
        ),
        (v2025(r#"{"name":"a"},{"name":"a"}"#, ""), r#"dirs has "a" more than once"#),
        (v2025(r#"{"name":"a"}"#, r#"{"name":"a","hash":"1","size":0,"mtime":0}"#), r#""a" is in files and in dirs"#),
        (diff("", r#"{"name":"a","delete":true},{"name":"a","delete":true}"#), r#"files has "a" more than once"#),
        (document("", "", r#""parentManifestHash":null,"#), "parentManifestHash must be an alphanumeric string"),
        (
            r#"{"manifestVersion":"2025-12-04-beta"}"#.to_owned(),
            "manifest is missing required field(s) ['dirs', 'files', 'hashAlg', 'totalSize']",
        ),
    ];
    for (text, wanted) in cases {
        assert_eq!(error(text.as_bytes()), wanted, "{text}");
    }
}

#[test]
fn a_deleted_directory_may_become_a_file() {
    let text = diff(r#"{"delete":true,"name":"a"}"#, r#"{"hash":"1","mtime":0,"name":"a","size":0}"#);
    let manifest = decode(text.as_bytes()).unwrap();
    assert_eq!(encode(&manifest).unwrap(), text);
}

#[test]
fn references_do_not_unfold_without_bound() {
    // Each directory refers to the one before it: paths grow by the square.
    let long = "x".repeat(200);
    let chain: Vec<_> = (0..1000)
        .map(|number: usize| match number.checked_sub(1) {
            None => format!(r#"{{"name":"{long}"}}"#),
            Some(before) => format!(r#"{{"name":"${before}/{long}"}}"#),
        })
        .collect();
    assert!(error(v2025(&chain.join(","), "").as_bytes()).contains("is longer than 32767 bytes"));
    // One long directory, and very many short names below it.
    let deep = vec!["d".repeat(200); LONGEST_PATH_BYTES / 201 - 1].join("/");
    let files: Vec<_> =
        (0..10_000).map(|number| format!(r#"{{"name":"$0/{number}","symlink":{{"name":"x"}}}}"#)).collect();
    let text = v2025(&format!(r#"{{"name":"{deep}"}}"#), &files.join(","));
    assert!(error(text.as_bytes()).contains("unfold to more than 64 times the document"));
}

#[test]
fn hostile_json_is_refused_in_bounded_memory() {
    assert_eq!(error("[".repeat(100_000).as_bytes()), "manifest is nested deeper than 1000 levels");
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let text = format!("{{\"other\":{deep},{}", &v2023(&entry("a", "1"), "1")[1..]);
    assert_eq!(error(text.as_bytes()), "manifest is nested deeper than 1000 levels");
    assert!(error(b"{}{}").starts_with("Extra data: line 1 column 3"));
    assert!(error("\u{feff}{}".as_bytes()).starts_with("Unexpected UTF-8 BOM"));
    assert_eq!(error(b"{\"a\":\"\xff\"}"), "manifest is not valid UTF-8 at byte 6");
    assert_eq!(
        error(&vec![b' '; 1 << 24]),
        format!("Expecting value: line 1 column {} (char {})", (1 << 24) + 1, 1 << 24)
    );
    assert_eq!(error(&vec![0; 1 << 20]), "Expecting value: line 1 column 1 (char 0)");
    assert_eq!(error(b"[]"), "manifest must be a JSON object");
}

#[test]
fn what_the_reference_takes_is_taken_where_it_can_be_held() {
    let accepted = [
        v2023(&entry("a", "true"), "1"),
        v2023(&entry("a", "-5"), "-17"),
        v2023(&[entry("a", "1"), entry("a", "2")].join(","), "3"),
        v2023(&[entry("a", "1"), entry("a/b", "2")].join(","), "3"),
        v2023(&entry("../../etc/passwd", "1"), "1"),
        v2023(&entry("\\ud800\\udcff", "1"), "1"),
        v2023(&entry("a", "300000000000000000"), "1"),
        v2023(&[entry("A", "1"), entry("a", "1"), entry("e\\u0301", "1"), entry("\\u00e9", "1")].join(","), "4"),
        v2023(r#"{"hash":"b","hash":"a","mtime":1,"path":"a","size":1,"x":NaN}"#, "1"),
    ];
    for text in accepted {
        let manifest = decode(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
        decode(encode(&manifest).unwrap().as_bytes()).unwrap();
    }
    for number in ["18446744073709551616", "9223372036854775808", "-9223372036854775809"] {
        assert_eq!(
            error(v2023(&entry("a", number), "1").as_bytes()),
            "size of path a is beyond a signed 64-bit integer"
        );
        assert_eq!(error(v2023(&entry("a", "1"), number).as_bytes()), "totalSize is beyond a signed 64-bit integer");
    }
    assert_eq!(error(v2023(&entry("a", "NaN"), "1").as_bytes()), "size must be an integer");
}

#[test]
fn of_keys_given_twice_the_last_counts() {
    let text = v2023(&entry("a", "1"), "1").replacen('{', &format!("{{\"paths\":[{}],", entry("b", "2")), 1);
    let manifest = decode(text.as_bytes()).unwrap();
    assert_eq!(manifest.files.path(0).as_bytes(), b"a");
    assert_eq!(manifest.files.len(), 1);
}

#[test]
fn strict_mode_refuses_what_can_surprise() {
    let cases = [
        (v2023(&[entry("a", "1"), entry("a", "2")].join(","), "3"), "path a is there more than once"),
        (
            v2023(&[entry("a/b", "1"), entry("a-", "1"), entry("a", "2")].join(","), "4"),
            "path a is both a file and a directory",
        ),
        (v2023(&entry("a", "-1"), "-1"), "size of path a is negative"),
        (v2023(&entry("a", "1"), "2"), "totalSize is 2, but the sizes add up to 1"),
        (
            v2023(&entry("../a", "1"), "1"),
            "The provided path is not under the root directory: ../a (the path has a '..' component)",
        ),
        (v2023(&entry("/a", "1"), "1"), "The provided path is not under the root directory: /a (the path is absolute)"),
        (v2023(&entry("", "1"), "1"), "The provided path is not under the root directory:  (the path is empty)"),
        (v2023(&entry("a//b", "1"), "1"), "path a//b is not normalised"),
        (v2023(&entry("./a", "1"), "1"), "path ./a is not normalised"),
    ];
    for (text, wanted) in cases {
        let manifest = decode(text.as_bytes()).unwrap();
        assert_eq!(check_strictly(&manifest).unwrap_err().to_string(), wanted, "{text}");
    }
    let fine = v2023(&[entry("a/b", "1"), entry("a-", "1"), entry("a/c/d", "2"), entry("ab", "0")].join(","), "4");
    check_strictly(&decode(fine.as_bytes()).unwrap()).unwrap();
}
