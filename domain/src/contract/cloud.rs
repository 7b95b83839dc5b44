//! The block of mode `cloud`: validated for 0.1.x files, used by no process.

use super::fields;
use super::object::ObjectReader;
use super::report::ValidationReport;
use super::source::EngineKind;
use crate::json::JsonNode;
use synapsor_codes::ErrorCode;

pub(super) fn check(cloud: &ObjectReader<'_>, report: &mut ValidationReport) {
    cloud.only(fields::CLOUD, report);
    cloud.required_env_name("base_url_env", ErrorCode::CloudBaseUrlEnvRequired, report);
    cloud.required_env_name("runner_token_env", ErrorCode::CloudRunnerTokenEnvRequired, report);
    cloud.required_text("adapter_id", ErrorCode::CloudAdapterIdRequired, report);
    cloud.text("source_id", ErrorCode::InvalidCloudSourceId, report);
    cloud.text("runner_id", ErrorCode::InvalidCloudRunnerId, report);
    cloud.text("runner_version", ErrorCode::InvalidCloudRunnerVersion, report);
    cloud.text("project_id", ErrorCode::InvalidCloudProjectId, report);
    cloud.object("session", ErrorCode::InvalidCloudSession, report);
    let is_engine = |text: &str| EngineKind::WORDS.iter().any(|(word, _)| *word == text);
    texts(
        cloud,
        "engines",
        is_engine,
        ErrorCode::InvalidCloudEngines,
        report,
    );
    texts(
        cloud,
        "capabilities",
        |text| !text.trim().is_empty(),
        ErrorCode::InvalidCloudCapabilities,
        report,
    );
}

fn texts(
    cloud: &ObjectReader<'_>,
    key: &str,
    fits: impl Fn(&str) -> bool,
    code: ErrorCode,
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
