//! Text of a result for models: the envelope without what a model does not need. Structured content keeps every key.

use serde_json::{Map, Value as Json};

use crate::contract::ResultFormat;

/// Members that repeat what the client already has.
const OMITTED: [&str; 3] = ["action", "kind", "_meta"];

/// Returns the text of a result. Format 1 has the whole envelope, indented, as in 0.1.x. Format 2 is compact and omits
/// members that are null, what the client knows, and the note on evidence.
pub fn model_text(envelope: &Json, format: ResultFormat) -> String {
    let (ResultFormat::V2, Json::Object(members)) = (format, envelope) else {
        return format!("{envelope:#}");
    };
    let small: Map<String, Json> = members
        .iter()
        .filter(|(name, value)| !value.is_null() && !OMITTED.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), without_note(name, value)))
        .collect();
    Json::Object(small).to_string()
}

fn without_note(name: &str, value: &Json) -> Json {
    let mut value = value.clone();
    if let ("evidence", Json::Object(evidence)) = (name, &mut value) {
        evidence.shift_remove("note");
    }
    value
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_of_format_2_is_the_small_part_of_the_envelope() {
        let envelope = json!({
            "ok": true, "summary": "Read loans L-1.", "action": "loans.inspect_loan", "kind": "read",
            "data": {"id": "L-1", "note": null, "action": "kept", "kind": null}, "proposal": null, "error": null,
            "evidence": {"bundle_id": "ev_1", "note": "An audit handle."},
            "source_database_changed": false, "_meta": {"tenant_id": "north"},
        });
        assert_eq!(
            model_text(&envelope, ResultFormat::V2),
            r#"{"ok":true,"summary":"Read loans L-1.","data":{"id":"L-1","note":null,"action":"kept","kind":null},"evidence":{"bundle_id":"ev_1"},"source_database_changed":false}"#
        );
        assert_eq!(model_text(&envelope, ResultFormat::V1), format!("{envelope:#}"));
    }
}
