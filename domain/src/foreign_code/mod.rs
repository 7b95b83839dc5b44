//! Code of the table owner that the database runs when the protocol writes one row: triggers, rules, policies,
//! checks, computed columns and the like. It is refused unless an engine recognizes one closed, harmless form,
//! or the contract acknowledges exactly this definition in `side_effects_ack`.
//!
//! Not part of a table's schema fingerprint: the stored fingerprints of 0.1.x tables stay unchanged.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use synapsor_codes::ErrorCode;

use crate::canonical;
use crate::contract::SideEffectAck;
use crate::digest::Digest;
use crate::error::PublicError;

/// Payload type under which definitions are digested.
const PAYLOAD_TYPE: &str = "application/vnd.synapsor.foreign-code.v1+json";

/// Attachment point of foreign code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ForeignCodeKind {
    Trigger,
    /// A trigger that an extension created and the database lists as internal.
    InternalTrigger,
    Rule,
    Policy,
    Check,
    DomainCheck,
    GeneratedColumn,
    /// An expression or the predicate of an index.
    IndexExpression,
    /// An expression of extended statistics.
    Statistics,
    Default,
    ForeignKeyAction,
    /// A data type whose input, output or comparison is not built into the server.
    DataType,
    Collation,
}

impl ForeignCodeKind {
    /// Returns the kind in words, for example `check constraint`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::InternalTrigger => "internal trigger",
            Self::Rule => "rule",
            Self::Policy => "policy",
            Self::Check => "check constraint",
            Self::DomainCheck => "domain check",
            Self::GeneratedColumn => "generated column",
            Self::IndexExpression => "index expression",
            Self::Statistics => "statistics expression",
            Self::Default => "column default",
            Self::ForeignKeyAction => "foreign key action",
            Self::DataType => "data type",
            Self::Collation => "collation",
        }
    }
}

impl fmt::Display for ForeignCodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a piece of foreign code can be admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CodeForm {
    /// Has the one closed form that the engine proves harmless; admitted without an acknowledgement.
    Closed,
    /// Admitted when the contract acknowledges it.
    Acknowledgeable,
    /// Never admitted; the reason completes the sentence "cannot be acknowledged because it ...".
    Never(&'static str),
}

/// One piece of foreign code on a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignCode {
    pub kind: ForeignCodeKind,
    pub name: String,
    /// Covers kind, name and the whole definition with everything that changes its meaning.
    pub digest: Digest,
    /// Functions that it calls directly, as the engine names them; sorted, without duplicates.
    pub functions: Vec<String>,
    pub form: CodeForm,
    /// Whether the database reports each error of it with a context. Errors of other code look like those of the
    /// statement itself.
    pub has_error_context: bool,
}

impl ForeignCode {
    /// Creates a piece of code with its digest. `definition` names each part that decides what runs: the text of
    /// the definition, function bodies, their owners, settings, the saved SQL mode.
    pub fn new(
        kind: ForeignCodeKind,
        name: impl Into<String>,
        definition: &BTreeMap<&str, String>,
        mut functions: Vec<String>,
        form: CodeForm,
    ) -> Self {
        let name = name.into();
        functions.sort();
        functions.dedup();
        let digested = Digested {
            kind: kind.as_str(),
            name: &name,
            definition,
        };
        let bytes = canonical::encode_within(&digested, usize::MAX)
            .expect("a definition is two levels deep and has no numbers");
        Self {
            kind,
            digest: Digest::of_typed(PAYLOAD_TYPE, &bytes),
            name,
            functions,
            form,
            has_error_context: false,
        }
    }

    /// Sets whether the database reports each error of it with a context.
    #[must_use]
    pub fn with_error_context(mut self, has_error_context: bool) -> Self {
        self.has_error_context = has_error_context;
        self
    }

    /// Returns whether the entry acknowledges exactly this definition.
    pub fn is_acknowledged_by(&self, ack: &SideEffectAck) -> bool {
        ack.name == self.name && ack.digest == self.digest && ack.functions == self.functions
    }

    /// Returns the `side_effects_ack` entry that acknowledges this definition, as indented JSON. The owner adds
    /// the tables that it may write.
    pub fn ack_entry(&self) -> String {
        let entry = SideEffectAck {
            name: self.name.clone(),
            digest: self.digest,
            functions: self.functions.clone(),
            writes: Vec::new(),
        };
        serde_json::to_string_pretty(&entry).expect("an entry has strings and lists only")
    }
}

#[derive(Serialize)]
struct Digested<'a> {
    kind: &'static str,
    name: &'a str,
    definition: &'a BTreeMap<&'a str, String>,
}

/// Mismatch between the code of a table and the acknowledgements of a contract. Each holds one sentence that
/// names the kind, the name and the fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unacknowledged {
    /// The contract has no entry for the code, or one for another definition.
    Missing(String),
    /// No contract can acknowledge the code.
    Never(String),
    /// An entry of the contract matches nothing on the table.
    Stale(String),
}

impl Unacknowledged {
    /// Returns the code for the reader and for findings.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Missing(_) => ErrorCode::SideEffectNotAcknowledged,
            Self::Never(_) => ErrorCode::SideEffectNotAcknowledgeable,
            Self::Stale(_) => ErrorCode::SideEffectAckStale,
        }
    }

    /// Returns the code for a writer attempt.
    pub const fn attempt_code(&self) -> ErrorCode {
        match self {
            Self::Missing(_) => ErrorCode::RefusedSideEffectNotAcknowledged,
            Self::Never(_) => ErrorCode::RefusedSideEffectNotAcknowledgeable,
            Self::Stale(_) => ErrorCode::RefusedSideEffectAckStale,
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Self::Missing(text) | Self::Never(text) | Self::Stale(text) => text,
        }
    }
}

