//! Compares the identities that databases report: the one that a signed record names with the current one.
//!
//! Only PostgreSQL has parts: `postgres:SYSTEM:TIMELINE:NUMBER:NAME`, with number and name of the database. A standby
//! reports `standby` as its timeline. A role that may not call a function reports `unknown` for what it returns.

/// The timeline of a standby: it follows that of its primary.
const STANDBY: &str = "standby";
/// A part that the role of the connection may not read.
pub const UNKNOWN: &str = "unknown";

/// Relation of a recorded identity to the one that the database reports now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityRelation {
    /// The same database on the same timeline.
    Same,
    /// The same database; one of the two names no timeline: a standby, or a role that may not read it.
    Weaker,
    /// The same database, after its server started another timeline: a failover, a restore or a promoted copy.
    LaterTimeline,
    /// The same database on a timeline before the recorded one: an old primary or an old backup.
    EarlierTimeline,
    /// Another database, or one that cannot be recognized.
    Different,
}

impl IdentityRelation {
    /// Compares a recorded identity with the current one.
    pub fn of(recorded: &str, current: &str) -> Self {
        if recorded == current {
            return Self::Same;
        }
        let (Some(was), Some(is)) = (Parts::of(recorded), Parts::of(current)) else {
            return Self::Different;
        };
        // A right that was granted later makes an identity stronger, and nothing makes it weaker.
        let is_same_system = was.system == is.system || was.system == UNKNOWN;
        if !is_same_system || was.database != is.database {
            return Self::Different;
        }
        match (was.timeline_number(), is.timeline_number()) {
            (Some(was), Some(is)) if was == is => Self::Same,
            (Some(was), Some(is)) if was < is => Self::LaterTimeline,
            (Some(_), Some(_)) => Self::EarlierTimeline,
            (None, _) | (_, None) => Self::Weaker,
        }
    }

    /// Whether a record belongs to the current database, whatever its timeline.
    pub const fn is_same_database(self) -> bool {
        !matches!(self, Self::Different)
    }
}

/// Whether the current identity differs from the recorded one only in a system identifier that the current role may not
/// read. Another server can have the same identity then, so that the databases count as different.
pub fn is_only_unreadable(recorded: &str, current: &str) -> bool {
    let (Some(was), Some(is)) = (Parts::of(recorded), Parts::of(current)) else {
        return false;
    };
    let is_unreadable = was.system != UNKNOWN && is.system == UNKNOWN;
    let timelines = was.timeline_number().zip(is.timeline_number());
    is_unreadable && was.database == is.database && timelines.is_none_or(|(was, is)| was == is)
}

/// A part of an identity that the role of the connection may not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnreadablePart {
    SystemIdentifier,
    Timeline,
}

impl UnreadablePart {
    /// Returns the parts that are missing in an identity.
    pub fn of(identity: &str) -> Vec<Self> {
        let Some(parts) = Parts::of(identity) else {
            return Vec::new();
        };
        [
            (parts.system, Self::SystemIdentifier),
            (parts.timeline, Self::Timeline),
        ]
        .into_iter()
        .filter_map(|(text, part)| (text == UNKNOWN).then_some(part))
        .collect()
    }

    /// Returns the part as people name it, and what goes unnoticed without it.
    pub const fn consequence(self) -> (&'static str, &'static str) {
        match self {
            Self::SystemIdentifier => (
                "system identifier",
                "a copy of the database on another server has the same identity",
            ),
            Self::Timeline => ("timeline", "only missing receipts reveal a failover or restore"),
        }
    }

    /// Returns the functions that the part needs, as PostgreSQL names them in GRANT. The role may not call at least one.
    pub const fn functions(self) -> &'static [&'static str] {
        match self {
            Self::SystemIdentifier => &["pg_catalog.pg_control_system()"],
            Self::Timeline => &[
                "pg_catalog.pg_current_wal_lsn()",
                "pg_catalog.pg_walfile_name(pg_lsn)",
            ],
        }
    }
}

struct Parts<'a> {
    system: &'a str,
    timeline: &'a str,
    database: &'a str,
}

