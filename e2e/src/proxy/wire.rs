//! Minimal parser of the two plain-text protocols: finds message boundaries and COMMITs. Unknown messages pass.

use std::collections::BTreeSet;

/// Prefix and length of a proposal id.
const ID_PREFIX: &[u8] = b"wrp_";
const ID_BYTES: usize = 24;
const POSTGRES_PROTOCOL_MAJOR: u32 = 3;
/// MySQL flag of a client that switches to TLS.
const CLIENT_SSL: u8 = 0x08;

/// Wire protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Postgres,
    /// Also for MariaDB.
    Mysql,
}

/// Meaning of a client message for the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Other,
    /// The server commits when it answers; further messages may have to precede the response.
    Commit,
}

/// Splits the bytes of one client into messages.
#[derive(Debug)]
pub(super) struct Client {
    dialect: Dialect,
    has_started: bool,
    /// The connection switched to TLS, as the first login at MySQL does; later ones do not.
    is_opaque: bool,
    /// PostgreSQL prepared statements that commit.
    committing: BTreeSet<Vec<u8>>,
    /// Proposal that was mentioned last.
    pub(super) about: Option<String>,
}

impl Client {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            has_started: false,
            is_opaque: false,
            committing: BTreeSet::new(),
            about: None,
        }
    }

    /// Length of the first complete message in these bytes.
    pub(super) fn message(&self, bytes: &[u8]) -> Option<usize> {
        if self.is_opaque {
            return (!bytes.is_empty()).then_some(bytes.len());
        }
        let length = match self.dialect {
            Dialect::Postgres if !self.has_started => big_endian(bytes.get(..4)?),
            Dialect::Postgres => 1 + big_endian(bytes.get(1..5)?),
            Dialect::Mysql => {
                let header = bytes.get(..4)?;
                4 + usize::from(header[0]) + (usize::from(header[1]) << 8) + (usize::from(header[2]) << 16)
            }
        };
        (bytes.len() >= length).then_some(length)
    }

    pub(super) fn understand(&mut self, message: &[u8]) -> Meaning {
        if self.is_opaque {
            return Meaning::Other;
        }
        if let Some(id) = find_id(message) {
            self.about = Some(id);
        }
        let commits = match self.dialect {
            Dialect::Postgres if !self.has_started => {
                // A request for encryption precedes the startup message and is not one.
                let version = message.get(4..8).map_or(0, big_endian) >> 16;
                self.has_started = u32::try_from(version).is_ok_and(|v| v == POSTGRES_PROTOCOL_MAJOR);
                false
            }
            Dialect::Postgres => self.postgres_commits(message),
            Dialect::Mysql if !self.has_started => {
                self.has_started = true;
                self.is_opaque = message.get(5).is_some_and(|flags| flags & CLIENT_SSL != 0);
                false
            }
            Dialect::Mysql => message.get(4) == Some(&0x03) && message.get(5..).is_some_and(is_commit),
        };
        if commits { Meaning::Commit } else { Meaning::Other }
    }

    /// Simple query, or a bind of a prepared COMMIT.
    fn postgres_commits(&mut self, message: &[u8]) -> bool {
        let (kind, body) = (message.first(), message.get(5..).unwrap_or_default());
        match kind {
            // One message can contain several statements.
            Some(b'Q') => body.split(|byte| *byte == b';').any(is_commit),
            Some(b'P') => {
                let mut parts = body.splitn(2, |b| *b == 0);
                let name = parts.next().unwrap_or_default().to_vec();
                if parts.next().is_some_and(is_commit) {
                    self.committing.insert(name);
                } else {
                    self.committing.remove(&name);
                }
                false
            }
            Some(b'B') => {
                let name = body.splitn(3, |b| *b == 0).nth(1).unwrap_or_default();
                self.committing.contains(name)
            }
            Some(_) | None => false,
        }
    }
}

