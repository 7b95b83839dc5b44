//! Authenticated caller of a request. The reader and the ledger decide what the caller may access.

use std::fmt;
use std::sync::Arc;

use synapsor_chassis::secret::Secret;

/// Caller of one request; an extension of every authenticated HTTP request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Any caller, if the gateway runs without authentication.
    Anonymous,
    /// Holder of the static token of this name.
    Token(StaticTokenCaller),
    /// Holder of a verified access token.
    Bearer(BearerCaller),
}

/// Holder of a static token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StaticTokenCaller {
    /// `token:` and the name of the token.
    key: Arc<str>,
}

/// Holder of an access token: a principal of a tenant, on one client. Equal callers may hold different tokens.
#[derive(Clone)]
pub struct BearerCaller {
    key: Arc<str>,
    token: Arc<Secret>,
    pub(crate) may_read: bool,
    pub(crate) may_propose: bool,
    /// Why a scope can be missing, for local logs.
    pub(crate) shortfall: &'static str,
}

impl BearerCaller {
    pub(crate) fn new(
        key: &str,
        token: &str,
        may_read: bool,
        may_propose: bool,
        shortfall: &'static str,
    ) -> Self {
        Self {
            key: key.into(),
            token: Arc::new(Secret::new(token)),
            may_read,
            may_propose,
            shortfall,
        }
    }
}

impl PartialEq for BearerCaller {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for BearerCaller {}

impl std::hash::Hash for BearerCaller {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Debug for BearerCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BearerCaller").field(&self.key).finish()
    }
}

impl Caller {
    /// Returns the holder of the static token `name`.
    pub fn of_token(name: &str) -> Self {
        Self::Token(StaticTokenCaller {
            key: format!("token:{name}").into(),
        })
    }

    /// Returns the key of the caller, unique per caller. Sessions and rate limits are bound to it. It contains no
    /// secret.
    pub fn key(&self) -> &str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Token(caller) => &caller.key,
            Self::Bearer(caller) => &caller.key,
        }
    }

    /// Returns the access token to forward to the reader; empty for callers without one.
    pub(crate) fn access_token(&self) -> &str {
        match self {
            Self::Anonymous | Self::Token(_) => "",
            Self::Bearer(caller) => caller.token.expose(),
        }
    }
}
