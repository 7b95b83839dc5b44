//! The block of mode `cloud`: validated for 0.1.x files, used by no process.

use super::code::Code;
use super::fields;
use super::object::Object;
use super::report::Report;
use super::source::Engine;
use crate::json::Node;

pub(super) fn check(cloud: &Object<'_>, report: &mut Report) {
    cloud.only(fields::CLOUD, report);
    cloud.required_env_name("base_url_env", Code::CloudBaseUrlEnvRequired, report);
    cloud.required_env_name("runner_token_env", Code::CloudRunnerTokenEnvRequired, report);
    cloud.required_text("adapter_id", Code::CloudAdapterIdRequired, report);
    cloud.text("source_id", Code::InvalidCloudSourceId, report);
    cloud.text("runner_id", Code::InvalidCloudRunnerId, report);
    cloud.text("runner_version", Code::InvalidCloudRunnerVersion, report);
    cloud.text("project_id", Code::InvalidCloudProjectId, report);
    cloud.object("session", Code::InvalidCloudSession, report);
    let is_engine = |text: &str| Engine::WORDS.iter().any(|(word, _)| *word == text);
    texts(cloud, "engines", is_engine, Code::InvalidCloudEngines, report);
    texts(
        cloud,
        "capabilities",
        |text| !text.trim().is_empty(),
        Code::InvalidCloudCapabilities,
        report,
    );
}

fn texts(cloud: &Object<'_>, key: &str, fits: impl Fn(&str) -> bool, code: Code, report: &mut Report) {
    let Some(node) = cloud.get(key) else { return };
    let is_good = match node {
        Node::List(items) => {
            !items.is_empty()
                && items
                    .iter()
                    .all(|item| matches!(item, Node::Text(text) if fits(text)))
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
