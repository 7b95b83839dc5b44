//! Selects the waiting proposals that a writer receives next. Sources have separate limits, the tenants of a
//! source are served round-robin, and only one writer works on a row at a time.

use std::collections::{BTreeMap, HashSet, VecDeque};

use rusqlite::{Connection, OptionalExtension as _, params};
use synapsor_domain::ids::ProposalId;
use synapsor_domain::timestamp::Timestamp;

use super::error::StoreError;

/// Limits for the proposals of one source that a writer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueBounds {
    /// Limit for all proposals.
    pub(crate) all: usize,
    /// Limit for proposals that are not in doubt; keeps capacity free for an attempt in doubt.
    pub(crate) ordinary: usize,
    /// Limit for one tenant; keeps capacity free for the others.
    pub(crate) tenant: usize,
    /// Limit for proposals in doubt.
    pub(crate) in_doubt: usize,
}

impl QueueBounds {
    /// Returns the limits of a writer that takes `all` proposals of a source at a time.
    pub(crate) fn of(all: usize) -> Self {
        Self {
            all,
            ordinary: all.saturating_sub(1).max(1).min(all),
            tenant: (all - all / 4).max(1).min(all),
            in_doubt: (all / 2).max(1).min(all),
        }
    }
}

/// Leased proposals of one source.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Number of proposals that the requesting writer holds and that are not in doubt, per tenant.
    by_tenant: BTreeMap<String, usize>,
    /// Number of proposals in doubt that the requesting writer holds.
    in_doubt: usize,
    /// Rows leased to any writer.
    rows: HashSet<Row>,
}

/// Table and key.
type Row = (String, String);

impl Held {
    fn ordinary(&self) -> usize {
        self.by_tenant.values().sum()
    }

    /// Returns the number of proposals of this source that the writer holds.
    pub(crate) fn own(&self) -> usize {
        self.ordinary() + self.in_doubt
    }

    fn left(&self, bounds: QueueBounds) -> usize {
        bounds.all.saturating_sub(self.own())
    }
}

/// Returns the leased proposals by source.
pub(crate) fn held(
    conn: &Connection,
    writer: &str,
    now: Timestamp,
) -> Result<BTreeMap<String, Held>, StoreError> {
    let mut query = conn.prepare_cached(
        "SELECT p.source_id, p.tenant, p.table_name, p.object_id, p.state = 'in_doubt', l.writer = ?1 \
         FROM leases l INDEXED BY leases_by_writer CROSS JOIN proposals p ON p.proposal_id = l.proposal_id \
         WHERE l.writer <> '' AND l.expires_at > ?2 AND p.state IN ('pending_worker', 'in_doubt')",
    )?;
    let mut rows = query.query(params![writer, now.as_unix_millis()])?;
    let mut found: BTreeMap<String, Held> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let held = found.entry(row.get(0)?).or_default();
        let (is_in_doubt, is_own): (bool, bool) = (row.get(4)?, row.get(5)?);
        if !is_in_doubt {
            held.rows.insert((row.get(2)?, row.get(3)?));
        }
        if is_own && is_in_doubt {
            held.in_doubt += 1;
        } else if is_own {
            *held.by_tenant.entry(row.get(1)?).or_default() += 1;
        }
    }
    Ok(found)
}

/// Returns whether any writer, including this one, holds a proposal about the same row.
pub(crate) fn is_row_held(conn: &Connection, id: &ProposalId, now: Timestamp) -> Result<bool, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM leases l INDEXED BY leases_by_writer \
               CROSS JOIN proposals p ON p.proposal_id = l.proposal_id \
             WHERE l.writer <> '' AND l.expires_at > ?2 AND l.proposal_id <> ?1 AND p.state = 'pending_worker' \
               AND (p.source_id, p.table_name, p.object_id) = \
                 (SELECT source_id, table_name, object_id FROM proposals WHERE proposal_id = ?1))",
        )?
        .query_row(params![id.as_str(), now.as_unix_millis()], |row| row.get(0))?)
}

/// Returns proposals of one source for a writer, in the order of delivery, each with its tenant in the
/// round-robin: none for one in doubt. `after` is the last tenant served. The cost depends on the proposals held
/// and returned and on the tenants that wait for a row, not on the queue length.
pub(crate) fn next_of_source(
    conn: &Connection,
    (source, after): (&str, Option<&str>),
    held: &Held,
    bounds: QueueBounds,
    now: Timestamp,
) -> Result<Vec<Given>, StoreError> {
    let left = held.left(bounds);
    let doubtful = bounds.in_doubt.saturating_sub(held.in_doubt).min(left);
    let mut found: Vec<Given> = in_doubt(conn, source, doubtful, now)?
        .into_iter()
        .map(|id| (id, None))
        .collect();
    let ordinary = bounds.ordinary.saturating_sub(held.ordinary());
    let left = (left - found.len()).min(ordinary);
    let mut turns = TenantRotation {
        conn,
        source,
        now,
        held,
        tenant_max: bounds.tenant,
        rows: held.rows.clone(),
    };
    let mut waiting = turns.waiting(after, left)?;
    let end = found.len() + left;
    while found.len() < end {
        let Some((tenant, mut proposals)) = waiting.pop_front() else {
            break;
        };
        let Some(id) = turns.first_with_free_row(&mut proposals) else {
            continue;
        };
        found.push((id, Some(tenant.clone())));
        waiting.push_back((tenant, proposals));
    }
    Ok(found)
}

