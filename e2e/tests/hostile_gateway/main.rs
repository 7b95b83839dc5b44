//! A gateway that was taken over: a program with the real gateway's certificate, one caller's good token and all the
//! time in the world, which dials reader, ledger and writer by itself. It may do what that caller may do, and nothing
//! of what it tries beyond that succeeds, changes a byte of the database, or shows it anything of another tenant.

mod attempts;
mod calls;
mod hands;
mod records;
mod services;
mod tickets;

use serde_json::json;
use synapsor_e2e::operator::Desk;
use synapsor_e2e::tenants::{ACME, Filed, GLOBEX, Tenants};

use attempts::Attempts;
use hands::Hands;

/// Stands in the victim's proposal and nowhere else.
const REASON: &str = "CANARY-REASON-77ab";
const ATTEMPTS_MIN: usize = 60;

/// What the attempts are aimed at.
struct Scene {
    tenants: Tenants,
    /// The only token that the gateway was ever shown and that is still good: of ann at acme.
    token: String,
    /// Of the other tenant.
    victim: Filed,
    /// Of another principal of the caller's own tenant.
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
async fn a_gateway_that_was_taken_over_gets_no_further_than_its_callers_token() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let deployment = &scene.tenants.stack.deployment;
    let before = deployment.dump()?;
    let mut hands = Hands::of(&scene)?;
    let canaries = [
        GLOBEX.canary,
        REASON,
        &scene.victim.evidence,
        &scene.victim.proposal,
        "zoe",
    ];
    let mut attempts = Attempts::new(&canaries.map(str::to_owned));
    // It does work with the token, so that what follows is refused for what it is.
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

    println!("{} attempts, none of them succeeded", attempts.count());
    assert!(attempts.count() >= ATTEMPTS_MIN, "{}", attempts.count());
    assert_eq!(deployment.dump()?, before, "a byte of the database changed");
    assert!(deployment.receipts()?.is_empty());
    let mut desk = Desk::open(&scene.tenants.stack, "alice")?;
    for filed in [&scene.victim, &scene.colleague, &scene.own] {
        assert_eq!(desk.state(&filed.proposal).await?, "pending_review");
    }
    Ok(())
}
