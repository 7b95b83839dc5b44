//! Authorizes a leased proposal by the writer's own files and its own view of the source, before the attempt is
//! announced. Where the authorization fails, a committed receipt still decides.

use std::sync::Arc;

use synapsor_codes::ErrorCode;
use synapsor_domain::contract::Contract;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::log::{Checkpoint, TreeHead};
use synapsor_domain::proposal::{Proposal, VerifiedProposal};
use synapsor_domain::schema::TableSchema;
use synapsor_domain::signing::DsseEnvelope;
use synapsor_domain::trust::{Position, TrustFile};
use synapsor_domain::writeback::{LedgerProof, Unauthorized, WriteAuthorization, WriterFacts, authorize};
use synapsor_source::Engine;
use synapsor_writeback::crash_point::{CrashPoint, hit};
use synapsor_writeback::receipt;

use super::step::{AttemptStep, found_step, unidentified, unusable, unusable_step};
use crate::writer::ledger::client::LeasedJob;
use crate::writer::ledger::report::{is_transient, refused};
use crate::writer::receipts::compare::NotCompared;
use crate::writer::receipts::history::{UnknownHistory, check_history};
use crate::writer::retry::BackoffClass;
use crate::writer::{Writer, unusable_trust};

/// Result of the authorization before the attempt is announced.
pub(super) enum AuthorizeResult {
    Authorized(Box<WriteAuthorization>),
    Unauthorized(Box<Unauthorized>),
}

/// Required freshness of the writer's own view of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SchemaView {
    /// As the engine cached it: the fresh view under the lock decides.
    Cached,
    /// Something changed since the authorization; read again.
    Fresh,
}

pub(super) async fn authorize_job(
    writer: &Writer,
    job: &LeasedJob,
    checkpoint: &Checkpoint,
    in_doubt: bool,
    view: SchemaView,
) -> Result<AuthorizeResult, AttemptStep> {
    let report = |refusal: PublicError| AttemptStep::Report(refused(&refusal));
    let injected = |_| AttemptStep::Retry(ErrorCode::RetryableLedgerUnavailable, BackoffClass::Contention);
    hit(CrashPoint::LeaseReceived).await.map_err(injected)?;
    let (trust, trust_digest) = (writer.trust)().map_err(|refusal| report(unusable_trust(&refusal)))?;
    let envelope = DsseEnvelope::from_bytes(&job.proposal.body)
        .map_err(|e| report(PublicError::new(ErrorCode::RefusedMalformed, e.to_string())))?;
    writer.ledger.prove_retirements(&trust).await;
    let continues = |head: &TreeHead| writer.ledger.continues(head);
    // The index is verified with the other signed objects before anything depends on it.
    let position = Position::Logged {
        index: job.proposal.proof.index(),
        continues: &continues,
    };
    let attested = VerifiedProposal::verify_at(envelope, &trust, &position).map_err(report)?;
    let engine = writer.engine(&attested.proposal().source.id).map_err(report)?;
    if in_doubt {
        known_outcome(writer, engine, &attested, &trust).await?;
    }
    hit(CrashPoint::BeforeAuthorize).await.map_err(injected)?;
    let shape = own_shape(engine, attested.proposal(), view).await?;
    let identity = own_identity(writer, engine, attested.proposal()).await?;
    let own = Own {
        trust: &trust,
        trust_digest,
        shape: &shape,
        identity: &identity,
    };
    if let Err(refusal) = writer.switches.check_durable() {
        known_outcome(writer, engine, &attested, &trust).await?;
        return Err(AttemptStep::Report(refused(&unwritable(refusal))));
    }
    let proof = LedgerProof {
        checkpoint,
        proposal: &job.proposal,
        decisions: &job.decisions,
        order: job.order.as_ref(),
        consistency: &job.consistency,
    };
    let authorized = with_facts(writer, engine, &attested, &own, |facts| {
        authorize(attested.clone(), &proof, facts)
    });
    match authorized {
        Ok(authorization) => Ok(AuthorizeResult::Authorized(Box::new(authorization))),
        Err(unauthorized) => {
            // A change that may no longer be written may have been written before; a receipt would prove it.
            known_outcome(writer, engine, &attested, &trust).await?;
            Ok(AuthorizeResult::Unauthorized(unauthorized))
        }
    }
}

/// The switch store is not writable, which is not the proposal's fault: it can be applied later.
pub(super) fn unwritable(refusal: PublicError) -> PublicError {
    PublicError::new(ErrorCode::RefusedStateNotWritable, refusal.public)
}

