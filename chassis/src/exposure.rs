//! Rules for the listen address of an HTTP server. The serving process and its parent share them.

use std::net::SocketAddr;

use synapsor_codes::ErrorCode;

use crate::run::ExitError;

/// Exposure of an HTTP server.
#[derive(Debug, Clone, Copy)]
pub struct ListenPolicy {
    /// Listen address.
    pub listen: SocketAddr,
    /// False if the server requires no authentication.
    pub is_authenticated: bool,
    /// Whether remote connections are allowed explicitly.
    pub is_remote_allowed: bool,
    /// Whether the server has its own TLS certificate.
    pub has_tls: bool,
    /// Whether a reverse proxy terminates TLS.
    pub is_tls_terminated: bool,
    /// Number of allowed hosts besides the listen address.
    pub allowed_hosts: usize,
}

impl ListenPolicy {
    /// Checks that the settings are consistent. On loopback almost all combinations are valid. Other addresses
    /// require authentication, encryption and an explicit flag.
    ///
    /// # Errors
    /// The first missing setting, with its fix.
    pub fn check(&self) -> Result<(), ExitError> {
        let listen = self.listen;
        if self.has_tls && self.is_tls_terminated {
            return Err(ExitError::new(
                ErrorCode::HttpTlsAmbiguous,
                "--tls-server-cert and --tls-terminated are mutually exclusive",
            )
            .with_fix("pass either --tls-server-cert and --tls-server-key, or --tls-terminated"));
        }
        if listen.ip().is_loopback() {
            return Ok(());
        }
        if !self.is_authenticated {
            let text = format!("{listen} is reachable from the network without authentication");
            return Err(ExitError::new(ErrorCode::HttpDevNoAuthUnsafeHost, text)
                .with_fix("listen on 127.0.0.1, or omit --dev-no-auth and set a token"));
        }
        if !self.has_tls && !self.is_tls_terminated {
            let text = format!("{listen} is not a loopback address, and tokens require TLS on a network");
            return Err(ExitError::new(ErrorCode::HttpTlsRequired, text).with_fix(
                "listen on 127.0.0.1; or pass --allow-remote with --tls-server-cert and --tls-server-key, or with \
                 --tls-terminated behind a reverse proxy that terminates TLS",
            ));
        }
        if !self.is_remote_allowed {
            let text = format!("{listen} accepts remote connections, but --allow-remote is not set");
            return Err(ExitError::new(ErrorCode::HttpRemoteNotAllowed, text)
                .with_fix("listen on 127.0.0.1, or add --allow-remote"));
        }
        if listen.ip().is_unspecified() && self.allowed_hosts == 0 {
            let text = format!("{listen} is a wildcard address, so the allowed Host values are unknown");
            return Err(ExitError::new(ErrorCode::HttpAllowedHostMissing, text)
                .with_fix("add --allowed-host HOST or HOST:PORT, as clients write it in the URL"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(listen: &str, words: &str) -> &'static str {
        let has = |word| words.split(' ').any(|given| given == word);
        let exposure = ListenPolicy {
            listen: listen.parse().unwrap(),
            is_authenticated: has("auth"),
            is_remote_allowed: has("remote"),
            has_tls: has("tls"),
            is_tls_terminated: has("proxy"),
            allowed_hosts: usize::from(has("host")),
        };
        match exposure.check() {
            Ok(()) => "",
            Err(failure) if failure.code() == ErrorCode::HttpTlsRequired => "tls",
            Err(failure) if failure.code() == ErrorCode::HttpDevNoAuthUnsafeHost => "auth",
            Err(failure) if failure.code() == ErrorCode::HttpRemoteNotAllowed => "remote",
            Err(failure) if failure.code() == ErrorCode::HttpAllowedHostMissing => "host",
            Err(failure) if failure.code() == ErrorCode::HttpTlsAmbiguous => "either",
            Err(failure) => panic!("{failure}"),
        }
    }

    #[test]
    fn loopback_needs_no_further_setting() {
        for listen in ["127.0.0.1:1", "127.0.0.2:1", "[::1]:1"] {
            assert_eq!(code(listen, ""), "");
            assert_eq!(code(listen, "proxy"), "");
            assert_eq!(code(listen, "tls proxy"), "either");
        }
    }

    #[test]
    fn remote_address_needs_authentication_tls_and_a_flag() {
        for listen in ["10.0.0.1:1", "0.0.0.0:1", "[::]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(code(listen, "remote tls host"), "auth");
            assert_eq!(code(listen, "auth remote host"), "tls");
            assert_eq!(code(listen, "auth tls host"), "remote");
            assert_eq!(code(listen, "auth proxy host"), "remote");
            assert_eq!(code(listen, "auth remote tls host"), "");
            assert_eq!(code(listen, "auth remote proxy host"), "");
        }
        assert_eq!(code("0.0.0.0:1", "auth remote tls"), "host");
        assert_eq!(code("[::]:1", "auth remote proxy"), "host");
        assert_eq!(code("10.0.0.1:1", "auth remote tls"), "");
    }
}
