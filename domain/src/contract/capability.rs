//! Capabilities: the reviewed reads and proposals that become tools. What only proposals have is `proposal`.

use super::argument::{self, Arg};
use super::binding::ContextName;
use super::executor::{ExecutorKind, ExecutorSpec};
use super::fields;
use super::key::{self, KeyColumn, KeyValue};
use super::names::{is_identifier, is_qualified_name, is_secret_like};
use super::object::ObjectReader;
use super::proposal::{self, PatchBinding, ProposalSpec};
use super::report::ValidationReport;
use super::source::{EngineKind, Source, is_empty};
use super::{ColumnCut, Mode, conflict_guard, cut};
use crate::json::JsonNode;
use crate::tool::RESERVED_PREFIX;
use synapsor_codes::ErrorCode;

/// Kind of capability.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one per capability of a contract")]
pub enum CapabilityKind {
    Read,
    Proposal(ProposalSpec),
}

impl CapabilityKind {
    pub const fn tool(&self) -> ToolKind {
        match self {
            CapabilityKind::Read => ToolKind::Read,
            CapabilityKind::Proposal(_) => ToolKind::Proposal,
        }
    }
}

/// What a tool does, without the terms of its proposals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolKind {
    Read,
    Proposal,
}

impl ToolKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            ToolKind::Read => "read",
            ToolKind::Proposal => "proposal",
        }
    }
}

/// Table that holds the one row of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CapabilityTarget {
    pub schema: String,
    pub table: String,
    /// Columns that together identify the row, in the order of the file; at least one.
    pub keys: Vec<KeyColumn>,
    /// None only for a single-tenant development target.
    pub tenant_key: Option<String>,
    pub is_single_tenant_dev: bool,
}

impl CapabilityTarget {
    /// Names of the key columns.
    pub fn key_columns(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.column.as_str())
    }

    /// Names of the arguments that identify the row.
    pub fn key_arguments(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter_map(|key| match &key.value {
            KeyValue::Argument(name) => Some(name.as_str()),
            KeyValue::Tenant => None,
        })
    }
}

/// One reviewed tool.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capability {
    pub name: String,
    pub kind: CapabilityKind,
    pub description: Option<String>,
    pub returns_hint: Option<String>,
    pub source: String,
    pub context: ContextName,
    pub target: CapabilityTarget,
    /// In the order of the file.
    pub args: Vec<Arg>,
    pub visible_columns: Vec<String>,
    /// Visible columns of which a result shows a part.
    pub cuts: Vec<ColumnCut>,
    pub max_rows: u32,
}

impl Capability {
    pub const fn proposal(&self) -> Option<&ProposalSpec> {
        match &self.kind {
            CapabilityKind::Proposal(spec) => Some(spec),
            CapabilityKind::Read => None,
        }
    }

    pub fn arg(&self, name: &str) -> Option<&Arg> {
        self.args.iter().find(|arg| arg.name == name)
    }

    /// True if a call without this argument is refused.
    pub fn requires(&self, arg: &Arg) -> bool {
        arg.is_required || self.target.key_arguments().any(|name| name == arg.name)
    }

    /// Returns how many characters of this column a result shows; `None` for all.
    pub fn max_chars(&self, column: &str) -> Option<u32> {
        let cut = self.cuts.iter().find(|cut| cut.column == column);
        cut.map(|cut| cut.max_chars)
    }

    /// True if a call can leave the column of this binding as it is.
    pub fn may_keep(&self, binding: &PatchBinding) -> bool {
        binding.keeps_when_absent() && self.is_optional(binding)
    }

    /// True if a call can empty the column of this binding by leaving the argument out.
    pub fn may_empty(&self, binding: &PatchBinding) -> bool {
        !binding.keeps_when_absent() && self.is_optional(binding)
    }

    fn is_optional(&self, binding: &PatchBinding) -> bool {
        let PatchBinding::Arg { name, .. } = binding else {
            return false;
        };
        self.arg(name).is_some_and(|arg| !self.requires(arg))
    }

