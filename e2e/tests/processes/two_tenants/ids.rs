//! An id of the other tenant and an unknown one get the same response, byte for byte.

use std::time::Duration;

use serde_json::json;
use synapsor_e2e::mcp_http::{Events, Message, uri};
use synapsor_e2e::tenants::{ACME, GLOBEX, Tenants};

use super::{RATE, UNKNOWN, ask, bytes};

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn foreign_and_unknown_ids_get_identical_responses() -> anyhow::Result<()> {
    let tenants = Tenants::start(&RATE)?;
    let client = tenants.mcp_client();
    let (caller, victim) = (tenants.token(ACME, "ann"), tenants.token(GLOBEX, "zoe"));
    let theirs = tenants.file(GLOBEX, &victim, "goodwill").await?;
    let unknown_evidence = format!("{}ffff", &theirs.evidence[..theirs.evidence.len() - 4]);
    let replay = |id: &str| uri("replay", &format!("replay_{id}"));
    let read = |address: String| Message::read(&address);
    let task = Message::task;
    let pairs = [
        (
            read(uri("proposals", &theirs.proposal)),
            read(uri("proposals", UNKNOWN)),
        ),
        (
            read(uri("evidence", &theirs.evidence)),
            read(uri("evidence", &unknown_evidence)),
        ),
        (read(replay(&theirs.proposal)), read(replay(UNKNOWN))),
        (
            read(uri("evidence", &theirs.proposal)),
            read(uri("evidence", UNKNOWN)),
        ),
        (task("tasks/get", &theirs.proposal), task("tasks/get", UNKNOWN)),
        (
            task("tasks/update", &theirs.proposal),
            task("tasks/update", UNKNOWN),
        ),
        (
            task("tasks/cancel", &theirs.proposal),
            task("tasks/cancel", UNKNOWN),
        ),
    ];
    let session = client.open_session(&caller).await?;
    for session in [None, Some(session.as_str())] {
        for (foreign, unknown) in &pairs {
            let answer = bytes(ask(&client, &caller, session, foreign).await?);
            assert_eq!(
                answer,
                bytes(ask(&client, &caller, session, unknown).await?),
                "{foreign:?}"
            );
            assert!(answer.contains("\"error\""), "{foreign:?}: {answer}");
            if session.is_none() {
                assert!(answer.contains("no such "), "{foreign:?}: {answer}");
            }
        }
    }
    for (kind, name) in [("resources/subscribe", "uri"), ("resources/unsubscribe", "uri")] {
        let of = |id: &str| Message::new(kind, json!({ name: uri("proposals", id) }));
        let foreign = client
            .ask_in(&caller, session.as_str(), &of(&theirs.proposal))
            .await?;
        let unknown = client.ask_in(&caller, session.as_str(), &of(UNKNOWN)).await?;
        assert_eq!(bytes(foreign), bytes(unknown), "{kind}");
    }
    let still = client
        .ask(&victim, &Message::task("tasks/get", &theirs.proposal))
        .await?;
    assert!(still.body.contains("working"), "{still:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_subscription_behaves_as_an_unknown_one() -> anyhow::Result<()> {
    let tenants = Tenants::start(&RATE)?;
    let client = tenants.mcp_client();
    let (caller, victim) = (tenants.token(ACME, "ann"), tenants.token(GLOBEX, "zoe"));
    let theirs = tenants.file(GLOBEX, &victim, "goodwill").await?;
    let own = tenants.file(ACME, &caller, "goodwill").await?;
    let (own_uri, foreign) = (
        uri("proposals", &own.proposal),
        uri("proposals", &theirs.proposal),
    );
    let unknown = uri("proposals", UNKNOWN);
    let mut first_events = Vec::new();
    let mut streams = Vec::new();
    for address in [&foreign, &unknown] {
        let listen = Message::listen(&[address, &own_uri]);
        let mut events = Events::of(client.asked(&caller, &listen).await?)?;
        let first = events.next(LIMIT).await?.to_string();
        first_events.push(first.replace(address.as_str(), "ADDRESS"));
        streams.push(events);
    }
    assert_eq!(first_events[0], first_events[1]);
    let session = client.open_session(&caller).await?;
    let session_events = Events::of(client.open_stream(&caller, &session).await?)?;
    for address in [&foreign, &own_uri] {
        let message = Message::new("resources/subscribe", json!({ "uri": address }));
        assert_eq!(client.ask_in(&caller, &session, &message).await?.status, 200);
    }
    for (token, id) in [(&victim, &theirs.proposal), (&caller, &own.proposal)] {
        let answer = client.ask(token, &Message::task("tasks/cancel", id)).await?;
        assert!(answer.body.contains("result"), "{answer:?}");
    }
    streams.push(session_events);
    for events in &mut streams {
        assert_eq!(
            events.updated(LIMIT).await?,
            own_uri,
            "an event of the other tenant was sent"
        );
    }
    Ok(())
}
