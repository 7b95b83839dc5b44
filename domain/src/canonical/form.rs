//! Checks in one pass, without building a value, that bytes are in canonical form.

use std::borrow::Cow;

use crate::limits::{CANONICAL_DEPTH_MAX, INTEGER_MAX};

/// Maximum number of digits of an integer in canonical form.
const DIGITS_MAX: usize = 16;
/// Keys for which the JSON library does not read an object as an object.
const LIBRARY_KEYS: &[u8] = b"$serde_json::private::";

/// Returns true only for bytes that [`super::encode`] can produce; false when uncertain.
pub(super) fn is_canonical(bytes: &[u8]) -> bool {
    if std::str::from_utf8(bytes).is_err() {
        return false;
    }
    let mut form = Form { rest: bytes };
    form.value(0).is_some() && form.rest.is_empty()
}

/// Remaining input.
struct Form<'b> {
    rest: &'b [u8],
}

impl<'b> Form<'b> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn is_next(&mut self, wanted: u8) -> bool {
        let is_there = self.rest.first() == Some(&wanted);
        if is_there {
            self.rest = &self.rest[1..];
        }
        is_there
    }

    fn word(&mut self, wanted: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(wanted)?;
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > CANONICAL_DEPTH_MAX {
            return None;
        }
        match self.rest.first()? {
            b'n' => self.word(b"null"),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'"' => self.text().map(|_| ()),
            b'[' => self.array(depth),
            b'{' => self.object(depth),
            b'-' | b'0'..=b'9' => self.integer(),
            _ => None,
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.word(b"[")?;
        if self.is_next(b']') {
            return Some(());
        }
        loop {
            self.value(depth + 1)?;
            match self.next()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.word(b"{")?;
        if self.is_next(b'}') {
            return Some(());
        }
        let mut last: Option<Cow<'b, [u8]>> = None;
        loop {
            let key = self.text()?;
            if key.starts_with(LIBRARY_KEYS) || last.is_some_and(|last| last >= key) {
                return None;
            }
            last = Some(key);
            self.word(b":")?;
            self.value(depth + 1)?;
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    fn integer(&mut self) -> Option<()> {
        let is_negative = self.is_next(b'-');
        let count = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at(count);
        if !(1..=DIGITS_MAX).contains(&count) || (digits[0] == b'0' && (count > 1 || is_negative)) {
            return None;
        }
        let number = digits
            .iter()
            .fold(0_u64, |n, digit| n * 10 + u64::from(digit - b'0'));
        self.rest = rest;
        (number <= INTEGER_MAX).then_some(())
    }

    /// Reads a string and resolves its escapes.
    fn text(&mut self) -> Option<Cow<'b, [u8]>> {
        self.word(b"\"")?;
        let plain = self.plain();
        if self.is_next(b'"') {
            return Some(Cow::Borrowed(plain));
        }
        let mut all = plain.to_vec();
        loop {
            match self.next()? {
                b'"' => return Some(Cow::Owned(all)),
                b'\\' => all.push(self.escape()?),
                _ => return None,
            }
            all.extend_from_slice(self.plain());
        }
    }

    /// Reads up to the next quote, backslash or control character.
    fn plain(&mut self) -> &'b [u8] {
        let is_plain = |b: &&u8| !matches!(**b, b'"' | b'\\' | 0..=0x1f);
        let (plain, rest) = self.rest.split_at(self.rest.iter().take_while(is_plain).count());
        self.rest = rest;
        plain
    }

    /// Accepts the single escape of each character that needs one; rejects every other escape.
    fn escape(&mut self) -> Option<u8> {
        match self.next()? {
            b'"' => Some(b'"'),
            b'\\' => Some(b'\\'),
            b'b' => Some(0x08),
            b't' => Some(b'\t'),
            b'n' => Some(b'\n'),
            b'f' => Some(0x0c),
            b'r' => Some(b'\r'),
            b'u' => {
                self.word(b"00")?;
                let high = self.next().filter(|b| matches!(b, b'0' | b'1'))? - b'0';
                let low = match self.next()? {
                    digit @ b'0'..=b'9' => digit - b'0',
                    letter @ b'a'..=b'f' => letter - b'a' + 10,
                    _ => return None,
                };
                let character = high * 16 + low;
                (!matches!(character, 0x08 | b'\t' | b'\n' | 0x0c | b'\r')).then_some(character)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;

    /// Reference definition: bytes that decode and encode to themselves.
    fn writes_back(bytes: &[u8]) -> bool {
        let Ok(json) = serde_json::from_slice::<Json>(bytes) else {
            return false;
        };
        let mut again = Vec::new();
        super::super::write(&json, 0, &mut again).is_ok() && again == bytes
    }

    fn json() -> impl Strategy<Value = Json> {
        let text = prop_oneof![".{0,6}", "[a-c]{0,2}", "[\\x00-\\x1f\"\\\\/\\x7f]{0,4}"];
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            (-20_i64..20).prop_map(Json::from),
            text.clone().prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            let map = proptest::collection::vec((text.clone(), inner.clone()), 0..4);
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(Json::from),
                map.prop_map(|entries| Json::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn canonical_bytes_are_written_back_unchanged(
            value in json(),
            at in any::<prop::sample::Index>(),
            byte in prop_oneof![any::<u8>(), Just(b' '), Just(b'"'), Just(b'\\'), Just(b'0'), Just(b'u'), Just(b'-')],
            how in 0..4_u8,
        ) {
            let mut bytes = Vec::new();
            let has_form = super::super::write(&value, 0, &mut bytes).is_ok();
            if has_form {
                prop_assert!(is_canonical(&bytes));
            }
            let plain = serde_json::to_vec(&value).unwrap();
            prop_assert_eq!(is_canonical(&plain), writes_back(&plain));
            let original = if bytes.is_empty() { &plain } else { &bytes };
            let mut altered = original.clone();
            let index = at.index(altered.len());
            match how {
                0 => altered[index] = byte,
                1 => altered.insert(index, byte),
                2 => { altered.remove(index); }
                _ => altered.truncate(index),
            }
            let text = String::from_utf8_lossy(&altered);
            prop_assert_eq!(is_canonical(&altered), writes_back(&altered), "{}", text);
        }
    }

    #[test]
    fn every_control_character_has_one_spelling() {
        for code in 0..0x80_u8 {
            for spelling in [
                format!("\"\\u{code:04x}\""),
                format!("\"\\u{code:04X}\""),
                format!("\"\\{}\"", char::from(code)),
                format!("\"{}\"", char::from(code)),
            ] {
                assert_eq!(
                    is_canonical(spelling.as_bytes()),
                    writes_back(spelling.as_bytes()),
                    "{spelling}"
                );
            }
        }
    }
}
