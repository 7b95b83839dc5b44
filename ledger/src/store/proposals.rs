//! Finds proposals.

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};
use synapsor_codes::ErrorCode;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::event::EventKind;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::proposal::{Proposal, ProposalMode, ProposalState};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::table_filter::TableFilter;
use synapsor_domain::timestamp::Timestamp;

use super::error::StoreError;
use super::events;
use super::record_index::{self, one_of};
use super::row::{from_sql, to_sql};
use super::writer::StoreTxError;

/// A proposal as stored in the views.
#[derive(Debug, Clone)]
pub(crate) struct ProposalRow {
    pub(crate) id: ProposalId,
    pub(crate) created_seq: u64,
    pub(crate) changed_seq: u64,
    pub(crate) digest: Digest,
    pub(crate) state: ProposalState,
    pub(crate) started: bool,
    /// Number of attempts started so far.
    pub(crate) attempts: u32,
    pub(crate) source_id: String,
    pub(crate) mode: ProposalMode,
    pub(crate) quorum: u32,
}

/// Filters of a list; `None` means any.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProposalFilter {
    pub(crate) tenant: Option<String>,
    pub(crate) principal: Option<String>,
    pub(crate) capability: Option<String>,
    pub(crate) state: Option<ProposalState>,
    pub(crate) source_id: Option<String>,
    pub(crate) table: TableFilter,
    pub(crate) object_id: Option<String>,
    pub(crate) created_from_ms: Option<i64>,
    pub(crate) created_to_ms: Option<i64>,
    pub(crate) mode: Option<ProposalMode>,
}

const COLUMNS: &str = "proposal_id, created_seq, changed_seq, digest, state, started, attempts, source_id, \
                       mode, quorum";

/// Returns one proposal by its full id.
pub(crate) fn get(conn: &Connection, id: &ProposalId) -> Result<ProposalRow, StoreTxError> {
    find(conn, id)?.ok_or_else(|| not_found().into())
}

/// Returns one proposal like [`get`], or `None` when it is missing.
pub(crate) fn find(conn: &Connection, id: &ProposalId) -> Result<Option<ProposalRow>, StoreError> {
    one(conn, "proposal_id = ?1", id.as_str())
}

/// Returns the open proposal with exactly this content.
pub(crate) fn open_with_content(
    conn: &Connection,
    content: &Digest,
) -> Result<Option<ProposalRow>, StoreError> {
    one(
        conn,
        "content_digest = ?1 AND state IN ('pending_review', 'approved', 'pending_worker', 'in_doubt')",
        content.as_bytes(),
    )
}

/// Returns the number of open proposals of one tenant and principal.
pub(crate) fn count_open(conn: &Connection, tenant: &str, principal: &str) -> Result<u64, StoreError> {
    let count: Option<i64> = conn
        .prepare_cached("SELECT open FROM open_contexts WHERE tenant = ?1 AND principal = ?2")?
        .query_row([tenant, principal], |row| row.get(0))
        .optional()?;
    from_sql(count.unwrap_or(0))
}

/// Returns proposals without an attempt whose deadline has passed, oldest deadline first. The statement names the
/// index because the planner would otherwise scan every open proposal on each submission.
pub(crate) fn due(conn: &Connection, now: Timestamp, limit: u32) -> Result<Vec<ProposalId>, StoreError> {
    let mut query = conn.prepare_cached(
        "SELECT proposal_id FROM proposals INDEXED BY proposals_deadline \
         WHERE state IN ('pending_review', 'approved', 'pending_worker') \
         AND started = 0 AND not_after <= ?1 ORDER BY not_after LIMIT ?2",
    )?;
    let ids = query.query_map(params![now.as_unix_millis(), limit], |row| {
        row.get::<_, String>(0)
    })?;
    ids.map(|id| id?.parse().map_err(|_| damaged())).collect()
}

/// Resolves an operator's input: `latest`, a full id, a unique prefix, or a short code.
pub(crate) fn resolve(conn: &Connection, text: &str) -> Result<ProposalRow, StoreTxError> {
    if text == "latest" {
        let newest = rows(conn, "erased_seq IS NULL ORDER BY created_seq DESC LIMIT 1", &[])?;
        return newest.into_iter().next().ok_or_else(|| not_found().into());
    }
    let usable = text.len() >= 4
        && text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if !usable {
        return Err(not_found().into());
    }
    let end = format!("{text}~");
    let mut found = rows(
        conn,
        "proposal_id >= ?1 AND proposal_id < ?2 LIMIT 2",
        &[&text, &end],
    )?;
    if found.is_empty() {
        found = rows(conn, "short_code = ?1 LIMIT 2", &[&as_short_code(text)])?;
    }
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => Err(PublicError::new(
            ErrorCode::AmbiguousProposal,
            "ambiguous proposal id prefix; use more characters",
        )
        .into()),
        (None, _) => Err(not_found().into()),
    }
}

