//! The programs: how they are called, what they print, when they end.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

const RIG: &str = env!("CARGO_BIN_EXE_s3_rig");
const STRICT: &str = env!("CARGO_BIN_EXE_s3_fs");

/// Runs a program in an empty folder, and checks that the folder is still empty.
fn run(program: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(program).args(arguments).current_dir(&folder).stdin(Stdio::null()).output().unwrap();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "{program} {arguments:?} left a file");
    output
}

#[test]
fn help_is_printed() {
    for (name, program) in [("s3_rig", RIG), ("s3_fs", STRICT)] {
        for option in ["--help", "-h"] {
            let output = run(program, &[option]);
            assert!(output.status.success(), "{name} {option}");
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.starts_with(&format!("Usage: {name} ")), "{text}");
        }
    }
}

#[test]
fn wrong_arguments_are_refused_with_the_usage() {
    let cases: [(&str, &[&str], &str); 9] = [
        (RIG, &["--nothing"], "unknown argument --nothing"),
        (RIG, &["folder"], "unknown argument folder"),
        (RIG, &["--port"], "--port needs a value"),
        (RIG, &["--port", "65536"], "--port 65536: "),
        (RIG, &["--xxhash128", "yes"], "--xxhash128 takes accept, reject or ignore, not yes"),
        (STRICT, &[], "FOLDER is missing"),
        (STRICT, &["--nothing"], "unknown option --nothing"),
        (STRICT, &["folder", "port"], "PORT port: "),
        (STRICT, &["folder", "0", "more"], "unexpected argument more"),
    ];
    for (program, arguments, message) in cases {
        let output = run(program, arguments);
        assert_eq!(output.status.code(), Some(2), "{program} {arguments:?}");
        assert!(output.stdout.is_empty(), "{program} {arguments:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(message) && text.contains("\nUsage: "), "{text}");
    }
}

#[test]
fn a_server_ends_with_its_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("new");
    for (program, arguments) in [(RIG, vec![]), (STRICT, vec![data.as_os_str()])] {
        let mut command = Command::new(program);
        let mut server = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(address.starts_with("http://127.0.0.1:"), "{address}");
        drop(server.stdin.take());
        assert!(server.wait().unwrap().success(), "{program}");
    }
}
