//! The mark of the latest time that this writer has seen, so that a clock that goes back shows.

use std::sync::PoisonError;

use synapsor_chassis::files::FileError;
use synapsor_domain::timestamp::{Span, Timestamp};

use super::Switches;

/// The mark is written when it has moved by this much.
const STEP: Span = Span::seconds(30);

/// The mark in memory and on disk.
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

    /// Whether the last attempt to write it failed.
    pub(super) const fn is_unsaved(&self) -> bool {
        self.is_unsaved
    }

    /// Raises the mark to `now`; gives it, and whether it is due to be written.
    fn raise(&mut self, now: Timestamp) -> (Timestamp, bool) {
        let high = self.high.map_or(now, |h| h.max(now));
        self.high = Some(high);
        (high, self.written.is_none_or(|w| high - w >= STEP))
    }
}

impl Switches {
    /// The latest time seen, raised to `now`. A mark that cannot be written stops the writer from taking work.
    pub fn high_water(&self, now: Timestamp) -> Timestamp {
        let (high, is_due) = self.lock().mark.raise(now);
        if is_due && self.save_mark().is_err() {
            tracing::error!("the time mark could not be written; the writer takes no work");
        }
        high
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
