//! Causes of a database error that its owner can act on.

use std::fmt;

use synapsor_codes::ErrorCode;
use synapsor_domain::writeback::{ViolatedConstraint, is_plain_name};

/// A violated constraint, and its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConstraintViolation {
    pub constraint: ViolatedConstraint,
    /// Schema and table of the constraint, if the server reports both.
    pub table: Option<(String, String)>,
    /// Whether the server reports that the statement itself violated it, not code that ran with the statement.
    pub is_of_statement: bool,
}

impl fmt::Display for ConstraintViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.constraint)?;
        match &self.table {
            Some((schema, table)) if is_plain_name(schema) && is_plain_name(table) => {
                write!(f, " of the table `{schema}.{table}`")
            }
            _ => Ok(()),
        }
    }
}

/// Why a database could not be used, where that is known more exactly than by the kind of the error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ErrorCause {
    /// The kind of the error says all that is known.
    #[default]
    Unspecified,
    /// The host name has no address.
    HostUnknown,
    /// Nothing listens at the address.
    ConnectionRefused,
    /// No server listens at the path of a local socket.
    SocketWithoutServer,
    /// The server did not answer within the timeout.
    NoAnswer,
    /// The connection ended before an answer arrived.
    ConnectionLost,
    /// The other side does not speak the protocol of the engine.
    OtherProtocol,
    /// The server's certificate is not from a trusted authority.
    CertificateNotTrusted,
    /// The time of the server's certificate has ended.
    CertificateExpired,
    /// The time of the server's certificate has not begun.
    CertificateNotYetValid,
    /// The server's certificate is for other host names.
    CertificateOfOtherHost,
    /// The server's certificate is not one of a server, for example one of an authority.
    CertificateUnfit,
    /// TLS is required here, and the server has none.
    TlsNotOffered,
    /// The login needs TLS, and the connection has none.
    TlsRequired,
    LoginRejected,
    PasswordRejected,
    /// The server has no entry that lets this role log in from this machine in this way.
    LoginNotAllowed,
    /// The role has no right to connect to the database.
    ConnectDenied,
    /// The account is locked, or its password has expired.
    AccountSuspended,
    /// The account logs in by a method that the driver does not have; the server's name of the method.
    LoginMethod(String),
    DatabaseMissing,
    /// The pooler has no entry for the database, or the server behind it has no such database.
    PooledDatabaseMissing,
    /// The role lacks rights on the server's own functions and catalogs that every role has unless they were revoked; the
    /// GRANT statements.
    SystemRightsMissing(Vec<String>),
    /// The server or the account has no connection left.
    ConnectionsExhausted,
    /// The server is a standby, or takes no writes from this account.
    TakesNoWrites,
    /// A transaction pooler answered, and the URL does not declare it.
    PoolerUndeclared,
    /// The pooler assigns a server connection for one statement only.
    PoolerOfStatements,
    ServerTooOld(UnsupportedServer),
    /// The server speaks the protocol of the engine, but is another product.
    OtherProduct,
    /// The table that identifies the database is another one, or has no usable row.
    IdentityDamaged,
    /// The URL or the key of a client certificate is unset or unreadable.
    SecretUnreadable(Box<UnusableSetting>),
    /// The settings of the source cannot be used, for example its URL.
    SettingUnusable(Box<UnusableSetting>),
    /// A file of certificates is unusable; the name of its variable, and the reason.
    CertificatesUnusable(String, CertificatesProblem),
    /// A constraint rejected the values of a statement.
    ConstraintViolated(Box<ConstraintViolation>),
    /// A trigger or a function raised an error of its own; the name of the function, if the server reports it.
    RaisedByCode(Option<String>),
    /// A file with an interrupted transaction, which a read-only connection cannot roll back.
    InterruptedTransaction,
    /// The file has a second name (a hard link).
    SecondName,
    NetworkFileSystem,
    /// The user of this process may not do this with the file; its user id.
    FileDenied(FileAccess, u32),
    /// The value of this column exceeds the size limit.
    ColumnTooLarge(String),
    /// The values of the row together exceed the size limit, each of them does not; the column with the largest.
    RowTooLarge(String),
    /// Values of this column's type cannot be read exactly.
    ColumnUnreadable(String),
    /// A value of this column cannot be read exactly, for example a text in another encoding.
    ValueUnreadable(String),
}

/// Why a secret or a setting cannot be used, without any part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableSetting {
    pub code: ErrorCode,
    /// Names the variable of a secret, and the file if there is one.
    pub text: String,
    pub fix: String,
}

/// What a process may not do with a database file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileAccess {
    Read,
    /// Write the file, or create its journal in the directory.
    Write,
}

/// A server that is older than the oldest supported one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedServer {
    /// Product and version: `MySQL 5.7.44`.
    pub found: String,
    /// The oldest supported version.
    pub oldest: &'static str,
    /// What older servers lack.
    pub missing: &'static str,
}

/// Reasons why certificates cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificatesProblem {
    Missing,
    SetTwice,
    FileMissing,
    FileUnreadable,
    TooLarge,
    /// Not PEM text; DER for example.
    NotPem,
    /// Text in another encoding than UTF-8, by its mark.
    Utf16,
    Utf32,
    /// A certificate begins in the bundle and does not end.
    Cut,
    /// The TLS library accepts none of the certificates.
    NoneAccepted,
}

impl fmt::Display for CertificatesProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "neither the variable nor its _FILE form is set",
            Self::SetTwice => "the variable and its _FILE form are both set",
            Self::FileMissing => "the file does not exist",
            Self::FileUnreadable => "the file is unreadable",
            Self::TooLarge => "the file is larger than 1 MiB",
            Self::NotPem => "it holds no certificate in PEM form",
            Self::Utf16 => "it is UTF-16 text and has to be saved as UTF-8",
            Self::Utf32 => "it is UTF-32 text and has to be saved as UTF-8",
            Self::Cut => "a certificate in it is cut or damaged: it has no END line",
            Self::NoneAccepted => "every certificate in it is damaged or of an unsupported form",
        })
    }
}
