//! The same checks with the real ledger process: whether it starts, and the result of its verification.

use synapsor_chassis::identity::Role;
use synapsor_domain::log::{ConsistencyProof, PinnedCheckpoint, verify_checkpoint};
use synapsor_proto::ledger::v1::transparency_service_client::TransparencyServiceClient;
use synapsor_proto::ledger::v1::{VerifyStoreRequest, VerifyStoreResponse};

use super::{Scene, remove};
use crate::stack;

/// Starts the process on edited stores; returns the number of undetected edits.
pub(super) async fn edits(scene: &Scene, count: usize) -> anyhow::Result<usize> {
    let store = scene.original.deployment.store();
    let mut wrong = 0;
    for number in 0..count {
        remove(&store);
        let what = scene.edit(number, &store)?;
        if alarm(scene).await?.is_none() {
            println!("VIOLATION process edit {number}: not detected: {what}");
            wrong += 1;
        }
    }
    Ok(wrong)
}

/// Starts the process on the unmodified store, each time as the last run left it; returns the number of
/// detections.
pub(super) async fn restarts(scene: &Scene, count: usize) -> anyhow::Result<usize> {
    let store = scene.original.deployment.store();
    remove(&store);
    std::fs::copy(&scene.original.file, &store)?;
    let mut wrong = 0;
    for number in 0..count {
        if let Some(alarm) = alarm(scene).await? {
            println!("VIOLATION clean restart {number} of the process: {alarm}");
            wrong += 1;
        }
    }
    Ok(wrong)
}

async fn alarm(scene: &Scene) -> anyhow::Result<Option<String>> {
    let deployment = &scene.original.deployment;
    let ledger = match stack::ledger(deployment, &[]) {
        Ok(ledger) => ledger,
        Err(error) => {
            let message = format!("{error:#}");
            anyhow::ensure!(
                message.contains("STORE_"),
                "the ledger did not start, for another reason than its store: {message}"
            );
            return Ok(Some("it did not start".to_owned()));
        }
    };
    let channel = stack::channel(
        deployment,
        Role::Operator,
        Some("alice"),
        Role::Ledger,
        &ledger.address,
    )?;
    let mut client = TransparencyServiceClient::new(channel);
    for pinned in &scene.original.witnesses {
        let answer = client
            .verify_store(VerifyStoreRequest {
                known: Some(pinned.into()),
            })
            .await;
        let alarm = match answer {
            Ok(answer) => judged(scene, pinned.clone(), answer.into_inner())?,
            Err(status) => Some(status.message().to_owned()),
        };
        if alarm.is_some() {
            return Ok(alarm);
        }
    }
    Ok(None)
}

/// Result of a CLI check of the response: findings, or a checkpoint that does not extend the pinned one.
fn judged(
    scene: &Scene,
    mut pinned: PinnedCheckpoint,
    answer: VerifyStoreResponse,
) -> anyhow::Result<Option<String>> {
    if let Some(finding) = answer.findings.into_iter().next() {
        return Ok(Some(finding));
    }
    let key = scene.original.deployment.ledger_key.public_key();
    let checkpoint = match verify_checkpoint(&answer.checkpoint, scene.judge.origin(), &key) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return Ok(Some(error.code().to_string())),
    };
    let proof = answer.consistency.map(ConsistencyProof::try_from).transpose()?;
    Ok(pinned
        .advance(&checkpoint, proof.as_ref())
        .err()
        .map(|error| error.code().to_string()))
}
