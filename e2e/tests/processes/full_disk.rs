//! Ledger on a full disk: it starts, serves its records, refuses submissions that it cannot store, and continues
//! once there is room.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use synapsor_chassis::identity::Role;
use synapsor_codes::ErrorCode;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::deployment::Deployment;
use synapsor_e2e::namespaces;
use synapsor_e2e::operator;
use synapsor_e2e::stack::{self, Stack, channel};
use synapsor_proto::ledger::v1 as wire;
use synapsor_proto::ledger::v1::event_service_client::EventServiceClient;
use synapsor_proto::ledger::v1::review_service_client::ReviewServiceClient;

/// `sh -c TEXT sh STATE LEDGER ARGUMENT...`: a copy of the store's directory on a full file system.
const ON_A_FULL_DISK: &str = r#"
state=$1
shift
disk=$(mktemp -d) || exit 1
mount -t tmpfs -o size=8m,mode=700 tmpfs "$disk" || exit 1
cp -a "$state/." "$disk" || exit 1
mount --bind "$disk" "$state" || exit 1
dd if=/dev/zero of="$state/fill" bs=512 2>/dev/null
exec "$@"
"#;

/// `sh -c TEXT sh STATE ROOM LEDGER ARGUMENT...`: the same, with room again after a line is written to the pipe
/// `ROOM`.
const UNTIL_THERE_IS_ROOM: &str = r#"
state=$1
room=$2
shift 2
disk=$(mktemp -d) || exit 1
mount -t tmpfs -o size=8m,mode=700 tmpfs "$disk" || exit 1
cp -a "$state/." "$disk" || exit 1
mount --bind "$disk" "$state" || exit 1
dd if=/dev/zero of="$state/fill" bs=512 2>/dev/null
(read -r _ < "$room" && rm "$state/fill") &
exec "$@"
"#;
/// The ledger retries to record its start every few seconds.
const SOON: Duration = Duration::from_secs(20);

/// A ledger whose last process closed the store, or was killed.
async fn starts_and_reads(is_closed: bool) -> anyhow::Result<()> {
    let mut stack = Stack::without_writer(Deployment::new(Build::Plain)?)?;
    stack.ledger.kill();
    if is_closed {
        // The last connection that closes the file removes the write-ahead log.
        let store = rusqlite::Connection::open(stack.deployment.store())?;
        store.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    let log = stack.deployment.path("ledger-state/local.db-wal");
    assert_eq!(log.exists(), !is_closed);

    let text = |path: &Path| path.display().to_string();
    let mut prefix = namespaces::unshare_mounts();
    prefix.extend(["/bin/sh", "-c", ON_A_FULL_DISK, "sh"].map(str::to_owned));
    prefix.push(text(&stack.deployment.path("ledger-state")));
    // A webhook cannot store its position either, and its receiver does not exist.
    let webhooks = stack.deployment.path("webhooks.json");
    let chat = json!({ "name": "chat", "url": "http://127.0.0.1:9/", "format": "slack" });
    std::fs::write(&webhooks, json!({ "version": 1, "webhooks": [chat] }).to_string())?;
    let extra = [("SYNAPSOR_LEDGER_WEBHOOKS", text(&webhooks))];
    let extra = extra.each_ref().map(|(name, path)| (*name, path.as_str()));
    let ledger = stack::wrapped_ledger(&stack.deployment, "127.0.0.1:0", &prefix, &extra)?;
    let operator = channel(
        &stack.deployment,
        Role::Operator,
        Some("alice"),
        Role::Ledger,
        &ledger.address,
    )?;
    let mut review = ReviewServiceClient::new(operator);
    let listed = review.list_proposals(wire::ListProposalsRequest::default()).await;
    assert!(listed.is_ok(), "{listed:?}\n{}", ledger.log_text());

    let freeze = operator::freeze(&stack.deployment, stack.deployment.person("alice"));
    let (signed, _) = operator::seal_freeze(stack.deployment.person("alice"), &freeze);
    let request = wire::SubmitSwitchRequest {
        signed: Some((&signed).into()),
    };
    let refused = review.submit_switch(request).await.unwrap_err();
    let refusal = synapsor_proto::status::from_status(&refused);
    assert_eq!(refusal.code, ErrorCode::StoreFull, "{refusal}");
    assert!(refusal.public.contains("free disk space"), "{refusal}");
    drop(ledger);

    // The directory below is unchanged: the next start has room.
    stack.ledger = stack::ledger(&stack.deployment, &[])?;
    let operator = stack.ledger_as(Role::Operator, Some("alice"))?;
    let request = wire::SubmitSwitchRequest {
        signed: Some((&signed).into()),
    };
    let taken = ReviewServiceClient::new(operator).submit_switch(request).await;
    assert!(taken.is_ok(), "{taken:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ledger_on_a_full_disk_serves_its_records() -> anyhow::Result<()> {
    if let Err(reason) = namespaces::try_mount() {
        return namespaces::missing("a ledger on a full disk", &reason);
    }
    for is_closed in [true, false] {
        starts_and_reads(is_closed).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn start_on_a_full_disk_is_recorded_after_recovery() -> anyhow::Result<()> {
    if let Err(reason) = namespaces::try_mount() {
        return namespaces::missing("a ledger on a full disk", &reason);
    }
    let mut stack = Stack::without_writer(Deployment::new(Build::Plain)?)?;
    stack.ledger.kill();
    let text = |path: &Path| path.display().to_string();
    let room = stack.deployment.path("room");
    let made = Command::new("mkfifo").arg(&room).status()?;
    assert!(made.success());
    let mut prefix = namespaces::unshare_mounts();
    prefix.extend(["/bin/sh", "-c", UNTIL_THERE_IS_ROOM, "sh"].map(str::to_owned));
    prefix.push(text(&stack.deployment.path("ledger-state")));
    prefix.push(text(&room));
    let ledger = stack::wrapped_ledger(&stack.deployment, "127.0.0.1:0", &prefix, &[])?;
    let operator = channel(
        &stack.deployment,
        Role::Operator,
        Some("alice"),
        Role::Ledger,
        &ledger.address,
    )?;
    let request = wire::TailRequest {
        kind: "ledger_started".to_owned(),
        follow: true,
        ..wire::TailRequest::default()
    };
    let mut starts = EventServiceClient::new(operator)
        .tail(request)
        .await?
        .into_inner();
    let first = starts.message().await?.context("the first start")?;
    tokio::task::spawn_blocking(move || std::fs::write(room, "\n")).await??;
    let second = tokio::time::timeout(SOON, starts.message()).await;
    let second = second
        .context("the start is not recorded")??
        .context("the second start")?;
    assert!(second.seq > first.seq);
    Ok(())
}
