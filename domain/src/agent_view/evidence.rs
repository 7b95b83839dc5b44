//! Evidence view, restricted to the columns that agents may see now.

use serde_json::{Value as Json, json};

use super::{Visible, cut, is_visible, object_id};
use crate::evidence::{AuditRecord, Evidence};
use crate::ids::ProposalId;
use crate::result_envelope::value_to_json;
use crate::value::ColumnValue;

/// What the ledger holds about one evidence bundle.
#[derive(Clone, Copy, Debug)]
pub struct EvidenceFacts<'a> {
    pub evidence: &'a Evidence,
    /// The audit record of the call that read it.
    pub audit: Option<&'a AuditRecord>,
    /// Proposals of the same tenant that use it.
    pub proposals: &'a [ProposalId],
}

/// The resource `synapsor://evidence/{evidence_bundle_id}`.
pub fn evidence_view(facts: &EvidenceFacts<'_>, visible: Visible<'_>) -> Json {
    let mut view = bundle(facts, visible);
    view["query_audit"] = facts.audit.into_iter().map(|a| audit(a, visible)).collect();
    view
}

pub(super) fn bundle(facts: &EvidenceFacts<'_>, visible: Visible<'_>) -> Json {
    let evidence = facts.evidence;
    let target = &evidence.target;
    let id = object_id(visible, target);
    let shown = |key: &ColumnValue| {
        let value = id.as_ref().map(|_| value_to_json(&key.value));
        json!({"column": key.column, "value": value})
    };
    let mut view = json!({
        "evidence_bundle_id": evidence.id,
        "proposal_ids": facts.proposals,
        "capability": evidence.capability,
        "tenant_id": evidence.requested_by.tenant,
        "principal": evidence.requested_by.principal,
        "source_id": evidence.source.id,
        "business_object": evidence.target.table,
        "object_id": id,
        "query_fingerprint": evidence.query_fingerprint,
        "items": [{
            "kind": "external_row",
            "table": evidence.target.table,
            "primary_key": shown(&target.keys[0]),
            "visible_row": cut(visible, &evidence.row),
        }],
        "source_database_changed": false,
        "created_at": evidence.read_at,
    });
    if target.keys.len() > 1 {
        view["items"][0]["primary_keys"] = target.keys.iter().map(shown).collect();
    }
    view
}

pub(super) fn audit(record: &AuditRecord, visible: Visible<'_>) -> Json {
    let columns: Vec<&String> = record
        .columns
        .iter()
        .filter(|column| is_visible(visible, column))
        .collect();
    json!({
        "audit_id": record.id,
        "capability": record.capability,
        "query_fingerprint": record.query_fingerprint,
        "columns": columns,
        "row_count": record.row_count,
        "tenant_bound": record.tenant_bound,
        "parameters_redacted": true,
        "created_at": record.at,
    })
}