/// Returns the target table's schema. A cached view suffices when it matches the proposal's.
pub(super) async fn own_shape(
    engine: &dyn Engine,
    proposal: &Proposal,
    view: SchemaView,
) -> Result<Arc<TableSchema>, AttemptStep> {
    let (schema, table) = (&proposal.target.schema, &proposal.target.table);
    if view == SchemaView::Cached {
        let kept = engine.cached_table_schema(schema, table).await;
        let kept = kept.map_err(|e| unusable(&e))?;
        if proposal.fingerprint_of(&kept) == proposal.schema_fingerprint {
            return Ok(kept);
        }
    }
    let fresh = engine.table_schema(schema, table).await;
    fresh.map(Arc::new).map_err(|e| unusable(&e))
}

/// Returns the database identity, of a database that holds the newest receipts if the identity is not the recorded
/// one. The transaction checks it again, so a cached value suffices.
pub(super) async fn own_identity(
    writer: &Writer,
    engine: &dyn Engine,
    proposal: &Proposal,
) -> Result<String, AttemptStep> {
    let source = &proposal.source;
    let cached =
        writer.core.identities().last(&source.id).filter(|cached| {
            *cached == source.fingerprint || writer.compared_identities.has(&source.id, cached)
        });
    let identity = match cached {
        Some(identity) => identity,
        None => {
            let identity = engine.identity().await.map_err(|e| unidentified(&e))?;
            writer.core.identities().cache(&source.id, &identity);
            identity
        }
    };
    match check_history(writer, &source.id, &source.fingerprint, &identity).await {
        Ok(()) => Ok(identity),
        Err(UnknownHistory::NotCompared(NotCompared::Source(error))) => Err(unusable(&error)),
        Err(UnknownHistory::NotCompared(NotCompared::Ledger(refusal))) if is_transient(refusal.code) => Err(
            AttemptStep::Retry(ErrorCode::RetryableLedgerUnavailable, BackoffClass::Outage),
        ),
        Err(UnknownHistory::NotCompared(NotCompared::Ledger(refusal))) => {
            Err(AttemptStep::Report(refused(&refusal)))
        }
        Err(UnknownHistory::Outdated) => Err(AttemptStep::Outdated),
        Err(UnknownHistory::Lost(lost)) => Err(AttemptStep::EffectLost(lost)),
    }
}

/// Facts that the writer has just read itself.
pub(crate) struct Own<'a> {
    pub(crate) trust: &'a TrustFile,
    pub(crate) trust_digest: Digest,
    pub(crate) shape: &'a TableSchema,
    pub(crate) identity: &'a str,
}

/// Calls an authorization with the writer's own facts about this proposal.
pub(crate) fn with_facts<T>(
    writer: &Writer,
    engine: &dyn Engine,
    attested: &VerifiedProposal,
    own: &Own<'_>,
    judgement: impl FnOnce(&WriterFacts<'_>) -> T,
) -> T {
    let now = writer.now();
    let fit = |column: &_, value: &_| engine.fit(column, value);
    let continues = |head: &TreeHead| writer.ledger.continues(head);
    let contract: &Contract = &writer.contract;
    judgement(&WriterFacts {
        trust: own.trust,
        trust_digest: own.trust_digest,
        contract,
        now,
        database_identity: own.identity,
        shape: own.shape,
        fit: &fit,
        continues: &continues,
        frozen: writer.switches.is_frozen(),
        is_rejected_here: writer.switches.is_rejected(&attested.proposal().id),
        knows_switch: &|digest| writer.switches.knows(digest),
    })
}

/// A committed, genuine receipt ends the step whatever the ledger reports; its absence proves nothing.
pub(super) async fn known_outcome(
    writer: &Writer,
    engine: &dyn Engine,
    attested: &VerifiedProposal,
    trust: &TrustFile,
) -> Result<(), AttemptStep> {
    let found = engine
        .find_receipt(&attested.proposal().id)
        .await
        .map_err(|e| unusable(&e))?;
    let Some(stored) = found else { return Ok(()) };
    let identity = engine.identity().await.map_err(|e| unidentified(&e))?;
    Err(
        match receipt::verify(&stored, trust, attested.digest(), &identity) {
            Ok((receipt, envelope)) => found_step(writer, receipt, envelope),
            Err(unusable) => unusable_step(unusable),
        },
    )
}
