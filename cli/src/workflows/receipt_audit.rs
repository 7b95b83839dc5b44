//! Compares receipts between ledger and sources, page by page, through a writer.

use std::collections::BTreeSet;

use synapsor_chassis::run::ExitError;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::writeback::ReceiptRef;

use crate::Context;
use synapsor_codes::Exit;

use crate::clients::{AuditedPage, WriterClient};
use crate::connection::LedgerConnection;

/// Maximum number of pages of one source; bounds a writer that returns pages endlessly.
const PAGES_MAX: usize = 1_000_000;

/// Result of the comparison of one source.
#[derive(Debug, Default)]
pub(crate) struct AuditedSource {
    pub(crate) source: String,
    pub(crate) compared: u64,
    pub(crate) lost: BTreeSet<ReceiptRef>,
    pub(crate) orphans: BTreeSet<ReceiptRef>,
    /// Rows that no writer key of the deployment signed.
    pub(crate) foreign: u64,
    pub(crate) archived_before: Option<Timestamp>,
    /// Whether every receipt of both sides was compared.
    pub(crate) is_complete: bool,
    /// Reason why the source could not be read, as one word.
    pub(crate) unavailable: Option<String>,
}

impl AuditedSource {
    /// Returns the exit code for one source.
    fn exit(&self) -> Exit {
        if !self.lost.is_empty() {
            Exit::ReceiptMissing
        } else if self.unavailable.is_some() {
            Exit::Unreachable
        } else if !self.orphans.is_empty() {
            Exit::ReceiptOrphaned
        } else {
            Exit::Ok
        }
    }

    fn add(&mut self, page: AuditedPage) {
        self.compared += page.compared;
        self.lost.extend(page.lost);
        self.orphans.extend(page.orphans);
        self.foreign += page.foreign;
        self.archived_before = page.archived_before;
        self.unavailable = page.unavailable;
    }
}

/// Returns the exit code for all sources: missing receipts before unreadable sources, and those before orphans.
pub(crate) fn audit_exit(sources: &[AuditedSource]) -> Exit {
    let has = |exit| sources.iter().any(|source| source.exit() == exit);
    let by_weight = [Exit::ReceiptMissing, Exit::Unreachable, Exit::ReceiptOrphaned];
    by_weight.into_iter().find(|exit| has(*exit)).unwrap_or(Exit::Ok)
}

/// Makes a writer compare sources with the ledger: the newest pages, or with `all` every page.
///
/// # Errors
/// A writer that does not respond (exit 6).
pub(crate) async fn audit(
    session: &mut LedgerConnection,
    context: &Context,
    sources: &[String],
    all: bool,
) -> Result<Vec<AuditedSource>, ExitError> {
    let link = session.writer(context).await?;
    let mut writer = WriterClient::at(&link);
    let mut found = Vec::new();
    for source in sources {
        found.push(audit_source(&mut writer, source, all).await?);
    }
    Ok(found)
}

async fn audit_source(
    writer: &mut WriterClient,
    source: &str,
    all: bool,
) -> Result<AuditedSource, ExitError> {
    let mut found = AuditedSource {
        source: source.to_owned(),
        ..AuditedSource::default()
    };
    let (mut before, mut from) = (0, String::new());
    for _ in 0..PAGES_MAX {
        let page = writer.audit_receipts(source, before, &from).await?;
        let (next_before, next_from) = (page.next_before_seq, page.next_source_page.clone());
        found.add(page);
        found.is_complete = next_before == 0 && next_from.is_empty() && found.unavailable.is_none();
        if found.is_complete || !all || found.unavailable.is_some() {
            break;
        }
        // A side that is absent beside the other has ended and is not read again.
        (before, from) = (next_before, next_from);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(lost: bool, orphan: bool, away: bool) -> AuditedSource {
        let named = ReceiptRef {
            proposal_id: synapsor_domain::ids::ProposalId::from_random([1; 10]),
            receipt_digest: synapsor_domain::digest::Digest::from_bytes([1; 32]),
        };
        let some = |is: bool| is.then(|| named.clone()).into_iter().collect();
        AuditedSource {
            lost: some(lost),
            orphans: some(orphan),
            unavailable: away.then(|| "unreachable".to_owned()),
            ..AuditedSource::default()
        }
    }

    #[test]
    fn missing_receipts_take_precedence_in_exit_code() {
        let fine = || source(false, false, false);
        for (sources, exit) in [
            (vec![fine(), fine()], Exit::Ok),
            (vec![fine(), source(false, true, false)], Exit::ReceiptOrphaned),
            (
                vec![source(false, true, false), source(false, false, true)],
                Exit::Unreachable,
            ),
            (
                vec![source(false, false, true), source(true, true, false)],
                Exit::ReceiptMissing,
            ),
            (vec![source(true, false, true)], Exit::ReceiptMissing),
        ] {
            assert_eq!(audit_exit(&sources), exit);
        }
    }
}
