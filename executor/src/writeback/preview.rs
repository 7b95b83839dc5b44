//! A rehearsal: the real transaction up to the receipt, always rolled back. Needs no approval and changes
//! nothing anywhere.

use synapsor_domain::proposal::Attested;
use synapsor_domain::refusal::Refusal;
use synapsor_domain::signing::Envelope;
use synapsor_domain::value::ColumnValue;
use synapsor_domain::writeback::rehearsal;

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

/// Rehearses a proposal as the reader signed it.
pub async fn preview(writer: &Writer, proposal: Envelope) -> Result<Preview, Refusal> {
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
