//! Finds evidence and audit records by their values and times without an index entry for each record: for each segment
//! of 4,096 events, the values with few variants, the range of times, and for values with many variants a sorted list
//! of short digests with positions. A digest can match another value; readers compare the record itself.

use std::collections::HashSet;

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};
use sha2::{Digest as _, Sha256};
use synapsor_domain::table_filter::TableFilter;
use synapsor_domain::timestamp::Timestamp;

use super::error::StoreError;
use super::row::{from_sql, to_sql};

/// Number of events in a segment.
pub(crate) const SEGMENT_EVENTS: u64 = 4_096;

/// Bits of a posting that hold the position in the segment; the others hold the digest.
const POSITION_BITS: u32 = 16;

/// Value with few variants, stored once for each segment that contains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum SegmentField {
    Tenant,
    Capability,
    SourceId,
    TableName,
    Result,
}

impl SegmentField {
    /// Returns the name of the column.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Capability => "capability",
            Self::SourceId => "source_id",
            Self::TableName => "table_name",
            Self::Result => "result",
        }
    }
}

/// Value with many variants, listed with the position of each record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PostingField {
    Principal,
    ObjectId,
    QueryFingerprint,
}

impl PostingField {
    const ALL: [Self; 3] = [Self::Principal, Self::ObjectId, Self::QueryFingerprint];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::ObjectId => "object_id",
            Self::QueryFingerprint => "query_fingerprint",
        }
    }
}

/// Returns the digest of a value in the upper bits of a posting.
fn key_of(value: &str) -> u64 {
    let digest = Sha256::digest(value.as_bytes());
    let first = digest.first_chunk::<8>().expect("a SHA-256 digest has 32 bytes");
    u64::from_be_bytes(*first) >> POSITION_BITS << POSITION_BITS
}

/// Index entries of the newest segment. What a segment already contains costs no statement.
#[derive(Debug, Default)]
pub(crate) struct RecordIndex {
    segment: Option<u64>,
    values: HashSet<(SegmentField, String)>,
    postings: [Vec<u64>; PostingField::ALL.len()],
    times: Option<(i64, i64)>,
    has_changes: bool,
}

impl RecordIndex {
    /// Clears the cached segment after a transaction that may not be durable.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Adds a record at `seq`. [`Self::flush`] writes what is not written at once.
    pub(crate) fn add(
        &mut self,
        conn: &Connection,
        (seq, at): (u64, Timestamp),
        values: &[(SegmentField, &str)],
        postings: &[(PostingField, &str)],
    ) -> Result<(), StoreError> {
        let segment = seq / SEGMENT_EVENTS;
        if self.segment != Some(segment) {
            self.flush(conn)?;
            self.load(conn, segment)?;
        }
        for (field, value) in values {
            self.add_value(conn, segment, *field, value)?;
        }
        for (field, value) in postings {
            self.postings[*field as usize].push(key_of(value) | (seq % SEGMENT_EVENTS));
        }
        let at = at.as_unix_millis();
        let (min, max) = self.times.unwrap_or((at, at));
        self.times = Some((min.min(at), max.max(at)));
        self.has_changes = true;
        Ok(())
    }

