//! Contract tests: a rich file passes, one broken file per code reports that code and path, and the contract
//! digest changes only with reviewed members.

#![allow(clippy::unwrap_used, reason = "a broken fixture ends the test")]

use std::collections::BTreeSet;

use serde_json::Value as Json;
use synapsor_codes::{Area, ErrorCode};
use synapsor_domain::contract::{Contract, ExecutorRef, ValidationIssue, ValidationReport};
use synapsor_domain::limits::FILE_BYTES_MAX;

mod broken;

const LIBRARY: &str = include_str!("golden/contract/library.json");

/// The library's file after edits: a JSON pointer with the new JSON text, or with nothing to remove it.
fn edited(edits: &[(&str, &str)]) -> Vec<u8> {
    let mut file: Json = serde_json::from_str(LIBRARY).unwrap();
    for (pointer, text) in edits {
        if pointer.is_empty() {
            file = serde_json::from_str(text).unwrap();
            continue;
        }
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/");
        match file.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")) {
            Json::Object(map) if text.is_empty() => assert!(map.shift_remove(&key).is_some(), "no {pointer}"),
            Json::Object(map) => drop(map.insert(key, serde_json::from_str(text).unwrap())),
            Json::Array(items) if key == "-" => items.push(serde_json::from_str(text).unwrap()),
            Json::Array(items) => items[key.parse::<usize>().unwrap()] = serde_json::from_str(text).unwrap(),
            _ => panic!("{parent} has no members"),
        }
    }
    serde_json::to_vec(&file).unwrap()
}

fn library(edits: &[(&str, &str)]) -> Contract {
    let bytes = edited(edits);
    Contract::parse(&bytes)
        .unwrap_or_else(|report| panic!("{:#?}", report.errors))
        .contract
}

fn has(problems: &[ValidationIssue], code: &str, path: &str) -> bool {
    problems
        .iter()
        .any(|problem| problem.code.as_str() == code && problem.path == path)
}

fn all(report: &ValidationReport) -> Vec<ValidationIssue> {
    report.errors.iter().chain(&report.warnings).cloned().collect()
}

#[test]
fn rich_file_warns_only_of_weak_guard_and_absent_argument() {
    let report = Contract::check(LIBRARY.as_bytes());
    assert!(report.is_ok() && report.warnings.len() == 2, "{report:#?}");
    assert!(has(
        &report.warnings,
        "WHEN_ABSENT_MISSING",
        "$.capabilities[1].patch.note"
    ));
    assert!(has(
        &report.warnings,
        "CONFLICT_GUARD_WEAK",
        "$.capabilities[2].conflict_guard"
    ));
    let contract = library(&[]);
    assert!(contract.runnable().is_ok());
    let fee = contract.capability("loans.propose_fee").unwrap();
    assert_eq!(
        fee.proposal().unwrap().executor,
        ExecutorRef::Direct,
        "a named sql_update is the direct path"
    );
    let expected = [
        "loan_no",
        "state",
        "fee_cents",
        "note",
        "is_settled",
        "library_id",
        "revision",
    ];
    assert_eq!(fee.read_columns(), expected);
}

#[test]
fn each_broken_file_reports_its_code_and_path() {
    for (code, path, edits) in broken::FILES {
        let report = Contract::check(&edited(edits));
        let problems = all(&report);
        assert!(
            has(&problems, code, path),
            "{code} at {path} expected, found {problems:#?}"
        );
        let message = &problems
            .iter()
            .find(|problem| problem.code.as_str() == *code)
            .unwrap()
            .message;
        assert!(
            message.ends_with('.') && message.len() > 15,
            "{code} names no fix: {message}"
        );
    }
}

#[test]
fn most_broken_files_report_one_error() {
    let noisy: Vec<_> = broken::FILES
        .iter()
        .filter(|(_, _, edits)| Contract::check(&edited(edits)).errors.len() > 3)
        .map(|(code, _, _)| *code)
        .collect();
    assert_eq!(noisy, Vec::<&str>::new(), "one mistake must be reported once");
}

