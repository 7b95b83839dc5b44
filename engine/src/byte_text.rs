//! Texts that name bytes: an agent has no other way to pass a binary key.

use synapsor_domain::value::{Value, ValueKind};

/// What a column of bytes takes.
pub(crate) const BYTES_FORM: &str = "it takes bytes as hex digits, two for each byte, or as a UUID";
/// Positions of the hyphens of a UUID.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
const UUID_CHARS: usize = 36;

/// Returns the bytes that hex digits or a UUID name, in either case. The bytes of a UUID are in the order of its digits.
pub(crate) fn bytes_of_text(text: &str) -> Option<Value> {
    let is_hyphen = |at: usize| HYPHENS.contains(&at);
    let is_uuid = text.len() == UUID_CHARS
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| (byte == b'-') == is_hyphen(at));
    let digits = if is_uuid {
        text.replace('-', "")
    } else {
        text.to_owned()
    };
    let is_hex = digits.len().is_multiple_of(2) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| Value::exact(ValueKind::Bytes, digits.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_and_uuids_name_bytes() {
        let bytes = |text| bytes_of_text(text).map(|value| value.as_text().unwrap_or_default().to_owned());
        assert_eq!(bytes("00FFa0").as_deref(), Some("00ffa0"));
        assert_eq!(bytes("").as_deref(), Some(""));
        let uuid = "01234567-89AB-cdef-0123-456789abcdef";
        assert_eq!(bytes(uuid).as_deref(), Some("0123456789abcdef0123456789abcdef"));
        for wrong in [
            "0",
            "0x00",
            "zz",
            "00 ff",
            "é0",
            "0123456-789ab-cdef-0123-456789abcdef",
            "{01234567-89ab}",
        ] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
