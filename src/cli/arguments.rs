//! The commands and their arguments.

#![allow(clippy::doc_markdown, reason = "comments are the help texts, which are plain text")]

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::options::{CommonOptions, ConnectionOptions, JobIds, MemoryOptions, Patterns};
use super::places::parse_settings;
use crate::{ConflictResolution, JobAttachmentS3Settings, SymlinkPolicy, Verify};

const STATUSES: &str = "\
Exit status: 0 when all went well, 1 after a failure or a difference that
verify found, 2 for wrong arguments, 130 after Ctrl-C.

Example:
  rusty-attachments push ./shot_010 s3://my-farm-bucket/DeadlineCloud";

/// Moves the files of render jobs to and from Amazon S3
#[derive(Debug, Parser)]
#[command(name = "rusty-attachments", version, after_help = STATUSES, max_term_width = 80,
          disable_help_subcommand = true, infer_subcommands = false)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    common: CommonOptions,
}

impl Arguments {
    pub(super) const fn common(&self) -> CommonOptions {
        self.common
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Hash a folder and write a manifest of it
    Snapshot(SnapshotArguments),
    /// Show what is new, changed and gone between manifests or folders
    Diff(DiffArguments),
    /// Upload a folder: what is missing in S3, then a manifest
    Push(PushArguments),
    /// Download the files of manifests
    Pull(PullArguments),
    /// Download or list what a job has produced
    Outputs(OutputsArguments),
    /// List the files of a manifest or a job
    Ls(LsArguments),
    /// Show the folders of a manifest or a job as a tree
    Tree(TreeArguments),
    /// Show what takes the space in a manifest or a job
    Du(DuArguments),
    /// Compare files, or objects in S3, with a manifest
    Verify(VerifyArguments),
    /// Show or clear the caches of this machine
    Cache(CacheArguments),
    /// Check the installation and the connection to S3
    Doctor(DoctorArguments),
    /// Print a completion script for a shell
    Completions(CompletionsArguments),
    /// Write man pages
    #[command(hide = true)]
    Man(ManArguments),
}

impl Command {
    /// The command's name, as it is given.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Snapshot(_) => "snapshot",
            Self::Diff(_) => "diff",
            Self::Push(_) => "push",
            Self::Pull(_) => "pull",
            Self::Outputs(_) => "outputs",
            Self::Ls(_) => "ls",
            Self::Tree(_) => "tree",
            Self::Du(_) => "du",
            Self::Verify(_) => "verify",
            Self::Cache(_) => "cache",
            Self::Doctor(_) => "doctor",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
        }
    }
}

/// What becomes of links in a snapshot.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Symlinks {
    /// Keep links; copy those that lead out of the folder
    CollapseEscaping,
    /// Copy what links lead to
    CollapseAll,
    /// Keep links; leave out those that lead out of the folder
    ExcludeEscaping,
    /// Leave links out
    ExcludeAll,
}

impl From<Symlinks> for SymlinkPolicy {
    fn from(symlinks: Symlinks) -> Self {
        match symlinks {
            Symlinks::CollapseEscaping => Self::CollapseEscaping,
            Symlinks::CollapseAll => Self::CollapseAll,
            Symlinks::ExcludeEscaping => Self::ExcludeEscaping,
            Symlinks::ExcludeAll => Self::ExcludeAll,
        }
    }
}

/// Manifest formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// 2023-03-03: files; links are copied
    #[value(name = "2023-03-03")]
    V2023,
    /// 2025-12-04-beta: folders, links and execute bits too
    #[value(name = "2025-12-04-beta")]
    V2025,
}

/// What to do where a file is already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Conflict {
    /// Write beside it: "name (1).ext"
    CreateCopy,
    /// Leave it alone
    Skip,
    /// Replace it
    Overwrite,
    /// Leave it alone if its contents are right, else replace it
    Resume,
}

impl From<Conflict> for ConflictResolution {
    fn from(conflict: Conflict) -> Self {
        match conflict {
            Conflict::CreateCopy => Self::CreateCopy,
            Conflict::Skip => Self::Skip,
            Conflict::Overwrite => Self::Overwrite,
            Conflict::Resume => Self::Resume,
        }
    }
}

/// What is checked of what arrives.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Check {
    /// Size and hash
    Hash,
    /// The size
    Size,
    /// Nothing
    Off,
}

