//! Opens connections from a credential: how the server is reached, the settings of a session, and the facts
//! that the connection stores about its server.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::ConnectOptions as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::SslMode;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;

use super::error_map::{is_answer, is_login_rejected, map_driver_error, may_need_tls};
use super::session::MysqlConn;
use super::settings::{self, Settings};
use crate::credential::{CredentialMaterial, unusable_credential, unusable_url};
use crate::url_parameter::{UNENCODED_LOGIN, may_split_login, refused, refused_value};
use crate::{Access, Credential, driver};
use synapsor_source::ReceiptTable;
use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::error_cause::{ErrorCause, UnsupportedServer};

/// Seconds to wait until a server accepts a connection and its login.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval in seconds at which the material of a credential is read again.
const MATERIAL_AGE_MAX: Duration = Duration::from_secs(1);
/// The oldest supported version of a server.
struct OldestVersion {
    version: (u32, u32, u32),
    name: &'static str,
    /// What it brought.
    brings: &'static str,
}

const MYSQL_MIN: OldestVersion = OldestVersion {
    version: (8, 0, 16),
    name: "8.0.16",
    brings: "CHECK constraints and their catalog",
};
const MARIADB_MIN: OldestVersion = OldestVersion {
    version: (10, 6, 0),
    name: "10.6",
    brings: "table definitions that change atomically",
};
/// Maximum number of prepared statements of a connection.
const STATEMENTS_KEPT: usize = 128;

/// The table that identifies this database, in every copy of it.
pub const IDENTITY_TABLE: &str = "synapsor_database_identity";

/// The catalog's type of a table that runs no code when it is read, unlike a view.
pub const BASE_TABLE: &str = "BASE TABLE";
/// The catalog's type of a temporary table of the connection. MariaDB lists them since 11.2, beside a table of the same
/// name; columns, indexes and keys are those of the other table.
pub const TEMPORARY_TABLE: &str = "TEMPORARY";

/// Server product: MySQL or MariaDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    Mysql,
    MariaDb,
}

/// Facts that a connection stores about its server.
#[derive(Debug, Clone)]
pub struct MysqlServerInfo {
    pub flavor: Flavor,
    /// `MySQL 9.7.4`, `MariaDB 10.11.19`.
    pub product: String,
    /// Whether the database has the identity table.
    pub has_marker: bool,
    /// Whether row locks are local to this node of a cluster, and other nodes may be written to.
    pub is_cluster: bool,
}

impl MysqlConnectPlan {
    async fn connect(&self) -> Result<sqlx::MySqlConnection, sqlx::Error> {
        let failed = match driver::run(self.options.connect()).await {
            Err(error) if self.may_upgrade && may_need_tls(&error) => error,
            result => return result,
        };
        // After one login over TLS the server caches the account, and later logins of most accounts need no TLS.
        let over_tls = self.options.clone().ssl_mode(MySqlSslMode::Required);
        match driver::run(over_tls.connect()).await {
            // Without TLS in the server the first answer was about user or password.
            Err(error) if is_login_rejected(&failed) && !is_answer(&error) => Err(failed),
            result => result,
        }
    }

    /// Adds the address of the server, and the cause if the name server knows it.
    async fn addressed(&self, error: EngineError) -> EngineError {
        match self.options.get_socket() {
            Some(socket) => error.at(&socket.display().to_string()),
            None => driver::attempt_error(error, self.options.get_host(), self.options.get_port()).await,
        }
    }
}

/// Opens connections of one credential.
pub struct Connector {
    credential: Credential,
    pub access: Access,
    receipts: ReceiptTable,
    statement_timeout: Duration,
    kept: Mutex<Option<(Instant, MysqlConnectPlan)>>,
}

/// Current parameters of the connection to the server.
#[derive(Clone)]
struct MysqlConnectPlan {
    options: MySqlConnectOptions,
    generation: Digest,
    /// On loopback and without a requirement of the contract, TLS without a name check can help a login.
    may_upgrade: bool,
}

