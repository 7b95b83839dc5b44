//! Reads one part of a list from the ledger's pages, and the position at which older records continue.

use std::ops::AsyncFnMut;

use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;

use crate::clients::verification_failed;

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
    /// Log position at which older records continue; `None` at the end of the list.
    pub(crate) next_before: Option<u64>,
}

/// Reads pages until `range` is full. `fetch` returns a page of at most that many records before a position, with the
/// token of the next page; `open` verifies a record and returns `None` for one that this machine leaves out.
///
/// # Errors
/// `LEDGER_ANSWER_MALFORMED` for a token that is not a position before the page's own: such pages need not end.
pub(super) async fn read_part<R, T>(
    range: ListRange,
    mut fetch: impl AsyncFnMut(u32, &str) -> Result<(Vec<R>, String), ExitError>,
    mut open: impl FnMut(R) -> Result<Option<T>, ExitError>,
) -> Result<ListPart<T>, ExitError> {
    let limit = usize::try_from(range.limit).unwrap_or(usize::MAX);
    let (mut rows, mut before) = (Vec::new(), range.before);
    // Position after the last row of a full part, while it is unknown whether another row follows.
    let mut full_at = None;
    let mut size = PAGE_ROWS_MAX;
    loop {
        let left = limit - rows.len();
        if !range.is_filtered {
            size = u32::try_from(left).unwrap_or(u32::MAX).min(PAGE_ROWS_MAX);
        }
        let token = before.map_or_else(String::new, |before| before.to_string());
        let (page, next) = fetch(size, &token).await?;
        let next = position(&next, before)?;
        let mut matches = Vec::new();
        // A ledger may answer more than it was asked for.
        for (records, record) in (1..=size).zip(page) {
            if let Some(row) = open(record)? {
                matches.push((records, row));
            }
        }
        if full_at.is_some() && !matches.is_empty() {
            return Ok(ListPart {
                rows,
                next_before: full_at,
            });
        }
        if let Some((end, _)) = left.checked_sub(1).and_then(|last| matches.get(last))
            && matches.len() > left
        {
            // Only the token of a page that ends with the last row is its position.
            size = *end;
            continue;
        }
        rows.extend(matches.into_iter().map(|(_, row)| row));
        let Some(next) = next else {
            return Ok(ListPart {
                rows,
                next_before: None,
            });
        };
        if rows.len() >= limit {
            if !range.is_filtered {
                return Ok(ListPart {
                    rows,
                    next_before: Some(next),
                });
            }
            full_at.get_or_insert(next);
        }
        (before, size) = (Some(next), PAGE_ROWS_MAX);
    }
}

/// Returns the position of a page token, `None` for the end of the list.
fn position(token: &str, before: Option<u64>) -> Result<Option<u64>, ExitError> {
    if token.is_empty() {
        return Ok(None);
    }
    let position: Option<u64> = token.parse().ok();
    match position.filter(|position| before.is_none_or(|before| *position < before)) {
        Some(position) => Ok(Some(position)),
        None => Err(verification_failed(
            ErrorCode::LedgerAnswerMalformed,
            "the token of the next page is not an earlier position of the log",
        )),
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
                    before = Some(next);
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

    /// A ledger may answer anything. No token is printed as it is, and no answer makes a command run without end.
    #[tokio::test]
    async fn token_that_is_no_earlier_position_is_refused() {
        let range = ListRange {
            before: Some(9),
            limit: 9,
            is_filtered: false,
        };
        for tokens in [
            ["7", "7"],
            ["7", "8"],
            ["9", ""],
            ["\u{1b}[2J", ""],
            ["7; ls", ""],
            ["-1", ""],
            ["18446744073709551616", ""],
        ] {
            let mut tokens = tokens.into_iter();
            let fetch = async |_: u32, _: &str| Ok((vec![1], tokens.next().unwrap_or_default().to_owned()));
            let error = read_part(range, fetch, |record| Ok(Some(record)))
                .await
                .unwrap_err();
            assert_eq!(error.code(), ErrorCode::LedgerAnswerMalformed);
        }
    }

    #[tokio::test]
    async fn page_that_is_larger_than_requested_is_cut() {
        for is_filtered in [false, true] {
            let range = ListRange {
                before: None,
                limit: 2,
                is_filtered,
            };
            let mut size_requested = 0;
            let fetch = async |size: u32, _: &str| {
                size_requested = size;
                Ok(((0..1_000).collect(), String::new()))
            };
            let part = read_part(range, fetch, |record: u32| Ok(Some(record)))
                .await
                .unwrap();
            assert_eq!(part.rows, [0, 1], "{size_requested} requested");
        }
    }

    /// Records that leave the list between two requests for a page do not hide later ones.
    #[tokio::test]
    async fn list_that_changes_while_it_is_read_loses_no_row() {
        // The first request finds all of 0..60; records 50..60 have left before the second.
        let mut calls = 0;
        let fetch = async |size: u32, token: &str| {
            calls += 1;
            let count = if calls == 1 { 60 } else { 50 };
            Ok(page_of(count, size, token))
        };
        let range = ListRange {
            before: None,
            limit: 20,
            is_filtered: true,
        };
        let part = read_part(range, fetch, |record| Ok(Some(record).filter(|r| r % 2 == 0)))
            .await
            .unwrap();
        let (Some(last), Some(next)) = (part.rows.last(), part.next_before) else {
            panic!("{part:?}")
        };
        assert!(next <= *last && *last - next < 2, "{part:?}");
        assert_eq!(part.rows.len(), 20);
    }
}
