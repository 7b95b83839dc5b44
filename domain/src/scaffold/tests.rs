//! Tests of contract generation, flag parsers and answers files.

use serde_json::{Value as Json, json};
use synapsor_codes::ErrorCode;

use super::*;
use crate::contract::{EngineKind, Mode, VersionAdvance};

const INSPECTION: &str = include_str!("fixtures/inspection.json");

fn inspection() -> Inspection {
    let found: Inspection = serde_json::from_str(INSPECTION).unwrap();
    found.with_suggestions()
}

fn orders() -> InitOptions {
    InitOptions {
        mode: Some(Mode::Review),
        table: Some("shop.orders".to_owned()),
        tenant_column: Some("tenant_id".to_owned()),
        patch: read_patch("status=arg:status, note=arg:reason").unwrap(),
        states: read_states("status=open:packed|canceled;packed:sent").unwrap(),
        ..InitOptions::default()
    }
}

fn drafted(choices: &InitOptions) -> Json {
    let drafted = draft(choices, Some(&inspection())).unwrap();
    serde_json::from_str(&drafted.contract).unwrap()
}

fn refused(choices: &InitOptions) -> DraftError {
    draft(choices, Some(&inspection())).unwrap_err()
}

fn check(name: &str, expected: (&str, &str), draft: &GeneratedContract) {
    assert_eq!(draft.contract, expected.0, "{name}");
    assert_eq!(draft.env_example, expected.1, "{name}");
}

#[test]
fn generated_read_and_proposal_match_published_files() {
    let review = draft(&orders(), Some(&inspection())).unwrap();
    check(
        "review",
        (
            include_str!("fixtures/review.json"),
            include_str!("fixtures/review.env"),
        ),
        &review,
    );
    assert_eq!(
        review.proposal_tool.as_deref(),
        Some("order.propose_order_update")
    );
    assert!(review.is_applied);
    assert_eq!(review.warnings.len(), 1, "{:?}", review.warnings);
}

#[test]
fn answers_without_inspection_match_published_files() {
    let choices = read_answers(include_bytes!("fixtures/answers.json")).unwrap();
    let found = draft(&choices, None).unwrap();
    check(
        "answers",
        (
            include_str!("fixtures/answers.contract.json"),
            include_str!("fixtures/answers.env"),
        ),
        &found,
    );
    assert_eq!(found.warnings.len(), 2, "{:?}", found.warnings);
}

#[test]
fn table_without_version_column_gets_weak_guard_and_warning() {
    let mut choices = orders();
    choices.table = Some("public.orders".to_owned());
    choices.tenant_column = Some("id".to_owned());
    choices.patch = Vec::new();
    choices.mode = Some(Mode::ReadOnly);
    let found = draft(&choices, Some(&inspection())).unwrap();
    assert!(found.warnings.is_empty() && found.proposal_tool.is_none() && !found.is_applied);

    let mut found = inspection();
    found.tables[0].columns.retain(|column| column.name != "version");
    let found = draft(&orders(), Some(&found.with_suggestions())).unwrap();
    assert!(found.contract.contains("\"weak_guard_ack\": true"));
    let guard_warnings = found.warnings.iter().filter(|w| w.contains("weak_guard_ack"));
    assert_eq!(
        guard_warnings.count(),
        1,
        "expected one warning: {:?}",
        found.warnings
    );
}

#[test]
fn argument_types_follow_their_columns() {
    let mut choices = orders();
    choices.patch =
        read_patch("discount=arg:discount,is_gift=arg:gift,note=arg:note,size=arg:size,status=arg:status")
            .unwrap();
    choices.bounds = read_bounds("discount=0:0.50").unwrap();
    let contract = drafted(&choices);
    let args = &contract["capabilities"][1]["args"];
    let names: Vec<&String> = args.as_object().unwrap().keys().collect();
    assert_eq!(names, ["order_id", "discount", "gift", "note", "size", "status"]);
    assert_eq!(args["discount"]["type"], "number");
    assert_eq!(args["discount"]["maximum"].to_string(), "0.50");
    assert_eq!(args["gift"]["type"], "boolean");
    assert_eq!(args["note"]["max_length"], json!(200));
    assert_eq!(args["size"]["enum"], json!(["small", "large"]));
    assert_eq!(args["status"]["enum"], json!(["packed", "canceled", "sent"]));
}

#[test]
fn fixed_values_are_json_literals_unless_column_is_text() {
    let mut choices = orders();
    choices.states = Vec::new();
    choices.patch =
        read_patch("note=fixed:007,discount=fixed:0.10,is_gift=fixed:false,status=fixed:null").unwrap();
    let contract = drafted(&choices);
    let patch = &contract["capabilities"][1]["patch"];
    assert_eq!(patch["note"]["fixed"], json!("007"));
    assert_eq!(patch["discount"]["fixed"].to_string(), "0.10");
    assert_eq!(patch["is_gift"]["fixed"], json!(false));
    assert_eq!(patch["status"]["fixed"], Json::Null);
}

#[test]
fn hides_sensitive_large_and_unselected_columns() {
    let contract = drafted(&orders());
    let visible = contract["capabilities"][0]["visible_columns"].to_string();
    assert!(!visible.contains("access_token") && !visible.contains("label_pdf"));
    let mut choices = orders();
    choices.visible_columns = vec!["status".to_owned(), "note".to_owned()];
    let contract = drafted(&choices);
    assert_eq!(
        contract["capabilities"][0]["visible_columns"],
        json!(["id", "tenant_id", "version", "status", "note"])
    );
}

#[test]
fn example_lists_every_variable_of_the_contract() {
    let mut choices = orders();
    choices.ssl_ca_env = Some("DB_CA".to_owned());
    let found = draft(&choices, Some(&inspection())).unwrap();
    assert!(found.contract.contains("\"ca_env\": \"DB_CA\""));
    assert!(
        found.env_example.contains("\nDB_CA_FILE=/ABSOLUTE/PATH/ca.pem\n"),
        "{}",
        found.env_example
    );
    let without = draft(&orders(), Some(&inspection())).unwrap();
    assert!(!without.env_example.contains("ca.pem"));
}

