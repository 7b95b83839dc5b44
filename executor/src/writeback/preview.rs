//! A rehearsal: the real transaction up to the receipt, always rolled back. Needs no approval and changes
//! nothing anywhere.

use std::collections::BTreeMap;
use std::time::Duration;

use synapsor_domain::proposal::Attested;
use synapsor_domain::refusal::Refusal;
use synapsor_domain::signing::Envelope;
use synapsor_domain::value::ColumnValue;
use synapsor_domain::writeback::rehearsal;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::Writer;
use super::attempt::{Own, with_facts};
use super::switches::DryRunControls;
use synapsor_writeback::DryRunPermit;

/// What a rehearsal came to.
#[derive(Debug, Clone)]
pub struct Preview {
    /// `would_apply`, or what would have happened instead.
    pub result: String,
    pub message: String,
    /// The row as it would be.
    pub after: Option<Vec<ColumnValue>>,
}

/// Dry runs of one source at one time. With the slots of attempts they leave connections for rejections.
const DRY_RUNS_PER_SOURCE: usize = 3;
/// How long a dry run waits for those before it.
const WAIT: Duration = Duration::from_secs(5);

/// The dry runs that each source may have at one time.
#[derive(Debug)]
pub struct DryRuns(BTreeMap<String, Semaphore>);

impl DryRuns {
    pub fn of(writer: &Writer) -> Self {
        let permits = |source| (source, Semaphore::new(DRY_RUNS_PER_SOURCE));
        Self(writer.source_ids().into_iter().map(permits).collect())
    }

    async fn permit(&self, source: &str) -> Result<Option<SemaphorePermit<'_>>, Refusal> {
        let Some(permits) = self.0.get(source) else {
            return Ok(None);
        };
        match tokio::time::timeout(WAIT, permits.acquire()).await {
            Ok(permit) => Ok(permit.ok()),
            Err(_) => Err(Refusal::new(
                "DATABASE_UNAVAILABLE",
                "other dry runs of this source are still running; try again",
            )),
        }
    }
}

/// Rehearses a proposal as the reader signed it.
pub async fn preview(writer: &Writer, dry_runs: &DryRuns, proposal: Envelope) -> Result<Preview, Refusal> {
    let (trust, trust_digest) = (writer.trust)()?;
    let attested = Attested::verify(proposal, &trust)?;
    if writer.switches.is_frozen() {
        return Ok(Preview {
            result: "refused:frozen".to_owned(),
            message: "writeback is frozen: no UPDATE is sent, not even one that is rolled back".to_owned(),
            after: None,
        });
    }
    let engine = writer.engine(&attested.proposal().source.id)?;
    let _permit = dry_runs.permit(&attested.proposal().source.id).await?;
    let target = &attested.proposal().target;
    let database = |e: synapsor_source::EngineError| {
        Refusal::new(
            "DATABASE_UNAVAILABLE",
            format!("the writer's database cannot be used: {}", e.reason()),
        )
    };
    let shape = engine
        .shape(&target.schema, &target.table)
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
        rehearsal(attested.clone(), facts)
    });
    let planned = match planned {
        Ok(planned) => planned,
        Err(refusal) => {
            return Ok(Preview {
                result: refusal.code.to_string(),
                message: refusal.public,
                after: None,
            });
        }
    };
    let controls = DryRunControls::new(&writer.switches);
    let rehearsed = writer.core.dry_run(DryRunPermit::new(planned), &controls).await;
    let message = if rehearsed.after.is_some() {
        "1 row would change; everything was rolled back".to_owned()
    } else {
        "nothing would be written".to_owned()
    };
    Ok(Preview {
        result: rehearsed.result,
        message,
        after: rehearsed.after,
    })
}