/// Normalizes a short code typed in lower case or without dashes.
fn as_short_code(text: &str) -> String {
    let plain: Vec<u8> = text.to_ascii_uppercase().bytes().filter(|b| *b != b'-').collect();
    let groups: Vec<_> = plain.chunks(4).map(String::from_utf8_lossy).collect();
    groups.join("-")
}

/// Returns a page of proposals, newest first, created before the event `before`.
pub(crate) fn list(
    conn: &Connection,
    filter: &ProposalFilter,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<ProposalRow>, StoreError> {
    let Some(tables) = record_index::tables(conn, &filter.table)? else {
        return Ok(Vec::new());
    };
    let (listed, mut values) = listed(filter, &tables, before);
    values.push(Box::new(limit));
    // The unary plus keeps the order out of the choice of an index.
    let clause = format!(
        "proposal_id IN (SELECT proposal_id FROM {listed} ORDER BY created_seq DESC LIMIT ?) ORDER BY +created_seq DESC"
    );
    let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
    rows(conn, &clause, &values)
}

/// Counts the proposals that a filter selects, up to `most`.
pub(crate) fn count(conn: &Connection, filter: &ProposalFilter, most: u32) -> Result<u32, StoreError> {
    let Some(tables) = record_index::tables(conn, &filter.table)? else {
        return Ok(0);
    };
    let (listed, mut values) = listed(filter, &tables, None);
    values.push(Box::new(most));
    let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {listed} LIMIT ?)");
    Ok(conn.query_row(&sql, values.as_slice(), |row| row.get(0))?)
}

/// Returns the table with the index and the conditions of a filter, and their values.
fn listed(filter: &ProposalFilter, tables: &[String], before: Option<u64>) -> (String, Vec<Box<dyn ToSql>>) {
    let mut wheres = vec!["erased_seq IS NULL"];
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    let texts = [
        ("tenant = ?", &filter.tenant),
        ("principal = ?", &filter.principal),
        ("capability = ?", &filter.capability),
        ("source_id = ?", &filter.source_id),
        ("object_id = ?", &filter.object_id),
    ];
    for (clause, value) in texts {
        if let Some(value) = value {
            wheres.push(clause);
            values.push(Box::new(value.clone()));
        }
    }
    let numbers = [
        ("created_at >= ?", filter.created_from_ms),
        ("created_at < ?", filter.created_to_ms),
        ("created_seq < ?", before.map(to_sql)),
    ];
    for (clause, value) in numbers {
        if let Some(value) = value {
            wheres.push(clause);
            values.push(Box::new(value));
        }
    }
    if let Some(mode) = filter.mode {
        wheres.push("mode = ?");
        values.push(Box::new(mode.as_str()));
    }
    if let Some(state) = filter.state {
        wheres.push("state = ?");
        values.push(Box::new(state.as_str()));
    }
    let index = match filter.object_id {
        Some(_) => "proposals_by_object",
        None => "proposals_listed",
    };
    let of_tables = (!tables.is_empty()).then(|| format!("table_name IN ({})", one_of(tables.len())));
    wheres.extend(of_tables.as_deref());
    values.extend(
        tables
            .iter()
            .map(|table| Box::new(table.clone()) as Box<dyn ToSql>),
    );
    let wheres = wheres.join(" AND ");
    (format!("proposals INDEXED BY {index} WHERE {wheres}"), values)
}

