//! What a database's refusal means to the person whose credential it is: a code, a sentence, a way on. For answers to
//! operators only; a model never sees any of it.

use crate::error::{EngineError, EngineErrorKind};

/// An error in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DbErrorMessage {
    pub code: &'static str,
    /// Finishes "the database of X …".
    pub text: &'static str,
    pub fix: &'static str,
    /// Whether there was no answer at all, so that nothing is known of rights and tables.
    pub is_away: bool,
}

/// Codes with which servers turn a login away.
const LOGIN: [&str; 6] = [
    "sqlstate 28P01",
    "sqlstate 28000",
    "server error 1044",
    "server error 1045",
    "server error 1698",
    "server error 3118",
];
/// Codes for a database that is not there.
const DATABASE: [&str; 2] = ["sqlstate 3D000", "server error 1049"];

/// The error as its cause; the engine's own detail stays for the log.
pub fn explain(error: &EngineError) -> DbErrorMessage {
    let answered = |code, text, fix| DbErrorMessage {
        code,
        text,
        fix,
        is_away: false,
    };
    if LOGIN.contains(&error.detail.as_str()) {
        let fix = "check user and password in the URL, and that the role may connect to this database";
        return answered("SOURCE_DENIED", "does not let this user in", fix);
    }
    if DATABASE.contains(&error.detail.as_str()) {
        let fix = "check the name of the database in the URL";
        return answered(
            "SOURCE_OBJECT_NOT_FOUND",
            "is not there, though its server is",
            fix,
        );
    }
    let away = |code, text| DbErrorMessage {
        code,
        text,
        fix: "check host, port and TLS of the URL, and that the server runs",
        is_away: true,
    };
    match error.kind {
        EngineErrorKind::Unavailable => away("SOURCE_UNAVAILABLE", "cannot be reached"),
        EngineErrorKind::Busy | EngineErrorKind::Timeout => away("SOURCE_TIMEOUT", "did not answer in time"),
        EngineErrorKind::Denied => answered(
            "SOURCE_DENIED",
            "refuses this to the credential",
            "give the role what `synapsor-runner writeback grants` prints",
        ),
        EngineErrorKind::NotFound => answered(
            "SOURCE_OBJECT_NOT_FOUND",
            "has no such schema, table or column",
            "check the database of the URL and the schema; without one all schemas are listed",
        ),
        EngineErrorKind::TooLarge
        | EngineErrorKind::Unreadable
        | EngineErrorKind::Constraint
        | EngineErrorKind::Other => answered(
            "SOURCE_FAILED",
            "cannot be asked",
            "try a role that may read the catalogue, and name one schema",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_that_is_refused_is_no_server_that_is_away() {
        let of = |detail: &str| explain(&EngineError::new(EngineErrorKind::Unavailable, detail));
        assert_eq!(
            (of("sqlstate 28P01").code, of("sqlstate 28P01").is_away),
            ("SOURCE_DENIED", false)
        );
        assert_eq!(of("sqlstate 3D000").code, "SOURCE_OBJECT_NOT_FOUND");
        assert_eq!(
            (of("the connection failed").code, of("").is_away),
            ("SOURCE_UNAVAILABLE", true)
        );
    }
}
