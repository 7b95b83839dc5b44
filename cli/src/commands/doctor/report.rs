//! Markdown report of the doctor.

use super::check::{CheckLevel, DoctorCheck};
use crate::output::{markdown_cell as cell, statement};
use crate::{Context, contract_file, workflows};

pub(super) fn markdown(checks: &[DoctorCheck], context: &Context) -> String {
    let path = contract_file::path(&context.global);
    let mut text = format!(
        "# Doctor report\n\n- contract: {}\n- version: {}\n- time: {}\n\n| result | check | finding |\n|---|---|---|\n",
        cell(&path.to_string_lossy()),
        env!("CARGO_PKG_VERSION"),
        workflows::now()
    );
    for check in checks {
        let code = check.code.map(|code| format!("{code}: ")).unwrap_or_default();
        let message = format!("{code}{}", check.message.replace('\n', " "));
        text.push_str(&format!(
            "| {} | {} | {} |\n",
            check.level.as_str(),
            cell(&check.name),
            cell(&message)
        ));
    }
    let fixes = checks.iter().filter(|check| check.level != CheckLevel::Pass);
    for check in fixes {
        let Some(fix) = &check.fix else { continue };
        text.push_str(&format!("\n## {}\n\n", cell(&check.name)));
        if !check.why.is_empty() {
            text.push_str(&format!("{}.\n\n", check.why));
        }
        for line in fix.lines() {
            text.push_str(&format!("    {}\n", statement(line)));
        }
    }
    text
}
