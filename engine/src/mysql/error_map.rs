//! Maps driver errors to causes. Drops the driver's text, which can quote values, statements, hosts and
//! accounts.

use sqlx::Error;
use sqlx::mysql::MySqlDatabaseError;
use synapsor_domain::writeback::{ConstraintClass, ViolatedConstraint};

use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::error_cause::{ConstraintViolation, ErrorCause};

use crate::driver::connection_error;

/// User or password is wrong, or the account requires TLS.
const LOGIN_REJECTED: u16 = 1045;
/// A key that exists already.
const DUPLICATE_ENTRY: u16 = 1062;
/// Maximum length of the name of a login method.
const METHOD_CHARS_MAX: usize = 64;
/// Numbers of SIGNAL without one of its own, and the state for errors of users.
const SIGNAL_NOT_FOUND: u16 = 1643;
const SIGNAL_EXCEPTION: u16 = 1644;
const DIVISION_BY_ZERO: u16 = 1365;
const SIGNAL_STATE: &str = "45000";
/// The account has no right to a table.
const TABLE_ACCESS_DENIED: u16 = 1142;

/// Returns the cause of a driver error; the detail is only the server's error number.
pub fn map_driver_error(error: &Error) -> EngineError {
    use EngineErrorKind as Kind;
    if let Some(method) = login_method(error) {
        let detail = "the server wants another login method";
        return EngineError::new(Kind::Unavailable, detail).because(ErrorCause::LoginMethod(method));
    }
    if let Some(error) = connection_error(error) {
        return error;
    }
    match error {
        Error::Database(_) => match number(error) {
            Some(number) => {
                let detail = format!("server error {number}");
                let kind = kind(number);
                if kind == Kind::Other && is_raised(number, error) {
                    // The server does not name the trigger or routine.
                    return EngineError::new(Kind::Constraint, detail)
                        .because(ErrorCause::RaisedByCode(None));
                }
                let cause = violated(number, error).unwrap_or_else(|| cause_of(number));
                EngineError::new(kind, detail).because(cause)
            }
            None => EngineError::new(Kind::Other, "an error of another database system"),
        },
        Error::Configuration(_) => {
            EngineError::new(Kind::Unavailable, "the server's login method requires TLS")
                .because(ErrorCause::TlsRequired)
        }
        Error::ColumnDecode { .. } | Error::Decode(_) => {
            EngineError::new(Kind::Unreadable, "a value is not of the expected type")
        }
        // Every other variant is a defect of this program or an unused driver feature.
        _ => EngineError::new(Kind::Other, "driver error"),
    }
}

/// Returns the name of a login method that the driver does not have. The driver names it in its text only.
fn login_method(error: &Error) -> Option<String> {
    let Error::Protocol(text) = error else {
        return None;
    };
    let rest = text.strip_prefix("unknown authentication plugin: ")?;
    // The driver appends the place in its source.
    let name = rest.split_once(" (").map_or(rest, |(name, _)| name);
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (name.len() <= METHOD_CHARS_MAX && name.bytes().all(is_word)).then(|| name.to_owned())
}

/// Whether the error reports that a row with this key exists.
pub fn is_duplicate(error: &Error) -> bool {
    number(error) == Some(DUPLICATE_ENTRY)
}

/// Whether the server rejected a statement because the account has no right to a table.
pub fn is_right_missing(error: &Error) -> bool {
    number(error) == Some(TABLE_ACCESS_DENIED)
}

/// Whether a login over TLS can succeed. The server requires TLS to see the password of an account that it has not
/// cached; without TLS it rejects an account that requires it like a wrong password.
pub fn may_need_tls(error: &Error) -> bool {
    matches!(error, Error::Configuration(_)) || is_login_rejected(error)
}

/// Whether the server rejected user or password, or an account that requires TLS.
pub fn is_login_rejected(error: &Error) -> bool {
    number(error) == Some(LOGIN_REJECTED)
}

/// Whether the connection itself is lost, so that the statement may never have run.
pub fn is_lost(error: &Error) -> bool {
    matches!(error, Error::Io(_))
        || number(error).is_some_and(|n| matches!(n, 1053 | 1158..=1161 | 1927 | 4031))
}

