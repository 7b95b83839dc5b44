//! Where HTTP may be served and with what: the one rule of the process that serves and of the one that starts it.

use std::net::SocketAddr;

use crate::run::ExitError;

/// How an HTTP server is meant to be reached.
#[derive(Debug, Clone, Copy)]
pub struct ListenPolicy {
    /// Where it listens.
    pub listen: SocketAddr,
    /// False if everybody is let in.
    pub is_authenticated: bool,
    /// It was said that other machines may connect.
    pub is_remote_allowed: bool,
    /// The server has a certificate of its own.
    pub has_tls: bool,
    /// It was said that a proxy in front takes TLS off.
    pub is_tls_terminated: bool,
    /// How many names were given under which the server answers, besides its address.
    pub allowed_hosts: usize,
}

impl ListenPolicy {
    /// Whether the parts go together. On loopback almost everything does; elsewhere only what is authenticated,
    /// encrypted and wanted.
    ///
    /// # Errors
    /// The first thing that is missing, with its fix.
    pub fn check(&self) -> Result<(), ExitError> {
        let listen = self.listen;
        if self.has_tls && self.is_tls_terminated {
            return Err(ExitError::usage(
                "HTTP_TLS_AMBIGUOUS",
                "TLS cannot be served here and be taken off by a proxy as well",
            )
            .with_fix("give either --tls-server-cert and --tls-server-key, or --tls-terminated"));
        }
        if listen.ip().is_loopback() {
            return Ok(());
        }
        if !self.is_authenticated {
            let text = format!("{listen} without authentication is open to the network");
            return Err(ExitError::usage("HTTP_DEV_NO_AUTH_UNSAFE_HOST", text)
                .with_fix("listen on 127.0.0.1, or drop --dev-no-auth and set a token"));
        }
        if !self.has_tls && !self.is_tls_terminated {
            let text =
                format!("{listen} is not a loopback address, and tokens must not cross a network in clear");
            return Err(ExitError::usage("HTTP_TLS_REQUIRED", text).with_fix(
                "listen on 127.0.0.1; or give --allow-remote with --tls-server-cert and --tls-server-key, or with \
                 --tls-terminated behind a proxy that takes TLS off",
            ));
        }
        if !self.is_remote_allowed {
            let text = format!("{listen} can be reached from other machines, which was not asked for");
            return Err(ExitError::usage("HTTP_REMOTE_NOT_ALLOWED", text)
                .with_fix("listen on 127.0.0.1, or add --allow-remote"));
        }
        if listen.ip().is_unspecified() && self.allowed_hosts == 0 {
            let text = format!("{listen} is every address of this machine, so it names no host to answer as");
            return Err(ExitError::usage("HTTP_ALLOWED_HOST_MISSING", text)
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
            Err(failure) if failure.code() == "HTTP_TLS_REQUIRED" => "tls",
            Err(failure) if failure.code() == "HTTP_DEV_NO_AUTH_UNSAFE_HOST" => "auth",
            Err(failure) if failure.code() == "HTTP_REMOTE_NOT_ALLOWED" => "remote",
            Err(failure) if failure.code() == "HTTP_ALLOWED_HOST_MISSING" => "host",
            Err(failure) if failure.code() == "HTTP_TLS_AMBIGUOUS" => "either",
            Err(failure) => panic!("{failure}"),
        }
    }

    #[test]
    fn loopback_needs_nothing() {
        for listen in ["127.0.0.1:1", "127.0.0.2:1", "[::1]:1"] {
            assert_eq!(code(listen, ""), "");
            assert_eq!(code(listen, "proxy"), "");
            assert_eq!(code(listen, "tls proxy"), "either");
        }
    }

    #[test]
    fn other_addresses_need_authentication_encryption_and_to_be_asked_for() {
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
