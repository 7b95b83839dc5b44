//! The transaction: lock, compare, write once, record, commit. One implementation for every engine.
//!
//! Invariant: a COMMIT is reachable only through `Transaction::record`, which has the receipt in place. Every
//! error before it ends the transaction by dropping its connection.

use synapsor_domain::contract::Advance;
use synapsor_domain::digest::Digest;
use synapsor_domain::guard::{self, Conflict, NotAdvanced, RowCount};
use synapsor_domain::proposal::Proposal;
use synapsor_domain::refusal::Refusal;
use synapsor_domain::signing::{Envelope, Kind};
use synapsor_domain::trust::TrustFile;
use synapsor_domain::value::{ColumnValue, Value, find};
use synapsor_domain::writeback::{Authorization, Outcome, Receipt, Rehearsal, check_database_clock};

use super::switches::FlightGuard;
use super::{Writer, row};
use crate::engine::{Begun, Engine, EngineError, RecordError, RowChange, StoredReceipt, Transaction};
use crate::failpoint::hit;

/// Why nothing is written when the version column stays where it was.
pub(super) const VERSION_NOT_ADVANCED: &str = "version_not_advanced";

/// How one transaction ended.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one per transaction, moved twice")]
pub(super) enum Ended {
    /// A receipt is committed. `fresh` when this transaction wrote it.
    Receipt {
        receipt: Receipt,
        envelope: Envelope,
        fresh: bool,
    },
    /// Nothing was written; a new transaction may succeed.
    Retryable(EngineError),
    /// Nothing was written; by the next tick of the database's clock the version can move.
    NotYet,
    /// Nothing was written; what the authorization rested on has changed.
    Outdated,
    /// Nothing was written, and trying again will not help.
    Refused(Refusal),
    /// COMMIT was sent and did not answer.
    Doubt,
}

/// Where a receipt's facts come from, besides the outcome.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) proposal_digest: Digest,
    pub(super) order_digest: Option<Digest>,
    pub(super) fence: u64,
    pub(super) attempt: u32,
    pub(super) ledger_size: u64,
    pub(super) ledger_root: [u8; 32],
}

/// What the receipt will say.
struct Verdict {
    outcome: Outcome,
    reason: &'static str,
    previous_version: Option<Value>,
    new_version: Option<Value>,
}

impl Verdict {
    const fn without_effect(outcome: Outcome, reason: &'static str) -> Self {
        Self {
            outcome,
            reason,
            previous_version: None,
            new_version: None,
        }
    }
}

