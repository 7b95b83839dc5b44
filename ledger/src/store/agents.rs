//! Finds records for agents. Every lookup of an external id filters by the ticket's tenants, and does the same work
//! for a record of another tenant and for a missing one.

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};
use synapsor_domain::agent_view::{
    AgentProposalState, EVENTS_SHOWN_MAX, EventStateContext, EventSummary, SHOWN_EVENTS, STATE_EVENTS,
};
use synapsor_domain::context_ticket::{CONTEXTS_MAX, VerifiedTicket};
use synapsor_domain::event::EventKind;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::proposal::ProposalMode;
use synapsor_domain::timestamp::Timestamp;

use super::error::StoreError;
use super::proposals::{self, ProposalRow};
use super::row::{from_sql, to_sql};
use crate::failpoint::{self, RecordTable};

/// Maximum length of an id in a lookup, in bytes; every id of the ledger is shorter.
const ID_BYTES_MAX: usize = 64;

/// Maximum number of changes that one query returns.
const CHANGES_PAGE: usize = 200;

/// Maximum number of proposals listed for one evidence bundle.
const LINKS_MAX: u32 = 20;

/// Maximum distance between the evidence and the audit record of a call: only the proposal can be between them. In the
/// event of a read it is 0.
const AUDIT_DISTANCE: u64 = 2;

/// Tenants and principals of a ticket, repeated up to the maximum number, so that one statement fits all tickets.
#[derive(Debug, Clone)]
pub(crate) struct AgentScope {
    tenants: Vec<String>,
    principals: Vec<String>,
}

/// A state change that a watch reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateChange {
    pub(crate) seq: u64,
    pub(crate) proposal: ProposalId,
    pub(crate) tenant: String,
    pub(crate) principal: String,
    pub(crate) state: AgentProposalState,
}

impl AgentScope {
    pub(crate) fn of(ticket: &VerifiedTicket) -> Self {
        let contexts = ticket.contexts().iter().cycle().take(CONTEXTS_MAX);
        let (tenants, principals) = contexts.map(|c| (c.tenant.clone(), c.principal.clone())).unzip();
        Self { tenants, principals }
    }

    /// Returns the tenants, some of them more than once.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = &str> {
        self.tenants.iter().map(String::as_str)
    }

    /// Returns whether the filter has this tenant; compares with all, wherever the first equal one is.
    fn has_tenant(&self, tenant: &str) -> bool {
        self.tenants
            .iter()
            .fold(false, |found, own| found | (own == tenant))
    }

    fn tenant_values(&self) -> impl Iterator<Item = &dyn ToSql> {
        self.tenants.iter().map(|t| t as &dyn ToSql)
    }

    fn pairs(&self) -> impl Iterator<Item = &dyn ToSql> {
        let pairs = self.tenants.iter().zip(&self.principals);
        pairs.flat_map(|(t, p)| [t as &dyn ToSql, p as &dyn ToSql])
    }
}

/// Returns the proposal with this id, if it belongs to a tenant of the filter.
pub(crate) fn proposal(
    conn: &Connection,
    id: &str,
    scope: &AgentScope,
) -> Result<Option<ProposalRow>, StoreError> {
    let id = bounded(id);
    if !is_in_scope(conn, RecordTable::Proposals, &id, scope)? {
        return Ok(None);
    }
    let values: Vec<&dyn ToSql> = std::iter::once(&id as &dyn ToSql)
        .chain(scope.tenant_values())
        .collect();
    let found = proposals::rows(conn, &of_tenants("proposal_id"), &values)?;
    Ok(found.into_iter().next())
}

/// Returns the proposal with this id, if a principal of the filter created it in its tenant.
pub(crate) fn own_proposal(
    conn: &Connection,
    id: &str,
    scope: &AgentScope,
) -> Result<Option<ProposalRow>, StoreError> {
    let id = bounded(id);
    if !is_in_scope(conn, RecordTable::Proposals, &id, scope)? {
        return Ok(None);
    }
    let values: Vec<&dyn ToSql> = std::iter::once(&id as &dyn ToSql).chain(scope.pairs()).collect();
    let clause = format!(
        "proposal_id = ? AND (+tenant, +principal) IN (VALUES {})",
        ["(?, ?)"; CONTEXTS_MAX].join(", ")
    );
    Ok(proposals::rows(conn, &clause, &values)?.into_iter().next())
}

