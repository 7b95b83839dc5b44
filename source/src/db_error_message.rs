//! Maps a database error to an error code, a sentence and a fix for the owner of the credential. For
//! operators only; an agent never receives these texts.

use std::borrow::Cow;

use synapsor_codes::ErrorCode;

use crate::error::{EngineError, EngineErrorKind};
use crate::error_cause::{ErrorCause, FileAccess, UnsupportedServer, UnusableSetting};

/// Describes a database error for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DbErrorMessage {
    pub code: ErrorCode,
    /// Completes the sentence "the database of X …".
    pub text: Cow<'static, str>,
    pub fix: Cow<'static, str>,
    /// Whether the database did not answer, so that rights and tables are unknown.
    pub is_away: bool,
    /// Whether the cause is known, not only the kind of the error.
    pub is_by_cause: bool,
}

impl DbErrorMessage {
    /// Message of a database that answered.
    fn answered(
        code: ErrorCode,
        text: impl Into<Cow<'static, str>>,
        fix: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            code,
            text: text.into(),
            fix: fix.into(),
            is_away: false,
            is_by_cause: false,
        }
    }

    /// Message of a database that did not answer.
    fn away(code: ErrorCode, text: impl Into<Cow<'static, str>>, fix: impl Into<Cow<'static, str>>) -> Self {
        Self {
            is_away: true,
            ..Self::answered(code, text, fix)
        }
    }
}

/// Maps an error by its cause, else by its kind; the engine's own detail stays in the log.
pub fn explain(error: &EngineError) -> DbErrorMessage {
    explain_with(error, of_row)
}

/// As [`explain`], for an error of a read, which proposes no values.
pub fn explain_read(error: &EngineError) -> DbErrorMessage {
    explain_with(error, of_read_row)
}

fn explain_with(
    error: &EngineError,
    of_row: impl FnOnce(&ErrorCause) -> Option<DbErrorMessage>,
) -> DbErrorMessage {
    let message = of_connection(&error.cause)
        .or_else(|| of_login(&error.cause))
        .or_else(|| of_setting(&error.cause))
        .or_else(|| of_server(&error.cause))
        .or_else(|| of_file(&error.cause))
        .or_else(|| of_row(&error.cause))
        .map(|message| DbErrorMessage {
            is_by_cause: true,
            ..message
        })
        .unwrap_or_else(|| of_kind(error.kind));
    match &error.server {
        Some(server) => DbErrorMessage {
            text: format!("at {server} {}", message.text).into(),
            ..message
        },
        None => message,
    }
}

fn of_connection(cause: &ErrorCause) -> Option<DbErrorMessage> {
    let unavailable = |text: &'static str, fix: &'static str| {
        Some(DbErrorMessage::away(ErrorCode::SourceUnavailable, text, fix))
    };
    let tls = |text: &'static str, fix: &'static str| {
        Some(DbErrorMessage::answered(ErrorCode::SourceTlsFailed, text, fix))
    };
    match cause {
        ErrorCause::HostUnknown => unavailable(
            "is unreachable: its host name has no address",
            "correct the host name in the URL, or the name server of this machine",
        ),
        ErrorCause::ConnectionRefused => unavailable(
            "refused the connection",
            "check host and port of the URL, and that the server runs",
        ),
        ErrorCause::SocketWithoutServer => unavailable(
            "is unreachable: no server listens at this socket",
            "check the parameter `host` (PostgreSQL: the directory) or `socket` (MySQL: the path) of the URL, and that the \
             server runs",
        ),
        ErrorCause::NoAnswer => unavailable(
            "did not answer",
            "check host and port of the URL, the firewall between here and there, and that the server runs",
        ),
        ErrorCause::ConnectionLost => unavailable(
            "closed the connection",
            "read the server's log; check that the URL's port is the server's own",
        ),
        ErrorCause::OtherProtocol => Some(DbErrorMessage::answered(
            ErrorCode::SourceProtocol,
            "does not speak the protocol of this engine",
            "check scheme and port of the URL: the server is of another kind",
        )),
        ErrorCause::CertificateNotTrusted => tls(
            "has a certificate of an authority that is not trusted",
            "name the file with its authority by `ssl.ca_env` (inspect, init: --ssl-ca-env)",
        ),
        ErrorCause::CertificateExpired => tls(
            "has a certificate that has ended",
            "renew the server's certificate; if it has not ended, the clock of this machine is ahead: correct it",
        ),
        ErrorCause::CertificateNotYetValid => tls(
            "has a certificate that is not valid yet",
            "wait until it begins, or issue another one; if it has begun, the clock of this machine is behind: correct it",
        ),
        ErrorCause::CertificateUnfit => tls(
            "has a certificate that is not one of a server, for example one that is marked as an authority (CA:TRUE)",
            "issue a certificate for servers (serverAuth, CA:FALSE), and name its authority by `ssl.ca_env`",
        ),
        ErrorCause::CertificateOfOtherHost => tls(
            "has a certificate for other host names",
            "use a host name of the certificate in the URL, or issue it for the name in the URL",
        ),
        ErrorCause::TlsNotOffered => tls(
            "offers no TLS",
            "enable TLS in the server; if it is on this machine itself, omit `ssl` of the source, --ssl-ca-env, and the \
             TLS mode of the URL",
        ),
        ErrorCause::TlsRequired => tls(
            "requires TLS for this login",
            "add sslmode=verify-full (MySQL: ssl-mode=VERIFY_IDENTITY) to the URL, or `ssl` to the source",
        ),
        _ => None,
    }
}

