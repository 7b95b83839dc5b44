//! Conflict guard of a proposal: the column that distinguishes row versions, and which party advances it.

use serde::{Deserialize, Serialize};

use super::capability::{References, is_direct};
use super::executor::DIRECT;
use super::fields;
use super::names::is_identifier;
use super::object::ObjectReader;
use super::proposal::{lists, names, names_source, patches};
use super::report::ValidationReport;
use super::source::EngineKind;
use crate::json::JsonNode;
use synapsor_codes::ErrorCode;

/// Row version of PostgreSQL: changed by every update of the row, not listed among the table's own columns.
pub const XMIN: &str = "xmin";

/// Method by which the writer detects that the row changed after it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConflictGuard {
    /// A column that changes on every update of the row.
    Column { column: String, advance: VersionAdvance },
    /// No version column; every column that was read is compared instead.
    Weak,
}

impl ConflictGuard {
    /// The version column, if there is one.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Column { column, .. } => Some(column),
            Self::Weak => None,
        }
    }

    /// Change of the version column by the writer itself.
    pub const fn advance(&self) -> VersionAdvance {
        match self {
            Self::Column { advance, .. } => *advance,
            Self::Weak => VersionAdvance::None,
        }
    }
}

/// Change of the version column by the writer in the same UPDATE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionAdvance {
    /// None: the application or the database changes it.
    #[default]
    None,
    /// Adds one.
    Increment,
    /// Sets it to the database's own time.
    Now,
}

