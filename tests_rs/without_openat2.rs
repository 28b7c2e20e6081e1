//! The suites about paths, containment and links once more, in a process where the kernel refuses `openat2`: as kernels
//! before 5.6 do (`ENOSYS`), and sandboxes (`EPERM`).
#![cfg(target_os = "linux")]

use std::process::Command;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// The number of the call on every machine.
const OPENAT2: i64 = 437;
/// Says which error the call is refused with.
const VARIABLE: &str = "TESTS_REFUSE_OPENAT2";
const SUITES: [&str; 9] = [
    // Takes many files, and has nothing to do with links.
    "--skip=a_failure_among_many_files",
    "tests_rs::download::conflicts",
    "tests_rs::download::containment",
    "tests_rs::download::roots",
    "tests_rs::download::v2025",
    "tests_rs::fuzzing::no_path",
    "tests_rs::links::",
    "tests_rs::local_hashing::",
    "tests_rs::round_trip::",
];

/// A filter outlives `exec`, so that what is started from a thread that has it has it too.
fn run_tests_without_openat2(error: i32, tests: &[&str], at_least: usize) {
    let answer = SeccompAction::Errno(error.unsigned_abs());
    let machine = std::env::consts::ARCH.try_into().unwrap();
    let rules = [(OPENAT2, Vec::new())].into_iter().collect();
    let filter: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, answer, machine).unwrap().try_into().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(tests).env(VARIABLE, error.to_string());
    let ended = std::thread::spawn(move || {
        seccompiler::apply_filter(&filter).unwrap();
        command.output().unwrap()
    });
    let ended = ended.join().unwrap();
    let output = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{output}\n{}", String::from_utf8_lossy(&ended.stderr));
    let count: usize = output.split("running ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(count >= at_least, "{output}");
}

fn suites_hold(error: i32) {
    run_tests_without_openat2(
        error,
        &["--exact", "tests_rs::without_openat2::openat2_is_refused_here", "--include-ignored"],
        1,
    );
    run_tests_without_openat2(error, &SUITES, 30);
}

#[test]
#[ignore = "for a process where the call is refused: the tests below start it"]
fn openat2_is_refused_here() {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
    let error = rustix::fs::openat2(CWD, ".", OFlags::PATH, Mode::empty(), ResolveFlags::empty()).unwrap_err();
    assert_eq!(error.raw_os_error().to_string(), std::env::var(VARIABLE).unwrap());
}

#[test]
fn suites_hold_on_a_kernel_that_does_not_know_openat2() {
    suites_hold(rustix::io::Errno::NOSYS.raw_os_error());
}

#[test]
fn suites_hold_in_a_sandbox_that_forbids_openat2() {
    suites_hold(rustix::io::Errno::PERM.raw_os_error());
}
