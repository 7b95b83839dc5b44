//! The main loop through the real processes: an agent proposes, an approver signs, one row changes once.

use serde_json::json;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::DecisionKind;
use synapsor_e2e::agent::Agent;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::deployment::Deployment;
use synapsor_e2e::operator::{OperatorClient, decision, order, seal_decision, seal_order};
use synapsor_e2e::stack::{Stack, http_gateway};

const INVOICE: &str = "INV-3001";
const TOKEN: &str = "a-token-of-this-test";

async fn stack() -> anyhow::Result<Stack> {
    Stack::start(Deployment::new(Build::Plain)?)
}

async fn agent_loop(stack: &Stack, agent: &Agent) -> anyhow::Result<()> {
    let tools = agent.tools().await?;
    // The gateway has no ledger, which the status tool reads.
    assert_eq!(
        tools,
        ["billing.inspect_invoice", "billing.propose_late_fee_waiver"]
    );

    let read = agent.inspect(INVOICE).await?;
    assert_eq!(read["ok"], json!(true), "{read}");
    assert_eq!(read["data"]["late_fee_cents"], json!(5500));
    assert!(read["data"].get("internal_note").is_none() && read["data"].get("tenant_id").is_none());

    let (before, version) = (stack.deployment.dump()?, stack.deployment.invoice(INVOICE)?.2);
    let id = agent.propose(INVOICE, "goodwill").await?;
    assert_eq!(stack.deployment.dump()?, before, "a proposal changed the source");
    assert_eq!(
        agent.propose(INVOICE, "goodwill").await?,
        id,
        "the same open proposal is returned"
    );

    let mut desk = OperatorClient::open(stack, "alice")?;
    let subject = desk.subject(&stack.deployment, &id).await?;
    desk.approve_and_order(&stack.deployment, &subject).await?;
    assert_eq!(desk.outcome(stack, &id).await?, "applied");
    assert_eq!(
        stack.deployment.invoice(INVOICE)?,
        (0, Some("goodwill".to_owned()), version + 1)
    );
    assert_eq!(stack.deployment.receipts()?, [(id, "applied".to_owned())]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn stdio_agent_changes_one_row_after_an_approval() -> anyhow::Result<()> {
    let stack = stack().await?;
    let agent = Agent::over_stdio(&stack).await?;
    agent_loop(&stack, &agent).await
}

#[tokio::test(flavor = "multi_thread")]
async fn http_agent_changes_one_row_after_an_approval() -> anyhow::Result<()> {
    let stack = stack().await?;
    let gateway = http_gateway(&stack, TOKEN)?;
    let agent = Agent::over_http(&gateway, TOKEN).await?;
    agent_loop(&stack, &agent).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_have_no_approval_sql_or_tenant_argument() -> anyhow::Result<()> {
    let stack = stack().await?;
    let agent = Agent::over_stdio(&stack).await?;
    let list = agent.tool_list().await?;
    for tool in list.as_array().into_iter().flatten() {
        let input = tool["inputSchema"]["properties"].to_string();
        assert!(
            !["tenant", "principal", "sql", "table", "column"]
                .iter()
                .any(|w| input.contains(w)),
            "{input}"
        );
    }
    let text = list.to_string();
    for leak in ["sqlite://", "BILLING_", "invoices", "tenant_key", "internal_note"] {
        assert!(!text.contains(leak), "{leak} in {text}");
    }
    for tool in agent.tools().await? {
        assert!(
            !["approve", "apply", "commit", "sql"]
                .iter()
                .any(|w| tool.contains(w)),
            "{tool}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn row_changed_after_proposal_is_a_conflict() -> anyhow::Result<()> {
    let stack = stack().await?;
    let agent = Agent::over_stdio(&stack).await?;
    let id = agent.propose(INVOICE, "goodwill").await?;
    stack.deployment.open_database()?.execute(
        "UPDATE invoices SET customer_name = 'Renamed Ltd' WHERE id = ?1",
        [INVOICE],
    )?;
    let before = stack.deployment.invoice(INVOICE)?;
    let mut desk = OperatorClient::open(&stack, "alice")?;
    let subject = desk.subject(&stack.deployment, &id).await?;
    desk.approve_and_order(&stack.deployment, &subject).await?;
    assert_eq!(desk.outcome(&stack, &id).await?, "conflict");
    assert_eq!(stack.deployment.invoice(INVOICE)?, before);
    assert_eq!(stack.deployment.receipts()?, [(id, "conflict".to_owned())]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ordered_proposal_is_applied_without_gateway_and_reader() -> anyhow::Result<()> {
    let mut stack = Stack::without_writer(Deployment::new(Build::Plain)?)?;
    let agent = Agent::over_stdio(&stack).await?;
    let id = agent.propose(INVOICE, "goodwill").await?;
    let mut desk = OperatorClient::open(&stack, "alice")?;
    let subject = desk.subject(&stack.deployment, &id).await?;
    desk.approve_and_order(&stack.deployment, &subject).await?;
    agent.close().await;
    stack.reader.kill();
    stack.start_writer(&[])?;
    assert_eq!(desk.outcome(&stack, &id).await?, "applied");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_and_proposals_continue_without_writer() -> anyhow::Result<()> {
    let mut stack = stack().await?;
    if let Some(writer) = &mut stack.writer {
        writer.kill();
    }
    let agent = Agent::over_stdio(&stack).await?;
    assert_eq!(agent.inspect(INVOICE).await?["ok"], json!(true));
    agent.propose(INVOICE, "goodwill").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_row_is_returned_without_ledger() -> anyhow::Result<()> {
    let mut stack = stack().await?;
    let agent = Agent::over_stdio(&stack).await?;
    stack.ledger.kill();
    let answer = agent.inspect(INVOICE).await?;
    assert_eq!(answer["ok"], json!(false));
    assert_eq!(
        answer["error"]["code"],
        json!("TEMPORARILY_UNAVAILABLE"),
        "{answer}"
    );
    assert!(!answer.to_string().contains("5500"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn proposal_needs_its_quorum_of_approvers() -> anyhow::Result<()> {
    let deployment = Deployment::new(Build::Plain)?;
    let contract = std::fs::read_to_string(deployment.contract())?;
    let two = contract.replace(
        "\"required_role\": \"billing_lead\"",
        "\"required_role\": \"billing_lead\", \"quorum\": 2",
    );
    std::fs::write(deployment.contract(), two)?;
    let stack = Stack::start(deployment)?;
    let deployment = &stack.deployment;
    let id = Agent::over_stdio(&stack)
        .await?
        .propose(INVOICE, "goodwill")
        .await?;
    let mut desk = OperatorClient::open(&stack, "alice")?;
    let subject = desk.subject(deployment, &id).await?;
    let (alice, bob) = (deployment.person("alice"), deployment.person("bob"));
    let sign = |person| {
        seal_decision(
            person,
            &decision(deployment, person, &subject, DecisionKind::Approve),
        )
    };
    let (first, again, second) = (sign(alice), sign(alice), sign(bob));
    assert_eq!(desk.decide(&first).await?, "pending_review");
    assert_eq!(
        desk.decide(&again).await?,
        "pending_review",
        "one operator counted twice"
    );
    let early = seal_order(alice, &order(deployment, alice, &subject, &[&first]));
    assert_eq!(
        desk.request_apply(&early).await.unwrap_err().code,
        ErrorCode::ProposalNotApproved
    );
    assert_eq!(desk.decide(&second).await?, "approved");
    desk.request_apply(&seal_order(
        alice,
        &order(deployment, alice, &subject, &[&first, &second]),
    ))
    .await?;
    assert_eq!(desk.outcome(&stack, &id).await?, "applied");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_change_may_be_proposed_again() -> anyhow::Result<()> {
    let stack = stack().await?;
    let deployment = &stack.deployment;
    let agent = Agent::over_stdio(&stack).await?;
    let id = agent.propose(INVOICE, "goodwill").await?;
    let mut desk = OperatorClient::open(&stack, "alice")?;
    let subject = desk.subject(deployment, &id).await?;
    let alice = deployment.person("alice");
    let deny = seal_decision(
        alice,
        &decision(deployment, alice, &subject, DecisionKind::Reject),
    );
    assert_eq!(desk.decide(&deny).await?, "rejected");
    let approval = seal_decision(
        alice,
        &decision(deployment, alice, &subject, DecisionKind::Approve),
    );
    assert!(desk.decide(&approval).await.is_err());
    assert_ne!(agent.propose(INVOICE, "goodwill").await?, id);
    assert_eq!(deployment.receipts()?, []);
    Ok(())
}
