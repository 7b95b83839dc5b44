//! Preflight of a source under the current credential: the writer's whole write path, rolled back, and the
//! reader's tables, columns and rights. Changes nothing.

use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{Capability, Contract, EngineKind, ExecutorRef, ProposalSpec, Source};
use synapsor_domain::database_identity::UnreadablePart;
use synapsor_domain::foreign_code::{self, ForeignCode, Unacknowledged};
use synapsor_domain::schema::TableSchema;
use synapsor_domain::writeback::{
    FindingSeverity, PreflightFinding, PreflightReport, TableRequirements, table_targets,
};

use crate::db_error_message::explain;
use crate::error::{EngineError, EngineErrorKind};
use crate::schema_catalog::CatalogTable;
use crate::{Engine, Finding, PreflightTarget};

/// Tables that the direct proposals of a contract change in one source.
pub fn write_targets(contract: &Contract, source: &str) -> Vec<PreflightTarget> {
    table_targets(contract, source)
        .into_iter()
        .filter(|target| !target.writes.is_empty())
        .map(check_target)
        .collect()
}

/// Builds the report of a writer's preflight from its findings about the contract's targets.
pub async fn of_writer(
    engine: &dyn Engine,
    source: &str,
    contract: &Contract,
    found: Result<Vec<Finding>, EngineError>,
) -> PreflightReport {
    let found = match found {
        Ok(found) => write_side(engine, source, contract, found).await,
        Err(error) => Err(error),
    };
    finished(engine, source, found).await
}

/// Checks whether the read credential can read what the contract names, and whether it could change it.
pub async fn reader(engine: &dyn Engine, source: &str, contract: &Contract) -> PreflightReport {
    let found = read_side(engine, source, contract).await;
    finished(engine, source, found).await
}

async fn write_side(
    engine: &dyn Engine,
    source: &str,
    contract: &Contract,
    found: Vec<Finding>,
) -> Result<Vec<PreflightFinding>, EngineError> {
    let mut findings: Vec<PreflightFinding> = found.into_iter().map(finding).collect();
    for target in write_targets(contract, source) {
        let found = match engine.table_schema(&target.schema, &target.table).await {
            Ok(shape) => [
                side_effects(contract, source, &shape),
                unmanaged(contract, source, &shape),
                unknown_managed(contract, source, &shape),
            ]
            .concat(),
            // The check has reported the missing table already.
            Err(error) if error.kind == EngineErrorKind::NotFound => continue,
            Err(error) => unchecked(&target, error)?,
        };
        for found in found {
            if !findings.contains(&found) {
                findings.push(found);
            }
        }
    }
    Ok(findings)
}

/// Capabilities whose changes of this table the writer makes itself.
fn direct_changes<'a>(
    contract: &'a Contract,
    source: &'a str,
    shape: &'a TableSchema,
) -> impl Iterator<Item = (&'a Capability, &'a ProposalSpec)> {
    let capabilities = contract.capabilities().iter().filter(move |capability| {
        capability.source == source
            && capability.target.schema == shape.schema
            && capability.target.table == shape.table
    });
    capabilities.filter_map(|capability| {
        let spec = capability.proposal()?;
        (spec.executor == ExecutorRef::Direct).then_some((capability, spec))
    })
}

/// Code of a table that runs with a writeback and that no capability of the contract acknowledges in its
/// current form, each with the entry to paste.
fn side_effects(contract: &Contract, source: &str, shape: &TableSchema) -> Vec<PreflightFinding> {
    let named =
        |capability: &str, (code, problem): (Option<&ForeignCode>, Unacknowledged)| PreflightFinding {
            severity: FindingSeverity::Error,
            code: problem.code(),
            text: format!("capability `{capability}`: {}", problem.text()),
            fix: match problem {
                Unacknowledged::Missing(_) => code.map(ForeignCode::ack_entry),
                Unacknowledged::Never(_) | Unacknowledged::Stale(_) => None,
            },
        };
    direct_changes(contract, source, shape)
        .flat_map(|(capability, spec)| {
            let problems = foreign_code::problems(&shape.foreign_code, &spec.side_effects_ack);
            problems
                .into_iter()
                .map(|problem| named(&capability.name, problem))
        })
        .collect()
}

