//! The command line, `rusty-attachments`: arguments, progress, texts. It uses the API as any other program does.
//!
//! Results go to standard output, progress and errors to standard error. With `--json` everything goes to standard output, one
//! JSON object a line.

mod arguments;
mod bar;
mod commands;
mod events;
mod failure;
mod generate;
mod interrupts;
mod options;
mod output;
mod places;
mod progress;
mod status;
mod text;

use std::ffi::OsString;
use std::sync::Arc;

use clap::Parser;

use arguments::{Arguments, Command};
use events::Levels;
use failure::Failure;
pub use interrupts::Interrupts;
use output::Output;
use status::{SUCCESS, USAGE};

/// Runs the program `rusty-attachments` with these arguments, the first of which is its name. Returns its exit status: 0, 1 after
/// a failure, 2 for wrong arguments, 130 after Ctrl-C.
///
/// It prints, and it makes a Tokio runtime of its own; it must not be called on a thread of another. `facts` are further lines
/// for `doctor`: what the caller knows of itself, each a name and a text.
pub fn run_command(
    arguments: impl IntoIterator<Item = OsString>,
    interrupts: &Interrupts,
    facts: &[(String, String)],
) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // A pipe that nobody reads any more is no failure of the command.
            let _ = error.print();
            return if error.use_stderr() { USAGE } else { SUCCESS };
        }
    };
    let (command, common) = (arguments.command.name(), arguments.common());
    let output = Arc::new(Output::new(command, common));
    let outcome = Levels::new(common.verbose)
        .and_then(|levels| events::shown(levels, &output, || run(arguments.command, &output, interrupts, facts)));
    output.end(outcome)
}

fn run(
    command: Command,
    output: &Arc<Output>,
    interrupts: &Interrupts,
    facts: &[(String, String)],
) -> Result<u8, Failure> {
    match command {
        Command::Completions(wanted) => return generate::completions(wanted.shell),
        Command::Man(wanted) => return generate::man_pages(&wanted.directory),
        Command::Cache(wanted) => return commands::cache::run(&wanted, output),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::text(format!("no threads can be started: {error}")))?;
    let run = commands::run(command, output, interrupts, facts);
    let outcome = runtime.block_on(run);
    // What was cancelled has put things in order by now; a read that hangs must not keep the program.
    runtime.shutdown_background();
    outcome
}
