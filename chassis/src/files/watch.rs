//! Files that are checked periodically and read again only after a change.

use std::path::PathBuf;

use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::files::FileStamp;

/// Files that are reloaded together.
#[derive(Debug)]
pub(super) struct FileWatch {
    paths: Vec<PathBuf>,
    /// File stamps at the last reload; `None` while a later change could leave the stamps equal.
    seen: Option<Vec<FileStamp>>,
}

impl FileWatch {
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, seen: None }
    }

    /// Whether a file may have changed since the last call. A missing file counts as changed.
    pub(super) fn may_have_changed(&mut self) -> bool {
        let stamps: Result<Vec<_>, _> = self.paths.iter().map(|path| FileStamp::of(path)).collect();
        let Ok(stamps) = stamps else {
            self.seen = None;
            return true;
        };
        if self.seen.as_ref() == Some(&stamps) {
            return false;
        }
        let now_ms = SystemClock.now_ms();
        let have_settled = stamps.iter().all(|stamp| stamp.is_stable(now_ms));
        self.seen = have_settled.then_some(stamps);
        true
    }
}
