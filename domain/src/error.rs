//! Errors as values: a stable code, a public message that may cross every boundary, and a private detail.

use std::fmt;

use synapsor_codes::ErrorCode;

/// Reports why an operation was refused or failed.
///
/// `public` names the object and the fix; it never holds a secret or driver text. `detail` and `operator_fix` stay in
/// the process that created them (its log), for the owner of its credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicError {
    pub code: ErrorCode,
    pub public: String,
    pub detail: Option<String>,
    pub operator_fix: Option<String>,
}

impl PublicError {
    pub fn new(code: ErrorCode, public: impl Into<String>) -> Self {
        Self {
            code,
            public: public.into(),
            detail: None,
            operator_fix: None,
        }
    }

    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub fn with_operator_fix(mut self, fix: impl Into<String>) -> Self {
        self.operator_fix = Some(fix.into());
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
