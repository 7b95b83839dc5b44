//! Errors as values: a stable code, a public message that may cross every boundary, and a private detail.

use std::fmt;

use synapsor_codes::ErrorCode;

/// Reports why an operation was refused or failed.
///
/// `public` names the object and the fix; it never holds a secret or driver text. `detail` stays in the process
/// that created it (its log).
#[derive(Clone, PartialEq, Eq)]
pub struct PublicError {
    pub code: ErrorCode,
    pub public: String,
    pub detail: Option<String>,
}

impl PublicError {
    pub fn new(code: ErrorCode, public: impl Into<String>) -> Self {
        Self {
            code,
            public: public.into(),
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
        // The detail may hold driver text; it is logged only on purpose, never by a stray `{:?}`.
        f.debug_struct("PublicError")
            .field("code", &self.code)
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for PublicError {}
