//! Lists of signed records. Every signature is verified; the completeness of a list is an unverified claim of
//! the ledger.

use std::collections::BTreeSet;

use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::digest::Digest;
use synapsor_domain::evidence::Evidence;
use synapsor_domain::proposal::{ProposalState, VerifiedProposal};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::trust::{Position, TrustFile};
use synapsor_domain::writeback::AttemptResult;

use super::fetch_proposal::{SignedReceipt, open_attempt_at, open_receipt};
use super::ledger::check_log;
use super::list_part::{ListPart, ListRange, read_part};
use crate::clients::{
    EvidenceQuery, FoundEvidence, LedgerClient, ProposalQuery, ProposalRecord, ReceiptQuery,
    verification_failed,
};
use crate::connection::LedgerConnection;

/// A row of a proposal list.
#[derive(Debug)]
pub(crate) struct ListedProposal {
    pub(crate) attested: VerifiedProposal,
    pub(crate) state: ProposalState,
    /// Result of the newest attempt that has ended, if an active writer key signed it.
    pub(crate) attempt: Option<AttemptResult>,
    pub(crate) updated_at: Timestamp,
    /// Newest human action with its position, as the ledger returns it.
    pub(crate) human_action: Option<(u64, DsseEnvelope)>,
}

/// A row of an evidence list.
#[derive(Debug)]
pub(crate) struct ListedEvidence {
    pub(crate) digest: Digest,
    pub(crate) evidence: Evidence,
}

/// A list of proposals, newest first.
#[derive(Debug)]
pub(crate) struct ProposalList {
    pub(crate) part: ListPart<ListedProposal>,
    /// Number of matches in the ledger, as it reports it; it counts up to 10001. `None` if this machine filters too,
    /// or for a part that does not begin with the newest.
    pub(crate) total: Option<u32>,
}

/// Returns matching proposals of a range, newest first.
pub(crate) async fn list_proposals(
    session: &LedgerConnection,
    filter: &ProposalQuery,
    (before, limit): (Option<u64>, u32),
) -> Result<ProposalList, ExitError> {
    check_log(session).await?;
    let range = ListRange {
        before,
        limit,
        is_filtered: !filter.table.is_empty(),
    };
    let (mut ledger, mut total) = (LedgerClient::of(session), None);
    let fetch = async |size: u32, token: &str| {
        let page = ledger.list(filter, size, token).await?;
        total = total.or(page.total);
        Ok((page.proposals, page.next_page_token))
    };
    let open = |record: ProposalRecord| {
        let row = open_listed(record, session.trust())?;
        let proposal = row.attested.proposal();
        // An earlier ledger does not know these filters.
        let table = format!("{}.{}", proposal.target.schema, proposal.target.table);
        let is_met = filter.mode.is_none_or(|mode| mode == proposal.mode) && filter.table.is_met_by(&table);
        Ok(is_met.then_some(row))
    };
    let part = read_part(range, fetch, open).await?;
    Ok(ProposalList { part, total })
}

/// Maximum number of times that the open proposals are listed until none is new.
const OPEN_ROUNDS_MAX: usize = 5;

/// Returns every matching proposal that is open, at any age.
pub(crate) async fn open_proposals(
    session: &LedgerConnection,
    filter: &ProposalQuery,
) -> Result<Vec<ListedProposal>, ExitError> {
    let list = async |state: ProposalState| {
        let filter = ProposalQuery {
            state: Some(state),
            ..filter.clone()
        };
        let list = list_proposals(session, &filter, (None, u32::MAX)).await?;
        Ok(list.part.rows)
    };
    of_every_state(&open_states(filter.state), list, |row| {
        row.attested.proposal().id.clone()
    })
    .await
}

/// Lists each state until no row is new. By state, because ended proposals can be any number; a proposal that changes its
/// state meanwhile is found in its next state, or in the next round.
async fn of_every_state<T, I: Ord>(
    states: &[ProposalState],
    mut list: impl AsyncFnMut(ProposalState) -> Result<Vec<T>, ExitError>,
    id: impl Fn(&T) -> I,
) -> Result<Vec<T>, ExitError> {
    let (mut found, mut ids) = (Vec::new(), BTreeSet::new());
    for _ in 0..OPEN_ROUNDS_MAX {
        let before = found.len();
        for state in states {
            let rows = list(*state).await?;
            found.extend(rows.into_iter().filter(|row| ids.insert(id(row))));
        }
        if found.len() == before {
            break;
        }
    }
    Ok(found)
}