#[test]
fn every_code_has_a_broken_file() {
    let elsewhere = [
        "CONFIG_NOT_JSON",
        "CONFIG_TOO_LARGE",
        "CLOUD_MODE_NOT_AVAILABLE",
        "TRUSTED_CONTEXT_UNSUPPORTED",
        "CONTEXTS_MIXED",
        // Files of many bytes; see the unit tests of the limits.
        "TOOL_DESCRIPTION_LONG",
        "TOOL_LIST_LARGE",
    ];
    let covered: BTreeSet<&str> = broken::FILES
        .iter()
        .map(|(code, _, _)| *code)
        .chain(elsewhere)
        .collect();
    let existing: BTreeSet<&str> = ErrorCode::ALL
        .iter()
        .filter(|code| code.area() == Area::Contract)
        .map(|code| code.as_str())
        .collect();
    assert_eq!(covered, existing);
}

#[test]
fn warnings_do_not_reject_a_file() {
    for code in broken::WARNINGS {
        let (_, path, edits) = broken::FILES.iter().find(|(name, _, _)| name == code).unwrap();
        let parsed = Contract::parse(&edited(edits)).unwrap();
        let report = Contract::check(&edited(edits));
        // Processes start despite a warning, except for one that is also an error of the check.
        assert!(report.is_ok() || parsed.contract.runnable().is_err(), "{code}");
        assert!(has(&[report.errors, report.warnings].concat(), code, path));
    }
    for (code, _, edits) in broken::FILES
        .iter()
        .filter(|(code, _, _)| !broken::WARNINGS.contains(code))
    {
        assert!(
            Contract::parse(&edited(edits)).is_err(),
            "{code} must reject the file"
        );
    }
}

/// The warnings of the guard of `loans.propose_fee`.
fn weaknesses(edits: &[(&str, &str)]) -> Vec<(String, String)> {
    let warnings = Contract::check(&edited(edits)).warnings;
    let is_ours = |p: &ValidationIssue| {
        p.code == ErrorCode::ConflictGuardWeak && p.path.starts_with("$.capabilities[1]")
    };
    let ours = warnings.into_iter().filter(is_ours);
    ours.map(|problem| (problem.path, problem.message)).collect()
}

#[test]
fn weak_guard_warning_names_reason_and_fix() {
    const GUARD: &str = "/capabilities/1/conflict_guard";
    let at = "$.capabilities[1].conflict_guard";
    let ack = r#"{"weak_guard_ack": true}"#;
    for (guard, path, words) in [
        (ack, at.to_owned(), "`weak_guard_ack` names no version column"),
        (
            r#"{"column": "loan_no"}"#,
            format!("{at}.column"),
            "`primary_key`",
        ),
        (
            r#"{"column": "library_id"}"#,
            format!("{at}.column"),
            "`tenant_key`",
        ),
        (
            r#"{"column": "state"}"#,
            format!("{at}.column"),
            "`state` is in `patch`",
        ),
    ] {
        let found = weaknesses(&[(GUARD, guard)]);
        assert!(found.len() == 1 && found[0].0 == path, "{guard}: {found:#?}");
        assert!(found[0].1.contains(words), "{guard}: {found:#?}");
        assert!(found[0].1.contains("`loans.propose_fee`"), "{found:#?}");
    }
    let on_postgres = [(GUARD, ack), ("/sources/lending/engine", "\"postgres\"")];
    assert!(weaknesses(&on_postgres)[0].1.contains("`xmin`"));
    assert!(!weaknesses(&[(GUARD, ack)])[0].1.contains("`xmin`"));
}

#[test]
fn guard_of_unknown_strength_has_no_weak_warning() {
    for guard in [
        r#"{"column": "revision"}"#,
        r#"{"column": "revision", "weak_guard_ack": true}"#,
        r#"{"column": "revision", "advance": "now"}"#,
        r#"{"column": "title"}"#,
    ] {
        let found = weaknesses(&[("/capabilities/1/conflict_guard", guard)]);
        assert!(found.is_empty(), "{guard}: {found:#?}");
    }
}

