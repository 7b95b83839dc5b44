//! Names the URL parameters that are refused, and what to do instead. Values are never named, and neither is a
//! name that can be part of a password.

/// Longest name of a parameter that a message repeats.
const NAME_CHARS_MAX: usize = 40;

/// Why a URL is refused that has an `@` after its address.
pub(crate) const UNENCODED_LOGIN: &str =
    "it has an `@` after a `/`, `?` or `#`: percent-encode ?, #, &, @ and / in user and password";

/// Whether an `@` follows the first `/`, `?` or `#` of a URL without its scheme. Then each part can be one of a password
/// that is not percent-encoded, and no message may repeat it.
pub(crate) fn may_split_login(rest: &str) -> bool {
    rest.find(['/', '?', '#'])
        .is_some_and(|at| rest[at..].contains('@'))
}

/// Returns why a parameter is refused, and our setting for it.
pub(crate) fn refused(name: &str) -> String {
    let hint = hint(&name.to_ascii_lowercase().replace('-', "_"));
    match (is_name(name), hint) {
        (true, Some(hint)) => format!("its parameter `{name}` is not supported: {hint}"),
        (true, None) => format!("its parameter `{name}` is not supported: remove it"),
        // A character of a password that is not percent-encoded can look like the start of the parameters.
        (false, _) => {
            "it has a parameter whose name is not a word: percent-encode ?, & and # in user and password"
                .to_owned()
        }
    }
}

/// Returns why a value of a known parameter is refused.
pub(crate) fn refused_value(name: &str, allowed: &str) -> String {
    format!("its parameter `{name}` must be {allowed}")
}

fn is_name(name: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(is_word)
}

fn hint(name: &str) -> Option<&'static str> {
    Some(match name {
        "unix_socket" | "socketpath" | "socket_path" => "write socket=/PATH",
        "channel_binding" => {
            "remove it, or set `disable` or `prefer`; with sslmode=verify-full the server's certificate is verified"
        }
        "options" | "search_path" | "currentschema" | "schema" => {
            "name the schema in the contract; the settings of a connection are fixed"
        }
        "sslrootcert" | "sslca" | "ssl_ca" | "ssl_root_cert" | "sslcrl" => {
            "name the file by the variable of `ssl.ca_env` in the contract's source"
        }
        "sslcert" | "sslkey" | "ssl_cert" | "ssl_key" | "sslpassword" | "sslidentity" => {
            "name the files by the variables of `ssl.cert_env` and `ssl.key_env` in the contract's source"
        }
        "connection_limit" | "connectionlimit" | "pool_size" | "max_connections" | "maxpoolsize"
        | "pool_max_conns" => "set `max_connections` of the contract's source",
        "statement_timeout" | "sockettimeout" | "socket_timeout" => {
            "set `statement_timeout_ms` of the contract's source"
        }
        "pool_timeout"
        | "pool_mode"
        | "statement_cache_size"
        | "prepared_statements"
        | "preparethreshold" => "remove it; behind a transaction pooler set pgbouncer=true",
        "user" | "username" | "password" | "passfile" | "service" | "servicefile" | "requirepeer"
        | "krbsrvname" => "write user and password into the URL, or into the file of its _FILE variable",
        "hostaddr" | "load_balance_hosts" => "name one host in the URL",
        "usessl" | "ssl" | "sslmodes" | "ssl_mode" | "sslmode" | "ssl-mode" | "require_ssl" | "tls" => {
            "use sslmode (PostgreSQL) or ssl-mode (MySQL)"
        }
        "charset" | "collation" | "timezone" | "time_zone" | "servertimezone" | "characterencoding" => {
            "remove it: character set and time zone of a connection are fixed"
        }
        "allowpublickeyretrieval" | "get_server_public_key" | "server_public_key_path" => {
            "remove it, and use TLS: ssl-mode=VERIFY_IDENTITY"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_parameters_are_named_with_our_setting() {
        for (name, part) in [
            ("sslrootcert", "ssl.ca_env"),
            ("ssl-ca", "ssl.ca_env"),
            ("connection_limit", "max_connections"),
            ("options", "contract"),
            ("charset", "fixed"),
            ("unix_socket", "socket=/PATH"),
            ("wholly_new", "remove it"),
        ] {
            let text = refused(name);
            assert!(text.contains(name) && text.contains(part), "{text}");
        }
    }

    #[test]
    fn error_omits_part_of_a_password() {
        for name in ["s3cret@h/d", "", "9lives", "sécret", "a b", &"x".repeat(41)] {
            let text = refused(name);
            assert!(name.is_empty() || !text.contains(name), "{text}");
            assert!(text.contains("percent-encode"), "{text}");
        }
    }
}
