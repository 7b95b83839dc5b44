//! Proposal part of a capability: the patch, its guards, approval and executor.

use super::approval::ApprovalSpec;
use super::argument::{Scalar, read_range};
use super::capability::{References, is_direct, names_argument};
use super::executor::DIRECT;
use super::names::{NAME_A_COLUMN, is_identifier};
use super::object::ObjectReader;
use super::report::ValidationReport;
use super::side_effects_ack::{self, SideEffectAck};
use super::source::is_empty;
use super::transition::Transition;
use super::{ConflictGuard, Mode, approval, conflict_guard, transition};
use super::{fields, key};
use crate::decimal::Decimal;
use crate::json::JsonNode;
use synapsor_codes::ErrorCode;

/// Source of a column's new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatchBinding {
    /// Always this value.
    Fixed(Scalar),
    /// The value of an argument.
    Arg {
        name: String,
        /// What an absent optional argument means, if the file says so.
        when_absent: Option<WhenAbsent>,
    },
}

/// Meaning of an optional argument that a call leaves out, for the column that it sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenAbsent {
    /// The column keeps its value.
    Keep,
    /// The column becomes null, as in 0.1.x.
    Null,
}

impl WhenAbsent {
    const WORDS: &[(&str, Self)] = &[("keep", Self::Keep), ("null", Self::Null)];
}

impl PatchBinding {
    /// Whether the column stays as it is when the argument is absent.
    pub const fn keeps_when_absent(&self) -> bool {
        matches!(
            self,
            Self::Arg {
                when_absent: Some(WhenAbsent::Keep),
                ..
            }
        )
    }
}

/// Inclusive bounds of a patched column; at least one is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumericBound {
    pub column: String,
    pub minimum: Option<Decimal>,
    pub maximum: Option<Decimal>,
}

/// Executor of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecutorRef {
    /// The writer's own guarded update.
    Direct,
    /// A handler of the application, by its name in `executors`.
    Handler(String),
}

/// The part of a capability that only proposals have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProposalSpec {
    pub patch: Vec<(String, PatchBinding)>,
    pub allowed_columns: Vec<String>,
    pub bounds: Vec<NumericBound>,
    pub transitions: Vec<Transition>,
    pub conflict_guard: ConflictGuard,
    pub approval: ApprovalSpec,
    /// Columns that the database itself changes; never patched.
    pub db_managed: Vec<String>,
    pub executor: ExecutorRef,
    /// Code on the target table that was reviewed, with what it may write; empty for tables without any.
    pub side_effects_ack: Vec<SideEffectAck>,
}

pub(super) fn read(
    capability: &ObjectReader<'_>,
    references: &References<'_>,
    report: &mut ValidationReport,
) -> Option<ProposalSpec> {
    let patch = read_patch(capability, report);
    let codes = (ErrorCode::AllowedColumnsRequired, ErrorCode::InvalidAllowedColumn);
    let allowed_columns = capability.identifiers("allowed_columns", codes, report);
    check_columns(capability, &allowed_columns, report);
    let bounds = read_bounds(capability, &patch, report);
    let transitions = transition::read_all(capability, &patch, report);
    let conflict_guard = conflict_guard::read(capability, references, report);
    let approval = approval::read(capability, report);
    let db_managed = read_db_managed(capability, &allowed_columns, report);
    let executor = read_executor(capability, references, report);
    let is_direct = !matches!(executor, Some(ExecutorRef::Handler(_)));
    let side_effects_ack = side_effects_ack::read_all(capability, is_direct, report);
    Some(ProposalSpec {
        patch,
        allowed_columns,
        bounds,
        transitions,
        conflict_guard: conflict_guard?,
        approval,
        db_managed,
        executor: executor?,
        side_effects_ack,
    })
}

