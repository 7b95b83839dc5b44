//! Tool catalog that a model sees, and validation of the arguments that it sends.

#![allow(clippy::unwrap_used, reason = "a broken fixture ends the test")]

use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{Capability, Contract};
use synapsor_domain::json;
use synapsor_domain::limits::ARGUMENTS_BYTES_MAX;
use synapsor_domain::tool::{AliasMode, Catalog, ToolNames, alias, check_arguments};
use synapsor_domain::value::ValueKind;

const LIBRARY: &str = include_str!("golden/contract/library.json");

fn library() -> Contract {
    Contract::parse(LIBRARY.as_bytes()).unwrap().contract
}

fn propose_fee() -> Capability {
    library().capability("loans.propose_fee").unwrap().clone()
}

/// Arguments that `loans.propose_fee` accepts, with more members appended.
fn with(members: &str) -> String {
    format!(r#"{{"loan_no": "L-1", "fee_cents": 5, "state": "lost"{members}}}"#)
}

fn refusal(arguments: &str) -> (ErrorCode, String) {
    match check_arguments(&propose_fee(), arguments.as_bytes()) {
        Err(refusal) => (refusal.code, refusal.public),
        Ok(_) => panic!("accepted: {arguments}"),
    }
}

#[test]
fn catalog_of_known_file_matches_golden() {
    let catalog = Catalog::from_contract(&library(), false);
    let text = serde_json::to_string_pretty(&catalog).unwrap() + "\n";
    assert!(
        text == include_str!("golden/tool/library.catalog.json"),
        "the catalog is now:\n{text}"
    );
    let back: Catalog = serde_json::from_str(&text).unwrap();
    assert_eq!(
        back.digest(),
        catalog.digest(),
        "a catalog keeps its digest across processes"
    );
}

/// The vectors were made by another implementation.
#[test]
fn aliases_match_golden() {
    let golden: serde_json::Value = serde_json::from_str(include_str!("golden/tool/aliases.json")).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    for pair in golden["alias"].as_array().unwrap() {
        assert_eq!(alias(&text(&pair[0])), text(&pair[1]), "{pair}");
    }
    for list in golden["lists"].as_array().unwrap() {
        let names: Vec<&str> = list["names"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|n| n.as_str())
            .collect();
        let mode: AliasMode = text(&list["mode"]).parse().unwrap();
        let exposed: Vec<_> = ToolNames::new(&names, mode)
            .exposed()
            .iter()
            .map(|e| serde_json::json!([e.canonical, e.exposed]))
            .collect();
        assert_eq!(serde_json::json!(exposed), list["exposed"], "{list}");
    }
}

#[test]
fn alias_is_listed_with_its_canonical_tool_name() {
    let catalog = Catalog::from_contract(&library(), false);
    let listed = catalog.exposed(&catalog.names(AliasMode::Both));
    assert_eq!(listed.len(), 2 * catalog.tools.len());
    for (tool, pair) in catalog.tools.iter().zip(listed.chunks(2)) {
        assert_eq!(tool, &pair[0]);
        let alias = &pair[1];
        assert_eq!(alias.name, tool.name.replace('.', "__"));
        assert_eq!(
            alias.description,
            format!("Alias of {}.\n{}", tool.name, tool.description)
        );
        assert_eq!(alias.meta["synapsor.canonical_tool_name"], *tool.name);
        assert_eq!(alias.meta["synapsor.exposed_tool_name"], *alias.name);
        assert_eq!(alias.meta["synapsor.tool_name_style"], "openai");
        assert_eq!(
            (
                &alias.title,
                &alias.input_schema,
                &alias.output_schema,
                alias.annotations
            ),
            (
                &tool.title,
                &tool.input_schema,
                &tool.output_schema,
                tool.annotations
            )
        );
    }
}

#[test]
fn token_estimate_is_a_quarter_of_bytes_rounded_up() {
    assert_eq!(
        [0, 1, 4, 5].map(synapsor_domain::tool::tokens_estimated),
        [0, 1, 1, 2]
    );
}

#[test]
fn read_only_hides_proposals() {
    let names = |catalog: &Catalog| {
        catalog
            .tools
            .iter()
            .map(|tool| tool.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&Catalog::from_contract(&library(), true)),
        ["loans.inspect_loan"]
    );
    let file = LIBRARY.replace("\"mode\": \"review\"", "\"mode\": \"shadow\"");
    let shadow = Contract::parse(file.as_bytes()).unwrap().contract;
    assert_eq!(
        names(&Catalog::from_contract(&shadow, false)),
        [
            "loans.inspect_loan",
            "loans.propose_fee",
            "members.propose_letter",
            "proposals.status"
        ]
    );
}

#[test]
fn catalog_digest_covers_all_model_visible_text() {
    let digest = |file: &str| {
        Catalog::from_contract(&Contract::parse(file.as_bytes()).unwrap().contract, false).digest()
    };
    let original = digest(LIBRARY);
    for (from, to) in [
        ("Look at one loan.", "Look at one loan!"),
        ("Fees are in cents.", "Fees are in euros."),
        ("Number on the slip.", "Number."),
        ("\"maximum\": 5000.50", "\"maximum\": 5000.51"),
        (
            "[\"returned\", \"lost\"]},\n        \"note\"",
            "[\"lost\", \"returned\"]},\n        \"note\"",
        ),
    ] {
        assert_ne!(digest(&LIBRARY.replacen(from, to, 1)), original, "{from}");
    }
    assert_eq!(
        digest(&LIBRARY.replacen("LENDING_READ_URL", "OTHER", 1)),
        original
    );
}

#[test]
fn a_catalog_names_neither_tables_nor_keys_nor_variables() {
    let text = serde_json::to_string(&Catalog::from_contract(&library(), false)).unwrap();
    for hidden in [
        "library_id",
        "LIBRARY_ID",
        "\"loans\"",
        "LENDING",
        "revision",
        "desk_lead",
        "sql_update",
    ] {
        assert!(!text.contains(hidden), "{hidden}");
    }
}

#[test]
fn valid_arguments_are_exact_and_in_contract_order() {
    let arguments = r#"{"state": "lost", "fee_cents": 0.5e2, "loan_no": "L-1"}"#;
    let checked = check_arguments(&propose_fee(), arguments.as_bytes()).unwrap();
    let names: Vec<_> = checked.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["loan_no", "fee_cents", "state"]);
    let fee = checked.get("fee_cents").unwrap();
    assert_eq!((fee.kind(), fee.as_text()), (ValueKind::Int, Some("50")));
    assert_eq!(checked.get("loan_no").unwrap().as_text(), Some("L-1"));
    assert_eq!(checked.get("note"), None);
}

