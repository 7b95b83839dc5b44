//! Roles that may call each service of the ledger. A service that is not listed here is denied to every role.

use synapsor_chassis::grpc_server::AccessTable;
use synapsor_chassis::identity::Role;
use synapsor_proto::ledger::v1::{
    agent_record_service_server, event_service_server, intake_service_server, maintenance_service_server,
    review_service_server, transparency_service_server, webhook_service_server, writeback_service_server,
};

/// Every service of the ledger with the roles that may call it.
pub const SERVICES: [(&str, &[Role]); 8] = [
    (intake_service_server::SERVICE_NAME, &[Role::Reader]),
    (agent_record_service_server::SERVICE_NAME, &[Role::Gateway]),
    (review_service_server::SERVICE_NAME, &[Role::Operator]),
    (writeback_service_server::SERVICE_NAME, &[Role::Writer]),
    (event_service_server::SERVICE_NAME, &[Role::Operator]),
    (maintenance_service_server::SERVICE_NAME, &[Role::Operator]),
    (webhook_service_server::SERVICE_NAME, &[Role::Operator]),
    (
        transparency_service_server::SERVICE_NAME,
        &[Role::Reader, Role::Writer, Role::Operator],
    ),
];

/// Methods that stream their response or read the whole store.
pub const STREAMING_METHODS: [(&str, &str); 9] = [
    (agent_record_service_server::SERVICE_NAME, "Watch"),
    (writeback_service_server::SERVICE_NAME, "LeaseJobs"),
    (event_service_server::SERVICE_NAME, "Tail"),
    (transparency_service_server::SERVICE_NAME, "VerifyStore"),
    (maintenance_service_server::SERVICE_NAME, "GetStoreStats"),
    (maintenance_service_server::SERVICE_NAME, "VacuumStore"),
    (maintenance_service_server::SERVICE_NAME, "BackUpStore"),
    (maintenance_service_server::SERVICE_NAME, "CountErasable"),
    (maintenance_service_server::SERVICE_NAME, "EraseRecords"),
];

/// Returns the access table of one deployment.
pub fn access_table(deployment: &str) -> AccessTable {
    SERVICES
        .iter()
        .fold(AccessTable::new(deployment), |table, (service, roles)| {
            table.allow(service, roles)
        })
}
