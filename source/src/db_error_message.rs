//! Maps a database error to an error code, a sentence and a fix for the owner of the credential. For
//! operators only; an agent never receives these texts.

use synapsor_codes::ErrorCode;

use crate::error::{EngineError, EngineErrorKind};

/// Describes a database error for an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DbErrorMessage {
    pub code: ErrorCode,
    /// Completes the sentence "the database of X …".
    pub text: &'static str,
    pub fix: &'static str,
    /// Whether the database did not answer, so that rights and tables are unknown.
    pub is_away: bool,
}

/// Codes with which servers reject a login.
const LOGIN: [&str; 6] = [
    "sqlstate 28P01",
    "sqlstate 28000",
    "server error 1044",
    "server error 1045",
    "server error 1698",
    "server error 3118",
];
/// SQLite codes for a file with an interrupted transaction that a read-only connection cannot roll back.
const RECOVERY: [&str; 3] = ["sqlite result 264", "sqlite result 520", "sqlite result 776"];
/// Details of a file that is not written because its locks or logs would be unreliable, each with text and
/// fix.
pub const SECOND_NAME: &str = "the database file has a second name (a hard link)";
pub const NETWORK_FILE_SYSTEM: &str = "the database file is on a network file system";
/// Codes for a database that does not exist.
const DATABASE: [&str; 2] = ["sqlstate 3D000", "server error 1049"];

/// Message of a database that answered.
const fn answered(code: ErrorCode, text: &'static str, fix: &'static str) -> DbErrorMessage {
    DbErrorMessage {
        code,
        text,
        fix,
        is_away: false,
    }
}

/// Message of a detail that says more than the kind of the error.
fn of_detail(detail: &str) -> Option<DbErrorMessage> {
    let message = match detail {
        _ if LOGIN.contains(&detail) => answered(
            ErrorCode::SourceDenied,
            "rejected the login",
            "check user and password in the URL, and that the role may connect to this database",
        ),
        _ if DATABASE.contains(&detail) => answered(
            ErrorCode::SourceObjectNotFound,
            "does not exist on this server",
            "check the name of the database in the URL",
        ),
        _ if RECOVERY.contains(&detail) => answered(
            ErrorCode::SourceUnavailable,
            "has an interrupted transaction after a crash",
            "open the file once with the application or the sqlite3 shell, which rolls that transaction back",
        ),
        SECOND_NAME => answered(
            ErrorCode::SourceDenied,
            "has a second name (a hard link) and is not written",
            "remove the other name, or copy the file: SQLite finds journal and log by the file name",
        ),
        NETWORK_FILE_SYSTEM => answered(
            ErrorCode::SourceDenied,
            "is on a network file system and is not written",
            "move the file to a local disk: SQLite locks are unreliable on a network file system",
        ),
        _ => return None,
    };
    Some(message)
}

/// Maps an error by its cause; the engine's own detail stays in the log.
pub fn explain(error: &EngineError) -> DbErrorMessage {
    if let Some(message) = of_detail(&error.detail) {
        return message;
    }
    let away = |code, text| DbErrorMessage {
        code,
        text,
        fix: "check host, port and TLS of the URL, and that the server runs",
        is_away: true,
    };
    match error.kind {
        EngineErrorKind::Unavailable => away(ErrorCode::SourceUnavailable, "is unreachable"),
        EngineErrorKind::Busy | EngineErrorKind::Timeout => {
            away(ErrorCode::SourceTimeout, "did not answer in time")
        }
        EngineErrorKind::Denied => answered(
            ErrorCode::SourceDenied,
            "denies this to the credential",
            "grant the role the rights that `synapsor-runner writeback grants` prints",
        ),
        EngineErrorKind::NotFound => answered(
            ErrorCode::SourceObjectNotFound,
            "has no such schema, table or column",
            "check the database of the URL and the schema; without one all schemas are listed",
        ),
        EngineErrorKind::Damaged => answered(
            ErrorCode::SourceDamaged,
            "is damaged or not a database",
            "run `PRAGMA integrity_check`, and restore a backup",
        ),
        EngineErrorKind::TooLarge
        | EngineErrorKind::Unreadable
        | EngineErrorKind::Constraint
        | EngineErrorKind::Other => answered(
            ErrorCode::SourceFailed,
            "cannot be queried",
            "use a role that may read the schema catalog, and name one schema",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_login_differs_from_unreachable_server() {
        let of = |detail: &str| explain(&EngineError::new(EngineErrorKind::Unavailable, detail));
        assert_eq!(
            (of("sqlstate 28P01").code, of("sqlstate 28P01").is_away),
            (ErrorCode::SourceDenied, false)
        );
        assert_eq!(of("sqlstate 3D000").code, ErrorCode::SourceObjectNotFound);
        assert_eq!(
            (of("the connection failed").code, of("").is_away),
            (ErrorCode::SourceUnavailable, true)
        );
    }
}
