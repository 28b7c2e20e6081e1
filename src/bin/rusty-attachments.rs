//! The command line, `rusty-attachments`.

use std::process::ExitCode;

use rusty_attachments::{Interrupts, run_command};

fn main() -> ExitCode {
    let interrupts = Interrupts::new();
    interrupts.take_from_system();
    ExitCode::from(run_command(std::env::args_os(), &interrupts, &[]))
}
