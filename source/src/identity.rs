//! Whether two identity strings name one database.

/// Whether two identities that a database reported are of the same database. A PostgreSQL server begins a new timeline
/// at every failover and restore; what was signed before names the earlier one and is of this database still.
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
}
