//! Output of the CLI: data on stdout, messages on stderr, foreign text always escaped.

mod event_payload;
mod progress;
mod prompt;
pub(crate) mod shape;
mod table;

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal as _, Write};

use serde::Serialize;
use synapsor_chassis::invisible::escape_json;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::review::escape;

pub(crate) use progress::{ReadProgress, waiting};
pub(crate) use prompt::ask;
pub(crate) use table::Table;

/// Writes one line to stdout. A closed pipe ends the output without an error.
pub(crate) fn line(text: impl Display) -> Result<(), ExitError> {
    written(writeln!(std::io::stdout().lock(), "{text}"))
}

/// Writes text with its own line ends to stdout.
pub(crate) fn text(text: &str) -> Result<(), ExitError> {
    raw(text.as_bytes())
}

/// Writes bytes to stdout unchanged, for files in a fixed format.
pub(crate) fn raw(bytes: &[u8]) -> Result<(), ExitError> {
    let mut out = std::io::stdout().lock();
    written(out.write_all(bytes).and_then(|()| out.flush()))
}

/// Writes one message to stderr.
pub(crate) fn note(text: impl Display) {
    // There is no channel left to report a failed write to stderr.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes one JSON object to stdout. Characters that do not display are escaped.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<(), ExitError> {
    line(escape_json(
        &serde_json::to_string_pretty(value).map_err(unwritable)?,
    ))
}

/// Writes one JSON object as one line to stdout, for streams.
pub(crate) fn json_line<T: Serialize + ?Sized>(value: &T) -> Result<(), ExitError> {
    line(escape_json(&serde_json::to_string(value).map_err(unwritable)?))
}

/// Formats foreign text as printable ASCII; other characters become `\u{..}`. Quotes stay: nothing is quoted here.
pub(crate) fn safe(text: &str) -> String {
    escape(text).replace("\\\"", "\"")
}

/// Formats foreign text for a cell of a Markdown table: nothing in it is markup.
pub(crate) fn markdown_cell(text: &str) -> String {
    let mut cell = String::new();
    for c in safe(text).chars() {
        match c {
            '<' => cell.push_str("&lt;"),
            '|' | '`' | '[' | ']' | '*' => cell.extend(['\\', c]),
            c => cell.push(c),
        }
    }
    cell
}

/// Formats a line of a statement for copying: keeps quotes, escapes characters that do not print.
pub(crate) fn statement(line: &str) -> String {
    let spell = |c: char| match c {
        ' '..='~' => c.to_string(),
        _ => format!("\\u{{{:X}}}", u32::from(c)),
    };
    line.chars().map(spell).collect()
}

/// Quotes a word for a POSIX shell, if it needs quotes.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", statement(&text.replace('\'', "'\\''")))
}

/// Whether both stdin and stderr are a terminal.
pub(crate) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Returns the error for a prompt without a terminal; callers add the fix.
pub(crate) fn no_terminal() -> ExitError {
    ExitError::new(
        ErrorCode::ConfirmationRequired,
        "confirmation required, but no terminal is attached",
    )
}

/// Formats JSON as one line for a terminal: keeps quotes, escapes characters that do not display.
pub(crate) fn escaped_json(value: &serde_json::Value) -> String {
    escape_json(&value.to_string())
}

fn written(result: std::io::Result<()>) -> Result<(), ExitError> {
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(ExitError::new(
            ErrorCode::OutputFailed,
            format!("cannot write to stdout: {}", error.kind()),
        )),
    }
}

fn unwritable(error: serde_json::Error) -> ExitError {
    ExitError::new(
        ErrorCode::OutputFailed,
        format!("result cannot be serialized as JSON: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use synapsor_chassis::invisible::{escape_json, is_invisible};

    #[test]
    fn escaped_json_keeps_value_and_shows_hidden_characters() {
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
