//! Whether the receipt table is what the protocol needs, and the statements that make it so.

use synapsor_domain::writeback::receipt_table_ddl;

use super::connect::{Connector, Flavor};
use super::inspect::{Described, Shapes};
use super::session::{Failed, Session};
use synapsor_source::error::{EngineError, EngineErrorKind};

/// `(name, type, may be NULL)` of the receipt table's columns, without the widths that one server shows.
const COLUMNS: [(&str, &str, bool); 16] = [
    ("proposal_id", "varchar(64)", false),
    ("proposal_digest", "varchar(128)", false),
    ("outcome", "varchar(64)", false),
    ("reason", "text", false),
    ("rows_affected", "int unsigned", false),
    ("previous_version", "mediumtext", true),
    ("new_version", "mediumtext", true),
    ("fence", "bigint unsigned", false),
    ("executor_id", "varchar(255)", false),
    ("ledger_size", "bigint unsigned", false),
    ("ledger_root", "varchar(128)", false),
    ("db_identity", "varchar(255)", false),
    ("created_at", "varchar(32)", false),
    ("receipt", "mediumtext", false),
    ("executor_key", "varchar(128)", false),
    ("executor_sig", "varchar(255)", false),
];

/// Why receipts cannot be kept here now; empty if they can.
pub async fn problems(
    session: &mut Session,
    connector: &Connector,
    shapes: &Shapes,
) -> Result<Vec<String>, Failed> {
    let (schema, table) = (connector.receipt_schema()?, connector.receipt_table());
    let ddl = receipt_table_ddl("mysql", &schema, table)
        .map_err(|refusal| EngineError::new(EngineErrorKind::Other, refusal.public))?;
    let server = session.server()?.clone();
    let mut problems = Vec::new();
    if server.is_cluster {
        problems.push(
            "the server is a node of a Galera cluster, whose row locks end at the node; writebacks need a server \
             of its own, or all writes of the cluster on this one node and `galera_single_writer_ack: true` at \
             the source"
                .to_owned(),
        );
    }
    let described = match shapes.fresh(session, &schema, table).await {
        Ok(described) => described,
        Err(failed) if failed.error.kind == EngineErrorKind::NotFound => {
            problems.push(format!(
                "the receipt table `{table}` does not exist; have it created:\n{ddl}"
            ));
            return Ok(problems);
        }
        Err(failed) => return Err(failed),
    };
    let found = table_problems(table, &described);
    if !found.is_empty() {
        problems.extend(found);
        problems.push(format!(
            "move the table `{table}` away and have it created anew:\n{ddl}"
        ));
    }
    if !described.is_complete {
        problems.push(format!(
            "whether the table `{table}` has triggers cannot be seen; have the procedure of the migration made by \
             an owner with the rights TRIGGER and PROCESS, and let this account execute it"
        ));
    }
    if server.flavor == Flavor::MariaDb && !server.has_marker {
        problems.push(
            "MariaDB does not say which server it is, and the table `synapsor_database_identity` is missing or \
             not to be read; have it made by the migration"
                .to_owned(),
        );
    }
    Ok(problems)
}

fn table_problems(table: &str, described: &Described) -> Vec<String> {
    let shape = &described.shape;
    let mut problems = Vec::new();
    let mut problem = |text: &str| problems.push(format!("the receipt table `{table}` {text}"));
    if shape.traits.iter().any(|word| word != "unobservable_triggers") {
        problem("must be an ordinary table of the engine InnoDB, not divided into partitions");
    }
    let expected = COLUMNS.map(|(name, declared, nullable)| (name, declared.to_owned(), nullable));
    let actual: Vec<_> = shape
        .columns
        .iter()
        .map(|c| (c.name.as_str(), without_width(&c.declared_type), c.nullable))
        .collect();
    if actual != expected {
        problem("must have exactly the columns of the migration, in their order");
    }
    if described.primary_key != ["proposal_id"] || !shape.column("proposal_id").is_some_and(|c| c.unique) {
        problem("must have the primary key (proposal_id) and nothing else in it");
    }
    if shape.columns.iter().any(|c| c.collation.is_some() || c.generated) {
        problem("must compare its texts as utf8mb4_bin does, and compute nothing");
    }
    if described.has_triggers {
        problem("must not have triggers");
    }
    if !described.foreign_keys.is_empty() {
        problem("must not have foreign keys");
    }
    if described
        .indexes
        .iter()
        .any(|index| index.unique && index.name != "PRIMARY")
    {
        problem("must have no unique index besides its primary key");
    }
    problems
}

/// `bigint(20) unsigned` and `bigint unsigned` are the same.
fn without_width(declared: &str) -> String {
    let is_integer = declared.starts_with("int") || declared.starts_with("bigint");
    match (is_integer, declared.split_once('('), declared.split_once(')')) {
        (true, Some((base, _)), Some((_, rest))) => format!("{base}{rest}"),
        _ => declared.to_owned(),
    }
}