fn of_login(cause: &ErrorCause) -> Option<DbErrorMessage> {
    Some(match cause {
        ErrorCause::LoginRejected => DbErrorMessage::answered(
            ErrorCode::SourceDenied,
            "rejected the login",
            "check user and password in the URL, that the role may connect to this database from this machine, and \
             whether it has to use TLS",
        ),
        ErrorCause::PasswordRejected => DbErrorMessage::answered(
            ErrorCode::SourceDenied,
            "rejected the login: there is no such role, or its password is another one",
            "check user and password in the URL",
        ),
        ErrorCause::LoginNotAllowed => DbErrorMessage::answered(
            ErrorCode::SourceDenied,
            "does not let the role log in from this machine in this way",
            "check pg_hba.conf: it needs an entry for the role, the database and this address; `hostssl` requires `ssl` of \
             the source, and `clientcert` a certificate by `ssl.cert_env` and `ssl.key_env`",
        ),
        ErrorCause::ConnectDenied => DbErrorMessage::answered(
            ErrorCode::SourceDenied,
            "does not let the role connect to this database",
            "GRANT CONNECT ON DATABASE to the role (MySQL: a right on any table of the database), or check the database in \
             the URL",
        ),
        ErrorCause::AccountSuspended => DbErrorMessage::answered(
            ErrorCode::SourceDenied,
            "rejected the login: the account is locked, or its password has expired",
            "ALTER USER ... ACCOUNT UNLOCK, or set a new password and put it into the URL",
        ),
        ErrorCause::LoginMethod(method) => DbErrorMessage::answered(
            ErrorCode::SourceDenied,
            format!("wants a login by `{method}`, which is not supported"),
            "give the account another login method: caching_sha2_password or mysql_native_password",
        ),
        ErrorCause::DatabaseMissing => DbErrorMessage::answered(
            ErrorCode::SourceObjectNotFound,
            "does not exist on this server",
            "check the name of the database in the URL",
        ),
        ErrorCause::PooledDatabaseMissing => DbErrorMessage::answered(
            ErrorCode::SourceObjectNotFound,
            "does not exist: the pooler has no entry for it, or the server behind the pooler has no such database",
            "check the database in the URL and its entry in the pooler's [databases] section; the `dbname` of the entry \
             (default: the same name) must be a database of the server",
        ),
        ErrorCause::SystemRightsMissing(grants) => DbErrorMessage::answered(
            ErrorCode::SourceDenied,
            "denies this to the role, which lacks rights on the server's own functions and catalogs that this program needs",
            format!(
                "as an administrator, run {} Then `synapsor-runner writeback doctor --check-db` names what else is missing",
                grants.join(" ")
            ),
        ),
        ErrorCause::ConnectionsExhausted => DbErrorMessage::away(
            ErrorCode::SourceUnavailable,
            "has no connection left",
            "raise the server's or the role's connection limit, or set a lower `max_connections` for this source",
        ),
        _ => return None,
    })
}

