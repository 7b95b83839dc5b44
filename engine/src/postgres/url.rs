//! Parses a server URL: `postgres://role:password@host:port/database?sslmode=…&pgbouncer=true`. No part of it
//! is ever printed, and unknown parts are rejected.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use synapsor_codes::ErrorCode;
use synapsor_domain::contract::SslMode;
use synapsor_domain::error::PublicError;
use zeroize::Zeroizing;

use crate::url_parameter::{UNENCODED_LOGIN, may_split_login, refused, refused_value};

const PORT: u16 = 5432;
const CONNECT_SECONDS: RangeInclusive<u64> = 1..=30;

/// Parts of a URL.
pub struct ServerUrl {
    pub user: String,
    pub password: Zeroizing<String>,
    /// A name, an address, or the directory of a socket, which begins with `/`.
    pub host: String,
    pub port: u16,
    pub database: String,
    pub ssl_mode: Option<UrlSslMode>,
    /// Whether there is a transaction pooler in between.
    pub is_pooled: bool,
    pub connect_timeout: Option<Duration>,
    /// Whether a standby is refused.
    pub needs_primary: bool,
}

/// The server's names of the TLS modes, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UrlSslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl ServerUrl {
    pub fn parse(url: &str) -> Result<Self, PublicError> {
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or_else(|| bad_url("it does not begin with postgres://"))?;
        Self::parse_parts(rest).map_err(|refusal| {
            if may_split_login(rest) {
                bad_url(UNENCODED_LOGIN)
            } else {
                refusal
            }
        })
    }

    fn parse_parts(rest: &str) -> Result<Self, PublicError> {
        if rest.contains(['#', ' ']) || rest.chars().any(char::is_control) {
            return Err(bad_url("it has characters that must be percent-encoded"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        // The host, which messages name, would be part of the password.
        if database.contains('@') {
            return Err(bad_url(UNENCODED_LOGIN));
        }
        let (login, address) = authority
            .rsplit_once('@')
            .ok_or_else(|| bad_url("it names no role"))?;
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (host, port) = split_address(address)?;
        let mut parsed = Self {
            user: decode(user)?,
            password: Zeroizing::new(decode(password)?),
            host: decode(host.trim_start_matches('[').trim_end_matches(']'))?,
            port,
            database: decode(database)?,
            ssl_mode: None,
            is_pooled: false,
            connect_timeout: None,
            needs_primary: false,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parsed.parameter(name, &decode(value)?)?;
        }
        if parsed.user.is_empty() || parsed.database.is_empty() {
            return Err(bad_url("it must name a role and a database"));
        }
        if parsed.host.is_empty() || parsed.host.contains(',') {
            return Err(bad_url(
                "it must name one host; for several servers, the address that follows the primary",
            ));
        }
        Ok(parsed)
    }

    fn parameter(&mut self, name: &str, value: &str) -> Result<(), PublicError> {
        let wrong = |allowed: &str| Err(bad_url(&refused_value(name, allowed)));
        match name {
            "pgbouncer" => match value {
                "true" => self.is_pooled = true,
                "false" => self.is_pooled = false,
                _ => return wrong("true or false"),
            },
            "sslmode" => match ssl_mode(value) {
                Some(mode) => self.ssl_mode = Some(mode),
                None => return wrong("disable, allow, prefer, require, verify-ca or verify-full"),
            },
            "host" => match value {
                folder if folder.starts_with('/') => folder.clone_into(&mut self.host),
                _ => return wrong("the directory of a socket"),
            },
            "connect_timeout" => match value.parse().ok().filter(|s| CONNECT_SECONDS.contains(s)) {
                Some(seconds) => self.connect_timeout = Some(Duration::from_secs(seconds)),
                None => return wrong("a number of seconds from 1 to 30"),
            },
            "target_session_attrs" => match value {
                "any" => self.needs_primary = false,
                "read-write" | "primary" => self.needs_primary = true,
                _ => return wrong("any, read-write or primary"),
            },
            // The authorities of the system are trusted unless the source names its own.
            "sslrootcert" if value == "system" => {}
            // The server's certificate is verified instead.
            "channel_binding" if matches!(value, "disable" | "prefer") => {}
            "gssencmode" if matches!(value, "disable" | "prefer") => {}
            "application_name" | "fallback_application_name" => {}
            _ => return Err(bad_url(&refused(name))),
        }
        Ok(())
    }

    /// Whether the connection stays on this machine.
    pub fn is_loopback(&self) -> bool {
        self.host.starts_with('/')
            || self.host.eq_ignore_ascii_case("localhost")
            || self
                .host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }

    /// Decides the TLS mode: that of the contract, else of the URL, else none on this machine and full
    /// verification elsewhere.
    pub fn tls(&self, contract: Option<SslMode>) -> Result<UrlSslMode, PublicError> {
        let is_loopback = self.is_loopback();
        let mode = match (contract, self.ssl_mode) {
            (Some(SslMode::Disable), _) => UrlSslMode::Disable,
            (Some(SslMode::VerifyCa), _) => UrlSslMode::VerifyCa,
            (Some(SslMode::VerifyFull), _) => UrlSslMode::VerifyFull,
            (None, Some(mode)) if is_loopback || mode == UrlSslMode::VerifyFull => mode,
            (None, Some(_)) => return Err(tls_required()),
            (None, None) if is_loopback => UrlSslMode::Disable,
            (None, None) => UrlSslMode::VerifyFull,
        };
        if mode < UrlSslMode::VerifyCa && !is_loopback {
            return Err(tls_required());
        }
        Ok(mode)
    }
}

/// Whether the URL asks that the server's certificate is verified without its host name.
pub(crate) fn verifies_chain_only(url: &str) -> bool {
    ServerUrl::parse(url).is_ok_and(|url| url.ssl_mode == Some(UrlSslMode::VerifyCa))
}

fn split_address(address: &str) -> Result<(&str, u16), PublicError> {
    let (host, port) = match address.rsplit_once(':') {
        // The colons inside brackets belong to the address.
        Some((host, port)) if !port.contains(']') => (host, port),
        Some(_) | None => (address, ""),
    };
    let port = match port {
        "" => PORT,
        text => text.parse().map_err(|_| bad_url("its port is not a number"))?,
    };
    Ok((host, port))
}

fn ssl_mode(word: &str) -> Option<UrlSslMode> {
    Some(match word {
        "disable" => UrlSslMode::Disable,
        "allow" => UrlSslMode::Allow,
        "prefer" => UrlSslMode::Prefer,
        "require" => UrlSslMode::Require,
        "verify-ca" => UrlSslMode::VerifyCa,
        "verify-full" => UrlSslMode::VerifyFull,
        _ => return None,
    })
}

fn decode(text: &str) -> Result<String, PublicError> {
    let wrong = || bad_url("a percent sign is not followed by two hex digits, or encodes invalid UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let pair = after.get(..2).ok_or_else(wrong)?;
            bytes.extend(hex::decode(pair).map_err(|_| wrong())?);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong())?;
    if text.contains('\0') {
        Err(wrong())
    } else {
        Ok(text)
    }
}

fn bad_url(why: &str) -> PublicError {
    PublicError::new(
        ErrorCode::SourceUrlInvalid,
        format!(
            "the URL of the source is invalid: {why}; its form is postgres://USER:PASSWORD@HOST:PORT/DATABASE"
        ),
    )
}

fn tls_required() -> PublicError {
    PublicError::new(
        ErrorCode::SourceTlsRequired,
        "the server is not on this machine, so the connection must be encrypted and the server's certificate \
         checked; use sslmode=verify-full, or `ssl` of the source with its authority",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> ServerUrl {
        ServerUrl::parse(text).unwrap()
    }

    fn code(result: Result<impl Sized, PublicError>) -> ErrorCode {
        let refusal = result.err().unwrap();
        assert!(!refusal.to_string().contains("secret"), "{refusal}");
        refusal.code
    }

    #[test]
    fn all_url_parts_are_parsed_and_decoded() {
        let parsed =
            url("postgres://ro%40le:p%3Aw%2F@db.example:6543/app%20db?sslmode=verify-full&pgbouncer=true");
        assert_eq!(
            (
                parsed.user.as_str(),
                parsed.password.as_str(),
                parsed.host.as_str(),
                parsed.port
            ),
            ("ro@le", "p:w/", "db.example", 6543)
        );
        assert_eq!((parsed.database.as_str(), parsed.is_pooled), ("app db", true));
        assert_eq!(url("postgresql://u@[::1]/d").host, "::1");
        assert_eq!(url("postgres://u@[::1]:7/d").port, 7);
        assert_eq!(url("postgres://u@%2Frun%2Fpg/d").host, "/run/pg");
        assert_eq!(url("postgres://u@x/d?host=/run/pg").host, "/run/pg");
    }

    #[test]
    fn rejects_unknown_url_parts_without_printing_them() {
        for text in [
            "mysql://u:secret@h/d",
            "postgres://h/d",
            "postgres://u:secret@h",
            "postgres://u:secret@/d",
            "postgres://:secret@h/d",
            "postgres://u:secret@h:x/d",
            "postgres://u:secret@a,b/d",
            "postgres://u:%zz@h/d",
            "postgres://u:secret@h/d#x",
            "postgres://u:secret@h/d?options=-csecret",
            "postgres://u:secret@h/d?sslrootcert=/secret",
            "postgres://u:secret@h/d?sslmode=on",
            "postgres://u:secret@h/d?pgbouncer=1",
            "postgres://u:secret@h/d?host=secret",
        ] {
            assert_eq!(
                code(ServerUrl::parse(text)),
                ErrorCode::SourceUrlInvalid,
                "{text}"
            );
        }
    }

    #[test]
    fn unencoded_password_is_not_repeated() {
        for text in [
            "postgres://u:ab?secret=xyz@h/d",
            "postgres://u:p@ss?secret=xyz@h/d",
            "postgres://u:p@ss/d?secret=xyz@h/d",
            "postgres://u:p@ss/secret@h/d",
            "postgres://u:p@ss#secret@h/d",
            "postgres://u:p@ss/?sslmode=secret@h/d",
        ] {
            let refusal = ServerUrl::parse(text).err().unwrap();
            assert_eq!(refusal.code, ErrorCode::SourceUrlInvalid);
            let public = refusal.public;
            assert!(public.contains("percent-encode ?, #, &, @ and /"), "{public}");
            for part in ["secret", "xyz", "sslmode"] {
                assert!(!public.contains(part), "{public}");
            }
        }
        assert!(ServerUrl::parse("postgres://u@h/d?application_name=a@b").is_ok());
    }

    #[test]
    fn parameters_of_providers_are_honored_or_named() {
        let parsed = url(
            "postgres://u@h/d?sslmode=require&connect_timeout=10&target_session_attrs=read-write\
             &channel_binding=prefer&gssencmode=disable&sslrootcert=system&application_name=x",
        );
        assert_eq!(parsed.connect_timeout, Some(Duration::from_secs(10)));
        assert!(parsed.needs_primary);
        for (parameter, name) in [
            ("channel_binding=require", "channel_binding"),
            ("connection_limit=5", "max_connections"),
            ("options=-c%20search_path%3Dsecret", "options"),
            ("sslrootcert=/secret/ca.pem", "ssl.ca_env"),
            ("connect_timeout=secret", "connect_timeout"),
            ("connect_timeout=0", "from 1 to 30"),
            ("target_session_attrs=standby", "read-write"),
            ("sslmode=secret", "verify-full"),
            ("some_new_word=secret", "some_new_word"),
        ] {
            let refusal = ServerUrl::parse(&format!("postgres://u@h/d?{parameter}"))
                .err()
                .unwrap();
            let text = refusal.to_string();
            assert!(text.contains(name) && !text.contains("secret"), "{text}");
        }
        let hosts = ServerUrl::parse("postgres://u@a:1,b:2/d").err().unwrap();
        assert!(hosts.to_string().contains("one host"), "{hosts}");
    }

    #[test]
    fn remote_certificates_are_always_verified() {
        let mode = |text: &str, contract| url(text).tls(contract);
        for host in ["127.0.0.1", "127.8.8.8", "[::1]", "localhost", "%2Frun"] {
            let text = format!("postgres://u@{host}/d");
            assert_eq!(mode(&text, None).unwrap(), UrlSslMode::Disable, "{host}");
            assert_eq!(
                mode(&text, Some(SslMode::VerifyCa)).unwrap(),
                UrlSslMode::VerifyCa
            );
        }
        for host in ["db.example", "10.0.0.1", "localhost.example", "[fe80::1]"] {
            let text = format!("postgres://u@{host}/d");
            assert_eq!(mode(&text, None).unwrap(), UrlSslMode::VerifyFull, "{host}");
            assert_eq!(
                code(mode(&text, Some(SslMode::Disable))),
                ErrorCode::SourceTlsRequired
            );
            for weak in ["disable", "allow", "prefer", "require", "verify-ca"] {
                let text = format!("{text}?sslmode={weak}");
                assert_eq!(code(mode(&text, None)), ErrorCode::SourceTlsRequired, "{text}");
                assert_eq!(
                    mode(&text, Some(SslMode::VerifyFull)).unwrap(),
                    UrlSslMode::VerifyFull
                );
            }
        }
    }
}
