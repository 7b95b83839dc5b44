//! Schema catalog of one table: the columns that values must fit, and everything that could widen the effect of
//! a one-row update. Its digest is part of the proposal, so a change of the table between proposal and writeback
//! is detected.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::contract::EngineKind;
use crate::digest::Digest;
use crate::foreign_code::{ForeignCode, ForeignCodeKind};
use crate::signing::ObjectKind;

/// One table as the database's catalog describes it. Lists are in catalog order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSchema {
    pub engine: EngineKind,
    pub schema: String,
    pub table: String,
    pub columns: Vec<TableColumn>,
    pub triggers: Vec<Definition>,
    /// Rewrite rules except the rule that defines a view.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Definition>,
    /// Row security policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Definition>,
    /// Foreign keys of other tables that reference this one, with the action that a change of this row triggers.
    pub referenced_by: Vec<InboundForeignKey>,
    /// Engine-specific traits that change the meaning of a write: `strict`, `without_rowid`, `view`, `virtual`,
    /// `partitioned`, `partition`, `foreign`, `unlogged`, `row_security`, `engine:InnoDB`.
    pub traits: Vec<String>,
    /// Columns of the primary key and of each unique index over the whole table; not part of the fingerprint, because the
    /// writer plans again.
    #[serde(skip)]
    pub unique_keys: Vec<Vec<String>>,
    /// Code that the database runs when a row is updated; not part of the fingerprint.
    #[serde(skip)]
    pub foreign_code: Vec<ForeignCode>,
}

/// A column as declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableColumn {
    pub name: String,
    pub declared_type: String,
    pub nullable: bool,
    pub generated: bool,
    /// Part of the primary key, alone or with others.
    pub primary_key: bool,
    /// True for the only column of the primary key or of a unique index over the whole table.
    pub unique: bool,
    /// Collation name, unless it is the engine's binary collation.
    pub collation: Option<String>,
    /// For a domain type, its underlying declared type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_type: Option<String>,
    /// For an enumeration, every label in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

impl TableColumn {
    /// Whether the database sets the column at every UPDATE that does not set it.
    pub fn moves_by_itself(&self) -> bool {
        is_set_by_updates(&self.declared_type)
    }
}

/// Whether a column declared like this is set by the database at every UPDATE that does not set it.
pub(crate) fn is_set_by_updates(declared: &str) -> bool {
    declared.contains(" on update CURRENT_TIMESTAMP")
}

/// Trigger, rule or policy of the table. The digest covers its definition and, for a trigger, the function that
/// it calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    pub name: String,
    pub definition_digest: Digest,
}

/// Foreign key of another table that references this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InboundForeignKey {
    pub table: String,
    pub columns: Vec<String>,
    /// Columns of this table that the key references.
    pub referenced_columns: Vec<String>,
    pub on_update: String,
    pub on_delete: String,
}

impl TableSchema {
    pub fn fingerprint(&self) -> Digest {
        let bytes =
            canonical::encode_within(self, usize::MAX).expect("a table shape is flat and has no numbers");
        Digest::of(ObjectKind::Schema, &bytes)
    }

    /// Returns the fingerprint of the table as if it had no other columns than these.
    pub fn fingerprint_with(&self, columns: &BTreeSet<&str>) -> Digest {
        let mut part = self.clone();
        part.columns
            .retain(|column| columns.contains(column.name.as_str()));
        part.fingerprint()
    }

    /// Whether no two rows have the same values in all of these columns.
    pub fn are_unique_together(&self, columns: &[&str]) -> bool {
        let is_unique = |name: &&str| self.column(name).is_some_and(|column| column.unique);
        let is_among = |column: &String| columns.contains(&column.as_str());
        columns.iter().any(is_unique) || self.unique_keys.iter().any(|key| key.iter().all(is_among))
    }

    pub fn column(&self, name: &str) -> Option<&TableColumn> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// Returns one line for each possible change besides the row itself, for the approver.
    pub fn side_effects(&self) -> Vec<String> {
        let triggers = self.triggers.iter().map(|t| format!("trigger {}", t.name));
        triggers.chain(self.other_effects()).collect()
    }

    /// Returns [`Self::side_effects`] without triggers that an UPDATE never fires: triggers of other events, and
    /// disabled ones.
    pub fn effects_of_update(&self) -> Vec<String> {
        let is_set_off = |trigger: &&Definition| {
            self.foreign_code.iter().any(|code| {
                code.name == trigger.name
                    && matches!(
                        code.kind,
                        ForeignCodeKind::Trigger | ForeignCodeKind::InternalTrigger
                    )
            })
        };
        let triggers = self.triggers.iter().filter(is_set_off);
        let triggers = triggers.map(|t| format!("trigger {}", t.name));
        triggers.chain(self.other_effects()).collect()
    }

    fn other_effects(&self) -> impl Iterator<Item = String> + '_ {
        let references = self
            .referenced_by
            .iter()
            .filter(|r| !matches!(r.on_update.as_str(), "NO ACTION" | "RESTRICT"))
            .map(|r| format!("foreign key of {} on update {}", r.table, r.on_update));
        let rules = self.rules.iter().map(|r| format!("rule {}", r.name));
        rules.chain(references)
    }
}