/// A proposal, and its tenant in the round-robin.
pub(crate) type Given = (ProposalId, Option<String>);

/// A tenant with its available proposals, longest waiting first.
type Waiting = (String, VecDeque<(ProposalId, Row)>);

struct TenantRotation<'a> {
    conn: &'a Connection,
    source: &'a str,
    now: Timestamp,
    held: &'a Held,
    tenant_max: usize,
    /// Rows that are leased or were just selected.
    rows: HashSet<Row>,
}

impl TenantRotation<'_> {
    /// Returns up to `most` tenants with available proposals, starting after `after`, one round.
    fn waiting(&self, after: Option<&str>, most: usize) -> Result<VecDeque<Waiting>, StoreError> {
        let mut found = VecDeque::new();
        let (mut seen, mut is_around) = (after.map(str::to_owned), after.is_none());
        while found.len() < most {
            let tenant = match next_tenant(self.conn, self.source, seen.as_deref())? {
                Some(next) if is_around && after.is_some_and(|after| next.as_str() > after) => break,
                Some(next) => next,
                None if is_around => break,
                None => {
                    (seen, is_around) = (None, true);
                    continue;
                }
            };
            let own = self.held.by_tenant.get(&tenant).copied().unwrap_or(0);
            let proposals = self.of_tenant(&tenant, self.tenant_max.saturating_sub(own).min(most))?;
            seen = Some(tenant.clone());
            if !proposals.is_empty() {
                found.push_back((tenant, proposals));
            }
        }
        Ok(found)
    }

    /// Returns the longest waiting proposals of a tenant, each about a different row that is not leased.
    fn of_tenant(&self, tenant: &str, most: usize) -> Result<VecDeque<(ProposalId, Row)>, StoreError> {
        let mut found = VecDeque::new();
        if most == 0 {
            return Ok(found);
        }
        let mut query = self.conn.prepare_cached(
            "SELECT p.proposal_id, p.table_name, p.object_id FROM proposals p INDEXED BY proposals_queue \
             WHERE p.source_id = ?1 AND p.state = 'pending_worker' AND p.tenant = ?2 AND NOT EXISTS \
               (SELECT 1 FROM leases l WHERE l.proposal_id = p.proposal_id AND l.expires_at > ?3) \
             ORDER BY p.changed_seq",
        )?;
        let mut rows = query.query(params![self.source, tenant, self.now.as_unix_millis()])?;
        let mut taken = HashSet::new();
        while let Some(row) = rows.next()? {
            let about: Row = (row.get(1)?, row.get(2)?);
            if self.rows.contains(&about) || !taken.insert(about.clone()) {
                continue;
            }
            found.push_back((parsed(&row.get::<_, String>(0)?)?, about));
            if found.len() == most {
                break;
            }
        }
        Ok(found)
    }

    fn first_with_free_row(&mut self, proposals: &mut VecDeque<(ProposalId, Row)>) -> Option<ProposalId> {
        while let Some((id, row)) = proposals.pop_front() {
            if self.rows.insert(row) {
                return Some(id);
            }
        }
        None
    }
}

/// Returns the first tenant with waiting proposals, or the first one after `after`.
fn next_tenant(conn: &Connection, source: &str, after: Option<&str>) -> Result<Option<String>, StoreError> {
    let behind = if after.is_some() { ">" } else { ">=" };
    Ok(conn
        .prepare_cached(&format!(
            "SELECT tenant FROM proposals INDEXED BY proposals_queue \
             WHERE source_id = ?1 AND state = 'pending_worker' AND tenant {behind} ?2 ORDER BY tenant LIMIT 1"
        ))?
        .query_row([source, after.unwrap_or_default()], |row| row.get(0))
        .optional()?)
}

/// Returns proposals in doubt without a lease, longest waiting first.
fn in_doubt(
    conn: &Connection,
    source: &str,
    most: usize,
    now: Timestamp,
) -> Result<Vec<ProposalId>, StoreError> {
    let mut query = conn.prepare_cached(
        "SELECT p.proposal_id FROM proposals p INDEXED BY proposals_in_doubt \
         WHERE p.source_id = ?1 AND p.state = 'in_doubt' AND NOT EXISTS \
           (SELECT 1 FROM leases l WHERE l.proposal_id = p.proposal_id AND l.expires_at > ?2) \
         ORDER BY p.changed_seq LIMIT ?3",
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let ids = query.query_map(params![source, now.as_unix_millis(), most], |row| {
        row.get::<_, String>(0)
    })?;
    ids.map(|id| parsed(&id?)).collect()
}

fn parsed(id: &str) -> Result<ProposalId, StoreError> {
    id.parse()
        .map_err(|_| StoreError::Tampered("the row of a proposal is malformed".to_owned()))
}
