//! Byte order marks, which some editors and shells write before text. The products of this workspace write none.

/// Mark of UTF-8.
const UTF8: &[u8] = b"\xef\xbb\xbf";
/// Marks of UTF-16 in both orders. UTF-32 in little-endian order begins with the first of them.
const UTF16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];
/// Mark of UTF-32 in big-endian order.
const UTF32: &[u8] = b"\0\0\xfe\xff";

/// The bytes are text in another encoding than UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotUtf8;

/// Removes one mark of UTF-8 from the start.
///
/// # Errors
/// When the bytes start with the mark of another encoding.
pub fn strip_mark(bytes: &mut Vec<u8>) -> Result<(), NotUtf8> {
    if bytes.starts_with(UTF8) {
        bytes.drain(..UTF8.len());
    }
    if bytes.starts_with(UTF32) || UTF16.iter().any(|mark| bytes.starts_with(mark)) {
        return Err(NotUtf8);
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
        for marked in [
            &b"\xff\xfe{\0}\0"[..],
            b"\xfe\xff\0{\0}",
            b"\xff\xfe\0\0",
            b"\0\0\xfe\xff",
        ] {
            assert_eq!(stripped(marked), Err(NotUtf8));
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
        let (utf8, utf16) = (write("utf8", b"\xef\xbb\xbftext"), write("utf16", b"\xff\xfet\0"));
        assert_eq!(read_bounded(&utf8, 99).unwrap(), b"text");
        assert_eq!(*read_private(&utf8, 99).unwrap(), b"text");
        assert_eq!(*read_own_private(&utf8, 99).unwrap(), b"text");
        let refused: [FileError; 3] = [
            read_bounded(&utf16, 99).unwrap_err(),
            read_private(&utf16, 99).unwrap_err(),
            read_own_private(&utf16, 99).unwrap_err(),
        ];
        for error in refused {
            assert_eq!(error.code(), ErrorCode::FileNotUtf8);
            assert!(
                error.to_string().contains("UTF-16") && error.fix().contains("UTF-8"),
                "{error}"
            );
        }
    }
}
