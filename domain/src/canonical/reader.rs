//! Decodes an object from canonical bytes in one pass, which checks their form and reports each string.

use std::borrow::Cow;

use serde::de::value::{BorrowedStrDeserializer, Error, MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::form::Form;
use crate::limits::CANONICAL_DEPTH_MAX;

/// Receives the strings of an object in their order, escapes resolved, while the object is decoded.
pub trait StringObserver {
    fn key(&mut self, key: &str);
    /// `key` is that of the innermost object around the string.
    fn value(&mut self, key: Option<&str>, text: &str);
}

/// Observes nothing.
impl StringObserver for () {
    fn key(&mut self, _: &str) {}
    fn value(&mut self, _: Option<&str>, _: &str) {}
}

/// Decodes an object. An error does not say whether the form or the object is at fault.
pub(super) fn read<'de, T: Deserialize<'de>>(
    bytes: &'de [u8],
    observer: &mut impl StringObserver,
) -> Result<T, Error> {
    let mut form = Form::new(bytes).ok_or_else(not_canonical)?;
    let value = T::deserialize(ValueReader {
        form: &mut form,
        observer,
        key: None,
        depth: 0,
    })?;
    if form.is_at_end() {
        Ok(value)
    } else {
        Err(not_canonical())
    }
}

fn not_canonical() -> Error {
    Error::custom("not canonical")
}

/// Reads one value, with the key of the innermost object around it.
struct ValueReader<'r, 'de, O> {
    form: &'r mut Form<'de>,
    observer: &'r mut O,
    key: Option<&'r str>,
    depth: usize,
}

impl<'r, 'de, O: StringObserver> ValueReader<'r, 'de, O> {
    fn first(&self) -> Result<u8, Error> {
        let first = self.form.peek().filter(|_| self.depth <= CANONICAL_DEPTH_MAX);
        first.ok_or_else(not_canonical)
    }

    fn word(&mut self, wanted: &[u8]) -> Result<(), Error> {
        self.form.word(wanted).ok_or_else(not_canonical)
    }

    fn text(&mut self) -> Result<Cow<'de, str>, Error> {
        let text = self.form.text().ok_or_else(not_canonical)?;
        self.observer.value(self.key, &text);
        Ok(text)
    }

    fn list<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut items = Items {
            separators: Separators::open(self.form, b']')?,
            reader: self,
        };
        let value = visitor.visit_seq(&mut items)?;
        items.separators.end(items.reader.form)?;
        Ok(value)
    }

    fn object<T>(self, visit: impl FnOnce(&mut Members<'r, 'de, O>) -> Result<T, Error>) -> Result<T, Error> {
        let mut members = Members {
            separators: Separators::open(self.form, b'}')?,
            reader: self,
            last: None,
        };
        let value = visit(&mut members)?;
        members.separators.end(members.reader.form)?;
        Ok(value)
    }
}