fn read_patch(capability: &ObjectReader<'_>, report: &mut ValidationReport) -> Vec<(String, PatchBinding)> {
    let patch = capability.get("patch").filter(|node| !is_empty(node));
    let Some(patch) = patch.and_then(|node| ObjectReader::of(node, capability.at("patch"))) else {
        let message = "Add `patch`, an object that binds at least one column to `fixed` or `from_arg`.";
        report.error(capability.at("patch"), ErrorCode::PatchRequired, message);
        return Vec::new();
    };
    let mut bindings = Vec::new();
    for (column, node) in patch.entries() {
        let path = patch.at(column);
        if !is_identifier(column) {
            report.error(&path, ErrorCode::InvalidPatchColumn, NAME_A_COLUMN);
        }
        let Some(binding) = ObjectReader::of(node, &path) else {
            let message = "Make this an object with `fixed` or `from_arg`.";
            report.error(path, ErrorCode::PatchBindingNotObject, message);
            continue;
        };
        bindings.extend(read_binding(capability, &binding, report).map(|binding| (column.clone(), binding)));
    }
    bindings
}

fn read_binding(
    capability: &ObjectReader<'_>,
    binding: &ObjectReader<'_>,
    report: &mut ValidationReport,
) -> Option<PatchBinding> {
    binding.only(fields::BINDING, report);
    let when_absent = binding.choice(
        "when_absent",
        WhenAbsent::WORDS,
        ErrorCode::InvalidWhenAbsent,
        report,
    );
    match (binding.get("fixed"), binding.get("from_arg")) {
        (Some(_), None) if binding.has("when_absent") => {
            let message = "Remove `when_absent`: a fixed value is always set.";
            report.error(binding.at("when_absent"), ErrorCode::InvalidWhenAbsent, message);
            None
        }
        (Some(node), None) => match Scalar::of(node) {
            Some(scalar) => Some(PatchBinding::Fixed(scalar)),
            None => {
                let message = "Make `fixed` a text, a boolean, null, or a number of at most 128 digits.";
                report.error(binding.at("fixed"), ErrorCode::InvalidPatchBinding, message);
                None
            }
        },
        (None, Some(_)) => {
            let name = binding.text("from_arg", ErrorCode::InvalidPatchArg, report)?;
            if !names_argument(capability, &name) {
                let message =
                    format!("Make `from_arg` one of the names in `args`; `{name}` is none of them.");
                report.error(binding.at("from_arg"), ErrorCode::UnknownPatchArg, message);
            }
            if !binding.has("when_absent") && may_be_absent(capability, &name) {
                let message = format!(
                    "Add `when_absent`: `keep` leaves the column as it is when `{name}` is left out, `null` empties \
                     it, which is what happens without this member."
                );
                report.warn(&binding.path, ErrorCode::WhenAbsentMissing, message);
            }
            Some(PatchBinding::Arg { name, when_absent })
        }
        (None, None) | (Some(_), Some(_)) => {
            let message = "Give exactly one of `fixed` and `from_arg`.";
            report.error(&binding.path, ErrorCode::InvalidPatchBinding, message);
            None
        }
    }
}

/// True if a call may leave the argument out: it is optional, and does not identify the row.
fn may_be_absent(capability: &ObjectReader<'_>, name: &str) -> bool {
    let is_optional = capability
        .get("args")
        .and_then(|node| ObjectReader::of(node, ""))
        .and_then(|args| ObjectReader::of(args.get(name)?, ""))
        .is_some_and(|arg| arg.get("required") == Some(&JsonNode::Bool(false)));
    is_optional && !key::is_key_argument(capability, name)
}

/// Columns of the file's patch, whether or not their bindings are well formed.
pub(super) fn patches(capability: &ObjectReader<'_>, column: &str) -> bool {
    matches!(capability.get("patch"), Some(JsonNode::Map(entries)) if entries.iter().any(|(key, _)| key == column))
}

/// True if the list under `key` has the column.
pub(super) fn lists(capability: &ObjectReader<'_>, key: &str, column: &str) -> bool {
    matches!(capability.get(key), Some(JsonNode::List(items))
        if items.iter().any(|item| matches!(item, JsonNode::Text(text) if text == column)))
}

