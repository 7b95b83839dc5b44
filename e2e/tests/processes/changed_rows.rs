//! A row that changes inside COMMIT, after every check of the writer: the alarm, what it stops, and the operator's
//! order that ends it.

use std::time::Duration;

use anyhow::{bail, ensure};
use serde_json::{Value as Json, json};
use synapsor_e2e::cli::CliFixture;
use synapsor_e2e::databases::{Engine, Server, Session};
use synapsor_e2e::fixture::Fixture;
use synapsor_e2e::proxy::{Dialect, Proxy};
use synapsor_e2e::target::Target;

const REFUSED: &str = "refused:row_changed_in_commit";
/// Time until the processes of a command exit without clients.
const ALONE: Duration = Duration::from_secs(30);
const CHANGED_FEE: i64 = 777;

fn apply(place: &CliFixture, id: &str, exit: i32) -> anyhow::Result<Json> {
    let ran = place.run(&["apply", id, "--json"])?;
    ran.expect(exit)?;
    ran.object()
}

fn events(place: &CliFixture) -> anyhow::Result<usize> {
    let ran = place.ok(&["events", "tail", "--kind", "row_changed_in_commit", "--json"])?;
    Ok(ran.stdout.lines().filter(|line| !line.is_empty()).count())
}

/// Findings of the doctor in the ledger.
fn findings(place: &CliFixture, exit: i32) -> anyhow::Result<Vec<Json>> {
    let ran = place.run(&["writeback", "doctor", "--json"])?;
    ran.expect(exit)?;
    Ok(ran.object()?["ledger"].as_array().cloned().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn row_changed_inside_commit_is_never_applied() -> anyhow::Result<()> {
    let Some(server) = Server::of(Engine::Postgres)? else {
        return Ok(());
    };
    let proxy = Proxy::start(server.address().parse()?, Dialect::Postgres).await?;
    tokio::task::block_in_place(|| {
        let mut place = CliFixture::over(server.database()?, &Fixture::billing())?;
        let url = place.target.write_url();
        // The first login of an account may need TLS, which a proxy cannot parse; this connection is the first
        // login.
        Session::new(Engine::Postgres, url.clone()).execute("SELECT 1")?;
        let through = url.replacen(server.address(), &proxy.address.to_string(), 1);
        place.set("BILLING_WRITE_URL", &through);
        let Target::Server { database, roles } = &place.target else {
            bail!("a server has roles");
        };
        let grant = format!("GRANT SELECT (ctid, xmin) ON invoices TO {}", roles.writer);
        database.session().execute(&grant)?;

        let id = place.approved("INV-3001", "goodwill")?;
        // Only code of a superuser can do this.
        let change =
            format!("UPDATE public.invoices SET late_fee_cents = {CHANGED_FEE} WHERE id = 'INV-3001'");
        proxy.change_in_commit(&id, &change);
        let refused = apply(&place, &id, 4)?;
        ensure!(refused["result"] == json!(REFUSED), "{refused}");
        let fix = refused["fix"].as_str().unwrap_or_default();
        ensure!(fix.contains("receipts adopt"), "{refused}");
        ensure!(place.invoice("INV-3001")?.0 == CHANGED_FEE, "change is missing");
        ensure!(events(&place)? == 1, "one event");
        let found = findings(&place, 1)?;
        ensure!(
            found.len() == 1 && found[0]["code"] == json!("ROW_CHANGED_IN_COMMIT"),
            "{found:?}"
        );

        // A writer that starts later finds the genuine receipt and still does not count it.
        place.wait_until_alone(ALONE)?;
        let again = apply(&place, &id, 4)?;
        ensure!(again["result"] == json!(REFUSED), "{again}");
        ensure!(events(&place)? == 1, "duplicate event of one incident");
        // Other proposals continue.
        let other = place.approved("INV-3002", "goodwill")?;
        ensure!(
            apply(&place, &other, 0)?["status"] == json!("applied"),
            "not applied"
        );

        place.ok(&["receipts", "adopt", &id, "--yes"])?;
        let adopted = apply(&place, &id, 0)?;
        ensure!(adopted["status"] == json!("already_applied"), "{adopted}");
        ensure!(place.invoice("INV-3001")?.0 == CHANGED_FEE, "applied again");
        let left = findings(&place, 0)?;
        ensure!(left.is_empty(), "{left:?}");
        place.ok(&["ledger", "verify"])?;
        Ok(())
    })
}