impl VersionAdvance {
    pub(super) const WORDS: &[(&str, VersionAdvance)] = &[
        ("none", VersionAdvance::None),
        ("increment", VersionAdvance::Increment),
        ("now", VersionAdvance::Now),
    ];

    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

pub(super) fn read(
    capability: &ObjectReader<'_>,
    references: &References<'_>,
    report: &mut ValidationReport,
) -> Option<ConflictGuard> {
    let guard = capability
        .get("conflict_guard")
        .and_then(|node| ObjectReader::of(node, capability.at("conflict_guard")));
    let Some(guard) = guard else {
        let message =
            "Add `conflict_guard`: `column` names a column that changes with every change of the row.";
        report.error(
            capability.at("conflict_guard"),
            ErrorCode::ConflictGuardRequired,
            message,
        );
        return None;
    };
    guard.only(fields::CONFLICT_GUARD, report);
    let is_weak = guard
        .flag("weak_guard_ack", ErrorCode::InvalidWeakGuardAck, report)
        .unwrap_or(false);
    let advance = guard
        .choice(
            "advance",
            VersionAdvance::WORDS,
            ErrorCode::InvalidGuardAdvance,
            report,
        )
        .unwrap_or_default();
    match guard.get("column") {
        Some(JsonNode::Text(column)) if is_identifier(column) => {
            if advance != VersionAdvance::None {
                check_advance(capability, references, (&guard, column), report);
            } else {
                warn_of_column(capability, (&guard, column), report);
            }
            let column = column.clone();
            Some(ConflictGuard::Column { column, advance })
        }
        None if is_weak => {
            if advance != VersionAdvance::None {
                let message = "Add `column`, the version column that shall advance, or remove `advance`.";
                report.error(
                    guard.at("advance"),
                    ErrorCode::GuardAdvanceColumnRequired,
                    message,
                );
            }
            warn_of_no_column(capability, &guard, engine(capability, references), report);
            Some(ConflictGuard::Weak)
        }
        _ => {
            let message = "Make `column` the name of a version column, or, if the table has none, give \
                           `weak_guard_ack: true` instead.";
            report.error(
                guard.at("column"),
                ErrorCode::ConflictGuardColumnRequired,
                message,
            );
            None
        }
    }
}

/// Without a version column only the columns that are read can reveal a change of the row.
fn warn_of_no_column(
    capability: &ObjectReader<'_>,
    guard: &ObjectReader<'_>,
    engine: Option<EngineKind>,
    report: &mut ValidationReport,
) {
    let instead = if engine == Some(EngineKind::Postgres) {
        "or `xmin`, which every table of PostgreSQL has"
    } else {
        "with `advance` if nothing else changes it"
    };
    let message = format!(
        "The guard of `{}` is weak: `weak_guard_ack` names no version column, so a change of a column that is not \
         read goes unnoticed, and so does one that was undone. Add `column`, the name of a version column, {instead}.",
        name(capability)
    );
    report.warn(&guard.path, ErrorCode::ConflictGuardWeak, message);
}

/// Finds a version column that is weak by the contract alone. Its type is known only to the database.
fn warn_of_column(
    capability: &ObjectReader<'_>,
    (guard, column): (&ObjectReader<'_>, &str),
    report: &mut ValidationReport,
) {
    let keys = ["primary_key", "tenant_key"];
    let why = match keys.iter().find(|key| names(capability, "target", key, column)) {
        Some(key) => format!("`{column}` is the target's `{key}`, which stays when the row changes"),
        None if patches(capability, column) => {
            format!(
                "`{column}` is in `patch`, and a value that proposals choose can come back to what it was"
            )
        }
        None => return,
    };
    let message = format!(
        "The guard of `{}` is weak: {why}. Make `column` a version column that changes on every update.",
        name(capability)
    );
    report.warn(guard.at("column"), ErrorCode::ConflictGuardWeak, message);
}

fn name(capability: &ObjectReader<'_>) -> String {
    match capability.get("name") {
        Some(JsonNode::Text(name)) => name.clone(),
        _ => capability.path.clone(),
    }
}

/// The writer advances the column only if nothing else does, and only for direct writeback.
fn check_advance(
    capability: &ObjectReader<'_>,
    references: &References<'_>,
    (guard, column): (&ObjectReader<'_>, &str),
    report: &mut ValidationReport,
) {
    let path = guard.at("advance");
    if column == XMIN && engine(capability, references) == Some(EngineKind::Postgres) {
        let message = "Remove `advance`: only PostgreSQL can change `xmin`.";
        report.error(&path, ErrorCode::GuardAdvanceXmin, message);
    }
    for key in ["primary_key", "tenant_key"] {
        if names(capability, "target", key, column) {
            let message =
                format!("Guard by another column: `{column}` is the target's `{key}`, which never changes.");
            report.error(&path, ErrorCode::GuardAdvanceKey, message);
        }
    }
    if patches(capability, column) || lists(capability, "allowed_columns", column) {
        let message =
            format!("Remove `{column}` from `patch` and `allowed_columns`: the writer itself advances it.");
        report.error(&path, ErrorCode::GuardAdvanceColumnPatched, message);
    }
    if lists(capability, "db_managed", column) {
        let message =
            format!("Remove `{column}` from `db_managed`, or `advance`: only one of the two moves it.");
        report.error(&path, ErrorCode::GuardAdvanceDbManaged, message);
    }
    let is_handler = matches!(capability.get("executor"), Some(JsonNode::Text(name))
        if name != DIRECT && !is_direct(references.executors, name));
    if is_handler {
        let message =
            "Remove `advance`: a handler changes the row, so the handler must change the version column.";
        report.error(path, ErrorCode::GuardAdvanceHandler, message);
    }
}

/// `xmin` exists only in PostgreSQL and is used only as a guard; in other engines it is not a version.
pub(super) fn check_xmin(
    capability: &ObjectReader<'_>,
    references: &References<'_>,
    report: &mut ValidationReport,
) {
    let Some(engine) = engine(capability, references) else {
        return;
    };
    if engine != EngineKind::Postgres {
        if names(capability, "conflict_guard", "column", XMIN) {
            let path = format!("{}.column", capability.at("conflict_guard"));
            let message = "Guard by a version column of the table: only PostgreSQL has `xmin`.";
            report.error(path, ErrorCode::XminGuardEngine, message);
        }
        return;
    }
    let mut refuse = |path: String| {
        let message =
            "Remove `xmin`: it is PostgreSQL's own row version, and serves as a guard's column only.";
        report.error(path, ErrorCode::XminNotGuard, message);
    };
    for key in ["visible_columns", "allowed_columns", "db_managed"] {
        if lists(capability, key, XMIN) {
            refuse(capability.at(key));
        }
    }
    if patches(capability, XMIN) {
        refuse(format!("{}.{XMIN}", capability.at("patch")));
    }
    for key in ["primary_key", "tenant_key"] {
        if names(capability, "target", key, XMIN) {
            refuse(format!("{}.{key}", capability.at("target")));
        }
    }
}

fn engine(capability: &ObjectReader<'_>, references: &References<'_>) -> Option<EngineKind> {
    let mut sources = references.sources.iter();
    sources
        .find(|source| names_source(capability, &source.name))
        .map(|source| source.engine)
}
