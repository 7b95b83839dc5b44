//! Who is behind a request, once the door has let it in. What they may see is not decided here, nor by the gateway.

use std::fmt;
use std::sync::Arc;

use synapsor_chassis::secret::Secret;

/// The caller of one request; an extension of every HTTP request that was let in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Everybody, where the gateway runs without authentication.
    Anonymous,
    /// Whoever holds the static bearer token of a name.
    Token(TokenCaller),
    /// Whoever holds an access token that was looked at.
    Bearer(BearerCaller),
}

/// The holder of a static bearer token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenCaller {
    /// `token:` and the token's name.
    key: Arc<str>,
}

/// The holder of an access token: a principal of a tenant, who comes by one client. Equal callers may hold different
/// tokens.
#[derive(Clone)]
pub struct BearerCaller {
    key: Arc<str>,
    token: Arc<Secret>,
    pub(crate) may_read: bool,
    pub(crate) may_propose: bool,
}

impl BearerCaller {
    pub(crate) fn new(key: &str, token: &str, may_read: bool, may_propose: bool) -> Self {
        Self {
            key: key.into(),
            token: Arc::new(Secret::new(token)),
            may_read,
            may_propose,
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
    /// The holder of the static token that is called `name`.
    pub fn of_token(name: &str) -> Self {
        Self::Token(TokenCaller {
            key: format!("token:{name}").into(),
        })
    }

    /// The same text for the same caller, and another one for everybody else: by it sessions are bound, and requests
    /// are counted. It holds no secret.
    pub fn key(&self) -> &str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Token(caller) => &caller.key,
            Self::Bearer(caller) => &caller.key,
        }
    }

    /// The access token that the reader has to see; empty for callers without one.
    pub(crate) fn access_token(&self) -> &str {
        match self {
            Self::Anonymous | Self::Token(_) => "",
            Self::Bearer(caller) => caller.token.expose(),
        }
    }
}