/// Simple query of PostgreSQL, prefixed with a statement.
pub(super) fn before_query(statement: &str, message: &[u8]) -> Option<Vec<u8>> {
    let body = message.strip_prefix(b"Q")?.get(4..)?;
    let length = u32::try_from(4 + statement.len() + 2 + body.len()).ok()?;
    let mut changed = vec![b'Q'];
    changed.extend(length.to_be_bytes());
    changed.extend(statement.bytes().chain(*b"; "));
    changed.extend(body);
    Some(changed)
}

fn big_endian(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |number, byte| (number << 8) | usize::from(*byte))
}

fn is_commit(statement: &[u8]) -> bool {
    let word = b"COMMIT";
    let statement = statement.trim_ascii_start();
    statement
        .get(..word.len())
        .is_some_and(|s| s.eq_ignore_ascii_case(word))
}

fn find_id(message: &[u8]) -> Option<String> {
    let at = message.windows(ID_PREFIX.len()).position(|w| w == ID_PREFIX)?;
    let id = message.get(at..at + ID_BYTES)?;
    Some(String::from_utf8_lossy(id).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postgres(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind][..], &length[..], body].concat()
    }

    fn started() -> Client {
        let mut client = Client::new(Dialect::Postgres);
        let start = [
            &[0, 0, 0, 8, 4, 210, 22, 47][..],
            &[0, 0, 0, 9, 0, 3, 0, 0, 0][..],
        ]
        .concat();
        for range in [0..8, 8..17] {
            assert_eq!(client.message(&start[range.clone()]), Some(range.len()));
            assert_eq!(client.understand(&start[range]), Meaning::Other);
        }
        client
    }

    #[test]
    fn postgres_commit_is_detected_in_both_forms() {
        let mut client = started();
        assert_eq!(client.understand(&postgres(b'Q', b"COMMIT\0")), Meaning::Commit);
        assert_eq!(
            client.understand(&postgres(b'Q', b"SELECT 1; COMMIT; SELECT 2\0")),
            Meaning::Commit
        );
        assert_eq!(
            client.understand(&postgres(b'Q', b"SELECT 'COMMIT'\0")),
            Meaning::Other
        );
        assert_eq!(
            client.understand(&postgres(b'P', b"s1\0COMMIT\0\0\0")),
            Meaning::Other
        );
        assert_eq!(client.understand(&postgres(b'B', b"\0s1\0\0\0")), Meaning::Commit);
        assert_eq!(client.understand(&postgres(b'B', b"\0s2\0\0\0")), Meaning::Other);
    }

    #[test]
    fn mysql_commit_needs_a_complete_message() {
        let mut client = Client::new(Dialect::Mysql);
        assert_eq!(
            client.understand(&[4, 0, 0, 1, 0x8d, 0xa2, 0x3a, 0]),
            Meaning::Other
        );
        let commit = [&[7, 0, 0, 0, 3][..], b"COMMIT"].concat();
        assert_eq!(client.message(&commit[..6]), None);
        assert_eq!(client.message(&commit), Some(commit.len()));
        assert_eq!(client.understand(&commit), Meaning::Commit);
        let other = [&[7, 0, 0, 0, 22][..], b"COMMIT"].concat();
        assert_eq!(client.understand(&other), Meaning::Other);
    }

    #[test]
    fn tls_traffic_passes_unparsed() {
        let mut client = Client::new(Dialect::Mysql);
        client.understand(&[4, 0, 0, 1, 0x8d, 0xaa, 0x3a, 0]);
        assert_eq!(client.message(&[22, 3, 1]), Some(3));
        assert_eq!(
            client.understand(&[7, 0, 0, 0, 3, b'C', b'O', b'M', b'M', b'I', b'T']),
            Meaning::Other
        );
    }

    #[test]
    fn last_mentioned_proposal_is_recorded() {
        let mut client = started();
        client.understand(&postgres(b'B', b"\0s\0..wrp_0123456789abcdef0123.."));
        client.understand(&postgres(b'Q', b"COMMIT\0"));
        assert_eq!(client.about.as_deref(), Some("wrp_0123456789abcdef0123"));
    }
}
