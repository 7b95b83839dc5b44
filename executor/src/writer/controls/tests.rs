//! Tests of freezes, rejections and attempts of one writer.

use std::path::Path;
use std::time::Instant;

use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{Freeze, LiftClock, SignerInfo, Unfreeze, verify_freeze, verify_lift};
use synapsor_domain::signing::{ObjectKind, SigningKey};
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::trust::{APPLIER, DeploymentEnvironment, OperatorKey, TrustFile, TrustLimits};
use zeroize::Zeroizing;

use synapsor_writeback::Controls as _;

use super::*;

fn switches() -> (tempfile::TempDir, WriterControls) {
    let dir = tempfile::tempdir().unwrap();
    let switches = WriterControls::open(dir.path().to_owned()).unwrap();
    (dir, switches)
}

fn reopened(dir: &Path) -> WriterControls {
    WriterControls::open(dir.to_owned()).unwrap()
}

fn id(n: u8) -> ProposalId {
    ProposalId::from_random([n; 10])
}

fn key() -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new([1; 32]))
}

fn now() -> Timestamp {
    "2026-03-01T00:00:00.000Z".parse().unwrap()
}

fn approver() -> SignerInfo {
    SignerInfo {
        key_id: key().key_id(),
        person: "ann".to_owned(),
        role: APPLIER.to_owned(),
    }
}

fn trust() -> TrustFile {
    let operator = OperatorKey {
        person: "ann".to_owned(),
        key_id: key().key_id(),
        public_key: key().public_key(),
        roles: vec![APPLIER.to_owned()],
        capabilities: Vec::new(),
        tenants: Vec::new(),
        not_before: now() + Span::days(-1),
        not_after: now() + Span::days(1),
        revoked: false,
        retired: false,
        retired_at_size: None,
        retired_at_root: None,
        pinned_at: None,
    };
    TrustFile {
        version: 1,
        deployment_id: "d1".to_owned(),
        environment: DeploymentEnvironment::Dev,
        readers: Vec::new(),
        writers: Vec::new(),
        ledgers: Vec::new(),
        operators: vec![operator],
        aliases: [].into(),
        separation_of_duties: None,
        ceilings: TrustLimits::default(),
        recoveries: Vec::new(),
    }
}

fn freeze(nonce: &str) -> (VerifiedFreeze, DsseEnvelope) {
    let freeze = Freeze {
        v: 1,
        deployment_id: "d1".to_owned(),
        environment: DeploymentEnvironment::Dev,
        approver: approver(),
        issued_at: now(),
        nonce: nonce.repeat(32),
        reason: None,
    };
    let envelope = DsseEnvelope::sign(ObjectKind::Freeze, &freeze, &key()).unwrap();
    (verify_freeze(&envelope, &trust()).unwrap(), envelope)
}

fn lift(freeze: Digest) -> (VerifiedLift, DsseEnvelope) {
    let lift = Unfreeze {
        v: 1,
        deployment_id: "d1".to_owned(),
        environment: DeploymentEnvironment::Dev,
        writer: String::new(),
        approver: approver(),
        issued_at: now(),
        expires_at: now() + Span::minutes(5),
        nonce: "c".repeat(32),
        freeze_digest: Some(freeze),
    };
    let envelope = DsseEnvelope::sign(ObjectKind::Unfreeze, &lift, &key()).unwrap();
    (
        verify_lift(&envelope, &trust(), LiftClock::Now(now())).unwrap(),
        envelope,
    )
}

fn papers() -> (DsseEnvelope, DsseEnvelope) {
    let some =
        |n: u8| DsseEnvelope::sign(ObjectKind::Proposal, &serde_json::json!({ "n": n }), &key()).unwrap();
    (some(1), some(2))
}

async fn reject(switches: &WriterControls, id: &ProposalId) -> Result<Option<AttemptPhase>, PublicError> {
    let (proposal, decision) = papers();
    switches.reject(id, &proposal, &decision).await
}

/// Replaces the directory of the switches, so that none can be written.
fn make_unwritable(dir: &Path) {
    std::fs::rename(dir.join("switches"), dir.join("away")).unwrap();
}

fn make_writable(dir: &Path) {
    std::fs::rename(dir.join("away"), dir.join("switches")).unwrap();
}

#[tokio::test]
async fn rejection_stops_only_before_the_point_of_no_return() {
    let (_dir, switches) = switches();
    let flight = switches.try_take_off(&id(1)).unwrap();
    assert_eq!(
        reject(&switches, &id(1)).await.unwrap(),
        Some(AttemptPhase::Stoppable)
    );
    assert!(!flight.try_enter_commit());
    let flight = switches.try_take_off(&id(2)).unwrap();
    assert!(flight.try_enter_commit());
    assert_eq!(switches.committing(), [id(2)]);
    assert_eq!(
        reject(&switches, &id(2)).await.unwrap(),
        Some(AttemptPhase::Committing)
    );
}

