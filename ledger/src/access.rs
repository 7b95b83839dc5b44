//! Which roles may call which of the ledger's services. A service that is not here does not exist for anybody.

use synapsor_chassis::grpc_server::AccessTable;
use synapsor_chassis::identity::Role;

/// Every service of the ledger with its callers.
pub const SERVICES: [(&str, &[Role]); 6] = [
    ("synapsor.ledger.v1.IntakeService", &[Role::Reader]),
    ("synapsor.ledger.v1.AgentRecordService", &[Role::Gateway]),
    ("synapsor.ledger.v1.ReviewService", &[Role::Operator]),
    ("synapsor.ledger.v1.WritebackService", &[Role::Writer]),
    ("synapsor.ledger.v1.EventService", &[Role::Operator]),
    (
        "synapsor.ledger.v1.TransparencyService",
        &[Role::Reader, Role::Writer, Role::Operator],
    ),
];

/// Calls whose answer is a stream that may last, or that look at the whole store.
pub const STREAMING_METHODS: [&str; 4] = [
    "/synapsor.ledger.v1.AgentRecordService/Watch",
    "/synapsor.ledger.v1.WritebackService/Lease",
    "/synapsor.ledger.v1.EventService/Tail",
    "/synapsor.ledger.v1.TransparencyService/Verify",
];

/// The table for one deployment.
pub fn access_table(deployment: &str) -> AccessTable {
    SERVICES
        .iter()
        .fold(AccessTable::new(deployment), |table, (service, roles)| {
            table.allow(service, roles)
        })
}
