//! Finding records for agents. Every statement that takes an id from outside has the ticket's tenants in its WHERE
//! and does the same work whether the record is there, is another tenant's or is no record at all.

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

/// Bytes of an id that is looked for; nothing longer is an id of ours.
const ID_BYTES_MAX: usize = 64;

/// Changes that one look gives at most.
const CHANGES_PAGE: usize = 200;

/// Proposals that one evidence bundle names at most.
const LINKS_MAX: u32 = 20;

/// The audit record of a call stands at most so far behind its evidence: between them is the proposal, if any.
const AUDIT_DISTANCE: u64 = 2;

/// Tenants and principals of a ticket, repeated up to the most that there can be, so that one statement fits all.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    tenants: Vec<String>,
    principals: Vec<String>,
}

/// A change of state that a watcher is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) seq: u64,
    pub(crate) proposal: ProposalId,
    pub(crate) tenant: String,
    pub(crate) principal: String,
    pub(crate) state: AgentProposalState,
}

impl Scope {
    pub(crate) fn of(ticket: &VerifiedTicket) -> Self {
        let contexts = ticket.contexts().iter().cycle().take(CONTEXTS_MAX);
        let (tenants, principals) = contexts.map(|c| (c.tenant.clone(), c.principal.clone())).unzip();
        Self { tenants, principals }
    }

    /// The tenants, some of them more than once.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = &str> {
        self.tenants.iter().map(String::as_str)
    }

    fn tenant_values(&self) -> impl Iterator<Item = &dyn ToSql> {
        self.tenants.iter().map(|t| t as &dyn ToSql)
    }

    fn pairs(&self) -> impl Iterator<Item = &dyn ToSql> {
        let pairs = self.tenants.iter().zip(&self.principals);
        pairs.flat_map(|(t, p)| [t as &dyn ToSql, p as &dyn ToSql])
    }
}

/// The proposal with this id, if a tenant of the scope has it.
pub(crate) fn proposal(
    conn: &Connection,
    id: &str,
    scope: &Scope,
) -> Result<Option<ProposalRow>, StoreError> {
    let id = bounded(id);
    let values: Vec<&dyn ToSql> = std::iter::once(&id as &dyn ToSql)
        .chain(scope.tenant_values())
        .collect();
    Ok(proposals::rows(conn, &of_tenants("proposal_id"), &values)?
        .into_iter()
        .next())
}

/// The same for a proposal that one of the scope's principals made in its tenant.
pub(crate) fn own_proposal(
    conn: &Connection,
    id: &str,
    scope: &Scope,
) -> Result<Option<ProposalRow>, StoreError> {
    let id = bounded(id);
    let values: Vec<&dyn ToSql> = std::iter::once(&id as &dyn ToSql).chain(scope.pairs()).collect();
    let clause = format!(
        "proposal_id = ? AND (+tenant, +principal) IN (VALUES {})",
        ["(?, ?)"; CONTEXTS_MAX].join(", ")
    );
    Ok(proposals::rows(conn, &clause, &values)?.into_iter().next())
}

/// Place of the evidence with this id, if a tenant of the scope has it.
pub(crate) fn evidence(conn: &Connection, id: &str, scope: &Scope) -> Result<Option<u64>, StoreError> {
    let id = bounded(id);
    let values = std::iter::once(&id as &dyn ToSql).chain(scope.tenant_values());
    let sql = format!("SELECT seq FROM evidence WHERE {}", of_tenants("evidence_id"));
    let seq: Option<i64> = conn
        .prepare_cached(&sql)?
        .query_row(params_from_iter(values), |row| row.get(0))
        .optional()?;
    seq.map(from_sql).transpose()
}

/// Some of the proposals that rest on an evidence bundle, of the same tenant.
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

/// Place of the audit record of the call that filed the evidence at `seq`.
pub(crate) fn audit_of(conn: &Connection, seq: u64, evidence_id: &str) -> Result<Option<u64>, StoreError> {
    let found: Option<i64> = conn
        .prepare_cached("SELECT seq FROM audit WHERE seq > ?1 AND seq <= ?2 AND evidence_id = ?3 LIMIT 1")?
        .query_row(
            params![to_sql(seq), to_sql(seq + AUDIT_DISTANCE), evidence_id],
            |row| row.get(0),
        )
        .optional()?;
    found.map(from_sql).transpose()
}

/// The newest events about a proposal that agents are shown, oldest first, and whether older ones were left out.
/// The index is named because the planner could look through the whole log for the kinds.
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

/// Place of the event by which an agent has taken the proposal back.
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

/// Changes of state in `from..to` of the log for the scope's tenants, oldest first, and the place up to which that
/// is all of them. The cost follows the length of the range, not what the ledger holds.
pub(crate) fn changes(
    conn: &Connection,
    (from, to): (u64, u64),
    scope: &Scope,
) -> Result<(Vec<Change>, u64), StoreError> {
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
    let told = match found.last() {
        Some(last) if found.len() == CHANGES_PAGE => last.seq + 1,
        Some(_) | None => to,
    };
    Ok((found, told))
}

fn change(row: &Row<'_>) -> Result<Change, StoreError> {
    let text = |i| row.get::<_, String>(i);
    let kind: EventKind = text(1)?.parse().map_err(|_| damaged())?;
    let outcome = row
        .get::<_, Option<String>>(6)?
        .map(|outcome| outcome.parse().map_err(|_| damaged()))
        .transpose()?;
    let mode = match text(5)?.as_str() {
        "shadow" => ProposalMode::Shadow,
        _ => ProposalMode::Review,
    };
    let standing = EventStateContext {
        mode,
        is_approved: row.get(7)?,
        is_in_doubt: row.get(8)?,
        outcome,
    };
    Ok(Change {
        seq: from_sql(row.get(0)?)?,
        proposal: text(2)?.parse().map_err(|_| damaged())?,
        tenant: text(3)?,
        principal: text(4)?,
        state: AgentProposalState::after(kind, standing).ok_or_else(damaged)?,
    })
}

/// The plus keeps the planner from looking through a whole tenant for one id.
fn of_tenants(id: &str) -> String {
    format!("{id} = ? AND +tenant IN ({})", ["?"; CONTEXTS_MAX].join(", "))
}

/// What can be no id is looked for all the same, as one that nothing has.
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
    StoreError::Tampered("the rows about a proposal do not read".to_owned())
}