#[test]
fn invalid_json_is_rejected_with_line_and_column() {
    let duplicate = LIBRARY.replacen("\"version\": 1,", "\"version\": 1,\n  \"version\": 1,", 1);
    let report = Contract::check(duplicate.as_bytes());
    assert!(has(&report.errors, "CONFIG_NOT_JSON", "$"));
    assert!(
        report.errors[0].message.contains("line 4 column 14"),
        "{}",
        report.errors[0].message
    );
    let report = Contract::check(&LIBRARY.as_bytes()[..LIBRARY.len() / 2]);
    assert!(has(&report.errors, "CONFIG_NOT_JSON", "$") && report.errors[0].message.contains("line "));
    let padded = format!("{LIBRARY}{}", " ".repeat(FILE_BYTES_MAX));
    assert!(has(
        &Contract::check(padded.as_bytes()).errors,
        "CONFIG_TOO_LARGE",
        "$"
    ));
}

#[test]
fn all_problems_are_reported_at_once() {
    let report = Contract::check(&edited(&[
        ("/mode", "\"maybe\""),
        ("/sources/lending/read_url_env", ""),
        ("/capabilities/0/max_rows", "0"),
        ("/capabilities/2/extra", "1"),
    ]));
    let codes: Vec<_> = report
        .errors
        .iter()
        .map(|problem| problem.code.as_str())
        .collect();
    assert_eq!(
        codes,
        [
            "INVALID_MODE",
            "READ_URL_ENV_REQUIRED",
            "INVALID_MAX_ROWS",
            "UNKNOWN_FIELD"
        ]
    );
    let public = serde_json::to_value(&report).unwrap();
    assert_eq!(public["ok"], false);
    assert_eq!(public["errors"][2]["path"], "$.capabilities[0].max_rows");
}

#[test]
fn unknown_keys_pass_only_when_the_file_is_not_strict() {
    for object in broken::PLACES_OF_KEYS {
        let pointer = format!("{object}/surprise");
        let report = Contract::check(&edited(&[(&pointer, "1")]));
        assert!(
            report
                .errors
                .iter()
                .any(|problem| problem.code == ErrorCode::UnknownField),
            "{object}"
        );
        let report = Contract::check(&edited(&[(&pointer, "1"), ("/strict", "false")]));
        assert!(report.is_ok(), "{object}: {report:#?}");
    }
    let report = Contract::check(&edited(&[("/database_url", "1"), ("/strict", "false")]));
    assert!(!report.is_ok(), "forbidden keys are forbidden in every file");
}