    fn add_value(
        &mut self,
        conn: &Connection,
        segment: u64,
        field: SegmentField,
        value: &str,
    ) -> Result<(), StoreError> {
        let key = (field, value.to_owned());
        if self.values.contains(&key) {
            return Ok(());
        }
        conn.prepare_cached(
            "INSERT OR IGNORE INTO record_segments (field, value, segment) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![field.as_str(), value, to_sql(segment)])?;
        self.values.insert(key);
        Ok(())
    }

    /// Reads what the file has of a segment.
    fn load(&mut self, conn: &Connection, segment: u64) -> Result<(), StoreError> {
        self.forget();
        for field in PostingField::ALL {
            self.postings[field as usize] = postings(conn, field, segment)?;
        }
        self.times = conn
            .prepare_cached("SELECT at_min, at_max FROM record_times WHERE segment = ?1")?
            .query_row([to_sql(segment)], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        self.segment = Some(segment);
        Ok(())
    }

    /// Writes postings and times of the newest segment; the last statement before a COMMIT.
    pub(crate) fn flush(&mut self, conn: &Connection) -> Result<(), StoreError> {
        let (Some(segment), Some((min, max)), true) = (self.segment, self.times, self.has_changes) else {
            return Ok(());
        };
        for field in PostingField::ALL {
            let entries = &mut self.postings[field as usize];
            if entries.is_empty() {
                continue;
            }
            entries.sort_unstable();
            entries.dedup();
            let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_be_bytes()).collect();
            conn.prepare_cached(
                "INSERT INTO record_postings (field, segment, entries) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (field, segment) DO UPDATE SET entries = excluded.entries",
            )?
            .execute(params![field.as_str(), to_sql(segment), bytes])?;
        }
        conn.prepare_cached(
            "INSERT OR REPLACE INTO record_times (segment, at_min, at_max) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![to_sql(segment), min, max])?;
        self.has_changes = false;
        Ok(())
    }
}

/// Removes the entries of a segment and of all later ones.
pub(crate) fn clear(conn: &Connection, from_segment: u64) -> Result<(), StoreError> {
    for table in ["record_segments", "record_postings", "record_times"] {
        conn.execute(
            &format!("DELETE FROM {table} WHERE segment >= ?1"),
            [to_sql(from_segment)],
        )?;
    }
    Ok(())
}

/// Removes the entries of one segment.
pub(crate) fn clear_segment(conn: &Connection, segment: u64) -> Result<(), StoreError> {
    for table in ["record_segments", "record_postings", "record_times"] {
        conn.execute(
            &format!("DELETE FROM {table} WHERE segment = ?1"),
            [to_sql(segment)],
        )?;
    }
    Ok(())
}

/// Returns the positions in a segment whose records can have this value.
pub(crate) fn positions_of(
    conn: &Connection,
    field: PostingField,
    segment: u64,
    value: &str,
) -> Result<HashSet<u64>, StoreError> {
    let key = key_of(value);
    let of_value = postings(conn, field, segment)?
        .into_iter()
        .filter(|entry| entry >> POSITION_BITS << POSITION_BITS == key);
    Ok(of_value
        .map(|entry| segment * SEGMENT_EVENTS + (entry & ((1 << POSITION_BITS) - 1)))
        .collect())
}

fn postings(conn: &Connection, field: PostingField, segment: u64) -> Result<Vec<u64>, StoreError> {
    let bytes: Option<Vec<u8>> = conn
        .prepare_cached("SELECT entries FROM record_postings WHERE field = ?1 AND segment = ?2")?
        .query_row(params![field.as_str(), to_sql(segment)], |row| row.get(0))
        .optional()?;
    let bytes = bytes.unwrap_or_default();
    let entries = bytes.chunks_exact(8).map(|entry| {
        let entry: [u8; 8] = entry.try_into().expect("chunks have 8 bytes");
        u64::from_be_bytes(entry)
    });
    Ok(entries.collect())
}

/// Returns the tables with records that meet a filter; an empty list if the filter is empty, and `None` if there is no
/// such table.
pub(crate) fn tables(conn: &Connection, filter: &TableFilter) -> Result<Option<Vec<String>>, StoreError> {
    if filter.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let mut query = conn.prepare_cached(
        "WITH RECURSIVE names (name) AS ( \
           SELECT min(value) FROM record_segments WHERE field = 'table_name' UNION ALL \
           SELECT (SELECT min(value) FROM record_segments WHERE field = 'table_name' AND value > name) \
           FROM names WHERE name IS NOT NULL) \
         SELECT name FROM names WHERE name IS NOT NULL",
    )?;
    let names = query.query_map([], |row| row.get::<_, String>(0))?;
    let mut found = Vec::new();
    for name in names {
        let name = name?;
        if filter.is_met_by(&name) {
            found.push(name);
        }
    }
    Ok((!found.is_empty()).then_some(found))
}

/// Placeholders of a list of values.
pub(crate) fn one_of(values: usize) -> String {
    vec!["?"; values].join(", ")
}

/// Kind of the records that a query finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListedTable {
    Evidence,
    Audit,
}

impl ListedTable {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Evidence => "evidence",
            Self::Audit => "audit",
        }
    }

    const fn time(self) -> &'static str {
        match self {
            Self::Evidence => "r.read_at",
            Self::Audit => "r.at",
        }
    }

    /// Returns the expression of a column. An audit record of a read shares its event with the evidence, which has the
    /// source and the table.
    fn column(self, field: SegmentField) -> String {
        let column = field.as_str();
        match (self, field) {
            (Self::Audit, SegmentField::SourceId | SegmentField::TableName) => {
                format!("coalesce(r.{column}, (SELECT e.{column} FROM evidence e WHERE e.seq = r.seq))")
            }
            _ => format!("r.{column}"),
        }
    }
}

