//! Reads exactly one row of the trusted tenant by its key, and creates the evidence.

use std::sync::Arc;

use synapsor_codes::ErrorCode;
use synapsor_domain::canonical;
use synapsor_domain::change::no_such_row;
use synapsor_domain::context::TrustedContext;
use synapsor_domain::contract::Capability;
use synapsor_domain::error::PublicError;
use synapsor_domain::evidence::Evidence;
use synapsor_domain::ids::EvidenceId;
use synapsor_domain::limits::{ROW_BYTES_MAX, VALUE_BYTES_MAX};
use synapsor_domain::proposal::{Requester, RowTarget, SourceRef};
use synapsor_domain::schema::TableSchema;
use synapsor_domain::tool::CheckedArguments;
use synapsor_domain::value::{ColumnValue, Value};

use crate::audit_draft::AuditDraft;
use crate::role::{CapabilityDigests, ReaderRole};
use synapsor_source::error::source_refusal;
use synapsor_source::error_cause::ErrorCause;
use synapsor_source::{Engine, EngineError, EngineErrorKind, RowPlan, RowSet};

/// Row that was read, and its origin.
#[derive(Debug)]
pub(crate) struct RowRead {
    pub(crate) target: RowTarget,
    /// Every column that was read, in the order of the capability.
    pub(crate) row: Vec<ColumnValue>,
    pub(crate) shape: Arc<TableSchema>,
    pub(crate) source: SourceRef,
}

/// Reads the row that the arguments identify.
pub(crate) async fn find(
    engine: &dyn Engine,
    capability: &Capability,
    arguments: &CheckedArguments,
    context: &TrustedContext,
    draft: &mut AuditDraft,
) -> Result<RowRead, PublicError> {
    let target = &capability.target;
    let shape = engine
        .cached_table_schema(&target.schema, &target.table)
        .await
        .map_err(|e| source_refusal(&e))?;
    let keys = target.keys.iter().map(|of| {
        let value = arguments.key_value(of, &context.tenant);
        key(engine, &shape, &of.column, &value)
    });
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    let tenant = match &target.tenant_key {
        Some(column) => Some(key(engine, &shape, column, &Value::text(context.tenant.clone()))?),
        None => None,
    };
    let wanted = RowTarget {
        schema: target.schema.clone(),
        table: target.table.clone(),
        keys,
        tenant,
    };
    draft.of_target(&wanted);
    let plan = RowPlan {
        schema: wanted.schema.clone(),
        table: wanted.table.clone(),
        keys: wanted.keys.clone(),
        tenant: wanted.tenant.clone(),
        columns: capability.read_columns().into_iter().map(str::to_owned).collect(),
    };
    let RowSet {
        identity: fingerprint,
        mut rows,
    } = engine
        .read(&plan)
        .await
        .map_err(|error| refused(&error, capability))?;
    let row = match (rows.pop(), rows.is_empty()) {
        (Some(row), true) => row,
        (None, _) => return Err(no_such_row()),
        (Some(_), false) => {
            return Err(PublicError::new(
                ErrorCode::MultiRowBlocked,
                "The key identifies more than one row.",
            ));
        }
    };
    draft.set_row_found();
    Ok(RowRead {
        target: wanted,
        row,
        shape,
        source: SourceRef {
            id: capability.source.clone(),
            engine: engine.kind().as_str().to_owned(),
            fingerprint,
        },
    })
}

/// Converts a key to its column's type. A value that the column cannot hold identifies no row.
fn key(
    engine: &dyn Engine,
    shape: &TableSchema,
    column: &str,
    value: &Value,
) -> Result<ColumnValue, PublicError> {
    let declared = shape.column(column).ok_or_else(|| {
        PublicError::new(
            ErrorCode::SourceObjectNotFound,
            "The source has no column that the contract names.",
        )
    })?;
    let value = engine
        .fit(declared, value)
        .map_err(|e| no_such_row().with_detail(e.to_string()))?;
    Ok(ColumnValue::new(column, value))
}

/// Names limit and column of a row that is too large, and a column that cannot be read; the column only if the caller
/// may see it.
fn refused(error: &EngineError, capability: &Capability) -> PublicError {
    let mut refusal = source_refusal(error);
    if error.kind == EngineErrorKind::TooLarge {
        let column = match &error.cause {
            ErrorCause::ColumnTooLarge(column) if capability.visible_columns.contains(column) => Some(column),
            _ => None,
        };
        refusal.public = row_too_large(column.map(String::as_str));
    }
    if let ErrorCause::ColumnUnreadable(column) = &error.cause {
        refusal = refusal.with_detail(format!(
            "column `{column}` is of a type that cannot be read exactly"
        ));
        if capability.visible_columns.contains(column) {
            refusal.public = format!(
                "Values of column `{column}` cannot be read exactly. The operator has to leave the column out of the tool."
            );
        }
    }
    refusal
}

fn row_too_large(column: Option<&str>) -> String {
    let of = column.map_or_else(String::new, |column| format!(" in column `{column}`"));
    format!(
        "The row exceeds the size limit{of}: a value has at most {VALUE_BYTES_MAX} bytes, a row {ROW_BYTES_MAX}. The \
         operator has to leave the column out of the tool."
    )
}

/// Creates the evidence of a row in canonical form; it is signed when it is submitted.
pub(crate) fn encode_evidence(
    reader: &ReaderRole,
    found: &RowRead,
    capability: &Capability,
    digests: &CapabilityDigests,
    draft: &AuditDraft,
    requester: &Requester,
) -> Result<(EvidenceId, Vec<u8>), PublicError> {
    let read_at = reader.now();
    let evidence = Evidence {
        v: 1,
        id: EvidenceId::at(read_at, synapsor_chassis::random::bytes()),
        ledger_origin: draft.ledger_origin.clone(),
        source: found.source.clone(),
        capability: capability.name.clone(),
        contract_digest: digests.contract_digest,
        requested_by: requester.clone(),
        target: found.target.clone(),
        row: found.row.clone(),
        query_fingerprint: digests.query_fingerprint,
        read_at,
    };
    let payload = canonical::encode(&evidence).map_err(|e| {
        PublicError::new(ErrorCode::RowTooLarge, row_too_large(None)).with_detail(e.to_string())
    })?;
    Ok((evidence.id, payload))
}
