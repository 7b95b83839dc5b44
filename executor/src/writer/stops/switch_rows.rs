//! Synchronizes freezes and lifts with the receipt tables of the sources: the first writer that takes one writes
//! it there, and every other writer reads it.

use std::sync::Arc;
use std::time::Duration;

use synapsor_domain::approval::{LiftClock, verify_freeze, verify_lift};
use synapsor_domain::digest::Digest;
use synapsor_domain::signing::ObjectKind;
use synapsor_source::{EngineError, SwitchRow};
use synapsor_writeback::SwitchPermit;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::writer::Writer;
use crate::writer::controls::SignedSwitch;

/// Interval between checks of the sources while nothing is pending.
const IDLE: Duration = Duration::from_secs(60);
/// Interval while a freeze is in force, or a source does not hold a switch yet.
const BUSY: Duration = Duration::from_secs(2);
/// Maximum time that a confirmation waits for the sources.
const CONFIRM_WITHIN: Duration = Duration::from_secs(3);

/// Keeps memory and sources equal until stopped.
pub(crate) async fn run(writer: Arc<Writer>, stop: CancellationToken) {
    loop {
        let is_settled = sync_all(&writer).await && !writer.switches.is_frozen();
        let pause = if is_settled { IDLE } else { BUSY };
        tokio::select! {
            () = stop.cancelled() => return,
            () = writer.switches.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Runs [`sync_all`] for as long as a confirmation may wait.
pub(crate) async fn sync_now(writer: &Arc<Writer>) {
    // The confirmation lists switches not recorded by then, and they are retried.
    let _ = tokio::time::timeout(CONFIRM_WITHIN, sync_all(writer)).await;
}

/// Reads the switches that the sources hold and writes the missing ones; returns false if a source failed.
async fn sync_all(writer: &Arc<Writer>) -> bool {
    let mut sources = JoinSet::new();
    for source in writer.source_ids() {
        let writer = Arc::clone(writer);
        sources.spawn(async move {
            let done = sync(&writer, &source).await;
            if let Err(error) = &done {
                tracing::warn!(
                    source,
                    reason = error.reason(),
                    "freezes not compared with the source"
                );
            }
            done.is_ok()
        });
    }
    let mut all = true;
    while let Some(done) = sources.join_next().await {
        all &= done.unwrap_or(false);
    }
    all
}

async fn sync(writer: &Writer, source: &str) -> Result<(), EngineError> {
    let Some(database) = writer.core.database(source) else {
        return Ok(());
    };
    let Ok((trust, _)) = (writer.trust)() else {
        return Ok(());
    };
    let rows = database.reading().find_switches().await?;
    let found: Vec<SwitchRow> = rows.iter().map(|row| row.verify_switch(&trust)).collect();
    writer.switches.take_found(&found);
    for row in &found {
        match row {
            SwitchRow::Freeze(freeze) => writer.switches.recorded(source, freeze.digest()),
            SwitchRow::Lift(lift) => writer.switches.recorded(source, lift.digest()),
            SwitchRow::Void => {}
            SwitchRow::Unverified(digest) => {
                tracing::error!(
                    source,
                    digest = digest.map(|digest| digest.to_string()),
                    "receipt table holds a freeze that failed verification; nothing is written unless a lift names it"
                );
            }
        }
    }
    for switch in writer.switches.signed() {
        let (digest, permit) = match permit(&switch, &trust) {
            Some(named) => named,
            None => continue,
        };
        if !writer.switches.is_recorded(source, digest) {
            writer.core.record_switch(source, permit).await?;
            writer.switches.recorded(source, digest);
        }
    }
    Ok(())
}

/// Returns the permit to write a switch that this writer holds, under the current trust file.
fn permit(
    switch: &SignedSwitch,
    trust: &synapsor_domain::trust::TrustFile,
) -> Option<(Digest, SwitchPermit)> {
    if switch.is_lift {
        let lift = verify_lift(&switch.envelope, trust, LiftClock::Recorded).ok()?;
        return Some((
            Digest::of(ObjectKind::Unfreeze, &switch.envelope.payload),
            SwitchPermit::Lift(lift),
        ));
    }
    let freeze = verify_freeze(&switch.envelope, trust).ok()?;
    Some((freeze.digest(), SwitchPermit::Freeze(freeze)))
}
