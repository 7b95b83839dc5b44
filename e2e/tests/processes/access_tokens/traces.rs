//! Search for traces of a token: sixteen consecutive characters count as a trace.

use std::collections::HashSet;

/// Number of consecutive characters that count.
const WINDOW: usize = 16;
/// Sequences with fewer distinct bytes, such as zeros in base64, occur anywhere.
const DIFFERENT_MIN: usize = 6;

/// Tokens that clients sent, and every piece of them.
#[derive(Default)]
pub(crate) struct Shown(HashSet<Vec<u8>>);

impl Shown {
    pub(crate) fn add(&mut self, token: &str) {
        let pieces = token.as_bytes().windows(WINDOW);
        let telling = pieces.filter(|piece| piece.iter().collect::<HashSet<_>>().len() >= DIFFERENT_MIN);
        self.0.extend(telling.map(<[u8]>::to_vec));
    }

    /// Returns a piece of a token that occurs in `text`.
    pub(crate) fn found_in(&self, text: &[u8]) -> Option<String> {
        let found = text.windows(WINDOW).find(|piece| self.0.contains(*piece));
        found.map(|piece| String::from_utf8_lossy(piece).into_owned())
    }
}

#[test]
fn trace_needs_sixteen_characters() {
    let mut shown = Shown::default();
    shown.add("eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJodHRwczovL");
    assert!(shown.found_in(b"xx ZERTQSJ9.eyJpc3M yy").is_some());
    assert!(shown.found_in(b"xx ERTQSJ9.eyJpc3M yy").is_none());
}
