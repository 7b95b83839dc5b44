//! A tool for each code, and tool lists in every shape.

use serde_json::{Value as Json, json};

use super::*;

/// A tool of our own form: semantic, proposed, described, with schemas.
fn sound() -> Json {
    json!({
        "name": "billing.propose_late_fee_waiver",
        "description": "Proposes to waive the late fee of one invoice. An operator reviews it; models cannot approve it.",
        "inputSchema": {"type": "object", "properties": {"invoice_id": {"type": "string"}}},
        "outputSchema": {"type": "object"},
        "annotations": {"readOnlyHint": false, "destructiveHint": false},
        "examples": [{"invoice_id": "INV-1"}],
    })
}

fn codes_of(tool: &Json) -> Vec<&'static str> {
    let tools = tools_of(&json!({ "tools": [tool] }));
    assert_eq!(tools.len(), 1, "{tool}");
    audit(&tools)
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

/// The sound tool with other members.
fn with(members: Json) -> Json {
    let mut tool = sound();
    for (key, value) in members.as_object().unwrap() {
        match value {
            Json::Null => drop(tool.as_object_mut().unwrap().remove(key)),
            value => tool[key] = value.clone(),
        }
    }
    tool
}

#[test]
fn reviewed_proposal_tool_has_no_finding() {
    assert_eq!(codes_of(&sound()), [""; 0]);
}

#[test]
fn each_code_has_a_tool_that_causes_it() {
    let field = |name: &str| json!({"type": "object", "properties": {"filter": {"properties": {name: {}}}}});
    let cases = [
        ("GENERIC_SQL_TOOL", with(json!({"name": "executeSql"}))),
        (
            "GENERIC_SQL_TOOL",
            with(json!({"description": "Runs any SQL on the warehouse."})),
        ),
        (
            "WRITE_TOOL_ACCEPTS_ARBITRARY_SQL",
            with(json!({"name": "run_query", "inputSchema": field("statement")})),
        ),
        (
            "ARBITRARY_IDENTIFIER_INPUT",
            with(json!({"inputSchema": field("table_name")})),
        ),
        (
            "MODEL_CONTROLLED_TRUST_SCOPE",
            with(json!({"inputSchema": field("tenantId")})),
        ),
        (
            "MODEL_CALLABLE_COMMIT_OR_APPROVAL",
            with(json!({"name": "approve_proposal"})),
        ),
        (
            "MODEL_CALLABLE_COMMIT_OR_APPROVAL",
            with(json!({"name": "finish", "description": "Commits the pending change."})),
        ),
        (
            "WRITE_WITHOUT_PROPOSAL_BOUNDARY",
            with(json!({"name": "refund_order", "description": "Refunds an order."})),
        ),
        (
            "NO_IDEMPOTENCY_FIELD",
            with(json!({"name": "refund_order", "description": "Refunds an order."})),
        ),
        (
            "NO_CONFLICT_GUARD",
            with(json!({"name": "update_order", "description": "Updates an order."})),
        ),
        (
            "AMBIGUOUS_READ_WRITE_TOOL",
            with(json!({"name": "get_or_create_customer", "description": "Finds or creates."})),
        ),
        ("NO_STRUCTURED_OUTPUT_SCHEMA", with(json!({"outputSchema": null}))),
        ("MISSING_BUSINESS_DESCRIPTION", with(json!({"description": null}))),
        ("MISSING_RISK_ANNOTATIONS", with(json!({"annotations": null}))),
        ("MISSING_TEST_FIXTURE", with(json!({"examples": null}))),
    ];
    let mut seen = vec!["NO_TOOLS_FOUND"];
    for (code, tool) in cases {
        let found = codes_of(&tool);
        assert!(found.contains(&code), "{tool}: {found:?}");
        seen.push(code);
    }
    assert_eq!(audit(&[])[0].code, AuditCode::NoToolsFound);
    for code in AuditCode::ALL {
        assert!(seen.contains(&code.as_str()), "{code:?}");
    }
}

#[test]
fn negated_and_reading_words_cause_no_finding() {
    for description in [
        "Shows the last refund of a customer. It never runs SQL.",
        "Shows one invoice. This tool does not update the invoice, and cannot approve a change.",
    ] {
        let tool = with(json!({
            "name": "billing.inspect_invoice", "description": description,
            "annotations": {"readOnlyHint": true, "destructiveHint": false},
        }));
        assert_eq!(codes_of(&tool), [""; 0], "{description}");
    }
}