/// Returns the requested state if it is open; without one, every open state in the order in which proposals pass them.
fn open_states(requested: Option<ProposalState>) -> Vec<ProposalState> {
    let is_requested = move |state: &ProposalState| requested.is_none_or(|requested| requested == *state);
    ProposalState::ALL
        .into_iter()
        .filter(|state| !state.is_terminal())
        .filter(is_requested)
        .collect()
}

fn open_listed(record: ProposalRecord, trust: &TrustFile) -> Result<ListedProposal, ExitError> {
    let attested = VerifiedProposal::verify_historical(record.proposal, trust)
        .map_err(|e| verification_failed(ErrorCode::ProposalNotAttested, e))?;
    // A report of a retired key needs a proof that a list does not fetch.
    let report = record.attempt.as_ref();
    let attempt = report
        .and_then(|report| open_attempt_at(report, trust, &Position::Unproven).ok())
        .map(|report| report.result);
    Ok(ListedProposal {
        attested,
        state: record.state,
        attempt,
        updated_at: record.updated_at,
        human_action: record.human_action,
    })
}

/// Returns matching evidence of a range, newest first.
pub(crate) async fn list_evidence(
    session: &LedgerConnection,
    filter: &EvidenceQuery,
    (before, limit): (Option<u64>, u32),
) -> Result<ListPart<ListedEvidence>, ExitError> {
    check_log(session).await?;
    let range = ListRange {
        before,
        limit,
        is_filtered: !filter.table.is_empty(),
    };
    let mut ledger = LedgerClient::of(session);
    let fetch = async |size: u32, token: &str| {
        let page = ledger.list_evidence(filter, size, token).await?;
        Ok((page.signed, page.next_page_token))
    };
    let open = |envelope: DsseEnvelope| {
        let found = open_evidence(&envelope, session.trust())?;
        Ok(is_of(&found.evidence, filter).then_some(found))
    };
    read_part(range, fetch, open).await
}

/// Whether evidence has the values of a filter. The proposals that cite it are a claim of the ledger.
fn is_of(evidence: &Evidence, filter: &EvidenceQuery) -> bool {
    let is = |wanted: &str, value: &str| wanted.is_empty() || wanted == value;
    let target = &evidence.target;
    is(&filter.tenant, &evidence.requested_by.tenant)
        && is(&filter.principal, &evidence.requested_by.principal)
        && is(&filter.capability, &evidence.capability)
        && is(&filter.source_id, &evidence.source.id)
        && filter
            .table
            .is_met_by(&format!("{}.{}", target.schema, target.table))
        && is(&filter.object_id, &target.object_id().unwrap_or_default())
        && is(&filter.query_fingerprint, &evidence.query_fingerprint.to_string())
        && filter.read_from.is_none_or(|from| evidence.read_at >= from)
        && filter.read_to.is_none_or(|to| evidence.read_at < to)
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

/// Returns matching receipts of a range, newest first.
pub(crate) async fn list_receipts(
    session: &LedgerConnection,
    filter: &ReceiptQuery,
    (before, limit): (Option<u64>, u32),
) -> Result<ListPart<SignedReceipt>, ExitError> {
    check_log(session).await?;
    let range = ListRange {
        before,
        limit,
        is_filtered: false,
    };
    let mut ledger = LedgerClient::of(session);
    let fetch = async |size: u32, token: &str| {
        let page = ledger.list_receipts(filter, size, token).await?;
        Ok((page.signed, page.next_page_token))
    };
    let open = |envelope: DsseEnvelope| open_receipt(&envelope, session.trust()).map(Some);
    read_part(range, fetch, open).await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_commands_ask_for_open_states_only() {
        let open = open_states(None);
        assert_eq!(open.len(), 4);
        assert!(open.iter().all(|state| !state.is_terminal()), "{open:?}");
        let approved = open_states(Some(ProposalState::Approved));
        assert_eq!(approved, [ProposalState::Approved]);
        assert!(open_states(Some(ProposalState::Applied)).is_empty());
    }

    /// An attempt that is released returns its proposal to a state that was listed before.
    #[tokio::test]
    async fn proposal_that_returns_to_an_earlier_state_is_found() {
        let mut lists = 0;
        let list = async |state: ProposalState| {
            lists += 1;
            let is_there = lists > open_states(None).len() && state == ProposalState::Approved;
            Ok(if is_there { vec!["wrp_1"] } else { vec!["wrp_2"] })
        };
        let found = of_every_state(&open_states(None), list, |id| *id).await.unwrap();
        assert_eq!(found, ["wrp_2", "wrp_1"]);
    }
}
