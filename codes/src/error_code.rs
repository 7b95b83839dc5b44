//! How the list of codes becomes a type.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::list::ErrorCode;
use crate::{Area, Exit, RpcStatus, SafeCode};

/// Everything that is known about a code.
#[derive(Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) text: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) area: Area,
    pub(crate) exit: Exit,
    pub(crate) rpc: RpcStatus,
    pub(crate) safe: SafeCode,
}

impl Facts {
    pub(crate) const fn new(text: &'static str, meaning: &'static str, area: Area) -> Self {
        Self {
            text,
            meaning,
            area,
            exit: Exit::Failure,
            rpc: RpcStatus::FailedPrecondition,
            safe: SafeCode::Internal,
        }
    }

    pub(crate) const fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    pub(crate) const fn rpc(mut self, rpc: RpcStatus) -> Self {
        self.rpc = rpc;
        self
    }

    pub(crate) const fn safe(mut self, safe: SafeCode) -> Self {
        self.safe = safe;
        self
    }
}

/// Declares [`ErrorCode`]: per area, the meaning, the variant, the stable text and what differs from the defaults
/// (exit 1, `FAILED_PRECONDITION`, `INTERNAL`).
macro_rules! error_codes {
    ($($area:ident { $(#[doc = $meaning:literal] $name:ident = $text:literal $(, $key:ident $value:ident)*;)+ })+) => {
        /// Stable code of an error, a finding or a rejection. [`ErrorCode::as_str`] never changes.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorCode {
            $($(#[doc = $meaning] $name,)+)+
        }

        impl ErrorCode {
            /// All codes, by area.
            pub const ALL: &'static [Self] = &[$($(Self::$name),+),+];

            pub(crate) const fn facts(self) -> crate::error_code::Facts {
                match self {
                    $($(Self::$name => crate::error_code::Facts::new($text, $meaning, Area::$area)
                        $(.$key(error_codes!(@ $key $value)))*,)+)+
                }
            }

            /// Returns the code with this text.
            pub fn from_text(text: &str) -> Option<Self> {
                match text {
                    $($($text => Some(Self::$name),)+)+
                    _ => None,
                }
            }
        }
    };
    (@ exit $value:ident) => { Exit::$value };
    (@ rpc $value:ident) => { RpcStatus::$value };
    (@ safe $value:ident) => { SafeCode::$value };
}
pub(crate) use error_codes;

/// Result of a writer's attempt that changed nothing. The text of a code for such a result begins with its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptKind {
    /// The row is no longer the reviewed one; the proposal ends.
    Conflict,
    /// The write can never succeed; the proposal ends.
    Failed,
    /// A check rejected the attempt; the proposal stays open.
    Refused,
    /// The job was returned for another try.
    Retryable,
}

impl AttemptKind {
    pub const ALL: [Self; 4] = [Self::Conflict, Self::Failed, Self::Refused, Self::Retryable];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Retryable => "retryable",
        }
    }
}

impl ErrorCode {
    /// Returns the stable text, for example `PROPOSAL_NOT_FOUND` or `refused:expired`.
    pub const fn as_str(self) -> &'static str {
        self.facts().text
    }

    /// Returns what the code reports, as one sentence.
    pub fn meaning(self) -> &'static str {
        self.facts().meaning.trim_ascii()
    }

    /// Returns the part of the product that the code belongs to.
    pub const fn area(self) -> Area {
        self.facts().area
    }

    /// Returns the exit code of a command that ends with this error.
    pub const fn exit(self) -> Exit {
        self.facts().exit
    }

    /// Returns the gRPC status of an RPC that fails with this error.
    pub const fn rpc_status(self) -> RpcStatus {
        self.facts().rpc
    }

    /// Returns the code that an agent sees instead of this one.
    pub const fn safe(self) -> SafeCode {
        self.facts().safe
    }

    /// Returns the result of an attempt that ends with this code; `None` for codes of anything else.
    pub fn attempt_kind(self) -> Option<AttemptKind> {
        let (name, _) = self.as_str().split_once(':')?;
        AttemptKind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Returns the reason without the name of the result: `expired` of `refused:expired`. Codes of anything else
    /// have no other text than [`Self::as_str`].
    pub fn reason(self) -> &'static str {
        self.as_str()
            .split_once(':')
            .map_or(self.as_str(), |(_, reason)| reason)
    }
}

/// Text that is not a code of this release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownCode;

impl fmt::Display for UnknownCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown error code")
    }
}

impl std::error::Error for UnknownCode {}

impl FromStr for ErrorCode {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        Self::from_text(text).ok_or(UnknownCode)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Prints the stable text, as logs and assertions need it.
impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_text(&text).ok_or_else(|| serde::de::Error::custom(UnknownCode))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_code_has_its_own_text_that_leads_back_to_it() {
        let mut texts = HashSet::new();
        for code in ErrorCode::ALL.iter().copied() {
            assert!(texts.insert(code.as_str()), "{code} is listed twice");
            assert_eq!(code.as_str().parse(), Ok(code));
            let text = serde_json::to_string(&code).unwrap();
            assert_eq!(serde_json::from_str::<ErrorCode>(&text).unwrap(), code);
        }
        assert_eq!("NO_SUCH_CODE".parse::<ErrorCode>(), Err(UnknownCode));
    }

    #[test]
    fn each_code_is_upper_case_or_a_reason_of_the_writer() {
        let is_reason = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let is_upper = |text: &str| {
            text.bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        };
        for code in ErrorCode::ALL.iter().copied() {
            let is_fine = match code.attempt_kind() {
                Some(kind) => {
                    is_reason(code.reason())
                        && code.as_str() == format!("{}:{}", kind.as_str(), code.reason())
                }
                None => is_upper(code.as_str()) && code.reason() == code.as_str(),
            };
            assert!(is_fine, "{code}");
            assert!(code.meaning().ends_with('.'), "{code}: {}", code.meaning());
        }
    }

    #[test]
    fn codes_of_an_attempt_exit_like_its_result() {
        for code in ErrorCode::ALL.iter().copied() {
            let exit = match code.attempt_kind() {
                Some(AttemptKind::Conflict) => Exit::Conflict,
                Some(AttemptKind::Failed | AttemptKind::Retryable) => Exit::Failure,
                Some(AttemptKind::Refused) => Exit::Refused,
                None => continue,
            };
            assert_eq!(code.exit(), exit, "{code}");
        }
    }
}