#[test]
fn contract_outside_review_mode_has_no_write_url() {
    let mut choices = orders();
    choices.mode = None;
    let found = draft(&choices, Some(&inspection())).unwrap();
    assert!(found.contract.contains("\"mode\": \"shadow\"") && !found.is_applied);
    assert!(!found.contract.contains("write_url_env") && !found.env_example.contains("WRITE"));
}

#[test]
fn invalid_draft_is_reported_in_one_line() {
    let mut choices = orders();
    choices.read_tool = Some("no dot".to_owned());
    choices.proposal_tool = Some("no dot either".to_owned());
    let refused = refused(&choices);
    assert_eq!(refused.code, ErrorCode::DraftInvalid);
    assert!(
        !refused.text.contains('\n') && refused.text.contains("; $."),
        "{}",
        refused.text
    );
}

/// The inspection with one column of another name or type.
fn inspection_with(
    column: &str,
    change: impl Fn(&mut crate::inspection::ColumnInfo),
    engine: &str,
) -> Inspection {
    let mut found = inspection();
    engine.clone_into(&mut found.engine);
    for table in &mut found.tables {
        for found in table.columns.iter_mut().filter(|c| c.name == column) {
            change(found);
        }
    }
    found.with_suggestions()
}

#[test]
fn contract_verifies_the_server_as_the_inspection_did() {
    let mut choices = orders();
    choices.ssl_ca_env = Some("DB_CA".to_owned());
    for (inspected, drafted) in [
        (None, "verify-full"),
        (Some("verify-full"), "verify-full"),
        (Some("verify-ca"), "verify-ca"),
    ] {
        let mut found = serde_json::to_value(inspection()).unwrap();
        if let Some(mode) = inspected {
            found["ssl_mode"] = json!(mode);
        }
        let found: Inspection = serde_json::from_value(found).unwrap();
        let contract = draft(&choices, Some(&found)).unwrap().contract;
        let contract: Json = serde_json::from_str(&contract).unwrap();
        let ssl = json!({ "mode": drafted, "ca_env": "DB_CA" });
        assert_eq!(contract["sources"]["local_postgres"]["ssl"], ssl);
    }
}

#[test]
fn tenant_column_taken_by_name_is_a_warning() {
    let mut choices = orders();
    choices.tenant_column = None;
    for name in ["tenant_id", "customer_id", "account_id", "org_id"] {
        let found = inspection_with(
            "tenant_id",
            |column| name.clone_into(&mut column.name),
            "postgres",
        );
        let warnings = draft(&choices, Some(&found)).unwrap().warnings.join(" ");
        assert!(
            warnings.contains(&format!("`{name}` is the tenant column by its name alone")),
            "{warnings}"
        );
        assert!(
            warnings.contains(&format!("--tenant-column {name}")),
            "{warnings}"
        );
        assert!(warnings.contains("SYNAPSOR_TENANT_ID"), "{warnings}");
    }
    let chosen = draft(&orders(), Some(&inspection())).unwrap().warnings.join(" ");
    assert!(!chosen.contains("by its name alone"), "{chosen}");
}

#[test]
fn table_that_is_never_written_needs_no_index() {
    let mut found = inspection();
    for table in &mut found.tables {
        table.primary_key.clear();
        table.unique_constraints.clear();
        table.never_written = Some("materialized_view".to_owned());
    }
    let mut choices = orders();
    choices.primary_key = vec!["id".to_owned()];
    let error = draft(&choices, Some(&found)).unwrap_err();
    assert_eq!(error.code, ErrorCode::TableNotWritable);
    assert!(error.text.contains("materialized_view"), "{}", error.text);
    assert!(!error.fix.contains("index"), "{}", error.fix);
}

#[test]
fn key_argument_admits_every_value_of_its_column() {
    for (declared, max_length) in [
        ("uuid", 128),
        ("text", 128),
        ("character varying(40)", 128),
        ("varchar(255)", 255),
        ("binary(16)", 128),
        ("VARBINARY(100)", 200),
        ("bytea", 256),
        ("varchar(4000000)", 65_536),
        ("tinytext", 255),
        ("TINYBLOB", 510),
        ("numeric(38,10)", 128),
        ("numeric(400, 30)", 403),
        ("numeric", 128),
    ] {
        let found = inspection_with(
            "id",
            |column| declared.clone_into(&mut column.data_type),
            "postgres",
        );
        let contract = draft(&orders(), Some(&found)).unwrap().contract;
        let contract: Json = serde_json::from_str(&contract).unwrap();
        for capability in contract["capabilities"].as_array().unwrap() {
            let arg = &capability["args"]["order_id"];
            assert_eq!(arg["max_length"], json!(max_length), "{declared}");
        }
    }
}

#[test]
fn decimal_key_argument_names_its_decimals() {
    for (declared, engine, example) in [
        ("numeric(10,4)", "postgres", Some("(4), such as 0.5000.")),
        ("decimal(6, 2)", "mysql", Some("(2), such as 0.50.")),
        ("numeric(10)", "postgres", None),
        ("decimal(10,0)", "mysql", None),
        ("numeric", "postgres", None),
        ("numeric(10,4)", "sqlite", None),
        ("varchar(10)", "postgres", None),
    ] {
        let mut found = inspection_with("id", |column| declared.clone_into(&mut column.data_type), engine);
        let mut choices = orders();
        if engine == "sqlite" {
            choices.table = Some("main.orders".to_owned());
            found.tables.retain(|table| table.schema == "shop");
            for table in &mut found.tables {
                "main".clone_into(&mut table.schema);
            }
        }
        let contract = draft(&choices, Some(&found)).unwrap().contract;
        let contract: Json = serde_json::from_str(&contract).unwrap();
        for capability in contract["capabilities"].as_array().unwrap() {
            let text = capability["args"]["order_id"]["description"].as_str().unwrap();
            assert_eq!(text.contains("decimals"), example.is_some(), "{declared}: {text}");
            assert!(text.ends_with(example.unwrap_or(".")), "{declared}: {text}");
        }
    }
}

