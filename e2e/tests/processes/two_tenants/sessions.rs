//! A session belongs to the caller that opened it; for every other caller it does not exist.

use std::time::Duration;

use serde_json::json;
use synapsor_e2e::mcp_http::{Events, LEGACY, McpHttpClient, Message, SESSIONLESS, uri};
use synapsor_e2e::tenants::{ACME, GLOBEX, Tenants};

use super::{RATE, UNKNOWN, bytes};

const LIMIT: Duration = Duration::from_secs(20);
const NO_SESSION: &str = "ffffffffffffffffffffffffffffffffffffffff";

#[tokio::test(flavor = "multi_thread")]
async fn foreign_session_looks_like_an_unknown_one() -> anyhow::Result<()> {
    let tenants = Tenants::start(&RATE)?;
    let client = tenants.mcp_client();
    let (owner, other) = (tenants.token(ACME, "ann"), tenants.token(GLOBEX, "zoe"));
    let colleague = tenants.token(ACME, "ben");
    let session = client.open_session(&owner).await?;
    let read = Message::inspect(ACME.invoices[0]);
    for token in [&other, &colleague] {
        for message in [
            &read,
            &Message::new("tools/list", json!({})),
            &Message::new("ping", json!({})),
        ] {
            let foreign = client.ask_in(token, &session, message).await?;
            assert_eq!(foreign.status, 404, "{foreign:?}");
            let unknown = client.ask_in(token, NO_SESSION, message).await?;
            assert_eq!(bytes(foreign), bytes(unknown));
        }
        let foreign = client.end_session(token, &session).await?;
        assert_eq!(
            bytes(foreign),
            bytes(client.end_session(token, NO_SESSION).await?)
        );
        let (foreign, unknown) = (
            client.open_stream(token, &session).await?,
            client.open_stream(token, NO_SESSION).await?,
        );
        assert_eq!(
            (foreign.status(), unknown.status()),
            (404.try_into()?, 404.try_into()?)
        );
        assert_eq!(foreign.text().await?, unknown.text().await?);
    }
    let still = client.ask_in(&owner, &session, &read).await?;
    assert!(still.body.contains(ACME.canary), "{still:?}");
    // A new token of the same caller is accepted as well.
    let renewed = client
        .ask_in(&tenants.token(ACME, "ann"), &session, &read)
        .await?;
    assert!(renewed.body.contains(ACME.canary), "{renewed:?}");
    Ok(())
}

/// Subscribes or unsubscribes outside the caller's own sessions.
async fn outside(
    client: &McpHttpClient,
    token: &str,
    method: &str,
    address: &str,
    session: &str,
) -> anyhow::Result<String> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"uri": address}}).to_string();
    let bearer = format!("Bearer {token}");
    let mut responses = String::new();
    for version in [LEGACY, SESSIONLESS] {
        let mut headers = vec![
            ("authorization", bearer.as_str()),
            ("mcp-protocol-version", version),
            ("mcp-method", method),
            ("mcp-name", address),
        ];
        if !session.is_empty() {
            headers.push(("mcp-session-id", session));
        }
        responses.push_str(&bytes(client.post("/mcp", &headers, &body).await?));
    }
    Ok(responses)
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_belong_to_own_sessions_only() -> anyhow::Result<()> {
    let tenants = Tenants::start(&RATE)?;
    let client = tenants.mcp_client();
    let (owner, other) = (tenants.token(ACME, "ann"), tenants.token(GLOBEX, "zoe"));
    let submitted = tenants.file(ACME, &owner, "goodwill").await?;
    let address = uri("proposals", &submitted.proposal);
    let session = client.open_session(&owner).await?;
    let mut events = Events::of(client.open_stream(&owner, &session).await?)?;
    let subscribed = client
        .ask_in(
            &owner,
            &session,
            &Message::new("resources/subscribe", json!({ "uri": address })),
        )
        .await?;
    assert!(subscribed.body.contains("result"), "{subscribed:?}");
    // No other caller ends it or adds a subscription, with the session's id or without one.
    for session in [session.as_str(), ""] {
        for method in ["resources/unsubscribe", "resources/subscribe"] {
            let responses = outside(&client, &other, method, &address, session).await?;
            assert!(!responses.contains("\"result\""), "{method}: {responses}");
            let other_address = uri("proposals", UNKNOWN);
            let responses = outside(&client, &other, method, &other_address, session).await?;
            assert!(!responses.contains("\"result\""), "{method}: {responses}");
        }
    }
    let gone = client
        .ask(&owner, &Message::task("tasks/cancel", &submitted.proposal))
        .await?;
    assert_eq!(gone.status, 200, "{gone:?}");
    assert_eq!(events.updated(LIMIT).await?, address);
    Ok(())
}
