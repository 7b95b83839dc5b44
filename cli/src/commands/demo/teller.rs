//! How a demonstration is told: steps with explanations for people, facts only for the hurried, nothing for programs.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::time::Duration;

use synapsor_chassis::run::ExitError;

use crate::output;

/// Between two steps, when somebody watches.
const PAUSE: Duration = Duration::from_millis(300);
const LABEL_CHARS: usize = 34;

/// The voice of a demonstration.
#[derive(Debug)]
pub(super) struct Teller {
    has_guide: bool,
    is_silent: bool,
    step: Cell<u32>,
}

impl Teller {
    pub(super) fn new(quick: bool, json: bool) -> Self {
        Self {
            has_guide: !quick && !json,
            is_silent: json,
            step: Cell::new(0),
        }
    }

    pub(super) fn step(&self, title: &str) -> Result<(), ExitError> {
        if self.is_silent {
            return Ok(());
        }
        self.step.set(self.step.get() + 1);
        if self.has_guide {
            if std::io::stdout().is_terminal() {
                std::thread::sleep(PAUSE);
            }
            output::line("")?;
        }
        output::line(format!("{}. {title}", self.step.get()))
    }

    /// A label and foreign text, which is made safe for the terminal.
    pub(super) fn fact(&self, label: &str, text: &str) -> Result<(), ExitError> {
        if self.is_silent {
            return Ok(());
        }
        output::line(format!(
            "   {:LABEL_CHARS$} {}",
            output::safe(label),
            output::safe(text)
        ))
    }

    pub(super) fn explain(&self, text: &str) -> Result<(), ExitError> {
        if self.has_guide {
            output::line(format!("   > {text}"))
        } else {
            Ok(())
        }
    }

    /// A line of the document that is signed, which is printable ASCII.
    pub(super) fn quote(&self, line: &str) -> Result<(), ExitError> {
        if self.has_guide {
            output::line(format!("   | {line}"))
        } else {
            Ok(())
        }
    }

    pub(super) fn end(&self, ok: bool, took: Duration, kept: Option<String>) -> Result<(), ExitError> {
        if self.has_guide {
            output::line("")?;
        }
        let verdict = if ok {
            "Everything went as it should"
        } else {
            "SOMETHING WENT OTHERWISE"
        };
        output::line(format!("{verdict}, in {:.1} s.", took.as_secs_f64()))?;
        if let Some(enter) = kept {
            output::line(format!("The folder is kept. To go on in it: {enter}"))?;
        }
        if self.has_guide {
            output::line("Next: write a contract for your own database, then `synapsor-runner up`.")?;
        }
        Ok(())
    }
}