    /// Every column that is read: visible ones, then primary key, tenant key, guard column and patched
    /// columns, each once. Hidden columns are for the approver and the writer, never for the model.
    pub fn read_columns(&self) -> Vec<&str> {
        let guard = self.proposal().and_then(|spec| spec.conflict_guard.column());
        let patched = self
            .proposal()
            .into_iter()
            .flat_map(|spec| spec.patch.iter().map(|(column, _)| column.as_str()));
        let keys = (self.target.key_columns())
            .chain(self.target.tenant_key.as_deref())
            .chain(guard)
            .chain(patched);
        let mut columns = Vec::new();
        for column in self.visible_columns.iter().map(String::as_str).chain(keys) {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        columns
    }
}

/// Names that capabilities refer to. They include invalid definitions, so that a broken source is reported once.
pub(super) struct References<'a> {
    pub(super) mode: Option<Mode>,
    pub(super) root: &'a ObjectReader<'a>,
    pub(super) sources: &'a [Source],
    pub(super) executors: &'a [ExecutorSpec],
}

impl References<'_> {
    pub(super) fn names(&self, map: &str, name: &str) -> bool {
        matches!(self.root.get(map), Some(JsonNode::Map(entries)) if entries.iter().any(|(key, _)| key == name))
    }
}

pub(super) fn read_all(
    references: &References<'_>,
    is_required: bool,
    report: &mut ValidationReport,
) -> Vec<Capability> {
    let root = references.root;
    let path = root.at("capabilities");
    let Some(JsonNode::List(items)) = root.get("capabilities").filter(|node| !is_empty(node)) else {
        if is_required || root.has("capabilities") {
            let message = "Add `capabilities`, a list with at least one capability.";
            report.error(path, ErrorCode::CapabilitiesRequired, message);
        }
        return Vec::new();
    };
    let mut capabilities = Vec::with_capacity(items.len());
    let mut names: Vec<&str> = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(object) = ObjectReader::of(node, &path) else {
            report.error(
                path,
                ErrorCode::CapabilityNotObject,
                "Make the capability an object with `name` and `kind`.",
            );
            continue;
        };
        if let Some(JsonNode::Text(name)) = object.get("name") {
            if names.contains(&name.as_str()) {
                let message = "Rename one of the two capabilities: a name is a tool's name.";
                report.error(object.at("name"), ErrorCode::DuplicateCapabilityName, message);
            }
            names.push(name);
        }
        capabilities.extend(read(&object, references, report));
    }
    capabilities
}

fn read(
    capability: &ObjectReader<'_>,
    references: &References<'_>,
    report: &mut ValidationReport,
) -> Option<Capability> {
    capability.only(fields::CAPABILITY, report);
    let name = read_name(capability, report);
    let kind = capability.required_choice(
        "kind",
        &[("read", false), ("proposal", true)],
        ErrorCode::InvalidCapabilityKind,
        report,
    );
    let description = capability.text("description", ErrorCode::InvalidCapabilityDescription, report);
    let returns_hint = capability.text("returns_hint", ErrorCode::InvalidReturnsHint, report);
    let source = read_source(capability, references, report);
    let context = read_context(capability, references, report);
    let engine = source
        .as_deref()
        .and_then(|name| references.sources.iter().find(|source| source.name == name));
    let target = read_target(capability, engine.map(|source| source.engine), report);
    let args = argument::read_all(capability, report);
    let keys = key::read_lookup(
        capability,
        target.as_ref().map(|target| &*target.primary_key),
        report,
    );
    let codes = (ErrorCode::VisibleColumnsRequired, ErrorCode::InvalidVisibleColumn);
    let visible_columns = capability.identifiers("visible_columns", codes, report);
    let cuts = cut::read_all(capability, report);
    refuse_secrets(capability, report);
    conflict_guard::check_xmin(capability, references, report);
    let evidence_words = &[("required", ()), ("optional", ())];
    capability.choice("evidence", evidence_words, ErrorCode::InvalidEvidence, report);
    let max_rows = capability
        .positive("max_rows", ErrorCode::InvalidMaxRows, report)
        .unwrap_or(1);
    capability.flag(
        "single_tenant_dev_ack",
        ErrorCode::InvalidSingleTenantDevAck,
        report,
    );
    let kind = match kind {
        Some(true) => proposal::read(capability, references, report).map(CapabilityKind::Proposal),
        Some(false) => {
            warn_of_proposal_members(capability, report);
            Some(CapabilityKind::Read)
        }
        None => None,
    };
    Some(Capability {
        name: name?,
        kind: kind?,
        description,
        returns_hint,
        source: source?,
        context: context?,
        target: target?.with_keys(keys?),
        args,
        visible_columns,
        cuts,
        max_rows,
    })
}