/// Returns the position of the evidence with this id, if it belongs to a tenant of the filter.
pub(crate) fn evidence(conn: &Connection, id: &str, scope: &AgentScope) -> Result<Option<u64>, StoreError> {
    let id = bounded(id);
    if !is_in_scope(conn, RecordTable::Evidence, &id, scope)? {
        return Ok(None);
    }
    let values = std::iter::once(&id as &dyn ToSql).chain(scope.tenant_values());
    let sql = format!("SELECT seq FROM evidence WHERE {}", of_tenants("evidence_id"));
    let seq: Option<i64> = conn
        .prepare_cached(&sql)?
        .query_row(params_from_iter(values), |row| row.get(0))
        .optional()?;
    seq.map(from_sql).transpose()
}

/// Returns whether the record with this id belongs to a tenant of the filter. The tenants are compared here: the
/// statements below build their lists of tenants only for a row that exists, which takes measurably longer.
fn is_in_scope(
    conn: &Connection,
    table: RecordTable,
    id: &str,
    scope: &AgentScope,
) -> Result<bool, StoreError> {
    let sql = match table {
        RecordTable::Proposals => "SELECT (SELECT tenant FROM proposals WHERE proposal_id = ?1)",
        RecordTable::Evidence => "SELECT (SELECT tenant FROM evidence WHERE evidence_id = ?1)",
    };
    let tenant: Option<String> = conn.prepare_cached(sql)?.query_row([id], |row| row.get(0))?;
    let is_in_scope = scope.has_tenant(tenant.as_deref().unwrap_or_default());
    if !is_in_scope {
        failpoint::foreign_id(conn, table, id);
    }
    Ok(is_in_scope)
}

/// Returns some of the proposals that use an evidence bundle, of the same tenant.
pub(crate) fn links(
    conn: &Connection,
    evidence_id: &str,
    tenant: &str,
) -> Result<Vec<ProposalId>, StoreError> {
    let mut query = conn.prepare_cached(
        "SELECT l.proposal_id FROM evidence_links l CROSS JOIN proposals p ON p.proposal_id = l.proposal_id \
         WHERE l.evidence_id = ?1 AND +p.tenant = ?2 ORDER BY l.proposal_id LIMIT ?3",
    )?;
    let ids = query.query_map(params![evidence_id, tenant, LINKS_MAX], |row| {
        row.get::<_, String>(0)
    })?;
    ids.map(|id| id?.parse().map_err(|_| damaged())).collect()
}

/// Returns the position of the audit record of the call that submitted the evidence at `seq`.
pub(crate) fn audit_of(conn: &Connection, seq: u64, evidence_id: &str) -> Result<Option<u64>, StoreError> {
    let found: Option<i64> = conn
        .prepare_cached("SELECT seq FROM audit WHERE seq >= ?1 AND seq <= ?2 AND evidence_id = ?3 LIMIT 1")?
        .query_row(
            params![to_sql(seq), to_sql(seq + AUDIT_DISTANCE), evidence_id],
            |row| row.get(0),
        )
        .optional()?;
    found.map(from_sql).transpose()
}

/// Returns the newest events of a proposal that agents may see, oldest first, and whether older ones were omitted.
/// The statement names the index because the planner could otherwise scan the whole log for the kinds.
pub(crate) fn events_of(conn: &Connection, id: &ProposalId) -> Result<(Vec<EventSummary>, bool), StoreError> {
    let mut query = conn.prepare_cached(&format!(
        "SELECT kind, at FROM event_index INDEXED BY event_index_by_proposal \
         WHERE proposal_id = ?1 AND kind IN ({}) ORDER BY seq DESC LIMIT ?2",
        quoted(&SHOWN_EVENTS)
    ))?;
    let limit = i64::try_from(EVENTS_SHOWN_MAX + 1).unwrap_or(i64::MAX);
    let rows = query.query_map(params![id.as_str(), limit], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
    })?;
    let mut events = Vec::new();
    for row in rows {
        let (kind, at) = row?;
        events.push(EventSummary {
            kind: kind.parse().map_err(|_| damaged())?,
            at: Timestamp::from_unix_millis(at),
        });
    }
    let omitted = events.len() > EVENTS_SHOWN_MAX;
    events.truncate(EVENTS_SHOWN_MAX);
    events.reverse();
    Ok((events, omitted))
}

