//! A compromised gateway: a program with the real gateway's certificate and one caller's valid token, which
//! connects to reader, ledger and writer itself. It may do what that caller may do. Every attempt beyond that
//! fails, changes no byte of the database, and discloses nothing of another tenant.

mod attempts;
mod calls;
mod hands;
mod records;
mod services;
mod tickets;

use serde_json::json;
use synapsor_e2e::operator::OperatorClient;
use synapsor_e2e::tenants::{ACME, Filed, GLOBEX, Tenants};

use attempts::Attempts;
use hands::StolenGateway;

/// Occurs only in the victim's proposal.
const REASON: &str = "CANARY-REASON-77ab";
const ATTEMPTS_MIN: usize = 60;

/// Targets of the attempts.
struct Scene {
    tenants: Tenants,
    /// The only valid token that the gateway ever received: of ann at acme.
    token: String,
    /// Records of the other tenant.
    victim: Filed,
    /// Records of another principal in the caller's own tenant.
    colleague: Filed,
    own: Filed,
}

impl Scene {
    async fn start() -> anyhow::Result<Self> {
        let mut tenants = Tenants::start(&[])?;
        tenants.stack.start_writer(&[])?;
        let token = tenants.token(ACME, "ann");
        let (victim, colleague) = (tenants.token(GLOBEX, "zoe"), tenants.token(ACME, "ben"));
        Ok(Self {
            victim: tenants.file(GLOBEX, &victim, REASON).await?,
            colleague: tenants.file(ACME, &colleague, "of a colleague").await?,
            own: tenants.file(ACME, &token, "its own").await?,
            token,
            tenants,
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compromised_gateway_is_limited_to_its_callers_token() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let deployment = &scene.tenants.stack.deployment;
    let before = deployment.dump()?;
    let mut hands = StolenGateway::of(&scene)?;
    let canaries = [
        GLOBEX.canary,
        REASON,
        &scene.victim.evidence,
        &scene.victim.proposal,
        "zoe",
    ];
    let mut attempts = Attempts::new(&canaries.map(str::to_owned));
    // The token is valid, so later refusals have no other cause.
    let own = hands
        .call(
            &scene.token,
            "billing.inspect_invoice",
            &json!({"invoice_id": ACME.invoices[0]}).to_string(),
        )
        .await?;
    assert!(String::from_utf8_lossy(&own).contains(ACME.canary));

    services::run(&scene, &hands, &mut attempts).await?;
    calls::run(&scene, &mut hands, &mut attempts).await?;
    tickets::run(&scene, &mut hands, &mut attempts).await?;
    records::run(&scene, &mut hands, &mut attempts).await?;

    println!("{} attempts, all of them refused", attempts.count());
    assert!(attempts.count() >= ATTEMPTS_MIN, "{}", attempts.count());
    assert_eq!(deployment.dump()?, before, "a byte of the database changed");
    assert!(deployment.receipts()?.is_empty());
    let mut desk = OperatorClient::open(&scene.tenants.stack, "alice")?;
    for submitted in [&scene.victim, &scene.colleague, &scene.own] {
        assert_eq!(desk.state(&submitted.proposal).await?, "pending_review");
    }
    Ok(())
}
