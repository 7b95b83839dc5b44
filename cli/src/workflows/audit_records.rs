//! Audit records of calls: lists as the ledger claims them, and single records proven in the signed log.

use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::canonical;
use synapsor_domain::event::{EventKind, ReadBody};
use synapsor_domain::evidence::AuditRecord;
use synapsor_domain::log::ProvenEntry;

use super::ledger::check_log;
use super::list_part::{ListPart, ListRange, read_part};
use crate::clients::{AuditQuery, LedgerClient, verification_failed};
use crate::connection::LedgerConnection;
use crate::pinned_checkpoint::CheckpointPin;

/// Minimum length of an id prefix.
const REFERENCE_MIN: usize = 4;

/// A row of a list of audit records.
#[derive(Debug, Clone)]
pub(crate) struct ListedAuditRecord {
    /// Position of its event in the log.
    pub(crate) seq: u64,
    pub(crate) record: AuditRecord,
}

/// Condition on an audit record that the ledger cannot check, or that is checked again here.
pub(crate) type AuditCondition<'a> = &'a (dyn Fn(&AuditRecord) -> bool + Sync);

/// Returns matching audit records of a range, newest first. They are not signed one by one; [`audit_record`] proves
/// one. A `condition` is checked here, on every page of the ledger.
pub(crate) async fn list_audit_records(
    session: &LedgerConnection,
    filter: &AuditQuery,
    condition: Option<AuditCondition<'_>>,
    (before, limit): (Option<u64>, u32),
) -> Result<ListPart<ListedAuditRecord>, ExitError> {
    check_log(session).await?;
    let range = ListRange {
        before,
        limit,
        is_filtered: condition.is_some() || !filter.table.is_empty() || filter.without_proposal,
    };
    let mut ledger = LedgerClient::of(session);
    let fetch = async |size: u32, token: &str| ledger.list_audit_records(filter, size, token).await;
    let open = |(seq, bytes): (u64, Vec<u8>)| {
        let record = decoded(&bytes)?;
        let is_met = is_of(&record, filter) && condition.is_none_or(|is_met| is_met(&record));
        Ok(is_met.then_some(ListedAuditRecord { seq, record }))
    };
    read_part(range, fetch, open).await
}

/// Whether the fields of a record match a filter. The proposal is not compared: when a call repeats an open proposal,
/// only the event names it.
fn is_of(record: &AuditRecord, filter: &AuditQuery) -> bool {
    let optional = |wanted: &str, value: Option<&str>| wanted.is_empty() || value == Some(wanted);
    let fingerprint = record.query_fingerprint.map(|digest| digest.to_string());
    optional(&filter.tenant, record.tenant.as_deref())
        && optional(&filter.principal, record.principal.as_deref())
        && optional(&filter.capability, Some(&record.capability))
        && optional(&filter.source_id, record.source_id.as_deref())
        && filter
            .table
            .is_met_by(record.table.as_deref().unwrap_or_default())
        && !(filter.without_proposal && record.proposal_id.is_some())
        && optional(&filter.query_fingerprint, fingerprint.as_deref())
        && optional(&filter.result, Some(&record.result))
        && optional(
            &filter.evidence_id,
            record.evidence_id.as_ref().map(|id| id.as_str()),
        )
        && filter.from.is_none_or(|from| record.at >= from)
        && filter.to.is_none_or(|to| record.at < to)
}

/// Returns one audit record, by id, id prefix or position, after verifying that the signed log includes it.
pub(crate) async fn audit_record(
    session: &LedgerConnection,
    reference: &str,
) -> Result<ListedAuditRecord, ExitError> {
    if reference.len() < REFERENCE_MIN && reference.parse::<u64>().is_err() {
        let text = format!(
            "an audit record is named by at least {REFERENCE_MIN} characters of its id, or its position"
        );
        return Err(ExitError::new(ErrorCode::AuditRecordNotFound, text)
            .with_fix("list audit records with `query-audit list`"));
    }
    let mut pin = CheckpointPin::lock_and_load(&session.pin_path(), session.trust()).await?;
    let found = LedgerClient::of(session)
        .audit_record(reference, pin.known())
        .await?;
    let checkpoint = pin.accept(&found.checkpoint, found.consistency.as_ref())?;
    let event = found
        .record
        .verify(&checkpoint)
        .map_err(|error| verification_failed(ErrorCode::AuditRecordNotGenuine, error))?;
    let record = of_event(event.kind, &found.record)?;
    let is_requested = match reference.parse::<u64>() {
        Ok(seq) => seq == event.seq,
        Err(_) => record.id.as_str().starts_with(reference),
    };
    if !is_requested {
        let text = "the ledger returned another audit record";
        return Err(verification_failed(ErrorCode::AuditRecordForeign, text));
    }
    Ok(ListedAuditRecord {
        seq: event.seq,
        record,
    })
}

fn of_event(kind: EventKind, entry: &ProvenEntry) -> Result<AuditRecord, ExitError> {
    match kind {
        EventKind::QueryAudited | EventKind::CallRefused => decoded(&entry.body),
        EventKind::ReadRecorded => {
            let body = ReadBody::decode(&entry.body)
                .map_err(|error| verification_failed(ErrorCode::AuditRecordNotGenuine, error))?;
            decoded(&body.audit)
        }
        other => Err(verification_failed(
            ErrorCode::AuditRecordNotGenuine,
            format!("an event of kind {other} has no audit record"),
        )),
    }
}

fn decoded(bytes: &[u8]) -> Result<AuditRecord, ExitError> {
    canonical::decode(bytes).map_err(|error| verification_failed(ErrorCode::AuditRecordNotGenuine, error))
}
