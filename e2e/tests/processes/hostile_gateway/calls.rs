//! Calls at the reader: without a token, with invalid tokens, and with a valid one beside the name of another
//! tenant in every field that can hold a name.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use synapsor_e2e::capability_calls::result_of;
use synapsor_e2e::issuer::{IssuerKey, PROPOSE, READ, claims, part};
use synapsor_e2e::tenants::{ACME, GLOBEX};
use synapsor_proto::executor::v1::CallCapabilitiesResponse;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::Scene;
use super::attempts::Attempts;
use super::hands::{StolenGateway, of_answer};

const LOOK: &str = "billing.inspect_invoice";
const CHANGE: &str = "billing.propose_late_fee_waiver";

#[derive(Clone, PartialEq, prost::Message)]
struct CallsAndMore {
    #[prost(message, repeated, tag = "1")]
    calls: Vec<CallAndMore>,
    #[prost(string, tag = "100")]
    tenant: String,
}

/// Call with fields that no protocol version defines.
#[derive(Clone, PartialEq, prost::Message)]
struct CallAndMore {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(string, tag = "4")]
    capability: String,
    #[prost(bytes = "vec", tag = "5")]
    arguments_json: Vec<u8>,
    #[prost(uint32, tag = "6")]
    result_format: u32,
    #[prost(string, tag = "7")]
    access_token: String,
    #[prost(string, tag = "8")]
    tenant: String,
    #[prost(string, tag = "9")]
    tenant_id: String,
    #[prost(string, tag = "100")]
    principal: String,
}

pub(crate) async fn run(
    scene: &Scene,
    hands: &mut StolenGateway,
    attempts: &mut Attempts,
) -> anyhow::Result<()> {
    attempts.refused("100,000 calls in one message", hands.flood(100_000).await);
    for (name, token) in bad_tokens(scene)? {
        let own = json!({"invoice_id": ACME.invoices[0]}).to_string();
        attempts.refused(&format!("read with {name}"), hands.call(&token, LOOK, &own).await);
        let change = json!({"invoice_id": ACME.invoices[1], "reason": "x"}).to_string();
        attempts.refused(
            &format!("propose with {name}"),
            hands.call(&token, CHANGE, &change).await,
        );
        let ticket = hands.ticket(&token).await;
        attempts.refused(
            &format!("ticket with {name}"),
            ticket.map(|ticket| ticket.payload),
        );
    }
    named_elsewhere(scene, hands, attempts).await;
    let (read, propose) = (
        scene.tenants.token_for(ACME, "ann", READ),
        scene.tenants.token_for(ACME, "ann", "openid"),
    );
    let change = json!({"invoice_id": ACME.invoices[1], "reason": "x"}).to_string();
    attempts.refused(
        "propose with a scope for reads",
        hands.call(&read, CHANGE, &change).await,
    );
    attempts.refused("read with no scope", hands.call(&propose, LOOK, &change).await);
    Ok(())
}

/// Tokens that an attacker without the other tenant's token can construct.
fn bad_tokens(scene: &Scene) -> anyhow::Result<Vec<(&'static str, String)>> {
    let (key, mut foreign) = (&scene.tenants.key, IssuerKey::ed25519("k9")?);
    let scope = format!("{READ} {PROPOSE}");
    let wanted = claims(GLOBEX.name, "zoe", &scope);
    let mut expired = claims(ACME.name, "ann", &scope);
    for time in ["iat", "exp"] {
        expired[time] = json!(expired[time].as_i64().unwrap_or_default() - 3_600);
    }
    let mut elsewhere = wanted.clone();
    elsewhere["aud"] = json!("https://other.example.com/mcp");
    let own_kid = foreign.token(&wanted);
    foreign.kid.clone_from(&key.kid);
    let none = json!({"alg": "none", "typ": "at+jwt", "kid": key.kid});
    let parts: Vec<&str> = scene.token.split('.').collect();
    let [header, _, signature] = parts[..] else {
        anyhow::bail!("a token has three parts");
    };
    Ok(vec![
        ("no token", String::new()),
        ("nonsense", "globex".to_owned()),
        (
            "its certificate's name",
            "spiffe://globex/gateway/client-1".to_owned(),
        ),
        ("an expired token", key.token(&expired)),
        ("a forged token", foreign.token(&wanted)),
        ("a forged token of an unknown key", own_kid),
        ("an unsigned token", format!("{}.{}.", part(&none), part(&wanted))),
        (
            "an altered token",
            format!(
                "{header}.{}.{signature}",
                URL_SAFE_NO_PAD.encode(wanted.to_string())
            ),
        ),
        ("a token for another audience", key.token(&elsewhere)),
        (
            "two tokens",
            format!("{},{}", scene.token, foreign.token(&wanted)),
        ),
    ])
}