/// Returns the position of the event by which an agent withdrew the proposal.
pub(crate) fn withdrawal(conn: &Connection, id: &ProposalId) -> Result<Option<u64>, StoreError> {
    let seq: Option<i64> = conn
        .prepare_cached(&format!(
            "SELECT seq FROM event_index INDEXED BY event_index_by_proposal \
             WHERE proposal_id = ?1 AND kind = '{}' LIMIT 1",
            EventKind::ProposalWithdrawn
        ))?
        .query_row([id.as_str()], |row| row.get(0))
        .optional()?;
    seq.map(from_sql).transpose()
}

/// Returns state changes in `from..to` of the log for the filter's tenants, oldest first, and the position up to
/// which the result is complete. The cost depends on the length of the range, not on the size of the ledger.
pub(crate) fn changes(
    conn: &Connection,
    (from, to): (u64, u64),
    scope: &AgentScope,
) -> Result<(Vec<StateChange>, u64), StoreError> {
    let mut query = conn.prepare_cached(&format!(
        "SELECT i.seq, i.kind, p.proposal_id, p.tenant, p.principal, p.mode, \
           (SELECT r.outcome FROM receipts r WHERE r.proposal_id = p.proposal_id), \
           (SELECT count(DISTINCT d.person) >= max(p.quorum, 1) FROM decisions d \
            WHERE d.proposal_id = p.proposal_id AND d.verdict = 'approve' AND d.seq <= i.seq), \
           EXISTS (SELECT 1 FROM event_index x INDEXED BY event_index_by_proposal \
            WHERE x.proposal_id = p.proposal_id AND x.seq <= i.seq AND x.kind = '{}') \
         FROM event_index i NOT INDEXED CROSS JOIN proposals p ON p.proposal_id = i.proposal_id \
         WHERE i.seq >= ? AND i.seq < ? AND i.kind IN ({}) AND +p.tenant IN ({}) ORDER BY i.seq LIMIT ?",
        EventKind::WritebackInDoubt,
        quoted(&STATE_EVENTS),
        ["?"; CONTEXTS_MAX].join(", "),
    ))?;
    let (low, high) = (to_sql(from), to_sql(to));
    let limit = i64::try_from(CHANGES_PAGE).unwrap_or(i64::MAX);
    let mut values: Vec<&dyn ToSql> = vec![&low, &high];
    values.extend(scope.tenant_values());
    values.push(&limit);
    let mut rows = query.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(change(row)?);
    }
    let complete_to = match found.last() {
        Some(last) if found.len() == CHANGES_PAGE => last.seq + 1,
        Some(_) | None => to,
    };
    Ok((found, complete_to))
}

fn change(row: &Row<'_>) -> Result<StateChange, StoreError> {
    let text = |i| row.get::<_, String>(i);
    let kind: EventKind = text(1)?.parse().map_err(|_| damaged())?;
    let outcome = row
        .get::<_, Option<String>>(6)?
        .map(|outcome| outcome.parse().map_err(|_| damaged()))
        .transpose()?;
    let mode = ProposalMode::from_text(&text(5)?).ok_or_else(damaged)?;
    let standing = EventStateContext {
        mode,
        is_approved: row.get(7)?,
        is_in_doubt: row.get(8)?,
        outcome,
    };
    Ok(StateChange {
        seq: from_sql(row.get(0)?)?,
        proposal: text(2)?.parse().map_err(|_| damaged())?,
        tenant: text(3)?,
        principal: text(4)?,
        state: AgentProposalState::after(kind, standing).ok_or_else(damaged)?,
    })
}

/// The plus keeps the planner from scanning a whole tenant for one id.
fn of_tenants(id: &str) -> String {
    format!("{id} = ? AND +tenant IN ({})", ["?"; CONTEXTS_MAX].join(", "))
}

/// Replaces an oversized id with one that matches no record, so that the lookup still runs.
fn bounded(id: &str) -> String {
    if id.len() > ID_BYTES_MAX {
        String::new()
    } else {
        id.to_owned()
    }
}

fn quoted(kinds: &[EventKind]) -> String {
    let names: Vec<_> = kinds.iter().map(|k| format!("'{k}'")).collect();
    names.join(", ")
}

fn damaged() -> StoreError {
    StoreError::Tampered("the rows of a proposal are malformed".to_owned())
}
