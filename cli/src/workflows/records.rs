//! Lists of signed records. Every signature is verified; the completeness of a list is an unverified claim of
//! the ledger.

use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::digest::Digest;
use synapsor_domain::evidence::Evidence;
use synapsor_domain::proposal::{Proposal, ProposalState, VerifiedProposal};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::trust::{Position, TrustFile};
use synapsor_domain::writeback::AttemptResult;
use synapsor_proto::ledger::v1::ReceiptOutcomeGroup;

use super::fetch_proposal::{SignedReceipt, open_attempt_at, open_receipt};
use super::ledger::check_log;
use crate::clients::{EvidenceQuery, FoundEvidence, LedgerClient, ProposalQuery, verification_failed};
use crate::connection::LedgerConnection;

/// Maximum number of rows of one page.
const PAGE_ROWS_MAX: u32 = 200;

/// A row of a proposal list.
#[derive(Debug)]
pub(crate) struct ListedProposal {
    pub(crate) attested: VerifiedProposal,
    pub(crate) state: ProposalState,
    /// Result of the newest attempt that has ended, if an active writer key signed it.
    pub(crate) attempt: Option<AttemptResult>,
    pub(crate) updated_at: Timestamp,
}

/// A row of an evidence list.
#[derive(Debug)]
pub(crate) struct ListedEvidence {
    pub(crate) digest: Digest,
    pub(crate) evidence: Evidence,
}

/// A list of proposals, newest first.
#[derive(Debug, Default)]
pub(crate) struct ProposalList {
    pub(crate) rows: Vec<ListedProposal>,
    /// Number of matches in the ledger, as it reports it; it counts up to 10001. `None` if this machine filters too.
    pub(crate) total: Option<u32>,
    /// Whether older proposals match too.
    pub(crate) has_more: bool,
}

/// Condition on a proposal that the ledger cannot check.
pub(crate) type ProposalCondition<'a> = &'a (dyn Fn(&Proposal) -> bool + Sync);

/// Condition on an evidence record that the ledger cannot check.
pub(crate) type EvidenceCondition<'a> = &'a (dyn Fn(&Evidence) -> bool + Sync);

/// Returns the newest matching proposals, at most `limit`. A `condition` is checked here, on every page of the ledger.
pub(crate) async fn list_proposals(
    session: &LedgerConnection,
    filter: &ProposalQuery,
    condition: Option<ProposalCondition<'_>>,
    limit: u32,
) -> Result<ProposalList, ExitError> {
    check_log(session).await?;
    let (mut ledger, mut rows, mut token) = (LedgerClient::of(session), Vec::new(), String::new());
    let mut total = None;
    // One more than is returned reveals whether there are more.
    let wanted = limit.saturating_add(1);
    loop {
        let room = match condition {
            Some(_) => PAGE_ROWS_MAX,
            None => wanted.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX)),
        };
        let page = ledger.list(filter, room.clamp(1, PAGE_ROWS_MAX), &token).await?;
        total = total.or(page.total.filter(|_| condition.is_none()));
        for record in page.proposals {
            let attested = VerifiedProposal::verify_historical(record.proposal, session.trust())
                .map_err(|e| verification_failed(ErrorCode::ProposalNotAttested, e))?;
            if condition.is_some_and(|is_met| !is_met(attested.proposal())) {
                continue;
            }
            // A report of a retired key needs a proof that a list does not fetch.
            let report = record.attempt.as_ref();
            let attempt = report
                .and_then(|report| open_attempt_at(report, session.trust(), &Position::Unproven).ok())
                .map(|report| report.result);
            rows.push(ListedProposal {
                attested,
                state: record.state,
                attempt,
                updated_at: record.updated_at,
            });
        }
        if is_last(&page.next_page_token, &token, rows.len(), wanted) {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            let has_more = rows.len() > limit;
            rows.truncate(limit);
            return Ok(ProposalList {
                rows,
                total,
                has_more,
            });
        }
        token = page.next_page_token;
    }
}

/// Returns the newest matching evidence, at most `limit`. A `condition` is checked here, on every page of the ledger.
pub(crate) async fn list_evidence(
    session: &LedgerConnection,
    filter: &EvidenceQuery,
    condition: Option<EvidenceCondition<'_>>,
    limit: u32,
) -> Result<Vec<ListedEvidence>, ExitError> {
    check_log(session).await?;
    let (mut ledger, mut rows, mut token) = (LedgerClient::of(session), Vec::new(), String::new());
    loop {
        let size = if condition.is_some() { PAGE_ROWS_MAX } else { limit };
        let page = ledger
            .list_evidence(filter, size.clamp(1, PAGE_ROWS_MAX), &token)
            .await?;
        for envelope in &page.signed {
            let found = open_evidence(envelope, session.trust())?;
            if condition.is_none_or(|is_met| is_met(&found.evidence)) {
                rows.push(found);
            }
        }
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        if is_last(&page.next_page_token, &token, rows.len(), limit) {
            return Ok(rows);
        }
        token = page.next_page_token;
    }
}

/// Returns one evidence record and the proposals that cite it.
pub(crate) async fn evidence(
    session: &LedgerConnection,
    id: &str,
) -> Result<(ListedEvidence, Vec<String>), ExitError> {
    check_log(session).await?;
    let FoundEvidence {
        evidence,
        proposal_ids,
    } = LedgerClient::of(session).evidence(id).await?;
    let found = open_evidence(&evidence, session.trust())?;
    if !found.evidence.id.as_str().starts_with(id) {
        return Err(verification_failed(
            ErrorCode::EvidenceForeign,
            "ledger returned another evidence record",
        ));
    }
    Ok((found, proposal_ids))
}

/// Returns the newest matching receipts, at most `limit`.
pub(crate) async fn list_receipts(
    session: &LedgerConnection,
    proposal_id: &str,
    outcome: ReceiptOutcomeGroup,
    limit: u32,
) -> Result<Vec<SignedReceipt>, ExitError> {
    check_log(session).await?;
    let (mut ledger, mut rows, mut token) = (LedgerClient::of(session), Vec::new(), String::new());
    loop {
        let size = limit.clamp(1, PAGE_ROWS_MAX);
        let page = ledger.list_receipts(proposal_id, outcome, size, &token).await?;
        for envelope in &page.signed {
            rows.push(open_receipt(envelope, session.trust())?);
        }
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        if is_last(&page.next_page_token, &token, rows.len(), limit) {
            return Ok(rows);
        }
        token = page.next_page_token;
    }
}

fn open_evidence(envelope: &DsseEnvelope, trust: &TrustFile) -> Result<ListedEvidence, ExitError> {
    let wrong = |problem: String| verification_failed(ErrorCode::EvidenceNotGenuine, problem);
    let signer = envelope.signer().map_err(|e| wrong(e.to_string()))?;
    let key = trust
        .reader(signer)
        .ok_or_else(|| wrong("not signed by a reader key in the trust file".to_owned()))?;
    let evidence = envelope
        .verify_and_decode(ObjectKind::Evidence, &key.public_key)
        .map_err(|e| wrong(e.to_string()))?;
    Ok(ListedEvidence {
        digest: Digest::of(ObjectKind::Evidence, &envelope.payload),
        evidence,
    })
}

/// Whether the list ends here. A repeated page token would loop forever.
fn is_last(next: &str, now: &str, rows: usize, limit: u32) -> bool {
    next.is_empty() || next == now || u32::try_from(rows).unwrap_or(u32::MAX) >= limit
}