#[test]
fn key_of_any_length_is_announced_with_its_limit() {
    for (declared, limit) in [
        ("text", Some("128 characters")),
        ("character varying", Some("128 characters")),
        ("numeric", Some("128 characters")),
        ("bytea", Some("256 hex digits")),
        ("LONGBLOB", Some("256 hex digits")),
        ("character varying(400)", None),
        ("numeric(400,30)", None),
        ("varbinary(300)", None),
        ("uuid", None),
        ("bigint", None),
        ("tinytext", None),
    ] {
        let found = inspection_with(
            "id",
            |column| declared.clone_into(&mut column.data_type),
            "postgres",
        );
        let warnings = draft(&orders(), Some(&found)).unwrap().warnings;
        let about = warnings.iter().find(|warning| warning.contains("`max_length`"));
        assert_eq!(about.is_some(), limit.is_some(), "{declared}: {warnings:?}");
        for part in limit.into_iter().chain(limit.map(|_| "`order_id`")) {
            assert!(about.unwrap().contains(part), "{declared}: {about:?}");
        }
    }
}

#[test]
fn whole_number_keys_are_number_arguments() {
    for (declared, arg) in [
        ("integer", "number"),
        ("BIGINT", "number"),
        ("int(10) unsigned", "number"),
        ("smallint", "number"),
        ("text", "string"),
        ("uuid", "string"),
        ("numeric(10,2)", "string"),
        ("tinyint(1)", "string"),
    ] {
        let found = inspection_with(
            "id",
            |column| declared.clone_into(&mut column.data_type),
            "postgres",
        );
        let drafted = draft(&orders(), Some(&found)).unwrap();
        let contract: Json = serde_json::from_str(&drafted.contract).unwrap();
        for capability in contract["capabilities"].as_array().unwrap() {
            assert_eq!(capability["args"]["order_id"]["type"], json!(arg), "{declared}");
        }
        let input: Json = serde_json::from_str(&drafted.read_input).unwrap();
        assert_eq!(input["order_id"].is_number(), arg == "number", "{declared}");
    }
}

#[test]
fn columns_that_cannot_be_read_are_left_out_by_name() {
    let found = inspection_with("note", |column| column.unreadable = true, "mysql");
    let mut choices = orders();
    choices.patch = read_patch("status=arg:status").unwrap();
    let drafted = draft(&choices, Some(&found)).unwrap();
    let contract: Json = serde_json::from_str(&drafted.contract).unwrap();
    let visible = contract["capabilities"][0]["visible_columns"].to_string();
    assert!(!visible.contains("\"note\""), "{visible}");
    let warnings = drafted.warnings.join(" ");
    assert!(warnings.contains("Left out: `note` ("), "{warnings}");
    choices.visible_columns = vec!["status".to_owned(), "note".to_owned()];
    let warnings = draft(&choices, Some(&found)).unwrap().warnings.join(" ");
    assert!(warnings.contains("Calls will fail on: `note` ("), "{warnings}");
}

#[test]
fn columns_that_cannot_be_written_are_not_patched() {
    let found = inspection_with("note", |column| column.unwritable = true, "mysql");
    let error = draft(&orders(), Some(&found)).unwrap_err();
    assert_eq!(error.code, ErrorCode::ColumnNotWritable);
    assert!(error.text.contains("`note`"), "{}", error.text);
}

#[test]
fn key_without_a_unique_index_is_for_reading_only() {
    let mut found = inspection();
    for table in &mut found.tables {
        table.primary_key.clear();
        table.unique_constraints.clear();
    }
    let mut choices = orders();
    choices.primary_key = vec!["id".to_owned()];
    let error = draft(&choices, Some(&found)).unwrap_err();
    assert_eq!(error.code, ErrorCode::IndexMissing);
    assert!(error.text.contains("`id`"), "{}", error.text);
    choices.mode = Some(Mode::ReadOnly);
    choices.patch.clear();
    choices.states.clear();
    let drafted = draft(&choices, Some(&found)).unwrap();
    assert!(drafted.warnings.iter().any(|warning| warning.contains("unique")));
}

#[test]
fn fixed_values_are_of_their_columns_kinds() {
    let mut choices = orders();
    choices.states.clear();
    for (declared, value, is_taken) in [
        ("real", "abc", false),
        ("real", "1.5", true),
        ("boolean", "yes", false),
        ("boolean", "true", true),
        ("boolean", "0", true),
        ("integer", "null", true),
        ("text", "abc", true),
    ] {
        choices.patch = read_patch(&format!("note=fixed:{value}")).unwrap();
        let found = inspection_with(
            "note",
            |column| declared.clone_into(&mut column.data_type),
            "postgres",
        );
        let drafted = draft(&choices, Some(&found)).map_err(|error| error.code);
        assert_eq!(drafted.is_ok(), is_taken, "{declared} {value}");
        assert!(is_taken || drafted.unwrap_err() == ErrorCode::PatchInvalid);
    }
}

#[test]
fn column_that_the_database_changes_is_listed() {
    let mut choices = orders();
    choices.patch = read_patch("status=arg:status").unwrap();
    let declared = "timestamp on update CURRENT_TIMESTAMP";
    let found = inspection_with(
        "note",
        |column| declared.clone_into(&mut column.data_type),
        "mysql",
    );
    let contract: Json = serde_json::from_str(&draft(&choices, Some(&found)).unwrap().contract).unwrap();
    let capabilities = contract["capabilities"].as_array().unwrap();
    let change = capabilities.iter().find(|c| c["kind"] == "proposal").unwrap();
    assert_eq!(change["db_managed"], json!(["note"]));
}

