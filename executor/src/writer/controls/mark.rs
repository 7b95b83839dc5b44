//! Stores the time of the last COMMIT, so that a clock that moves backward is detected. The domain defines how
//! the mark moves (`synapsor_domain::writeback::ClockReading`).

use std::sync::PoisonError;

use synapsor_chassis::files::FileError;
use synapsor_domain::timestamp::{Span, Timestamp};

use super::WriterControls;

/// Minimum movement of the mark before it is written again.
const STEP: Span = Span::seconds(30);

/// Time mark in memory and on disk.
#[derive(Debug, Default)]
pub(super) struct Mark {
    high: Option<Timestamp>,
    written: Option<Timestamp>,
    is_unsaved: bool,
}

impl Mark {
    pub(super) const fn of(written: Option<Timestamp>) -> Self {
        Self {
            high: written,
            written,
            is_unsaved: false,
        }
    }

    /// Returns whether the last write failed.
    pub(super) const fn is_unsaved(&self) -> bool {
        self.is_unsaved
    }

    /// Sets the mark; returns whether it must be written.
    fn set(&mut self, mark: Timestamp) -> bool {
        self.high = Some(mark);
        let moved = |written: Timestamp| (mark - written).max(written - mark);
        self.written.is_none_or(|written| moved(written) >= STEP)
    }
}

impl WriterControls {
    /// Returns the mark of the last COMMIT; `None` before the first.
    pub(crate) fn mark(&self) -> Option<Timestamp> {
        self.lock().mark.high
    }

    /// Moves the mark. If it cannot be written, the writer takes no work.
    pub(crate) fn set_mark(&self, mark: Timestamp) {
        let is_due = self.lock().mark.set(mark);
        if is_due && self.save_mark().is_err() {
            tracing::error!("time mark not writable; writer takes no work");
        }
    }

    pub(super) fn save_mark(&self) -> Result<(), FileError> {
        let Some(high) = self.lock().mark.high else {
            return Ok(());
        };
        let written = {
            let _writing = self.shared.writing.lock().unwrap_or_else(PoisonError::into_inner);
            self.shared.files.write_high_water(high)
        };
        {
            let mut state = self.lock();
            state.mark.is_unsaved = written.is_err();
            if written.is_ok() {
                state.mark.written = Some(high);
            }
        }
        self.publish();
        written
    }
}
