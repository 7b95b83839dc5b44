//! Finds the receipts of one source, the incidents about receipts, and the orders that concern them.

use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};
use synapsor_domain::digest::Digest;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::writeback::{ReceiptDiscrepancy, ReceiptFinding, ReceiptIncidentKind, ReceiptRef};

use super::error::StoreError;
use super::row::{from_sql, to_sql};

/// Positions per event: more than the maximum number of receipts in one finding.
pub(super) const PLACES_PER_EVENT: u64 = 1024;

/// Rows that one page scans for each receipt that it may contain.
const SCANNED_PER_RECEIPT: u32 = 4;

/// Maximum number of orders about one receipt in a response, newest first.
const ORDERS_PER_RECEIPT: u32 = 4;

/// A settled receipt of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourceReceiptRow {
    pub(crate) seq: u64,
    /// Whether it is recorded as lost, with no order that ended this.
    pub(crate) is_lost: bool,
}

/// Returns the time before which receipts of a source may be missing.
pub(crate) fn archived_before(conn: &Connection, source: &str) -> Result<Option<Timestamp>, StoreError> {
    let cut: Option<i64> = conn
        .prepare_cached("SELECT max(before) FROM receipt_orders WHERE source_id = ?1 AND action = 'archive'")?
        .query_row([source], |row| row.get(0))?;
    Ok(cut.map(Timestamp::from_unix_millis))
}

/// Returns the position of the receipt that the source must hold before a writer writes to it. A receipt recorded
/// as lost comes first, so that a later receipt does not hide the loss. The cost does not grow with the receipts.
pub(crate) fn newest_expected(conn: &Connection, source: &str) -> Result<Option<u64>, StoreError> {
    let lost: Option<i64> = conn
        .prepare_cached(
            "SELECT max(receipt_seq) FROM receipt_incidents INDEXED BY receipt_incidents_lost \
             WHERE source_id = ?1 AND ended_seq IS NULL AND kind = 'effect_lost'",
        )?
        .query_row([source], |row| row.get(0))?;
    if let Some(lost) = lost {
        return from_sql(lost).map(Some);
    }
    let cut = archived_before(conn, source)?.map_or(i64::MIN, Timestamp::as_unix_millis);
    // First by log position. If that receipt is archived, the newest by its own time shows whether any is not.
    for (index, order) in [
        ("source_receipts_expected", "seq"),
        ("source_receipts_by_time", "created_at"),
    ] {
        let found: Option<(i64, i64)> = conn
            .prepare_cached(&format!(
                "SELECT seq, created_at FROM source_receipts INDEXED BY {index} \
                 WHERE source_id = ?1 AND is_given_up = 0 ORDER BY {order} DESC LIMIT 1"
            ))?
            .query_row([source], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match found {
            Some((seq, created_at)) if created_at >= cut => return from_sql(seq).map(Some),
            Some(_) => {}
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// Returns a page of the receipts that a source must hold, newest first, and the position of the next page.
/// Archived receipts are skipped without being counted, so a page can be empty and not the last.
pub(crate) fn expected(
    conn: &Connection,
    source: &str,
    before: Option<u64>,
    limit: u32,
) -> Result<(Vec<SourceReceiptRow>, Option<u64>), StoreError> {
    let cut = archived_before(conn, source)?.map_or(i64::MIN, Timestamp::as_unix_millis);
    let mut query = conn.prepare_cached(
        "SELECT r.seq, r.created_at >= ?3, EXISTS (SELECT 1 FROM receipt_incidents i INDEXED BY receipt_incidents_lost \
           WHERE i.source_id = r.source_id AND i.receipt_seq = r.seq AND i.ended_seq IS NULL AND i.kind = 'effect_lost') \
         FROM source_receipts r INDEXED BY source_receipts_expected \
         WHERE r.source_id = ?1 AND r.is_given_up = 0 AND r.seq < ?2 ORDER BY r.seq DESC LIMIT ?4",
    )?;
    let scanned_max = limit * SCANNED_PER_RECEIPT;
    let mut rows = query.query(params![source, before.map_or(i64::MAX, to_sql), cut, scanned_max])?;
    let (mut found, mut scanned) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let seq = from_sql(row.get(0)?)?;
        scanned += 1;
        if row.get::<_, bool>(1)? {
            found.push(SourceReceiptRow {
                seq,
                is_lost: row.get(2)?,
            });
        }
        let is_full = found.len() == usize::try_from(limit).unwrap_or(usize::MAX);
        if is_full || scanned == scanned_max {
            return Ok((found, Some(seq)));
        }
    }
    Ok((found, None))
}

/// Returns the number of receipts of a source that were created before a time and not given up.
pub(crate) fn count_before(conn: &Connection, source: &str, before: Timestamp) -> Result<u64, StoreError> {
    let count: i64 = conn
        .prepare_cached(
            "SELECT count(*) FROM source_receipts INDEXED BY source_receipts_by_time \
             WHERE source_id = ?1 AND is_given_up = 0 AND created_at < ?2",
        )?
        .query_row(params![source, before.as_unix_millis()], |row| row.get(0))?;
    from_sql(count)
}

/// Returns the position of the settled receipt of a source, if the log contains exactly this one.
pub(crate) fn settled(
    conn: &Connection,
    source: &str,
    named: &ReceiptRef,
) -> Result<Option<u64>, StoreError> {
    conn.prepare_cached(
        "SELECT s.seq FROM source_receipts s JOIN receipts r USING (proposal_id) \
         WHERE s.proposal_id = ?1 AND s.source_id = ?2 AND r.digest = ?3",
    )?
    .query_row(
        params![
            named.proposal_id.as_str(),
            source,
            named.receipt_digest.as_bytes()
        ],
        |row| row.get::<_, i64>(0),
    )
    .optional()?
    .map(from_sql)
    .transpose()
}

/// Returns whether an incident about this receipt is open.
pub(crate) fn is_open(
    conn: &Connection,
    source: &str,
    kind: ReceiptIncidentKind,
    named: &ReceiptRef,
) -> Result<bool, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT 1 FROM receipt_incidents INDEXED BY receipt_incidents_open_once \
             WHERE proposal_id = ?1 AND receipt_digest = ?2 AND kind = ?3 AND source_id = ?4 AND ended_seq IS NULL",
        )?
        .exists(params![
            named.proposal_id.as_str(),
            named.receipt_digest.to_string(),
            kind.as_str(),
            source
        ])?)
}

