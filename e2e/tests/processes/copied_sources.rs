//! Two copies of one SQLite file behind one writer. Both have the same database identity, so the writer writes
//! only to the file that it wrote first.

use anyhow::Context as _;
use serde_json::{Value as Json, json};
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::DecisionKind;
use synapsor_domain::writeback::AttemptResult;
use synapsor_e2e::agent::Agent;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::deployment::{self, CONTRACT, Deployment};
use synapsor_e2e::operator::{OperatorClient, decision, order, seal_decision, seal_order};
use synapsor_e2e::stack::Stack;

const ORIGINAL: &str = "billing_db";
const COPY: &str = "copy_db";
const PROPOSE_IN_COPY: &str = "copy.waive";

/// The contract with the original a second time, under the name of the copy.
fn contract() -> anyhow::Result<String> {
    let mut contract: Json = serde_json::from_str(CONTRACT)?;
    let mut source = contract["sources"][ORIGINAL].clone();
    source["read_url_env"] = json!("COPY_READ_URL");
    source["write_url_env"] = json!("COPY_WRITE_URL");
    contract["sources"][COPY] = source;
    let capabilities = contract["capabilities"].as_array_mut().context("capabilities")?;
    let proposes = |capability: &&Json| capability["kind"] == json!("proposal");
    let mut capability = capabilities.iter().find(proposes).context("a proposal")?.clone();
    capability["name"] = json!(PROPOSE_IN_COPY);
    capability["source"] = json!(COPY);
    capabilities.push(capability);
    Ok(contract.to_string())
}

/// Approves and orders a proposal; returns the writer's report.
async fn attempt(stack: &Stack, id: &str) -> anyhow::Result<AttemptResult> {
    let (deployment, alice) = (&stack.deployment, stack.deployment.person("alice"));
    let mut desk = OperatorClient::open(stack, "alice")?;
    let subject = desk.subject(deployment, id).await?;
    let approval = seal_decision(
        alice,
        &decision(deployment, alice, &subject, DecisionKind::Approve),
    );
    desk.decide(&approval).await?;
    let order = seal_order(alice, &order(deployment, alice, &subject, &[&approval]));
    desk.request_apply(&order).await?;
    Ok(desk.attempt(stack, id, &order).await?.result)
}

#[tokio::test(flavor = "multi_thread")]
async fn copied_sqlite_file_is_not_written() -> anyhow::Result<()> {
    let deployment = Deployment::with_contract(Build::Plain, &contract()?)?;
    let copy = deployment.path("copy.db");
    deployment
        .open_database()?
        .execute_batch(&format!("VACUUM INTO '{}'", copy.display()))?;
    let url = format!("sqlite://{}", copy.display());
    let mut stack = Stack::with_reader_variables(deployment, &[("COPY_READ_URL", &url)])?;
    let agent = Agent::over_stdio(&stack).await?;

    // A writer with the original only: it records this file as the file of the database.
    stack.start_writer(&[])?;
    let first = agent.propose("INV-3001", "goodwill").await?;
    assert_eq!(attempt(&stack, &first).await?, AttemptResult::Applied);

    let untouched = deployment::dump(&copy)?;
    stack.start_writer(&[("COPY_WRITE_URL", &url)])?;
    let in_copy = agent.propose_by(PROPOSE_IN_COPY, "INV-3002", "goodwill").await?;
    let refused = AttemptResult::of_code(ErrorCode::RefusedSourceCopied);
    assert_eq!(attempt(&stack, &in_copy).await?, refused);
    assert_eq!(deployment::dump(&copy)?, untouched);
    let second = agent.propose("INV-3002", "goodwill").await?;
    assert_eq!(attempt(&stack, &second).await?, AttemptResult::Applied);

    // With a different identity it is another database.
    rusqlite::Connection::open(&copy)?
        .execute_batch("UPDATE synapsor_database_identity SET instance = 'a-database-of-its-own'")?;
    let third = agent.propose_by(PROPOSE_IN_COPY, "INV-3003", "goodwill").await?;
    assert_eq!(attempt(&stack, &third).await?, AttemptResult::Applied);
    Ok(())
}
