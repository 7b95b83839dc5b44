//! A refusal is a value: a stable code, a text that may cross every boundary, and a detail that may not.

use std::borrow::Cow;
use std::fmt;

/// Why something was not done.
///
/// `code` is stable and UPPER_SNAKE or `refused:<reason>`; `public` names the place and the fix and holds no
/// secret and no driver text; `detail` stays in the process that made it (its log).
#[derive(Clone, PartialEq, Eq)]
pub struct PublicError {
    pub code: Cow<'static, str>,
    pub public: String,
    pub detail: Option<String>,
}

impl PublicError {
    pub fn new(code: &'static str, public: impl Into<String>) -> Self {
        Self {
            code: Cow::Borrowed(code),
            public: public.into(),
            detail: None,
        }
    }

    /// A refusal whose code came from another process, already checked to be a code.
    pub fn from_peer(code: String, public: String) -> Self {
        Self {
            code: Cow::Owned(code),
            public,
            detail: None,
        }
    }

    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl fmt::Display for PublicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.public)
    }
}

impl fmt::Debug for PublicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The detail may hold driver text; it is logged on purpose only, never by a stray `{:?}`.
        f.debug_struct("Refusal")
            .field("code", &self.code)
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for PublicError {}
