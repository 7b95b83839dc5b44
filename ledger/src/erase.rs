//! Erasure orders of operators: verifies them, and erases what they select in parts, so that other callers wait for one
//! part at most.

use std::sync::Arc;

use synapsor_domain::approval::{ErasureSelection, VerifiedErasureOrder, check_reason, verify_erasure_order};
use synapsor_domain::signing::DsseEnvelope;

use crate::store::erase::{self, ErasedPart, Erasing, ErasureCount};
use crate::store::{StoreError, StoreTxError, WriteTransaction};
use crate::trust::Trust;
use crate::{Ledger, RequestContext};

/// What an order erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Erased {
    pub(crate) proposals: u64,
    pub(crate) bodies: u64,
    /// Number of events that record it.
    pub(crate) events: u64,
    /// Whether nothing of it is left in the store file: for a tenant or an object the file is written again.
    pub(crate) is_overwritten: bool,
}

impl Erased {
    fn add(&mut self, part: ErasedPart) {
        self.proposals += part.proposals;
        self.bodies += part.bodies;
        self.events += u64::from(part.bodies > 0);
    }
}

/// Everything that each part needs.
struct Order {
    verified: VerifiedErasureOrder,
    signed: DsseEnvelope,
    trace_id: Option<String>,
}

impl Ledger {
    /// Counts what a selection would erase; changes nothing.
    pub(crate) async fn count_erasable(
        &self,
        selection: ErasureSelection,
    ) -> Result<ErasureCount, StoreTxError> {
        self.store
            .read_records(move |reader| Ok(erase::count(reader.conn(), &selection)?))
            .await
    }

    /// Erases what an order selects. An error leaves what the parts before it erased; the same selection again erases
    /// the rest.
    ///
    /// # Errors
    /// Any verification error.
    pub(crate) async fn erase(
        &self,
        caller: RequestContext,
        signed: DsseEnvelope,
    ) -> Result<Erased, StoreTxError> {
        let trust = Trust::current(&self.trust)?;
        let verified = verify_erasure_order(&signed, &trust.file, self.now())?;
        check_reason(verified.order().reason.as_deref())?;
        let order = Arc::new(Order {
            verified,
            signed,
            trace_id: caller.trace_id,
        });
        let mut erased = Erased::default();
        let mut next = Some(0);
        while let Some(from) = next {
            let part = self
                .part(&order, move |step, erasing| erase::proposals(step, erasing, from))
                .await?;
            erased.add(part);
            next = part.next;
        }
        let of_order = order.clone();
        let segments = self
            .store
            .read_records(move |reader| {
                Ok(erase::segments(
                    reader.conn(),
                    &of_order.verified.order().selection,
                )?)
            })
            .await?;
        for segment in segments {
            let part = self
                .part(&order, move |step, erasing| {
                    erase::records(step, erasing, segment)
                })
                .await?;
            erased.add(part);
        }
        erased.is_overwritten = self.overwrite(&order.verified.order().selection).await?;
        Ok(erased)
    }

    /// Removes what is left of erased bodies in the file: copies of earlier pages, and rows that were deleted before. An
    /// erasure by age leaves them to the next `vacuum`, because the file can be large.
    async fn overwrite(&self, selection: &ErasureSelection) -> Result<bool, StoreTxError> {
        let is_by_age = matches!(selection, ErasureSelection::Before { .. });
        if !is_by_age {
            match self.store.vacuum().await {
                Ok(_) => {}
                // Reported to the operator; nothing is half-erased.
                Err(StoreError::Full) => {
                    self.store.settle_file().await?;
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.store.settle_file().await? && !is_by_age)
    }

    /// Recomputes the store and checks the orders by which bodies are missing. Returns the number of events.
    pub(crate) async fn verify_store(&self) -> Result<u64, StoreTxError> {
        let report = self.store.verify_full().await?;
        let trust = Trust::current(&self.trust)?;
        self.store.check_erasure_orders(trust.file).await?;
        Ok(report.events)
    }

    /// Runs one part after the views of all durable records are written.
    async fn part<F>(&self, order: &Arc<Order>, work: F) -> Result<ErasedPart, StoreTxError>
    where
        F: FnOnce(&mut WriteTransaction<'_>, Erasing<'_>) -> Result<ErasedPart, StoreTxError>
            + Send
            + 'static,
    {
        self.store.read_records(|_| Ok(())).await?;
        let (order, now) = (order.clone(), self.now());
        let done = self.write(move |step| {
            let erasing = Erasing {
                selection: &order.verified.order().selection,
                order: &order.signed,
                person: order.verified.person(),
                now,
                trace_id: order.trace_id.as_deref(),
            };
            work(step, erasing)
        });
        Ok(done.await?.value)
    }
}
