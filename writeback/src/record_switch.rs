//! Writes a freeze or lift into the receipt table of a source: one row, in its own transaction.

use synapsor_domain::approval::{VerifiedFreeze, VerifiedLift};
use synapsor_source::switch_row::Written;
use synapsor_source::{EngineError, EngineErrorKind, StoredReceipt};

use crate::WriteCore;
use crate::transaction::{CommitError, RecordError};
use crate::violation::CheckError;

/// The permit to insert one freeze or lift; its transaction contains no update.
#[derive(Debug, Clone)]
pub enum SwitchPermit {
    Freeze(VerifiedFreeze),
    Lift(VerifiedLift),
}

impl WriteCore {
    /// Inserts the row; an identical existing row counts as success.
    ///
    /// # Errors
    /// The reason why the row is not known to be there: the call can be retried.
    pub async fn record_switch(&self, source: &str, permit: SwitchPermit) -> Result<(), EngineError> {
        let unknown = |what: &str| EngineError::new(EngineErrorKind::NotFound, what);
        let database = self.database(source).ok_or_else(|| unknown("no such source"))?;
        let begun = database.begin().await?;
        let mut transaction = begun.transaction;
        let written = Written {
            writer: &self.name,
            identity: &begun.identity,
            at: self.now(),
        };
        let row = match &permit {
            SwitchPermit::Freeze(freeze) => StoredReceipt::of_freeze(freeze, &written),
            SwitchPermit::Lift(lift) => StoredReceipt::of_lift(lift, &written),
        };
        let row = row.ok_or_else(|| unknown("an unserializable switch"))?;
        let found = transaction.find_receipts(&row.proposal_id, &[]).await?;
        if found
            .switches
            .iter()
            .any(|known| known.proposal_id == row.proposal_id)
        {
            transaction.roll_back().await;
            return Ok(());
        }
        transaction.first_check(None).await.map_err(of_check)?;
        match transaction.insert_receipt(&row).await {
            Ok(()) => {}
            // Another writer inserted the same.
            Err(RecordError::Exists) => return Ok(()),
            Err(RecordError::Engine(error)) => return Err(error),
        }
        transaction.last_check(None, &row).await.map_err(of_check)?;
        transaction.commit().await.map_err(CommitError::into_engine)
    }
}

/// Converts the error of a check: a receipt table with a violation accepts no freeze, and no change either.
fn of_check(error: CheckError) -> EngineError {
    match error {
        CheckError::Engine(error) => error,
        CheckError::Violation(violation) => EngineError::new(EngineErrorKind::Denied, violation.detail),
    }
}
