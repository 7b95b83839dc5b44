//! Everything that is printed: data on stdout, messages on stderr, and no byte of foreign text unescaped.

mod prompt;
pub(crate) mod shape;
mod table;

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal as _, Write};

use serde::Serialize;
use synapsor_chassis::invisible::escape_json;
use synapsor_chassis::run::ExitError;
use synapsor_domain::review::escape;

pub(crate) use prompt::ask;
pub(crate) use table::Table;

/// Writes one line to stdout. A reader that went away ends the output quietly.
pub(crate) fn line(text: impl Display) -> Result<(), ExitError> {
    written(writeln!(std::io::stdout().lock(), "{text}"))
}

/// Writes text that ends its own lines to stdout.
pub(crate) fn text(text: &str) -> Result<(), ExitError> {
    raw(text.as_bytes())
}

/// Writes bytes to stdout as they are: for files in a fixed form.
pub(crate) fn raw(bytes: &[u8]) -> Result<(), ExitError> {
    let mut out = std::io::stdout().lock();
    written(out.write_all(bytes).and_then(|()| out.flush()))
}

/// Writes one message for the person to stderr.
pub(crate) fn note(text: impl Display) {
    // Nobody is left to be told when stderr is gone.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes one JSON object to stdout, for programs. What a person would not see in it is written as an escape.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<(), ExitError> {
    line(escape_json(
        &serde_json::to_string_pretty(value).map_err(unwritable)?,
    ))
}

/// Writes one JSON object as one line to stdout: for streams of them.
pub(crate) fn json_line<T: Serialize + ?Sized>(value: &T) -> Result<(), ExitError> {
    line(escape_json(&serde_json::to_string(value).map_err(unwritable)?))
}

/// Foreign text as printable ASCII; everything else is spelled `\u{..}`.
pub(crate) fn safe(text: &str) -> String {
    escape(text)
}

/// A line of a statement for a person to copy: quotes stay as they are, what does not print is spelled.
pub(crate) fn statement(line: &str) -> String {
    let spell = |c: char| match c {
        ' '..='~' => c.to_string(),
        _ => format!("\\u{{{:X}}}", u32::from(c)),
    };
    line.chars().map(spell).collect()
}

/// Whether a person sits at this command: both its input and its messages are a terminal.
pub(crate) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

fn written(result: std::io::Result<()>) -> Result<(), ExitError> {
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(ExitError::new(
            "OUTPUT_FAILED",
            format!("stdout cannot be written: {}", error.kind()),
        )),
    }
}

fn unwritable(error: serde_json::Error) -> ExitError {
    ExitError::new("OUTPUT_FAILED", format!("the result has no JSON form: {error}"))
}

#[cfg(test)]
mod tests {
    use synapsor_chassis::invisible::{escape_json, is_invisible};

    #[test]
    fn escaped_json_is_the_same_value_and_shows_what_it_holds() {
        let text = "a\u{202e}b\u{200b}c\u{2066}d\u{feff}\u{e0041}\u{7f}\u{85}\u{61c}é漢\n\u{fe0f}";
        let json = serde_json::json!({ "key\u{200f}": [text] });
        let escaped = escape_json(&serde_json::to_string_pretty(&json).unwrap());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), json);
        assert!(
            !escaped
                .chars()
                .any(|c| is_invisible(c) && !matches!(c, '\n' | ' ')),
            "{escaped}"
        );
        assert!(escaped.contains("é漢") && escaped.contains("\\u202e") && escaped.contains("\\udb40\\udc41"));
    }
}
