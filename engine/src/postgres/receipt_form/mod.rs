//! The required form of the receipt table: the table of the migration and nothing more. The preflight, the
//! status and the transaction use one list.
//!
//! A receipt proves that an effect happened. Anything that rewrites, hides, rejects or loses a receipt would
//! break that proof. So the table is compared with a required form and never with an earlier observation.

mod facts;

use synapsor_domain::contract::EngineKind;
use synapsor_domain::writeback::receipt_table_ddl;

use self::facts::{ColumnFacts, ConstraintFacts, IndexFacts, TableFacts};
use super::connect::PgPooledConnection;
use super::dialect::{qualified, quote};
use super::inspect::receipt_schema;
use synapsor_source::ReceiptTable;
use synapsor_source::error::{EngineError, EngineErrorKind};

/// OIDs of the server's built-in types and of its collation `"C"`; they are the same in every version.
const TEXT: u32 = 25;
const BIGINT: u32 = 20;
const COLLATION_C: u32 = 950;
/// The operator classes `text_ops` of B-trees.
const TEXT_OPS: u32 = 3126;

/// `(name, type, NOT NULL)` of the receipt table's columns; the first is the whole primary key.
const COLUMNS: [(&str, u32, bool); 16] = [
    ("proposal_id", TEXT, true),
    ("proposal_digest", TEXT, true),
    ("outcome", TEXT, true),
    ("reason", TEXT, true),
    ("rows_affected", BIGINT, true),
    ("previous_version", TEXT, false),
    ("new_version", TEXT, false),
    ("fence", BIGINT, true),
    ("executor_id", TEXT, true),
    ("ledger_size", BIGINT, true),
    ("ledger_root", TEXT, true),
    ("db_identity", TEXT, true),
    ("created_at", TEXT, true),
    ("receipt", TEXT, true),
    ("executor_key", TEXT, true),
    ("executor_sig", TEXT, true),
];

/// One difference from the required form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The difference, as a sentence about the table.
    pub text: String,
    /// The statements that fix it.
    pub fix: String,
}

/// The receipt table as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptForm {
    /// The table's OID; absent if the table does not exist.
    pub oid: Option<u32>,
    /// Empty when the table has the required form.
    pub differences: Vec<Difference>,
}

/// Compares the receipt table with the required form.
///
/// # Errors
/// Those of the connection. A missing or unusable table is a difference, not an error.
pub async fn receipt_form(
    lease: &mut PgPooledConnection,
    receipts: &ReceiptTable,
) -> Result<ReceiptForm, EngineError> {
    let schema = receipt_schema(receipts);
    let ddl = receipt_table_ddl(EngineKind::Postgres, schema, &receipts.table)
        .map_err(|refusal| EngineError::new(EngineErrorKind::Other, refusal.public))?;
    let Some(found) = facts::read(lease, schema, &receipts.table).await? else {
        let text = format!("the receipt table `{schema}.{}` does not exist", receipts.table);
        return Ok(ReceiptForm {
            oid: None,
            differences: vec![Difference { text, fix: ddl }],
        });
    };
    let comparison = Comparison {
        schema,
        table: &receipts.table,
        ddl: &ddl,
        found: &found,
    };
    Ok(ReceiptForm {
        oid: Some(found.oid),
        differences: comparison.differences(),
    })
}

struct Comparison<'a> {
    schema: &'a str,
    table: &'a str,
    ddl: &'a str,
    found: &'a TableFacts,
}

