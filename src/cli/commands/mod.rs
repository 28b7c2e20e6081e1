//! The commands, one a file.

pub(super) mod cache;
mod diff;
mod doctor;
mod listing;
mod outputs;
mod pull;
mod push;
mod snapshot;
mod verify;

use std::sync::Arc;

use super::arguments::Command;
use super::failure::Failure;
use super::interrupts::Interrupts;
use super::output::Output;
use super::progress::Runner;
use super::status::SUCCESS;

/// Runs the commands that may need S3 or hash files.
pub(super) async fn run(
    command: Command,
    output: &Arc<Output>,
    interrupts: &Interrupts,
    facts: &[(String, String)],
) -> Result<u8, Failure> {
    let runner = Runner { output, interrupts };
    match command {
        Command::Snapshot(arguments) => snapshot::run(&arguments, runner).await,
        Command::Diff(arguments) => diff::run(&arguments, runner).await,
        Command::Push(arguments) => push::run(arguments, runner).await,
        Command::Pull(arguments) => pull::run(&arguments, runner).await,
        Command::Outputs(arguments) => outputs::run(&arguments, runner).await,
        Command::Ls(arguments) => listing::ls(&arguments, runner).await,
        Command::Tree(arguments) => listing::tree(&arguments, runner).await,
        Command::Du(arguments) => listing::du(&arguments, runner).await,
        Command::Verify(arguments) => verify::run(&arguments, runner).await,
        Command::Doctor(arguments) => doctor::run(&arguments, runner, facts).await,
        // These need no runtime and were run before.
        Command::Cache(_) | Command::Completions(_) | Command::Man(_) => Ok(SUCCESS),
    }
}
