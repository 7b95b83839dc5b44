//! Compares identity strings of databases.

/// Whether two reported identities are of the same database. A PostgreSQL server starts a new timeline at
/// every failover and restore. Records signed before that name the earlier timeline and still belong to this
/// database.
pub fn is_same_database(one: &str, other: &str) -> bool {
    let without_timelines = (without_timeline(one), without_timeline(other));
    one == other || matches!(without_timelines, (Some(one), Some(other)) if one == other)
}

/// System identifier and database of `postgres:SYSTEM:TIMELINE:NUMBER:NAME`.
fn without_timeline(identity: &str) -> Option<(&str, &str)> {
    let (system, rest) = identity.strip_prefix("postgres:")?.split_once(':')?;
    let (_, database) = rest.split_once(':')?;
    Some((system, database))
}

#[cfg(test)]
mod tests {
    use super::is_same_database;

    #[test]
    fn database_is_the_same_after_a_failover() {
        let before = "postgres:7431:00000001:16384:app";
        assert!(is_same_database(before, "postgres:7431:00000002:16384:app"));
        assert!(is_same_database(before, "postgres:7431:standby:16384:app"));
        assert!(!is_same_database(before, "postgres:7432:00000001:16384:app"));
        assert!(!is_same_database(before, "postgres:7431:00000001:16385:app"));
        assert!(!is_same_database(before, "postgres:7431:00000001:16384:other"));
    }

    #[test]
    fn other_engines_compare_whole_strings() {
        assert!(is_same_database("sqlite:01234567", "sqlite:01234567"));
        assert!(!is_same_database("sqlite:01234567", "sqlite:01234568"));
        assert!(!is_same_database("mysql:a:1:b:c", "mysql:a:2:b:c"));
    }

    #[test]
    fn incomplete_identity_equals_only_itself() {
        for part in ["postgres:7431", "postgres:7431:00000001", "postgres:", ""] {
            assert!(is_same_database(part, part));
            assert!(
                !is_same_database(part, "postgres:7431:00000001:16384:app"),
                "{part}"
            );
        }
        assert!(!is_same_database(
            "postgres:7431:00000001",
            "postgres:7431:00000002"
        ));
        // Only PostgreSQL has timelines; other engines have no identity of this form.
        assert!(!is_same_database("mysql:a:1:b:c", "postgres:a:1:b:c"));
        assert!(!is_same_database(
            "mariadb:7431:1:16384:app",
            "mariadb:7431:2:16384:app"
        ));
    }
}