/// Whether the server itself ended the statement, so that no part of it still runs.
pub fn is_answer(error: &Error) -> bool {
    matches!(error, Error::Database(_))
}

fn number(error: &Error) -> Option<u16> {
    let Error::Database(inner) = error else {
        return None;
    };
    let inner = inner.try_downcast_ref::<MySqlDatabaseError>()?;
    Some(inner.number())
}

fn kind(number: u16) -> EngineErrorKind {
    use EngineErrorKind as Kind;
    match number {
        // A row changed under a snapshot; lock wait; deadlock; certification of a group; NOWAIT.
        1020 | 1205 | 1213 | 3101 | 3572 => Kind::Busy,
        // Interrupted; read timeout of MySQL; statement timeout of MariaDB.
        1317 | 3024 | 1969 => Kind::Timeout,
        // Disk full, out of memory, too many connections, shutdown, lost connection, table full, host
        // blocked, read-only server, too many connections of one account, killed, idle timeout.
        1021
        | 1037..=1041
        | 1053
        | 1114
        | 1129
        | 1158..=1161
        | 1203
        | 1226
        | 1290
        | 1836
        | 1927
        | 2006
        | 2013
        | 3168
        | 3169
        | 4031 => Kind::Unavailable,
        // The login itself: a credential during rotation is valid again soon.
        LOGIN_REJECTED | 1130 | 1698 | 1820 | 1862 | 3118 | 4151 => Kind::Unavailable,
        1044 | 1142 | 1143 | 1227 | 1356 | 1370 | 1449 | 1792 => Kind::Denied,
        1049 | 1051 | 1054 | 1146 | 1305 => Kind::NotFound,
        1153 | 1301 => Kind::TooLarge,
        // NOT NULL, duplicate key, foreign keys in both directions, range, length, checks of both servers.
        1048 | 1062 | 1216 | 1217 | 1264 | 1406 | 1451 | 1452 | 1557 | 1586 | 1761 | 1762 | 3819 | 4025 => {
            Kind::Constraint
        }
        _ => Kind::Other,
    }
}

/// Returns the constraint that rejected a statement. Servers name it in the text only, after the values.
fn violated(number: u16, error: &Error) -> Option<ErrorCause> {
    let (class, before, after) = match number {
        DUPLICATE_ENTRY | 1557 | 1586 | 1761 | 1762 => (ConstraintClass::Unique, " for key '", "'"),
        3819 => (ConstraintClass::Check, "Check constraint '", "' is violated"),
        4025 => (ConstraintClass::Check, "CONSTRAINT `", "` failed for"),
        1216 | 1217 | 1451 | 1452 => (ConstraintClass::ForeignKey, "CONSTRAINT `", "` FOREIGN KEY"),
        1048 => (ConstraintClass::NotNull, "Column '", "' cannot be null"),
        1406 => (ConstraintClass::TooLong, "for column '", "'"),
        1264 => (ConstraintClass::OutOfRange, "for column '", "'"),
        // A value that the type truncates or does not read; text that is no JSON.
        1265 | 1292 | 1366 | 1367 => (ConstraintClass::Type, "for column '", "'"),
        3140 => (ConstraintClass::Type, "value for column '", "'"),
        _ => return None,
    };
    let Error::Database(inner) = error else {
        return None;
    };
    let name = named(inner.message(), before, after);
    Some(ErrorCause::ConstraintViolated(Box::new(ConstraintViolation {
        constraint: ViolatedConstraint::new(class, name),
        table: table_of(number, inner.message()),
        // The server does not report whether a trigger ran the failed statement.
        is_of_statement: false,
    })))
}

/// Returns database and table of a constraint, for the errors that name both.
fn table_of(number: u16, text: &str) -> Option<(String, String)> {
    let quoted = match number {
        4025 => text.rsplit_once("` failed for `")?.1,
        1216 | 1217 | 1451 | 1452 => {
            let (before, _) = text.rsplit_once(", CONSTRAINT `")?;
            before.rsplit_once("(`")?.1
        }
        _ => return None,
    };
    let (schema, table) = quoted.strip_suffix('`')?.split_once("`.`")?;
    Some((schema.to_owned(), table.to_owned()))
}

