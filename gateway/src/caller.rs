//! Who is behind a request, once the door has let it in. What they may see is not decided here, nor by the gateway.

use std::sync::Arc;

/// The caller of one request; an extension of every HTTP request that was let in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Everybody, where the gateway runs without authentication.
    Anonymous,
    /// Whoever holds the static bearer token of a name.
    Token(TokenCaller),
}

/// The holder of a static bearer token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenCaller {
    /// `token:` and the token's name.
    key: Arc<str>,
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
        }
    }
}
