//! Where a token may not be found again: sixteen characters of it in a row are enough to count as a trace.

use std::collections::HashSet;

/// Characters in a row that count.
const WINDOW: usize = 16;
/// Rows of fewer different bytes, such as zeros in base64, are found anywhere.
const DIFFERENT_MIN: usize = 6;

/// Tokens that were shown, and every piece of them.
#[derive(Default)]
pub(crate) struct Shown(HashSet<Vec<u8>>);

impl Shown {
    pub(crate) fn add(&mut self, token: &str) {
        let pieces = token.as_bytes().windows(WINDOW);
        let telling = pieces.filter(|piece| piece.iter().collect::<HashSet<_>>().len() >= DIFFERENT_MIN);
        self.0.extend(telling.map(<[u8]>::to_vec));
    }

    /// A piece of a token that stands in `text`.
    pub(crate) fn found_in(&self, text: &[u8]) -> Option<String> {
        let found = text.windows(WINDOW).find(|piece| self.0.contains(*piece));
        found.map(|piece| String::from_utf8_lossy(piece).into_owned())
    }
}

#[test]
fn sixteen_characters_are_found_and_fifteen_are_not() {
    let mut shown = Shown::default();
    shown.add("eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJodHRwczovL");
    assert!(shown.found_in(b"xx ZERTQSJ9.eyJpc3M yy").is_some());
    assert!(shown.found_in(b"xx ERTQSJ9.eyJpc3M yy").is_none());
}
