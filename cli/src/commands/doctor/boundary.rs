//! Checks that the tools of the contract keep to their boundary.

use synapsor_codes::ErrorCode;
use synapsor_domain::contract::Contract;
use synapsor_domain::tool::Catalog;

use super::check::{CheckLevel, DoctorCheck};
use crate::commands::tools;

pub(super) fn checks(contract: &Contract) -> Vec<DoctorCheck> {
    const NAME: &str = "mcp-tool-boundary";
    let catalog = Catalog::from_contract(contract, false);
    let failed: Vec<_> = tools::checks(&catalog, contract)
        .into_iter()
        .filter(|check| !check.ok)
        .collect();
    if failed.is_empty() {
        let text = format!("{} tool(s) without SQL, approval or commit", catalog.tools.len());
        return vec![DoctorCheck::pass(NAME, text)];
    }
    let of = |check: tools::ToolListCheck| {
        DoctorCheck::finding(
            NAME,
            (CheckLevel::Fail, ErrorCode::ToolBoundaryCrossed),
            format!("{}: {}", check.name, check.detail),
            "a model must not be able to run SQL, approve or commit",
            Some("rename or remove the capability in the contract".to_owned()),
        )
    };
    failed.into_iter().map(of).collect()
}

/// Names of the tools.
pub(super) fn tools(contract: &Contract) -> Vec<String> {
    let catalog = Catalog::from_contract(contract, false);
    catalog.tools.iter().map(|tool| tool.name.clone()).collect()
}