#[test]
fn rows_are_found_by_comparable_types_only() {
    let mut choices = orders();
    choices.patch = read_patch("status=arg:status").unwrap();
    for key in ["id", "tenant_id"] {
        let found = inspection_with(key, |column| column.unwritable = true, "postgres");
        let error = draft(&choices, Some(&found)).unwrap_err();
        assert_eq!(error.code, ErrorCode::KeyTypeUnfit);
        assert!(error.text.contains(&format!("`{key}`")), "{}", error.text);
    }
    for declared in ["boolean", "double precision", "real"] {
        let found = inspection_with(
            "id",
            |column| declared.clone_into(&mut column.data_type),
            "postgres",
        );
        assert_eq!(
            draft(&choices, Some(&found)).unwrap_err().code,
            ErrorCode::KeyTypeUnfit
        );
    }
    for declared in [
        "uuid",
        "numeric(8,2)",
        "bytea",
        "date",
        "timestamp with time zone",
        "text",
    ] {
        let found = inspection_with(
            "id",
            |column| declared.clone_into(&mut column.data_type),
            "postgres",
        );
        assert!(draft(&choices, Some(&found)).is_ok(), "{declared}");
    }
}

#[test]
fn database_row_version_guards_without_being_visible() {
    let mut choices = orders();
    choices.conflict_column = Some("xmin".to_owned());
    let contract = drafted(&choices);
    assert_eq!(
        contract["capabilities"][1]["conflict_guard"],
        json!({ "column": "xmin" })
    );
    assert!(
        !contract["capabilities"][1]["visible_columns"]
            .to_string()
            .contains("xmin")
    );
    choices.conflict_column = None;
    choices.conflict_advance = Some(VersionAdvance::Increment);
    let found = draft(&choices, Some(&inspection())).unwrap();
    assert!(found.contract.contains("\"advance\": \"increment\"") && found.warnings.is_empty());
}

#[test]
fn name_without_a_schema_is_of_the_current_schema() {
    let mut choices = orders();
    choices.table = Some("orders".to_owned());
    for schema in ["shop", "public"] {
        let mut inspection = inspection();
        inspection.current_schema = Some(schema.to_owned());
        let found = draft(&choices, Some(&inspection)).map_err(|error| error.text);
        match schema {
            "shop" => {
                let contract: Json = serde_json::from_str(&found.unwrap().contract).unwrap();
                assert_eq!(contract["capabilities"][0]["target"]["schema"], schema);
            }
            // The other table of this name has no such columns.
            _ => assert!(found.is_err()),
        }
    }
}

#[test]
fn rejects_invalid_choices_with_a_fix() {
    type Change = fn(&mut InitOptions);
    let rejected: [(Change, ErrorCode); 16] = [
        (|c| c.table = None, ErrorCode::TableRequired),
        (|c| c.table = Some("ordres".to_owned()), ErrorCode::TableNotFound),
        (|c| c.table = Some("orders".to_owned()), ErrorCode::TableAmbiguous),
        (
            |c| c.table = Some("shop.open_orders".to_owned()),
            ErrorCode::TableIsView,
        ),
        (
            |c| {
                c.table = Some("public.orders".to_owned());
                c.tenant_column = None;
            },
            ErrorCode::TenantRequired,
        ),
        (|c| c.engine = Some("mysql".to_owned()), ErrorCode::EngineMismatch),
        (|c| c.mode = Some(Mode::Cloud), ErrorCode::NotAvailable),
        (|c| c.patch = Vec::new(), ErrorCode::PatchRequired),
        (
            |c| c.patch = read_patch("statu=arg:x").unwrap(),
            ErrorCode::ColumnNotFound,
        ),
        (
            |c| c.patch = read_patch("total=arg:x").unwrap(),
            ErrorCode::ColumnGenerated,
        ),
        (
            |c| c.patch = read_patch("note=arg:order_id").unwrap(),
            ErrorCode::ArgumentTwice,
        ),
        (
            |c| c.patch = read_patch("note=arg:x,is_gift=arg:x").unwrap(),
            ErrorCode::ArgumentTwice,
        ),
        (
            |c| c.patch = read_patch("id=fixed:7").unwrap(),
            ErrorCode::DraftInvalid,
        ),
        (
            |c| c.visible_columns = vec!["access_token".to_owned()],
            ErrorCode::DraftInvalid,
        ),
        (
            |c| c.read_tool = Some("one.two.three".to_owned()),
            ErrorCode::DraftInvalid,
        ),
        (
            |c| {
                c.single_tenant_dev = true;
                c.tenant_column = None;
                c.table = Some("public.orders".to_owned());
                c.patch = read_patch("id=fixed:x").unwrap();
                c.states = Vec::new();
            },
            ErrorCode::DraftInvalid,
        ),
    ];
    for (change, code) in rejected {
        let mut choices = orders();
        change(&mut choices);
        let error = refused(&choices);
        assert!(!error.fix.is_empty() && !error.text.is_empty());
        assert_eq!(error.code, code);
    }
}