/// Columns of `db_managed` that the table does not have.
fn unknown_managed(contract: &Contract, source: &str, shape: &TableSchema) -> Vec<PreflightFinding> {
    let unknown = |(capability, spec): (&Capability, &ProposalSpec)| {
        let names = spec.db_managed.iter().filter(|name| shape.column(name).is_none());
        let name_of = capability.name.clone();
        let finding = move |column: &String| PreflightFinding {
            severity: FindingSeverity::Warning,
            code: ErrorCode::ColumnMissing,
            text: format!(
                "capability `{name_of}`: `db_managed` lists `{column}`, and the table `{}` has no such column",
                shape.table
            ),
            fix: Some(format!(
                "correct \"{column}\" in the list `db_managed` of the capability, or remove it"
            )),
        };
        names.map(finding).collect::<Vec<_>>()
    };
    direct_changes(contract, source, shape)
        .flat_map(unknown)
        .collect()
}

/// Columns that the database changes with every update, and that no capability lists: each change is rolled back.
fn unmanaged(contract: &Contract, source: &str, shape: &TableSchema) -> Vec<PreflightFinding> {
    let moving: Vec<&str> = shape
        .columns
        .iter()
        .filter(|column| column.moves_by_itself())
        .map(|column| column.name.as_str())
        .collect();
    let mut findings = Vec::new();
    for (capability, spec) in direct_changes(contract, source, shape) {
        let is_changed = |column: &str| spec.patch.iter().any(|(name, _)| name == column);
        let is_version = |column: &str| spec.conflict_guard.column() == Some(column);
        let is_missing = |column: &&str| {
            capability.visible_columns.iter().any(|name| name == column)
                && !spec.db_managed.iter().any(|name| name == column)
                && !is_changed(column)
                && !is_version(column)
        };
        findings.extend(moving.iter().copied().filter(is_missing).map(|column| PreflightFinding {
            severity: FindingSeverity::Error,
            code: ErrorCode::DbManagedMissing,
            text: format!(
                "capability `{}`: the database changes `{column}` with every update, so that each change is rolled back",
                capability.name
            ),
            fix: Some(format!("add \"{column}\" to the list `db_managed` of the capability")),
        }));
    }
    findings
}

