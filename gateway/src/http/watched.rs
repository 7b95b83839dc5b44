//! Files that are looked at again and again while the gateway runs, and read only when they changed.

use std::path::PathBuf;

use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::files::FileStamp;

/// Some files that count as one thing.
#[derive(Debug)]
pub(super) struct Watched {
    paths: Vec<PathBuf>,
    /// As they were when they were last read; `None` while they may change without its showing.
    seen: Option<Vec<FileStamp>>,
}

impl Watched {
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, seen: None }
    }

    /// Whether they may differ from when this was last asked. Files that are missing count as changed.
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
