//! The contract: one JSON file of version 1 that the owner of a database reviewed.
//!
//! [`Contract::parse`] finds all errors at once and returns a typed contract only if there is none.
//! The file names environment variables and never holds a secret. Other modules read files.

mod approval;
mod argument;
mod binding;
mod capability;
mod cloud;
mod conflict_guard;
mod cut;
mod executor;
mod fields;
mod forbidden;
mod json_schema;
mod key;
mod names;
mod object;
mod proposal;
mod redaction;
mod report;
mod seal;
mod side_effects_ack;
mod source;
mod token;
mod token_profile;
mod transition;

pub use approval::{ApprovalSpec, QUORUM_MAX};
pub use argument::{Arg, ArgType, ArgumentError, Scalar};
pub use binding::{ContextName, ContextProvider, ContextSpec};
pub use capability::{Capability, CapabilityKind, CapabilityTarget, ToolKind};
pub use conflict_guard::{ConflictGuard, VersionAdvance, XMIN};
pub use cut::ColumnCut;
pub use executor::{DIRECT, ExecutorKind, ExecutorSpec, HANDLER_TIMEOUT_MS, Method};
pub use forbidden::{holds_connection_url, holds_secret};
pub use json_schema::json_schema;
pub use key::{KeyColumn, KeyValue};
pub use names::{is_env_name, is_identifier, is_qualified_name, is_secret_like, is_trust_scope_name};
pub use proposal::{ExecutorRef, NumericBound, PatchBinding, ProposalSpec, WhenAbsent};
pub use redaction::without_secrets;
pub use report::{ValidationIssue, ValidationReport};
pub(crate) use seal::OneOrMany;
pub use side_effects_ack::{
    SIDE_EFFECT_ROWS_MAX, SIDE_EFFECT_TABLES_MAX, SIDE_EFFECTS_MAX, SideEffectAck, SideEffectWrite,
};
pub use source::{EngineKind, OnFailover, Source, Ssl, SslMode};
pub use token::TokenSource;
pub use transition::Transition;

use crate::json::{self, JsonNode};
use crate::limits::FILE_BYTES_MAX;
use crate::tool;
use object::ObjectReader;
use synapsor_codes::ErrorCode;

/// Maximum nesting depth of a contract file.
const DEPTH_MAX: usize = 16;

/// Operations that the processes may perform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// No proposals.
    ReadOnly,
    /// Proposals for comparison; never written.
    Shadow,
    /// Proposals that operators approve and the writer applies.
    Review,
    /// Proposals that a hosted control plane decides. No process runs this mode.
    Cloud,
}

impl Mode {
    const WORDS: &[(&str, Mode)] = &[
        ("read_only", Mode::ReadOnly),
        ("shadow", Mode::Shadow),
        ("review", Mode::Review),
        ("cloud", Mode::Cloud),
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::ReadOnly => "read_only",
            Mode::Shadow => "shadow",
            Mode::Review => "review",
            Mode::Cloud => "cloud",
        }
    }
}

/// Format of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResultFormat {
    V1,
    V2,
}

/// A contract without errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    mode: Mode,
    result_format: Option<ResultFormat>,
    sqlite_path: Option<String>,
    sources: Vec<Source>,
    trusted_context: Option<ContextSpec>,
    contexts: Vec<(String, ContextSpec)>,
    executors: Vec<ExecutorSpec>,
    capabilities: Vec<Capability>,
}

/// A valid contract and its warnings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidContract {
    pub contract: Contract,
    pub warnings: Vec<ValidationIssue>,
}

/// Whether the file is valid for 0.1.x and asks for what does not exist here, such as a cloud session. Such a file
/// stays valid, with a warning; processes refuse it at start.
const fn is_valid_elsewhere(issue: &ValidationIssue) -> bool {
    matches!(
        issue.code,
        ErrorCode::CloudModeNotAvailable
            | ErrorCode::TrustedContextUnsupported
            | ErrorCode::HttpClaimsIncomplete
    )
}

impl Contract {
    /// Reads a contract file.
    ///
    /// # Errors
    /// The report with all errors and warnings, if there is any error.
    pub fn parse(bytes: &[u8]) -> Result<ValidContract, ValidationReport> {
        let mut report = ValidationReport::default();
        match read(bytes, &mut report) {
            Some(contract) if report.is_ok() => Ok(ValidContract {
                contract,
                warnings: report.warnings,
            }),
            _ => Err(report),
        }
    }