/// A valid token, and the other tenant's name or id in every possible field.
async fn named_elsewhere(scene: &Scene, hands: &mut StolenGateway, attempts: &mut Attempts) {
    let (token, theirs) = (scene.token.clone(), GLOBEX.invoices[0]);
    let plain = json!({ "invoice_id": theirs }).to_string();
    let change = json!({"invoice_id": theirs, "reason": "x"}).to_string();
    attempts.refused(
        "read another tenant's row",
        hands.call(&token, LOOK, &plain).await,
    );
    attempts.refused(
        "propose on another tenant's row",
        hands.call(&token, CHANGE, &change).await,
    );
    for more in [
        json!({"invoice_id": theirs, "tenant_id": "globex"}),
        json!({"invoice_id": theirs, "tenant": "globex"}),
        json!({"invoice_id": theirs, "context": {"tenant_id": "globex"}}),
        json!({"invoice_id": theirs, "_meta": {"tenant_id": "globex"}}),
        json!({"invoice_id": theirs, "access_token": token}),
        json!({"invoice_id": {"$ne": ""}}),
        json!({"invoice_id": [theirs]}),
        json!({"invoice_id": format!("{theirs}' OR tenant_id = 'globex' --")}),
        json!({"invoice_id": "%"}),
    ] {
        let more = more.to_string();
        attempts.refused(
            &format!("arguments {more:.60}"),
            hands.call(&token, LOOK, &more).await,
        );
    }
    let twice = format!(
        "{{\"invoice_id\":\"{}\",\"invoice_id\":\"{theirs}\"}}",
        ACME.invoices[0]
    );
    attempts.refused("a duplicate argument", hands.call(&token, LOOK, &twice).await);
    for capability in [
        "globex/billing.inspect_invoice",
        "globex.billing.inspect_invoice",
        "billing.inspect_invoice?tenant=globex",
        "billing.inspect_invoice\u{0}globex",
        "../billing.inspect_invoice",
        "BILLING.INSPECT_INVOICE",
        "billing.approve",
        "execute_sql",
        "",
    ] {
        let answer = hands.call(&token, capability, &plain).await;
        attempts.refused(&format!("capability {capability:?}"), answer);
    }
    for (name, value) in [
        ("x-tenant-id", "globex"),
        ("x-synapsor-tenant", "globex"),
        ("tenant_id", "globex"),
        ("billing_tenant", "globex"),
        ("authorization", "Bearer globex"),
        ("x-forwarded-client-cert", "spiffe://globex/reader/only"),
        ("baggage", "tenant_id=globex"),
    ] {
        let answer = hands.call_with(&token, LOOK, &plain, &[(name, value)]).await;
        attempts.refused(&format!("metadata {name}"), answer);
    }
    for field in ["tenant", "tenant_id", "principal"] {
        let name = format!("an unknown field for a {field}");
        attempts.refused(&name, with_more(&hands.reader, &token, &plain, field).await);
    }
}

async fn with_more(
    reader: &synapsor_chassis::grpc_channel::Channel,
    token: &str,
    arguments: &str,
    field: &str,
) -> Result<Vec<u8>, Status> {
    let value = |wanted: &str| {
        if field == wanted {
            "globex".to_owned()
        } else {
            String::new()
        }
    };
    let call = CallAndMore {
        number: 1,
        capability: LOOK.to_owned(),
        arguments_json: arguments.as_bytes().to_vec(),
        result_format: 2,
        access_token: token.to_owned(),
        tenant: value("tenant"),
        tenant_id: value("tenant_id"),
        principal: value("principal"),
    };
    let calls = CallsAndMore {
        calls: vec![call],
        tenant: value("tenant"),
    };
    let mut grpc = tonic::client::Grpc::new(reader.clone());
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let path = "/synapsor.executor.v1.AgentService/CallCapabilities";
    let codec: ProstCodec<CallsAndMore, CallCapabilitiesResponse> = ProstCodec::default();
    let answer = grpc
        .unary(Request::new(calls), path.parse().expect("a path"), codec)
        .await?;
    let answer = answer.into_inner().answers.pop();
    of_answer(result_of(answer.ok_or_else(|| Status::internal("no answer"))?)?)
}
