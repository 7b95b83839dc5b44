//! Prompts on the terminal, except for passphrases.

use std::io::{BufRead as _, Read as _, Write as _};

use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;

/// Maximum length of a response, in bytes: that of the longest reason.
const ANSWER_BYTES_MAX: u64 = 4_096;

/// Prompts on stderr and reads one line; empty at the end of the input.
///
/// # Errors
/// `CONFIRMATION_REQUIRED` for a line that is too long. Its rest is not the answer to the next prompt.
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
    let mut input = std::io::stdin().lock();
    let read = (&mut input)
        .take(ANSWER_BYTES_MAX)
        .read_line(&mut answer)
        .map_err(failed)?;
    if u64::try_from(read) == Ok(ANSWER_BYTES_MAX) && !answer.ends_with('\n') {
        input.skip_until(b'\n').map_err(failed)?;
        return Err(
            ExitError::new(ErrorCode::ConfirmationRequired, "the answer is too long")
                .with_fix(format!("answer with at most {ANSWER_BYTES_MAX} bytes")),
        );
    }
    Ok(answer.trim().to_owned())
}