/// Conditions of a list; all of them are met.
#[derive(Debug, Clone, Default)]
pub(crate) struct RecordQuery {
    pub(crate) values: Vec<(SegmentField, String)>,
    /// Tables of which a record is about one; empty: any.
    pub(crate) tables: Vec<String>,
    /// Only audit records of calls that created no proposal.
    pub(crate) without_proposal: bool,
    pub(crate) postings: Vec<(PostingField, String)>,
    /// Milliseconds since 1970.
    pub(crate) from_ms: Option<i64>,
    pub(crate) to_ms: Option<i64>,
}

impl RecordQuery {
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
            && self.tables.is_empty()
            && !self.without_proposal
            && self.postings.is_empty()
            && self.from_ms.is_none()
            && self.to_ms.is_none()
    }

    /// Returns the positions among `candidates` whose records meet the conditions, newest first, before the event
    /// `before`.
    pub(crate) fn select(
        &self,
        conn: &Connection,
        table: ListedTable,
        candidates: &[u64],
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<u64>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let before = before.unwrap_or(1 << 53);
        let mut candidates: Vec<u64> = candidates.iter().copied().filter(|seq| *seq < before).collect();
        candidates.sort_unstable();
        candidates.dedup();
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(newest) = candidates.last()
        {
            let segment = newest / SEGMENT_EVENTS;
            let first = candidates.partition_point(|seq| seq / SEGMENT_EVENTS < segment);
            let in_segment = candidates.split_off(first);
            self.list_in(
                conn,
                table,
                (segment, before),
                (Some(&in_segment), limit),
                &mut found,
            )?;
        }
        Ok(found)
    }

    /// Returns positions of records of a kind, newest first, before the event `before`.
    pub(crate) fn list(
        &self,
        conn: &Connection,
        table: ListedTable,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<u64>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        // Positions are below 2^53.
        let before = before.unwrap_or(1 << 53);
        let mut found = Vec::new();
        let (sql, values) = self.segments_statement(before / SEGMENT_EVENTS);
        let mut segments = conn.prepare_cached(&sql)?;
        let mut rows = segments.query(params_from_iter(values.iter().map(AsRef::as_ref)))?;
        while found.len() < limit {
            let Some(row) = rows.next()? else {
                break;
            };
            let segment = from_sql(row.get(0)?)?;
            self.list_in(conn, table, (segment, before), (None, limit), &mut found)?;
        }
        Ok(found)
    }

    /// Returns the statement for the segments that can have such records, newest first.
    fn segments_statement(&self, newest: u64) -> (String, Vec<Box<dyn ToSql>>) {
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        let mut sql = match self.values.first() {
            // The segments of one value are the least that there can be.
            Some((field, value)) => {
                values.extend([Box::new(field.as_str()) as Box<dyn ToSql>, Box::new(value.clone())]);
                "SELECT s.segment FROM record_segments s JOIN record_times t ON t.segment = s.segment \
                 WHERE s.field = ? AND s.value = ?"
                    .to_owned()
            }
            None => "SELECT s.segment FROM record_times s JOIN record_times t ON t.segment = s.segment WHERE 1 = 1"
                .to_owned(),
        };
        sql.push_str(" AND s.segment <= ?");
        values.push(Box::new(to_sql(newest)));
        for (field, value) in self.values.iter().skip(1) {
            sql.push_str(
                " AND EXISTS (SELECT 1 FROM record_segments o WHERE o.field = ? AND o.value = ? \
                 AND o.segment = s.segment)",
            );
            values.extend([
                Box::new(field.as_str()) as Box<dyn ToSql>,
                Box::new(value.clone()),
            ]);
        }
        if !self.tables.is_empty() {
            sql.push_str(&format!(
                " AND EXISTS (SELECT 1 FROM record_segments o WHERE o.field = 'table_name' AND o.value IN ({}) \
                 AND o.segment = s.segment)",
                one_of(self.tables.len())
            ));
            values.extend(
                self.tables
                    .iter()
                    .map(|table| Box::new(table.clone()) as Box<dyn ToSql>),
            );
        }
        for (clause, bound) in [
            (" AND t.at_max >= ?", self.from_ms),
            (" AND t.at_min < ?", self.to_ms),
        ] {
            if let Some(bound) = bound {
                sql.push_str(clause);
                values.push(Box::new(bound));
            }
        }
        sql.push_str(" ORDER BY s.segment DESC");
        (sql, values)
    }

    /// Adds the positions of one segment, of `among` if that is given.
    fn list_in(
        &self,
        conn: &Connection,
        table: ListedTable,
        (segment, before): (u64, u64),
        (among, limit): (Option<&[u64]>, usize),
        found: &mut Vec<u64>,
    ) -> Result<(), StoreError> {
        let start = segment * SEGMENT_EVENTS;
        let mut sql = format!(
            "SELECT r.seq FROM {} r WHERE r.seq >= ? AND r.seq < ?",
            table.name()
        );
        let mut values: Vec<Box<dyn ToSql>> = vec![
            Box::new(to_sql(start)),
            Box::new(to_sql(before.min(start + SEGMENT_EVENTS))),
        ];
        for (field, value) in &self.values {
            sql.push_str(&format!(" AND {} = ?", table.column(*field)));
            values.push(Box::new(value.clone()));
        }
        if !self.tables.is_empty() {
            let column = table.column(SegmentField::TableName);
            sql.push_str(&format!(" AND {column} IN ({})", one_of(self.tables.len())));
            values.extend(
                self.tables
                    .iter()
                    .map(|table| Box::new(table.clone()) as Box<dyn ToSql>),
            );
        }
        if self.without_proposal {
            sql.push_str(" AND r.proposal_id IS NULL");
        }
        for (field, value) in &self.postings {
            if *field == PostingField::Principal {
                sql.push_str(" AND r.principal = ?");
                values.push(Box::new(value.clone()));
            }
        }
        for (operator, bound) in [(">=", self.from_ms), ("<", self.to_ms)] {
            if let Some(bound) = bound {
                sql.push_str(&format!(" AND {} {operator} ?", table.time()));
                values.push(Box::new(bound));
            }
        }
        let listed = match (self.listed(conn, segment)?, among) {
            (Some(mut listed), Some(among)) => {
                listed.retain(|seq| among.binary_search(seq).is_ok());
                Some(listed)
            }
            (listed, among) => listed.or_else(|| among.map(<[u64]>::to_vec)),
        };
        if let Some(listed) = listed {
            if listed.is_empty() {
                return Ok(());
            }
            let positions: Vec<String> = listed.iter().map(ToString::to_string).collect();
            // Numbers of this store, at most one segment of them.
            sql.push_str(&format!(" AND r.seq IN ({})", positions.join(", ")));
        }
        let left = i64::try_from(limit - found.len()).unwrap_or(i64::MAX);
        values.push(Box::new(left));
        let mut query = conn.prepare(&format!("{sql} ORDER BY r.seq DESC LIMIT ?"))?;
        let rows = query.query_map(params_from_iter(values.iter().map(AsRef::as_ref)), |row| {
            row.get::<_, i64>(0)
        })?;
        for seq in rows {
            found.push(from_sql(seq?)?);
        }
        Ok(())
    }

    /// Returns the positions in a segment that all postings list; `None` without a condition on postings.
    fn listed(&self, conn: &Connection, segment: u64) -> Result<Option<Vec<u64>>, StoreError> {
        let mut common: Option<Vec<u64>> = None;
        for (field, value) in &self.postings {
            let entries = postings(conn, *field, segment)?;
            let key = key_of(value);
            let first = entries.partition_point(|entry| *entry < key);
            let of_value = entries[first..]
                .iter()
                .take_while(|entry| **entry >> POSITION_BITS << POSITION_BITS == key);
            let seqs: Vec<u64> = of_value
                .map(|entry| segment * SEGMENT_EVENTS + (entry - key))
                .collect();
            common = Some(match common {
                Some(mut before) => {
                    before.retain(|seq| seqs.binary_search(seq).is_ok());
                    before
                }
                None => seqs,
            });
        }
        Ok(common)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDS: u64 = 20_000;

    fn tenant_of(seq: u64) -> &'static str {
        if seq.is_multiple_of(1_000) {
            "rare"
        } else {
            "usual"
        }
    }

    fn capability_of(seq: u64) -> String {
        format!("c{}", seq / 10_000)
    }

    fn object_of(seq: u64) -> String {
        format!("INV-{}", seq % 7_000)
    }

    /// Evidence at every fifth position; each thousandth of another tenant. One record per second.
    fn add(conn: &Connection, index: &mut RecordIndex, seq: u64) {
        let (tenant, capability) = (tenant_of(seq), capability_of(seq));
        conn.execute(
            "INSERT INTO evidence VALUES (?1, 'ev_' || ?1, x'00', ?2, 'p', ?3, 's', 't', ?4)",
            params![to_sql(seq), tenant, capability, to_sql(seq * 1_000)],
        )
        .unwrap();
        let at = Timestamp::from_unix_millis(to_sql(seq * 1_000));
        let values = [
            (SegmentField::Tenant, tenant),
            (SegmentField::Capability, &capability),
        ];
        let (object, postings) = (object_of(seq), PostingField::ObjectId);
        index
            .add(conn, (seq, at), &values, &[(postings, &object)])
            .unwrap();
    }

    fn empty() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        super::super::migrate::migrate(&conn).unwrap();
        conn
    }

    fn filled() -> Connection {
        let conn = empty();
        let mut index = RecordIndex::default();
        for seq in (0..RECORDS).step_by(5) {
            add(&conn, &mut index, seq);
            // As by transactions of different sizes.
            if seq % 1_335 == 0 {
                index.flush(&conn).unwrap();
            }
        }
        index.flush(&conn).unwrap();
        conn
    }

    fn query(values: &[(SegmentField, &str)]) -> RecordQuery {
        RecordQuery {
            values: values
                .iter()
                .map(|(field, value)| (*field, (*value).to_owned()))
                .collect(),
            ..RecordQuery::default()
        }
    }

    fn list(conn: &Connection, query: &RecordQuery, before: Option<u64>, limit: u32) -> Vec<u64> {
        query.list(conn, ListedTable::Evidence, before, limit).unwrap()
    }

    #[test]
    fn evidence_is_listed_across_segments() {
        let conn = filled();
        let rare = query(&[(SegmentField::Tenant, "rare")]);
        let all: Vec<u64> = (0..20).rev().map(|n| n * 1_000).collect();
        assert_eq!(list(&conn, &rare, None, 100), all);
        assert_eq!(list(&conn, &rare, Some(9_000), 3), [8_000, 7_000, 6_000]);
        let both = query(&[(SegmentField::Tenant, "rare"), (SegmentField::Capability, "c0")]);
        assert_eq!(list(&conn, &both, None, 100), all[10..]);
        assert_eq!(list(&conn, &both, Some(1), 100), [0]);
        assert!(list(&conn, &both, Some(0), 100).is_empty());
        assert!(list(&conn, &query(&[(SegmentField::Tenant, "absent")]), None, 100).is_empty());
    }

    #[test]
    fn every_combination_of_conditions_matches_a_scan() {
        let conn = filled();
        for (tenant, object, from, to) in [
            (None, Some("INV-5"), None, None),
            (Some("rare"), Some("INV-1000"), None, None),
            (None, Some("INV-1000"), Some(2_000_000), Some(16_000_000)),
            (Some("usual"), None, Some(4_095_000), Some(4_200_000)),
            (None, None, Some(8_000_000), Some(8_020_000)),
            (Some("rare"), None, Some(1), None),
            (None, Some("INV-1"), None, None),
        ] {
            let query = RecordQuery {
                values: tenant
                    .iter()
                    .map(|tenant| (SegmentField::Tenant, (*tenant).to_owned()))
                    .collect(),
                postings: object
                    .iter()
                    .map(|id| (PostingField::ObjectId, (*id).to_owned()))
                    .collect(),
                from_ms: from,
                to_ms: to,
                ..RecordQuery::default()
            };
            let is_met = |seq: &u64| {
                let at = to_sql(seq * 1_000);
                tenant.is_none_or(|tenant| tenant_of(*seq) == tenant)
                    && object.is_none_or(|object| object_of(*seq) == object)
                    && from.is_none_or(|from| at >= from)
                    && to.is_none_or(|to| at < to)
            };
            let mut expected: Vec<u64> = (0..RECORDS).step_by(5).filter(is_met).collect();
            expected.reverse();
            assert_eq!(list(&conn, &query, None, 10_000), expected, "{query:?}");
        }
    }

    #[test]
    fn audit_record_of_a_read_has_the_source_of_its_evidence() {
        let conn = filled();
        conn.execute_batch(
            "INSERT INTO audit VALUES (5, 'qa_5', 'c0', 'usual', 'p', 'row', NULL, NULL, 5000, NULL, NULL);
             INSERT INTO audit VALUES (6, 'qa_6', 'c0', 'usual', 'p', 'REFUSED', NULL, NULL, 6000, 's', 'other');",
        )
        .unwrap();
        let mut index = RecordIndex::default();
        let at = Timestamp::from_unix_millis(6_000);
        index
            .add(&conn, (6, at), &[(SegmentField::TableName, "other")], &[])
            .unwrap();
        index
            .add(&conn, (5, at), &[(SegmentField::TableName, "t")], &[])
            .unwrap();
        index.flush(&conn).unwrap();
        for (table, expected) in [("t", [5]), ("other", [6])] {
            let query = query(&[(SegmentField::TableName, table)]);
            assert_eq!(query.list(&conn, ListedTable::Audit, None, 9).unwrap(), expected);
        }
    }

    #[test]
    fn records_are_found_by_table_name_and_type() {
        let conn = filled();
        let mut index = RecordIndex::default();
        let at = Timestamp::from_unix_millis(6_000);
        for (seq, table) in [(7, "main.invoices"), (8, "billing.invoices"), (9, "main.orders")] {
            conn.execute(
                "INSERT INTO audit VALUES (?1, 'qa_' || ?1, 'c0', 'usual', 'p', 'REFUSED', NULL, NULL, 6000, 's', ?2)",
                params![seq, table],
            )
            .unwrap();
            let values = [(SegmentField::TableName, table)];
            let seq = u64::try_from(seq).unwrap();
            index.add(&conn, (seq, at), &values, &[]).unwrap();
        }
        index.flush(&conn).unwrap();
        let found = |table: Option<&str>, object_type: Option<&str>| {
            let filter = TableFilter {
                table: table.map(str::to_owned),
                object_type: object_type.map(str::to_owned),
            };
            let tables = tables(&conn, &filter).unwrap()?;
            let query = RecordQuery {
                tables,
                without_proposal: true,
                ..RecordQuery::default()
            };
            Some(query.list(&conn, ListedTable::Audit, None, 9).unwrap())
        };
        assert_eq!(found(Some("main.invoices"), None), Some(vec![7]));
        assert_eq!(found(Some("invoices"), None), Some(vec![8, 7]));
        assert_eq!(found(None, Some("invoice")), Some(vec![8, 7]));
        assert_eq!(found(Some("orders"), Some("order")), Some(vec![9]));
        assert_eq!(found(Some("absent"), None), None);
        assert_eq!(found(Some("orders"), Some("invoice")), None);
        conn.execute("UPDATE audit SET proposal_id = 'wrp_1' WHERE seq = 8", [])
            .unwrap();
        assert_eq!(found(Some("invoices"), None), Some(vec![7]));
    }

    #[test]
    fn repeated_value_of_a_segment_is_stored_once() {
        let conn = filled();
        let rows = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(
            rows("SELECT count(*) FROM record_segments WHERE value = 'usual'"),
            5
        );
        assert_eq!(rows("SELECT count(*) FROM record_segments"), 5 + 5 + 3 + 3);
        assert_eq!(rows("SELECT count(*) FROM record_times"), 5);
        assert_eq!(
            rows("SELECT sum(length(entries)) FROM record_postings"),
            4_000 * 8
        );
    }

    /// Verification derives the entries in one run, a ledger in many.
    #[test]
    fn entries_do_not_depend_on_the_transactions() {
        let conn = empty();
        let mut index = RecordIndex::default();
        for seq in (0..RECORDS).step_by(5) {
            add(&conn, &mut index, seq);
        }
        index.flush(&conn).unwrap();
        let dump = |conn: &Connection| -> Vec<(String, i64, Vec<u8>)> {
            let mut rows = conn
                .prepare("SELECT field, segment, entries FROM record_postings ORDER BY 1, 2")
                .unwrap();
            let rows = rows
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .unwrap();
            rows.map(Result::unwrap).collect()
        };
        assert_eq!(dump(&conn), dump(&filled()));
    }
}
