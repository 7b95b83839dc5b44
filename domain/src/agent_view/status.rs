//! Result of the status tool: the state of a proposal in a few words. Built from the ledger's record, which is already
//! restricted.

use serde_json::{Value as Json, json};

use crate::contract::ResultFormat;
use crate::tool::STATUS_TOOL;

/// The envelope in the given format; `None` if `record` is not the resource of a proposal.
pub fn status_envelope(record: &Json, format: ResultFormat) -> Option<Json> {
    let proposal = record.get("proposal")?;
    let text = |name: &str| proposal.get(name).and_then(Json::as_str);
    let (id, state, next) = (text("proposal_id")?, text("state")?, text("next")?);
    let is_changed = proposal.get("source_database_changed") == Some(&Json::Bool(true));
    let mut status = json!({
        "proposal_id": id,
        "capability": text("action")?,
        "state": state,
        "reason": reason(record),
        "next": next,
    });
    Some(match format {
        ResultFormat::V1 => {
            let object = status.as_object_mut()?;
            object.insert("status".to_owned(), "ok".into());
            object.insert("action".to_owned(), STATUS_TOOL.into());
            object.insert("source_database_changed".to_owned(), is_changed.into());
            object.insert("source_database_mutated".to_owned(), is_changed.into());
            status
        }
        ResultFormat::V2 => json!({
            "ok": true,
            "summary": format!("Proposal {id}: {state}."),
            "action": STATUS_TOOL,
            "kind": "read",
            "data": status,
            "proposal": null,
            "error": null,
            "evidence": null,
            "source_database_changed": is_changed,
            "_meta": {
                "tenant_id": proposal.pointer("/target/tenant_id")?,
                "principal": proposal.get("principal")?,
                "canonical_capability": STATUS_TOOL,
            },
        }),
    })
}

/// Returns why the proposal ended: the operator's reason of a rejection, otherwise the writer's reason.
fn reason(record: &Json) -> Json {
    let of_operator = record
        .pointer("/proposal/rejection_reason")
        .and_then(Json::as_str);
    let of_writer = record.pointer("/receipts/0/reason").and_then(Json::as_str);
    let reason = of_operator.or(of_writer).filter(|reason| !reason.is_empty());
    reason.map_or(Json::Null, Json::from)
}
