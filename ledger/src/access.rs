//! Which roles may call which of the ledger's services. A service that is not here does not exist for anybody.

use synapsor_chassis::grpc_server::AccessTable;
use synapsor_chassis::identity::Role;
use synapsor_proto::ledger::v1::{
    agent_record_service_server, event_service_server, intake_service_server, review_service_server,
    transparency_service_server, writeback_service_server,
};

/// Every service of the ledger with its callers.
pub const SERVICES: [(&str, &[Role]); 6] = [
    (intake_service_server::SERVICE_NAME, &[Role::Reader]),
    (agent_record_service_server::SERVICE_NAME, &[Role::Gateway]),
    (review_service_server::SERVICE_NAME, &[Role::Operator]),
    (writeback_service_server::SERVICE_NAME, &[Role::Writer]),
    (event_service_server::SERVICE_NAME, &[Role::Operator]),
    (
        transparency_service_server::SERVICE_NAME,
        &[Role::Reader, Role::Writer, Role::Operator],
    ),
];

/// Calls whose answer is a stream that may last, or that look at the whole store.
pub const STREAMING_METHODS: [&str; 4] = [
    "/synapsor.ledger.v1.AgentRecordService/Watch",
    "/synapsor.ledger.v1.WritebackService/LeaseJobs",
    "/synapsor.ledger.v1.EventService/Tail",
    "/synapsor.ledger.v1.TransparencyService/VerifyStore",
];

/// The table for one deployment.
pub fn access_table(deployment: &str) -> AccessTable {
    SERVICES
        .iter()
        .fold(AccessTable::new(deployment), |table, (service, roles)| {
            table.allow(service, roles)
        })
}