#[test]
fn flag_parsers_reject_malformed_input() {
    let patch = read_patch("a=fixed:x=y:z, b=arg:n").unwrap();
    assert_eq!(patch[0], ("a".to_owned(), Assigned::Fixed("x=y:z".to_owned())));
    assert_eq!(patch[1], ("b".to_owned(), Assigned::Arg("n".to_owned())));
    for bad in ["a", "a=", "a=x", "a=fixed:", "=arg:n", "a=env:n", "a=fixed:x,y"] {
        assert_eq!(
            read_patch(bad).unwrap_err().code,
            ErrorCode::PatchInvalid,
            "{bad}"
        );
    }
    let bounds = read_bounds("a=-1:2.50,b=:3").unwrap();
    assert_eq!(bounds[0].1.maximum.as_deref(), Some("2.50"));
    assert_eq!(bounds[1].1.minimum, None);
    for bad in ["a=:", "a=1", "a=x:2", "a=NaN:1", "a=0x1:2", "=1:2", "a=\"1\":2"] {
        assert_eq!(
            read_bounds(bad).unwrap_err().code,
            ErrorCode::BoundsInvalid,
            "{bad}"
        );
    }
    let states = read_states("s=a:b|c;b:c").unwrap();
    assert_eq!(
        states[0].1[0],
        ("a".to_owned(), vec!["b".to_owned(), "c".to_owned()])
    );
    for bad in ["s", "s=", "s=a", "s=a:", "s=:b", "=a:b"] {
        assert_eq!(
            read_states(bad).unwrap_err().code,
            ErrorCode::StatesInvalid,
            "{bad}"
        );
    }
}

#[test]
fn rejects_invalid_answers_by_code() {
    let code = |text: &str| read_answers(text.as_bytes()).unwrap_err().code;
    assert_eq!(code("[]"), ErrorCode::AnswersInvalid);
    assert_eq!(code("{\"table\": 7}"), ErrorCode::AnswersInvalid);
    assert_eq!(code("{\"tabel\": \"x\"}"), ErrorCode::AnswersUnknownKey);
    assert_eq!(code("{\"mode\": \"write\"}"), ErrorCode::AnswersInvalid);
    assert_eq!(code("{\"writeback\": \"http_handler\"}"), ErrorCode::NotAvailable);
    assert_eq!(code("{\"patch\": \"a=b\"}"), ErrorCode::PatchInvalid);
    assert!(read_answers(b"{\"handler_url_env\": null, \"writeback\": \"sql_update\"}").is_ok());
}

#[test]
fn object_and_namespace_derive_from_table_name() {
    let object = super::names::object_of;
    for (table, expected) in [
        ("orders", "order"),
        ("Companies", "company"),
        ("address", "address"),
        ("tbl-items", "tbl_item"),
        ("2fa", "row_2fa"),
        ("___", "row"),
    ] {
        assert_eq!(object(table), expected, "{table}");
    }
    assert_eq!(super::names::namespace_of("support_ticket"), "support");
}

#[test]
fn each_of_several_key_columns_gets_an_argument() {
    let lines = InitOptions {
        mode: Some(Mode::ReadOnly),
        table: Some("shop.order_lines".to_owned()),
        tenant_column: None,
        single_tenant_dev: true,
        visible_columns: vec!["line".to_owned()],
        ..orders()
    };
    let one_argument = InitOptions {
        lookup_arg: Some("line".to_owned()),
        ..lines.clone()
    };
    assert_eq!(refused(&one_argument).code, ErrorCode::LookupKeysInvalid);
    let contract = drafted(&lines);
    let read = &contract["capabilities"][0];
    assert_eq!(read["target"]["primary_key"], json!(["order_id", "line"]));
    let by = json!({"order_id": "order_id", "line": "line"});
    assert_eq!(read["lookup"], json!({ "key_from_args": by }));
    assert_eq!(read["visible_columns"], json!(["order_id", "line"]));
}

/// The inspection with every table changed.
fn with_tables(change: impl Fn(&mut crate::inspection::TableInfo)) -> Inspection {
    let mut found = inspection();
    found.tables.iter_mut().for_each(change);
    found.with_suggestions()
}

#[test]
fn years_are_numbers_and_sets_have_no_list_of_values() {
    let found = with_tables(|table| {
        for (name, declared, labels) in [
            ("built", "year", &[][..]),
            ("colors", "set('red','blue')", &["red", "blue"]),
            ("grade", "enum('','a')", &["", "a"]),
        ] {
            table.columns.push(crate::inspection::ColumnInfo {
                name: name.to_owned(),
                data_type: declared.to_owned(),
                labels: labels.iter().map(|label| (*label).to_owned()).collect(),
                ..table.columns[0].clone()
            });
        }
    });
    let mut choices = orders();
    choices.states = Vec::new();
    choices.patch = read_patch("built=arg:built,colors=arg:colors,grade=arg:grade").unwrap();
    let drafted = draft(&choices, Some(&found)).unwrap();
    let contract: Json = serde_json::from_str(&drafted.contract).unwrap();
    let args = &contract["capabilities"][1]["args"];
    assert_eq!(args["built"]["type"], "number");
    assert_eq!(
        (&args["colors"]["type"], &args["colors"]["enum"]),
        (&json!("string"), &Json::Null)
    );
    assert_eq!(args["grade"]["enum"], json!(["a"]));
}

#[test]
fn names_that_no_contract_has_are_refused_before_drafting() {
    let found = with_tables(|table| table.schema.push_str(" ä"));
    let mut choices = orders();
    choices.table = Some("shop ä.orders".to_owned());
    let refused = draft(&choices, Some(&found)).unwrap_err();
    assert!(refused.text.contains("`shop ä`"), "{}", refused.text);
    choices.table = Some("orderz".to_owned());
    let refused = draft(&choices, Some(&found)).unwrap_err();
    assert_eq!(refused.code, ErrorCode::TableNotFound);
    assert!(
        !refused.fix.contains('ä') && !refused.fix.ends_with(": "),
        "{}",
        refused.fix
    );
}

