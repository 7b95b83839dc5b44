//! Planning: one function for reader and writer, which rejects changes that the protocol cannot apply safely.

#![allow(clippy::unwrap_used, reason = "a broken fixture ends the test")]

use std::collections::BTreeMap;

use synapsor_codes::ErrorCode;
use synapsor_domain::change::{ChangePlan, changes_nothing, plan};
use synapsor_domain::contract::{Capability, Contract, EngineKind};
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::foreign_code::{CodeForm, ForeignCode, ForeignCodeKind};
use synapsor_domain::ids::{EvidenceId, ProposalId};
use synapsor_domain::proposal::{
    ApprovalTerms, EvidenceRef, Operation, PROPOSAL_VERSION, Proposal, ProposalMode, ProposalState,
    Requester, SourceRef, change_set_schema, change_set_view,
};
use synapsor_domain::schema::{TableColumn, TableSchema};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::tool::check_arguments;
use synapsor_domain::trust::DeploymentEnvironment;
use synapsor_domain::value::{ColumnValue, Value};

const CONTRACT: &str = r#"{
  "version": 1, "mode": "review", "result_format": 2,
  "sources": {"db": {"engine": "sqlite", "read_url_env": "READ_URL", "write_url_env": "WRITE_URL"}},
  "trusted_context": {"provider": "environment", "values": {"tenant_id_env": "TENANT", "principal_env": "PRINCIPAL"}},
  "capabilities": [{
    "name": "billing.waive", "kind": "proposal", "source": "db",
    "target": {"schema": "main", "table": "invoices", "primary_key": "id", "tenant_key": "tenant_id"},
    "args": {"invoice_id": {"type": "string"}, "fee": {"type": "number"}, "note": {"type": "string"}},
    "lookup": {"id_from_arg": "invoice_id"},
    "visible_columns": ["id", "fee", "note"],
    "patch": {"fee": {"from_arg": "fee"}, "note": {"from_arg": "note"}},
    "allowed_columns": ["fee", "note"],
    "numeric_bounds": {"fee": {"minimum": 0, "maximum": 5000}},
    "conflict_guard": {"column": "version"},
    "approval": {"mode": "human", "required_role": "lead"}
  }]
}"#;

fn capability() -> Capability {
    let contract = Contract::parse(CONTRACT.as_bytes()).unwrap().contract;
    contract.capabilities()[0].clone()
}

fn column(name: &str, declared: &str) -> TableColumn {
    TableColumn {
        name: name.to_owned(),
        declared_type: declared.to_owned(),
        nullable: true,
        generated: false,
        primary_key: name == "id",
        unique: name == "id",
        collation: None,
        base_type: None,
        labels: Vec::new(),
    }
}

fn shape() -> TableSchema {
    TableSchema {
        engine: EngineKind::Sqlite,
        schema: "main".to_owned(),
        table: "invoices".to_owned(),
        columns: vec![
            column("id", "TEXT"),
            column("tenant_id", "TEXT"),
            column("fee", "INTEGER"),
            column("note", "TEXT"),
            column("version", "INTEGER"),
        ],
        triggers: Vec::new(),
        rules: Vec::new(),
        policies: Vec::new(),
        referenced_by: Vec::new(),
        traits: Vec::new(),
        unique_keys: Vec::new(),
        foreign_code: Vec::new(),
    }
}

fn row() -> Vec<ColumnValue> {
    vec![
        ColumnValue::new("id", Value::text("INV-1")),
        ColumnValue::new("fee", Value::int(5500)),
        ColumnValue::new("note", Value::null()),
        ColumnValue::new("tenant_id", Value::text("acme")),
        ColumnValue::new("version", Value::int(7)),
    ]
}

fn args() -> BTreeMap<String, Value> {
    [
        ("invoice_id".to_owned(), Value::text("INV-1")),
        ("fee".to_owned(), Value::int(0)),
        ("note".to_owned(), Value::text("late courier")),
    ]
    .into()
}

/// Holds every value as it is, and digits in an integer column as that integer.
fn fit(column: &TableColumn, value: &Value) -> Result<Value, PublicError> {
    match value.as_text().and_then(|t| t.parse::<i64>().ok()) {
        Some(number) if column.declared_type == "INTEGER" => Ok(Value::int(number.into())),
        _ => Ok(value.clone()),
    }
}

fn planned(
    args: &BTreeMap<String, Value>,
    row: &[ColumnValue],
    shape: &TableSchema,
    tenant: &str,
) -> Result<ChangePlan, ErrorCode> {
    plan(&capability(), args, row, shape, &fit, tenant).map_err(|refusal| refusal.code)
}

