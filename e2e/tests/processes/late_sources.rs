//! A writer with one source whose URL file is missing at the start: its orders wait, and are applied once the file is
//! there, without another signature.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::Context as _;
use serde_json::{Value as Json, json};
use synapsor_domain::approval::DecisionKind;
use synapsor_domain::writeback::AttemptResult;
use synapsor_e2e::agent::Agent;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::deployment::{CONTRACT, Deployment};
use synapsor_e2e::operator::{OperatorClient, decision, order, seal_decision, seal_order};
use synapsor_e2e::stack::Stack;

const LATE: &str = "late_db";
const PROPOSE_LATE: &str = "late.waive";

/// The contract with a second source, which has a database of its own.
fn contract() -> anyhow::Result<String> {
    let mut contract: Json = serde_json::from_str(CONTRACT)?;
    let mut source = contract["sources"]["billing_db"].clone();
    source["read_url_env"] = json!("LATE_READ_URL");
    source["write_url_env"] = json!("LATE_WRITE_URL");
    contract["sources"][LATE] = source;
    let capabilities = contract["capabilities"].as_array_mut().context("capabilities")?;
    let proposes = |capability: &&Json| capability["kind"] == json!("proposal");
    let mut capability = capabilities.iter().find(proposes).context("a proposal")?.clone();
    capability["name"] = json!(PROPOSE_LATE);
    capability["source"] = json!(LATE);
    capabilities.push(capability);
    Ok(contract.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn order_for_an_unopened_source_waits_for_its_file() -> anyhow::Result<()> {
    let deployment = Deployment::with_contract(Build::Plain, &contract()?)?;
    let database = deployment.path("late.db");
    deployment
        .open_database()?
        .execute_batch(&format!("VACUUM INTO '{}'", database.display()))?;
    rusqlite::Connection::open(&database)?
        .execute_batch("UPDATE synapsor_database_identity SET instance = 'a-database-of-its-own'")?;
    let url = format!("sqlite://{}", database.display());
    let file = deployment.path("late.url");
    let mut stack = Stack::with_reader_variables(deployment, &[("LATE_READ_URL", &url)])?;
    let agent = Agent::over_stdio(&stack).await?;
    stack.start_writer(&[("LATE_WRITE_URL_FILE", &file.display().to_string())])?;
    let mut desk = OperatorClient::open(&stack, "alice")?;
    let deployment = &stack.deployment;

    // The other source is served: the lease stream is open.
    let served = agent.propose("INV-3001", "goodwill").await?;
    let subject = desk.subject(deployment, &served).await?;
    desk.approve_and_order(deployment, &subject).await?;
    assert_eq!(desk.outcome(&stack, &served).await?, "applied");

    let id = agent.propose_by(PROPOSE_LATE, "INV-3002", "goodwill").await?;
    let subject = desk.subject(deployment, &id).await?;
    let alice = deployment.person("alice");
    let approval = seal_decision(
        alice,
        &decision(deployment, alice, &subject, DecisionKind::Approve),
    );
    desk.decide(&approval).await?;
    let order = seal_order(alice, &order(deployment, alice, &subject, &[&approval]));
    let is_leased = desk.request_apply_with_writer(&order).await?;
    assert!(
        !is_leased,
        "a writer takes jobs of a source that it has not opened"
    );

    std::fs::write(&file, &url)?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
    let report = desk.attempt(&stack, &id, &order).await?;
    assert_eq!(report.result, AttemptResult::Applied);
    Ok(())
}