/// Why a transaction ends before its receipt.
#[expect(clippy::large_enum_variant, reason = "one per transaction, moved twice")]
enum Halt {
    Ended(Ended),
    /// Something about the write itself is wrong: roll back, then record the failure on its own.
    Failed(&'static str),
}

impl From<EngineError> for Halt {
    fn from(error: EngineError) -> Self {
        Self::Ended(from_engine(error))
    }
}

fn from_engine(error: EngineError) -> Ended {
    tracing::warn!(reason = error.reason(), detail = %error.detail, "database error during a writeback");
    if error.is_retryable() {
        Ended::Retryable(error)
    } else {
        Ended::Refused(Refusal::new(
            "refused:database",
            format!("the database refused: {}", error.reason()),
        ))
    }
}

/// Runs the whole transaction once for an authorized change.
pub(super) async fn apply(
    writer: &Writer,
    engine: &dyn Engine,
    authorization: &Authorization,
    context: &Context,
    flight: &FlightGuard,
) -> Ended {
    let begun = match begin(writer, engine, authorization.proposal()).await {
        Ok(begun) => begun,
        Err(ended) => return ended,
    };
    let (mut transaction, identity) = (begun.transaction, begun.identity);
    let verdict = change(writer, transaction.as_mut(), authorization, flight).await;
    let ended = match verdict {
        Ok(verdict) => {
            commit(
                writer,
                transaction,
                authorization.proposal(),
                context,
                verdict,
                &identity,
            )
            .await
        }
        Err(Halt::Ended(ended)) => {
            transaction.roll_back().await;
            ended
        }
        Err(Halt::Failed(reason)) => {
            transaction.roll_back().await;
            let verdict = Verdict::without_effect(Outcome::Failed, reason);
            record_alone(writer, engine, authorization.proposal(), context, verdict).await
        }
    };
    flight.step_back();
    ended
}

/// Ends a proposal without effect by winning or losing the insertion of its receipt.
pub(super) async fn tombstone(
    writer: &Writer,
    engine: &dyn Engine,
    proposal: &Proposal,
    context: &Context,
    outcome: Outcome,
) -> Ended {
    record_alone(
        writer,
        engine,
        proposal,
        context,
        Verdict::without_effect(outcome, ""),
    )
    .await
}

async fn record_alone(
    writer: &Writer,
    engine: &dyn Engine,
    proposal: &Proposal,
    context: &Context,
    verdict: Verdict,
) -> Ended {
    let begun = match begin(writer, engine, proposal).await {
        Ok(begun) => begun,
        Err(ended) => return ended,
    };
    let (mut transaction, identity) = (begun.transaction, begun.identity);
    match existing(writer, transaction.as_mut(), proposal, context.proposal_digest).await {
        Ok(()) => commit(writer, transaction, proposal, context, verdict, &identity).await,
        Err(Halt::Ended(ended)) => {
            transaction.roll_back().await;
            ended
        }
        Err(Halt::Failed(reason)) => Ended::Refused(Refusal::new("refused:receipt_integrity", reason)),
    }
}

async fn begin(writer: &Writer, engine: &dyn Engine, proposal: &Proposal) -> Result<Begun, Ended> {
    hit("F4").await.map_err(from_engine)?;
    let begun = engine.begin().await.map_err(from_engine)?;
    hit("F5").await.map_err(from_engine)?;
    writer.identities.keep(&proposal.source.id, &begun.identity);
    if begun.identity != proposal.source.fingerprint {
        begun.transaction.roll_back().await;
        let text = "the database is not the one that the proposal was read from";
        return Err(Ended::Refused(Refusal::new("refused:source", text)));
    }
    if let Err(refusal) = check_database_clock(writer.now(), begun.database_now) {
        begun.transaction.roll_back().await;
        return Err(Ended::Refused(refusal));
    }
    Ok(begun)
}

/// From the lock to the verified post-image. Gives what the receipt shall say.
async fn change(
    writer: &Writer,
    transaction: &mut dyn Transaction,
    authorization: &Authorization,
    flight: &FlightGuard,
) -> Result<Verdict, Halt> {
    let rehearsal = authorization.rehearsal();
    if let Some(decided) = compare(writer, transaction, rehearsal).await? {
        return Ok(decided);
    }
    hit("F8").await?;
    still_stands(writer, transaction, authorization, flight).await?;
    let after = write_row(transaction, rehearsal).await?;
    Ok(applied(authorization.proposal(), &after))
}

/// Locks the row and compares it with what was reviewed; a verdict if that already decides.
async fn compare(
    writer: &Writer,
    transaction: &mut dyn Transaction,
    rehearsal: &Rehearsal,
) -> Result<Option<Verdict>, Halt> {
    let proposal = rehearsal.proposal();
    let by_key = row::by_key(proposal);
    hit("F6a").await?;
    let mut rows = transaction.lock(&by_key).await?;
    if rows.is_empty() {
        // An application's delete and re-insert during the wait can show as no row; a new statement sees it.
        rows = transaction.lock(&by_key).await?;
    }
    hit("F6b").await?;
    existing(writer, transaction, proposal, rehearsal.proposal_digest()).await?;
    hit("F7").await?;
    let found = match guard::single_row(&rows) {
        RowCount::None => {
            let reason = if transaction.sees(&by_key).await? {
                "target_invisible"
            } else {
                "target_missing"
            };
            return Ok(Some(Verdict::without_effect(Outcome::Conflict, reason)));
        }
        RowCount::One(row) => row,
        RowCount::More => return Ok(Some(Verdict::without_effect(Outcome::Failed, "not_unique"))),
    };
    if let Err(Conflict(reason)) = guard::check_locked(proposal, found) {
        let version = proposal.guard.version.as_ref();
        return Ok(Some(Verdict {
            previous_version: version.map(|v| v.value.clone()),
            new_version: version.and_then(|v| find(found, &v.column)).cloned(),
            ..Verdict::without_effect(Outcome::Conflict, reason)
        }));
    }
    Ok(None)
}

/// What a rehearsal came to: a result in the words of receipts, and the row as it would be.
pub(super) struct Rehearsed {
    pub(super) result: String,
    pub(super) after: Option<Vec<ColumnValue>>,
}

/// The whole writeback up to the receipt, always rolled back.
pub(super) async fn rehearse(writer: &Writer, engine: &dyn Engine, rehearsal: &Rehearsal) -> Rehearsed {
    let ended = |ended| Rehearsed {
        result: rehearsed_end(&ended),
        after: None,
    };
    let mut transaction = match begin(writer, engine, rehearsal.proposal()).await {
        Ok(begun) => begun.transaction,
        Err(end) => return ended(end),
    };
    let outcome = match compare(writer, transaction.as_mut(), rehearsal).await {
        Ok(None) => write_row(transaction.as_mut(), rehearsal).await.map(Ok),
        Ok(Some(verdict)) => Ok(Err(verdict)),
        Err(halt) => Err(halt),
    };
    transaction.roll_back().await;
    match outcome {
        Ok(Ok(after)) => Rehearsed {
            result: "would_apply".to_owned(),
            after: Some(after),
        },
        Ok(Err(verdict)) => Rehearsed {
            result: format!("{}:{}", verdict.outcome, verdict.reason),
            after: None,
        },
        Err(Halt::Failed(reason)) => Rehearsed {
            result: format!("failed:{reason}"),
            after: None,
        },
        Err(Halt::Ended(end)) => ended(end),
    }
}

fn rehearsed_end(ended: &Ended) -> String {
    match ended {
        Ended::Receipt { receipt, .. } => format!("already:{}", receipt.outcome),
        Ended::Retryable(error) => format!("retryable:{}", error.reason()),
        Ended::NotYet => format!("retryable:{VERSION_NOT_ADVANCED}"),
        Ended::Outdated => "retryable:outdated".to_owned(),
        Ended::Refused(refusal) => refusal.code.to_string(),
        Ended::Doubt => "in_doubt".to_owned(),
    }
}

/// The last look before the update, under the lock, at everything that could have changed since.
async fn still_stands(
    writer: &Writer,
    transaction: &mut dyn Transaction,
    authorization: &Authorization,
    flight: &FlightGuard,
) -> Result<(), Halt> {
    let (_, trust_digest) = (writer.trust)().map_err(|r| Halt::Ended(Ended::Refused(r)))?;
    let target = &authorization.proposal().target;
    let shape = transaction.shape(&target.schema, &target.table).await?;
    let is_fresh = guard::is_fresh(authorization, writer.now(), trust_digest, shape.fingerprint());
    if is_fresh && flight.commit_to() {
        Ok(())
    } else {
        Err(Halt::Ended(Ended::Outdated))
    }
}

/// The one UPDATE and everything that proves what it did; gives the row as it is afterwards.
async fn write_row(
    transaction: &mut dyn Transaction,
    rehearsal: &Rehearsal,
) -> Result<Vec<ColumnValue>, Halt> {
    let proposal = rehearsal.proposal();
    let scoped = row::scoped(proposal);
    hit("F9a").await?;
    let matched = transaction
        .update(
            &scoped,
            RowChange {
                set: &proposal.set,
                guard: proposal.guard.version.as_ref(),
                now: moved_by_clock(proposal),
            },
        )
        .await?;
    hit("F9b").await?;
    if matched != 1 {
        return Err(Halt::Failed("matched_rows"));
    }
    let rows = transaction.reread(&scoped).await?;
    hit("F9c").await?;
    let RowCount::One(after) = guard::single_row(&rows) else {
        return Err(Halt::Failed("post_image"));
    };
    match guard::check_advanced(proposal, rehearsal.is_version_maintained(), after) {
        Ok(()) => {}
        Err(NotAdvanced::Yet) => return Err(Halt::Ended(Ended::NotYet)),
        Err(NotAdvanced::AsPromised) => return Err(Halt::Failed(VERSION_NOT_ADVANCED)),
    }
    if let Some(column) = guard::find_surprise(rehearsal, after) {
        tracing::warn!(proposal = %proposal.id, column, "the row after the update is not as requested");
        return Err(Halt::Failed("post_image"));
    }
    let collateral = transaction.collateral(&scoped).await?;
    hit("F9d").await?;
    if !collateral.is_empty() {
        tracing::warn!(proposal = %proposal.id, ?collateral, "the update changed more than its row");
        return Err(Halt::Failed("collateral"));
    }
    Ok(after.to_vec())
}

/// The version column that is set to the database's own time.
fn moved_by_clock(proposal: &Proposal) -> Option<&str> {
    let version = proposal.guard.version.as_ref()?;
    (proposal.guard.advance == Advance::Now).then_some(version.column.as_str())
}

fn applied(proposal: &Proposal, row: &[ColumnValue]) -> Verdict {
    let version = proposal.guard.version.as_ref();
    Verdict {
        outcome: Outcome::Applied,
        reason: "",
        previous_version: version.map(|v| v.value.clone()),
        new_version: version.and_then(|v| find(row, &v.column)).cloned(),
    }
}

/// Stops when a receipt is there already: its outcome is the answer if it is genuine.
async fn existing(
    writer: &Writer,
    transaction: &mut dyn Transaction,
    proposal: &Proposal,
    digest: Digest,
) -> Result<(), Halt> {
    let Some(stored) = transaction.find_receipt(&proposal.id).await? else {
        return Ok(());
    };
    let (trust, _) = (writer.trust)().map_err(|r| Halt::Ended(Ended::Refused(r)))?;
    let ended = match genuine(&stored, &trust, digest) {
        Ok((receipt, envelope)) => Ended::Receipt {
            receipt,
            envelope,
            fresh: false,
        },
        Err(refusal) => Ended::Refused(refusal),
    };
    Err(Halt::Ended(ended))
}

/// A stored receipt, if a writer of ours signed it for exactly this proposal.
pub(super) fn genuine(
    stored: &StoredReceipt,
    trust: &TrustFile,
    digest: Digest,
) -> Result<(Receipt, Envelope), Refusal> {
    let verified = stored.verify(trust).and_then(|(receipt, envelope)| {
        if receipt.proposal_digest == digest {
            Ok((receipt, envelope))
        } else {
            Err(Refusal::new(
                "refused:receipt_integrity",
                "the receipt in the target database is for another digest",
            ))
        }
    });
    verified.inspect_err(|refusal| tracing::error!(code = %refusal.code, "{}", refusal.public))
}

async fn commit(
    writer: &Writer,
    transaction: Box<dyn Transaction>,
    proposal: &Proposal,
    context: &Context,
    verdict: Verdict,
    identity: &str,
) -> Ended {
    let (receipt, envelope, stored) = match sealed(writer, proposal, context, verdict, identity) {
        Ok(sealed) => sealed,
        Err(refusal) => {
            transaction.roll_back().await;
            return Ended::Refused(refusal);
        }
    };
    if let Err(error) = hit("F10a").await {
        transaction.roll_back().await;
        return from_engine(error);
    }
    let recorded = match transaction.record(&stored).await {
        Ok(recorded) => recorded,
        // Somebody else's receipt won; a new transaction will find it under the lock.
        Err(RecordError::Exists) => return Ended::Retryable(EngineError::new(BUSY, "receipt exists")),
        Err(RecordError::Engine(error)) => return from_engine(error),
    };
    if let Err(error) = hit("F10b").await {
        return from_engine(error);
    }
    if let Err(error) = hit("F11a").await {
        return from_engine(error);
    }
    match recorded.commit().await {
        Ok(()) if hit("F11b").await.is_ok() => Ended::Receipt {
            receipt,
            envelope,
            fresh: true,
        },
        Ok(()) | Err(_) => Ended::Doubt,
    }
}

const BUSY: crate::engine::error::EngineErrorKind = crate::engine::error::EngineErrorKind::Busy;

fn sealed(
    writer: &Writer,
    proposal: &Proposal,
    context: &Context,
    verdict: Verdict,
    identity: &str,
) -> Result<(Receipt, Envelope, StoredReceipt), Refusal> {
    let receipt = Receipt {
        v: 1,
        proposal_id: proposal.id.clone(),
        proposal_digest: context.proposal_digest,
        outcome: verdict.outcome,
        reason: verdict.reason.to_owned(),
        rows_affected: u32::from(verdict.outcome == Outcome::Applied),
        previous_version: verdict.previous_version,
        new_version: verdict.new_version,
        order_digest: context.order_digest,
        fence: context.fence,
        attempt: context.attempt,
        writer: writer.name.clone(),
        ledger_size: context.ledger_size,
        ledger_root: hex::encode(context.ledger_root),
        database_identity: identity.to_owned(),
        created_at: writer.now(),
    };
    let envelope = Envelope::seal(Kind::Receipt, &receipt, &writer.key)
        .map_err(|e| Refusal::new("refused:malformed", e.to_string()))?;
    let stored = StoredReceipt::from_envelope(&envelope)?;
    Ok((receipt, envelope, stored))
}
