//! `config validate`: reports every error of the contract at once.

use serde_json::json;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_domain::contract::{Contract, ValidationIssue};

use crate::{Context, contract_file, output};

pub(super) fn run(context: &Context) -> Result<Exit, ExitError> {
    let path = contract_file::path(&context.global);
    let bytes = contract_file::read(&path)?;
    let report = Contract::check(&bytes);
    if context.global.json {
        let mut value = json!(report);
        value["config_path"] = json!(path.to_string_lossy());
        output::json(&value)?;
    } else {
        for (word, problems) in [("error", &report.errors), ("warning", &report.warnings)] {
            for problem in problems {
                output::line(shown(word, problem))?;
            }
        }
        let verdict = if report.is_ok() { "valid" } else { "invalid" };
        output::line(format!(
            "{}: {verdict}, {} error(s), {} warning(s)",
            output::safe(&path.to_string_lossy()),
            report.errors.len(),
            report.warnings.len()
        ))?;
    }
    Ok(if report.is_ok() { Exit::Ok } else { Exit::Failure })
}

fn shown(word: &str, problem: &ValidationIssue) -> String {
    let (path, message) = (output::safe(&problem.path), output::safe(&problem.message));
    format!("{word} {} at {path}\n  {message}", problem.code.as_str())
}