fn of_setting(cause: &ErrorCause) -> Option<DbErrorMessage> {
    Some(match cause {
        ErrorCause::SecretUnreadable(secret) => {
            let UnusableSetting { code, text, fix } = secret.as_ref();
            DbErrorMessage::away(*code, format!("has no readable credential: {text}"), fix.clone())
        }
        ErrorCause::SettingUnusable(setting) => {
            let UnusableSetting { code, text, fix } = setting.as_ref();
            DbErrorMessage::away(*code, format!("is not used: {text}"), fix.clone())
        }
        ErrorCause::CertificatesUnusable(name, problem) => DbErrorMessage::away(
            ErrorCode::SourceTlsFailed,
            format!("is not used: the certificates of {name} are unusable: {problem}"),
            format!("set {name}_FILE to a file of PEM certificates of at most 1 MiB"),
        ),
        _ => return None,
    })
}

fn of_server(cause: &ErrorCause) -> Option<DbErrorMessage> {
    Some(match cause {
        ErrorCause::TakesNoWrites => DbErrorMessage::answered(
            ErrorCode::SourceReadOnly,
            "takes no writes: it is a standby, or transactions of this account are read-only",
            "give the write URL the primary server, and an account whose transactions may write \
             (default_transaction_read_only, read_only)",
        ),
        ErrorCause::PoolerUndeclared => DbErrorMessage::answered(
            ErrorCode::SourcePooler,
            "is behind a connection pooler",
            "add pgbouncer=true to the URL, or connect to the server itself",
        ),
        ErrorCause::PoolerOfStatements => DbErrorMessage::answered(
            ErrorCode::SourcePooler,
            "is behind a connection pooler that does not support transactions",
            "set pool_mode=transaction or session in the pooler; statement mode cannot work",
        ),
        ErrorCause::ServerTooOld(UnsupportedServer {
            found,
            oldest,
            missing,
        }) => DbErrorMessage::answered(
            ErrorCode::SourceTooOld,
            format!("is {found}, and the oldest supported version is {oldest}: it lacks {missing}"),
            format!("upgrade the server to {oldest} or later"),
        ),
        ErrorCause::OtherProduct => DbErrorMessage::answered(
            ErrorCode::SourceProtocol,
            "is a product that is not supported",
            "use PostgreSQL, MySQL, MariaDB or SQLite, or a service that is one of them",
        ),
        ErrorCause::IdentityDamaged => DbErrorMessage::answered(
            ErrorCode::ReceiptTableUnfit,
            "has an identity table that is not the one of the migration, or that lost its row",
            "restore the table `synapsor_database_identity`, or run the INSERT into it that `synapsor-runner writeback \
             migration` prints; its row is a new identity, so that older proposals are refused",
        ),
        _ => return None,
    })
}

fn of_file(cause: &ErrorCause) -> Option<DbErrorMessage> {
    Some(match cause {
        ErrorCause::FileDenied(FileAccess::Read, uid) => DbErrorMessage::answered(
            ErrorCode::SourceDenied,
            format!("cannot be read by the user of this process (uid {uid})"),
            "let that user read the file, its -wal and -shm files, and enter its directory: chmod or chown",
        ),
        ErrorCause::FileDenied(FileAccess::Write, uid) => DbErrorMessage::answered(
            ErrorCode::SourceDenied,
            format!("cannot be written by the user of this process (uid {uid})"),
            "let that user write the file, its -wal and -shm files, and its directory: chmod or chown",
        ),
        ErrorCause::InterruptedTransaction => DbErrorMessage::answered(
            ErrorCode::SourceUnavailable,
            "has an interrupted transaction after a crash",
            "open the file once with the application or the sqlite3 shell, which rolls that transaction back",
        ),
        ErrorCause::SecondName => DbErrorMessage::answered(
            ErrorCode::SourceDenied,
            "has a second name (a hard link) and is not written",
            "remove the other name, or copy the file: SQLite finds journal and log by the file name",
        ),
        ErrorCause::NetworkFileSystem => DbErrorMessage::answered(
            ErrorCode::SourceDenied,
            "is on a network file system and is not written",
            "move the file to a local disk: SQLite locks are unreliable on a network file system",
        ),
        _ => return None,
    })
}