/// True if `object.key` is this column, or a list with it.
pub(super) fn names(capability: &ObjectReader<'_>, object: &str, key: &str, column: &str) -> bool {
    let object = capability.get(object).and_then(|node| ObjectReader::of(node, ""));
    let is_it = |node: &JsonNode| matches!(node, JsonNode::Text(text) if text == column);
    object.is_some_and(|object| match object.get(key) {
        Some(JsonNode::List(items)) => items.iter().any(is_it),
        node => node.is_some_and(is_it),
    })
}

/// True if the column is visible, a key or the guard: the columns of every read.
pub(super) fn is_read(capability: &ObjectReader<'_>, column: &str) -> bool {
    lists(capability, "visible_columns", column)
        || names(capability, "target", "primary_key", column)
        || names(capability, "target", "tenant_key", column)
        || names(capability, "conflict_guard", "column", column)
}

fn check_columns(capability: &ObjectReader<'_>, allowed: &[String], report: &mut ValidationReport) {
    let Some(patch) = capability
        .get("patch")
        .and_then(|node| ObjectReader::of(node, capability.at("patch")))
    else {
        return;
    };
    for (column, _) in patch.entries() {
        if !allowed.is_empty() && !allowed.contains(column) {
            let message = format!("Add `{column}` to `allowed_columns`, or remove it from `patch`.");
            report.error(patch.at(column), ErrorCode::PatchColumnNotAllowed, message);
        }
        if is_identifier(column) && !is_read(capability, column) {
            let message = format!("Add `{column}` to `visible_columns`, so that results show its old value.");
            report.warn(patch.at(column), ErrorCode::PatchColumnNotVisible, message);
        }
    }
    for (index, column) in allowed.iter().enumerate() {
        for key in ["primary_key", "tenant_key"] {
            if names(capability, "target", key, column) {
                let path = format!("{}[{index}]", capability.at("allowed_columns"));
                let message =
                    format!("Remove `{column}`: it is the target's `{key}`, which no proposal may change.");
                report.error(path, ErrorCode::KeyColumnAllowed, message);
            }
        }
    }
}

fn read_bounds(
    capability: &ObjectReader<'_>,
    patch: &[(String, PatchBinding)],
    report: &mut ValidationReport,
) -> Vec<NumericBound> {
    let Some(map) = capability.object("numeric_bounds", ErrorCode::NumericBoundsNotObject, report) else {
        return Vec::new();
    };
    let mut bounds = Vec::new();
    for (column, node) in map.entries() {
        let path = map.at(column);
        if !is_identifier(column) {
            report.error(&path, ErrorCode::InvalidNumericBoundColumn, NAME_A_COLUMN);
        } else if !patches(capability, column) {
            let message = format!("Add `{column}` to `patch`, or remove its bound.");
            report.error(&path, ErrorCode::NumericBoundPatchColumnRequired, message);
        }
        let Some(object) = ObjectReader::of(node, &path) else {
            let message = "Make the bound an object with `minimum`, `maximum` or both.";
            report.error(path, ErrorCode::NumericBoundNotObject, message);
            continue;
        };
        object.only(fields::BOUND, report);
        if !object.has("minimum") && !object.has("maximum") {
            report.error(
                path,
                ErrorCode::NumericBoundEmpty,
                "Add `minimum`, `maximum` or both, or remove the bound.",
            );
            continue;
        }
        let (minimum, maximum) = read_range(&object, report);
        let bound = NumericBound {
            column: column.clone(),
            minimum,
            maximum,
        };
        check_fixed_bound(capability, patch, &bound, report);
        bounds.push(bound);
    }
    bounds
}