impl<'de, O: StringObserver> Deserializer<'de> for ValueReader<'_, 'de, O> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        match self.first()? {
            b'n' => self.word(b"null").and_then(|()| visitor.visit_unit()),
            b't' => self.word(b"true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.word(b"false").and_then(|()| visitor.visit_bool(false)),
            b'"' => match self.text()? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            b'[' => self.list(visitor),
            b'{' => self.object(|members| visitor.visit_map(members)),
            b'-' | b'0'..=b'9' => {
                let number = self.form.integer().ok_or_else(not_canonical)?;
                match u64::try_from(number) {
                    Ok(number) => visitor.visit_u64(number),
                    Err(_) => visitor.visit_i64(number),
                }
            }
            _ => Err(not_canonical()),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        if self.first()? == b'n' {
            self.word(b"null")?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// Reads the name of a variant, or an object with the name as its only key.
    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.first()? {
            b'"' => visitor.visit_enum(StrDeserializer::new(&self.text()?)),
            b'{' => self.object(|members| visitor.visit_enum(MapAccessDeserializer::new(members))),
            _ => Err(Error::custom("expected the name of a variant")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// Position between the items of a list, or the members of an object.
struct Separators {
    close: u8,
    position: Position,
}

enum Position {
    First,
    Later,
    End,
}

impl Separators {
    /// Reads the opening bracket.
    fn open(form: &mut Form<'_>, close: u8) -> Result<Self, Error> {
        form.next().ok_or_else(not_canonical)?;
        Ok(Self {
            close,
            position: Position::First,
        })
    }

    /// Reads up to the next item; returns false at the end.
    fn next(&mut self, form: &mut Form<'_>) -> Result<bool, Error> {
        let is_end = match self.position {
            Position::First => form.is_next(self.close),
            Position::Later => match form.next() {
                Some(b',') => false,
                Some(byte) if byte == self.close => true,
                Some(_) | None => return Err(not_canonical()),
            },
            Position::End => true,
        };
        self.position = if is_end { Position::End } else { Position::Later };
        Ok(!is_end)
    }

    /// Fails if an item is left.
    fn end(&mut self, form: &mut Form<'_>) -> Result<(), Error> {
        if self.next(form)? {
            return Err(Error::custom("too many items"));
        }
        Ok(())
    }
}

struct Items<'r, 'de, O> {
    reader: ValueReader<'r, 'de, O>,
    separators: Separators,
}

impl<'de, O: StringObserver> SeqAccess<'de> for Items<'_, 'de, O> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let reader = &mut self.reader;
        if !self.separators.next(reader.form)? {
            return Ok(None);
        }
        let item = ValueReader {
            form: &mut *reader.form,
            observer: &mut *reader.observer,
            key: reader.key,
            depth: reader.depth + 1,
        };
        seed.deserialize(item).map(Some)
    }
}

struct Members<'r, 'de, O> {
    reader: ValueReader<'r, 'de, O>,
    separators: Separators,
    last: Option<Cow<'de, str>>,
}

impl<'de, O: StringObserver> MapAccess<'de> for Members<'_, 'de, O> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let reader = &mut self.reader;
        if !self.separators.next(reader.form)? {
            return Ok(None);
        }
        let key = reader.form.key(self.last.as_deref()).ok_or_else(not_canonical)?;
        reader.observer.key(&key);
        let value = match &key {
            Cow::Borrowed(key) => seed.deserialize(BorrowedStrDeserializer::new(key)),
            Cow::Owned(key) => seed.deserialize(StrDeserializer::new(key)),
        };
        self.last = Some(key);
        value.map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let reader = &mut self.reader;
        seed.deserialize(ValueReader {
            form: &mut *reader.form,
            observer: &mut *reader.observer,
            key: self.last.as_deref(),
            depth: reader.depth + 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;
    use serde_json::Value as Json;

    use super::super::form::tests::json;
    use super::super::{decode, decode_observed, encode};
    use super::*;

    /// Strings in their order: keys, and values with the key above them.
    #[derive(Debug, Default, PartialEq)]
    struct Seen(Vec<(Option<String>, String)>);

    impl StringObserver for Seen {
        fn key(&mut self, key: &str) {
            self.0.push((Some("key".to_owned()), key.to_owned()));
        }

        fn value(&mut self, key: Option<&str>, text: &str) {
            self.0
                .push((key.map(|key| format!("value of {key}")), text.to_owned()));
        }
    }

    /// Reference definition: the strings of a decoded value.
    fn walk(json: &Json, key: Option<&str>, seen: &mut Seen) {
        match json {
            Json::String(text) => seen.value(key, text),
            Json::Array(items) => items.iter().for_each(|item| walk(item, key, seen)),
            Json::Object(members) => {
                for (key, value) in members {
                    seen.key(key);
                    walk(value, Some(key), seen);
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }

    proptest! {
        #[test]
        fn every_string_is_observed_and_form_is_checked(
            value in json(),
            at in any::<prop::sample::Index>(),
            byte in prop_oneof![any::<u8>(), Just(b' '), Just(b'"'), Just(b'\\'), Just(b'0'), Just(b'u'), Just(b'-')],
            how in 0..5_u8,
        ) {
            let mut bytes = encode(&value).unwrap_or_else(|_| serde_json::to_vec(&value).unwrap());
            let index = at.index(bytes.len());
            match how {
                0 => bytes[index] = byte,
                1 => bytes.insert(index, byte),
                2 => { bytes.remove(index); }
                3 => bytes.truncate(index),
                _ => {}
            }
            let mut seen = Seen::default();
            let observed = decode_observed::<IgnoredAny>(&bytes, &mut seen);
            match (observed, decode::<Json>(&bytes)) {
                (Ok(_), Ok(json)) => {
                    let mut expected = Seen::default();
                    walk(&json, None, &mut expected);
                    prop_assert_eq!(seen, expected);
                }
                (Err(observed), Err(decoded)) => prop_assert_eq!(observed, decoded),
                (observed, decoded) => prop_assert!(false, "{:?}, {:?}", observed, decoded),
            }
        }
    }

    #[test]
    fn depth_is_bounded_like_in_the_form() {
        for depth in [CANONICAL_DEPTH_MAX, CANONICAL_DEPTH_MAX + 1] {
            for leaf in ["null", "1", "[]", "\"\""] {
                let text = format!("{}{leaf}{}", "[".repeat(depth), "]".repeat(depth));
                let observed = decode_observed::<Option<IgnoredAny>>(text.as_bytes(), &mut ());
                assert_eq!(depth > CANONICAL_DEPTH_MAX, observed.is_err(), "{depth} {leaf}");
                assert_eq!(
                    observed.err(),
                    decode::<Json>(text.as_bytes()).err(),
                    "{depth} {leaf}"
                );
            }
        }
    }
}
