//! Finds evidence by tenant, capability, source or table without an index over every record: for each value, the
//! segments of the log that contain it.

use std::collections::HashSet;

use rusqlite::types::ToSql;
use rusqlite::{Connection, params, params_from_iter};

use super::error::StoreError;
use super::row::{from_sql, to_sql};

/// Number of events in a segment.
const SEGMENT_EVENTS: u64 = 4_096;

/// Column of evidence that a filter may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Field {
    Tenant,
    Capability,
    SourceId,
    TableName,
}

impl Field {
    /// Returns the name of the column.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Capability => "capability",
            Self::SourceId => "source_id",
            Self::TableName => "table_name",
        }
    }
}

/// Values already recorded for one segment, so that a repeated one costs no statement.
#[derive(Debug, Default)]
pub(crate) struct SegmentCache {
    segment: u64,
    values: HashSet<(Field, String)>,
}

impl SegmentCache {
    /// Clears the cache after a batch that may not be durable.
    pub(crate) fn forget(&mut self) {
        self.values.clear();
    }

    /// Records that the segment of the event at `seq` contains this value.
    pub(crate) fn record(
        &mut self,
        conn: &Connection,
        seq: u64,
        field: Field,
        value: &str,
    ) -> Result<(), StoreError> {
        let segment = seq / SEGMENT_EVENTS;
        if self.segment != segment {
            self.segment = segment;
            self.values.clear();
        }
        let key = (field, value.to_owned());
        if self.values.contains(&key) {
            return Ok(());
        }
        conn.prepare_cached(
            "INSERT OR IGNORE INTO evidence_segments (field, value, segment) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![field.as_str(), value, to_sql(segment)])?;
        self.values.insert(key);
        Ok(())
    }
}

/// Returns positions of evidence with all of these values, newest first, before the event `before`. `filters` is not
/// empty.
pub(crate) fn list(
    conn: &Connection,
    filters: &[(Field, &str)],
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<u64>, StoreError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // Positions are below 2^53.
    let before = before.unwrap_or(1 << 53);
    let mut found = Vec::new();
    let mut segments = conn.prepare_cached(&segments_statement(filters.len()))?;
    let names = filters.iter().map(|(field, value)| [field.as_str(), *value]);
    let newest = (before / SEGMENT_EVENTS).to_string();
    let values = names.flatten().chain(std::iter::once(newest.as_str()));
    let mut rows = segments.query(params_from_iter(values))?;
    while found.len() < limit {
        let Some(row) = rows.next()? else {
            break;
        };
        let start = from_sql(row.get(0)?)? * SEGMENT_EVENTS;
        let range = (start, before.min(start + SEGMENT_EVENTS));
        list_in(conn, filters, range, limit, &mut found)?;
    }
    Ok(found)
}

/// Returns the statement for the segments that contain all values of `count` filters, newest first.
fn segments_statement(count: usize) -> String {
    let others = (1..count).map(|n| {
        format!(
            " AND EXISTS (SELECT 1 FROM evidence_segments o WHERE o.field = ?{} AND o.value = ?{} \
             AND o.segment = s.segment)",
            2 * n + 1,
            2 * n + 2
        )
    });
    format!(
        "SELECT s.segment FROM evidence_segments s WHERE s.field = ?1 AND s.value = ?2 \
         AND s.segment <= CAST(?{} AS INTEGER){} ORDER BY s.segment DESC",
        2 * count + 1,
        others.collect::<String>()
    )
}

/// Adds the positions of one segment.
fn list_in(
    conn: &Connection,
    filters: &[(Field, &str)],
    (from, to): (u64, u64),
    limit: usize,
    found: &mut Vec<u64>,
) -> Result<(), StoreError> {
    let clauses: String = filters
        .iter()
        .map(|(field, _)| format!(" AND {} = ?", field.as_str()))
        .collect();
    let sql =
        format!("SELECT seq FROM evidence WHERE seq >= ? AND seq < ?{clauses} ORDER BY seq DESC LIMIT ?");
    let mut query = conn.prepare_cached(&sql)?;
    let (from, to) = (to_sql(from), to_sql(to));
    let left = i64::try_from(limit - found.len()).unwrap_or(i64::MAX);
    let mut values: Vec<&dyn ToSql> = vec![&from, &to];
    values.extend(filters.iter().map(|(_, value)| value as &dyn ToSql));
    values.push(&left);
    let rows = query.query_map(params_from_iter(values), |row| row.get::<_, i64>(0))?;
    for seq in rows {
        found.push(from_sql(seq?)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evidence at every fifth position; each thousandth of another tenant.
    fn filled() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        super::super::migrate::migrate(&conn).unwrap();
        let mut cache = SegmentCache::default();
        for seq in (0..20_000_u64).step_by(5) {
            let tenant = if seq % 1_000 == 0 { "rare" } else { "usual" };
            conn.execute(
                "INSERT INTO evidence VALUES (?1, 'ev_' || ?1, x'00', ?2, 'p', 'c' || (?1 / 10000), 's', 't', 0)",
                params![to_sql(seq), tenant],
            )
            .unwrap();
            let capability = format!("c{}", seq / 10_000);
            for (field, value) in [(Field::Tenant, tenant), (Field::Capability, &capability)] {
                cache.record(&conn, seq, field, value).unwrap();
            }
        }
        conn
    }

    #[test]
    fn evidence_is_listed_across_segments() {
        let conn = filled();
        let rare = [(Field::Tenant, "rare")];
        let all: Vec<u64> = (0..20).rev().map(|n| n * 1_000).collect();
        assert_eq!(list(&conn, &rare, None, 100).unwrap(), all);
        assert_eq!(list(&conn, &rare, Some(9_000), 3).unwrap(), [8_000, 7_000, 6_000]);
        let both = [(Field::Tenant, "rare"), (Field::Capability, "c0")];
        assert_eq!(list(&conn, &both, None, 100).unwrap(), all[10..]);
        assert_eq!(list(&conn, &both, Some(1), 100).unwrap(), [0]);
        assert!(list(&conn, &both, Some(0), 100).unwrap().is_empty());
        assert!(
            list(&conn, &[(Field::Tenant, "absent")], None, 100)
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn repeated_value_of_a_segment_is_stored_once() {
        let conn = filled();
        let rows = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(
            rows("SELECT count(*) FROM evidence_segments WHERE value = 'usual'"),
            5
        );
        assert_eq!(rows("SELECT count(*) FROM evidence_segments"), 5 + 5 + 3 + 3);
    }
}
