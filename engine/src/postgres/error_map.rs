//! Maps driver errors to causes. Drops the server's text, which can quote values and statements.

use sqlx::Error;
use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;
use synapsor_domain::writeback::{ConstraintClass, ViolatedConstraint, is_plain_name};

use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::error_cause::{ConstraintViolation, ErrorCause};

use crate::driver::connection_error;

/// The code of every error of a pooler itself.
const POOLER_ERROR: &str = "08P01";
const INSUFFICIENT_PRIVILEGE: &str = "42501";
const DIVISION_BY_ZERO: &str = "22012";
/// Start of the pooler's text about its own login to the server.
const SERVER_LOGIN: &str = "server login";

/// Returns the cause of a driver error; the detail is only the server's five-character code.
pub fn map_driver_error(error: &Error) -> EngineError {
    use EngineErrorKind as Kind;
    if let Some(error) = connection_error(error) {
        return error;
    }
    match error {
        Error::Database(inner) => {
            let code = inner.code().unwrap_or_default();
            let cause = match &*code {
                POOLER_ERROR => pooler_cause(inner.message()),
                code => violated(code, inner.as_ref()),
            };
            let cause = cause.unwrap_or_else(|| cause_of(&code));
            match raised(&code, inner.as_ref()) {
                Some(raised)
                    if cause == ErrorCause::Unspecified
                        && matches!(kind_of(&code), Kind::Other | Kind::Denied) =>
                {
                    EngineError::new(Kind::Constraint, detail(&code)).because(raised)
                }
                _ => EngineError::new(kind_of(&code), detail(&code)).because(cause),
            }
        }
        Error::ColumnDecode { .. } | Error::Decode(_) => {
            EngineError::new(Kind::Unreadable, "a value is not valid text")
        }
        // Every other variant is a defect of this program or an unused driver feature.
        _ => EngineError::new(Kind::Other, "driver error"),
    }
}

/// Returns the error of a login. A pooler answers start parameters that it does not know with a protocol violation;
/// a server never does.
pub fn of_login(error: &Error, is_pooler_declared: bool) -> EngineError {
    let failed = map_driver_error(error);
    if is_pooler_declared && failed.cause == ErrorCause::DatabaseMissing {
        return failed.because(ErrorCause::PooledDatabaseMissing);
    }
    match error {
        Error::Database(inner) => match inner.code().as_deref() {
            Some(POOLER_ERROR) => failed.because(login_cause(inner.message(), is_pooler_declared)),
            // The role may not connect to the database.
            Some(INSUFFICIENT_PRIVILEGE) => EngineError::new(EngineErrorKind::Unavailable, failed.detail)
                .because(ErrorCause::ConnectDenied),
            _ => failed,
        },
        _ => failed,
    }
}

/// Without the declaration the pooler refuses the options of the connection, before the login.
fn login_cause(message: &str, is_pooler_declared: bool) -> ErrorCause {
    pooler_cause(message).unwrap_or(if is_pooler_declared {
        ErrorCause::LoginRejected
    } else {
        ErrorCause::PoolerUndeclared
    })
}

/// Returns the cause of an error of PgBouncer, which has one code for all and names the cause in its text only.
fn pooler_cause(message: &str) -> Option<ErrorCause> {
    // The server behind the pooler, or the pooler's own login there.
    const AWAY: [&str; 5] = [
        "connect failed",
        SERVER_LOGIN,
        "client_login_timeout",
        "query_wait_timeout",
        "pgbouncer cannot connect",
    ];
    Some(match message {
        "SASL authentication failed" | "password authentication failed" | "no such user" => {
            ErrorCause::PasswordRejected
        }
        "no more connections allowed (max_client_conn)" => ErrorCause::ConnectionsExhausted,
        "SSL required" => ErrorCause::TlsRequired,
        text if text.starts_with("no such database: ") => ErrorCause::PooledDatabaseMissing,
        // The pooler repeats the answer of the server.
        text if text.starts_with(SERVER_LOGIN) && is_database_missing(text) => {
            ErrorCause::PooledDatabaseMissing
        }
        text if AWAY.iter().any(|start| text.starts_with(start)) => ErrorCause::Unspecified,
        _ => return None,
    })
}

