//! gRPC services: each method converts the request, runs one step, and converts the result.

mod agent_record_service;
mod event_service;
mod intake_service;
mod maintenance_service;
mod page;
mod review_service;
mod transparency_service;
mod webhook_service;
mod writeback_service;

use std::sync::Arc;

use synapsor_chassis::grpc_channel;
use synapsor_chassis::grpc_server::{ConnectionCount, MESSAGE_BYTES_MAX};
use synapsor_chassis::trace_context::TraceParent;
use synapsor_domain::error::PublicError;
use synapsor_domain::signing::DsseEnvelope;
use synapsor_proto::common::v1;
use synapsor_proto::convert::required;
use synapsor_proto::ledger::v1::agent_record_service_server::AgentRecordServiceServer;
use synapsor_proto::ledger::v1::event_service_server::EventServiceServer;
use synapsor_proto::ledger::v1::intake_service_server::IntakeServiceServer;
use synapsor_proto::ledger::v1::maintenance_service_server::MaintenanceServiceServer;
use synapsor_proto::ledger::v1::review_service_server::ReviewServiceServer;
use synapsor_proto::ledger::v1::transparency_service_server::TransparencyServiceServer;
use synapsor_proto::ledger::v1::webhook_service_server::WebhookServiceServer;
use synapsor_proto::ledger::v1::writeback_service_server::WritebackServiceServer;
use synapsor_proto::status::to_status;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Request, Status};

use crate::{Ledger, RequestContext};

/// State that every service holds.
#[derive(Debug, Clone)]
pub(crate) struct LedgerServices {
    ledger: Ledger,
    /// Ends the streams, and a ledger on demand, when it is canceled.
    stop: CancellationToken,
    /// Open connections of a ledger that ends without any.
    on_demand: Option<ConnectionCount>,
    /// One permit: the turn of a backup.
    backup: Arc<Semaphore>,
}

/// Returns all services of the ledger, to be served behind [`crate::access_table`]. `on_demand` are the connections of
/// a ledger that ends without any.
pub fn routes(ledger: &Ledger, stop: &CancellationToken, on_demand: Option<ConnectionCount>) -> Routes {
    let max = MESSAGE_BYTES_MAX;
    let backup = Arc::new(Semaphore::new(1));
    let service = || LedgerServices {
        ledger: ledger.clone(),
        stop: stop.clone(),
        on_demand: on_demand.clone(),
        backup: backup.clone(),
    };
    let intake = IntakeServiceServer::new(service());
    let agent_record = AgentRecordServiceServer::new(service());
    let review = ReviewServiceServer::new(service());
    let writeback = WritebackServiceServer::new(service());
    let event = EventServiceServer::new(service());
    let transparency = TransparencyServiceServer::new(service());
    let maintenance = MaintenanceServiceServer::new(service());
    let webhook = WebhookServiceServer::new(service());
    Routes::new(
        intake
            .max_decoding_message_size(max)
            .max_encoding_message_size(max),
    )
    .add_service(
        agent_record
            .max_decoding_message_size(max)
            .max_encoding_message_size(max),
    )
    .add_service(
        review
            .max_decoding_message_size(max)
            .max_encoding_message_size(max),
    )
    .add_service(
        writeback
            .max_decoding_message_size(max)
            .max_encoding_message_size(max),
    )
    .add_service(
        event
            .max_decoding_message_size(max)
            .max_encoding_message_size(max),
    )
    .add_service(
        transparency
            .max_decoding_message_size(max)
            .max_encoding_message_size(max),
    )
    .add_service(
        maintenance
            .max_decoding_message_size(max)
            .max_encoding_message_size(max),
    )
    .add_service(
        webhook
            .max_decoding_message_size(max)
            .max_encoding_message_size(max),
    )
}

/// Returns the peer of a request. The access table rejects a connection without an identity.
fn caller<T>(request: &Request<T>) -> Result<RequestContext, Status> {
    let identity =
        grpc_channel::caller(request).ok_or_else(|| Status::unauthenticated("no client certificate"))?;
    let trace_id = TraceParent::extract(request.metadata()).map(|trace| trace.trace_id().to_string());
    Ok(RequestContext {
        identity: identity.uri(),
        trace_id,
        known: 0,
    })
}

fn envelope(field: &'static str, signed: Option<v1::DsseEnvelope>) -> Result<DsseEnvelope, Status> {
    required(field, signed)
        .and_then(DsseEnvelope::try_from)
        .map_err(|e| to_status(&e))
}

fn refuse(refusal: PublicError) -> Status {
    to_status(&refusal)
}

/// Decodes an empty protobuf string as an absent value.
fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
