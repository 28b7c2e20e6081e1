//! What was decided about each file before anything is fetched.

use std::collections::HashMap;
use std::ffi::OsString;

use super::request::{DownloadRequest, FileId, LOGGER};
use crate::error::Error;
use crate::transfer::context::{Context, LogLevel};

/// What to do about one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing is in its way.
    New,
    /// Write over what is there.
    Replace,
    /// Write beside it, under a name that was settled.
    Copy,
    /// Leave what is there alone.
    Skip,
    /// The same file is in the list already.
    Repeated,
}

/// What was settled.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// By root and entry.
    pub(super) plans: Vec<Vec<Plan>>,
    /// Names of copies.
    copies: HashMap<FileId, OsString>,
}

/// What a file's name becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Naming<'a> {
    /// Its own, which should be free.
    Own,
    /// Its own, over whatever is there.
    Over,
    /// That of a copy.
    Copy(&'a OsString),
}

impl Settled {
    /// Whether nothing is to be done about a file.
    pub(super) fn is_skipped(&self, id: FileId) -> bool {
        matches!(self.plan(id), Plan::Skip | Plan::Repeated)
    }

    /// Whether a file is already there and would be replaced.
    pub(super) fn is_replaced(&self, id: FileId) -> bool {
        self.plan(id) == Plan::Replace
    }

    /// Leaves a file alone after all.
    pub(super) fn skip(&mut self, id: FileId) {
        self.set(id, Plan::Skip);
    }

    /// Decides about a file anew.
    pub(super) fn set(&mut self, id: FileId, plan: Plan) {
        self.plans[id.root as usize][id.index()] = plan;
    }

    /// Writes a file beside what is at its path.
    pub(super) fn set_copy(&mut self, id: FileId, name: OsString) {
        self.set(id, Plan::Copy);
        self.copies.insert(id, name);
    }

    /// The name of a file that is written beside another.
    pub(super) fn copy_name(&self, id: FileId) -> Option<&OsString> {
        self.copies.get(&id)
    }

    pub(super) fn naming(&self, id: FileId) -> Naming<'_> {
        match self.plan(id) {
            Plan::Replace => Naming::Over,
            Plan::Copy => self.copies.get(&id).map_or(Naming::Own, Naming::Copy),
            Plan::New | Plan::Skip | Plan::Repeated => Naming::Own,
        }
    }

    /// The files of a root that are there and are left alone.
    pub(super) fn left_alone(&self, root: u32) -> impl Iterator<Item = FileId> + '_ {
        let plans = self.plans[root as usize].iter();
        (0_u32..).zip(plans).filter(|(_, plan)| **plan == Plan::Skip).map(move |(entry, _)| FileId { root, entry })
    }

    pub(super) fn plan(&self, id: FileId) -> Plan {
        self.plans[id.root as usize][id.index()]
    }

    /// Tells progress and log of all files that need nothing.
    pub(super) fn count_skipped(&self, request: &DownloadRequest, context: &Context) {
        for (root, download) in (0_u32..).zip(&request.roots) {
            for entry in (0_u32..).take(download.manifest.files.len()) {
                let id = FileId { root, entry };
                if !self.is_skipped(id) {
                    continue;
                }
                let files = &download.manifest.files;
                context.progress.skip_file(u64::try_from(files.size_bytes(id.index())).unwrap_or(0));
                context.log(LogLevel::Debug, LOGGER, || {
                    format!("Left {} as it is", download.path.join(files.path(id.index()).display()).display())
                });
            }
        }
    }
}

/// The error for a conflict that no known resolution settles.
pub(super) fn unknown_resolution(name: &str) -> Error {
    Error::InvalidArgument(format!("Unknown choice for file conflict resolution: {name}"))
}