impl From<Unacknowledged> for PublicError {
    fn from(problem: Unacknowledged) -> Self {
        Self::new(problem.code(), problem.text())
    }
}

/// Limits on what acknowledged code may do to other rows; the writer enforces them inside its transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acknowledged {
    code: Vec<ForeignCode>,
    entries: Vec<SideEffectAck>,
    rows: BTreeMap<String, u32>,
}

impl Acknowledged {
    /// Matches the code of a table with the entries of a contract. The error is the first of [`problems`].
    pub fn acknowledge(code: &[ForeignCode], entries: &[SideEffectAck]) -> Result<Self, Unacknowledged> {
        if let Some((_, problem)) = problems(code, entries).into_iter().next() {
            return Err(problem);
        }
        let mut rows = BTreeMap::new();
        for write in entries.iter().flat_map(|entry| &entry.writes) {
            *rows.entry(write.table.clone()).or_default() += write.rows;
        }
        Ok(Self {
            code: code.to_vec(),
            entries: entries.to_vec(),
            rows,
        })
    }

    /// Returns whether no code outside the closed form runs: only the target row may change.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the checked code, closed forms included; the code found in the transaction must equal it.
    pub fn code(&self) -> &[ForeignCode] {
        &self.code
    }

    /// Returns the acknowledged code whose errors look like those of the statement itself.
    pub fn without_error_context(&self) -> impl Iterator<Item = &ForeignCode> {
        self.code
            .iter()
            .filter(|one| one.form == CodeForm::Acknowledgeable && !one.has_error_context)
    }

    /// Returns tables, each as `schema.table`, with the number of rows that may be written there besides the
    /// target row.
    pub fn writes(&self) -> impl Iterator<Item = (&str, u32)> {
        self.rows.iter().map(|(table, rows)| (table.as_str(), *rows))
    }

    /// Returns the number of rows that may be written in one table besides the target row.
    pub fn rows(&self, schema: &str, table: &str) -> u32 {
        let name = format!("{schema}.{table}");
        self.rows.get(&name).copied().unwrap_or_default()
    }

    /// Returns the number of rows that may be written in all tables together besides the target row.
    pub fn rows_total(&self) -> u64 {
        self.rows.values().map(|rows| u64::from(*rows)).sum()
    }

    /// Returns one line per entry, for the approver.
    pub fn side_effects(&self) -> Vec<String> {
        let line = |entry: &SideEffectAck| {
            let kind = self.code.iter().find(|one| one.is_acknowledged_by(entry));
            let kind = kind.map_or("code", |one| one.kind.as_str());
            let writes: Vec<String> = entry.writes.iter().map(ToString::to_string).collect();
            let writes = if writes.is_empty() {
                "nothing else".to_owned()
            } else {
                writes.join(", ")
            };
            format!(
                "acknowledged {kind} {} ({}): may write {writes}",
                entry.name, entry.digest
            )
        };
        self.entries.iter().map(line).collect()
    }
}

/// Returns every mismatch between the code of a table and the entries of a contract, with the code concerned.
pub fn problems<'a>(
    code: &'a [ForeignCode],
    entries: &[SideEffectAck],
) -> Vec<(Option<&'a ForeignCode>, Unacknowledged)> {
    let is_acknowledged = |one: &ForeignCode| entries.iter().any(|entry| one.is_acknowledged_by(entry));
    let of_code = code.iter().filter_map(|one| match one.form {
        CodeForm::Never(reason) => Some((Some(one), never(one, reason))),
        CodeForm::Acknowledgeable if !is_acknowledged(one) => Some((Some(one), missing(one, entries))),
        CodeForm::Acknowledgeable | CodeForm::Closed => None,
    });
    let is_matched = |entry: &SideEffectAck| {
        code.iter()
            .any(|one| one.form == CodeForm::Acknowledgeable && one.is_acknowledged_by(entry))
    };
    let of_entries = entries.iter().filter(|entry| !is_matched(entry));
    of_code
        .chain(of_entries.map(|entry| (None, stale(entry))))
        .collect()
}

fn never(code: &ForeignCode, reason: &str) -> Unacknowledged {
    let ForeignCode { kind, name, .. } = code;
    Unacknowledged::Never(format!(
        "{kind} `{name}` of the table cannot be acknowledged because it {reason}; remove it, or use a handler \
         for the proposal."
    ))
}

fn missing(code: &ForeignCode, entries: &[SideEffectAck]) -> Unacknowledged {
    let ForeignCode { kind, name, .. } = code;
    let what = if entries.iter().any(|entry| entry.name == *name) {
        "differs from the definition that the contract acknowledges"
    } else {
        "is not acknowledged by the contract"
    };
    Unacknowledged::Missing(format!(
        "{kind} `{name}` of the table {what}: review it, then add to `side_effects_ack` the entry that `writeback \
         doctor --check-db` prints."
    ))
}

fn stale(entry: &SideEffectAck) -> Unacknowledged {
    Unacknowledged::Stale(format!(
        "`side_effects_ack` acknowledges `{}` ({}), which the table does not have: remove the entry, or replace it \
         with what `writeback doctor --check-db` prints.",
        entry.name, entry.digest
    ))
}

#[cfg(test)]
mod tests;
