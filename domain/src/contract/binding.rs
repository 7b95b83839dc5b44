//! Trusted contexts of the file: the providers of tenant and principal. Resolving them is `crate::context`.

use super::fields;
use super::names::is_safe_name;
use super::object::{ObjectReader, member};
use super::report::{ValidationIssue, ValidationReport};
use super::source::is_empty;
use super::token::{self, TokenSource};
use crate::json::JsonNode;
use synapsor_codes::ErrorCode;

/// Provider of a context's tenant and principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContextProvider {
    /// Literals in the file or variables; for development.
    StaticDev,
    /// The reader's own environment.
    Environment,
    /// The caller's verified access token.
    HttpClaims,
    /// A session of the hosted control plane.
    CloudSession,
}

impl ContextProvider {
    pub(super) const WORDS: &[(&str, ContextProvider)] = &[
        ("static_dev", ContextProvider::StaticDev),
        ("environment", ContextProvider::Environment),
        ("http_claims", ContextProvider::HttpClaims),
        ("cloud_session", ContextProvider::CloudSession),
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            ContextProvider::StaticDev => "static_dev",
            ContextProvider::Environment => "environment",
            ContextProvider::HttpClaims => "http_claims",
            ContextProvider::CloudSession => "cloud_session",
        }
    }
}

/// One trusted context of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContextSpec {
    pub provider: ContextProvider,
    /// Variable that holds the tenant, if the file names one.
    pub tenant_id_env: Option<String>,
    /// Variable that holds the principal, if the file names one.
    pub principal_env: Option<String>,
    /// Literal tenant; only `static_dev` reads it.
    pub tenant_id: Option<String>,
    /// Literal principal; only `static_dev` reads it.
    pub principal: Option<String>,
    /// Accepted access tokens; required to run `http_claims`, unused otherwise.
    pub token: Option<TokenSource>,
    /// Members of `values` that nothing reads. Empty if the file accepts unknown members.
    pub unknown_values: Vec<String>,
}

impl ContextSpec {
    /// Errors of the context at `path` with which every process refuses to start.
    pub(super) fn start_errors(&self, path: &str) -> Vec<ValidationIssue> {
        let issue = |path: String, code, message: String| ValidationIssue { path, code, message };
        match self.provider {
            ContextProvider::Environment | ContextProvider::StaticDev => Vec::new(),
            // A misspelled member may be meant to restrict the accepted tokens.
            ContextProvider::HttpClaims if self.token.is_some() => self
                .unknown_values
                .iter()
                .map(|key| member(&format!("{path}.values"), key))
                .map(|path| issue(path, ErrorCode::UnknownContextValue, unknown_value(self.provider)))
                .collect(),
            ContextProvider::HttpClaims => vec![issue(
                format!("{path}.values"),
                ErrorCode::HttpClaimsIncomplete,
                token::INCOMPLETE.to_owned(),
            )],
            ContextProvider::CloudSession => vec![issue(
                format!("{path}.provider"),
                ErrorCode::TrustedContextUnsupported,
                "Choose provider `environment` or `http_claims`; this one is not available here.".to_owned(),
            )],
        }
    }
}

/// Reference from a capability to a context of the file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ContextName {
    /// The object `trusted_context`.
    Global,
    /// A member of `contexts`.
    Named(String),
}

pub(super) fn read_global(root: &ObjectReader<'_>, report: &mut ValidationReport) -> Option<ContextSpec> {
    read(root.get("trusted_context")?, &root.at("trusted_context"), report)
}

pub(super) fn read_named(
    root: &ObjectReader<'_>,
    report: &mut ValidationReport,
) -> Vec<(String, ContextSpec)> {
    let Some(node) = root.get("contexts") else {
        return Vec::new();
    };
    let path = root.at("contexts");
    let JsonNode::Map(entries) = node else {
        report.error(
            path,
            ErrorCode::ContextsNotObject,
            "Make `contexts` an object with at least one named context.",
        );
        return Vec::new();
    };
    if is_empty(node) {
        report.error(
            &path,
            ErrorCode::ContextsNotObject,
            "Add a named context, or remove `contexts`.",
        );
    }
    let mut contexts = Vec::with_capacity(entries.len());
    for (name, node) in entries {
        let path = member(&path, name);
        if !is_safe_name(name) {
            let message =
                "Rename the context: a letter or `_` first, then letters, digits, `_`, `.` and `-`.";
            report.error(&path, ErrorCode::InvalidContextName, message);
        }
        contexts.extend(read(node, &path, report).map(|spec| (name.clone(), spec)));
    }
    contexts
}

/// Returns the members of `values` that contexts of this provider may have.
fn known_values(provider: ContextProvider) -> Vec<&'static str> {
    let is_known = |key: &&str| {
        provider != ContextProvider::HttpClaims || !fields::CONTEXT_VALUES_WITHOUT_TOKEN.contains(key)
    };
    fields::CONTEXT_VALUES.iter().copied().filter(is_known).collect()
}

/// Returns the fix for a member of `values` that nothing reads.
fn unknown_value(provider: ContextProvider) -> String {
    format!(
        "Correct or remove this member, which has no effect; known members are {}.",
        known_values(provider).join(", ")
    )
}

fn read(node: &JsonNode, path: &str, report: &mut ValidationReport) -> Option<ContextSpec> {
    let Some(context) = ObjectReader::of(node, path) else {
        report.error(
            path,
            ErrorCode::TrustedContextNotObject,
            "Make the context an object with `provider`.",
        );
        return None;
    };
    context.only(fields::CONTEXT, report);
    let provider = context.required_choice(
        "provider",
        ContextProvider::WORDS,
        ErrorCode::InvalidContextProvider,
        report,
    );
    if provider == Some(ContextProvider::StaticDev) {
        let message = "Everybody gets the same tenant and principal; use `environment` outside development.";
        report.warn(context.at("provider"), ErrorCode::StaticDevContext, message);
    }
    let values = context.object("values", ErrorCode::ContextValuesNotObject, report);
    let mut spec = ContextSpec {
        provider: provider.unwrap_or(ContextProvider::Environment),
        tenant_id_env: None,
        principal_env: None,
        tenant_id: None,
        principal: None,
        token: None,
        unknown_values: Vec::new(),
    };
    if let Some(values) = values {
        let known = known_values(spec.provider);
        for (key, _) in values.entries() {
            if !known.contains(&key.as_str()) {
                let message = unknown_value(spec.provider);
                report.warn(values.at(key), ErrorCode::UnknownContextValue, message);
                spec.unknown_values.push(key.clone());
            }
        }
        spec.tenant_id_env = values.env_name("tenant_id_env", ErrorCode::InvalidContextValue, report);
        spec.principal_env = values.env_name("principal_env", ErrorCode::InvalidContextValue, report);
        spec.tenant_id = values.text("tenant_id", ErrorCode::InvalidContextValue, report);
        spec.principal = values.text("principal", ErrorCode::InvalidContextValue, report);
        spec.token = token::read(&values, report);
    }
    if spec.provider == ContextProvider::HttpClaims && spec.token.is_none() {
        report.warn(
            context.at("values"),
            ErrorCode::HttpClaimsIncomplete,
            token::INCOMPLETE,
        );
    }
    provider.map(|_| spec)
}