impl From<Check> for Verify {
    fn from(check: Check) -> Self {
        match check {
            Check::Hash => Self::Hash,
            Check::Size => Self::Size,
            Check::Off => Self::Off,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  rusty-attachments snapshot ./shot_010 -o manifests --exclude '**/*.tmp'")]
pub(super) struct SnapshotArguments {
    /// The folder
    pub(super) root: PathBuf,
    /// Write the manifest into this folder; - prints it
    #[arg(short, long, value_name = "DIR")]
    pub(super) output: PathBuf,
    #[command(flatten)]
    pub(super) patterns: Patterns,
    /// Only files that have changed since this manifest
    #[arg(long, value_name = "MANIFEST")]
    pub(super) diff: Option<OsString>,
    /// The manifest's format
    #[arg(long, value_name = "FORMAT", default_value = "2023-03-03", hide_possible_values = true)]
    pub(super) format: Format,
    /// Links: collapse- or exclude-, then escaping or all
    #[arg(long, value_name = "POLICY", hide_possible_values = true)]
    pub(super) symlinks: Option<Symlinks>,
    #[command(flatten)]
    pub(super) connection: ConnectionOptions,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Lines begin with A for new, M for changed, D for gone.

Example:
  rusty-attachments diff monday.manifest ./shot_010 --stat")]
pub(super) struct DiffArguments {
    /// A manifest (file, - or s3://bucket/key) or a folder
    pub(super) before: OsString,
    /// What it is compared with
    pub(super) after: OsString,
    /// Only numbers of files and bytes
    #[arg(long)]
    pub(super) stat: bool,
    /// Exit with 1 if there are differences
    #[arg(long)]
    pub(super) exit_code: bool,
    #[command(flatten)]
    pub(super) connection: ConnectionOptions,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  rusty-attachments push ./shot_010 s3://my-farm-bucket/DeadlineCloud")]
pub(super) struct PushArguments {
    /// The folder
    pub(super) root: PathBuf,
    /// s3://bucket/prefix
    #[arg(value_parser = parse_settings)]
    pub(super) destination: JobAttachmentS3Settings,
    #[command(flatten)]
    pub(super) patterns: Patterns,
    /// Name of the manifest below <prefix>/Manifests/push/
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Ask S3 for every file; don't trust the cache of what it has
    #[arg(long)]
    pub(super) force_check: bool,
    /// Say what would be sent, and send nothing
    #[arg(short = 'n', long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) connection: ConnectionOptions,
    #[command(flatten)]
    pub(super) memory: MemoryOptions,
}

/// How files are written.
#[derive(Debug, Args)]
pub(super) struct WriteOptions {
    /// In the way: create-copy (default), skip, overwrite, resume
    #[arg(
        long,
        value_name = "HOW",
        default_value = "create-copy",
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub(super) conflict: Conflict,
    /// Only files whose path matches; * also matches /
    #[arg(long, value_name = "PATTERN")]
    pub(super) include: Vec<String>,
    /// Check what arrives: hash (default), size or off
    #[arg(long, value_name = "WHAT", default_value = "hash", hide_possible_values = true, hide_default_value = true)]
    pub(super) verify: Check,
    /// Wait until the disk has each file
    #[arg(long)]
    pub(super) fsync: bool,
    /// Say what would be fetched, and write nothing
    #[arg(short = 'n', long)]
    pub(super) dry_run: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  rusty-attachments pull s3://my-farm-bucket/DeadlineCloud/Manifests/push/v1 .")]
pub(super) struct PullArguments {
    /// Manifests: files, - for standard input, or s3://bucket/key
    #[arg(value_name = "MANIFEST", required = true, num_args = 1..)]
    pub(super) manifests: Vec<OsString>,
    /// The folder that the files go to
    #[arg(value_name = "DEST")]
    pub(super) destination: PathBuf,
    /// Where the files are, for manifests that are not in S3
    #[arg(long, value_name = "S3_URI", value_parser = parse_settings)]
    pub(super) from: Option<JobAttachmentS3Settings>,
    #[command(flatten)]
    pub(super) write: WriteOptions,
    #[command(flatten)]
    pub(super) connection: ConnectionOptions,
    #[command(flatten)]
    pub(super) memory: MemoryOptions,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  rusty-attachments outputs s3://bucket/prefix out --farm F --queue Q --job J")]
pub(super) struct OutputsArguments {
    /// The queue's s3://bucket/prefix
    #[arg(value_name = "S3_URI", value_parser = parse_settings)]
    pub(super) source: JobAttachmentS3Settings,
    /// The folder for the files; else where the job's submitter had them
    #[arg(value_name = "DEST")]
    pub(super) destination: Option<PathBuf>,
    #[command(flatten)]
    pub(super) job: JobIds,
    /// List the files, and fetch nothing
    #[arg(long)]
    pub(super) list: bool,
    /// Put files of the submitter's folder FROM below TO
    #[arg(long, value_name = "FROM=TO", conflicts_with = "destination")]
    pub(super) map: Vec<OsString>,
    /// The same from a file of Open Job Description rules
    #[arg(long, value_name = "FILE", conflicts_with_all = ["destination", "map"])]
    pub(super) path_mapping: Option<PathBuf>,
    #[command(flatten)]
    pub(super) write: WriteOptions,
    #[command(flatten)]
    pub(super) connection: ConnectionOptions,
    #[command(flatten)]
    pub(super) memory: MemoryOptions,
}

/// A manifest, or a job's outputs.
#[derive(Debug, Args)]
pub(super) struct Source {
    /// Manifest (file, - or S3 key), folder, or s3://bucket/prefix of --job
    #[arg(value_name = "MANIFEST")]
    pub(super) manifest: OsString,
    #[command(flatten)]
    pub(super) job: JobIds,
    /// Only files whose path matches; * also matches /
    #[arg(long, value_name = "PATTERN")]
    pub(super) include: Vec<String>,
    #[command(flatten)]
    pub(super) connection: ConnectionOptions,
}

/// What a listing is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Sort {
    /// Path
    Path,
    /// Size, largest first
    Size,
    /// Time, newest first
    Time,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  rusty-attachments ls shot_010.manifest --long --sort size")]
pub(super) struct LsArguments {
    #[command(flatten)]
    pub(super) source: Source,
    /// Show sizes and times (UTC) too
    #[arg(short, long)]
    pub(super) long: bool,
    /// path (default), size or time, largest and newest first
    #[arg(long, value_name = "BY", default_value = "path", hide_possible_values = true, hide_default_value = true)]
    pub(super) sort: Sort,
    /// The other way round
    #[arg(short, long)]
    pub(super) reverse: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  rusty-attachments tree shot_010.manifest --depth 2")]
pub(super) struct TreeArguments {
    #[command(flatten)]
    pub(super) source: Source,
    /// How many levels
    #[arg(long, value_name = "N")]
    pub(super) depth: Option<usize>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  rusty-attachments du shot_010.manifest --by-extension")]
pub(super) struct DuArguments {
    #[command(flatten)]
    pub(super) source: Source,
    /// How many levels
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) depth: usize,
    /// By extension instead of by folder
    #[arg(long, conflicts_with_all = ["depth", "duplicates"])]
    pub(super) by_extension: bool,
    /// Files with the same contents
    #[arg(long, conflicts_with = "depth")]
    pub(super) duplicates: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Exits with 1 if anything differs.

Example:
  rusty-attachments verify shot_010.manifest ./shot_010")]
pub(super) struct VerifyArguments {
    /// A manifest: a file, - or s3://bucket/key
    pub(super) manifest: OsString,
    /// The folder to compare
    #[arg(required_unless_present = "remote")]
    pub(super) root: Option<PathBuf>,
    /// Compare what S3 has below s3://bucket/prefix
    #[arg(long, value_name = "S3_URI", value_parser = parse_settings)]
    pub(super) remote: Option<JobAttachmentS3Settings>,
    /// Fetch the objects and hash them
    #[arg(long, requires = "remote")]
    pub(super) deep: bool,
    /// Only files whose path matches; * also matches /
    #[arg(long, value_name = "PATTERN")]
    pub(super) include: Vec<String>,
    #[command(flatten)]
    pub(super) connection: ConnectionOptions,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  rusty-attachments cache info")]
pub(super) struct CacheArguments {
    /// What to do
    pub(super) action: CacheAction,
    /// Another folder than ~/.deadline/job_attachments
    #[arg(long, value_name = "DIR")]
    pub(super) folder: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum CacheAction {
    /// Show where the caches are and what they take
    Info,
    /// Empty them; the next jobs hash and ask again
    Clear,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  rusty-attachments doctor --check s3://my-farm-bucket/DeadlineCloud")]
pub(super) struct DoctorArguments {
    /// Ask S3 whether this place can be reached
    #[arg(long, value_name = "S3_URI", value_parser = parse_settings)]
    pub(super) check: Option<JobAttachmentS3Settings>,
    #[command(flatten)]
    pub(super) connection: ConnectionOptions,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  rusty-attachments completions bash > rusty-attachments.bash")]
pub(super) struct CompletionsArguments {
    /// The shell
    pub(super) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  rusty-attachments man ./man1")]
pub(super) struct ManArguments {
    /// The folder that the pages are written to
    pub(super) directory: PathBuf,
}
