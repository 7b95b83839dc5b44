//! Prompts on the terminal, except for passphrases.

use std::io::{BufRead as _, Read as _, Write as _};

use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;

/// Maximum length of a response, in bytes.
const ANSWER_BYTES_MAX: u64 = 256;

/// Prompts on stderr and reads one line; empty at the end of the input.
pub(crate) fn ask(question: &str) -> Result<String, ExitError> {
    let failed = |_| {
        ExitError::new(ErrorCode::ConfirmationRequired, "cannot read from the terminal")
            .with_fix("pass --yes")
    };
    let mut err = std::io::stderr().lock();
    write!(err, "{question} ")
        .and_then(|()| err.flush())
        .map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .take(ANSWER_BYTES_MAX)
        .read_line(&mut answer)
        .map_err(failed)?;
    Ok(answer.trim().to_owned())
}