fn read_name(capability: &ObjectReader<'_>, report: &mut ValidationReport) -> Option<String> {
    match capability.get("name") {
        Some(JsonNode::Text(name)) if name.starts_with(RESERVED_PREFIX) => {
            let message =
                format!("Rename the capability: names with `{RESERVED_PREFIX}` are for built-in tools.");
            report.error(capability.at("name"), ErrorCode::CapabilityNameReserved, message);
            None
        }
        Some(JsonNode::Text(name)) if is_qualified_name(name) => Some(name.clone()),
        _ => {
            let message = "Make `name` two identifiers joined by one dot, such as `orders.inspect_order`.";
            report.error(capability.at("name"), ErrorCode::InvalidCapabilityName, message);
            None
        }
    }
}

fn read_source(
    capability: &ObjectReader<'_>,
    references: &References<'_>,
    report: &mut ValidationReport,
) -> Option<String> {
    match capability.get("source") {
        Some(JsonNode::Text(name)) if references.names("sources", name) => Some(name.clone()),
        _ => {
            let message = "Make `source` the name of a member of `sources`.";
            report.error(capability.at("source"), ErrorCode::UnknownSource, message);
            None
        }
    }
}

fn read_context(
    capability: &ObjectReader<'_>,
    references: &References<'_>,
    report: &mut ValidationReport,
) -> Option<ContextName> {
    match capability.get("context") {
        None => Some(ContextName::Global),
        Some(JsonNode::Text(name)) if references.names("contexts", name) => {
            Some(ContextName::Named(name.clone()))
        }
        Some(_) => {
            let message =
                "Make `context` the name of a member of `contexts`, or remove it to use `trusted_context`.";
            report.error(capability.at("context"), ErrorCode::UnknownContext, message);
            None
        }
    }
}

/// `target` of the file, before `lookup` gives the key columns their values.
struct TargetTable {
    schema: String,
    table: String,
    primary_key: Vec<String>,
    tenant_key: Option<String>,
    is_single_tenant_dev: bool,
}

impl TargetTable {
    fn with_keys(self, keys: Vec<KeyColumn>) -> CapabilityTarget {
        CapabilityTarget {
            schema: self.schema,
            table: self.table,
            keys,
            tenant_key: self.tenant_key,
            is_single_tenant_dev: self.is_single_tenant_dev,
        }
    }
}