async fn finished(
    engine: &dyn Engine,
    source: &str,
    found: Result<Vec<PreflightFinding>, EngineError>,
) -> PreflightReport {
    let mut findings = match found {
        Ok(findings) => findings,
        Err(error) => {
            let mut report = failed(engine, source, &error);
            // A database that does not answer would keep the caller waiting again.
            if !explain(&error).is_away {
                report.product = engine.product().await.unwrap_or_default();
            }
            return report;
        }
    };
    let product = match engine.product().await {
        Ok(product) => product,
        Err(error) => return failed(engine, source, &error),
    };
    let identity = engine.identity().await.unwrap_or_default();
    for part in UnreadablePart::of(&identity) {
        findings.push(weak_identity(engine, part).await);
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    PreflightReport {
        source_id: source.to_owned(),
        engine: engine.kind().as_str().to_owned(),
        product,
        database_identity: identity,
        unavailable: None,
        findings,
    }
}

async fn weak_identity(engine: &dyn Engine, part: UnreadablePart) -> PreflightFinding {
    let (name, consequence) = part.consequence();
    let denied = engine
        .denied_functions(part.functions())
        .await
        .unwrap_or_default();
    // A service can refuse a function whatever the rights of the role are.
    let functions = match denied.as_slice() {
        [] => part.functions().join(", "),
        denied => denied.join(", "),
    };
    PreflightFinding {
        severity: FindingSeverity::Warning,
        code: ErrorCode::IdentityWeak,
        text: format!(
            "the database's identity lacks its {name}, because the role may not call {functions}: {consequence}"
        ),
        fix: Some(format!(
            "GRANT EXECUTE ON FUNCTION {functions} TO PUBLIC; -- where the service allows it"
        )),
    }
}

/// Returns the report of a source that could not be opened with its settings.
pub fn unopened(source: &Source, found: PreflightFinding) -> PreflightReport {
    PreflightReport {
        source_id: source.name.clone(),
        engine: source.engine.as_str().to_owned(),
        product: String::new(),
        database_identity: String::new(),
        unavailable: None,
        findings: vec![found],
    }
}

/// Returns the report of a source whose preflight failed, with the cause as its finding.
fn failed(engine: &dyn Engine, source: &str, error: &EngineError) -> PreflightReport {
    let explained = explain(error);
    let mut report = PreflightReport::unavailable(source, engine.kind().as_str(), error.reason());
    if !explained.is_away {
        // The database answered.
        report.unavailable = None;
    }
    report.findings.push(PreflightFinding {
        severity: FindingSeverity::Error,
        code: explained.code,
        text: format!("the database {} ({})", explained.text, error.detail),
        fix: Some(explained.fix.into_owned()),
    });
    report
}

fn check_target(target: TableRequirements) -> PreflightTarget {
    PreflightTarget {
        schema: target.schema,
        table: target.table,
        keys: target.keys,
        tenant: target.tenant,
        reads: target.reads,
        writes: target.writes,
    }
}

fn finding(found: Finding) -> PreflightFinding {
    PreflightFinding {
        severity: found.severity,
        code: found.code,
        text: found.text,
        fix: found.fix,
    }
}

async fn read_side(
    engine: &dyn Engine,
    source: &str,
    contract: &Contract,
) -> Result<Vec<PreflightFinding>, EngineError> {
    let mut findings = Vec::new();
    for target in table_targets(contract, source) {
        let target = PreflightTarget {
            writes: Vec::new(),
            ..check_target(target)
        };
        let found = match read_target(engine, &target).await {
            Ok(found) => found,
            Err(error) => unchecked(&target, error)?,
        };
        for found in found {
            // Targets with other keys can be of the same table.
            if !findings.contains(&found) {
                findings.push(found);
            }
        }
    }
    Ok(findings)
}

/// Reports a table that is locked by another session; the others are checked all the same.
fn unchecked(target: &PreflightTarget, error: EngineError) -> Result<Vec<PreflightFinding>, EngineError> {
    match Finding::unchecked_table(&target.table, &error) {
        Some(found) => Ok(vec![finding(found)]),
        None => Err(error),
    }
}

async fn read_target(
    engine: &dyn Engine,
    target: &PreflightTarget,
) -> Result<Vec<PreflightFinding>, EngineError> {
    let found = engine.check_reading(target).await?;
    let mut findings: Vec<PreflightFinding> = found.into_iter().map(finding).collect();
    findings.extend(check_catalog(engine, target).await?);
    Ok(findings)
}

/// Checks what the catalog shows about a table: key columns whose values no argument names exactly, and rights of the
/// read credential to change rows. Rights on a file cannot be revoked from its owner.
async fn check_catalog(
    engine: &dyn Engine,
    target: &PreflightTarget,
) -> Result<Vec<PreflightFinding>, EngineError> {
    if engine.kind() == EngineKind::Sqlite {
        return Ok(Vec::new());
    }
    let catalog = engine.catalog(Some(&target.schema)).await?;
    let is_target =
        |table: &&CatalogTable| table.shape.schema == target.schema && table.shape.table == target.table;
    let Some(table) = catalog.tables.iter().find(is_target) else {
        return Ok(Vec::new());
    };
    let mut conditions = target.keys.iter().chain(&target.tenant);
    let unfit = conditions
        .find(|column| table.unwritable.contains(column))
        .and_then(|column| table.shape.column(column))
        .map(|column| finding(Finding::unfit_key(&table.shape, column)));
    Ok(unfit
        .into_iter()
        .chain(table.can_change.then(|| excess_privileges(target)))
        .collect())
}

fn excess_privileges(target: &PreflightTarget) -> PreflightFinding {
    PreflightFinding {
        severity: FindingSeverity::Warning,
        code: ErrorCode::ReadRoleCanWrite,
        text: format!(
            "the read credential can change rows of `{}`.`{}`: give the reader its own role, with the statements \
             of `synapsor-runner writeback grants --read-role ROLE`",
            target.schema, target.table
        ),
        fix: None,
    }
}