#[tokio::test]
async fn rejections_and_freezes_survive_a_restart() {
    let (dir, switches) = switches();
    reject(&switches, &id(1)).await.unwrap();
    let (verified, envelope) = freeze("a");
    switches.freeze(&verified, &envelope).await.unwrap();
    switches.freeze_locally().await.unwrap();
    drop(switches);
    let again = reopened(dir.path());
    assert!(again.is_rejected(&id(1)) && again.is_frozen());
    assert_eq!(again.rejection(&id(1)), Some(papers()));
    again.lift_locally(&"d".repeat(32)).await.unwrap();
    assert!(again.is_frozen(), "the signed freeze is in force");
    let (lifted, envelope) = lift(verified.digest());
    again.lift(&lifted, &envelope).await.unwrap();
    again.end_rejection(&id(1)).await;
    drop(again);
    let again = reopened(dir.path());
    assert!(!again.is_frozen() && !again.is_rejected(&id(1)));
    assert!(again.knows(verified.digest()) && again.knows(lifted.digest()));
}

#[tokio::test]
async fn lift_ends_only_the_freeze_that_it_names() {
    let (_dir, switches) = switches();
    let (first, first_envelope) = freeze("a");
    switches.freeze(&first, &first_envelope).await.unwrap();
    let (lifted, envelope) = lift(first.digest());
    switches.lift(&lifted, &envelope).await.unwrap();
    assert!(!switches.is_frozen());
    let (second, second_envelope) = freeze("b");
    switches.freeze(&second, &second_envelope).await.unwrap();
    switches.lift(&lifted, &envelope).await.unwrap();
    assert!(switches.is_frozen(), "a lift was replayed");
    // The first freeze has ended already.
    switches.freeze(&first, &first_envelope).await.unwrap();
    assert_eq!(
        switches.freezes(),
        [FreezeInForce {
            digest: Some(second.digest())
        }]
    );
}

#[tokio::test]
async fn unfreeze_nonce_is_accepted_once() {
    let (dir, switches) = switches();
    let nonce = "e".repeat(32);
    switches.freeze_locally().await.unwrap();
    switches.lift_locally(&nonce).await.unwrap();
    drop(switches);
    let again = reopened(dir.path());
    again.freeze_locally().await.unwrap();
    assert_eq!(
        again.lift_locally(&nonce).await.unwrap_err().code,
        ErrorCode::RefusedNonce
    );
    assert!(again.is_frozen());
}

#[tokio::test]
async fn unwritable_stop_is_effective_but_reports_failure() {
    let (dir, switches) = switches();
    let (verified, envelope) = freeze("a");
    let flight = switches.try_take_off(&id(3)).unwrap();
    make_unwritable(dir.path());
    for _ in 0..2 {
        let refused = reject(&switches, &id(1)).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::StateNotWritable);
        let refused = switches.freeze(&verified, &envelope).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::StateNotWritable);
    }
    assert!(switches.is_rejected(&id(1)) && switches.is_frozen());
    assert!(switches.check_durable().is_err() && !*switches.durable().borrow());
    assert!(!flight.try_enter_commit());
    make_writable(dir.path());
    assert!(reject(&switches, &id(1)).await.is_ok());
    assert!(switches.freeze(&verified, &envelope).await.is_ok());
    assert!(switches.check_durable().is_ok());
    drop((switches, flight));
    let again = reopened(dir.path());
    assert!(again.is_rejected(&id(1)) && again.is_frozen());
}

#[tokio::test]
async fn attempt_is_blocked_while_another_rejection_is_not_durable() {
    let (dir, switches) = switches();
    let flight = switches.try_take_off(&id(3)).unwrap();
    make_unwritable(dir.path());
    reject(&switches, &id(1)).await.unwrap_err();
    assert!(!flight.try_enter_commit());
    make_writable(dir.path());
    let stop = CancellationToken::new();
    let saving = tokio::spawn({
        let (switches, stop) = (switches.clone(), stop.clone());
        async move { switches.keep_saving(stop).await }
    });
    switches.durable().wait_for(|durable| *durable).await.unwrap();
    assert!(flight.try_enter_commit());
    stop.cancel();
    saving.await.unwrap();
}

#[tokio::test]
async fn unwritable_time_mark_stops_the_writer() {
    let (dir, switches) = switches();
    std::fs::create_dir(dir.path().join("clock-high-water")).unwrap();
    switches.set_mark(now());
    assert!(switches.check_durable().is_err());
    std::fs::remove_dir(dir.path().join("clock-high-water")).unwrap();
    switches.save_all().unwrap();
    assert!(switches.check_durable().is_ok());
}