fn read_target(
    capability: &ObjectReader<'_>,
    engine: Option<EngineKind>,
    report: &mut ValidationReport,
) -> Option<TargetTable> {
    let Some(target) = capability
        .get("target")
        .and_then(|node| ObjectReader::of(node, capability.at("target")))
    else {
        let message = "Add `target`, an object with `schema`, `table`, `primary_key` and `tenant_key`.";
        report.error(capability.at("target"), ErrorCode::TargetRequired, message);
        return None;
    };
    target.only(fields::TARGET, report);
    let schema = target.identifier("schema", ErrorCode::InvalidTargetIdentifier, report);
    let table = target.identifier("table", ErrorCode::InvalidTargetIdentifier, report);
    let primary_key = key::read_columns(&target, report);
    if engine == Some(EngineKind::Sqlite) && schema.as_deref().is_some_and(|schema| schema != "main") {
        let message = "Make `schema` the word `main`: an SQLite file has no other.";
        report.error(target.at("schema"), ErrorCode::InvalidTargetSchema, message);
    }
    let single = target
        .flag("single_tenant_dev", ErrorCode::InvalidSingleTenantDev, report)
        .unwrap_or(false);
    if single {
        let message = "Rows of this target are not bound to a tenant; only for development.";
        report.warn(
            target.at("single_tenant_dev"),
            ErrorCode::SingleTenantDevException,
            message,
        );
    }
    let tenant_key = match target.get("tenant_key") {
        Some(JsonNode::Text(column)) if is_identifier(column) => Some(column.clone()),
        None if single => None,
        _ => {
            let message = "Make `tenant_key` the column that holds the tenant; without one no row can be bound to \
                           a tenant (`single_tenant_dev: true` waives that in development).";
            report.error(target.at("tenant_key"), ErrorCode::TenantGuardRequired, message);
            None
        }
    };
    Some(TargetTable {
        schema: schema?,
        table: table?,
        primary_key: primary_key?,
        tenant_key,
        is_single_tenant_dev: single,
    })
}

/// True if `args` of the file has this name, whether or not that argument is well formed.
pub(super) fn names_argument(capability: &ObjectReader<'_>, name: &str) -> bool {
    matches!(capability.get("args"), Some(JsonNode::Map(entries)) if entries.iter().any(|(key, _)| key == name))
}

/// Columns that are read or written appear in evidence and proposals, which must not contain secrets.
fn refuse_secrets(capability: &ObjectReader<'_>, report: &mut ValidationReport) {
    let mut refuse = |path: String, name: &str| {
        if is_secret_like(name) {
            let message = "Remove the column, or give it another name in a view: by its name it holds a secret, \
                           which may stand neither in evidence nor in a proposal.";
            report.error(path, ErrorCode::SecretColumnForbidden, message);
        }
    };
    if let Some(JsonNode::List(items)) = capability.get("visible_columns") {
        for (index, item) in items.iter().enumerate() {
            if let JsonNode::Text(name) = item {
                refuse(format!("{}[{index}]", capability.at("visible_columns")), name);
            }
        }
    }
    for (object, keys) in [
        ("target", ["primary_key", "tenant_key"].as_slice()),
        ("conflict_guard", &["column"]),
    ] {
        let Some(object) = capability
            .get(object)
            .and_then(|node| ObjectReader::of(node, capability.at(object)))
        else {
            continue;
        };
        for key in keys {
            match object.get(key) {
                Some(JsonNode::Text(name)) => refuse(object.at(key), name),
                Some(JsonNode::List(names)) => {
                    for (index, name) in names.iter().enumerate() {
                        if let JsonNode::Text(name) = name {
                            refuse(format!("{}[{index}]", object.at(key)), name);
                        }
                    }
                }
                _ => {}
            }
        }
    }
    if let Some(patch) = capability
        .get("patch")
        .and_then(|node| ObjectReader::of(node, capability.at("patch")))
    {
        for (name, _) in patch.entries() {
            refuse(patch.at(name), name);
        }
    }
}

fn warn_of_proposal_members(capability: &ObjectReader<'_>, report: &mut ValidationReport) {
    for key in fields::PROPOSAL_ONLY {
        if capability.has(key) {
            let message =
                format!("Remove `{key}`, or make the capability a proposal; a read does not use it.");
            report.warn(capability.at(key), ErrorCode::ProposalFieldOnRead, message);
        }
    }
}

/// True if the named executor is direct writeback under another name.
pub(super) fn is_direct(executors: &[ExecutorSpec], name: &str) -> bool {
    executors
        .iter()
        .any(|executor| executor.name == name && executor.kind == ExecutorKind::Direct)
}
