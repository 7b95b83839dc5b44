//! Keys that an issuer adds and withdraws, in a file and at a URL, while the processes run.

use std::time::{Duration, Instant};

use anyhow::bail;
use synapsor_e2e::issuer::{IssuerKey, READ, ServedKeys, claims, publish};
use synapsor_e2e::mcp_http::{McpHttpClient, Message};
use synapsor_e2e::tenants::{ACME, Tenants, keys_file};

const LIMIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(200);
const HALF_MINUTE: Duration = Duration::from_secs(30);

fn token(key: &IssuerKey) -> String {
    key.token(&claims(ACME.name, "ann", READ))
}

async fn sees_rows(client: &McpHttpClient, key: &IssuerKey) -> anyhow::Result<bool> {
    let answer = client
        .ask(&token(key), &Message::inspect(ACME.invoices[0]))
        .await?;
    Ok(answer.body.contains(ACME.canary))
}

/// Repeats a call until a token of this key is accepted; gateway and reader limit how often they fetch keys.
async fn until_accepted(client: &McpHttpClient, key: &IssuerKey) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !sees_rows(client, key).await? {
        if begun.elapsed() > LIMIT {
            bail!("new key is still rejected after {LIMIT:?}");
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn key_file_change_takes_effect_at_once() -> anyhow::Result<()> {
    let tenants = Tenants::start(&[])?;
    let (client, file) = (tenants.mcp_client(), keys_file(&tenants.stack.deployment));
    assert!(sees_rows(&client, &tenants.key).await?);
    let next = IssuerKey::p256("k2")?;
    assert!(!sees_rows(&client, &next).await?);
    publish(&file, &[&tenants.key, &next])?;
    until_accepted(&client, &next).await?;
    assert!(
        sees_rows(&client, &tenants.key).await?,
        "the old key is rejected while it is published"
    );
    publish(&file, &[&next])?;
    // The gateway may still cache the old key; the reader reads the file at each call.
    assert!(!sees_rows(&client, &tenants.key).await?);
    assert!(sees_rows(&client, &next).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_keys_cause_no_fetch_of_the_key_url() -> anyhow::Result<()> {
    let first = IssuerKey::ed25519("k1")?;
    let served = ServedKeys::start(&[&first]).await?;
    let tenants = Tenants::fetching(&served.url, first)?;
    let (client, begun) = (tenants.mcp_client(), Instant::now());
    assert!(sees_rows(&client, &tenants.key).await?);
    for kid in ["k2", "k3", "k4"] {
        assert!(!sees_rows(&client, &IssuerKey::ed25519(kid)?).await?);
    }
    let most = 1 + begun.elapsed().as_secs() / HALF_MINUTE.as_secs();
    let asked = served.asked() as u64;
    assert!((1..=most).contains(&asked), "{asked} of {most}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_issuer_gives_a_retryable_refusal() -> anyhow::Result<()> {
    let key = IssuerKey::ed25519("k1")?;
    // Nothing listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let tenants = Tenants::fetching(&format!("http://{gone}/keys"), key)?;
    let client = tenants.mcp_client();
    let good = token(&tenants.key);
    for shown in [good.as_str(), "nonsense"] {
        let answer = client.ask(shown, &Message::inspect(ACME.invoices[0])).await?;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
    }
    assert_eq!(
        client.ask("", &Message::inspect(ACME.invoices[0])).await?.status,
        401
    );
    Ok(())
}
