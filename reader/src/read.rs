//! Reads exactly one row of the trusted tenant by its key, and creates the evidence.

use std::sync::Arc;

use synapsor_codes::ErrorCode;
use synapsor_domain::canonical::{self, CanonicalError};
use synapsor_domain::change::no_such_row;
use synapsor_domain::context::TrustedContext;
use synapsor_domain::contract::Capability;
use synapsor_domain::error::PublicError;
use synapsor_domain::evidence::Evidence;
use synapsor_domain::ids::EvidenceId;
use synapsor_domain::limits::{CANONICAL_BYTES_MAX, ROW_BYTES_MAX, VALUE_BYTES_MAX};
use synapsor_domain::proposal::{Requester, RowTarget, SourceRef};
use synapsor_domain::schema::TableSchema;
use synapsor_domain::tool::CheckedArguments;
use synapsor_domain::value::{ColumnValue, Value};

use crate::audit_draft::AuditDraft;
use crate::role::{CapabilityDigests, ReaderRole};
use synapsor_source::error::{ReadTable, table_refusal};
use synapsor_source::error_cause::ErrorCause;
use synapsor_source::{Engine, EngineError, RowPlan, RowSet};

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
        .map_err(|e| refused(&e, capability))?;
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
        .with_detail(format!(
            "the table `{}` has no column `{column}`, which the contract names",
            shape.table
        ))
    })?;
    let value = engine
        .fit(declared, value)
        .map_err(|e| no_such_row().with_detail(e.to_string()))?;
    Ok(ColumnValue::new(column, value))
}

/// Names limit and column of a row that is too large, and a column that cannot be read; to the caller the column only if
/// it may see it.
fn refused(error: &EngineError, capability: &Capability) -> PublicError {
    let table = ReadTable {
        source: &capability.source,
        schema: &capability.target.schema,
        table: &capability.target.table,
    };
    let mut refusal = table_refusal(error, table);
    let shown = |column: &String| {
        capability
            .visible_columns
            .contains(column)
            .then(|| format!("`{column}`"))
    };
    if let ErrorCause::ColumnTooLarge(column) = &error.cause {
        let of = shown(column).map_or_else(String::new, |column| format!(" in column {column}"));
        refusal.public = format!(
            "A value of the row{of} exceeds the size limit of {VALUE_BYTES_MAX} bytes. The operator has to leave the \
             column out of the tool."
        );
        refusal = refusal.with_operator_fix(format!(
            "leave the column `{column}` out of the capability; `max_chars` does not help, because it cuts results only \
             and evidence keeps whole values"
        ));
    }
    if let ErrorCause::RowTooLarge(column) = &error.cause {
        let of = shown(column).map_or_else(String::new, |column| format!("; column {column} has the most"));
        refusal.public = format!(
            "The values of the row together exceed the size limit of {ROW_BYTES_MAX} bytes{of}. The operator has to \
             show fewer columns."
        );
        refusal = refusal.with_operator_fix(format!(
            "read fewer columns in the capability: its values together have more than {ROW_BYTES_MAX} bytes, most of them \
             in `{column}`; `max_chars` does not help, because evidence keeps whole values"
        ));
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
    if let ErrorCause::ValueUnreadable(column) = &error.cause {
        refusal = refusal
            .with_detail(format!(
                "a value of column `{column}` is not valid text, or not of its column's type"
            ))
            .with_operator_fix(format!(
                "correct the value in the database, or leave the column `{column}` out of the capability"
            ));
        if capability.visible_columns.contains(column) {
            refusal.public = format!(
                "The value of column `{column}` of this row cannot be read exactly. Other rows may be readable; the \
                 operator has to correct the value."
            );
        }
    }
    refusal
}

/// Returns the error for a row that has no room in evidence once it is encoded.
fn evidence_too_large(error: &CanonicalError) -> PublicError {
    let message = format!(
        "The row exceeds the size limit of evidence, {CANONICAL_BYTES_MAX} bytes with escapes. The operator has to show \
         fewer columns."
    );
    PublicError::new(ErrorCode::RowTooLarge, message)
        .with_detail(error.to_string())
        .with_operator_fix("read fewer columns in the capability; `max_chars` does not help, because evidence keeps whole values")
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
    let payload = canonical::encode(&evidence).map_err(|e| evidence_too_large(&e))?;
    Ok((evidence.id, payload))
}

#[cfg(test)]
mod tests {
    use synapsor_domain::contract::Contract;
    use synapsor_source::EngineErrorKind;

    use super::*;

    fn contract() -> Contract {
        let file = serde_json::json!({
            "version": 1, "mode": "review", "result_format": 2,
            "sources": {"billing": {"engine": "postgres", "read_url_env": "R", "write_url_env": "W"}},
            "trusted_context": {"provider": "environment"},
            "capabilities": [{
                "name": "a.inspect", "kind": "read", "source": "billing",
                "target": {"schema": "public", "table": "invoices", "primary_key": "id", "tenant_key": "tenant"},
                "args": {"id": {"type": "string"}}, "lookup": {"id_from_arg": "id"},
                "visible_columns": ["id", "note"],
            }],
        });
        Contract::parse(file.to_string().as_bytes()).unwrap().contract
    }

    fn refusal(kind: EngineErrorKind, cause: ErrorCause) -> PublicError {
        let error = EngineError::new(kind, "sqlstate 42P01").because(cause);
        refused(&error, contract().capability("a.inspect").unwrap())
    }

    #[test]
    fn too_large_value_and_row_have_their_own_fix() {
        let kind = EngineErrorKind::TooLarge;
        for (cause, public, fix) in [
            (
                ErrorCause::ColumnTooLarge("note".to_owned()),
                "A value of the row in column `note` exceeds the size limit of 65536 bytes.",
                "leave the column `note` out",
            ),
            (
                ErrorCause::RowTooLarge("note".to_owned()),
                "together exceed the size limit of 196608 bytes; column `note` has the most.",
                "read fewer columns",
            ),
        ] {
            let refusal = refusal(kind, cause);
            assert!(refusal.public.contains(public), "{}", refusal.public);
            let of_operator = refusal.operator_fix.unwrap();
            assert!(of_operator.contains(fix), "{of_operator}");
            assert!(of_operator.contains("`max_chars` does not help"), "{of_operator}");
        }
    }

    #[test]
    fn hidden_column_is_named_to_the_operator_only() {
        for cause in [
            ErrorCause::ColumnTooLarge("secret".to_owned()),
            ErrorCause::RowTooLarge("secret".to_owned()),
        ] {
            let refusal = refusal(EngineErrorKind::TooLarge, cause);
            assert!(!refusal.public.contains("secret"), "{}", refusal.public);
            assert!(refusal.operator_fix.unwrap().contains("`secret`"));
        }
    }

    #[test]
    fn missing_table_is_named_with_the_doctor() {
        let refusal = refusal(EngineErrorKind::NotFound, ErrorCause::Unspecified);
        assert!(refusal.detail.unwrap().contains("`public.invoices`"));
        assert!(refusal.operator_fix.unwrap().contains("doctor --check-db"));
        assert!(!refusal.public.contains("invoices"), "{}", refusal.public);
    }
}