/// Returns the position of the newest order that adopts this receipt.
pub(crate) fn adopted(
    conn: &Connection,
    source: &str,
    named: &ReceiptRef,
) -> Result<Option<u64>, StoreError> {
    let seq: Option<i64> = conn
        .prepare_cached(
            "SELECT max(seq) FROM receipt_order_refs \
             WHERE source_id = ?1 AND proposal_id = ?2 AND receipt_digest = ?3 AND action = 'adopt'",
        )?
        .query_row(
            params![
                source,
                named.proposal_id.as_str(),
                named.receipt_digest.to_string()
            ],
            |row| row.get(0),
        )?;
    seq.map(from_sql).transpose()
}

/// A receipt of a finding that counts and is not yet recorded.
#[derive(Debug)]
pub(crate) struct Fresh<'f> {
    /// Its index in the finding.
    pub(super) index: u64,
    pub(crate) named: &'f ReceiptRef,
    /// Position at which it was settled; set for a lost receipt only.
    pub(super) receipt_seq: Option<u64>,
}

/// Returns the receipts of a finding that count and are not yet recorded.
pub(crate) fn fresh<'f>(
    conn: &Connection,
    finding: &'f ReceiptFinding,
) -> Result<Vec<Fresh<'f>>, StoreError> {
    let (source, kind) = (finding.source.as_str(), finding.discrepancy);
    let mut found = Vec::new();
    for (index, named) in (0..).zip(&finding.receipts) {
        if is_open(conn, source, ReceiptIncidentKind::of(kind), named)? {
            continue;
        }
        let settled = settled(conn, source, named)?;
        let counts = match kind {
            // Without the signed receipt, the result `applied` is no evidence.
            ReceiptDiscrepancy::EffectLost => match settled {
                Some(seq) => must_be_there(conn, source, seq)?,
                None => false,
            },
            ReceiptDiscrepancy::OrphanReceipt => {
                settled.is_none()
                    && !is_open(conn, source, ReceiptIncidentKind::ReceiptUnproven, named)?
                    && adopted(conn, source, named)?.is_none()
            }
            ReceiptDiscrepancy::RowChangedInCommit => adopted(conn, source, named)?.is_none(),
        };
        if counts {
            found.push(Fresh {
                index,
                named,
                receipt_seq: settled.filter(|_| kind == ReceiptDiscrepancy::EffectLost),
            });
        }
    }
    Ok(found)
}

/// Returns whether no order allows this receipt to be missing.
fn must_be_there(conn: &Connection, source: &str, seq: u64) -> Result<bool, StoreError> {
    let cut = archived_before(conn, source)?.map_or(i64::MIN, Timestamp::as_unix_millis);
    Ok(conn
        .prepare_cached(
            "SELECT 1 FROM source_receipts WHERE seq = ?1 AND is_given_up = 0 AND created_at >= ?2",
        )?
        .exists(params![to_sql(seq), cut])?)
}

/// An open incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IncidentRow {
    pub(crate) position: u64,
    pub(crate) kind: ReceiptIncidentKind,
    pub(crate) source: String,
    pub(crate) proposal_id: String,
    pub(crate) receipt_digest: String,
    /// Time at which its event was recorded, in milliseconds since 1970.
    pub(crate) at_ms: i64,
}

impl IncidentRow {
    /// Returns the event that recorded it.
    pub(crate) const fn seq(&self) -> u64 {
        self.position / PLACES_PER_EVENT
    }
}

