//! A command in a pseudo-terminal of 60 columns. Every answer waits for its question.

use std::process::Command;

use anyhow::{Context as _, ensure};
use rexpect::session::{PtySession, spawn_command};

use crate::binaries::Build;
use crate::cli::CliFixture;

/// Maximum time until a question appears, in milliseconds.
const QUESTION_MS: u64 = 60_000;

/// Sets the width and prints the exit code after the command.
const SHELL: &str = "stty cols 60 rows 40; trap : INT; \"$0\" \"$@\"; echo \"ended with $?.\"";

/// Accepts an answer.
pub const ENTER: &str = "\r";
/// Moves to the next choice.
pub const DOWN: &str = "\x1b[B";
/// Chooses or leaves out.
pub const SPACE: &str = " ";
/// Leaves a question.
pub const ESCAPE: &str = "\x1b";
/// Ctrl-C.
pub const INTERRUPT: &str = "\x03";

/// A running command.
pub struct Dialogue {
    session: PtySession,
}

impl Dialogue {
    /// Starts a command of the user in a terminal.
    ///
    /// # Errors
    /// When the binary is missing or the terminal cannot be opened.
    pub fn start(place: &CliFixture, arguments: &[&str]) -> anyhow::Result<Self> {
        let runner = Build::Plain.binary("synapsor-runner")?;
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SHELL])
            .arg(runner)
            .args(arguments)
            .current_dir(place.folder())
            .env_clear()
            .envs(place.environment.iter().map(|(name, value)| (name, value)))
            .env("PATH", "/usr/bin:/bin")
            .env("TERM", "xterm-256color");
        Ok(Self {
            session: spawn_command(command, Some(QUESTION_MS))?,
        })
    }

    /// Waits for a question and sends keys. Returns what was printed before the question.
    ///
    /// # Errors
    /// When the question does not appear within a minute.
    pub fn answer(&mut self, question: &str, keys: &[&str]) -> anyhow::Result<String> {
        let before = self.wait_for(question)?;
        self.session.send(&keys.concat())?;
        self.session.flush()?;
        Ok(before)
    }

    /// Waits for a text. Returns what was printed before it.
    ///
    /// # Errors
    /// When it does not appear within a minute.
    pub fn wait_for(&mut self, text: &str) -> anyhow::Result<String> {
        self.session.exp_string(text).with_context(|| text.to_owned())
    }

    /// Waits for the end. Returns what was printed, and the exit code.
    ///
    /// # Errors
    /// When the command does not end within a minute.
    pub fn end(mut self) -> anyhow::Result<(String, i32)> {
        let rest = self.wait_for("ended with ")?;
        let code = self.wait_for(".")?.parse()?;
        Ok((rest, code))
    }
}

/// Checks that nothing is colored.
///
/// # Errors
/// When the text has an escape sequence of a color.
pub fn check_screen(printed: &str) -> anyhow::Result<()> {
    ensure!(
        !printed.contains("\x1b[3") && !printed.contains("\x1b[1m"),
        "colors: {printed}"
    );
    Ok(())
}
