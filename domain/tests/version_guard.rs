//! Version columns: guard strength by type, advancing by the writer, and the check after the update.

#![allow(clippy::unwrap_used, reason = "a broken fixture ends the test")]

use std::collections::BTreeMap;

use synapsor_codes::ErrorCode;
use synapsor_domain::change::{ChangePlan, plan};
use synapsor_domain::contract::{Capability, Contract, EngineKind, VersionAdvance};
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::guard::{NotAdvanced, check_advanced, guard_strength, reads_back};
use synapsor_domain::proposal::{GuardStrength, Proposal};
use synapsor_domain::review::ReviewDocument;
use synapsor_domain::schema::{TableColumn, TableSchema};
use synapsor_domain::value::{ColumnValue, Value, ValueKind, find};

const CONTRACT: &str = r#"{
  "version": 1, "mode": "review", "result_format": 2,
  "sources": {"db": {"engine": "postgres", "read_url_env": "READ_URL", "write_url_env": "WRITE_URL"}},
  "trusted_context": {"provider": "environment", "values": {"tenant_id_env": "TENANT", "principal_env": "PRINCIPAL"}},
  "capabilities": [{
    "name": "billing.waive", "kind": "proposal", "source": "db",
    "target": {"schema": "app", "table": "invoices", "primary_key": "id", "tenant_key": "tenant_id"},
    "args": {"invoice_id": {"type": "string"}, "note": {"type": "string"}},
    "lookup": {"id_from_arg": "invoice_id"},
    "visible_columns": ["id", "note"],
    "patch": {"note": {"from_arg": "note"}},
    "allowed_columns": ["note"],
    "conflict_guard": GUARD
  }]
}"#;

/// A table with one version column of this type and value, under a contract with this guard.
struct Case {
    engine: EngineKind,
    guard: &'static str,
    declared: &'static str,
    version: Value,
}

impl Case {
    fn capability(&self) -> Capability {
        let text = CONTRACT.replace("GUARD", self.guard);
        Contract::parse(text.as_bytes()).unwrap().contract.capabilities()[0].clone()
    }