fn with(column: &str, value: Value) -> Vec<ColumnValue> {
    let mut row = row();
    row.iter_mut().find(|c| c.column == column).unwrap().value = value;
    row
}

/// Makes a column of the table one that the database computes.
fn with_computed(name: &str, declared: &str) -> TableSchema {
    let mut shape = shape();
    shape.columns.retain(|column| column.name != name);
    shape.columns.push(TableColumn {
        generated: true,
        ..column(name, declared)
    });
    shape
}

#[test]
fn computed_columns_that_were_read_are_listed() {
    let mut row = row();
    row.push(ColumnValue::new("total", Value::int(5500)));
    let plan = planned(&args(), &row, &with_computed("total", "INTEGER"), "acme").unwrap();
    let line = "column total is computed by the database and follows".to_owned();
    assert_eq!(plan.side_effects, Vec::<String>::new());
    assert_eq!(plan.all_side_effects(), std::slice::from_ref(&line));
    // A reader before 0.2 lists none of them; any other list is not the plan's.
    assert!(plan.is_listed_by(&[]) && plan.is_listed_by(std::slice::from_ref(&line)));
    assert!(!plan.is_listed_by(&[line.clone(), line]) && !plan.is_listed_by(&["x".to_owned()]));
}

#[test]
fn unread_key_tenant_and_row_version_are_not_listed() {
    for (name, declared) in [
        ("total", "INTEGER"),
        ("tenant_id", "TEXT"),
        ("id", "TEXT"),
        ("version", "xid"),
    ] {
        let shape = with_computed(name, declared);
        let plan = planned(&args(), &row(), &shape, "acme").unwrap();
        assert_eq!(plan.all_side_effects(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn plan_names_row_new_values_and_version() {
    let plan = planned(&args(), &row(), &shape(), "acme").unwrap();
    assert_eq!(plan.target.keys, [ColumnValue::new("id", Value::text("INV-1"))]);
    assert_eq!(
        plan.target.tenant,
        Some(ColumnValue::new("tenant_id", Value::text("acme")))
    );
    let columns: Vec<_> = plan.set.iter().map(|c| c.column.as_str()).collect();
    assert_eq!(columns, ["fee", "note"]);
    assert_eq!(
        plan.guard.version,
        Some(ColumnValue::new("version", Value::int(7)))
    );
}

/// The capability with an optional argument for `fee` and `note` each, and these members in their bindings.
fn optional(fee: &str, note: &str) -> Capability {
    let file = CONTRACT
        .replace(
            "\"type\": \"number\"",
            "\"type\": \"number\", \"required\": false",
        )
        .replace(
            "\"note\": {\"type\": \"string\"",
            "\"note\": {\"type\": \"string\", \"required\": false",
        )
        .replace("{\"from_arg\": \"fee\"", &format!("{{\"from_arg\": \"fee\"{fee}"))
        .replace(
            "{\"from_arg\": \"note\"",
            &format!("{{\"from_arg\": \"note\"{note}"),
        );
    let contract = Contract::parse(file.as_bytes()).unwrap().contract;
    contract.capabilities()[0].clone()
}

const KEEP: &str = r#", "when_absent": "keep""#;
const NULL: &str = r#", "when_absent": "null""#;

#[test]
fn absent_argument_keeps_or_empties_its_column() {
    let set = |capability: &Capability, given: &[&str]| {
        let args: BTreeMap<_, _> = args()
            .into_iter()
            .filter(|(name, _)| name == "invoice_id" || given.contains(&name.as_str()))
            .collect();
        let plan = plan(capability, &args, &row(), &shape(), &fit, "acme");
        plan.map(|plan| {
            let values = plan.set.iter().map(|c| (c.column.clone(), c.value.clone()));
            values.collect::<Vec<_>>()
        })
    };
    let (fee, note) = (("fee".to_owned(), Value::int(0)), Value::text("late courier"));
    let (noted, emptied) = (("note".to_owned(), note), ("note".to_owned(), Value::null()));
    for binding in ["", NULL] {
        let capability = optional(KEEP, binding);
        assert_eq!(
            set(&capability, &["fee"]).unwrap(),
            [fee.clone(), emptied.clone()],
            "{binding}"
        );
        assert_eq!(set(&capability, &["note"]).unwrap(), std::slice::from_ref(&noted));
        assert_eq!(set(&capability, &[]).unwrap(), std::slice::from_ref(&emptied));
    }
    let kept = optional(KEEP, KEEP);
    assert_eq!(set(&kept, &["fee"]).unwrap(), std::slice::from_ref(&fee));
    assert_eq!(set(&kept, &["note"]).unwrap(), std::slice::from_ref(&noted));
    assert_eq!(set(&kept, &["fee", "note"]).unwrap(), [fee, noted]);
    let nothing = set(&kept, &[]).unwrap_err();
    assert_eq!(nothing.code, ErrorCode::NothingToChange);
    assert!(nothing.public.contains("`fee`, `note`"), "{nothing}");
    let fix = nothing.operator_fix.unwrap();
    assert!(fix.contains("pass one of these arguments"), "{fix}");
}

/// The writer plans again from the signed arguments, so a column that no binding keeps must be in the change.
#[test]
fn column_that_no_binding_keeps_is_never_left_out() {
    let set = [ColumnValue::new("fee", Value::int(0))];
    let refusal = |capability: &Capability| {
        synapsor_domain::guard::check_columns(capability, &set)
            .map_err(|refusal| refusal.code)
            .err()
    };
    assert_eq!(refusal(&optional(KEEP, KEEP)), None);
    for capability in [capability(), optional(KEEP, ""), optional(KEEP, NULL)] {
        assert_eq!(refusal(&capability), Some(ErrorCode::PatchColumnNotAllowed));
    }
}

#[test]
fn change_to_present_values_changes_nothing() {
    let nothing = |capability: &Capability, fee: &str, note: &str, row: &[ColumnValue]| {
        let json = format!(r#"{{"invoice_id": "INV-1", "fee": {fee}, "note": {note}}}"#);
        let arguments = check_arguments(capability, json.as_bytes()).unwrap();
        changes_nothing(capability, &arguments, row, &shape(), &fit)
    };
    let same = with("note", Value::text("x"));
    assert!(nothing(&capability(), "5500", "\"x\"", &same));
    assert!(
        nothing(&capability(), "55e2", "\"x\"", &same),
        "other spelling, same number"
    );
    assert!(
        nothing(&optional(KEEP, KEEP), "null", "\"x\"", &same),
        "the other one is kept"
    );
    assert!(
        nothing(&optional("", ""), "5500", "null", &row()),
        "null stays null"
    );
    for (fee, note) in [
        ("5499", "\"x\""),
        ("5500", "\"X\""),
        ("5500", "\"x \""),
        ("5500", "\"\""),
    ] {
        assert!(!nothing(&capability(), fee, note, &same), "{fee} {note}");
    }
    let hidden = CONTRACT.replace("[\"id\", \"fee\", \"note\"]", "[\"id\", \"fee\"]");
    let hidden = Contract::parse(hidden.as_bytes()).unwrap().contract;
    assert!(
        !nothing(&hidden.capabilities()[0], "5500", "\"x\"", &same),
        "a refusal would disclose a hidden value"
    );
}

#[test]
fn rejects_plan_for_row_of_other_key_or_tenant() {
    assert_eq!(
        planned(&args(), &row(), &shape(), "globex").unwrap_err(),
        ErrorCode::RowNotFound
    );
    assert_eq!(
        planned(&args(), &row(), &shape(), "ACME").unwrap_err(),
        ErrorCode::RowNotFound
    );
    let other = with("id", Value::text("INV-2"));
    assert_eq!(
        planned(&args(), &other, &shape(), "acme").unwrap_err(),
        ErrorCode::RowNotFound
    );
    assert_eq!(
        planned(&args(), &with("tenant_id", Value::null()), &shape(), "acme").unwrap_err(),
        ErrorCode::RowNotFound
    );
}

#[test]
fn rejects_null_or_missing_version() {
    let null = with("version", Value::null());
    assert_eq!(
        planned(&args(), &null, &shape(), "acme").unwrap_err(),
        ErrorCode::ConflictGuardNull
    );
    let missing = &row()[..4];
    assert_eq!(
        planned(&args(), missing, &shape(), "acme").unwrap_err(),
        ErrorCode::ConflictGuardMissing
    );
}

#[test]
fn rejects_views_generated_columns_and_non_unique_keys() {
    let mut view = shape();
    view.traits.push("view".to_owned());
    let mut generated = shape();
    generated.columns[2].generated = true;
    let mut repeated = shape();
    repeated.columns[0].unique = false;
    let mut without = shape();
    without.columns.remove(3);
    for bad in [view, generated, repeated, without] {
        assert_eq!(
            planned(&args(), &row(), &bad, "acme").unwrap_err(),
            ErrorCode::PlanImpossible
        );
    }
}

#[test]
fn rejects_arguments_out_of_bounds_or_of_wrong_type() {
    let error_with = |name: &str, value: Value| {
        let mut args = args();
        args.insert(name.to_owned(), value);
        planned(&args, &row(), &shape(), "acme").unwrap_err()
    };
    assert_eq!(error_with("fee", Value::int(5001)), ErrorCode::PatchAboveMaximum);
    assert_eq!(error_with("fee", Value::int(-1)), ErrorCode::PatchBelowMinimum);
    assert_eq!(
        error_with("fee", Value::text("1")),
        ErrorCode::ArgumentTypeInvalid
    );
    assert_eq!(
        error_with("tenant_id", Value::text("globex")),
        ErrorCode::ModelCannotOverrideBinding
    );
    assert_eq!(error_with("more", Value::int(1)), ErrorCode::ArgumentUnknown);
}

#[test]
fn rejects_string_for_numeric_column() {
    let mut numbers = shape();
    numbers.columns[3].declared_type = "INTEGER".to_owned();
    let mut args = args();
    args.insert("note".to_owned(), Value::text("12"));
    assert_eq!(
        planned(&args, &row(), &numbers, "acme").unwrap_err(),
        ErrorCode::ValueDoesNotFit
    );
}

fn audit(form: CodeForm) -> ForeignCode {
    let definition = BTreeMap::from([("sql", "INSERT INTO audit ...".to_owned())]);
    ForeignCode::new(ForeignCodeKind::Trigger, "audit", &definition, Vec::new(), form)
}

/// The capability with `side_effects_ack`, as a file would give it.
fn acknowledging(code: &ForeignCode) -> Capability {
    let mut entry: serde_json::Value = serde_json::from_str(&code.ack_entry()).unwrap();
    entry["writes"] = serde_json::json!([{"table": "main.audit_log", "rows": 1}]);
    let mut file: serde_json::Value = serde_json::from_str(CONTRACT).unwrap();
    file["capabilities"][0]["side_effects_ack"] = serde_json::json!([entry]);
    let contract = Contract::parse(file.to_string().as_bytes()).unwrap().contract;
    contract.capabilities()[0].clone()
}

#[test]
fn foreign_code_requires_matching_acknowledgement() {
    let code = audit(CodeForm::Acknowledgeable);
    let mut table = shape();
    table.foreign_code.push(code.clone());
    let refused = plan(&capability(), &args(), &row(), &table, &fit, "acme").unwrap_err();
    assert_eq!(refused.code, ErrorCode::SideEffectNotAcknowledged);
    assert!(refused.public.contains("trigger `audit`") && refused.public.contains("doctor --check-db"));

    let plan = |table: &TableSchema| plan(&acknowledging(&code), &args(), &row(), table, &fit, "acme");
    let line = format!(
        "acknowledged trigger audit ({}): may write 1 row of main.audit_log",
        code.digest
    );
    assert_eq!(plan(&table).unwrap().side_effects, [line]);
    assert_eq!(plan(&shape()).unwrap_err().code, ErrorCode::SideEffectAckStale);
}

#[test]
fn closed_code_keeps_fingerprint_and_side_effects() {
    let mut table = shape();
    table.foreign_code.push(audit(CodeForm::Closed));
    assert_eq!(table.fingerprint(), shape().fingerprint());
    let plan = planned(&args(), &row(), &table, "acme").unwrap();
    assert_eq!(plan.side_effects, Vec::<String>::new());
}

fn proposal() -> Proposal {
    let plan = planned(&args(), &row(), &shape(), "acme").unwrap();
    let digest = Digest::of_typed("test", b"");
    Proposal {
        v: PROPOSAL_VERSION,
        id: ProposalId::from_random([1; 10]),
        ledger_origin: "synapsor/d1".to_owned(),
        environment: DeploymentEnvironment::Dev,
        source: SourceRef {
            id: "db".to_owned(),
            engine: "sqlite".to_owned(),
            fingerprint: "sqlite:x".to_owned(),
        },
        capability: "billing.waive".to_owned(),
        contract_digest: digest,
        mode: ProposalMode::Review,
        executor: "sql_update".to_owned(),
        operation: Operation::Update,
        args: args(),
        target: plan.target,
        set: plan.set,
        before: row(),
        guard: plan.guard,
        schema_fingerprint: digest,
        side_effects: Vec::new(),
        approval: ApprovalTerms {
            required_role: "lead".to_owned(),
            quorum: 1,
        },
        requested_by: Requester {
            tenant: "acme".to_owned(),
            principal: "agent".to_owned(),
            provenance: "environment".to_owned(),
            client: "spiffe://d1/gateway/a".to_owned(),
        },
        on_behalf_of: None,
        context_binding: digest,
        evidence: vec![EvidenceRef {
            id: EvidenceId::from_random([2; 10]),
            digest,
        }],
        created_at: Timestamp::from_unix_millis(0),
        not_after: Timestamp::from_unix_millis(1),
    }
}

/// A proposal whose row is found by two columns.
fn of_two_keys() -> Proposal {
    let mut proposal = proposal();
    proposal
        .target
        .keys
        .insert(0, ColumnValue::new("tenant_id", Value::text("acme")));
    proposal
}

#[test]
fn form_of_a_proposal_belongs_to_its_version() {
    let known = |v: u32, mut proposal: Proposal| {
        proposal.v = v;
        proposal.has_known_version()
    };
    assert!(known(1, proposal()) && known(2, proposal()) && known(2, of_two_keys()));
    assert!(!known(1, of_two_keys()), "version 1 has one key column");
    assert!(!known(0, proposal()) && !known(3, proposal()));
}

#[test]
fn fingerprint_covers_used_columns_or_in_version_1_all() {
    let (newer, mut older) = (proposal(), proposal());
    older.v = 1;
    let altered = |change: &dyn Fn(&mut TableSchema)| {
        let mut table = shape();
        change(&mut table);
        [&newer, &older].map(|of| of.fingerprint_of(&table) != of.fingerprint_of(&shape()))
    };
    assert_eq!(
        altered(&|table| table.columns.push(column("colour", "TEXT"))),
        [false, true]
    );
    // Read, written, key, tenant, guard.
    for used in 0..shape().columns.len() {
        let longer = |table: &mut TableSchema| table.columns[used].declared_type.push('X');
        assert_eq!(altered(&longer), [true, true], "{}", shape().columns[used].name);
    }
    assert_eq!(
        altered(&|table| table.traits.push("unlogged".to_owned())),
        [true, true]
    );
}

#[test]
fn every_key_column_of_the_locked_row_is_checked() {
    let check = |row: &[ColumnValue]| synapsor_domain::guard::check_scope(&of_two_keys(), row).is_ok();
    assert!(check(&row()));
    assert!(!check(&with("id", Value::text("INV-2"))));
    assert!(!check(&with("tenant_id", Value::text("globex"))));
}

#[test]
fn change_set_names_every_key_column_if_there_are_several() {
    let digest = Digest::of_typed("test", b"proposal");
    let view = |proposal| change_set_view(&proposal, &digest, ProposalState::PendingReview);
    let several = view(of_two_keys());
    assert_eq!(
        several.pointer("/source/primary_key/column").unwrap(),
        "tenant_id"
    );
    assert_eq!(several.pointer("/source/primary_keys/1/value").unwrap(), "INV-1");
    assert_eq!(several.pointer("/scope/object_id").unwrap(), "INV-1");
    assert!(view(proposal()).pointer("/source/primary_keys").is_none());
}

#[test]
fn change_set_shows_before_patch_after_and_state() {
    let digest = Digest::of_typed("test", b"proposal");
    let view = change_set_view(&proposal(), &digest, ProposalState::PendingReview);
    let at = |pointer: &str| view.pointer(pointer).unwrap().clone();
    assert_eq!(at("/before/fee"), 5500);
    assert_eq!(at("/patch/fee"), 0);
    assert_eq!(at("/after/fee"), 0);
    assert_eq!(at("/after/version"), 7);
    assert_eq!(at("/guards/expected_version/value"), 7);
    assert_eq!(at("/mode"), "review_required");
    assert_eq!(at("/integrity/proposal_hash"), digest.to_string());
    let words = |state| {
        let view = change_set_view(&proposal(), &digest, state);
        (
            view["approval"]["status"].clone(),
            view["writeback"]["status"].clone(),
        )
    };
    assert_eq!(
        words(ProposalState::Rejected),
        ("rejected".into(), "not_applied".into())
    );
    assert_eq!(
        words(ProposalState::Applied),
        ("approved".into(), "applied".into())
    );
    assert_eq!(
        words(ProposalState::Expired),
        ("canceled".into(), "canceled".into())
    );
    let mut shadow = proposal();
    shadow.mode = ProposalMode::Shadow;
    assert_eq!(
        change_set_view(&shadow, &digest, ProposalState::PendingReview)["mode"],
        "shadow"
    );
}

#[test]
fn change_set_has_exactly_the_schema_keys() {
    let view = change_set_view(
        &proposal(),
        &Digest::of_typed("test", b""),
        ProposalState::Approved,
    );
    let schema = change_set_schema();
    let known: Vec<_> = schema["properties"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let shown: Vec<_> = view.as_object().unwrap().keys().cloned().collect();
    assert_eq!(shown, known);
}
