//! Metadata and challenges for a client without a token or with the wrong one: the issuer and the required scopes.

use serde_json::json;
use synapsor_e2e::issuer::{AUDIENCE, ISSUER, PROPOSE, READ, claims};
use synapsor_e2e::mcp_http::Message;
use synapsor_e2e::tenants::{ACME, Tenants};

const HOUR: i64 = 3_600;
const METADATA_URL: &str = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";

#[tokio::test(flavor = "multi_thread")]
async fn metadata_without_token_names_issuer_and_scopes() -> anyhow::Result<()> {
    let tenants = Tenants::start(&[])?;
    let client = tenants.mcp_client();
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
    ] {
        let answer = client.get(path).await?;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, "application/json")
        );
        let document = answer.json()?;
        assert_eq!(document["resource"], json!(AUDIENCE));
        assert_eq!(document["authorization_servers"], json!([ISSUER]));
        assert_eq!(document["scopes_supported"], json!([READ, PROPOSE]));
        assert_eq!(document["bearer_methods_supported"], json!(["header"]));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_name_the_issuer_and_the_missing_scope() -> anyhow::Result<()> {
    let tenants = Tenants::start(&[])?;
    let client = tenants.mcp_client();
    let read = Message::inspect(ACME.invoices[0]);
    let start = format!("Bearer resource_metadata=\"{METADATA_URL}\"");

    let none = client.ask("", &read).await?;
    assert_eq!(none.status, 401);
    let challenge = format!("{start}, scope=\"{READ} {PROPOSE}\"");
    assert_eq!(
        none.header("www-authenticate"),
        challenge,
        "no error without a token"
    );

    let mut expired = claims(ACME.name, "ann", READ);
    for time in ["iat", "exp"] {
        expired[time] = json!(expired[time].as_i64().unwrap_or_default() - HOUR);
    }
    for (token, why) in [
        (tenants.key.token(&expired), "the access token has expired"),
        ("nonsense".to_owned(), "the access token is not accepted"),
    ] {
        let refused = client.ask(&token, &read).await?;
        assert_eq!(refused.status, 401);
        let error = format!("{challenge}, error=\"invalid_token\", error_description=\"{why}\"");
        assert_eq!(refused.header("www-authenticate"), error);
    }

    let narrow = tenants.token_for(ACME, "ann", READ);
    let refused = client
        .ask(&narrow, &Message::propose(ACME.invoices[0], "goodwill"))
        .await?;
    assert_eq!(refused.status, 403);
    let error = "error=\"insufficient_scope\", error_description=\"insufficient scope\"";
    let expected = format!("{start}, scope=\"{PROPOSE}\", {error}");
    assert_eq!(refused.header("www-authenticate"), expected);
    Ok(())
}