    /// All errors and warnings of a contract file, what known clients do not show of its tools, and what keeps processes
    /// from running it.
    pub fn check(bytes: &[u8]) -> ValidationReport {
        let mut report = ValidationReport::default();
        let Some(contract) = read(bytes, &mut report).filter(|_| report.errors.is_empty()) else {
            return report;
        };
        report.warnings.extend(tool::client_warnings(&contract));
        for issue in contract.start_errors() {
            let is_other =
                |warning: &ValidationIssue| (warning.code, &warning.path) != (issue.code, &issue.path);
            report.warnings.retain(is_other);
            if is_valid_elsewhere(&issue) {
                report.warnings.push(issue);
            } else {
                report.errors.push(issue);
            }
        }
        report
    }

    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns the result format; 1 by default.
    pub fn result_format(&self) -> ResultFormat {
        self.result_format.unwrap_or(ResultFormat::V1)
    }

    /// Returns the path of the ledger's store, if the file sets it.
    pub fn sqlite_path(&self) -> Option<&str> {
        self.sqlite_path.as_deref()
    }

    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    pub fn source(&self, name: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.name == name)
    }

    pub fn executors(&self) -> &[ExecutorSpec] {
        &self.executors
    }

    pub fn executor(&self, name: &str) -> Option<&ExecutorSpec> {
        self.executors.iter().find(|executor| executor.name == name)
    }

    /// In the order of the file.
    pub fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    pub fn capability(&self, name: &str) -> Option<&Capability> {
        self.capabilities
            .iter()
            .find(|capability| capability.name == name)
    }

    pub fn context(&self, name: &ContextName) -> Option<&ContextSpec> {
        match name {
            ContextName::Global => self.trusted_context.as_ref(),
            ContextName::Named(name) => self
                .contexts
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, spec)| spec),
        }
    }

    /// Returns the token policy of the capabilities' contexts; `None` for other providers. A contract that can be
    /// run has one policy for all of them.
    pub fn tokens(&self) -> Option<&TokenSource> {
        let of_capabilities = self.capabilities.iter().filter_map(|c| self.context(&c.context));
        of_capabilities.filter_map(ContextSpec::tokens).next()
    }

    /// Whether processes can run this contract; parsing alone accepts more.
    ///
    /// # Errors
    /// Mode `cloud`, contexts with an unsupported or incomplete provider, contexts of access tokens with a value that
    /// nothing reads, and capabilities whose callers would need different credentials.
    pub fn runnable(&self) -> Result<(), ValidationIssue> {
        self.start_errors().into_iter().next().map_or(Ok(()), Err)
    }

    /// Errors with which every process refuses to start.
    fn start_errors(&self) -> Vec<ValidationIssue> {
        let mut errors = Vec::new();
        if self.mode == Mode::Cloud {
            let message =
                "Choose mode `read_only`, `shadow` or `review`: mode `cloud` is not available here.";
            errors.push(problem("$.mode", ErrorCode::CloudModeNotAvailable, message));
        }
        let global = self
            .trusted_context
            .iter()
            .map(|spec| ("$.trusted_context".to_owned(), spec));
        let named = self
            .contexts
            .iter()
            .map(|(name, spec)| (object::member("$.contexts", name), spec));
        errors.extend(
            global
                .chain(named)
                .flat_map(|(path, spec)| spec.start_errors(&path)),
        );
        errors.extend(self.one_kind_of_caller().err());
        errors
    }

    fn accept_unknown_values(&mut self) {
        let named = self.contexts.iter_mut().map(|(_, spec)| spec);
        for spec in self.trusted_context.iter_mut().chain(named) {
            spec.unknown_values.clear();
        }
    }

    /// A gateway authenticates all callers in one way.
    fn one_kind_of_caller(&self) -> Result<(), ValidationIssue> {
        let expected = self.tokens();
        let differs = |capability: &Capability| {
            let own = self.context(&capability.context).and_then(ContextSpec::tokens);
            let comparable = |source: &TokenSource| {
                let mut source = source.clone();
                source.policy.tenant_claim.clear();
                source.policy.principal_claim.clear();
                source
            };
            own.map(comparable) != expected.map(comparable)
        };
        match self.capabilities.iter().position(differs) {
            None => Ok(()),
            Some(index) => {
                let message = "Let all capabilities have contexts of provider `http_claims` that accept the same \
                    tokens, or none; only the claims for tenant and principal may differ.";
                Err(problem(
                    &format!("$.capabilities[{index}].context"),
                    ErrorCode::ContextsMixed,
                    message,
                ))
            }
        }
    }
}

fn problem(path: &str, code: ErrorCode, message: &str) -> ValidationIssue {
    ValidationIssue {
        path: path.to_owned(),
        code,
        message: message.to_owned(),
    }
}