    fn shape(&self) -> TableSchema {
        let engine = self.engine;
        let name = if self.guard.contains("xmin") {
            "xmin"
        } else {
            "version"
        };
        let mut version = column(name, self.declared);
        version.generated = name == "xmin";
        TableSchema {
            engine,
            schema: "app".to_owned(),
            table: "invoices".to_owned(),
            columns: vec![
                column("id", "text"),
                column("tenant_id", "text"),
                column("note", "text"),
                version,
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

    fn row(&self) -> Vec<ColumnValue> {
        let version = |name: &str| match name {
            "id" => Value::text("INV-1"),
            "note" => Value::null(),
            "tenant_id" => Value::text("acme"),
            _ => self.version.clone(),
        };
        let capability = self.capability();
        let columns = capability.read_columns();
        columns
            .into_iter()
            .map(|name| ColumnValue::new(name, version(name)))
            .collect()
    }

    fn plan(&self) -> Result<ChangePlan, PublicError> {
        let args: BTreeMap<String, Value> = [
            ("invoice_id".to_owned(), Value::text("INV-1")),
            ("note".to_owned(), Value::text("paid")),
        ]
        .into();
        plan(
            &self.capability(),
            &args,
            &self.row(),
            &self.shape(),
            &fit,
            "acme",
        )
    }

    fn refusal(&self) -> ErrorCode {
        self.plan().unwrap_err().code
    }

    fn proposal(&self) -> Proposal {
        let plan = self.plan().unwrap();
        let digest = format!("sha256:{}", "0".repeat(64));
        let text = serde_json::json!({
            "v": 1, "id": "wrp_00000000000000000000", "ledger_origin": "synapsor/x", "environment": "dev",
            "source": {"id": "db", "engine": self.engine, "fingerprint": "x:1"}, "capability": "billing.waive",
            "contract_digest": digest, "mode": "review", "executor": "sql_update", "operation": "update",
            "args": {}, "target": plan.target, "set": plan.set, "before": self.row(), "guard": plan.guard,
            "schema_fingerprint": digest, "side_effects": plan.side_effects,
            "approval": {"required_role": "approver", "quorum": 1},
            "requested_by": {"tenant": "acme", "principal": "p", "provenance": "environment", "client": "c"},
            "on_behalf_of": null, "context_binding": digest, "evidence": [],
            "created_at": "2026-01-01T00:00:00.000Z", "not_after": "2026-01-08T00:00:00.000Z",
        });
        serde_json::from_value(text).unwrap()
    }

    /// Runs the check after the update on a row with this version.
    fn after(&self, is_maintained: bool, version: Option<Value>) -> Result<(), NotAdvanced> {
        let proposal = self.proposal();
        let name = &proposal.guard.version.as_ref().unwrap().column;
        let row: Vec<_> = version.map(|v| ColumnValue::new(name, v)).into_iter().collect();
        check_advanced(&proposal, is_maintained, &row)
    }
}

fn case(guard: &'static str, declared: &'static str, version: Value) -> Case {
    Case {
        engine: EngineKind::Postgres,
        guard,
        declared,
        version,
    }
}

const PLAIN: &str = r#"{"column": "version"}"#;
const INCREMENT: &str = r#"{"column": "version", "advance": "increment"}"#;
const NOW: &str = r#"{"column": "version", "advance": "now"}"#;
const XMIN: &str = r#"{"column": "xmin"}"#;
const WEAK: &str = r#"{"weak_guard_ack": true}"#;

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

/// Accepts 16-bit integers unchanged; `numeric(9,2)` writes trailing zeros.
fn fit(column: &TableColumn, value: &Value) -> Result<Value, PublicError> {
    let number = value.as_text().and_then(|text| text.parse::<i128>().ok());
    match (column.declared_type.as_str(), number) {
        ("smallint", Some(number)) if i16::try_from(number).is_err() => {
            Err(PublicError::new(ErrorCode::ValueDoesNotFit, "too large"))
        }
        ("numeric(9,2)", Some(number)) => Ok(Value::exact(ValueKind::Dec, format!("{number}.00"))),
        ("json", _) => Ok(Value::exact(ValueKind::Json, value.as_text().unwrap_or_default())),
        _ => Ok(value.clone()),
    }
}

fn ts(text: &str) -> Value {
    Value::exact(ValueKind::Ts, text)
}

#[test]
fn guard_strength_follows_the_column_type() {
    use GuardStrength::{Medium, Strong, Weak};
    for (engine, declared, value, strength) in [
        (EngineKind::Postgres, "bigint", Value::int(7), Strong),
        (
            EngineKind::Postgres,
            "numeric(19,0)",
            Value::exact(ValueKind::Dec, "7"),
            Strong,
        ),
        (
            EngineKind::Postgres,
            "timestamp with time zone",
            Value::exact(ValueKind::Tstz, "x"),
            Medium,
        ),
        (
            EngineKind::Postgres,
            "timestamp(6) without time zone",
            ts("x"),
            Medium,
        ),
        (
            EngineKind::Postgres,
            "timestamp(3) without time zone",
            ts("x"),
            Weak,
        ),
        (EngineKind::Mysql, "datetime(6)", ts("x"), Medium),
        (EngineKind::Mysql, "datetime(5)", ts("x"), Weak),
        (EngineKind::Mysql, "timestamp", ts("x"), Weak),
        (
            EngineKind::Sqlite,
            "TEXT",
            Value::text("2026-01-02 03:04:05.123456"),
            Medium,
        ),
        (
            EngineKind::Sqlite,
            "TEXT",
            Value::text("2026-01-02T03:04:05.123"),
            Weak,
        ),
        (
            EngineKind::Sqlite,
            "TEXT",
            Value::text("2026-01-02 03:04:05"),
            Weak,
        ),
        (EngineKind::Sqlite, "TEXT", Value::text("rev-2026-01-02"), Medium),
        (EngineKind::Mysql, "varchar(40)", Value::text("é"), Medium),
        (
            EngineKind::Postgres,
            "uuid",
            Value::exact(ValueKind::Uuid, "x"),
            Medium,
        ),
        (
            EngineKind::Postgres,
            "date",
            Value::exact(ValueKind::Date, "2026-01-02"),
            Weak,
        ),
    ] {
        let found = guard_strength(engine, &column("version", declared), &value).unwrap();
        assert_eq!(found, strength, "{engine} {declared}");
    }
}

#[test]
fn rejects_inexact_type_as_version_column() {
    for (declared, value) in [
        ("double precision", Value::exact(ValueKind::Float, "1.5")),
        ("jsonb", Value::exact(ValueKind::Json, "{}")),
        ("json", Value::text("{}")),
        ("boolean", Value::bool(true)),
    ] {
        let refused = case(PLAIN, declared, value).plan().unwrap_err();
        assert_eq!(refused.code, ErrorCode::ConflictGuardUnfit, "{declared}");
        assert!(refused.public.contains(declared), "{}", refused.public);
    }
    let mut over = column("version", "stamp");
    over.base_type = Some("timestamp(0) without time zone".to_owned());
    assert_eq!(
        guard_strength(EngineKind::Postgres, &over, &ts("x")),
        Ok(GuardStrength::Weak)
    );
}

#[test]
fn xmin_guards_only_on_postgresql() {
    let guard = case(XMIN, "xid", Value::text("4711")).plan().unwrap().guard;
    assert_eq!(guard.strength, Some(GuardStrength::Strong));
    assert_eq!(
        case(PLAIN, "xid", Value::text("4711"))
            .plan()
            .unwrap()
            .guard
            .strength,
        Some(GuardStrength::Medium)
    );
}

#[test]
fn incremented_version_is_part_of_the_change() {
    let plan = case(INCREMENT, "bigint", Value::int(7)).plan().unwrap();
    assert_eq!(plan.guard.advance, VersionAdvance::Increment);
    assert_eq!(plan.guard.version.unwrap().value, Value::int(7));
    assert_eq!(find(&plan.set, "version"), Some(&Value::int(8)));
    let plan = case(PLAIN, "bigint", Value::int(7)).plan().unwrap();
    assert_eq!(find(&plan.set, "version"), None);
}

#[test]
fn rejects_version_that_cannot_be_incremented() {
    assert_eq!(
        case(INCREMENT, "smallint", Value::int(32_767)).refusal(),
        ErrorCode::ConflictGuardOverflow
    );
    assert!(case(INCREMENT, "smallint", Value::int(32_766)).plan().is_ok());
    for (declared, value) in [
        ("text", Value::text("7")),
        ("timestamp(6)", ts("2026-01-02 03:04:05.000000")),
        ("numeric(9,2)", Value::exact(ValueKind::Dec, "7.00")),
        ("numeric(9,2)", Value::exact(ValueKind::Dec, "7")),
        ("numeric", Value::int(i128::MAX)),
    ] {
        assert_eq!(
            case(INCREMENT, declared, value).refusal(),
            ErrorCode::ConflictGuardUnfit,
            "{declared}"
        );
    }
}

#[test]
fn clock_advances_only_timestamp_columns() {
    let timed = case(
        NOW,
        "timestamp with time zone",
        Value::exact(ValueKind::Tstz, "x"),
    );
    let plan = timed.plan().unwrap();
    assert_eq!(plan.guard.advance, VersionAdvance::Now);
    assert_eq!(
        find(&plan.set, "version"),
        None,
        "the database's time is not known yet"
    );
    for (declared, value) in [
        ("bigint", Value::int(7)),
        ("date", Value::exact(ValueKind::Date, "2026-01-02")),
        ("text", Value::text("2026-01-02 03:04:05.123456")),
    ] {
        assert_eq!(
            case(NOW, declared, value).refusal(),
            ErrorCode::ConflictGuardUnfit,
            "{declared}"
        );
    }
    let mut in_sqlite = case(NOW, "TEXT", Value::text("2026-01-02 03:04:05.123"));
    in_sqlite.engine = EngineKind::Sqlite;
    assert!(in_sqlite.plan().is_ok());
    in_sqlite.version = Value::text("rev 1");
    assert_eq!(in_sqlite.refusal(), ErrorCode::ConflictGuardUnfit);
}

#[test]
fn generated_and_key_columns_are_not_advanced() {
    for spoil in [
        (|c: &mut TableColumn| c.generated = true) as fn(&mut TableColumn),
        |c| c.primary_key = true,
    ] {
        let case = case(INCREMENT, "bigint", Value::int(7));
        let mut shape = case.shape();
        spoil(&mut shape.columns[3]);
        let args = [
            ("invoice_id".to_owned(), Value::text("INV-1")),
            ("note".to_owned(), Value::text("paid")),
        ];
        let planned = plan(
            &case.capability(),
            &args.into(),
            &case.row(),
            &shape,
            &fit,
            "acme",
        );
        assert_eq!(planned.unwrap_err().code, ErrorCode::ConflictGuardUnfit);
    }
}

#[test]
fn weak_guard_requires_exactly_comparable_columns() {
    for (kind, text) in [(ValueKind::Float, "1.5"), (ValueKind::Json, "{}")] {
        let weak = case(WEAK, "x", Value::int(1));
        let mut row = weak.row();
        row[1].value = Value::exact(kind, text);
        let args: BTreeMap<_, _> = [
            ("invoice_id".to_owned(), Value::text("INV-1")),
            ("note".to_owned(), Value::text("paid")),
        ]
        .into();
        let planned = |case: &Case, row: &[ColumnValue]| {
            plan(&case.capability(), &args, row, &case.shape(), &fit, "acme")
        };
        let refused = planned(&weak, &row).unwrap_err();
        assert_eq!(refused.code, ErrorCode::WeakGuardInexactColumn);
        assert!(refused.public.contains("`note`"), "{}", refused.public);
        let strong = case(PLAIN, "bigint", Value::int(1));
        let mut row = strong.row();
        row[1].value = Value::exact(kind, text);
        assert!(planned(&strong, &row).is_ok());
    }
}

#[test]
fn incremented_version_must_read_back_one_higher() {
    let counted = case(INCREMENT, "bigint", Value::int(7));
    assert_eq!(counted.after(false, Some(Value::int(8))), Ok(()));
    for wrong in [
        Some(Value::int(7)),
        Some(Value::int(9)),
        Some(Value::text("8")),
        None,
    ] {
        assert_eq!(counted.after(false, wrong), Err(NotAdvanced::NotMaintained));
    }
}

#[test]
fn clock_version_must_differ_or_retries_next_tick() {
    let timed = case(NOW, "timestamp(0)", ts("2026-01-02 03:04:05"));
    assert_eq!(timed.after(false, Some(ts("2026-01-02 03:04:06"))), Ok(()));
    assert_eq!(
        timed.after(false, Some(ts("2026-01-02 03:04:05"))),
        Err(NotAdvanced::ClockNotTicked)
    );
    assert_eq!(
        timed.after(false, Some(Value::null())),
        Err(NotAdvanced::ClockNotTicked)
    );
}

#[test]
fn database_maintained_version_must_change() {
    for guarded in [
        case(PLAIN, "bigint", Value::int(7)),
        case(XMIN, "xid", Value::text("7")),
    ] {
        let same = guarded.version.clone();
        assert_eq!(
            guarded.after(true, Some(same.clone())),
            Err(NotAdvanced::NotMaintained)
        );
        assert_eq!(
            guarded.after(true, Some(Value::null())),
            Err(NotAdvanced::NotMaintained)
        );
        assert_eq!(guarded.after(true, Some(Value::text("8"))), Ok(()));
        assert_eq!(
            guarded.after(false, Some(same)),
            Ok(()),
            "only the application changes it"
        );
    }
    let coarse = case(PLAIN, "timestamp(0)", ts("2026-01-02 03:04:05"));
    assert_eq!(
        coarse.after(true, Some(coarse.version.clone())),
        Err(NotAdvanced::ClockNotTicked)
    );
}

#[test]
fn maintained_version_may_stay_without_changes() {
    let guarded = case(PLAIN, "bigint", Value::int(7));
    let mut proposal = guarded.proposal();
    proposal.set[0].value = Value::null();
    let row = [ColumnValue::new("version", Value::int(7))];
    assert_eq!(check_advanced(&proposal, true, &row), Ok(()));
}

#[test]
fn json_post_image_compares_as_document() {
    let json = |text: &str| Value::exact(ValueKind::Json, text);
    let wanted = json(r#"{"a": 1, "b": [1.50, "x"], "c": {"d": null}}"#);
    for same in [
        r#"{"a":1,"b":[1.50,"x"],"c":{"d":null}}"#,
        r#"{"c": {"d": null}, "b": [1.5, "\u0078"], "a": 1.0}"#,
        r#"{"b": [15e-1, "x"], "a": 1, "c": {"d": null}}"#,
    ] {
        assert!(reads_back(&wanted, &json(same)), "{same}");
        assert!(reads_back(&wanted, &Value::text(same)), "{same}");
    }
    for other in [
        r#"{"a": 1, "b": [1.50, "x"], "c": {}}"#,
        r#"{"a": 1, "b": [1.50, "x"], "c": {"d": null}, "e": 1}"#,
        r#"{"a": 1, "b": ["x", 1.50], "c": {"d": null}}"#,
        r#"{"a": "1", "b": [1.50, "x"], "c": {"d": null}}"#,
        r#"{"a": 1.0000000000000000000000000001, "b": [1.50, "x"], "c": {"d": null}}"#,
        "null",
        "not JSON",
    ] {
        assert!(!reads_back(&wanted, &json(other)), "{other}");
    }
    assert!(!reads_back(&wanted, &Value::null()));
    assert!(reads_back(&Value::null(), &Value::null()));
    let double = json(r#"{"a": 1, "a": 1}"#);
    assert!(!reads_back(&double, &double), "duplicate keys are ambiguous");
    let large = json("12345678901234567890123");
    assert!(!reads_back(&large, &json("12345678901234567890124")));
    assert!(
        !reads_back(&Value::text("a b"), &Value::text("a  b")),
        "strings are compared byte for byte"
    );
}

#[test]
fn rejects_json_that_cannot_be_compared() {
    for (text, is_fine) in [
        (r#"{"a": 1}"#.to_owned(), true),
        (r#"{"a": 1, "a": 2}"#.to_owned(), false),
        ("{".to_owned(), false),
        ("[".repeat(65) + &"]".repeat(65), false),
        ("[".repeat(64) + &"]".repeat(64), true),
    ] {
        let case = case(PLAIN, "bigint", Value::int(7));
        let mut shape = case.shape();
        shape.columns[2].declared_type = "json".to_owned();
        let args = [
            ("invoice_id".to_owned(), Value::text("INV-1")),
            ("note".to_owned(), Value::text(&text)),
        ];
        let planned = plan(
            &case.capability(),
            &args.into(),
            &case.row(),
            &shape,
            &fit,
            "acme",
        );
        assert_eq!(planned.is_ok(), is_fine, "{text}");
    }
}

#[test]
fn review_document_names_guard_strength_and_advance() {
    let document = |case: Case| ReviewDocument::of(&case.proposal(), Digest::of_typed("t", b"")).text;
    let counted = document(case(INCREMENT, "bigint", Value::int(7)));
    assert!(
        counted.contains("guard           version column version = 7 (bigint, strong)"),
        "{counted}"
    );
    assert!(counted.contains("changes to 2 column(s)"), "{counted}");
    assert!(
        counted.contains("advance         the writer adds 1 to version"),
        "{counted}"
    );
    let timed = document(case(NOW, "timestamp(6)", ts("2026-01-02 03:04:05.000000")));
    assert!(timed.contains("changes to 2 column(s)"), "{timed}");
    assert!(
        timed.contains("(the database's time when it is written)"),
        "{timed}"
    );
    assert!(timed.contains("medium)"), "{timed}");
    let coarse = document(case(PLAIN, "timestamp(0)", ts("2026-01-02 03:04:05")));
    assert!(
        coarse.contains("guard           WEAK: version column"),
        "{coarse}"
    );
    let none = document(case(WEAK, "x", Value::int(1)));
    assert!(none.contains("guard           WEAK: no version column"), "{none}");
    let bare = case(PLAIN, "bigint", Value::int(7));
    let mut earlier = bare.proposal();
    (earlier.guard.strength, earlier.guard.declared_type) = (None, None);
    let earlier = ReviewDocument::of(&earlier, Digest::of_typed("t", b"")).text;
    assert!(
        earlier.contains("guard           version column version = 7\n"),
        "{earlier}"
    );
}