/// Whether SIGNAL raised the error, which has a number or a state of its own then, or code divided by zero: no statement
/// of this program divides.
fn is_raised(number: u16, error: &Error) -> bool {
    let is_of_users =
        matches!(error, Error::Database(inner) if inner.code().as_deref() == Some(SIGNAL_STATE));
    is_of_users || number == DIVISION_BY_ZERO || (SIGNAL_NOT_FOUND..=SIGNAL_EXCEPTION).contains(&number)
}

/// Returns the last text between two phrases; values precede it.
fn named<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.rsplit_once(before)?;
    rest.split_once(after).map(|(name, _)| name)
}

fn cause_of(number: u16) -> ErrorCause {
    match number {
        1044 => ErrorCause::ConnectDenied,
        LOGIN_REJECTED | 1130 | 1698 => ErrorCause::LoginRejected,
        1820 | 1862 | 3118 | 4151 => ErrorCause::AccountSuspended,
        1290 | 1792 | 1836 => ErrorCause::TakesNoWrites,
        1049 => ErrorCause::DatabaseMissing,
        1040 | 1203 | 1226 => ErrorCause::ConnectionsExhausted,
        3159 => ErrorCause::TlsRequired,
        _ => ErrorCause::Unspecified,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_method_is_named_only_if_it_is_a_word() {
        let named = |text: &str| map_driver_error(&Error::Protocol(text.into())).cause;
        assert_eq!(
            named("unknown authentication plugin: client_ed25519 (sqlx_mysql::protocol::auth:36)"),
            ErrorCause::LoginMethod("client_ed25519".to_owned())
        );
        for text in [
            "unknown authentication plugin: a secret (x:1)",
            "unexpected packet",
        ] {
            assert_eq!(named(text), ErrorCause::OtherProtocol, "{text}");
        }
    }

    #[test]
    fn retryable_errors_are_distinguished() {
        for (number, expected) in [
            (1205, EngineErrorKind::Busy),
            (1213, EngineErrorKind::Busy),
            (3024, EngineErrorKind::Timeout),
            (1969, EngineErrorKind::Timeout),
            (1317, EngineErrorKind::Timeout),
            (1290, EngineErrorKind::Unavailable),
            (1927, EngineErrorKind::Unavailable),
            (1045, EngineErrorKind::Unavailable),
            (1142, EngineErrorKind::Denied),
            (1143, EngineErrorKind::Denied),
            (1146, EngineErrorKind::NotFound),
            (1054, EngineErrorKind::NotFound),
            (1062, EngineErrorKind::Constraint),
            (4025, EngineErrorKind::Constraint),
        ] {
            assert_eq!(kind(number), expected, "{number}");
        }
    }

    #[test]
    fn constraint_is_named_after_the_values() {
        let text = "Duplicate entry 'x for key 'y' for key 'lots.code'";
        assert_eq!(named(text, " for key '", "'"), Some("lots.code"));
        let text = "CONSTRAINT `lots.qty` failed for `shop`.`lots`";
        assert_eq!(named(text, "CONSTRAINT `", "` failed for"), Some("lots.qty"));
        assert_eq!(named("another language", " for key '", "'"), None);
    }

    #[test]
    fn table_of_a_constraint_is_named_with_its_database() {
        let of = |number, text| {
            let table = table_of(number, text);
            table.map(|(schema, table)| format!("{schema}.{table}"))
        };
        let key = "Cannot add or update a child row: a foreign key constraint fails (`shop`.`lots`, CONSTRAINT `f` \
                   FOREIGN KEY (`d`) REFERENCES `depots` (`id`))";
        assert_eq!(of(1452, key).as_deref(), Some("shop.lots"));
        let check = "CONSTRAINT `lots.qty` failed for `shop`.`lots`";
        assert_eq!(of(4025, check).as_deref(), Some("shop.lots"));
        assert_eq!(of(1062, "Duplicate entry '`a`.`b`' for key 'lots.code'"), None);
        assert_eq!(of(1452, "another language"), None);
    }

    #[test]
    fn driver_text_is_dropped() {
        let error = Error::Configuration("mysql://root:secret@host".into());
        assert!(!map_driver_error(&error).detail.contains("secret"));
        let error = Error::Io(std::io::Error::other("secret"));
        assert!(!map_driver_error(&error).detail.contains("secret"));
        assert!(is_lost(&error) && !is_answer(&error));
    }
}
