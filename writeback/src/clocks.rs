//! Clocks of one transaction: the writer's, the database's and, as a hint, the ledger's.

use synapsor_domain::error::PublicError;
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::writeback::ClockReading;

use crate::{Database, WriteCore};

/// Time sources of the core besides its own clock and the database's.
pub trait Clocks: Send + Sync {
    /// The ledger's last known wall clock; not signed.
    fn ledger_time(&self) -> Option<Timestamp>;

    /// The mark that [`Self::set_mark`] stored, also before a restart.
    fn mark(&self) -> Option<Timestamp>;

    /// Advances the mark after a COMMIT.
    fn set_mark(&self, mark: Timestamp);
}

/// The database's clock at the start of the transaction, with the writer's monotonic time of that reading.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DatabaseTime {
    at: Timestamp,
    learned_ms: i64,
}

impl Database {
    /// Reads the database's clock in a transaction that is rolled back; `None` if that fails.
    pub async fn now(&self) -> Option<Timestamp> {
        let begun = self.begin().await.ok()?;
        begun.transaction.roll_back().await;
        Some(begun.database_now)
    }
}

impl WriteCore {
    pub(crate) fn database_time(&self, at: Timestamp) -> DatabaseTime {
        DatabaseTime {
            at,
            learned_ms: self.clock.monotonic_ms(),
        }
    }

    /// Reads all clocks.
    pub(crate) fn read_clocks(&self, database: DatabaseTime) -> ClockReading {
        let since_ms = self.clock.monotonic_ms() - database.learned_ms;
        ClockReading {
            writer: self.now(),
            database: database.at + Span::millis(since_ms),
            ledger: self.clocks.ledger_time(),
        }
    }

    /// Checks the time of a transaction that just began.
    pub(crate) fn check_clocks(&self, database: DatabaseTime) -> Result<(), PublicError> {
        self.read_clocks(database).check(self.clocks.mark())
    }

    /// Advances the mark after a COMMIT.
    pub(crate) fn move_mark(&self, database: DatabaseTime) {
        let mark = self.read_clocks(database).next_mark(self.clocks.mark());
        self.clocks.set_mark(mark);
    }
}
