//! Safety checks of the tool list. Pure.

use serde_json::Value as Json;
use synapsor_domain::contract::Contract;
use synapsor_domain::tool::{Catalog, Tool};

/// Parts of tool names that indicate a way to bypass the review.
const FORBIDDEN_NAMES: [(&str, &[&str]); 3] = [
    (
        "no SQL tool",
        &["execute_sql", "run_query", "raw_sql", "query_database"],
    ),
    ("no approval tool", &["approve", "reject"]),
    ("no commit tool", &["commit", "apply_writeback", "apply_proposal"]),
];

const DATABASE_SCHEMES: [&str; 5] = [
    "postgres://",
    "postgresql://",
    "mysql://",
    "mariadb://",
    "sqlite:",
];

/// Result of one check of the tool list.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::commands) struct ToolListCheck {
    pub(in crate::commands) name: String,
    pub(in crate::commands) ok: bool,
    pub(in crate::commands) detail: String,
}

impl ToolListCheck {
    /// Passes if nothing was found.
    fn none_of(name: &str, found: &[String]) -> Self {
        let detail = if found.is_empty() {
            "none".to_owned()
        } else {
            found.join(", ")
        };
        Self {
            name: name.to_owned(),
            ok: found.is_empty(),
            detail,
        }
    }
}

/// Runs all checks on the tools that `contract` defines.
pub(in crate::commands) fn checks(catalog: &Catalog, contract: &Contract) -> Vec<ToolListCheck> {
    let count = catalog.tools.len();
    let mut checks = vec![ToolListCheck {
        name: "semantic tools present".to_owned(),
        ok: count > 0,
        detail: format!("{count} tool(s)"),
    }];
    for (name, words) in FORBIDDEN_NAMES {
        let is_forbidden = |tool: &&Tool| tool.name.split('.').any(|part| words.contains(&part));
        let found: Vec<String> = catalog
            .tools
            .iter()
            .filter(is_forbidden)
            .map(|t| t.name.clone())
            .collect();
        checks.push(ToolListCheck::none_of(name, &found));
    }
    checks.push(ToolListCheck {
        name: "no tenant or principal argument".to_owned(),
        ok: !catalog.tools.iter().any(asks_for_context),
        detail: "tenant and principal come from the reader".to_owned(),
    });
    checks.push(ToolListCheck::none_of(
        "no database URL",
        &tools_with(catalog, has_database_url),
    ));
    let names = credential_names(contract);
    checks.push(ToolListCheck::none_of(
        "no credential variable name",
        &tools_with(catalog, |text| names.iter().any(|name| has_word(text, name))),
    ));
    checks
}

/// Names of the tools whose model-visible text matches.
fn tools_with(catalog: &Catalog, is_found: impl Fn(&str) -> bool) -> Vec<String> {
    let text = |tool: &&Tool| is_found(&serde_json::json!(tool).to_string());
    let found = catalog.tools.iter().filter(text);
    found.map(|tool| tool.name.clone()).collect()
}

fn has_database_url(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    DATABASE_SCHEMES.iter().any(|scheme| text.contains(scheme))
}

/// Variables that hold database credentials. Ordinary words such as "token" do not count.
fn credential_names(contract: &Contract) -> Vec<&str> {
    let mut names = Vec::new();
    for source in contract.sources() {
        names.push(source.read_url_env.as_str());
        names.extend(source.write_url_env.as_deref());
        let ssl = source.ssl.iter();
        names.extend(ssl.flat_map(|ssl| {
            [&ssl.ca_env, &ssl.cert_env, &ssl.key_env]
                .into_iter()
                .flatten()
                .map(String::as_str)
        }));
    }
    names
}

/// Whether the name occurs in the text as a whole word.
fn has_word(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(is_part) && !text[at + name.len()..].starts_with(is_part))
}

fn asks_for_context(tool: &Tool) -> bool {
    let properties = tool.input_schema.get("properties").and_then(Json::as_object);
    properties.is_some_and(|p| {
        ["tenant_id", "principal"]
            .iter()
            .any(|name| p.contains_key(*name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that fail when the first tool's description is `text`.
    fn broken_by(text: &str) -> Vec<String> {
        let file = include_str!("../../../assets/demo.runner.json");
        let contract = Contract::parse(file.as_bytes()).unwrap().contract;
        let mut catalog = Catalog::from_contract(&contract, false);
        catalog.tools[0].description = text.to_owned();
        let checks = checks(&catalog, &contract);
        checks
            .into_iter()
            .filter(|check| !check.ok)
            .map(|check| check.name)
            .collect()
    }

    #[test]
    fn ordinary_secret_words_pass_credential_check() {
        let text = "Resets the API token of a member; password, secret and credential are never shown. See MY_BILLING_READ_URL_2.";
        assert_eq!(broken_by(text), Vec::<String>::new());
    }

    #[test]
    fn rejects_database_url_and_credential_variable() {
        assert_eq!(broken_by("Reads Postgres://app:x@db/app"), ["no database URL"]);
        assert_eq!(
            broken_by("Needs BILLING_READ_URL."),
            ["no credential variable name"]
        );
    }
}