impl Comparison<'_> {
    fn differences(&self) -> Vec<Difference> {
        let mut found = self.storage();
        // The other checks apply to ordinary tables only.
        if self.found.kind != "r" {
            return found;
        }
        found.extend(self.inheritance());
        found.extend(self.row_security());
        found.extend(self.attached_code());
        found.extend(self.columns());
        found.extend(self.found.constraints.iter().filter_map(|c| self.constraint(c)));
        found.extend(self.indexes());
        found
    }

    fn difference(&self, what: &str, fix: String) -> Difference {
        Difference {
            text: format!("the receipt table `{}.{}` {what}", self.schema, self.table),
            fix,
        }
    }

    /// A difference that no statement can fix in place.
    fn recreate(&self, what: &str) -> Difference {
        let name = qualified(self.schema, self.table);
        let fix = format!("-- move {name} away, then create it again:\n{}", self.ddl);
        self.difference(what, fix)
    }

    fn alter(&self, what: &str, clause: &str) -> Difference {
        let name = qualified(self.schema, self.table);
        self.difference(what, format!("ALTER TABLE {name} {clause};"))
    }

    fn drop(&self, what: &str, kind: &str, name: &str) -> Difference {
        let table = qualified(self.schema, self.table);
        let fix = format!("DROP {kind} {} ON {table};", quote(name));
        self.difference(&format!("has the {what} `{name}`"), fix)
    }

    fn storage(&self) -> Vec<Difference> {
        let mut found = Vec::new();
        if self.found.kind != "r" {
            found.push(self.recreate("is not an ordinary table"));
            return found;
        }
        match self.found.persistence.as_str() {
            "p" => {}
            "u" => found.push(self.alter("is unlogged", "SET LOGGED")),
            _ => found.push(self.recreate("is temporary")),
        }
        if self.found.access_method.as_deref() != Some("heap") {
            found.push(self.recreate("is not stored as `heap`"));
        }
        found
    }

    fn inheritance(&self) -> Vec<Difference> {
        let mut found = Vec::new();
        if self.found.is_partition {
            found.push(self.recreate("is a partition of another table"));
        }
        let is_child = !self.found.parents.is_empty() && !self.found.is_partition;
        for parent in self.found.parents.iter().filter(|_| is_child) {
            found.push(self.alter(
                &format!("inherits from `{parent}`"),
                &format!("NO INHERIT {parent}"),
            ));
        }
        for child in &self.found.children {
            let name = qualified(self.schema, self.table);
            let fix = format!("ALTER TABLE {child} NO INHERIT {name};");
            found.push(self.difference(&format!("is inherited by `{child}`"), fix));
        }
        found
    }

    fn row_security(&self) -> Vec<Difference> {
        let mut found = Vec::new();
        if self.found.row_security {
            found.push(self.alter("has row security", "DISABLE ROW LEVEL SECURITY"));
        }
        if self.found.is_forced {
            found.push(self.alter("forces row security", "NO FORCE ROW LEVEL SECURITY"));
        }
        let policies = self.found.policies.iter();
        found.extend(policies.map(|name| self.drop("policy", "POLICY", name)));
        found
    }

    fn attached_code(&self) -> Vec<Difference> {
        let statistics = self.found.statistics.iter().map(|name| {
            let fix = format!("DROP STATISTICS {name};");
            self.difference(&format!("has the statistics `{name}` with an expression"), fix)
        });
        let rules = self
            .found
            .rules
            .iter()
            .map(|name| self.drop("rule", "RULE", name));
        // Internal triggers of foreign keys are reported with the foreign key itself, of this or another
        // table.
        let triggers = self
            .found
            .triggers
            .iter()
            .map(|trigger| match &trigger.constraint {
                None => self.drop("trigger", "TRIGGER", &trigger.name),
                Some(constraint) => {
                    let (table, constraint) = (&constraint.table, &constraint.name);
                    let fix = format!("ALTER TABLE {table} DROP CONSTRAINT {};", quote(constraint));
                    self.difference(
                        &format!(
                            "has a trigger for the constraint `{constraint}` of `{table}`, `{}`",
                            trigger.name
                        ),
                        fix,
                    )
                }
            });
        statistics.chain(rules).chain(triggers).collect()
    }

    fn columns(&self) -> Vec<Difference> {
        let found = &self.found.columns;
        let names: Vec<&str> = found.iter().map(|column| column.name.as_str()).collect();
        if let Some(what) = other_columns(&names, &COLUMNS.map(|(name, ..)| name)) {
            return vec![self.recreate(&what)];
        }
        found
            .iter()
            .zip(COLUMNS)
            .flat_map(|(column, wanted)| self.column(column, wanted))
            .collect()
    }

    fn column(&self, column: &ColumnFacts, (name, kind, not_null): (&str, u32, bool)) -> Vec<Difference> {
        let quoted = quote(name);
        let declared = if kind == TEXT {
            "text COLLATE \"C\""
        } else {
            "bigint"
        };
        let collation = if kind == TEXT { COLLATION_C } else { 0 };
        let mut found = Vec::new();
        if column.type_oid != kind || column.modifier != -1 {
            found.push(self.alter(
                &format!("has another type in the column `{name}`"),
                &format!("ALTER COLUMN {quoted} TYPE {declared}"),
            ));
        } else if column.collation != collation {
            found.push(self.alter(
                &format!("does not have the collation \"C\" in the column `{name}`"),
                &format!("ALTER COLUMN {quoted} TYPE {declared}"),
            ));
        }
        if column.not_null != not_null {
            let clause = if not_null { "SET" } else { "DROP" };
            found.push(self.alter(
                &format!("has another nullability in the column `{name}`"),
                &format!("ALTER COLUMN {quoted} {clause} NOT NULL"),
            ));
        }
        if !column.generated.is_empty() {
            found.push(self.recreate(&format!("computes the column `{name}`")));
        } else if !column.identity.is_empty() {
            found.push(self.alter(
                &format!("has an identity column `{name}`"),
                &format!("ALTER COLUMN {quoted} DROP IDENTITY"),
            ));
        } else if column.has_default {
            found.push(self.alter(
                &format!("has a default in the column `{name}`"),
                &format!("ALTER COLUMN {quoted} DROP DEFAULT"),
            ));
        }
        found
    }

    /// A constraint besides the primary key and, on servers that list them, NOT NULL.
    fn constraint(&self, constraint: &ConstraintFacts) -> Option<Difference> {
        let what = match constraint.kind.as_str() {
            "p" | "n" => return None,
            "c" => "CHECK constraint",
            "f" => "foreign key",
            "u" => "UNIQUE constraint",
            "x" => "exclusion constraint",
            _ => "constraint",
        };
        Some(self.alter(
            &format!("has the {what} `{}`", constraint.name),
            &format!("DROP CONSTRAINT {}", quote(&constraint.name)),
        ))
    }

    fn indexes(&self) -> Vec<Difference> {
        let mut found = Vec::new();
        let name = qualified(self.schema, self.table);
        let keys = self.found.constraints.iter().filter(|c| c.kind == "p");
        match &keys.collect::<Vec<_>>()[..] {
            [key] if !key.is_deferrable && key.is_validated => {}
            [key] => found.push(self.rebuild_key("has a deferrable or invalid primary key", Some(&key.name))),
            _ => found.push(self.rebuild_key("does not have a primary key", None)),
        }
        let mut has_time = false;
        for index in &self.found.indexes {
            if index.is_primary {
                if !is_key(index) && found.is_empty() {
                    let what = "does not have exactly the primary key (proposal_id), as a plain B-tree";
                    found.push(self.rebuild_key(what, Some(&index.name)));
                }
            } else if is_time_index(index) {
                // Twins of the index do no harm.
                has_time = true;
            } else {
                let fix = format!("DROP INDEX {};", qualified(self.schema, &index.name));
                found.push(self.difference(&format!("has the index `{}`", index.name), fix));
            }
        }
        if !has_time {
            let fix = format!("CREATE INDEX ON {name} (created_at, proposal_id);");
            found.push(self.difference("does not have the index by time", fix));
        }
        found
    }

    fn rebuild_key(&self, what: &str, constraint: Option<&str>) -> Difference {
        let name = qualified(self.schema, self.table);
        let drop = constraint.map(|c| format!("ALTER TABLE {name} DROP CONSTRAINT {};\n", quote(c)));
        let fix = format!(
            "{}ALTER TABLE {name} ADD PRIMARY KEY (proposal_id);",
            drop.unwrap_or_default()
        );
        self.difference(what, fix)
    }
}

