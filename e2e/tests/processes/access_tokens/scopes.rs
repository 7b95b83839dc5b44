//! Permissions of tokens: each tenant its own rows, each scope its own calls.

use serde_json::json;
use synapsor_e2e::issuer::{self, IssuerKey, PROPOSE, READ};
use synapsor_e2e::mcp_http::Message;
use synapsor_e2e::tenants::{ACME, GLOBEX, Tenants, keys_file};

#[tokio::test(flavor = "multi_thread")]
async fn tenant_reads_and_proposes_only_own_rows() -> anyhow::Result<()> {
    let tenants = Tenants::start(&[])?;
    let client = tenants.mcp_client();
    for (own, other) in [(ACME, GLOBEX), (GLOBEX, ACME)] {
        let token = tenants.token(own, "ann");
        let seen = client.ask(&token, &Message::inspect(own.invoices[0])).await?;
        assert!(seen.body.contains(own.canary), "{seen:?}");
        let submitted = client
            .ask(&token, &Message::propose(own.invoices[0], "goodwill"))
            .await?;
        let id = submitted.json()?["result"]["taskId"].clone();
        let id = id.as_str().unwrap_or_default();
        assert!(id.starts_with("wrp_"), "{submitted:?}");
        let proposal = client
            .ask(&token, &Message::read(&format!("synapsor://proposals/{id}")))
            .await?;
        assert!(proposal.body.contains(own.invoices[0]), "{proposal:?}");
        for message in [
            Message::inspect(other.invoices[0]),
            Message::propose(other.invoices[0], "goodwill"),
        ] {
            let foreign = client.ask(&token, &message).await?;
            let unknown = client
                .ask(
                    &token,
                    &Message::call(
                        message.params["name"].as_str().unwrap_or_default(),
                        json!({"invoice_id": "INV-0000", "reason": "goodwill"}),
                    ),
                )
                .await?;
            assert!(!foreign.body.contains(other.canary), "{foreign:?}");
            assert_eq!(foreign.status, unknown.status);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_permit_their_calls_and_list_needs_none() -> anyhow::Result<()> {
    let tenants = Tenants::start(&[])?;
    let client = tenants.mcp_client();
    let (list, read) = (
        Message::new("tools/list", json!({})),
        Message::inspect(ACME.invoices[0]),
    );
    let record = Message::read("synapsor://proposals/wrp_ffffffffffffffffffff");
    let (task, cancel) = (
        Message::task("tasks/get", "wrp_ffffffffffffffffffff"),
        Message::task("tasks/cancel", "wrp_ffffffffffffffffffff"),
    );
    // The same token with every kind of call; 404 and similar errors are MCP errors in a response of 200.
    let propose = Message::propose(ACME.invoices[0], "goodwill");
    for (scope, reads, proposes) in [
        ("", false, false),
        ("openid synapsor synapsor:approve", false, false),
        ("synapsor:reader", false, false),
        (READ, true, false),
        (PROPOSE, true, true),
        (&*format!("{READ} {PROPOSE}"), true, true),
    ] {
        let token = tenants.token_for(ACME, "ann", scope);
        assert_eq!(client.ask(&token, &list).await?.status, 200, "{scope}");
        for (message, is_permitted, needed) in [
            (&read, reads, READ),
            (&record, reads, READ),
            (&task, reads, READ),
            (&cancel, proposes, PROPOSE),
            (&propose, proposes, PROPOSE),
        ] {
            let answer = client.ask(&token, message).await?;
            assert_eq!(
                answer.status != 403,
                is_permitted,
                "{scope}: {message:?}: {answer:?}"
            );
            if !is_permitted {
                let challenge = answer.header("www-authenticate");
                assert!(challenge.contains(&format!("scope=\"{needed}\"")), "{challenge}");
                assert!(!answer.body.contains(ACME.canary));
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_listed_algorithm_is_accepted() -> anyhow::Result<()> {
    let tenants = Tenants::start(&[])?;
    let client = tenants.mcp_client();
    let keys = [
        IssuerKey::ed25519("ed")?,
        IssuerKey::p256("ec")?,
        IssuerKey::rsa("rsa")?,
    ];
    let all: Vec<&IssuerKey> = keys.iter().collect();
    issuer::publish(&keys_file(&tenants.stack.deployment), &all)?;
    for key in &keys {
        let token = key.token(&issuer::claims(GLOBEX.name, "ann", READ));
        let seen = client.ask(&token, &Message::inspect(GLOBEX.invoices[0])).await?;
        assert!(seen.body.contains(GLOBEX.canary), "{}: {seen:?}", key.algorithm());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn alias_or_session_does_not_extend_a_scope() -> anyhow::Result<()> {
    for mode in ["canonical", "openai", "both"] {
        let tenants = Tenants::start(&["--alias-mode", mode])?;
        let client = tenants.mcp_client();
        let token = tenants.token_for(ACME, "ann", READ);
        let session = client.open_session(&token).await?;
        let arguments = json!({"invoice_id": ACME.invoices[0], "reason": "goodwill"});
        for name in [
            "billing.propose_late_fee_waiver",
            "billing__propose_late_fee_waiver",
        ] {
            let propose = Message::call(name, arguments.clone());
            assert_eq!(client.ask(&token, &propose).await?.status, 403, "{mode}: {name}");
            assert_eq!(
                client.ask_in(&token, &session, &propose).await?.status,
                403,
                "{mode}: {name}"
            );
        }
        // A session that a token with more scopes opened grants no more than the token of the message.
        let wide = tenants.token(ACME, "ann");
        let opened = client.open_session(&wide).await?;
        let propose = Message::propose(ACME.invoices[0], "goodwill");
        assert_eq!(client.ask_in(&token, &opened, &propose).await?.status, 403);
        assert_eq!(client.ask_in(&wide, &opened, &propose).await?.status, 200);
    }
    Ok(())
}
