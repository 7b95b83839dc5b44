//! Checks whether the receipt table and the identity table meet the protocol's requirements, and returns the
//! statements that fix them.

use synapsor_domain::contract::EngineKind;
use synapsor_domain::writeback::{mysql_procedures_ddl, receipt_table_ddl};

use super::connect::{Connector, Flavor, IDENTITY_TABLE};
use super::dialect::qualified;
use super::inspect::{ReceiptTriggers, Shapes};
use super::receipt_form::{self, Difference};
use super::session::{MysqlConn, MysqlStatementError};
use crate::Access;
use synapsor_source::Finding;
use synapsor_source::error::{EngineError, EngineErrorKind};

/// Lists the reasons why receipts cannot be stored here now; empty if they can.
pub async fn problems(
    session: &mut MysqlConn,
    connector: &Connector,
    shapes: &Shapes,
) -> Result<Vec<Finding>, MysqlStatementError> {
    let (schema, table) = (connector.receipt_schema()?, connector.receipt_table());
    let ddl = receipt_table_ddl(EngineKind::Mysql, &schema, table)
        .map_err(|refusal| EngineError::new(EngineErrorKind::Other, refusal.public))?;
    let server = session.server()?.clone();
    let mut problems = Vec::new();
    if server.is_cluster {
        problems.push(Finding::unfit_receipts(
            "the server is a node of a Galera cluster, whose row locks are local to the node; writebacks need a server \
             of its own, or all writes of the cluster on this one node and `galera_single_writer_ack: true` at \
             the source",
            None,
        ));
    }
    let described = match shapes.fresh(session, &schema, table).await {
        Ok(described) => described,
        Err(failed) if failed.error.kind == EngineErrorKind::NotFound => {
            problems.push(Finding::missing_receipts(table, ddl));
            return Ok(problems);
        }
        Err(failed) => return Err(failed),
    };
    // An account for reading has no right to the table, and does not need to check it.
    let shown = session.shown(&qualified(&schema, table)).await?;
    if shown.is_none() && connector.access == Access::Write {
        let text =
            format!("the receipt table `{table}` is not visible to this account, which needs SELECT on it");
        problems.push(Finding::unfit_receipts(text, None));
    }
    for Difference { what, fix } in shown
        .iter()
        .flat_map(|shown| receipt_form::differences(&schema, table, shown))
    {
        let fix = match fix.as_str() {
            "" => format!("-- move `{table}` away, then create it again:\n{ddl}"),
            fix => fix.to_owned(),
        };
        let text = format!("the receipt table `{table}` {what}");
        problems.push(Finding::unfit_receipts(text, Some(fix)));
    }
    problems.extend(trigger_problems(&schema, table, described.receipts.as_ref()));
    if server.has_marker && connector.access == Access::Write {
        let shown = session.shown(&qualified(&schema, IDENTITY_TABLE)).await?;
        problems.extend(identity_problems(&schema, shown.as_deref()));
    }
    if server.flavor == Flavor::MariaDb && !server.has_marker {
        problems.push(Finding::unfit_receipts(
            "MariaDB does not report a server identity, and the table `synapsor_database_identity` is missing or \
             unreadable; create it with the migration",
            None,
        ));
    }
    Ok(problems)
}

/// Lists the reasons why the identity table is not the migration's.
fn identity_problems(schema: &str, shown: Option<&str>) -> Vec<Finding> {
    let Some(shown) = shown else {
        let text = format!(
            "the identity table `{IDENTITY_TABLE}` is not a table, or is not visible to this account, which needs SELECT on it"
        );
        return vec![Finding::unfit_receipts(text, None)];
    };
    let to_finding = |Difference { what, fix }| {
        let text = format!("the identity table `{IDENTITY_TABLE}` {what}");
        match fix.as_str() {
            "" => Finding::unfit_receipts(
                format!("{text}; move it away and run `writeback migration` again"),
                None,
            ),
            _ => Finding::unfit_receipts(text, Some(fix)),
        }
    };
    receipt_form::identity_differences(schema, shown)
        .into_iter()
        .map(to_finding)
        .collect()
}

/// Lists the reasons why triggers of the receipt table cannot be excluded.
fn trigger_problems(schema: &str, table: &str, found: Option<&ReceiptTriggers>) -> Option<Finding> {
    let procedures = || Some(mysql_procedures_ddl(schema, (schema, table)));
    match found {
        Some(found) if found.schema != schema || found.table != table => Some(Finding::unfit_receipts(
            "the procedures of the migration count the triggers of another receipt table; run `writeback migration` \
             again, or only the fix",
            procedures(),
        )),
        Some(found) if !found.is_complete => Some(Finding::unfit_receipts(
            format!(
                "triggers of the receipt table `{table}` cannot be checked; create the procedures of the migration \
                 as an owner with the rights TRIGGER and PROCESS"
            ),
            procedures(),
        )),
        Some(found) if found.count > 0 => Some(Finding::unfit_receipts(
            format!(
                "the receipt table `{table}` must not have triggers; drop each that `SHOW TRIGGERS` lists for it"
            ),
            None,
        )),
        Some(_) => None,
        None => Some(Finding::unfit_receipts(
            "the procedures of the migration are missing, older than this program, or not executable by this \
             account; run `writeback migration` and its grants again, or only the fix",
            procedures(),
        )),
    }
}