fn is_database_missing(text: &str) -> bool {
    let rest = text.split_once("database \"").map(|(_, rest)| rest);
    rest.is_some_and(|rest| rest.contains("\" does not exist"))
}

/// Whether the error reports that a row with this key exists.
pub fn is_unique_violation(error: &Error) -> bool {
    matches!(error, Error::Database(inner) if inner.code().as_deref() == Some("23505"))
}

/// Whether the role may not call a function, or the server has it for no role.
pub fn is_function_refused(error: &Error) -> bool {
    matches!(error, Error::Database(inner) if matches!(inner.code().as_deref(), Some("42501" | "0A000")))
}

/// Whether the connection is lost, so that the same work can be retried on another one.
pub fn is_lost(error: &EngineError) -> bool {
    error.kind == EngineErrorKind::Unavailable
}

fn kind_of(code: &str) -> EngineErrorKind {
    use EngineErrorKind as Kind;
    match code {
        "40001" | "40P01" | "55P03" => Kind::Busy,
        "57014" | "25P03" | "25P04" => Kind::Timeout,
        "42501" => Kind::Denied,
        "42P01" | "42703" | "3F000" | "42704" => Kind::NotFound,
        // A standby or a read-only database may accept writes again later.
        "25006" => Kind::Unavailable,
        "22021" | "22P05" => Kind::Unreadable,
        "22001" | "22003" => Kind::Constraint,
        "54000" => Kind::TooLarge,
        // Connections, credentials, resources, operator intervention, the operating system, the database
        // name.
        _ => match code.get(..2) {
            Some("08" | "28" | "53" | "58") => Kind::Unavailable,
            Some("57") => Kind::Unavailable,
            Some("3D") => Kind::Unavailable,
            Some("23") => Kind::Constraint,
            Some(_) | None => Kind::Other,
        },
    }
}

