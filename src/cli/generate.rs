//! Completion scripts and man pages.

use std::io::Write;
use std::path::Path;

use clap::CommandFactory;

use super::arguments::Arguments;
use super::failure::Failure;
use super::status::SUCCESS;
use super::text;
use crate::Error;

use clap_complete::Shell;

const NAME: &str = "rusty-attachments";

pub(super) fn completions(shell: Shell) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), NAME, &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(SUCCESS)
}

/// Writes `rusty-attachments.1` and a page for each command.
pub(super) fn man_pages(directory: &Path) -> Result<u8, Failure> {
    std::fs::create_dir_all(directory).map_err(|error| Error::io("create directory", directory, error))?;
    let mut program = Arguments::command();
    program.build();
    let outcome = clap_mangen::generate_to(program, directory);
    outcome.map_err(|error| Failure::text(format!("{} can't be written: {error}", text::path(directory))))?;
    Ok(SUCCESS)
}