#[test]
fn reader_with_the_credential_of_an_owner_is_a_warning() {
    let found = with_tables(|table| table.writable = true);
    let mut choices = orders();
    choices.inspected_env = Some("OWNER_URL".to_owned());
    let warns = |choices: &InitOptions| {
        let drafted = draft(choices, Some(&found)).unwrap();
        drafted
            .warnings
            .iter()
            .any(|warning| warning.contains("--read-url-env"))
    };
    choices.read_url_env = Some("OWNER_URL".to_owned());
    assert!(warns(&choices));
    choices.read_url_env = Some("READER_URL".to_owned());
    assert!(!warns(&choices));
    // SQLite has no roles.
    let mut found = inspection_with("note", |_| {}, "sqlite");
    found.tables.truncate(1);
    found.tables[0].writable = true;
    found.tables[0].schema = "main".to_owned();
    choices.table = Some("main.orders".to_owned());
    choices.read_url_env = Some("OWNER_URL".to_owned());
    let drafted = draft(&choices, Some(&found)).unwrap();
    assert!(
        !drafted
            .warnings
            .iter()
            .any(|warning| warning.contains("--read-url-env"))
    );
    assert!(!drafted.env_example.contains("role"), "{}", drafted.env_example);
}

const SELECTION: &str = r#"{
    "version": 1, "engine": "mysql", "mode": "review", "schema": "billing", "table": "invoices",
    "primary_key": "invoice_number", "tenant_key": "account_id", "namespace": "billing", "conflict_column": "version",
    "conflict_advance": "increment", "visible_columns": ["status", "fee_cents"], "proposal_tool": "billing.waive",
    "patch": {"fee_cents": {"from_arg": "fee"}, "status": {"fixed": "007"}, "note": {"from_arg": "note"}},
    "patch_args": {"fee": {"description": "The fee.", "maximum": 9}, "note": {"type": "boolean"}},
    "numeric_bounds": {"fee_cents": {"maximum": 5000.50}},
    "transition_guards": {"status": {"from_column": "fee_cents", "allowed": {"open": ["007"]}}},
    "statement_timeout_ms": 500, "approval": {"required_role": "lead"}, "writeback": {"executor": "sql_update"},
    "trusted_context": {"tenant_id_env": "ACCOUNT"}
}"#;

#[test]
fn selection_makes_a_contract_without_a_database() {
    let choices = read_selection(SELECTION.as_bytes()).unwrap();
    let drafted = draft(&choices, None).unwrap();
    let contract: Json = serde_json::from_str(&drafted.contract).unwrap();
    assert_eq!(contract["$schema"], "urn:synapsor:schema:contract:v1");
    assert_eq!(contract["sources"]["local_mysql"]["statement_timeout_ms"], 500);
    assert_eq!(contract["trusted_context"]["values"]["tenant_id_env"], "ACCOUNT");
    let proposal = &contract["capabilities"][1];
    assert_eq!(proposal["name"], "billing.waive");
    assert_eq!(proposal["patch"]["status"]["fixed"], "007");
    assert_eq!(
        proposal["transition_guards"]["status"]["from_column"],
        "fee_cents"
    );
    assert_eq!(proposal["approval"]["required_role"], "lead");
    let (fee, note) = (&proposal["args"]["fee"], &proposal["args"]["note"]);
    // What a bound determines takes precedence over the chosen attributes.
    assert_eq!(
        (fee["maximum"].to_string(), &fee["type"]),
        ("5000.50".to_owned(), &json!("number"))
    );
    assert_eq!(fee["description"], "The fee.");
    assert_eq!(
        (&note["type"], &note["max_length"]),
        (&json!("boolean"), &Json::Null)
    );
}

#[test]
fn selection_errors_name_the_key_and_never_a_value() {
    let changed = |from: &str, to: &str| {
        let text = SELECTION.replacen(from, to, 1);
        assert_ne!(text, SELECTION, "{from}");
        read_selection(text.as_bytes()).unwrap_err()
    };
    for (from, to, named) in [
        ("\"version\": 1", "\"version\": 2", "`version`"),
        ("\"mysql\"", "\"oracle\"", "`engine`"),
        ("\"review\"", "\"yolo\"", "`mode`"),
        ("\"tenant_key\": \"account_id\",", "", "`tenant_key`"),
        (
            "\"schema\"",
            "\"canary_key\"",
            "unknown field `canary_key` at line 2",
        ),
        ("\"table\": \"invoices\",", "", "missing field `table`"),
        ("500,", "0,", "`statement_timeout_ms`"),
        ("500,", "\"canary\",", "expected u32 at line"),
        ("{\"fixed\": \"007\"}", "{}", "`patch.status`"),
        ("{\"maximum\": 5000.50}", "{}", "`numeric_bounds.fee_cents`"),
        ("{\"open\": [\"007\"]}", "{}", "`transition_guards.status`"),
        (
            "\"version\": 1",
            "\"version\": 1, \"table\": \"x\"",
            "duplicate key",
        ),
        (
            "\"proposal_tool\"",
            "\"proposal_tool_name\": \"billing.x\", \"proposal_tool\"",
            "two spellings",
        ),
    ] {
        let error = changed(from, to);
        assert_eq!(error.code, ErrorCode::SelectionInvalid, "{error}");
        assert!(error.text.contains(named), "{from}: {error}");
        assert!(!error.text.contains("\"canary\""), "{error}");
    }
    let handler = changed("\"sql_update\"", "\"http_handler\"");
    assert_eq!(handler.code, ErrorCode::NotAvailable);
    let cloud = draft(
        &read_selection(SELECTION.replacen("\"review\"", "\"cloud\"", 1).as_bytes()).unwrap(),
        None,
    );
    assert_eq!(cloud.unwrap_err().code, ErrorCode::NotAvailable);
}

#[test]
fn published_selection_schema_has_the_keys_that_are_read() {
    let schema = selection_schema();
    for key in schema["properties"].as_object().unwrap().keys() {
        // A wrong type is another error than an unknown key.
        let text = SELECTION.replacen("\"version\": 1", &format!("\"{key}\": [[]]"), 1);
        let error = read_selection(text.as_bytes()).unwrap_err();
        assert!(!error.text.contains("unknown field"), "{key}: {error}");
    }
    let given: Json = serde_json::from_str(SELECTION).unwrap();
    for key in given.as_object().unwrap().keys() {
        assert!(!schema["properties"][key].is_null(), "{key}");
    }
}

