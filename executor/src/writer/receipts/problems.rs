//! Tracks problems with the receipts of each source for the writer's status, and lets callers request an
//! immediate comparison by the reconciler.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use synapsor_domain::ids::ProposalId;
use synapsor_writeback::KnownReceipt;
use tokio::sync::Notify;

/// Proposals listed per problem.
const NAMED_MAX: usize = 3;
/// Receipts of one source that are kept as lost or orphaned; beyond it the count stays at this value.
const KEPT_MAX: usize = 10_000;

/// Open problems by source.
#[derive(Debug, Default)]
pub(crate) struct ReceiptProblems {
    sources: Mutex<BTreeMap<String, OfSource>>,
    compare: Notify,
}

#[derive(Debug, Default)]
struct OfSource {
    lost: BTreeMap<ProposalId, KnownReceipt>,
    orphans: BTreeSet<ProposalId>,
    changed: BTreeSet<ProposalId>,
}

impl ReceiptProblems {
    /// Requests a comparison of every source with the ledger soon.
    pub(crate) fn compare_now(&self) {
        self.compare.notify_one();
    }

    /// Returns when a comparison is requested.
    pub(crate) async fn comparison_wanted(&self) {
        self.compare.notified().await;
    }

    /// Records the result of a comparison of these proposals.
    pub(crate) fn compared(&self, source: &str, present: &[ProposalId], lost: &[KnownReceipt]) {
        let mut sources = self.lock();
        let of_source = sources.entry(source.to_owned()).or_default();
        for id in present {
            of_source.lost.remove(id);
        }
        for lost in lost {
            if of_source.lost.len() < KEPT_MAX {
                of_source
                    .lost
                    .insert(lost.receipt().proposal_id.clone(), lost.clone());
            }
        }
    }

    /// Returns the receipts that a source is known to have lost.
    pub(crate) fn lost(&self, source: &str) -> Vec<KnownReceipt> {
        let sources = self.lock();
        let lost = sources.get(source).into_iter().flat_map(|of| of.lost.values());
        lost.cloned().collect()
    }

    /// Clears the problems of these proposals' receipts.
    pub(crate) fn settled<'a>(&self, source: &str, ids: impl IntoIterator<Item = &'a ProposalId>) {
        if let Some(of_source) = self.lock().get_mut(source) {
            for id in ids {
                of_source.lost.remove(id);
                of_source.orphans.remove(id);
                of_source.changed.remove(id);
            }
        }
    }

    pub(crate) fn is_orphan(&self, source: &str, id: &ProposalId) -> bool {
        self.lock().get(source).is_some_and(|of| of.orphans.contains(id))
    }

    pub(crate) fn add_orphan(&self, source: &str, id: &ProposalId) {
        let mut sources = self.lock();
        let orphans = &mut sources.entry(source.to_owned()).or_default().orphans;
        if orphans.len() < KEPT_MAX {
            orphans.insert(id.clone());
        }
    }

    pub(crate) fn add_changed(&self, source: &str, id: &ProposalId) {
        let mut sources = self.lock();
        sources
            .entry(source.to_owned())
            .or_default()
            .changed
            .insert(id.clone());
    }

    /// Returns the open problems of a source, each with its code and its fix.
    pub(crate) fn of_source(&self, source: &str) -> Vec<String> {
        let sources = self.lock();
        let Some(found) = sources.get(source) else {
            return Vec::new();
        };
        let mut problems = Vec::new();
        if !found.lost.is_empty() {
            problems.push(format!(
                "refused:effect_lost: {} of the ledger are missing in this source; run `synapsor-runner receipts \
                 audit`, then sign what is lost with `synapsor-runner receipts give-up`",
                named(found.lost.len(), found.lost.keys())
            ));
        }
        if !found.orphans.is_empty() {
            problems.push(format!(
                "orphan_receipt: the ledger rejected {} of this source; run `synapsor-runner receipts \
                 audit` and compare both",
                named(found.orphans.len(), found.orphans.iter())
            ));
        }
        if !found.changed.is_empty() {
            problems.push(format!(
                "refused:row_changed_in_commit: the COMMIT of {} left another version of the row; inspect the row, then \
                 sign `synapsor-runner receipts adopt`",
                named(found.changed.len(), found.changed.iter())
            ));
        }
        problems
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, OfSource>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn named<'a>(count: usize, ids: impl Iterator<Item = &'a ProposalId>) -> String {
    let first: Vec<_> = ids.take(NAMED_MAX).map(ProposalId::as_str).collect();
    let receipts = if count == 1 { "receipt" } else { "receipts" };
    let more = if count > NAMED_MAX { ", ..." } else { "" };
    format!("{count} {receipts} ({}{more})", first.join(", "))
}
