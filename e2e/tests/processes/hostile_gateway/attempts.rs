//! Counts the attempts and searches every response for forbidden content.

use std::collections::BTreeSet;

use tonic::{Code, Status};

/// Codes that do not show whether the server would have accepted the attempt.
const PASSING: [Code; 5] = [
    Code::Unavailable,
    Code::DeadlineExceeded,
    Code::ResourceExhausted,
    Code::Internal,
    Code::Unknown,
];

/// Attempts, each with a unique name.
pub(crate) struct Attempts {
    names: BTreeSet<String>,
    canaries: Vec<String>,
}

impl Attempts {
    pub(crate) fn new(canaries: &[String]) -> Self {
        Self {
            names: BTreeSet::new(),
            canaries: canaries.to_vec(),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.names.len()
    }

    /// Records an attempt that the server must refuse.
    pub(crate) fn refused<T: AsRef<[u8]>>(&mut self, name: &str, answer: Result<T, Status>) -> Status {
        let status = self.checked(name, answer);
        assert!(self.names.insert(name.to_owned()), "{name} counts once");
        status
    }

    /// Records a response that does not count as an attempt: a baseline, or one of many of its kind.
    pub(crate) fn checked<T: AsRef<[u8]>>(&self, name: &str, answer: Result<T, Status>) -> Status {
        match answer {
            Ok(answer) => panic!("{name} succeeded: {}", String::from_utf8_lossy(answer.as_ref())),
            Err(status) => {
                assert!(
                    !PASSING.contains(&status.code()),
                    "{name} was not refused: {status:?}"
                );
                let text = format!("{} {:?}", status.message(), status.metadata());
                self.shows_nothing(name, &[text.as_bytes(), status.details()].concat());
                status
            }
        }
    }

    /// Checks that a permitted response contains nothing forbidden.
    pub(crate) fn shows_nothing(&self, name: &str, answer: &[u8]) {
        let text = String::from_utf8_lossy(answer);
        for canary in &self.canaries {
            assert!(!text.contains(canary), "{name} shows {canary}: {text}");
        }
    }
}