#[test]
fn starter_is_valid_for_each_engine_and_mode() {
    for engine in ["postgres", "mysql", "sqlite"] {
        for mode in [Mode::ReadOnly, Mode::Shadow, Mode::Review] {
            let choices = InitOptions {
                engine: Some(engine.to_owned()),
                mode: Some(mode),
                ..InitOptions::default()
            };
            let drafted = draft(&choices.over_starter(), None).unwrap();
            assert!(drafted.contract.contains(&format!("local_{engine}")));
            assert_eq!(drafted.is_applied, mode == Mode::Review);
        }
    }
    let alone = InitOptions {
        single_tenant_dev: true,
        mode: Some(Mode::Shadow),
        ..InitOptions::default()
    };
    let drafted = draft(&alone.over_starter(), None).unwrap();
    assert!(drafted.contract.contains("\"single_tenant_dev\": true"));
}

#[test]
fn each_recipe_makes_a_valid_contract() {
    let recipes = built_in_recipes();
    assert_eq!(recipes.len(), 5);
    for recipe in recipes {
        let text = serde_json::to_string(&recipe).unwrap();
        assert_eq!(read_recipe(text.as_bytes()).unwrap(), recipe);
        for engine in [EngineKind::Postgres, EngineKind::Mysql, EngineKind::Sqlite] {
            let choices = recipe.for_engine(Some(engine)).unwrap();
            let drafted = draft(&choices, None).unwrap();
            assert_eq!(drafted.warnings.len(), 2, "{}: {:?}", recipe.id, drafted.warnings);
            let tools = [Some(drafted.read_tool), drafted.proposal_tool];
            assert_eq!(
                tools.into_iter().flatten().collect::<Vec<_>>(),
                recipe.semantic_tools
            );
        }
        let selection = recipe.selection().unwrap();
        let allowed: Vec<&String> = selection.patch.iter().map(|(column, _)| column).collect();
        assert_eq!(
            allowed,
            recipe.allowed_write_columns.iter().collect::<Vec<_>>(),
            "{}",
            recipe.id
        );
        assert_eq!(selection.visible_columns, recipe.visible_columns, "{}", recipe.id);
        let is_listed = |column: &String| recipe.required_columns.contains(column);
        assert!(
            recipe.allowed_write_columns.iter().all(is_listed),
            "{}",
            recipe.id
        );
    }
}

#[test]
fn recipe_is_mapped_onto_the_columns_of_a_table() {
    let recipes = built_in_recipes();
    let recipe = recipes
        .iter()
        .find(|recipe| recipe.id == "ticket-resolution")
        .unwrap();
    let inspection = inspection();
    let table = inspection.tables_called(Some("shop"), "orders").next().unwrap();
    let refused = recipe.on_table(table, &[]).unwrap_err();
    assert_eq!(refused.code, ErrorCode::RecipeColumnMissing);
    assert!(
        refused.fix.contains("--map resolution_note=COLUMN"),
        "{}",
        refused.fix
    );
    let renames = [("resolution_note".to_owned(), "note".to_owned())];
    let choices = recipe.on_table(table, &renames).unwrap();
    let drafted = draft(&choices, Some(&inspection)).unwrap();
    let contract: Json = serde_json::from_str(&drafted.contract).unwrap();
    let proposal = &contract["capabilities"][1];
    assert_eq!(proposal["name"], "support.propose_ticket_resolution");
    assert_eq!(proposal["target"]["table"], "orders");
    assert_eq!(proposal["allowed_columns"], json!(["status", "note"]));
    let unknown = [("resolution_note".to_owned(), "nope".to_owned())];
    assert!(
        recipe
            .on_table(table, &unknown)
            .unwrap_err()
            .text
            .contains("`nope`")
    );
}

#[test]
fn recipe_file_errors_name_their_place() {
    let recipe = serde_json::to_string_pretty(&built_in_recipes()[0]).unwrap();
    for (from, to, named) in [
        ("\"title\"", "\"titel\"", "unknown field `titel` at line 4"),
        ("\"late-fee-waiver\"", "\"Late Fee\"", "`id`"),
        ("\"engine\": \"postgres\"", "\"engine\": 5", "expected a string"),
        ("{", "[", "at line 2"),
    ] {
        let text = recipe.replacen(from, to, 1);
        let error = read_recipe(text.as_bytes()).unwrap_err();
        assert!(error.text.contains(named), "{error}");
    }
}

#[test]
fn own_tables_are_not_offered_and_like_names_come_first() {
    let mut found = inspection();
    let mut own = found.tables[0].clone();
    own.name = "synapsor_writeback_receipts".to_owned();
    found.tables.insert(0, own);
    let mut choices = orders();
    choices.table = None;
    let fix = draft(&choices, Some(&found)).unwrap_err().fix;
    assert!(fix.contains("shop.orders") && !fix.contains("synapsor_"), "{fix}");
    choices.table = Some("order".to_owned());
    let fix = draft(&choices, Some(&found)).unwrap_err().fix;
    let first = fix.split(": ").nth(1).unwrap_or_default();
    assert!(
        first.starts_with("shop.orders") || first.starts_with("public.orders"),
        "{fix}"
    );
}

#[test]
fn given_row_is_the_input_of_the_first_call() {
    let mut choices = orders();
    choices.object_id = Some("SO 1,2".to_owned());
    let error = refused(&choices);
    assert_eq!(error.code, ErrorCode::ObjectInvalid);
    assert!(
        error.text.contains("no whole number for the argument `order_id`"),
        "{error}"
    );
    choices.object_id = Some("1.5".to_owned());
    assert_eq!(refused(&choices).code, ErrorCode::ObjectInvalid);
    choices.object_id = Some("-12".to_owned());
    let drafted = draft(&choices, Some(&inspection())).unwrap();
    assert_eq!(drafted.read_input, "{\"order_id\":-12}");
    let mut found = inspection();
    found.tables[0].columns[0].data_type = "text".to_owned();
    choices.object_id = Some("SO 1,2".to_owned());
    let drafted = draft(&choices, Some(&found.with_suggestions())).unwrap();
    assert!(drafted.names_row);
    assert_eq!(drafted.read_input, "{\"order_id\":\"SO 1,2\"}");
}

