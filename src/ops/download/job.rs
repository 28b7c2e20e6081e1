//! What all parts of a download share.

use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

use super::request::{DownloadRequest, FileId};
use super::settled::Settled;
use crate::fs::path_list::PathList;
use crate::fs::target_root::TargetRoot;
use crate::manifest::Manifest;
use crate::transfer::context::LogOnce;
use crate::transfer::download::Downloader;
use crate::transfer::download::look_again::LooksUnderWay;

/// A download under way.
pub(super) struct DownloadJob {
    pub(super) request: DownloadRequest,
    pub(super) downloader: Downloader,
    pub(super) roots: Vec<TargetRoot>,
    /// The manifests as they were given, for the log: absolute paths have become relative ones in the request's.
    pub(super) given: Vec<Arc<Manifest>>,
    pub(super) settled: Settled,
    pub(super) done_without: DoneWithout,
    /// By root.
    pub(super) written: Mutex<Vec<PathList>>,
    /// Files that another process has finished while this one was on its way to them.
    pub(super) found_later: Mutex<Vec<FileId>>,
    pub(super) looks: LooksUnderWay,
    pub(super) began: SystemTime,
}

/// What file systems refused and files were written without: each is said once.
#[derive(Debug, Default)]
pub(super) struct DoneWithout {
    pub(super) times: LogOnce,
    pub(super) execute_bits: LogOnce,
}