#[test]
fn idempotency_key_and_version_satisfy_their_rules() {
    let properties = json!({"properties": {"idempotency_key": {}, "row_etag": {}, "etag": {}}});
    let found = codes_of(&with(
        json!({"name": "update_order", "description": "Updates.", "inputSchema": properties}),
    ));
    assert_eq!(found, ["WRITE_WITHOUT_PROPOSAL_BOUNDARY"]);
}

#[test]
fn tools_are_found_in_every_accepted_shape() {
    let tool = json!({"tool_name": "a", "summary": "A.", "args_schema": {"properties": {"sql": {}}}});
    for document in [
        json!([tool]),
        json!({"tools": [tool]}),
        json!({"result": {"tools": [tool]}}),
        json!({"data": {"adapter": {"tools": [tool]}}}),
        json!({"mcpServers": {"x": {"tools": [tool]}}}),
        json!({"manifest": {"servers": [{"tools": [tool]}]}}),
        json!({"tools": {"a": {"parameters": {"properties": {"sql": {}}}}}}),
        json!({"tools": [{"type": "function", "function": {"name": "a", "parameters": {"properties": {"sql": {}}}}}]}),
    ] {
        let found = tools_of(&document);
        assert_eq!(found.len(), 1, "{document}");
        assert_eq!(
            (found[0].name.as_str(), found[0].fields.as_slice()),
            ("a", &["sql".to_owned()][..])
        );
    }
    assert_eq!(tools_of(&json!({"other": [tool]})), []);
    assert_eq!(tools_of(&json!("text")), []);
}

#[test]
fn deep_documents_are_bounded_and_many_tools_are_not() {
    let mut deep = json!({"tools": [{"name": "a"}]});
    for _ in 0..20 {
        deep = json!({ "result": deep });
    }
    assert_eq!(tools_of(&deep), []);
    let mut many: Vec<Json> = (0..3_000).map(|n| json!({"name": format!("t{n}")})).collect();
    many.push(json!({"name": "execute_sql"}));
    let found = audit(&tools_of(&json!(many)));
    assert_eq!(found[0].code, AuditCode::GenericSqlTool);
}

/// Texts that hide a risk behind other words.
#[test]
fn risks_are_found_behind_other_words() {
    for (tool, code) in [
        (
            json!({"name": "query", "description": "Run a read-only SQL query."}),
            "GENERIC_SQL_TOOL",
        ),
        (
            json!({"name": "x", "description": "No setup needed: executes any SQL query."}),
            "GENERIC_SQL_TOOL",
        ),
        (
            json!({"name": "x", "description": "Without restrictions, runs any SQL statement."}),
            "GENERIC_SQL_TOOL",
        ),
        (
            json!({"name": "x", "description": "Permanently deletes a customer."}),
            "WRITE_WITHOUT_PROPOSAL_BOUNDARY",
        ),
        (
            json!({"name": "x", "description": "Use this tool to update or delete customers."}),
            "WRITE_WITHOUT_PROPOSAL_BOUNDARY",
        ),
        (
            json!({"name": "delete_review", "description": "Deletes a product review."}),
            "WRITE_WITHOUT_PROPOSAL_BOUNDARY",
        ),
        (
            json!({"name": "x", "description": "Updates the customer. Please review the docs."}),
            "WRITE_WITHOUT_PROPOSAL_BOUNDARY",
        ),
    ] {
        let found = codes_of(&tool);
        assert!(found.contains(&code), "{tool}: {found:?}");
    }
    let two = json!({"servers": {
        "a": {"tools": [{"name": "q", "inputSchema": {}}]},
        "b": {"tools": [{"name": "q", "inputSchema": null, "parameters": {"$defs": {"x": {"properties": {"sql": {}}}}}}]},
    }});
    let found = audit(&tools_of(&two));
    assert!(
        found
            .iter()
            .any(|finding| finding.code == AuditCode::WriteToolAcceptsArbitrarySql),
        "{found:?}"
    );
}

#[test]
fn findings_are_ordered_by_severity() {
    let tools = tools_of(&json!([{"name": "b"}, {"name": "execute_sql"}]));
    let severities: Vec<_> = audit(&tools).iter().map(|finding| finding.severity).collect();
    let mut sorted = severities.clone();
    sorted.sort_by_key(|severity| std::cmp::Reverse(*severity));
    assert_eq!(severities, sorted);
    assert_eq!(severities[0], AuditSeverity::High);
}
