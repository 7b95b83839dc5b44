//! Access matrix of identities and services, and gRPC calls to the real servers with real certificates.

use prost::Message;
use prost_types::FileDescriptorSet;
use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::identity::Role;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::stack::INSTANCE;

/// Allowed services of every identity.
pub const ALLOWED: &[(Role, &str)] = &[
    (Role::Gateway, "synapsor.executor.v1.AgentService"),
    (Role::Gateway, "synapsor.ledger.v1.AgentRecordService"),
    (Role::Operator, "synapsor.executor.v1.SchemaService"),
    (Role::Operator, "synapsor.executor.v1.WriterService"),
    (Role::Reader, "synapsor.ledger.v1.IntakeService"),
    (Role::Operator, "synapsor.ledger.v1.ReviewService"),
    (Role::Writer, "synapsor.ledger.v1.WritebackService"),
    (Role::Operator, "synapsor.ledger.v1.EventService"),
    (Role::Operator, "synapsor.ledger.v1.WebhookService"),
    (Role::Operator, "synapsor.ledger.v1.MaintenanceService"),
    (Role::Reader, "synapsor.ledger.v1.TransparencyService"),
    (Role::Writer, "synapsor.ledger.v1.TransparencyService"),
    (Role::Operator, "synapsor.ledger.v1.TransparencyService"),
];

/// One RPC of the protos.
#[derive(Debug, Clone)]
pub struct Rpc {
    /// `package.Service`
    pub service: String,
    pub name: String,
}

impl Rpc {
    /// `/package.Service/Method`
    pub fn path(&self) -> String {
        format!("/{}/{}", self.service, self.name)
    }
}

/// Lists every RPC of the built descriptors.
pub fn all_rpcs() -> Vec<Rpc> {
    let set = FileDescriptorSet::decode(synapsor_proto::FILE_DESCRIPTOR_SET).expect("the built descriptors");
    let mut rpcs = Vec::new();
    for file in &set.file {
        for service in &file.service {
            let name = format!("{}.{}", file.package(), service.name());
            rpcs.extend(service.method.iter().map(|m| Rpc {
                service: name.clone(),
                name: m.name().to_owned(),
            }));
        }
    }
    rpcs
}

/// Returns the role that serves a service.
pub fn served_by(service: &str) -> Role {
    match service {
        "synapsor.executor.v1.AgentService" | "synapsor.executor.v1.SchemaService" => Role::Reader,
        "synapsor.executor.v1.WriterService" => Role::Writer,
        _ => Role::Ledger,
    }
}

/// Checks whether an identity may call a service of a role's process.
pub fn is_allowed(caller: Role, service: &str, at: Role) -> bool {
    ALLOWED.contains(&(caller, service)) && served_by(service) == at
}

/// Instance name in the certificate of this role, if it has one.
pub fn instance_of(role: Role) -> Option<&'static str> {
    match role {
        Role::Ledger => None,
        Role::Gateway | Role::Reader => Some(INSTANCE),
        Role::Writer => Some("writer-2"),
        Role::Operator => Some("alice"),
    }
}

/// Calls a method with an empty message and returns the status.
///
/// # Errors
/// The status of the server, or a failed connection.
pub async fn call(channel: &Channel, path: &str) -> Result<(), Status> {
    call_with(channel, path, ()).await
}

/// Calls a method with any message; the response is not decoded.
///
/// # Errors
/// As [`call`].
pub async fn call_with<M: Message + 'static>(
    channel: &Channel,
    path: &str,
    message: M,
) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready()
        .await
        .map_err(|e| Status::unavailable(e.to_string()))?;
    let path = path.parse().expect("a path");
    let codec: ProstCodec<M, ()> = ProstCodec::default();
    let answer = grpc.server_streaming(Request::new(message), path, codec).await?;
    drop(answer);
    Ok(())
}

/// Checks whether the server accepted the caller and read the message.
pub fn is_let_in(answer: &Result<(), Status>) -> bool {
    !matches!(
        answer.as_ref().map_err(Status::code),
        Err(Code::PermissionDenied | Code::Unauthenticated | Code::Unavailable)
    )
}