fn of_row(cause: &ErrorCause) -> Option<DbErrorMessage> {
    Some(match cause {
        ErrorCause::ConstraintViolated(violation) => DbErrorMessage::answered(
            ErrorCode::SourceFailed,
            format!("rejects a row that the change writes: the {violation} does not hold"),
            "propose values that the constraint accepts; if a trigger or function writes the rejected row, its owner corrects it",
        ),
        ErrorCause::RaisedByCode(name) => DbErrorMessage::answered(
            ErrorCode::SourceFailed,
            format!(
                "rejected the row: {} raised an error",
                raised_in_words(name.as_deref())
            ),
            "read what its code requires, and propose values that it accepts; if the code is wrong, its owner corrects it",
        ),
        _ => return None,
    })
}

/// Code runs with a read if the table is a view, has policies, or computes columns.
fn of_read_row(cause: &ErrorCause) -> Option<DbErrorMessage> {
    Some(match cause {
        ErrorCause::ConstraintViolated(violation) => DbErrorMessage::answered(
            ErrorCode::SourceFailed,
            format!("failed to compute a value of the read: the {violation} does not hold"),
            "let the owner of the view, policy or function that computes the value correct it, or leave the column that it \
             computes out of the capability",
        ),
        ErrorCause::RaisedByCode(name) => DbErrorMessage::answered(
            ErrorCode::SourceFailed,
            match name {
                Some(name) => {
                    format!("failed the read: the function `{name}`, which runs with it, raised an error")
                }
                None => "failed the read: a function of the view or table raised an error".to_owned(),
            },
            "read what its code requires of the rows and of the role, and let its owner correct code or rows; a column that \
             alone calls it can be left out of the capability",
        ),
        _ => return None,
    })
}

/// Names the code that raised an error of its own.
pub fn raised_in_words(function: Option<&str>) -> String {
    match function {
        Some(name) => format!("the function `{name}`, which runs with the table,"),
        None => "a trigger or function of the table".to_owned(),
    }
}

fn of_kind(kind: EngineErrorKind) -> DbErrorMessage {
    match kind {
        EngineErrorKind::Unavailable => DbErrorMessage::away(
            ErrorCode::SourceUnavailable,
            "is unreachable",
            "check host, port and TLS of the URL, and that the server runs",
        ),
        EngineErrorKind::Busy => DbErrorMessage::away(
            ErrorCode::SourceBusy,
            "is busy: another session holds a lock that is needed, or every connection is in use",
            "wait and try again; if it lasts, find the session that holds the lock and end it (PostgreSQL: pg_locks and \
             pg_stat_activity; MySQL, MariaDB: SHOW FULL PROCESSLIST and SHOW ENGINE INNODB STATUS; SQLite: the program that \
             has the file open)",
        ),
        EngineErrorKind::Timeout => DbErrorMessage::away(
            ErrorCode::SourceTimeout,
            "did not answer in time",
            "check that the server runs and is not overloaded, and that no other session holds a lock on the table; \
             `statement_timeout_ms` of the source permits more time",
        ),
        EngineErrorKind::Denied => DbErrorMessage::answered(
            ErrorCode::SourceDenied,
            "denies this to the credential",
            "grant the role the rights that `synapsor-runner writeback grants` prints",
        ),
        EngineErrorKind::NotFound => DbErrorMessage::answered(
            ErrorCode::SourceObjectNotFound,
            "has no such schema, table or column",
            "check the database of the URL and the schema; without one all schemas are listed",
        ),
        EngineErrorKind::Damaged => DbErrorMessage::answered(
            ErrorCode::SourceDamaged,
            "is damaged or not a database",
            "check that the path in the URL is that of the database; if it is, run `PRAGMA integrity_check` and restore a \
             backup",
        ),
        EngineErrorKind::TooLarge => DbErrorMessage::answered(
            ErrorCode::RowTooLarge,
            "returned a row that exceeds the size limit",
            "leave large columns out of the capability; `max_chars` cuts results only, and evidence keeps whole values",
        ),
        EngineErrorKind::Unreadable => DbErrorMessage::answered(
            ErrorCode::ValueUnreadable,
            "returned a value that cannot be read exactly",
            "leave the column out of the contract's capabilities",
        ),
        EngineErrorKind::Constraint | EngineErrorKind::Other => DbErrorMessage::answered(
            ErrorCode::SourceFailed,
            "failed",
            "look up the number in the manual of the server, and read the server's log",
        ),
    }
}