impl<'a> Parts<'a> {
    fn of(identity: &'a str) -> Option<Self> {
        let (system, rest) = identity.strip_prefix("postgres:")?.split_once(':')?;
        let (timeline, database) = rest.split_once(':')?;
        Some(Self {
            system,
            timeline,
            database,
        })
    }

    /// The number of the timeline, which servers write in hexadecimal.
    fn timeline_number(&self) -> Option<u32> {
        if self.timeline == STANDBY {
            return None;
        }
        u32::from_str_radix(self.timeline, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::IdentityRelation::{self, Different, EarlierTimeline, LaterTimeline, Same, Weaker};
    use super::{UnreadablePart, is_only_unreadable};

    const BEFORE: &str = "postgres:7431:0000000A:16384:app";

    #[test]
    fn timelines_order_the_histories_of_one_database() {
        for (current, expected) in [
            (BEFORE, Same),
            ("postgres:7431:0000000B:16384:app", LaterTimeline),
            ("postgres:7431:00000010:16384:app", LaterTimeline),
            ("postgres:7431:00000009:16384:app", EarlierTimeline),
            ("postgres:7431:standby:16384:app", Weaker),
            ("postgres:7431:unknown:16384:app", Weaker),
            ("postgres:7432:0000000A:16384:app", Different),
            ("postgres:7431:0000000A:16385:app", Different),
            ("postgres:7431:0000000A:16384:other", Different),
        ] {
            assert_eq!(IdentityRelation::of(BEFORE, current), expected, "{current}");
        }
    }

    #[test]
    fn identity_can_become_stronger_and_never_weaker() {
        let weak = "postgres:unknown:unknown:16384:app";
        assert_eq!(IdentityRelation::of(weak, weak), Same);
        assert_eq!(IdentityRelation::of(weak, BEFORE), Weaker);
        assert_eq!(IdentityRelation::of(BEFORE, weak), Different);
        assert_eq!(
            IdentityRelation::of(weak, "postgres:7431:0000000A:16385:app"),
            Different
        );
    }

    #[test]
    fn unreadable_system_identifier_is_not_another_database() {
        for (current, expected) in [
            ("postgres:unknown:0000000A:16384:app", true),
            ("postgres:unknown:unknown:16384:app", true),
            ("postgres:unknown:standby:16384:app", true),
            ("postgres:unknown:0000000B:16384:app", false),
            ("postgres:unknown:0000000A:16385:app", false),
            ("postgres:7432:0000000A:16384:app", false),
            (BEFORE, false),
            ("sqlite:unknown", false),
        ] {
            assert_eq!(is_only_unreadable(BEFORE, current), expected, "{current}");
        }
        let current = "postgres:unknown:0000000A:16384:app";
        assert_eq!(IdentityRelation::of(BEFORE, current), Different);
        assert!(!is_only_unreadable(current, current));
    }

    #[test]
    fn other_engines_have_one_identity_only() {
        assert_eq!(IdentityRelation::of("sqlite:01234567", "sqlite:01234567"), Same);
        for (recorded, current) in [
            ("sqlite:01234567", "sqlite:01234568"),
            ("mysql:a:1:b:c", "mysql:a:2:b:c"),
            ("mysql:a:1:b:c", "postgres:a:1:b:c"),
            ("postgres:a:1", "postgres:a:2"),
            ("", BEFORE),
        ] {
            assert_eq!(
                IdentityRelation::of(recorded, current),
                Different,
                "{recorded} {current}"
            );
        }
    }

    #[test]
    fn parts_that_a_role_may_not_read_are_named() {
        assert_eq!(UnreadablePart::of(BEFORE), []);
        assert_eq!(UnreadablePart::of("sqlite:unknown"), []);
        assert_eq!(
            UnreadablePart::of("postgres:unknown:unknown:16384:app"),
            [UnreadablePart::SystemIdentifier, UnreadablePart::Timeline]
        );
        assert_eq!(
            UnreadablePart::of("postgres:7431:unknown:16384:app"),
            [UnreadablePart::Timeline]
        );
    }
}