#[test]
fn numbers_are_exact_at_any_size() {
    let file = LIBRARY.replacen(
        "\"type\": \"number\"}",
        "\"type\": \"number\", \"maximum\": 1e30}",
        1,
    );
    let contract = Contract::parse(file.as_bytes()).unwrap().contract;
    let letter = contract.capability("members.propose_letter").unwrap();
    let lookup = |number: &str| {
        check_arguments(letter, format!(r#"{{"member_id": {number}}}"#).as_bytes())
            .map(|checked| checked.get("member_id").unwrap().as_text().unwrap().to_owned())
            .map_err(|refusal| refusal.code)
    };
    for exact in ["9007199254740993", "\"9007199254740993\""] {
        assert_eq!(lookup(exact).unwrap(), "9007199254740993");
    }
    assert_eq!(lookup("-0").unwrap(), "0");
    assert_eq!(lookup("1.50").unwrap(), "1.5");
    assert_eq!(lookup("1E+30").unwrap(), format!("1{}", "0".repeat(30)));
    assert_eq!(
        lookup("1000000000000000000000000000001"),
        Err(ErrorCode::ArgumentAboveMaximum)
    );
    assert_eq!(lookup("1e400"), Err(ErrorCode::ArgumentTypeInvalid));
    assert_eq!(
        lookup("1e-99999999999999999999"),
        Err(ErrorCode::ArgumentTypeInvalid)
    );
}

#[test]
fn whole_number_as_a_string_keeps_every_digit() {
    let fee = |given: &str| {
        let arguments = with("").replace("5,", &format!("{given},"));
        let checked = check_arguments(&propose_fee(), arguments.as_bytes());
        checked
            .map(|checked| checked.get("fee_cents").unwrap().clone())
            .map_err(|refusal| (refusal.code, refusal.public))
    };
    for text in ["0", "5", "5000"] {
        assert_eq!(fee(&format!("\"{text}\"")), fee(text), "{text}");
    }
    for text in [
        "", "-", "-0", "+5", "05", " 5", "5 ", "5.0", "5e1", "0x5", "5_0", "٥", "NaN", "1,000",
    ] {
        let (code, message) = fee(&format!("\"{text}\"")).unwrap_err();
        assert_eq!(code, ErrorCode::ArgumentTypeInvalid, "{text}");
        for part in [
            "`fee_cents`",
            "must be a number",
            "\"9007199254740993\"",
            "leading zeros",
        ] {
            assert!(message.contains(part), "{text}: {message}");
        }
        assert!(!message.contains("not a string"), "{text}: {message}");
    }
    // Bounds apply as to a number.
    for (text, code) in [
        ("-1", ErrorCode::ArgumentBelowMinimum),
        ("9007199254740993", ErrorCode::ArgumentAboveMaximum),
    ] {
        let refused = fee(&format!("\"{text}\"")).unwrap_err();
        assert_eq!(refused, fee(text).unwrap_err());
        assert_eq!(refused.0, code);
    }
}

#[test]
fn each_rule_has_its_code_and_names_argument_and_bound() {
    let long = format!(r#", "note": "{}""#, "ü".repeat(201));
    for (arguments, code, words) in [
        (
            r#"{"loan_no": "L-1"}"#.to_owned(),
            ErrorCode::ArgumentRequired,
            ["`fee_cents`", "number"],
        ),
        (
            with(r#", "note": 7"#),
            ErrorCode::ArgumentTypeInvalid,
            ["`note`", "string"],
        ),
        (
            with("").replace("\"lost\"", "null"),
            ErrorCode::ArgumentTypeInvalid,
            ["`state`", "null"],
        ),
        (
            with(r#", "note": "a\u0000b""#),
            ErrorCode::ArgumentTypeInvalid,
            ["`note`", "U+0000"],
        ),
        (
            with(r#", "note": {"a": 1}"#),
            ErrorCode::ArgumentTypeInvalid,
            ["`note`", "object"],
        ),
        (with(&long), ErrorCode::ArgumentTooLong, ["`note`", "200"]),
        (
            with("").replace("5,", "-0.001,"),
            ErrorCode::ArgumentBelowMinimum,
            ["`fee_cents`", "0"],
        ),
        (
            with("").replace("5,", "5000.51,"),
            ErrorCode::ArgumentAboveMaximum,
            ["`fee_cents`", "5000.5"],
        ),
        (
            with("").replace("lost", "Lost"),
            ErrorCode::ArgumentNotAllowed,
            ["`state`", "`returned`"],
        ),
        (
            with(r#", "colour": 1"#),
            ErrorCode::ArgumentUnknown,
            ["\"colour\"", "fee_cents"],
        ),
        (
            with(r#", "table": "x""#),
            ErrorCode::ArgumentUnknown,
            ["\"table\"", "loan_no"],
        ),
        (
            with(r#", "state": "lost""#),
            ErrorCode::ArgumentsNotJson,
            ["duplicate", "state"],
        ),
        ("[]".to_owned(), ErrorCode::ArgumentsNotJson, ["object", "list"]),
        ("{".to_owned(), ErrorCode::ArgumentsNotJson, ["object", "EOF"]),
    ] {
        let (found, message) = refusal(&arguments);
        assert_eq!(found, code, "{arguments}: {message}");
        assert!(
            words.iter().all(|word| message.contains(word)),
            "{code}: {message}"
        );
    }
}

#[test]
fn null_for_optional_argument_means_absent() {
    let absent = check_arguments(&propose_fee(), with("").as_bytes()).unwrap();
    for members in [r#", "note": null"#, ", \"note\" :\n null "] {
        let checked = check_arguments(&propose_fee(), with(members).as_bytes()).unwrap();
        assert_eq!(checked, absent, "{members}");
        assert_eq!(checked.get("note"), None);
    }
    for (from, to) in [
        (
            r#""type": "string", "required": false"#,
            r#""type": "number", "required": false"#,
        ),
        (
            r#""type": "string", "required": false"#,
            r#""type": "boolean", "required": false"#,
        ),
    ] {
        let file = LIBRARY.replace(from, to).replace("\"max_length\": 200, ", "");
        let contract = Contract::parse(file.as_bytes()).unwrap().contract;
        let capability = contract.capability("loans.propose_fee").unwrap();
        let checked = check_arguments(capability, with(r#", "note": null"#).as_bytes()).unwrap();
        assert_eq!(checked.get("note"), None, "{to}");
    }
}

#[test]
fn null_for_required_argument_or_lookup_key_is_rejected() {
    for name in ["loan_no", "fee_cents", "state"] {
        let arguments = serde_json::from_str::<serde_json::Value>(&with("")).map(|mut arguments| {
            arguments[name] = serde_json::Value::Null;
            arguments.to_string()
        });
        let (code, message) = refusal(&arguments.unwrap());
        assert_eq!(code, ErrorCode::ArgumentTypeInvalid, "{message}");
        assert!(message.contains(&format!("`{name}`")), "{message}");
    }
    let file = LIBRARY.replacen(
        "\"loan_no\": {\"type\": \"string\",",
        "\"loan_no\": {\"required\": false, \"type\": \"string\",",
        1,
    );
    let contract = Contract::parse(file.as_bytes()).unwrap().contract;
    let refusal = check_arguments(&contract.capabilities()[0], br#"{"loan_no": null}"#).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::ArgumentTypeInvalid);
}

#[test]
fn length_counts_characters_and_total_size_is_bounded() {
    let exact = with(&format!(r#", "note": "{}""#, "ü".repeat(200)));
    assert!(
        check_arguments(&propose_fee(), exact.as_bytes()).is_ok(),
        "length counts characters"
    );
    let large = with(&format!(r#", "note": "{}""#, " ".repeat(ARGUMENTS_BYTES_MAX)));
    assert_eq!(refusal(&large).0, ErrorCode::ArgumentsTooLarge);
}

#[test]
fn rejects_absent_optional_lookup_argument() {
    let file = LIBRARY.replacen(
        "\"loan_no\": {\"type\": \"string\",",
        "\"loan_no\": {\"required\": false, \"type\": \"string\",",
        1,
    );
    let contract = Contract::parse(file.as_bytes()).unwrap().contract;
    let refusal = check_arguments(&contract.capabilities()[0], b"{}").unwrap_err();
    assert_eq!(refusal.code, ErrorCode::LookupArgMissing);
    let required = &Catalog::from_contract(&contract, false).tools[0].input_schema["required"];
    assert_eq!(required[0], "loan_no");
}

#[test]
fn rejects_trusted_bindings_as_arguments() {
    let names = [
        "tenant_id",
        "tenantId",
        "tenantID",
        "TENANT_ID",
        "Tenant-Id",
        "tenant__id",
        "_tenant_id_",
        "tenant.id",
        "tenantid",
        "principal",
        "Principal",
        "principal_id",
        "principalId",
        "project_id",
        "projectId",
        "source_id",
        "sourceId",
        "allowed_columns",
        "allowedColumns",
        "row_version",
        "rowVersion",
        "current_version",
        "currentVersion",
        "expected_version",
        "expectedVersion",
        "EXPECTED_VERSION",
        "approval_identity",
        "approvalIdentity",
        "\\u0074enant_id",
        "tenant\\u005fid",
    ];
    for name in names {
        for value in ["\"other\"", "null", "{\"a\": []}", "1e9"] {
            let (code, message) = refusal(&with(&format!(r#", "{name}": {value}"#)));
            assert_eq!(code, ErrorCode::ModelCannotOverrideBinding, "{name}: {message}");
        }
        let (code, _) = refusal(&format!(r#"{{"{name}": "other", "colour": 1}}"#));
        assert_eq!(
            code,
            ErrorCode::ModelCannotOverrideBinding,
            "{name} is rejected before any other check"
        );
    }
    for near in [
        "tenant",
        "tenant_id ",
        "ｔenant_id",
        "tenant_id\\u200b",
        "__proto__",
        "$tenant_id",
    ] {
        let (code, _) = refusal(&with(&format!(r#", "{near}": "other""#)));
        assert_eq!(code, ErrorCode::ArgumentUnknown, "{near}");
    }
}

#[test]
fn unknown_name_is_truncated_and_escaped() {
    let (_, message) = refusal(&with(&format!(r#", "\u001b[31m\n{}": 1"#, "x".repeat(5_000))));
    assert!(
        message.len() < 400 && !message.contains('\u{1b}') && !message.contains('\n'),
        "{message}"
    );
}

#[test]
fn malformed_arguments_never_panic() {
    let capability = propose_fee();
    let good = with(r#", "note": "x\ud83d\ude00y""#).into_bytes();
    assert!(check_arguments(&capability, &good).is_ok());
    for at in 0..good.len() {
        for byte in [0x00, b'"', b'{', b'}', b'\\', b'9', b'e', 0xff] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            drop(check_arguments(&capability, &bytes));
            drop(check_arguments(&capability, &bytes[..at]));
        }
    }
    assert!(json::read("[".repeat(60_000).as_bytes(), 8).is_err());
}

#[test]
fn tool_description_states_what_absent_arguments_do() {
    let text = |binding: &str| {
        let file = LIBRARY.replace("\"note\": {\"from_arg\": \"note\"}", binding);
        let contract = Contract::parse(file.as_bytes()).unwrap().contract;
        let catalog = Catalog::from_contract(&contract, false);
        catalog.tool("loans.propose_fee").unwrap().description.clone()
    };
    let emptied = "\nLeft out, it empties the column: `note`.\n";
    let kept = "\nLeft out, it keeps the present value: `note`.\n";
    for (members, sentence) in [
        ("", emptied),
        (r#", "when_absent": "null""#, emptied),
        (r#", "when_absent": "keep""#, kept),
    ] {
        let text = text(&format!(r#""note": {{"from_arg": "note"{members}}}"#));
        assert!(text.contains(sentence), "{members}: {text}");
        assert_eq!(text.matches("Left out").count(), 1, "{text}");
    }
    let other = text(r#""note": {"from_arg": "url", "when_absent": "keep"}"#);
    assert!(other.contains("`url` (column `note`)"), "{other}");
    let required = text(r#""note": {"from_arg": "state", "when_absent": "keep"}"#);
    assert!(!required.contains("Left out"), "{required}");
}

#[test]
fn tool_description_has_returns_hint_or_columns() {
    let hinted = tool_description(&[]);
    assert!(
        hinted.contains("\nFees are in cents.\n") && !hinted.contains("Returns"),
        "{hinted}"
    );
    let plain = tool_description(&["returns_hint"]);
    assert!(
        plain.contains("\nReturns one row: loan_no, state, fee_cents.\n"),
        "{plain}"
    );
}

fn tool_description(without: &[&str]) -> String {
    let mut file: serde_json::Value =
        serde_json::from_str(include_str!("golden/contract/library.json")).unwrap();
    let capability = file["capabilities"][0].as_object_mut().unwrap();
    without.iter().for_each(|key| drop(capability.shift_remove(*key)));
    let contract = synapsor_domain::contract::Contract::parse(file.to_string().as_bytes())
        .unwrap()
        .contract;
    Catalog::from_contract(&contract, false).tools[0]
        .description
        .clone()
}