impl Connector {
    pub fn new(
        credential: Credential,
        access: Access,
        receipts: ReceiptTable,
        statement_timeout: Duration,
    ) -> Result<Self, PublicError> {
        let material = credential.read().map_err(|error| unusable_credential(&error))?;
        way(&material)?;
        Ok(Self {
            credential,
            access,
            receipts,
            statement_timeout,
            kept: Mutex::new(None),
        })
    }

    /// Returns the database that holds the receipts and the identity table.
    pub fn receipt_schema(&self) -> Result<String, EngineError> {
        if let Some(schema) = &self.receipts.schema {
            return Ok(schema.clone());
        }
        let way = self.way()?;
        way.options
            .get_database()
            .map(ToOwned::to_owned)
            .ok_or_else(|| EngineError::new(EngineErrorKind::NotFound, "the URL names no database"))
    }

    /// Whether the contract itself names the database of the receipts.
    pub const fn is_receipt_schema_named(&self) -> bool {
        self.receipts.schema.is_some()
    }

    /// Returns the statements that configure a session for its purpose.
    pub fn settings(&self, flavor: Flavor) -> Vec<String> {
        settings::statements(flavor, self.access, self.statement_timeout)
    }

    pub fn receipt_table(&self) -> &str {
        &self.receipts.table
    }

    /// Changes when the material of the credential does.
    pub fn generation(&self) -> Result<Digest, EngineError> {
        Ok(self.way()?.generation)
    }

