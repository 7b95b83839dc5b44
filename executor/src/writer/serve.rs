//! Serves the writer role: opens the write core, works on jobs of the ledger, and answers operators.

use std::collections::BTreeMap;
use std::sync::Arc;

use synapsor_chassis::clock::{Clock, SystemClock};
use synapsor_chassis::grpc_server::{AccessTable, MESSAGE_BYTES_MAX, ServerLimits};
use synapsor_chassis::identity::Role;
use synapsor_chassis::refusal_cause::{self, RefusalCause};
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::Mode;
use synapsor_proto::executor::v1::writer_service_server::{
    SERVICE_NAME as WRITER_SERVICE, WriterServiceServer,
};
use synapsor_writeback::{Database, SeenFiles, WriteCore};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::controls::WriterControls;
use super::ledger::client::WritebackClient;
use super::receipts::changed_rows::ChangedRows;
use super::receipts::history::ComparedIdentities;
use super::receipts::problems::ReceiptProblems;
use super::service::WriterRpc;
use super::{Writer, unusable_trust};
use crate::serve::{ProcessContext, report_unusable};

/// Serves until `stop` is canceled and the running attempts have ended.
pub(crate) async fn serve(base: ProcessContext, stop: CancellationToken) -> Result<(), ExitError> {
    let own = base.tls.identity();
    if base.contract.mode() != Mode::Review {
        tracing::warn!(
            mode = base.contract.mode().as_str(),
            "the contract's mode does not allow writeback"
        );
    }
    let databases = open_databases(&base)?;
    if databases.is_empty() {
        let text = "no write URL in the contract or in the environment";
        return Err(ExitError::new(ErrorCode::WriteUrlMissing, text)
            .with_fix("set the variable that `write_url_env` of a source names"));
    }
    report_unusable(
        databases
            .iter()
            .map(|(name, database)| (name.clone(), database.reading_engine())),
    );
    let (trust, core_trust) = (base.trust.clone(), base.trust.clone());
    let name = own.instance().unwrap_or_default().to_owned();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ledger = WritebackClient::new(base.ledger.clone(), base.pinned.clone(), clock.clone());
    let switches = WriterControls::open(base.settings.state_dir.clone())?;
    let changed_rows = ChangedRows::open(&base.settings.state_dir)?;
    let core = WriteCore::new(
        databases,
        Box::new(move || core_trust.read().map_err(|refusal| unusable_trust(&refusal))),
        base.key.clone(),
        name.clone(),
        (clock.clone(), Box::new(ledger.clocks(switches.clone()))),
    )
    .with_seen_files(SeenFiles::open(&base.settings.state_dir)?);
    let writer = Arc::new(Writer {
        contract: base.contract.clone(),
        trust: Box::new(move || trust.read()),
        core,
        key: base.key.clone(),
        name,
        ledger,
        switches,
        changed_rows,
        receipts: ReceiptProblems::default(),
        compared_identities: ComparedIdentities::default(),
        clock,
    });
    let access = AccessTable::new(own.deployment()).allow(WRITER_SERVICE, &[Role::Operator]);
    let service = WriterServiceServer::new(WriterRpc::new(writer.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (server, _run_file) = base.bind(access, ServerLimits::default()).await?;
    let end = stop.child_token();
    let durable = writer.switches.durable();
    let mut working = tokio::spawn(super::run(writer, end.clone()));
    let served = tokio::select! {
        served = server.serve_while(Routes::new(service), durable, end.clone()) => served.map_err(ExitError::from),
        ended = &mut working => return ended.map_err(|_| worker_ended())?,
    };
    end.cancel();
    // Running attempts are not interrupted: each ends by itself, within its own limits.
    let worked = working.await.map_err(|_| worker_ended())?;
    served.and(worked)
}

fn worker_ended() -> ExitError {
    ExitError::new(ErrorCode::WorkerEnded, "writeback ended unexpectedly")
}

/// Opens the databases of the sources that have a write URL variable in the contract and a value in the
/// environment. A source with unusable settings is opened as soon as they are corrected: its orders wait.
///
/// # Errors
/// That of the first source, if none can be opened.
fn open_databases(base: &ProcessContext) -> Result<BTreeMap<String, Database>, ExitError> {
    let mut databases = BTreeMap::new();
    let mut failed = Vec::new();
    for source in base.contract.sources() {
        match Database::of_source(source, &base.env, &base.settings.receipt_table) {
            Ok(Some(database)) => {
                databases.insert(source.name.clone(), database);
            }
            Ok(None) => {}
            Err(error) => failed.push((source, error)),
        }
    }
    if databases.is_empty() && !failed.is_empty() {
        return Err(failed.swap_remove(0).1);
    }
    for (source, error) in failed {
        refusal_cause::record(RefusalCause {
            code: error.code(),
            correlation_id: None,
            text: Some(error.message().to_owned()),
            fix: error.fix().map(str::to_owned),
        });
        let database = Database::opened_later(source, &base.env, &base.settings.receipt_table, &error);
        databases.insert(source.name.clone(), database);
    }
    Ok(databases)
}