/// Returns open incidents, newest first, before the position `before`; `None` means any source or kind.
pub(crate) fn open_incidents(
    conn: &Connection,
    (source, kind): (Option<&str>, Option<ReceiptIncidentKind>),
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<IncidentRow>, StoreError> {
    let mut query = conn.prepare_cached(
        "SELECT i.place, i.kind, i.source_id, i.proposal_id, i.receipt_digest, e.at \
         FROM receipt_incidents i INDEXED BY receipt_incidents_open JOIN event_index e ON e.seq = i.place / 1024 \
         WHERE i.ended_seq IS NULL AND i.place < ?1 AND (?2 IS NULL OR i.source_id = ?2) \
         AND (?3 IS NULL OR i.kind = ?3) ORDER BY i.place DESC LIMIT ?4",
    )?;
    let before = before.map_or(i64::MAX, to_sql);
    let rows = query.query_map(
        params![before, source, kind.map(ReceiptIncidentKind::as_str), limit],
        |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, String>(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
            ))
        },
    )?;
    rows.map(|row| {
        let (position, kind, source, proposal_id, receipt_digest, at_ms) = row?;
        Ok(IncidentRow {
            position: from_sql(position)?,
            kind: ReceiptIncidentKind::from_text(&kind)
                .ok_or_else(|| StoreError::Tampered("the kind of an incident is malformed".to_owned()))?,
            source,
            proposal_id,
            receipt_digest,
            at_ms,
        })
    })
    .collect()
}

/// Returns the number of open incidents.
pub(crate) fn open_count(conn: &Connection) -> Result<u64, StoreError> {
    let count: i64 = conn
        .prepare_cached("SELECT count(*) FROM receipt_incidents WHERE ended_seq IS NULL")?
        .query_row([], |row| row.get(0))?;
    from_sql(count)
}

/// Returns the position of the order with this digest.
pub(crate) fn order(conn: &Connection, digest: &Digest) -> Result<Option<u64>, StoreError> {
    conn.prepare_cached("SELECT seq FROM receipt_orders WHERE digest = ?1")?
        .query_row([digest.as_bytes()], |row| row.get::<_, i64>(0))
        .optional()?
        .map(from_sql)
        .transpose()
}

/// Returns the positions of the newest orders that name a receipt of these proposals, and of the order with the
/// latest cut, oldest first.
pub(crate) fn orders_about(
    conn: &Connection,
    source: &str,
    proposals: &[ProposalId],
) -> Result<Vec<u64>, StoreError> {
    let mut seqs = std::collections::BTreeSet::new();
    let mut of_one = conn.prepare_cached(
        "SELECT DISTINCT seq FROM receipt_order_refs WHERE source_id = ?1 AND proposal_id = ?2 \
         ORDER BY seq DESC LIMIT ?3",
    )?;
    for proposal in proposals {
        let rows = of_one.query_map(params![source, proposal.as_str(), ORDERS_PER_RECEIPT], |row| {
            row.get::<_, i64>(0)
        })?;
        for seq in rows {
            seqs.insert(from_sql(seq?)?);
        }
    }
    let cut: Option<i64> = conn
        .prepare_cached(
            "SELECT seq FROM receipt_orders WHERE source_id = ?1 AND action = 'archive' \
             ORDER BY before DESC, seq DESC LIMIT 1",
        )?
        .query_row([source], |row| row.get(0))
        .optional()?;
    seqs.extend(cut.map(from_sql).transpose()?);
    Ok(seqs.into_iter().collect())
}

/// Adds an open incident; an existing one stays unchanged.
pub(super) fn insert_incident(
    conn: &Connection,
    position: u64,
    kind: ReceiptIncidentKind,
    source: &str,
    (named, receipt_seq): (&ReceiptRef, Option<u64>),
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT OR IGNORE INTO receipt_incidents (place, kind, source_id, proposal_id, receipt_digest, receipt_seq) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        to_sql(position),
        kind.as_str(),
        source,
        named.proposal_id.as_str(),
        named.receipt_digest.to_string(),
        receipt_seq.map(to_sql),
    ])?;
    Ok(())
}

/// Ends the open incidents of these kinds about one receipt.
pub(super) fn end_incidents(
    conn: &Connection,
    by_seq: u64,
    source: &str,
    named: &ReceiptRef,
    kinds: &[ReceiptIncidentKind],
) -> Result<(), StoreError> {
    let marks = vec!["?"; kinds.len()].join(", ");
    let mut values: Vec<rusqlite::types::Value> = vec![
        to_sql(by_seq).into(),
        named.proposal_id.as_str().to_owned().into(),
        named.receipt_digest.to_string().into(),
        source.to_owned().into(),
    ];
    values.extend(kinds.iter().map(|kind| kind.as_str().to_owned().into()));
    conn.prepare_cached(&format!(
        "UPDATE receipt_incidents SET ended_seq = ? WHERE proposal_id = ? AND receipt_digest = ? AND source_id = ? \
         AND ended_seq IS NULL AND kind IN ({marks})"
    ))?
    .execute(params_from_iter(values))?;
    Ok(())
}
