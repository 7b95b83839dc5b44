//! Reads one part of a list from the ledger's pages, and the position at which older records continue.

use std::ops::AsyncFnMut;

use synapsor_chassis::run::ExitError;

/// Maximum number of records of one page of the ledger.
const PAGE_ROWS_MAX: u32 = 200;

/// Requested part of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListRange {
    /// Only records before this log position.
    pub(crate) before: Option<u64>,
    pub(crate) limit: u32,
    /// Whether this machine leaves out some of the ledger's records.
    pub(crate) is_filtered: bool,
}

/// Part of a list, newest first.
#[derive(Debug)]
pub(crate) struct ListPart<T> {
    pub(crate) rows: Vec<T>,
    /// Position at which older records continue; `None` at the end of the list.
    pub(crate) next_before: Option<String>,
}

/// Reads pages until `range` is full. `fetch` returns a page for a size and a token, with the token of the next
/// page; `open` verifies a record and returns `None` for one that this machine leaves out.
pub(super) async fn read_part<R, T>(
    range: ListRange,
    mut fetch: impl AsyncFnMut(u32, &str) -> Result<(Vec<R>, String), ExitError>,
    mut open: impl FnMut(R) -> Result<Option<T>, ExitError>,
) -> Result<ListPart<T>, ExitError> {
    let limit = usize::try_from(range.limit).unwrap_or(usize::MAX);
    let mut rows = Vec::new();
    let mut token = range.before.map_or_else(String::new, |before| before.to_string());
    // Page on which the last row of the part is, and the number of its records up to that row.
    let mut end = None;
    loop {
        let left = u32::try_from(limit - rows.len()).unwrap_or(u32::MAX);
        let size = if range.is_filtered { PAGE_ROWS_MAX } else { left };
        let (page, next) = fetch(size.clamp(1, PAGE_ROWS_MAX), &token).await?;
        for (records, record) in (1..).zip(page) {
            let Some(row) = open(record)? else {
                continue;
            };
            if rows.len() < limit {
                rows.push(row);
                end = Some((token.clone(), records));
            } else if let Some((token, records)) = end {
                // The token of a shorter page is the position of the last row.
                let (_, position) = fetch(records, &token).await?;
                return Ok(part(rows, position));
            }
        }
        // A repeated token would loop forever.
        if next.is_empty() || next == token {
            return Ok(part(rows, String::new()));
        }
        if !range.is_filtered && rows.len() >= limit {
            return Ok(part(rows, next));
        }
        token = next;
    }
}

fn part<T>(rows: Vec<T>, position: String) -> ListPart<T> {
    ListPart {
        rows,
        next_before: Some(position).filter(|position| !position.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of `count` records, newest first, as the ledger pages it.
    fn page_of(count: u64, size: u32, token: &str) -> (Vec<u64>, String) {
        assert!((1..=PAGE_ROWS_MAX).contains(&size), "{size}");
        let before = token.parse().unwrap_or(count);
        let first = before.saturating_sub(u64::from(size));
        let token = if first == 0 {
            String::new()
        } else {
            first.to_string()
        };
        ((first..before).rev().collect(), token)
    }

    async fn read(count: u64, range: ListRange, is_met: fn(&u64) -> bool) -> (ListPart<u64>, usize) {
        let mut calls = 0;
        let fetch = async |size: u32, token: &str| {
            calls += 1;
            Ok(page_of(count, size, token))
        };
        let part = read_part(range, fetch, |record| Ok(Some(record).filter(is_met)))
            .await
            .unwrap();
        (part, calls)
    }

    #[tokio::test]
    async fn parts_of_a_list_join_without_gap_or_overlap() {
        for (is_filtered, is_met) in [
            (false, (|_| true) as fn(&u64) -> bool),
            (true, |record| record % 3 == 0),
        ] {
            for (count, limit) in [(0, 5), (1, 1), (650, 7), (650, 200), (650, 250)] {
                let (mut before, mut found) = (None, Vec::new());
                loop {
                    let range = ListRange {
                        before,
                        limit,
                        is_filtered,
                    };
                    let (part, _) = read(count, range, is_met).await;
                    found.extend(part.rows);
                    let Some(next) = part.next_before else { break };
                    before = Some(next.parse().unwrap());
                }
                let expected: Vec<u64> = (0..count).rev().filter(is_met).collect();
                assert_eq!(found, expected, "{count} records, limit {limit}");
            }
        }
    }

    #[tokio::test]
    async fn part_that_ends_the_list_has_no_next_position() {
        let range = |is_filtered| ListRange {
            before: None,
            limit: 2,
            is_filtered,
        };
        let (part, calls) = read(2, range(false), |_| true).await;
        assert_eq!((part.next_before, calls), (None, 1));
        // Older records exist, but none that matches.
        let (part, _) = read(500, range(true), |record| *record > 497).await;
        assert_eq!((part.rows, part.next_before), (vec![499, 498], None));
    }

    #[tokio::test]
    async fn repeated_token_ends_the_list() {
        let range = ListRange {
            before: None,
            limit: 9,
            is_filtered: false,
        };
        let fetch = async |_: u32, _: &str| Ok((vec![1], "7".to_owned()));
        let part = read_part(range, fetch, |record| Ok(Some(record))).await.unwrap();
        assert_eq!((part.rows, part.next_before), (vec![1, 1], None));
    }
}
