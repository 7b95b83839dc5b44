//! Output of the demo: steps with explanations, facts only for `--quick`, and no text for `--json`.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::time::Duration;

use synapsor_chassis::run::ExitError;

use super::Args;
use crate::output;

/// Pause between two steps on a terminal.
const PAUSE: Duration = Duration::from_millis(300);
const LABEL_CHARS: usize = 34;

/// Prints the demo.
#[derive(Debug)]
pub(super) struct DemoPrinter {
    has_guide: bool,
    has_quotes: bool,
    /// Whether the operator continues each step with Enter.
    is_guided: bool,
    has_pauses: bool,
    is_silent: bool,
    step: Cell<u32>,
}

impl DemoPrinter {
    pub(super) fn new(args: &Args, json: bool) -> Self {
        let has_guide = !args.quick && !json;
        Self {
            has_guide,
            has_quotes: has_guide || (args.details && !json),
            is_guided: args.guided && !json,
            has_pauses: !args.no_interactive && std::io::stdout().is_terminal(),
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
            if self.is_guided && self.step.get() > 1 {
                output::ask("Enter continues.")?;
            } else if self.has_pauses {
                std::thread::sleep(PAUSE);
            }
            output::line("")?;
        }
        output::line(format!("{}. {title}", self.step.get()))
    }

    /// Prints a label and foreign text, escaped for the terminal.
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

    /// Prints a line of the signed document, which is printable ASCII.
    pub(super) fn quote(&self, line: &str) -> Result<(), ExitError> {
        if self.has_quotes {
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
            "All steps passed"
        } else {
            "FAILED: a step did not behave as expected"
        };
        output::line(format!("{verdict}, in {:.1} s.", took.as_secs_f64()))?;
        if let Some(enter) = kept {
            output::line(format!("Demo directory kept. Continue with: {enter}"))?;
        }
        if self.has_guide {
            output::line("Next: write a contract for your own database, then `synapsor-runner up`.")?;
        }
        Ok(())
    }
}