fn check_fixed_bound(
    capability: &ObjectReader<'_>,
    patch: &[(String, PatchBinding)],
    bound: &NumericBound,
    report: &mut ValidationReport,
) {
    let binding = patch
        .iter()
        .find(|(column, _)| *column == bound.column)
        .map(|(_, binding)| binding);
    let Some(PatchBinding::Fixed(fixed)) = binding else {
        return;
    };
    let is_within = match fixed {
        Scalar::Number(number) => {
            bound.minimum.as_ref().is_none_or(|minimum| number >= minimum)
                && bound.maximum.as_ref().is_none_or(|maximum| number <= maximum)
        }
        Scalar::Null | Scalar::Bool(_) | Scalar::Text(_) => false,
    };
    if !is_within {
        let path = format!("{}.{}.fixed", capability.at("patch"), bound.column);
        let message = "Make the fixed value a number within `numeric_bounds` of its column: every call would be refused.";
        report.error(path, ErrorCode::FixedValueOutOfBounds, message);
    }
}

fn read_db_managed(
    capability: &ObjectReader<'_>,
    allowed: &[String],
    report: &mut ValidationReport,
) -> Vec<String> {
    if !capability.has("db_managed") {
        return Vec::new();
    }
    let columns = capability.identifiers(
        "db_managed",
        (ErrorCode::InvalidDbManaged, ErrorCode::InvalidDbManaged),
        report,
    );
    for (index, column) in columns.iter().enumerate() {
        if patches(capability, column) || allowed.contains(column) {
            let path = format!("{}[{index}]", capability.at("db_managed"));
            let message = format!("Remove `{column}` here, or from `patch` and `allowed_columns`.");
            report.error(path, ErrorCode::DbManagedColumnPatched, message);
        }
    }
    columns
}

fn read_executor(
    capability: &ObjectReader<'_>,
    references: &References<'_>,
    report: &mut ValidationReport,
) -> Option<ExecutorRef> {
    let executor = match capability.get("executor") {
        None => ExecutorRef::Direct,
        Some(JsonNode::Text(name)) if name == DIRECT || is_direct(references.executors, name) => {
            ExecutorRef::Direct
        }
        Some(JsonNode::Text(name)) if references.names("executors", name) => {
            ExecutorRef::Handler(name.clone())
        }
        Some(JsonNode::Text(_)) => {
            let message = "Make `executor` the name of a member of `executors`, or `sql_update`.";
            report.error(capability.at("executor"), ErrorCode::UnknownExecutor, message);
            return None;
        }
        Some(_) => {
            let message = "Make `executor` a text: the name of a member of `executors`, or `sql_update`.";
            report.error(
                capability.at("executor"),
                ErrorCode::InvalidExecutorReference,
                message,
            );
            return None;
        }
    };
    if executor == ExecutorRef::Direct && references.mode == Some(Mode::Review) {
        check_direct(capability, references, report);
    }
    Some(executor)
}

/// Direct writeback needs a source that may be written and a row that is bound to a tenant.
fn check_direct(capability: &ObjectReader<'_>, references: &References<'_>, report: &mut ValidationReport) {
    let target = capability
        .get("target")
        .and_then(|node| ObjectReader::of(node, capability.at("target")));
    if let Some(target) =
        target.filter(|target| target.get("single_tenant_dev") == Some(&JsonNode::Bool(true)))
    {
        let message = "Give the target a `tenant_key`, or let a handler carry the proposal out: direct writeback \
                       never changes a row that is not bound to a tenant.";
        report.error(
            target.at("single_tenant_dev"),
            ErrorCode::SingleTenantDevDirectWriteback,
            message,
        );
    }
    let source = references
        .sources
        .iter()
        .find(|source| names_source(capability, &source.name));
    let Some(source) = source else { return };
    if source.is_read_only {
        let message = "Name a handler as `executor`, or remove `read_only` from the source.";
        report.error(
            capability.at("executor"),
            ErrorCode::ReadOnlySourceDirectWriteback,
            message,
        );
    }
    let path = format!("$.sources.{}.write_url_env", source.name);
    if source.write_url_env.is_none() && !report.warnings.iter().any(|warning| warning.path == path) {
        let message = "Add `write_url_env`: until then proposals can be approved but not applied.";
        report.warn(path, ErrorCode::WritebackDisabled, message);
    }
}

pub(super) fn names_source(capability: &ObjectReader<'_>, name: &str) -> bool {
    matches!(capability.get("source"), Some(JsonNode::Text(source)) if source == name)
}
