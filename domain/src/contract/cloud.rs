//! The block of mode `cloud`: validated for 0.1.x files, used by no process.

use super::code::ContractErrorCode;
use super::fields;
use super::object::ObjectReader;
use super::report::ValidationReport;
use super::source::EngineKind;
use crate::json::JsonNode;

pub(super) fn check(cloud: &ObjectReader<'_>, report: &mut ValidationReport) {
    cloud.only(fields::CLOUD, report);
    cloud.required_env_name("base_url_env", ContractErrorCode::CloudBaseUrlEnvRequired, report);
    cloud.required_env_name(
        "runner_token_env",
        ContractErrorCode::CloudRunnerTokenEnvRequired,
        report,
    );
    cloud.required_text("adapter_id", ContractErrorCode::CloudAdapterIdRequired, report);
    cloud.text("source_id", ContractErrorCode::InvalidCloudSourceId, report);
    cloud.text("runner_id", ContractErrorCode::InvalidCloudRunnerId, report);
    cloud.text(
        "runner_version",
        ContractErrorCode::InvalidCloudRunnerVersion,
        report,
    );
    cloud.text("project_id", ContractErrorCode::InvalidCloudProjectId, report);
    cloud.object("session", ContractErrorCode::InvalidCloudSession, report);
    let is_engine = |text: &str| EngineKind::WORDS.iter().any(|(word, _)| *word == text);
    texts(
        cloud,
        "engines",
        is_engine,
        ContractErrorCode::InvalidCloudEngines,
        report,
    );
    texts(
        cloud,
        "capabilities",
        |text| !text.trim().is_empty(),
        ContractErrorCode::InvalidCloudCapabilities,
        report,
    );
}

fn texts(
    cloud: &ObjectReader<'_>,
    key: &str,
    fits: impl Fn(&str) -> bool,
    code: ContractErrorCode,
    report: &mut ValidationReport,
) {
    let Some(node) = cloud.get(key) else { return };
    let is_good = match node {
        JsonNode::List(items) => {
            !items.is_empty()
                && items
                    .iter()
                    .all(|item| matches!(item, JsonNode::Text(text) if fits(text)))
        }
        _ => false,
    };
    if !is_good {
        let what = if key == "engines" {
            "engines (`postgres`, `mysql`, `sqlite`)"
        } else {
            "non-empty texts"
        };
        report.error(
            cloud.at(key),
            code,
            format!("Make `{key}` a list with at least one member, of {what}."),
        );
    }
}
