//! Provides the writer's clocks to the write core: the ledger's time and the mark of the last COMMIT.

use synapsor_domain::timestamp::Timestamp;

use crate::writer::controls::WriterControls;
use crate::writer::ledger::time::LedgerTime;

/// The ledger's time and the durable mark of one writer.
#[derive(Debug)]
pub(crate) struct WriterClocks {
    ledger: LedgerTime,
    switches: WriterControls,
}

impl WriterClocks {
    pub(crate) const fn new(ledger: LedgerTime, switches: WriterControls) -> Self {
        Self { ledger, switches }
    }
}

impl synapsor_writeback::Clocks for WriterClocks {
    fn ledger_time(&self) -> Option<Timestamp> {
        self.ledger.now()
    }

    fn mark(&self) -> Option<Timestamp> {
        self.switches.mark()
    }

    fn set_mark(&self, mark: Timestamp) {
        self.switches.set_mark(mark);
    }
}