#[test]
fn two_rules_about_one_column_are_rejected() {
    type Change = fn(&mut InitOptions);
    let rejected: [(Change, ErrorCode, &str); 6] = [
        (
            |c| c.bounds = read_bounds("discount=0:5,discount=:900").unwrap(),
            ErrorCode::BoundsInvalid,
            "`discount`",
        ),
        (
            |c| c.states = read_states("status=open:a;open:b").unwrap(),
            ErrorCode::StatesInvalid,
            "`open`",
        ),
        (
            |c| c.states = read_states("status=open:a,status=b:c").unwrap(),
            ErrorCode::StatesInvalid,
            "`status`",
        ),
        (
            |c| c.patch = read_patch("status=arg:s,status=arg:t").unwrap(),
            ErrorCode::PatchInvalid,
            "`status`",
        ),
        (
            |c| c.patch = read_patch("status=fixed:open,status=arg:t").unwrap(),
            ErrorCode::PatchInvalid,
            "`status`",
        ),
        (
            |c| c.bounds = read_bounds("note=0:5").unwrap(),
            ErrorCode::BoundsInvalid,
            "`note` (character varying(200)) holds no numbers",
        ),
    ];
    for (change, code, named) in rejected {
        let mut choices = orders();
        change(&mut choices);
        let error = refused(&choices);
        assert_eq!(error.code, code, "{error}");
        assert!(error.text.contains(named), "{error}");
    }
}

#[test]
fn answers_name_each_key_once() {
    for (text, named) in [
        ("{\"table\": \"a\", \"table\": \"b\"}", "table"),
        (
            "{\"tenant_key\": \"a\", \"tenant_column\": \"b\"}",
            "`tenant_key`",
        ),
        (
            "{\"patch_bounds\": \"a=1:\", \"numeric_bounds\": \"a=2:\"}",
            "`numeric_bounds`",
        ),
    ] {
        let error = read_answers(text.as_bytes()).unwrap_err();
        assert_eq!(error.code, ErrorCode::AnswersInvalid, "{error}");
        assert!(error.text.contains(named), "{error}");
    }
    assert!(read_answers(b"{\"tenant_key\": \"a\", \"tenant_column\": null}").is_ok());
}

#[test]
fn table_and_schema_name_one_schema() {
    let choices = |table: &str| InitOptions {
        table: Some(table.to_owned()),
        ..InitOptions::default()
    };
    let refused = choices("a.dup").check_schema(Some("b")).unwrap_err();
    assert_eq!(refused.code, ErrorCode::SchemaMismatch);
    for (table, schema) in [("a.dup", Some("a")), ("a.dup", None), ("dup", Some("b"))] {
        choices(table).check_schema(schema).unwrap();
    }
    let error = read_answers(b"{\"table\": \"a.dup\", \"schema\": \"b\"}").unwrap_err();
    assert_eq!(error.code, ErrorCode::SchemaMismatch);
}

#[test]
fn renames_of_a_recipe_name_its_columns_and_join_none() {
    let recipes = built_in_recipes();
    let recipe = recipes.iter().find(|recipe| recipe.id == "ticket-resolution");
    let inspection = inspection();
    let table = inspection.tables_called(Some("shop"), "orders").next().unwrap();
    let refused = |renames: &[(&str, &str)]| {
        let renames: Vec<(String, String)> = renames
            .iter()
            .map(|(from, to)| ((*from).to_owned(), (*to).to_owned()))
            .collect();
        recipe.unwrap().on_table(table, &renames).unwrap_err()
    };
    let note = ("resolution_note", "note");
    for (renames, code, named) in [
        (
            &[note, ("nope", "size")][..],
            ErrorCode::RecipeColumnUnknown,
            "`nope`",
        ),
        (
            &[note, ("resolution_note", "size")],
            ErrorCode::RecipeColumnTwice,
            "`resolution_note`",
        ),
        (
            &[("resolution_note", "status")],
            ErrorCode::RecipeColumnTwice,
            "`status` of the table",
        ),
        (
            &[note, ("subject", "note")],
            ErrorCode::RecipeColumnTwice,
            "`subject`",
        ),
    ] {
        let error = refused(renames);
        assert_eq!(error.code, code, "{error}");
        assert!(error.text.contains(named), "{error}");
    }
}

#[test]
fn recipe_is_read_as_a_command_prints_it() {
    let recipe = built_in_recipes().remove(0);
    let printed = json!({ "ok": true, "recipe": recipe });
    assert_eq!(read_recipe(printed.to_string().as_bytes()).unwrap(), recipe);
    let other = json!({ "ok": true, "recipe": recipe, "more": 1 });
    let error = read_recipe(other.to_string().as_bytes()).unwrap_err();
    assert!(error.text.contains("unknown field `more`"), "{error}");
}

#[test]
fn columns_visible_besides_the_chosen_ones_are_named() {
    let mut choices = orders();
    choices.visible_columns = vec!["status".to_owned(), "tenant_id".to_owned()];
    let drafted = draft(&choices, Some(&inspection())).unwrap();
    let warning = drafted
        .warnings
        .iter()
        .find(|warning| warning.starts_with("Visible besides"));
    assert!(warning.unwrap().contains(": `id`, `version`."), "{warning:?}");
    choices
        .visible_columns
        .extend(["id".to_owned(), "version".to_owned()]);
    let drafted = draft(&choices, Some(&inspection())).unwrap();
    assert!(
        !drafted
            .warnings
            .iter()
            .any(|warning| warning.starts_with("Visible besides"))
    );
}