/// Names the columns in which a table differs from the migration's; `None` if it has the same ones in their order.
fn other_columns(found: &[&str], wanted: &[&str]) -> Option<String> {
    let beyond = |these: &[&str], those: &[&str]| -> String {
        let names: Vec<String> = these
            .iter()
            .filter(|name| !those.contains(name))
            .map(|name| format!("`{name}`"))
            .collect();
        names.join(", ")
    };
    let (missing, extra) = (beyond(wanted, found), beyond(found, wanted));
    match (missing.is_empty(), extra.is_empty()) {
        (true, true) if found == wanted => None,
        (true, true) => Some("has the columns of the migration in another order".to_owned()),
        (false, true) => Some(format!("lacks the columns {missing} of the migration")),
        (true, false) => Some(format!(
            "has the columns {extra}, which the migration does not create"
        )),
        (false, false) => Some(format!(
            "lacks the columns {missing} of the migration, and has others: {extra}"
        )),
    }
}

fn is_key(index: &IndexFacts) -> bool {
    is_plain(index) && index.is_unique && index.columns == ["proposal_id"]
}

fn is_time_index(index: &IndexFacts) -> bool {
    is_plain(index) && !index.is_unique && index.columns == ["created_at", "proposal_id"]
}

/// Whether this is a complete B-tree over columns in their own order, without computed expressions.
fn is_plain(index: &IndexFacts) -> bool {
    let is_usable = index.is_valid && index.is_ready && index.is_live && index.is_immediate;
    is_usable
        && index.method == "btree"
        && !index.has_predicate
        && !index.has_expressions
        && !index.is_exclusion
        && index.key_count == index.columns.len()
        && index.column_count == index.key_count
        && index.operator_classes.iter().all(|class| *class == TEXT_OPS)
        && index.collations.iter().all(|collation| *collation == COLLATION_C)
}

#[cfg(test)]
mod tests {
    use super::other_columns;

    #[test]
    fn differing_columns_are_named() {
        let of = |found: &[&str]| other_columns(found, &["a", "b"]);
        assert_eq!(of(&["a", "b"]), None);
        assert!(of(&["b", "a"]).unwrap().contains("another order"));
        assert!(of(&["a"]).unwrap().contains("lacks the columns `b`"));
        assert!(of(&["a", "b", "c"]).unwrap().contains("has the columns `c`"));
        let both = of(&["a", "c"]).unwrap();
        assert!(both.contains("`b`") && both.contains("`c`"), "{both}");
    }
}