    fn way(&self) -> Result<MysqlConnectPlan, EngineError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, way)) = kept.as_ref()
            && at.elapsed() < MATERIAL_AGE_MAX
        {
            return Ok(way.clone());
        }
        let material = self.credential.read()?;
        let way = way(&material).map_err(|refusal| unusable_url(&refusal))?;
        *kept = Some((Instant::now(), way.clone()));
        Ok(way)
    }

    /// Opens a connection that is only logged in: enough to end another one.
    pub async fn bare(&self) -> Result<sqlx::MySqlConnection, EngineError> {
        let way = self.way()?;
        let failed = match tokio::time::timeout(CONNECT_TIMEOUT, way.connect()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => map_driver_error(&error),
            Err(_) => {
                let detail = "the server does not respond";
                EngineError::new(EngineErrorKind::Unavailable, detail).because(ErrorCause::NoAnswer)
            }
        };
        Err(way.addressed(failed).await)
    }

    /// Opens a connection with the settings of its purpose, and reads the facts of its server.
    pub async fn open(&self) -> Result<MysqlConn, EngineError> {
        let generation = self.generation()?;
        let connection = self.bare().await?;
        let mut session = MysqlConn::new(connection, generation);
        session.limit(CONNECT_TIMEOUT);
        let rows = session
            .rows(
                "SELECT CAST(CONNECTION_ID() AS CHAR), VERSION(), @@version_comment",
                Vec::new(),
            )
            .await?;
        let row = rows
            .first()
            .ok_or_else(|| unexpected_response("a connection without a number"))?;
        let id = row
            .text(0)?
            .parse()
            .map_err(|_| unexpected_response("a connection without a number"))?;
        let (flavor, product) = product(&row.text(1)?)?;
        for statement in self.settings(flavor) {
            session.command(statement).await?;
        }
        let schema = self.receipt_schema()?;
        let marker = session.table_type(&schema, IDENTITY_TABLE).await?;
        let cluster = session.rows("SHOW VARIABLES LIKE 'wsrep_on'", Vec::new()).await?;
        let is_cluster = !self.credential.is_galera_single_writer()
            && cluster
                .first()
                .is_some_and(|row| row.text(1).is_ok_and(|on| on == "ON"));
        session.know(
            id,
            MysqlServerInfo {
                flavor,
                product,
                has_marker: marker.is_some(),
                is_cluster,
            },
        );
        // Reads through a view are rejected. A writer reports it in each transaction, and to `writeback
        // doctor --check-db`.
        if marker.is_none_or(|kind| kind == BASE_TABLE) {
            session.identity = super::read::identity(&mut session, &schema).await?;
        } else if self.access == Access::Read {
            return Err(super::read::unfit_identity(EngineErrorKind::Unreadable));
        }
        if self.access == Access::Write {
            session.settings = Some(Settings::of_new(&mut session).await?);
        }
        session.unlimited();
        Ok(session)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("credential", &self.credential)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// `9.7.4-2` is MySQL, `10.11.19-MariaDB-0+deb12u1` names MariaDB.
fn product(version: &str) -> Result<(Flavor, String), EngineError> {
    let is_maria = version.contains("MariaDB");
    // Some servers prefix their own version with an old one.
    let version = version.strip_prefix("5.5.5-").unwrap_or(version);
    let number: String = version
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    let mut parts = number.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    let at = (part(), part(), part());
    if version.contains("TiDB") || version.contains("Vitess") || number.is_empty() {
        let detail = "the server is neither MySQL nor MariaDB";
        return Err(EngineError::new(EngineErrorKind::Unavailable, detail).because(ErrorCause::OtherProduct));
    }
    let (flavor, word, min) = if is_maria {
        (Flavor::MariaDb, "MariaDB", MARIADB_MIN)
    } else {
        (Flavor::Mysql, "MySQL", MYSQL_MIN)
    };
    let product = format!("{word} {number}");
    if at < min.version {
        let cause = ErrorCause::ServerTooOld(UnsupportedServer {
            found: product,
            oldest: min.name,
            missing: min.brings,
        });
        return Err(
            EngineError::new(EngineErrorKind::Unavailable, "the server version is too old").because(cause),
        );
    }
    Ok((flavor, product))
}

fn way(material: &CredentialMaterial) -> Result<MysqlConnectPlan, PublicError> {
    let url = material.url.expose();
    let asked = parameters(url)?;
    let options: MySqlConnectOptions = without_tls_mode(url)
        .parse()
        .map_err(|_| bad_url("it must have the form mysql://USER:PASSWORD@HOST:PORT/DATABASE"))?;
    if options.get_database().is_none() {
        return Err(bad_url("it must name a database"));
    }
    let is_near = options.get_socket().is_some() || is_loopback(options.get_host());
    let mode = match (material.mode, asked) {
        (Some(mode), Some(asked)) if asked < mode => {
            return Err(tls_required(
                "ssl-mode in the URL is weaker than `ssl.mode` of the contract, or than --ssl-ca-env, which verifies the certificate",
            ));
        }
        (Some(mode), _) => Some(mode),
        (None, asked) => asked,
    };
    let mode = mode.or(if is_near { None } else { Some(SslMode::VerifyFull) });
    let ssl = match mode {
        Some(SslMode::VerifyFull) => MySqlSslMode::VerifyIdentity,
        Some(SslMode::VerifyCa) => MySqlSslMode::VerifyCa,
        Some(SslMode::Disable) if !is_near => {
            return Err(tls_required(
                "unencrypted connections are allowed on loopback only",
            ));
        }
        // Over a local socket the server expects the password itself, which the driver sends only within TLS.
        None if options.get_socket().is_some() => MySqlSslMode::Preferred,
        Some(SslMode::Disable) | None => MySqlSslMode::Disabled,
    };
    let mut options = options
        .ssl_mode(ssl)
        .charset("utf8mb4")
        .collation("utf8mb4_bin")
        .timezone(None)
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .statement_cache_capacity(STATEMENTS_KEPT)
        .disable_statement_logging();
    if let Some(ca) = &material.ca {
        options = options.ssl_ca_from_pem(ca.clone());
    }
    if let Some((certificate, key)) = &material.client {
        options = options
            .ssl_client_cert_from_pem(certificate)
            .ssl_client_key_from_pem(key.expose().as_bytes());
    }
    Ok(MysqlConnectPlan {
        options,
        generation: material.generation,
        may_upgrade: is_near && mode.is_none(),
    })
}

/// Returns the URL as the driver reads it, which does not know every spelling of the mode.
fn without_tls_mode(url: &str) -> String {
    let Some((address, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let kept = query
        .split('&')
        .filter(|parameter| parameter.starts_with("socket="));
    let kept: Vec<&str> = kept.collect();
    format!("{address}?{}", kept.join("&"))
}

/// Whether the URL asks that the server's certificate is verified without its host name.
pub(crate) fn verifies_chain_only(url: &str) -> bool {
    parameters(url).is_ok_and(|mode| mode == Some(SslMode::VerifyCa))
}

/// Returns the TLS mode of the URL. Other parameters would change the session and are rejected.
fn parameters(url: &str) -> Result<Option<SslMode>, PublicError> {
    let rest = url
        .strip_prefix("mysql://")
        .or_else(|| url.strip_prefix("mariadb://"))
        .ok_or_else(|| bad_url("it must begin with `mysql://`"))?;
    // The host, which messages name, would be part of the password.
    let address = rest.split_once('?').map_or(rest, |(address, _)| address);
    if may_split_login(address) {
        return Err(bad_url(UNENCODED_LOGIN));
    }
    tls_mode(rest).map_err(|refusal| {
        if may_split_login(rest) {
            bad_url(UNENCODED_LOGIN)
        } else {
            refusal
        }
    })
}

fn tls_mode(url: &str) -> Result<Option<SslMode>, PublicError> {
    if url.contains('#') {
        return Err(bad_url(
            "it has a `#`; write %23 if it belongs to a name or the password",
        ));
    }
    let Some((_, query)) = url.split_once('?') else {
        return Ok(None);
    };
    let mut asked = None;
    for parameter in query.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name {
            "ssl-mode" | "sslmode" => {
                asked = match value.to_ascii_lowercase().replace('-', "_").as_str() {
                    "verify_identity" | "verify_full" => Some(SslMode::VerifyFull),
                    "verify_ca" => Some(SslMode::VerifyCa),
                    "disabled" | "disable" => Some(SslMode::Disable),
                    _ => {
                        return Err(tls_required(
                            "ssl-mode in the URL does not verify the certificate",
                        ));
                    }
                };
            }
            "socket" => {}
            // The spelling of Prisma for a verified certificate.
            "sslaccept" if value == "strict" => asked = Some(SslMode::VerifyFull),
            "sslaccept" => return Err(bad_url(&refused_value(name, "`strict`"))),
            _ => return Err(bad_url(&refused(name))),
        }
    }
    Ok(asked)
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn bad_url(why: &str) -> PublicError {
    PublicError::new(
        ErrorCode::SourceUrlInvalid,
        format!("the URL of the source is invalid: {why}"),
    )
}

fn tls_required(why: &str) -> PublicError {
    PublicError::new(
        ErrorCode::SourceTlsRequired,
        format!(
            "the connection must be encrypted and the server certificate verified: {why}; use ssl-mode=VERIFY_IDENTITY, or `ssl` of the source"
        ),
    )
}

fn unexpected_response(what: &str) -> EngineError {
    EngineError::new(EngineErrorKind::Unavailable, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_products_are_detected_and_old_ones_rejected() {
        assert_eq!(
            product("9.7.4-2").unwrap(),
            (Flavor::Mysql, "MySQL 9.7.4".to_owned())
        );
        assert_eq!(
            product("5.5.5-10.11.19-MariaDB-0+deb12u1").unwrap(),
            (Flavor::MariaDb, "MariaDB 10.11.19".to_owned())
        );
        for oldest in ["8.0.16", "8.0.36", "10.6.0-MariaDB"] {
            assert!(product(oldest).is_ok(), "{oldest}");
        }
        for old in ["5.7.44", "8.0.15", "10.5.28-MariaDB"] {
            let error = product(old).unwrap_err();
            assert!(matches!(error.cause, ErrorCause::ServerTooOld(_)), "{old}");
        }
        for other in ["8.0.11-TiDB-v7.5.0", "", "x"] {
            assert_eq!(
                product(other).unwrap_err().cause,
                ErrorCause::OtherProduct,
                "{other}"
            );
        }
    }

    #[test]
    fn driver_gets_no_mode_that_it_cannot_spell() {
        for (url, driver) in [
            ("mysql://u:p@h/d", "mysql://u:p@h/d"),
            ("mysql://u:p@h/d?sslmode=disable", "mysql://u:p@h/d?"),
            (
                "mysql://u:p@h/d?ssl-mode=DISABLED&socket=/s",
                "mysql://u:p@h/d?socket=/s",
            ),
        ] {
            assert_eq!(without_tls_mode(url), driver);
            assert!(
                without_tls_mode(url).parse::<MySqlConnectOptions>().is_ok(),
                "{url}"
            );
            assert!(parameters(url).is_ok(), "{url}");
        }
        assert_eq!(
            parameters("mysql://u:p@h/d#x").unwrap_err().code,
            ErrorCode::SourceUrlInvalid
        );
    }

    #[test]
    fn unencoded_password_is_not_repeated() {
        for url in [
            "mysql://u:ab?secret=xyz@h/d",
            "mysql://u:p@ss?secret=xyz@h/d",
            "mariadb://u:12/secret@h/d",
            "mysql://u:p@ss#secret@h/d",
            "mysql://u:p@ss/?ssl-mode=secret@h/d",
        ] {
            let refusal = parameters(url).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::SourceUrlInvalid);
            let public = refusal.public;
            assert!(public.contains("percent-encode ?, #, &, @ and /"), "{public}");
            for part in ["secret", "xyz", "12", "ssl-mode"] {
                assert!(!public.contains(part), "{public}");
            }
        }
    }

    #[test]
    fn refused_value_is_named_with_the_accepted_one() {
        let refusal = parameters("mysql://h/d?sslaccept=accept_invalid_certs").unwrap_err();
        assert!(
            refusal.public.contains("`sslaccept` must be `strict`"),
            "{refusal}"
        );
    }

    #[test]
    fn url_parameters_cannot_weaken_a_session() {
        assert_eq!(parameters("mysql://h/d").unwrap(), None);
        assert_eq!(
            parameters("mysql://h/d?ssl-mode=VERIFY_IDENTITY").unwrap(),
            Some(SslMode::VerifyFull)
        );
        for (url, code) in [
            ("postgres://h/d", ErrorCode::SourceUrlInvalid),
            ("mysql://h/d?charset=latin1", ErrorCode::SourceUrlInvalid),
            ("mysql://h/d?connectionLimit=5", ErrorCode::SourceUrlInvalid),
            (
                "mysql://h/d?sslaccept=accept_invalid_certs",
                ErrorCode::SourceUrlInvalid,
            ),
            ("mysql://h/d?time-zone=x", ErrorCode::SourceUrlInvalid),
            ("mysql://h/d?sslca=/etc/passwd", ErrorCode::SourceUrlInvalid),
            ("mysql://h/d?ssl-mode=REQUIRED", ErrorCode::SourceTlsRequired),
            ("mysql://h/d?ssl-mode=preferred", ErrorCode::SourceTlsRequired),
            ("mysql://h/d?ssl-mode=", ErrorCode::SourceTlsRequired),
        ] {
            assert_eq!(parameters(url).unwrap_err().code, code, "{url}");
        }
    }

    #[test]
    fn only_local_addresses_are_loopback() {
        for near in ["localhost", "127.0.0.1", "127.8.9.1", "::1", "[::1]"] {
            assert!(is_loopback(near), "{near}");
        }
        for far in [
            "127.0.0.1.example.com",
            "localhost.example.com",
            "0.0.0.0",
            "10.0.0.1",
            "",
        ] {
            assert!(!is_loopback(far), "{far}");
        }
    }
}