#[test]
fn rejects_start_with_malformed_switch_files() {
    let spoil: [(&str, &[u8]); 6] = [
        ("switches/freeze-00", b"{"),
        ("switches/lift-00", b"not json"),
        ("switches/reject-nobody", b""), // tidy:allow(nobody) part of a file name
        ("switches/else", b""),
        ("denied", b"wrp_x\n"),
        ("clock-high-water", b"yesterday"),
    ];
    for (name, bytes) in spoil {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("switches")).unwrap();
        std::fs::write(dir.path().join(name), bytes).unwrap();
        let failure = WriterControls::open(dir.path().to_owned()).unwrap_err();
        assert_eq!(failure.code(), ErrorCode::SwitchesUnreadable, "{name}");
    }
}

#[test]
fn switch_files_of_an_earlier_version_are_read() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("frozen"), b"frozen\n").unwrap();
    std::fs::write(dir.path().join("denied"), format!("{}\n{}\n", id(1), id(2))).unwrap();
    let switches = reopened(dir.path());
    assert!(switches.is_frozen() && switches.is_rejected(&id(1)) && switches.is_rejected(&id(2)));
}

#[test]
fn state_directory_has_one_writer() {
    let (dir, switches) = switches();
    let failure = WriterControls::open(dir.path().to_owned()).unwrap_err();
    assert_eq!(failure.code(), ErrorCode::StateDirInUse);
    drop(switches);
    assert!(WriterControls::open(dir.path().to_owned()).is_ok());
}

#[tokio::test]
async fn rejections_are_not_evicted_and_leave_no_file_at_their_end() {
    let (dir, switches) = switches();
    let many: Vec<ProposalId> = (0..4_000_u32)
        .map(|n| {
            let mut bytes = [0; 10];
            bytes[..4].copy_from_slice(&n.to_be_bytes());
            ProposalId::from_random(bytes)
        })
        .collect();
    for id in &many[..200] {
        reject(&switches, id).await.unwrap();
    }
    let first = Instant::now();
    for id in &many[200..400] {
        reject(&switches, id).await.unwrap();
    }
    let first = first.elapsed();
    for id in &many[400..3_800] {
        reject(&switches, id).await.unwrap();
    }
    let last = Instant::now();
    for id in &many[3_800..] {
        reject(&switches, id).await.unwrap();
    }
    // The cost of one more does not grow with their number.
    assert!(last.elapsed() < first * 5 + std::time::Duration::from_millis(200));
    drop(switches);
    let switches = reopened(dir.path());
    assert!(many.iter().all(|id| switches.is_rejected(id)));
    for id in &many {
        switches.end_rejection(id).await;
    }
    assert_eq!(std::fs::read_dir(dir.path().join("switches")).unwrap().count(), 0);
}

#[tokio::test]
async fn second_attempt_of_a_proposal_waits_for_the_first() {
    let (_dir, switches) = switches();
    let first = switches.register_attempt(&id(1)).await;
    assert!(switches.try_take_off(&id(1)).is_none());
    let identity = id(1);
    let second = switches.register_attempt(&identity);
    tokio::pin!(second);
    assert!(
        std::future::Future::poll(
            second.as_mut(),
            &mut std::task::Context::from_waker(std::task::Waker::noop())
        )
        .is_pending()
    );
    drop(first);
    second.await;
}

#[test]
fn mark_of_last_commit_survives_a_restart_in_both_directions() {
    let (dir, switches) = switches();
    assert_eq!(switches.mark(), None);
    let late = Timestamp::from_unix_millis(2_000_000_000_000);
    let early = Timestamp::from_unix_millis(1_000_000_000_000);
    for mark in [late, early] {
        switches.set_mark(mark);
        assert_eq!(switches.mark(), Some(mark));
        let kept = std::fs::read_to_string(dir.path().join("clock-high-water")).unwrap();
        assert_eq!(kept.trim(), mark.to_string());
    }
    drop(switches);
    assert_eq!(reopened(dir.path()).mark(), Some(early));
}

#[tokio::test]
async fn lift_by_digest_ends_a_freeze_of_a_removed_signer() {
    let (_dir, switches) = switches();
    let (frozen, _) = freeze("a");
    let (other, _) = freeze("b");
    let unverified = |digest| [SwitchRow::Unverified(digest)];
    assert!(switches.take_found(&unverified(Some(frozen.digest()))));
    let (lifted, envelope) = lift(frozen.digest());
    switches.lift(&lifted, &envelope).await.unwrap();
    assert!(!switches.take_found(&unverified(Some(frozen.digest()))));
    assert!(
        switches.take_found(&unverified(Some(other.digest()))),
        "ends another freeze"
    );
    assert!(
        switches.take_found(&unverified(None)),
        "a freeze that no digest names stays in force"
    );
}
