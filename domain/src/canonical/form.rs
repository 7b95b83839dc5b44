//! Reads the canonical form: the check that bytes have it, without building a value, and what a reader of values needs.

use std::borrow::Cow;

use crate::limits::{CANONICAL_DEPTH_MAX, INTEGER_MAX};

/// Maximum number of digits of an integer in canonical form.
const DIGITS_MAX: usize = 16;
/// Keys for which the JSON library does not read an object as an object.
const LIBRARY_KEYS: &str = "$serde_json::private::";

/// Returns true only for bytes that [`super::encode`] can produce; false when uncertain.
pub(super) fn is_canonical(bytes: &[u8]) -> bool {
    let Some(mut form) = Form::new(bytes) else {
        return false;
    };
    form.value(0).is_some() && form.is_at_end()
}

/// Bytes with the position up to which they are read. `None` of a method ends the reading: the position is then
/// arbitrary.
pub(super) struct Form<'b> {
    text: &'b str,
    at: usize,
}

impl<'b> Form<'b> {
    /// Returns `None` for bytes that are not UTF-8.
    pub(super) fn new(bytes: &'b [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        Some(Self { text, at: 0 })
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn next(&mut self) -> Option<u8> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    pub(super) fn is_next(&mut self, wanted: u8) -> bool {
        let is_there = self.peek() == Some(wanted);
        if is_there {
            self.at += 1;
        }
        is_there
    }

    pub(super) fn word(&mut self, wanted: &[u8]) -> Option<()> {
        self.text.as_bytes()[self.at..].strip_prefix(wanted)?;
        self.at += wanted.len();
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > CANONICAL_DEPTH_MAX {
            return None;
        }
        match self.peek()? {
            b'n' => self.word(b"null"),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'"' => self.text().map(|_| ()),
            b'[' => self.array(depth),
            b'{' => self.object(depth),
            b'-' | b'0'..=b'9' => self.integer().map(|_| ()),
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
        let mut last = None;
        loop {
            last = Some(self.key(last.as_deref())?);
            self.value(depth + 1)?;
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Reads a key and the colon; `last` is the one before it.
    pub(super) fn key(&mut self, last: Option<&str>) -> Option<Cow<'b, str>> {
        let key = self.text()?;
        if key.starts_with(LIBRARY_KEYS) || last.is_some_and(|last| last >= key.as_ref()) {
            return None;
        }
        self.word(b":")?;
        Some(key)
    }

    pub(super) fn integer(&mut self) -> Option<i64> {
        let is_negative = self.is_next(b'-');
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let digits = &rest[..count];
        if !(1..=DIGITS_MAX).contains(&count) || (digits[0] == b'0' && (count > 1 || is_negative)) {
            return None;
        }
        let number = digits
            .iter()
            .fold(0_u64, |n, digit| n * 10 + u64::from(digit - b'0'));
        self.at += count;
        let number = i64::try_from(number).ok().filter(|_| number <= INTEGER_MAX)?;
        Some(if is_negative { -number } else { number })
    }

    /// Reads a string and resolves its escapes.
    pub(super) fn text(&mut self) -> Option<Cow<'b, str>> {
        self.word(b"\"")?;
        let plain = self.plain();
        if self.is_next(b'"') {
            return Some(Cow::Borrowed(plain));
        }
        let mut all = plain.to_owned();
        loop {
            match self.next()? {
                b'"' => return Some(Cow::Owned(all)),
                b'\\' => all.push(char::from(self.escape()?)),
                _ => return None,
            }
            all.push_str(self.plain());
        }
    }

    /// Reads up to the next quote, backslash or control character.
    fn plain(&mut self) -> &'b str {
        let rest = &self.text[self.at..];
        let is_special = |b: u8| matches!(b, b'"' | b'\\' | 0..=0x1f);
        let count = rest.bytes().position(is_special).unwrap_or(rest.len());
        self.at += count;
        &rest[..count]
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
pub(super) mod tests {
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

    pub(in super::super) fn json() -> impl Strategy<Value = Json> {
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