#[cfg(test)]
mod tests {
    use synapsor_domain::writeback::{ConstraintClass, ViolatedConstraint};

    use crate::error_cause::ConstraintViolation;

    use super::*;

    fn explained(cause: ErrorCause) -> DbErrorMessage {
        let error = EngineError::new(EngineErrorKind::Unavailable, "a detail").because(cause);
        explain(&error.at("db.example:5432"))
    }

    #[test]
    fn rejected_login_differs_from_unreachable_server() {
        let rejected = explained(ErrorCause::LoginRejected);
        assert_eq!(
            (rejected.code, rejected.is_away),
            (ErrorCode::SourceDenied, false)
        );
        let refused = explained(ErrorCause::ConnectionRefused);
        assert_eq!(
            (refused.code, refused.is_away),
            (ErrorCode::SourceUnavailable, true)
        );
        assert_eq!(refused.text, "at db.example:5432 refused the connection");
        let plain = explain(&EngineError::new(EngineErrorKind::Unavailable, ""));
        assert_eq!((plain.code, plain.is_away), (ErrorCode::SourceUnavailable, true));
    }

    #[test]
    fn certificate_before_its_begin_differs_from_an_ended_one() {
        let early = explained(ErrorCause::CertificateNotYetValid);
        let ended = explained(ErrorCause::CertificateExpired);
        for message in [&early, &ended] {
            assert_eq!(message.code, ErrorCode::SourceTlsFailed);
        }
        assert!(
            early.text.contains("not valid yet") && early.fix.contains("behind"),
            "{early:?}"
        );
        assert!(
            ended.text.contains("has ended") && ended.fix.contains("ahead"),
            "{ended:?}"
        );
    }

    #[test]
    fn fix_of_a_lock_or_a_wrong_file_fits_its_kind() {
        for (kind, code, part) in [
            (EngineErrorKind::Busy, ErrorCode::SourceBusy, "holds the lock"),
            (EngineErrorKind::Timeout, ErrorCode::SourceTimeout, "lock"),
            (
                EngineErrorKind::Damaged,
                ErrorCode::SourceDamaged,
                "path in the URL",
            ),
        ] {
            let message = explain(&EngineError::new(kind, "sqlstate 55P03"));
            assert_eq!(message.code, code);
            assert!(
                message.fix.contains(part) && !message.fix.contains("host"),
                "{kind:?}: {}",
                message.fix
            );
        }
    }

    #[test]
    fn error_of_code_during_a_read_proposes_no_values() {
        let violation = ConstraintViolation {
            constraint: ViolatedConstraint::new(ConstraintClass::OutOfRange, None),
            table: None,
            is_of_statement: true,
        };
        for (cause, part) in [
            (
                ErrorCause::RaisedByCode(Some("public.rate".to_owned())),
                "the function `public.rate`",
            ),
            (ErrorCause::RaisedByCode(None), "a function of the view or table"),
            (
                ErrorCause::ConstraintViolated(Box::new(violation)),
                "the range constraint",
            ),
        ] {
            let error = EngineError::new(EngineErrorKind::Constraint, "sqlstate P0001").because(cause);
            let (read, written) = (explain_read(&error), explain(&error));
            assert!(read.text.contains(part) && read.fix.contains("owner"), "{read:?}");
            assert!(written.fix.contains("propose values"), "{written:?}");
            for text in [&read.text, &read.fix] {
                assert!(!text.contains("reject") && !text.contains("propose"), "{text}");
            }
        }
        let lost = EngineError::new(EngineErrorKind::Unavailable, "").because(ErrorCause::ConnectionLost);
        assert_eq!(explain_read(&lost), explain(&lost));
    }

    #[test]
    fn old_server_is_named_with_both_versions() {
        let old = explained(ErrorCause::ServerTooOld(UnsupportedServer {
            found: "MySQL 5.7.44".to_owned(),
            oldest: "8.0.16",
            missing: "CHECK constraints",
        }));
        for part in ["MySQL 5.7.44", "8.0.16", "CHECK constraints"] {
            assert!(old.text.contains(part), "{}", old.text);
        }
        assert!(!old.fix.contains("grant"), "{}", old.fix);
    }
}
