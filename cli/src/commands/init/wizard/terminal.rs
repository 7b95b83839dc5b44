//! Everything of the wizard that talks to the terminal: lists, lines and questions, by keyboard only and without
//! colors. Lines of a list are cut to the width of the terminal.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, IsTerminal as _, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;

use dialoguer::console::Term;
use dialoguer::theme::SimpleTheme;
use dialoguer::{Confirm, Input, MultiSelect, Select};
use rustix::fs::OFlags;
use rustix::io::ioctl_fionread;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use tokio_util::sync::CancellationToken;

use crate::Context;
use crate::output::{self, safe};

/// Most items of a list on one page.
const PAGE_ITEMS: usize = 20;
/// Columns of a list that are not for the item: marker, brackets and blanks.
const MARGIN: usize = 8;
const WIDTH_MIN: usize = 40;
/// Maximum length of a question with its default on one line, in characters; the rest is for the answer.
const PROMPT_CHARS_MAX: usize = 40;

/// The terminal of the operator.
pub(super) struct Terminal {
    term: Term,
    stop: CancellationToken,
}

/// Whether a wizard can ask here.
pub(in crate::commands::init) fn is_attached() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

impl Terminal {
    pub(super) fn open(context: &Context) -> Result<Self, ExitError> {
        if !is_attached() {
            let text = "the wizard asks on a terminal, and none is attached";
            return Err(ExitError::new(ErrorCode::TerminalRequired, text)
                .with_fix("run it in a terminal, or pass --table, --answers FILE or --spec FILE"));
        }
        Ok(Self {
            term: Term::stdout(),
            stop: context.stop.clone(),
        })
    }

    /// Prints a line. Foreign text in it is escaped by the caller.
    pub(super) fn say(&self, text: &str) -> Result<(), ExitError> {
        output::line(text)
    }

    /// Lets the operator choose one item; returns its index.
    pub(super) fn choose(
        &self,
        question: &str,
        items: &[String],
        default: usize,
    ) -> Result<usize, ExitError> {
        self.check_input()?;
        let asked = Select::with_theme(&SimpleTheme)
            .with_prompt(question)
            .items(self.fitted(items))
            .default(default.min(items.len().saturating_sub(1)))
            .max_length(PAGE_ITEMS)
            .interact_on_opt(&self.term);
        self.answered(asked)
    }

    /// Lets the operator choose any number of items with the space bar; returns their indexes.
    pub(super) fn choose_several(
        &self,
        question: &str,
        items: &[String],
        checked: &[bool],
    ) -> Result<Vec<usize>, ExitError> {
        self.check_input()?;
        let asked = MultiSelect::with_theme(&SimpleTheme)
            .with_prompt(question)
            .items(self.fitted(items))
            .defaults(checked)
            .max_length(PAGE_ITEMS)
            .interact_on_opt(&self.term);
        self.answered(asked)
    }

