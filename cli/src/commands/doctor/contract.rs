//! Checks that the contract is valid, with one check for each warning.

use synapsor_codes::ErrorCode;
use synapsor_domain::contract::Contract;

use super::check::{CheckLevel, DoctorCheck};
use crate::{Context, contract_file};

pub(super) fn checks(context: &Context) -> Vec<DoctorCheck> {
    const NAME: &str = "config-valid";
    let path = contract_file::path(&context.global);
    let bytes = match contract_file::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => return vec![DoctorCheck::of_error(NAME, &error)],
    };
    let report = Contract::check(&bytes);
    let mut checks = Vec::new();
    if report.is_ok() {
        checks.push(DoctorCheck::pass(NAME, format!("{} is valid", path.display())));
    } else {
        let first = report.errors.first().map_or_else(String::new, |error| {
            format!(": {} at {}: {}", error.code, error.path, error.message)
        });
        checks.push(DoctorCheck::finding(
            NAME,
            (CheckLevel::Fail, ErrorCode::ConfigInvalid),
            format!("{} has {} error(s){first}", path.display(), report.errors.len()),
            "no process starts with an invalid contract",
            Some("synapsor-runner config validate".to_owned()),
        ));
    }
    for warning in &report.warnings {
        checks.push(DoctorCheck::finding(
            format!("config-warning:{}", warning.code),
            (CheckLevel::Warn, warning.code),
            format!("{}: {}", warning.path, warning.message),
            "",
            None,
        ));
    }
    checks
}