/// Returns proposals with an open attempt: a page of at most `limit` over all sources, most recently changed
/// first, of the proposals that changed before the event `before`.
pub(crate) fn open_attempts(
    conn: &Connection,
    sources: &[String],
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<ProposalRow>, StoreError> {
    const CLAUSE: &str = "source_id = ?1 AND started = 1 AND state IN ('approved', 'pending_worker', 'in_doubt') \
                          AND changed_seq < ?2 AND EXISTS (SELECT 1 FROM attempts a \
                            WHERE a.proposal_id = proposals.proposal_id AND (a.result IS NULL OR a.result = 'in_doubt')) \
                          ORDER BY changed_seq DESC LIMIT ?3";
    let before = before.map_or(i64::MAX, to_sql);
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    for source in sources {
        found.extend(rows(conn, CLAUSE, &[source, &before, &most])?);
    }
    found.sort_unstable_by_key(|row| std::cmp::Reverse(row.changed_seq));
    found.truncate(limit);
    Ok(found)
}

/// Returns the signed proposal and its decoded content.
pub(crate) fn signed(conn: &Connection, row: &ProposalRow) -> Result<(DsseEnvelope, Proposal), StoreError> {
    let envelope = events::envelope(conn, row.created_seq)?;
    let proposal = envelope
        .decode_unverified(ObjectKind::Proposal)
        .map_err(|_| damaged())?;
    Ok((envelope, proposal))
}

/// Event kinds that hold a receipt.
const SETTLING: [EventKind; 4] = [
    EventKind::WritebackApplied,
    EventKind::WritebackConflict,
    EventKind::WritebackFailed,
    EventKind::WritebackCanceled,
];
/// Event kinds that hold a writer's report without a receipt.
const UNSETTLED: [EventKind; 2] = [EventKind::WritebackReleased, EventKind::WritebackInDoubt];

/// Returns the newest report of an attempt, with its receipt if there is one.
pub(crate) fn newest_report(
    conn: &Connection,
    id: &ProposalId,
) -> Result<(Option<DsseEnvelope>, Option<DsseEnvelope>), StoreError> {
    if let Some(seq) = events::newest_of(conn, id.as_str(), &SETTLING)? {
        let body = super::records::settle_body(conn, seq)?;
        return Ok((Some(body.attempt), Some(body.receipt)));
    }
    let open = events::newest_of(conn, id.as_str(), &UNSETTLED)?;
    Ok((open.map(|seq| events::envelope(conn, seq)).transpose()?, None))
}

/// Returns the position of the same event.
pub(crate) fn newest_report_seq(conn: &Connection, id: &ProposalId) -> Result<Option<u64>, StoreError> {
    match events::newest_of(conn, id.as_str(), &SETTLING)? {
        Some(seq) => Ok(Some(seq)),
        None => events::newest_of(conn, id.as_str(), &UNSETTLED),
    }
}

/// Returns the same error for missing and inaccessible proposals.
pub(crate) fn not_found() -> PublicError {
    PublicError::new(
        ErrorCode::ProposalNotFound,
        "no such proposal; list proposals with `proposals list`",
    )
}

fn one(conn: &Connection, clause: &str, key: impl ToSql) -> Result<Option<ProposalRow>, StoreError> {
    Ok(rows(conn, clause, &[&key])?.into_iter().next())
}

pub(super) fn rows(
    conn: &Connection,
    clause: &str,
    values: &[&dyn ToSql],
) -> Result<Vec<ProposalRow>, StoreError> {
    let mut query = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM proposals WHERE {clause}"))?;
    let mut rows = query.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> Result<ProposalRow, StoreError> {
    let text = |i| row.get::<_, String>(i);
    Ok(ProposalRow {
        id: text(0)?.parse().map_err(|_| damaged())?,
        created_seq: from_sql(row.get(1)?)?,
        changed_seq: from_sql(row.get(2)?)?,
        digest: Digest::from_bytes(row.get(3)?),
        state: text(4)?.parse().map_err(|_| damaged())?,
        started: row.get(5)?,
        attempts: row.get(6)?,
        source_id: text(7)?,
        mode: ProposalMode::from_text(&text(8)?).ok_or_else(damaged)?,
        quorum: row.get(9)?,
    })
}

/// Returns the newest row about an order, if there is one.
pub(crate) fn newest_order(conn: &Connection, id: &ProposalId) -> Result<Option<u64>, StoreError> {
    let seq: Option<i64> = conn
        .prepare_cached("SELECT seq FROM apply_orders WHERE proposal_id = ?1 ORDER BY seq DESC LIMIT 1")?
        .query_row([id.as_str()], |row| row.get(0))
        .optional()?;
    seq.map(from_sql).transpose()
}

fn damaged() -> StoreError {
    StoreError::Tampered("the row of a proposal is malformed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrate;

    /// Returns how the database would run the list of a filter.
    fn plan(conn: &Connection, filter: &ProposalFilter) -> String {
        let (listed, values) = listed(filter, &["a.x".to_owned(), "b.x".to_owned()], Some(9));
        let sql =
            format!("EXPLAIN QUERY PLAN SELECT proposal_id FROM {listed} ORDER BY created_seq DESC LIMIT 5");
        let mut query = conn.prepare(&sql).unwrap();
        let steps = query
            .query_map(params_from_iter(values.iter()), |row| row.get::<_, String>(3))
            .unwrap();
        steps.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
    }

    #[test]
    fn list_reads_only_an_index_whatever_the_filter() {
        let conn = Connection::open_in_memory().unwrap();
        migrate::migrate(&conn).unwrap();
        let some = || Some("x".to_owned());
        let all = ProposalFilter {
            tenant: some(),
            principal: some(),
            capability: some(),
            source_id: some(),
            created_from_ms: Some(1),
            created_to_ms: Some(2),
            mode: Some(ProposalMode::Shadow),
            state: Some(ProposalState::Applied),
            ..ProposalFilter::default()
        };
        for filter in [&ProposalFilter::default(), &all] {
            let plan = plan(&conn, filter);
            assert!(plan.contains("COVERING INDEX proposals_listed"), "{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{plan}");
        }
        let of_object = ProposalFilter {
            object_id: some(),
            ..all
        };
        let plan = plan(&conn, &of_object);
        assert!(plan.contains("proposals_by_object (object_id=?"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}