    /// Reads a line until `check` accepts it.
    pub(super) fn text(
        &self,
        question: &str,
        default: Option<&str>,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Result<String, ExitError> {
        self.check_input()?;
        let (prompt, shows_default) = self.prompt(question, default)?;
        let mut input = Input::<String>::with_theme(&SimpleTheme)
            .with_prompt(prompt)
            .show_default(shows_default)
            .validate_with(|text: &String| check(text.trim()));
        if let Some(default) = default.filter(|default| !default.is_empty()) {
            input = input.default(default.to_owned());
        }
        let asked = input.interact_text_on(&self.term);
        self.answered(asked.map(Some)).map(|text| text.trim().to_owned())
    }

    /// Reads a line that may be empty.
    pub(super) fn optional(
        &self,
        question: &str,
        default: Option<&str>,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Result<Option<String>, ExitError> {
        self.check_input()?;
        let (prompt, shows_default) = self.prompt(question, default)?;
        let mut input = Input::<String>::with_theme(&SimpleTheme)
            .with_prompt(prompt)
            .show_default(shows_default)
            .allow_empty(true)
            .validate_with(|text: &String| match text.trim() {
                "" => Ok(()),
                text => check(text),
            });
        if let Some(default) = default.filter(|default| !default.is_empty()) {
            input = input.default(default.to_owned());
        }
        let asked = input.interact_text_on(&self.term);
        let text = self.answered(asked.map(Some))?;
        Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
    }

    /// Returns the prompt of a line, and whether it shows the default. A long question with its default has a line of its
    /// own: a prompt that wraps while an answer is typed is not cleared completely.
    fn prompt<'a>(&self, question: &'a str, default: Option<&str>) -> Result<(&'a str, bool), ExitError> {
        let Some(default) = default.filter(|default| !default.is_empty()) else {
            return Ok((question, true));
        };
        if question.chars().count() + default.chars().count() <= PROMPT_CHARS_MAX {
            return Ok((question, true));
        }
        self.say(&format!("{question} [{default}]:"))?;
        Ok(("  answer", false))
    }

    pub(super) fn is_yes(&self, question: &str, default: bool) -> Result<bool, ExitError> {
        self.check_input()?;
        let asked = Confirm::with_theme(&SimpleTheme)
            .with_prompt(question)
            .default(default)
            .interact_on_opt(&self.term);
        self.answered(asked)
    }

    /// Whether the operator types the word yes.
    pub(super) fn has_typed_yes(&self, question: &str) -> Result<bool, ExitError> {
        let answer = self.optional(&format!("{question} Type yes"), None, |_| Ok(()))?;
        Ok(answer.as_deref() == Some("yes"))
    }

    /// Cuts items, because a wrapped line is not cleared when the list is drawn again.
    fn fitted(&self, items: &[String]) -> Vec<String> {
        let width = usize::from(self.term.size().1).max(WIDTH_MIN) - MARGIN;
        let fit = |item: &String| {
            let item = safe(item);
            if item.len() <= width {
                return item;
            }
            format!("{}...", &item[..width - 3])
        };
        items.iter().map(fit).collect()
    }

    /// Ends the wizard at the end of the input: a closed terminal, or Ctrl-D before a question. A question itself reads
    /// single keys and takes no notice of Ctrl-D.
    fn check_input(&self) -> Result<(), ExitError> {
        if self.stop.is_cancelled() {
            return self.answered(Err(io::Error::from(ErrorKind::Interrupted).into()));
        }
        if has_ended() {
            return self.answered(Err(io::Error::from(ErrorKind::UnexpectedEof).into()));
        }
        Ok(())
    }

    /// Converts the result of a prompt. Esc, Ctrl-C and the end of the input end the wizard.
    fn answered<T>(&self, asked: dialoguer::Result<Option<T>>) -> Result<T, ExitError> {
        let asked = match asked {
            Ok(_) if self.stop.is_cancelled() => Err(ErrorKind::Interrupted),
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => Ok(()),
            Err(dialoguer::Error::IO(error)) => Err(error.kind()),
        };
        // A list that was interrupted has hidden it.
        let _ = self.term.show_cursor();
        Err(match asked {
            Ok(()) | Err(ErrorKind::UnexpectedEof) => stopped(),
            Err(ErrorKind::Interrupted) => {
                ExitError::new(ErrorCode::Interrupted, "interrupted; nothing was written")
            }
            Err(kind) => {
                let text = format!("cannot read from the terminal: {kind}; nothing was written");
                ExitError::new(ErrorCode::TerminalRequired, text)
                    .with_fix("pass --table and related flags, with --non-interactive")
            }
        })
    }
}

/// Whether nothing more can be read. Keys that are typed ahead stay for the question.
fn has_ended() -> bool {
    if !matches!(ioctl_fionread(io::stdin()), Ok(0)) {
        return false;
    }
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).expect("open flags are an int");
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open("/dev/tty");
    // Without a controlling terminal, the question itself reports what is wrong with its input.
    opened.is_ok_and(|mut tty| matches!(tty.read(&mut [0]), Ok(0)))
}

/// Error of a wizard that the operator ended.
pub(super) fn stopped() -> ExitError {
    ExitError::new(ErrorCode::NotConfirmed, "nothing was written")
}