/// Returns the constraint that rejected a statement. Its name is a field of the error; a column that is not
/// nullable is its own constraint.
fn violated(code: &str, error: &dyn DatabaseError) -> Option<ErrorCause> {
    let class = match code {
        "23505" => ConstraintClass::Unique,
        "23514" => ConstraintClass::Check,
        "23503" => ConstraintClass::ForeignKey,
        "23502" => ConstraintClass::NotNull,
        "23P01" => ConstraintClass::Exclusion,
        "22001" => ConstraintClass::TooLong,
        "22003" => ConstraintClass::OutOfRange,
        // A form that the type does not read, a character that the database's encoding lacks, another type. Bytes that
        // are no characters (22021) can only be in a stored value.
        "22007" | "22008" | "22P02" | "22P05" | "42804" => ConstraintClass::Type,
        _ => return None,
    };
    let of_server = error.try_downcast_ref::<PgDatabaseError>();
    let name = error
        .constraint()
        .or_else(|| of_server.and_then(PgDatabaseError::column));
    // A context names code that ran the failed statement: the rejected row may be another one.
    let is_of_statement = of_server.is_some_and(|error| error.r#where().is_none());
    let table = of_server.and_then(|error| error.schema().zip(error.table()));
    Some(ErrorCause::ConstraintViolated(Box::new(ConstraintViolation {
        constraint: ViolatedConstraint::new(class, name),
        table: table.map(|(schema, table)| (schema.to_owned(), table.to_owned())),
        is_of_statement,
    })))
}

/// Returns the cause of an error that code of others raised itself, with any code.
fn raised(code: &str, error: &dyn DatabaseError) -> Option<ErrorCause> {
    let context = error.try_downcast_ref::<PgDatabaseError>()?.r#where();
    raised_in(code, context)
}

/// The first line of the context is of the innermost function; later ones can quote statements with values.
fn raised_in(code: &str, context: Option<&str>) -> Option<ErrorCause> {
    let place = context.and_then(|context| context.lines().next());
    let is_raised = code.starts_with("P0") || place.is_some_and(|place| place.ends_with(" at RAISE"));
    // No statement of this program divides. With a context, code computed a value or lacks a right.
    let is_of_code = code == DIVISION_BY_ZERO
        || place.is_some() && (code == INSUFFICIENT_PRIVILEGE || code.starts_with("22"));
    if !is_raised && !is_of_code {
        return None;
    }
    let named = place.and_then(|place| place.strip_prefix("PL/pgSQL function "));
    let name = named
        .and_then(|named| named.split_once('('))
        .map(|(name, _)| name);
    let name = name.filter(|name| is_plain_name(name)).map(str::to_owned);
    Some(ErrorCause::RaisedByCode(name))
}

fn cause_of(code: &str) -> ErrorCause {
    match code {
        "28P01" => ErrorCause::PasswordRejected,
        "28000" => ErrorCause::LoginNotAllowed,
        "3D000" => ErrorCause::DatabaseMissing,
        "53300" => ErrorCause::ConnectionsExhausted,
        "25006" => ErrorCause::TakesNoWrites,
        // No server answers a well-formed statement with it: a pooler refuses BEGIN in statement mode.
        POOLER_ERROR => ErrorCause::PoolerOfStatements,
        _ => ErrorCause::Unspecified,
    }
}

fn detail(code: &str) -> String {
    if code.len() == 5 && code.bytes().all(|b| b.is_ascii_alphanumeric()) {
        format!("sqlstate {code}")
    } else {
        "an error without a code".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raised_error_names_its_function_only_if_it_is_plain() {
        let cause = |name: Option<&str>| Some(ErrorCause::RaisedByCode(name.map(str::to_owned)));
        for (code, context, expected) in [
            (
                "P0001",
                Some(
                    "PL/pgSQL function public.fee_guard(integer) line 3 at RAISE\nSQL statement \"SELECT 'x'\"",
                ),
                cause(Some("public.fee_guard")),
            ),
            (
                "ZZ001",
                Some("PL/pgSQL function f() line 1 at RAISE"),
                cause(Some("f")),
            ),
            (
                "P0001",
                Some("PL/pgSQL function \"a b\"() line 1 at RAISE"),
                cause(None),
            ),
            ("P0004", Some("SQL statement \"SELECT secret(1)\""), cause(None)),
            ("P0001", None, cause(None)),
            (
                "22012",
                Some("PL/pgSQL function f() line 1 at assignment"),
                cause(Some("f")),
            ),
            ("22012", None, cause(None)),
            (
                "42501",
                Some("PL/pgSQL function f() line 1 at SQL statement"),
                cause(Some("f")),
            ),
            ("42501", None, None),
            ("22007", None, None),
        ] {
            assert_eq!(raised_in(code, context), expected, "{code} {context:?}");
        }
    }

    #[test]
    fn pooler_login_errors_name_their_cause() {
        for (message, cause) in [
            ("SASL authentication failed", ErrorCause::PasswordRejected),
            ("password authentication failed", ErrorCause::PasswordRejected),
            (
                "no more connections allowed (max_client_conn)",
                ErrorCause::ConnectionsExhausted,
            ),
            ("SSL required", ErrorCause::TlsRequired),
            ("no such database: shop", ErrorCause::PooledDatabaseMissing),
            (
                "server login has been failing, cached error: database \"shop\" does not exist (server_login_retry)",
                ErrorCause::PooledDatabaseMissing,
            ),
            (
                "server login failed: FATAL database \"shop\" does not exist",
                ErrorCause::PooledDatabaseMissing,
            ),
            (
                "server login has been failing, try again later (server_login_retry)",
                ErrorCause::Unspecified,
            ),
            ("client_login_timeout (server down)", ErrorCause::Unspecified),
        ] {
            for is_declared in [true, false] {
                assert_eq!(login_cause(message, is_declared), cause, "{message}");
            }
        }
        let other = "unsupported startup parameter: options";
        assert_eq!(login_cause(other, false), ErrorCause::PoolerUndeclared);
        assert_eq!(login_cause(other, true), ErrorCause::LoginRejected);
        let statement = "transaction blocks not allowed in statement pooling mode";
        assert_eq!(pooler_cause(statement), None);
    }
}
