//! Tests of the environment that children get.

use synapsor_codes::{ErrorCode, Exit};
use synapsor_domain::contract::Contract;

use super::*;

fn contract() -> Contract {
    Contract::parse(include_bytes!("../../../assets/demo.runner.json"))
        .unwrap()
        .contract
}

fn everything() -> EnvVars {
    let names = [
        "BILLING_READ_URL",
        "BILLING_READ_URL_FILE",
        "BILLING_WRITE_URL",
        "BILLING_WRITE_URL_FILE",
        "BILLING_TENANT",
        "BILLING_PRINCIPAL",
        "HTTP_TOKEN",
        "HTTP_TOKEN_FILE",
        "SYNAPSOR_LOG_LEVEL",
        "PATH",
        "HOME",
        "LD_PRELOAD",
        "SYNAPSOR_KEY",
        "PGPASSWORD",
    ];
    EnvVars::fixed(names.map(|name| (name, "value")))
}

fn names(process: Process, token: Option<&str>) -> Vec<String> {
    let contract = contract();
    take(&everything(), &allowed(process, Some(&contract), token))
        .unwrap()
        .into_keys()
        .collect()
}

#[test]
fn reader_gets_read_urls_and_context_only() {
    let wanted = [
        "BILLING_PRINCIPAL",
        "BILLING_READ_URL",
        "BILLING_READ_URL_FILE",
        "BILLING_TENANT",
        "SYNAPSOR_LOG_LEVEL",
    ];
    assert_eq!(names(Process::Reader, None), wanted);
}

#[test]
fn writer_gets_write_urls_only() {
    assert_eq!(
        names(Process::Writer, None),
        [
            "BILLING_WRITE_URL",
            "BILLING_WRITE_URL_FILE",
            "SYNAPSOR_LOG_LEVEL"
        ]
    );
}

#[test]
fn ledger_and_gateway_get_no_database_variable() {
    assert_eq!(names(Process::Ledger, None), ["SYNAPSOR_LOG_LEVEL"]);
    assert_eq!(names(Process::Gateway, None), ["SYNAPSOR_LOG_LEVEL"]);
}

#[test]
fn env_file_variables_reach_only_their_role() {
    let file = everything()
        .names()
        .into_iter()
        .map(|name| (name, "of the file".to_owned()));
    let env = EnvVars::fixed([("BILLING_TENANT", "of the shell")]).with_defaults(file.collect());
    let contract = contract();
    let taken = |process, token| take(&env, &allowed(process, Some(&contract), token)).unwrap();
    let reader = taken(Process::Reader, None);
    assert_eq!(reader["BILLING_READ_URL"], "of the file");
    assert_eq!(reader["BILLING_TENANT"], "of the shell");
    assert!(!reader.contains_key("BILLING_WRITE_URL"));
    assert!(taken(Process::Writer, None).contains_key("BILLING_WRITE_URL"));
    let names = |process, token| taken(process, token).into_keys().collect::<Vec<_>>();
    assert_eq!(names(Process::Gateway, None), ["SYNAPSOR_LOG_LEVEL"]);
    assert_eq!(names(Process::Ledger, None), ["SYNAPSOR_LOG_LEVEL"]);
    assert_eq!(
        names(Process::Gateway, Some("HTTP_TOKEN")),
        ["HTTP_TOKEN", "HTTP_TOKEN_FILE", "SYNAPSOR_LOG_LEVEL"]
    );
}

#[test]
fn gateway_gets_the_token_only_when_it_serves_http() {
    assert_eq!(
        names(Process::Gateway, Some("HTTP_TOKEN")),
        ["HTTP_TOKEN", "HTTP_TOKEN_FILE", "SYNAPSOR_LOG_LEVEL"]
    );
    assert_eq!(names(Process::Ledger, Some("HTTP_TOKEN")), ["SYNAPSOR_LOG_LEVEL"]);
    assert!(!names(Process::Reader, Some("HTTP_TOKEN")).contains(&"HTTP_TOKEN".to_owned()));
}

#[test]
fn missing_variable_error_has_purpose_and_example() {
    let env = EnvVars::fixed([("BILLING_TENANT", "acme"), ("BILLING_PRINCIPAL", "bot")]);
    let failure = require(Process::Reader, &env, &contract()).unwrap_err();
    assert_eq!(
        (failure.code(), failure.exit()),
        (ErrorCode::EnvMissing, Exit::Usage)
    );
    assert!(
        failure
            .message()
            .contains("BILLING_READ_URL (the read URL of source `billing`)"),
        "{failure}"
    );
    assert_eq!(
        failure.fix(),
        Some("export BILLING_READ_URL=sqlite:///absolute/path/app.db")
    );
}

#[test]
fn file_variable_sets_url_but_not_tenant() {
    let set = |names: [&str; 3]| EnvVars::fixed(names.map(|name| (name, "x")));
    let good = set(["BILLING_READ_URL_FILE", "BILLING_TENANT", "BILLING_PRINCIPAL"]);
    assert!(require(Process::Reader, &good, &contract()).is_ok());
    let bad = set([
        "BILLING_READ_URL_FILE",
        "BILLING_TENANT_FILE",
        "BILLING_PRINCIPAL",
    ]);
    assert!(require(Process::Reader, &bad, &contract()).is_err());
}

#[test]
fn writer_of_read_only_contract_gets_no_variables() {
    let text = include_str!("../../../assets/demo.runner.json").replace("\"review\"", "\"read_only\"");
    let contract = Contract::parse(text.as_bytes()).unwrap().contract;
    assert!(requirements(Process::Writer, &contract).is_empty());
    assert_eq!(requirements(Process::Reader, &contract).len(), 3);
}

#[test]
fn tls_material_reaches_only_database_roles() {
    let text = include_str!("../../../assets/demo.runner.json").replacen(
        "\"engine\": \"sqlite\",",
        "\"engine\": \"postgres\", \"ssl\": {\"mode\": \"verify-full\", \"ca_env\": \"BILLING_CA\"},",
        1,
    );
    let contract = Contract::parse(text.as_bytes()).unwrap().contract;
    for (process, has) in [
        (Process::Reader, true),
        (Process::Writer, true),
        (Process::Gateway, false),
        (Process::Ledger, false),
    ] {
        let names = allowed(process, Some(&contract), None);
        assert_eq!(names.contains("BILLING_CA"), has, "{process:?}");
        assert_eq!(names.contains("BILLING_CA_FILE"), has, "{process:?}");
    }
}
