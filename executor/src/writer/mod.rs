//! The writer: pulls ordered proposals from the ledger, authorizes them by its own files, writes once, and
//! reports.
//!
//! `attempt` defines the order of the steps; the crate `synapsor-writeback` runs the transaction, and only
//! `domain/src/writeback/authorize.rs` creates a `WriteAuthorization`.

pub(crate) mod attempt;
pub(crate) mod controls;
mod leased_sources;
pub(crate) mod ledger;
pub(crate) mod receipts;
mod retry;
pub(crate) mod serve;
mod service;
pub(crate) mod stops;
mod worker;

use std::fmt;
use std::sync::Arc;

use synapsor_chassis::background::Background;
use synapsor_chassis::clock::Clock;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::Contract;
use synapsor_domain::error::PublicError;
use synapsor_domain::signing::SigningKey;
use synapsor_domain::timestamp::Timestamp;
use tokio_util::sync::CancellationToken;

use self::controls::WriterControls;
use self::ledger::client::WritebackClient;
use self::receipts::changed_rows::ChangedRows;
use self::receipts::history::ComparedIdentities;
use self::receipts::problems::ReceiptProblems;
use self::receipts::reconcile;
use self::stops::{reject, switch_rows};
use synapsor_source::Engine;
use synapsor_writeback::{Database, ReadTrust, WriteCore};

/// State of a writer, all from its own files and environment, never from the network.
pub(crate) struct Writer {
    pub(crate) contract: Arc<Contract>,
    pub(crate) trust: Box<ReadTrust>,
    /// The only path to write to a source; holds only sources whose write URL this process has.
    pub(crate) core: WriteCore,
    pub(crate) key: Arc<SigningKey>,
    /// Name in the writer's certificate.
    pub(crate) name: String,
    pub(crate) ledger: WritebackClient,
    pub(crate) switches: WriterControls,
    /// Receipts whose COMMIT left another row.
    pub(crate) changed_rows: ChangedRows,
    /// Problems with the receipts of the sources.
    pub(crate) receipts: ReceiptProblems,
    /// Identities under which the sources held the newest receipts.
    pub(crate) compared_identities: ComparedIdentities,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Converts a trust file error into the result of an attempt: the file is being edited, or its owner must
/// correct it; the attempt can be repeated.
pub(crate) fn unusable_trust(refusal: &PublicError) -> PublicError {
    PublicError::new(
        ErrorCode::RetryableTrustFile,
        format!("{}: {}", refusal.code, refusal.public),
    )
}

impl Writer {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.clock.now_ms())
    }

    /// Returns the database of a source, for reading.
    pub(crate) fn engine(&self, source: &str) -> Result<&dyn Engine, PublicError> {
        self.core.database(source).map(Database::reading).ok_or_else(|| {
            PublicError::new(
                ErrorCode::RefusedSource,
                format!("this writer has no write access to the source `{source}`"),
            )
        })
    }

    fn source_ids(&self) -> Vec<String> {
        self.core
            .databases()
            .map(|(source, _)| source.to_owned())
            .collect()
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("name", &self.name)
            .field("sources", &self.source_ids())
            .finish_non_exhaustive()
    }
}

/// Works until stopped, then waits for running attempts to end.
pub(crate) async fn run(writer: Arc<Writer>, stop: CancellationToken) -> Result<(), ExitError> {
    let mut background = Background::default();
    background.spawn("reconciler", reconcile::run(Arc::clone(&writer), stop.clone()));
    background.spawn("rejecter", reject::run(Arc::clone(&writer), stop.clone()));
    background.spawn(
        "freeze recorder",
        switch_rows::run(Arc::clone(&writer), stop.clone()),
    );
    let (switches, saving) = (writer.switches.clone(), stop.clone());
    background.spawn("switch store", async move { switches.keep_saving(saving).await });
    let mut working = std::pin::pin!(worker::run(writer, stop.clone()));
    let failure = tokio::select! {
        () = &mut working => None,
        failure = background.failed(&stop) => Some(failure),
    };
    let Some(failure) = failure else {
        return background.join(&stop).await;
    };
    // No new attempt starts; running attempts end by themselves.
    stop.cancel();
    working.await;
    Err(failure)
}