#[test]
fn user_defined_names_are_not_forbidden_keys() {
    let contract = library(&[
        (
            "/capabilities/1/args/statement",
            r#"{"type": "string", "required": false}"#,
        ),
        ("/capabilities/2/patch", r#"{"url": {"fixed": "x"}}"#),
        ("/capabilities/2/allowed_columns", r#"["url"]"#),
        ("/capabilities/2/visible_columns", r#"["id", "url"]"#),
    ]);
    assert!(
        contract
            .capability("loans.propose_fee")
            .unwrap()
            .arg("url")
            .is_some()
    );
}

#[test]
fn processes_reject_unsupported_modes_and_providers() {
    let cloud = r#"{"base_url_env": "B", "runner_token_env": "T", "adapter_id": "a", "engines": ["mysql"]}"#;
    let only_cloud = format!(r#"{{"version": 1, "mode": "cloud", "cloud": {cloud}}}"#);
    let problem = library(&[("", &only_cloud)]).runnable().unwrap_err();
    assert_eq!(
        (problem.code, problem.path.as_str()),
        (ErrorCode::CloudModeNotAvailable, "$.mode")
    );
    for (provider, expected) in [
        (
            "\"http_claims\"",
            (
                ErrorCode::HttpClaimsIncomplete,
                "$.contexts[\"desk.main\"].values",
            ),
        ),
        (
            "\"cloud_session\"",
            (
                ErrorCode::TrustedContextUnsupported,
                "$.contexts[\"desk.main\"].provider",
            ),
        ),
    ] {
        let problem = library(&[("/contexts/desk.main/provider", provider)])
            .runnable()
            .unwrap_err();
        assert_eq!((problem.code, problem.path.as_str()), expected);
    }
}

const TOKENS: &str = r#"{"provider": "http_claims", "values":
    {"issuer": "https://id.example.com/", "audience": "https://mcp.example.com/mcp"}}"#;

fn with_tokens(edits: &[(&str, &str)]) -> Contract {
    let mut all = vec![("/trusted_context", TOKENS), ("/contexts/desk.main", TOKENS)];
    all.extend(edits);
    library(&all)
}

#[test]
fn token_contract_requires_issuer_and_audience() {
    let source = with_tokens(&[]);
    source.runnable().unwrap();
    let source = source.tokens().unwrap();
    assert_eq!(source.policy.audience.as_slice(), ["https://mcp.example.com/mcp"]);
    assert_eq!(
        (
            source.policy.tenant_claim.as_str(),
            source.policy.principal_claim.as_str()
        ),
        ("tenant_id", "sub")
    );
    assert_eq!(
        (source.policy.algorithms.len(), source.policy.lifetime_seconds_max),
        (3, 3_600)
    );
    for missing in ["issuer", "audience"] {
        let problem = with_tokens(&[(&format!("/trusted_context/values/{missing}"), "")])
            .runnable()
            .unwrap_err();
        assert_eq!(
            (problem.code, problem.path.as_str()),
            (ErrorCode::HttpClaimsIncomplete, "$.trusted_context.values")
        );
    }
    for (key, wrong) in [
        ("issuer", "\"http://id.example.com\""),
        ("audience", "\"http://mcp.example.com\""),
        ("audience", "\"a b\""),
        ("audience", "[]"),
        ("audience", "[\"a\", \"a\"]"),
        ("audience", "[\"a\", 7]"),
        ("resource", "\"mcp\""),
        ("accept", "[\"JWT\"]"),
        ("scope_claim", "\"permissions\""),
        ("scope_when_absent", "\"a  b\""),
        ("client_id_claim", "\"a b\""),
        ("require_jti", "\"no\""),
        ("audience_mode", "\"any\""),
        ("max_lifetime_seconds", "86401"),
        ("jwks_url", "\"file:///keys\""),
        ("algorithms", "[\"HS256\"]"),
        ("algorithms", "[]"),
        ("tenant_claim", "\"a b\""),
        ("read_scope", "\"a\\\"b\""),
        ("token_lifetime_seconds", "59"),
        ("token_lifetime_seconds", "1e3"),
    ] {
        let pointer = format!("/trusted_context/values/{key}");
        let file = edited(&[("/trusted_context", TOKENS), (&pointer, wrong)]);
        let path = format!("$.trusted_context.values.{key}");
        assert!(
            has(&Contract::check(&file).errors, "INVALID_CONTEXT_VALUE", &path),
            "{key} {wrong}"
        );
    }
}

#[test]
fn check_reports_what_processes_refuse_at_start() {
    let unknown = ("/contexts/desk.main/values/subject_prefix", "\"a\"");
    let both = [unknown, ("/trusted_context/values/algorithm", "\"EdDSA\"")];
    let cloud = ("/contexts/desk.main/provider", "\"cloud_session\"");
    let claims = ("/contexts/desk.main/provider", "\"http_claims\"");
    let tokens = [("/trusted_context", TOKENS), ("/contexts/desk.main", TOKENS)];
    let mixed = [("/contexts/desk.main", TOKENS)];
    for edits in [
        [&tokens[..], &both].concat(),
        vec![cloud],
        vec![claims],
        mixed.to_vec(),
    ] {
        let file = edited(&edits);
        let refused = Contract::parse(&file).unwrap().contract.runnable().unwrap_err();
        let report = Contract::check(&file);
        // What 0.1.x runs elsewhere is a warning; everything is reported once.
        let elsewhere = edits == [cloud] || edits == [claims];
        let (reported, others) = match elsewhere {
            true => (&report.warnings, &report.errors),
            false => (&report.errors, &report.warnings),
        };
        assert!(reported.contains(&refused), "{edits:?}: {report:?}");
        assert!(!has(others, refused.code.as_str(), &refused.path), "{edits:?}");
    }
    let every = Contract::check(&edited(&[&tokens[..], &both].concat())).errors;
    assert_eq!(every.len(), 2, "{every:?}");
}

#[test]
fn token_context_with_an_unknown_value_cannot_run() {
    let misspelled = ("/contexts/desk.main/values/algorithm", "[\"EdDSA\"]");
    let problem = with_tokens(&[misspelled]).runnable().unwrap_err();
    assert_eq!(
        (problem.code, problem.path.as_str()),
        (
            ErrorCode::UnknownContextValue,
            "$.contexts[\"desk.main\"].values.algorithm"
        )
    );
    assert!(problem.message.contains("algorithms"), "{}", problem.message);
    with_tokens(&[misspelled, ("/strict", "false")])
        .runnable()
        .unwrap();
    // Files of 0.1.x have values of any name here.
    library(&[("/trusted_context/values/role", "\"x\"")])
        .runnable()
        .unwrap();
}

#[test]
fn token_context_rejects_values_of_other_providers() {
    for key in ["tenant_id_env", "principal_env", "tenant_id", "principal"] {
        let edit = (&*format!("/trusted_context/values/{key}"), "\"ACME\"");
        let problem = with_tokens(&[edit]).runnable().unwrap_err();
        assert_eq!(
            (problem.code, problem.path),
            (
                ErrorCode::UnknownContextValue,
                format!("$.trusted_context.values.{key}")
            )
        );
        let known = problem.message.split("known members are ").last().unwrap();
        assert!(!known.split([',', '.', ' ']).any(|name| name == key), "{known}");
        with_tokens(&[edit, ("/strict", "false")]).runnable().unwrap();
    }
}

#[test]
fn capabilities_must_share_one_token_policy() {
    let other_claim = ("/contexts/desk.main/values/tenant_claim", "\"library\"");
    with_tokens(&[other_claim]).runnable().unwrap();
    let from_elsewhere = ("/contexts/desk.main", r#"{"provider": "environment"}"#);
    for edit in [
        from_elsewhere,
        (
            "/contexts/desk.main/values/issuer",
            "\"https://other.example.com/\"",
        ),
        ("/contexts/desk.main/values/propose_scope", "\"other\""),
        ("/contexts/desk.main/values/scope_claim", "\"scp\""),
        ("/contexts/desk.main/values/accept", "{\"typ\": \"JWT\"}"),
        (
            "/contexts/desk.main/values/jwks_url",
            "\"https://id.example.com/keys\"",
        ),
    ] {
        let problem = with_tokens(&[edit]).runnable().unwrap_err();
        assert_eq!(
            (problem.code, problem.path.as_str()),
            (ErrorCode::ContextsMixed, "$.capabilities[1].context"),
            "{edit:?}"
        );
    }
}

#[test]
fn contract_digest_covers_token_policy() {
    let seal = |edits: &[(&str, &str)]| {
        let contract = with_tokens(edits);
        contract.capabilities()[0].contract_digest(&contract)
    };
    let reviewed = seal(&[]);
    assert_eq!(
        seal(&[(
            "/trusted_context/values/jwks_url",
            "\"https://id.example.com/keys\""
        )]),
        reviewed
    );
    for edit in [
        ("/trusted_context/values/tenant_claim", "\"org\""),
        ("/trusted_context/values/principal_claim", "\"email\""),
        ("/trusted_context/values/issuer", "\"https://other.example.com/\""),
        (
            "/trusted_context/values/audience",
            "\"https://other.example.com/mcp\"",
        ),
        ("/trusted_context/values/algorithms", "[\"RS256\"]"),
        ("/trusted_context/values/propose_scope", "\"other\""),
        ("/trusted_context/values/token_lifetime_seconds", "60"),
        ("/trusted_context/values/max_lifetime_seconds", "60"),
        (
            "/trusted_context/values/audience",
            "[\"https://mcp.example.com/mcp\", \"api://mcp\"]",
        ),
        (
            "/trusted_context/values/resource",
            "\"https://mcp.example.com/mcp\"",
        ),
        (
            "/trusted_context/values/accept",
            "{\"typ\": [\"at+jwt\", \"JWT\"]}",
        ),
        ("/trusted_context/values/accept", "{\"header\": [\"x5t\"]}"),
        ("/trusted_context/values/scope_claim", "\"scp\""),
        ("/trusted_context/values/scope_when_absent", "\"synapsor:read\""),
        ("/trusted_context/values/client_id_claim", "\"azp\""),
        ("/trusted_context/values/require_jti", "false"),
        ("/trusted_context/values/audience_mode", "\"contains\""),
    ] {
        assert_ne!(seal(&[edit]), reviewed, "{edit:?}");
    }
    for same in [
        (
            "/trusted_context/values/audience",
            "[\"https://mcp.example.com/mcp\"]",
        ),
        ("/trusted_context/values/accept", "{\"typ\": [\"at+jwt\"]}"),
        ("/trusted_context/values/scope_claim", "\"scope\""),
        ("/trusted_context/values/client_id_claim", "\"client_id\""),
        ("/trusted_context/values/require_jti", "true"),
        ("/trusted_context/values/audience_mode", "\"exact\""),
        ("/trusted_context/values/max_lifetime_seconds", "3600"),
    ] {
        assert_eq!(seal(&[same]), reviewed, "{same:?}");
    }
}

#[test]
fn strict_token_policy_keeps_its_digest() {
    let contract = with_tokens(&[]);
    let digest = contract.capabilities()[0].contract_digest(&contract);
    assert_eq!(
        digest.to_string(),
        "sha256:de0d4f363b5e6b4209e6459c7edaef6623b8b97a5f73387edb16ae9676361b94"
    );
}

#[test]
fn audience_that_is_not_a_url_is_warned_about() {
    let warned = |audience: &str| {
        let pointer = "/trusted_context/values/audience";
        let report = Contract::check(&edited(&[("/trusted_context", TOKENS), (pointer, audience)]));
        has(
            &report.warnings,
            "AUDIENCE_SHARED",
            "$.trusted_context.values.audience",
        )
    };
    for shared in [
        "\"authenticated\"",
        "\"api://9d0c\"",
        "[\"https://mcp.example.com/mcp\", \"account\"]",
        "\"407408718192.apps.googleusercontent.com\"",
    ] {
        assert!(warned(shared), "{shared}");
    }
    assert!(!warned(
        "[\"https://mcp.example.com/mcp\", \"https://mcp.example.org/mcp\"]"
    ));
}

#[test]
fn unknown_member_of_accepted_tokens_is_rejected() {
    for (accept, path) in [
        ("{\"aud\": \"x\"}", "$.trusted_context.values.accept.aud"),
        (
            "{\"typ\": [\"JWT\"], \"alg\": \"none\"}",
            "$.trusted_context.values.accept.alg",
        ),
    ] {
        let file = edited(&[
            ("/trusted_context", TOKENS),
            ("/trusted_context/values/accept", accept),
        ]);
        assert!(
            has(&Contract::check(&file).errors, "UNKNOWN_FIELD", path),
            "{accept}"
        );
    }
    for (accept, path) in [
        ("{\"typ\": [\"id+jwt\"]}", "$.trusted_context.values.accept.typ"),
        ("{\"typ\": []}", "$.trusted_context.values.accept.typ"),
        (
            "{\"typ\": [\"JWT\", \"JWT\"]}",
            "$.trusted_context.values.accept.typ",
        ),
        (
            "{\"header\": [\"jwk\"]}",
            "$.trusted_context.values.accept.header",
        ),
        ("{\"header\": \"x5c\"}", "$.trusted_context.values.accept.header"),
    ] {
        let file = edited(&[
            ("/trusted_context", TOKENS),
            ("/trusted_context/values/accept", accept),
        ]);
        assert!(
            has(&Contract::check(&file).errors, "INVALID_CONTEXT_VALUE", path),
            "{accept}"
        );
    }
}

#[test]
fn both_names_of_the_token_lifetime_are_rejected() {
    let values = "/trusted_context/values";
    let file = edited(&[
        ("/trusted_context", TOKENS),
        (&format!("{values}/token_lifetime_seconds"), "600"),
        (&format!("{values}/max_lifetime_seconds"), "600"),
    ]);
    let path = "$.trusted_context.values.token_lifetime_seconds";
    assert!(has(&Contract::check(&file).errors, "INVALID_CONTEXT_VALUE", path));
}

#[test]
fn contract_digest_changes_only_with_reviewed_members() {
    let seal = |edits: &[(&str, &str)]| {
        let contract = library(edits);
        contract.capabilities()[1].contract_digest(&contract)
    };
    let original = seal(&[]);
    for edit in broken::UNSEALED {
        assert_eq!(
            seal(&[*edit]),
            original,
            "{edit:?} is not part of the contract digest"
        );
    }
    let mut seen = BTreeSet::from([original]);
    for edits in broken::SEALED {
        assert!(
            seen.insert(seal(edits)),
            "{edits:?} must change the contract digest"
        );
    }
}

#[test]
fn contract_digest_covers_the_handler() {
    let seal = |edits: &[(&str, &str)]| {
        let contract = library(edits);
        contract.capabilities()[2].contract_digest(&contract)
    };
    let original = seal(&[]);
    assert_ne!(original, seal(&[("/executors/loan-service/method", "\"POST\"")]));
    assert_ne!(
        original,
        seal(&[("/executors/loan-service/signing_secret_env", "")])
    );
    assert_ne!(original, seal(&[("/capabilities/2/executor", "\"letter\"")]));
    assert_eq!(original, seal(&[("/executors/loan-service/timeout_ms", "9")]));
    assert_eq!(
        original,
        seal(&[("/executors/loan-service/url_env", "\"OTHER_URL\"")])
    );
}

#[test]
fn contract_digest_of_known_file_is_stable() {
    let contract = library(&[]);
    let seals: Vec<_> = contract
        .capabilities()
        .iter()
        .map(|capability| capability.contract_digest(&contract).to_string())
        .collect();
    let golden: Vec<&str> = include_str!("golden/contract/library.seals").lines().collect();
    assert_eq!(
        seals, golden,
        "a new contract digest invalidates all open proposals"
    );
}

#[test]
fn a_damaged_file_never_panics() {
    let good = LIBRARY.as_bytes();
    for at in (0..good.len()).step_by(5) {
        for byte in [b'"', b'}', b'[', b'0', b'n', 0xff] {
            let mut bytes = good.to_vec();
            bytes[at] = byte;
            Contract::check(&bytes);
        }
    }
}

#[test]
fn token_contract_of_the_guide_can_be_run() {
    let guide = include_str!("../../docs/access-tokens.md");
    let block = guide
        .split("```json\n")
        .nth(1)
        .unwrap()
        .split("\n```")
        .next()
        .unwrap();
    let shown: Json = serde_json::from_str(block).unwrap();
    let context = shown["trusted_context"].to_string();
    let contract = library(&[("/trusted_context", &context), ("/contexts/desk.main", &context)]);
    contract.runnable().unwrap();
    let policy = &contract.tokens().unwrap().policy;
    assert_eq!(
        (policy.tenant_claim.as_str(), policy.lifetime_seconds_max),
        ("organization", 600)
    );
}