/// `Some` whenever enough was readable to build a contract; it counts only if the report has no error.
fn read(bytes: &[u8], report: &mut ValidationReport) -> Option<Contract> {
    if bytes.len() > FILE_BYTES_MAX {
        let message = format!(
            "Make the file smaller: it has {} bytes, at most {FILE_BYTES_MAX} are read.",
            bytes.len()
        );
        report.error("$", ErrorCode::ConfigTooLarge, message);
        return None;
    }
    let node = match json::read(bytes, DEPTH_MAX) {
        Ok(node) => node,
        Err(error) => {
            report.error(
                "$",
                ErrorCode::ConfigNotJson,
                format!("Correct the JSON: {error}."),
            );
            return None;
        }
    };
    let Some(root) = ObjectReader::of(&node, "$") else {
        let message = format!("Make the file a JSON object; it is {}.", node.type_name());
        report.error("$", ErrorCode::ConfigNotObject, message);
        return None;
    };
    let mut contract = read_root(&root, report);
    forbidden::scan(&node, report);
    if root.get("strict") == Some(&JsonNode::Bool(false)) {
        report
            .errors
            .retain(|problem| problem.code != ErrorCode::UnknownField);
        if let Some(contract) = &mut contract {
            contract.accept_unknown_values();
        }
    }
    contract
}

fn read_root(root: &ObjectReader<'_>, report: &mut ValidationReport) -> Option<Contract> {
    root.only(fields::TOP_LEVEL, report);
    root.text("$schema", ErrorCode::InvalidSchemaReference, report);
    root.flag("strict", ErrorCode::InvalidStrict, report);
    if root.get("version").and_then(object::integer) != Some(1) {
        let message = "Make `version` the number 1; no other version exists.";
        report.error(root.at("version"), ErrorCode::UnsupportedConfigVersion, message);
    }
    let mode = root.required_choice("mode", Mode::WORDS, ErrorCode::InvalidMode, report);
    let is_local = mode != Some(Mode::Cloud);
    let result_format = read_result_format(root, is_local, report);
    let sqlite_path = root
        .object("storage", ErrorCode::StorageNotObject, report)
        .and_then(|storage| {
            storage.only(fields::STORAGE, report);
            storage.text("sqlite_path", ErrorCode::InvalidSqlitePath, report)
        });
    let sources = source::read_all(root, is_local, report);
    let trusted_context = binding::read_global(root, report);
    let contexts = binding::read_named(root, report);
    let executors = executor::read_all(root, mode, report);
    let references = capability::References {
        mode,
        root,
        sources: &sources,
        executors: &executors,
    };
    let capabilities = capability::read_all(&references, is_local, report);
    require_context(root, is_local, report);
    check_cloud(root, mode, report);
    Some(Contract {
        mode: mode?,
        result_format,
        sqlite_path,
        sources,
        trusted_context,
        contexts,
        executors,
        capabilities,
    })
}

fn read_result_format(
    root: &ObjectReader<'_>,
    is_local: bool,
    report: &mut ValidationReport,
) -> Option<ResultFormat> {
    let Some(node) = root.get("result_format") else {
        if is_local {
            let message =
                "Results have format 1, as in old files; add `result_format: 2` for the current one.";
            report.warn(root.at("result_format"), ErrorCode::ResultFormatDefault, message);
        }
        return None;
    };
    match object::integer(node) {
        Some(1) => Some(ResultFormat::V1),
        Some(2) => Some(ResultFormat::V2),
        Some(_) | None => {
            report.error(
                root.at("result_format"),
                ErrorCode::InvalidResultFormat,
                "Make `result_format` 1 or 2.",
            );
            None
        }
    }
}

/// The global context may be absent only if every capability names its own context.
fn require_context(root: &ObjectReader<'_>, is_local: bool, report: &mut ValidationReport) {
    let every_capability_names_one = match root.get("capabilities") {
        Some(JsonNode::List(items)) => items
            .iter()
            .all(|item| ObjectReader::of(item, "").is_some_and(|item| item.has("context"))),
        _ => false,
    };
    let is_covered = root.has("contexts") && every_capability_names_one;
    if is_local && !root.has("trusted_context") && !is_covered {
        let message =
            "Add `trusted_context` with a `provider`, or let every capability name one of `contexts`.";
        report.error(
            root.at("trusted_context"),
            ErrorCode::TrustedContextRequired,
            message,
        );
    }
}

fn check_cloud(root: &ObjectReader<'_>, mode: Option<Mode>, report: &mut ValidationReport) {
    let cloud = root
        .get("cloud")
        .and_then(|node| ObjectReader::of(node, root.at("cloud")));
    match (mode, cloud) {
        (Some(Mode::Cloud), Some(cloud)) => cloud::check(&cloud, report),
        (Some(Mode::Cloud), None) => {
            let message = "Add `cloud`, an object with `base_url_env`, `runner_token_env` and `adapter_id`.";
            report.error(root.at("cloud"), ErrorCode::CloudConfigRequired, message);
        }
        (Some(_), _) if root.has("cloud") => {
            let message = "Remove `cloud`, or choose mode `cloud`.";
            report.error(root.at("cloud"), ErrorCode::CloudConfigOnlyForCloudMode, message);
        }
        (Some(_) | None, _) => {}
    }
}
