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
const END: &str = "ended with ";

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

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    /// What was printed after the last question.
    pub rest: String,
    /// Exit code.
    pub code: i32,
    /// Everything that was written to the terminal.
    pub screen: String,
}

/// A running command.
pub struct Dialogue {
    session: PtySession,
    screen: String,
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
            screen: String::new(),
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
        let before = self.session.exp_string(text).with_context(|| text.to_owned())?;
        self.screen.extend([&before, text]);
        Ok(before)
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When the command does not end within a minute.
    pub fn end(mut self) -> anyhow::Result<Ended> {
        let rest = self.session.exp_string(END).context("the end")?;
        let code = self.session.exp_string(".")?.parse()?;
        self.screen.push_str(&rest);
        Ok(Ended {
            rest,
            code,
            screen: self.screen,
        })
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
