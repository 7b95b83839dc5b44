//! Runs the real writeback transaction up to the receipt, and always rolls it back. Needs no approval and
//! changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::proposal::VerifiedProposal;
use synapsor_domain::signing::DsseEnvelope;
use synapsor_domain::value::ColumnValue;
use synapsor_domain::writeback::{DryRunVerdict, validate_proposal};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::writer::Writer;
use crate::writer::attempt::authorize::{Own, with_facts};
use crate::writer::attempt::step::log_unusable;
use crate::writer::controls::DryRunControls;
use crate::writer::receipts::orders::may_be_missing;
use synapsor_writeback::{DryRunPermit, DryRunResult, FailedReason, LostReceipts, RefusedBy};

/// Result of a dry run.
#[derive(Debug, Clone)]
pub(crate) struct DryRun {
    pub(crate) verdict: DryRunVerdict,
    pub(crate) message: String,
    /// Expected row after the change.
    pub(crate) after: Option<Vec<ColumnValue>>,
}

/// Concurrent dry runs of one source. Together with the slots of attempts they leave connections for rejections.
const DRY_RUNS_PER_SOURCE: usize = 3;
/// Maximum time that a dry run waits for earlier ones.
const WAIT: Duration = Duration::from_secs(5);

/// Permits for dry runs of each source.
#[derive(Debug)]
pub(crate) struct DryRuns(BTreeMap<String, Semaphore>);

impl DryRuns {
    pub(crate) fn of(writer: &Writer) -> Self {
        let permits = |source| (source, Semaphore::new(DRY_RUNS_PER_SOURCE));
        Self(writer.source_ids().into_iter().map(permits).collect())
    }

    async fn permit(&self, source: &str) -> Result<Option<SemaphorePermit<'_>>, PublicError> {
        let Some(permits) = self.0.get(source) else {
            return Ok(None);
        };
        match tokio::time::timeout(WAIT, permits.acquire()).await {
            Ok(permit) => Ok(permit.ok()),
            Err(_) => Err(PublicError::new(
                ErrorCode::DatabaseUnavailable,
                "other dry runs of this source are still running; try again",
            )),
        }
    }
}

/// Runs a proposal, as the reader signed it, without committing.
pub(crate) async fn preview(
    writer: &Writer,
    dry_runs: &DryRuns,
    proposal: DsseEnvelope,
) -> Result<DryRun, PublicError> {
    match dry_run(writer, dry_runs, proposal.clone()).await? {
        DryRunEnd::Preview(preview) => Ok(preview),
        // Receipts given up since are not looked up again.
        DryRunEnd::EffectLost(lost) if may_be_missing(writer, &lost).await => {
            Ok(dry_run(writer, dry_runs, proposal).await?.into_preview())
        }
        lost @ DryRunEnd::EffectLost(_) => Ok(lost.into_preview()),
    }
}

/// How one dry run ended.
enum DryRunEnd {
    Preview(DryRun),
    /// The source lost receipts, and no UPDATE was sent.
    EffectLost(Box<LostReceipts>),
}

impl DryRunEnd {
    fn into_preview(self) -> DryRun {
        match self {
            Self::Preview(preview) => preview,
            Self::EffectLost(lost) => {
                let refusal = lost.refusal();
                DryRun::without_row(DryRunVerdict::WouldNotApply(refusal.code), refusal.public)
            }
        }
    }
}

impl DryRun {
    const fn without_row(verdict: DryRunVerdict, message: String) -> Self {
        Self {
            verdict,
            message,
            after: None,
        }
    }
}

async fn dry_run(
    writer: &Writer,
    dry_runs: &DryRuns,
    proposal: DsseEnvelope,
) -> Result<DryRunEnd, PublicError> {
    let (trust, trust_digest) = (writer.trust)()?;
    let attested = VerifiedProposal::verify(proposal, &trust)?;
    if writer.switches.is_frozen() {
        let message = "writeback is frozen: no UPDATE is sent, not even one that is rolled back";
        let frozen = DryRun::without_row(
            DryRunVerdict::WouldNotApply(ErrorCode::RefusedFrozen),
            message.to_owned(),
        );
        return Ok(DryRunEnd::Preview(frozen));
    }
    let engine = writer.engine(&attested.proposal().source.id)?;
    let _permit = dry_runs.permit(&attested.proposal().source.id).await?;
    let target = &attested.proposal().target;
    let database = |error: synapsor_source::EngineError| {
        log_unusable(&error);
        PublicError::new(
            ErrorCode::DatabaseUnavailable,
            format!("the writer's database is not usable: {}", error.reason()),
        )
    };
    let shape = engine
        .table_schema(&target.schema, &target.table)
        .await
        .map_err(database)?;
    let identity = engine.identity().await.map_err(database)?;
    let own = Own {
        trust: &trust,
        trust_digest,
        shape: &shape,
        identity: &identity,
    };
    let planned = with_facts(writer, engine, &attested, &own, |facts| {
        validate_proposal(attested.clone(), facts)
    });
    let planned = match planned {
        Ok(planned) => planned,
        Err(refusal) => {
            let refused = DryRun::without_row(DryRunVerdict::WouldNotApply(refusal.code), refusal.public);
            return Ok(DryRunEnd::Preview(refused));
        }
    };
    let controls = DryRunControls::new(&writer.switches);
    let result = writer.core.dry_run(DryRunPermit::new(planned), &controls).await;
    Ok(ended(result))
}

/// Converts the core's result, and keeps a cause for the operator.
fn ended(result: DryRunResult) -> DryRunEnd {
    if let Some(error) = &result.unusable {
        log_unusable(error);
    }
    let message = match (result.refused, &result.failed) {
        (Some(RefusedBy::EffectLost(lost)), _) => return DryRunEnd::EffectLost(lost),
        (Some(by), _) => {
            if let RefusedBy::Database(error) = &by {
                log_unusable(error);
            }
            format!("nothing would be written: {}", by.refusal().public)
        }
        (None, Some(FailedReason::PostImage { column: Some(column) })) => format!(
            "nothing would be written: the update changes the column `{column}` too; if the database itself changes it, \
             add \"{column}\" to the list `db_managed` of the capability"
        ),
        (None, Some(FailedReason::Constraint(violated))) => {
            format!(
                "nothing would be written: the {violated} rejects the change; propose values that it accepts"
            )
        }
        (None, _) if result.after.is_none() => "nothing would be written".to_owned(),
        (None, _) => "1 row would change; everything was rolled back".to_owned(),
    };
    DryRunEnd::Preview(DryRun {
        verdict: result.verdict,
        message,
        after: result.after,
    })
}
