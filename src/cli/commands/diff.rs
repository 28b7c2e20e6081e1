//! `diff`: what is new, changed and gone.

use std::io::Write;

use serde_json::json;

use crate::cli::arguments::DiffArguments;
use crate::cli::failure::Failure;
use crate::cli::places::Reader;
use crate::cli::progress::Runner;
use crate::cli::status::{FAILURE, SUCCESS};
use crate::cli::text;
use crate::{Change, FileStatus};

/// Files and bytes of one kind of change.
#[derive(Default)]
struct Sum {
    files: u64,
    bytes: u64,
}

pub(super) async fn run(arguments: &DiffArguments, runner: Runner<'_>) -> Result<u8, Failure> {
    let mut reader = Reader::new(runner, &arguments.connection);
    let before = reader.manifest(&arguments.before).await?;
    let after = reader.manifest(&arguments.after).await?;
    let mut changes = before.changes(&after);
    changes.sort_by(|left, right| left.entry.path().cmp(&right.entry.path()));
    let output = runner.output;
    let (mut new, mut modified, mut deleted) = (Sum::default(), Sum::default(), Sum::default());
    let mut lines = std::io::BufWriter::new(std::io::stdout().lock());
    for change in &changes {
        let sum = match change.status {
            FileStatus::New => &mut new,
            FileStatus::Modified => &mut modified,
            _ => &mut deleted,
        };
        sum.files += 1;
        sum.bytes += change.entry.size_bytes().unsigned_abs();
        if !arguments.stat && !output.is_json() {
            writeln!(lines, "{} {}", letter(change), text::manifest_path(change.entry.path()))?;
        }
    }
    lines.flush()?;
    drop(lines);
    if output.is_json() && !arguments.stat {
        for change in &changes {
            let (path, size) = (text::manifest_path(change.entry.path()), change.entry.size_bytes());
            output.event("change", json!({ "status": word(change), "path": path, "size_bytes": size }))?;
        }
    }
    let shown = |sum: &Sum| format!("{} ({})", text::grouped(sum.files), text::bytes(sum.bytes));
    let numbers = format!("{} new, {} changed, {} gone", shown(&new), shown(&modified), shown(&deleted));
    if arguments.stat {
        output.line(&numbers)?;
    } else {
        output.remark(&numbers)?;
    }
    output.summary(json!({
        "new_files": new.files, "new_bytes": new.bytes,
        "modified_files": modified.files, "modified_bytes": modified.bytes,
        "deleted_files": deleted.files, "deleted_bytes": deleted.bytes,
    }))?;
    Ok(if arguments.exit_code && !changes.is_empty() { FAILURE } else { SUCCESS })
}

const fn letter(change: &Change<'_>) -> char {
    match change.status {
        FileStatus::New => 'A',
        FileStatus::Modified => 'M',
        FileStatus::Deleted => 'D',
        FileStatus::Unchanged => ' ',
    }
}

const fn word(change: &Change<'_>) -> &'static str {
    match change.status {
        FileStatus::New => "new",
        FileStatus::Modified => "modified",
        FileStatus::Deleted => "deleted",
        FileStatus::Unchanged => "unchanged",
    }
}
