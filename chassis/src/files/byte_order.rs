//! Byte order marks, which some editors and shells write before text. The products of this workspace write none.

use std::fmt;

/// Mark of UTF-8.
const UTF8: &[u8] = b"\xef\xbb\xbf";
/// Marks of UTF-16 in both orders.
const UTF16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];
/// Marks of UTF-32 in both orders. The first one begins with a mark of UTF-16; UTF-16 text that begins like it has the
/// character U+0000 first, which no text file has.
const UTF32: [&[u8]; 2] = [b"\xff\xfe\0\0", b"\0\0\xfe\xff"];

/// Encoding of a text, by its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Utf16,
    Utf32,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf16 => "UTF-16",
            Self::Utf32 => "UTF-32",
        })
    }
}

/// The bytes are text in another encoding than UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotUtf8(pub Encoding);

/// Removes one mark of UTF-8 from the start.
///
/// # Errors
/// When the bytes start with the mark of another encoding.
pub fn strip_mark(bytes: &mut Vec<u8>) -> Result<(), NotUtf8> {
    if bytes.starts_with(UTF8) {
        bytes.drain(..UTF8.len());
    }
    for (encoding, marks) in [(Encoding::Utf32, UTF32), (Encoding::Utf16, UTF16)] {
        if marks.iter().any(|mark| bytes.starts_with(mark)) {
            return Err(NotUtf8(encoding));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use synapsor_codes::ErrorCode;

    use super::*;
    use crate::files::{FileError, read_bounded, read_own_private, read_private};

    fn stripped(bytes: &[u8]) -> Result<Vec<u8>, NotUtf8> {
        let mut bytes = bytes.to_vec();
        strip_mark(&mut bytes).map(|()| bytes)
    }

    #[test]
    fn mark_of_utf_8_is_removed_once() {
        assert_eq!(stripped(b"\xef\xbb\xbf{}").unwrap(), b"{}");
        assert_eq!(
            stripped(b"\xef\xbb\xbf\xef\xbb\xbf{}").unwrap(),
            b"\xef\xbb\xbf{}"
        );
        for plain in [&b""[..], b"{}", b"\xef\xbb", b"{\xef\xbb\xbf}", b"\xff", b"\xe9"] {
            assert_eq!(stripped(plain).unwrap(), plain);
        }
        assert_eq!(stripped(b"\xef\xbb\xbf").unwrap(), b"");
    }

    #[test]
    fn other_encodings_are_named() {
        for (marked, encoding) in [
            (&b"\xff\xfe{\0}\0"[..], "UTF-16"),
            (b"\xfe\xff\0{\0}", "UTF-16"),
            (b"\xff\xfe", "UTF-16"),
            (b"\xff\xfe\0\0{\0\0\0", "UTF-32"),
            (b"\0\0\xfe\xff", "UTF-32"),
        ] {
            let NotUtf8(found) = stripped(marked).unwrap_err();
            assert_eq!(found.to_string(), encoding);
        }
    }

    #[test]
    fn every_read_of_a_file_handles_marks() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            path
        };
        let utf8 = write("utf8", b"\xef\xbb\xbftext");
        let utf16 = write("utf16", b"\xff\xfet\0");
        let utf32 = write("utf32", b"\xff\xfe\0\0t\0\0\0");
        assert_eq!(read_bounded(&utf8, 99).unwrap(), b"text");
        assert_eq!(*read_private(&utf8, 99).unwrap(), b"text");
        assert_eq!(*read_own_private(&utf8, 99).unwrap(), b"text");
        for (path, encoding) in [(&utf16, "UTF-16"), (&utf32, "UTF-32")] {
            let refused: [FileError; 3] = [
                read_bounded(path, 99).unwrap_err(),
                read_private(path, 99).unwrap_err(),
                read_own_private(path, 99).unwrap_err(),
            ];
            for error in refused {
                assert_eq!(error.code(), ErrorCode::FileNotUtf8);
                assert!(
                    error.to_string().contains(encoding) && error.fix().contains("UTF-8"),
                    "{error}"
                );
            }
        }
    }
}
