//! Paging of lists: the token is the log position at which the previous page ended.

use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_proto::common::v1::PageRequest;

use crate::store::events::ANSWER_BYTES_MAX;

const SIZE_DEFAULT: u32 = 20;
const SIZE_MAX: u32 = 200;

/// Requested part of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) size: u32,
    /// Only rows older than this event.
    pub(super) before: Option<u64>,
}

impl Page {
    pub(super) fn from_wire(page: Option<PageRequest>) -> Result<Self, PublicError> {
        let Some(page) = page else {
            return Ok(Self {
                size: SIZE_DEFAULT,
                before: None,
            });
        };
        let size = if page.size == 0 {
            SIZE_DEFAULT
        } else {
            page.size.min(SIZE_MAX)
        };
        let before = match page.token.as_str() {
            "" => None,
            token => {
                let before = token.parse().ok().filter(|n: &u64| *n < 1 << 53);
                Some(before.ok_or_else(|| {
                    PublicError::new(ErrorCode::Malformed, "page.token: is not a token of this list")
                })?)
            }
        };
        Ok(Self { size, before })
    }

    /// Returns one row more than the page size, to detect whether the page is the last one.
    pub(super) fn scan(self) -> u32 {
        self.size + 1
    }

    /// Takes rows, newest first, while they fit; returns them with the token of the next page.
    pub(super) fn fill<R, T, E>(
        self,
        rows: Vec<R>,
        position: impl Fn(&R) -> u64,
        mut show: impl FnMut(&R) -> Result<(T, usize), E>,
    ) -> Result<(Vec<T>, String), E> {
        let (mut shown, mut bytes, mut last) = (Vec::new(), 0, None);
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        for row in &rows {
            if shown.len() == size {
                return Ok((shown, token(last)));
            }
            let (item, item_bytes) = show(row)?;
            bytes += item_bytes;
            if bytes > ANSWER_BYTES_MAX && !shown.is_empty() {
                return Ok((shown, token(last)));
            }
            last = Some(position(row));
            shown.push(item);
        }
        Ok((shown, String::new()))
    }
}

fn token(last: Option<u64>) -> String {
    last.map(|seq| seq.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_end_by_size_or_bytes_and_return_the_next_token() {
        let page = Page::from_wire(Some(PageRequest {
            size: 2,
            token: String::new(),
        }))
        .unwrap();
        let show = |n: &u64| Ok::<_, PublicError>((*n, 10));
        assert_eq!(
            page.fill(vec![9, 7, 5], |n| *n, show).unwrap(),
            (vec![9, 7], "7".to_owned())
        );
        assert_eq!(
            page.fill(vec![9, 7], |n| *n, show).unwrap(),
            (vec![9, 7], String::new())
        );
        let large = |n: &u64| Ok::<_, PublicError>((*n, ANSWER_BYTES_MAX));
        assert_eq!(
            page.fill(vec![9, 7], |n| *n, large).unwrap(),
            (vec![9], "9".to_owned())
        );
    }

    #[test]
    fn rejects_token_of_another_list() {
        for token in ["x", "-1", "99999999999999999999"] {
            let wire = PageRequest {
                size: 0,
                token: token.to_owned(),
            };
            assert_eq!(
                Page::from_wire(Some(wire)).unwrap_err().code,
                ErrorCode::Malformed
            );
        }
    }
}
