//! Who may call what, as the design has it, and how to ask the real servers with real certificates.

use prost::Message;
use prost_types::FileDescriptorSet;
use synapsor_chassis::identity::Role;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::stack::INSTANCE;

/// The whole table: every identity and the services that it opens.
pub const ALLOWED: &[(Role, &str)] = &[
    (Role::Gateway, "synapsor.executor.v1.AgentService"),
    (Role::Gateway, "synapsor.ledger.v1.AgentRecordService"),
    (Role::Operator, "synapsor.executor.v1.SchemaService"),
    (Role::Operator, "synapsor.executor.v1.WriterService"),
    (Role::Reader, "synapsor.ledger.v1.IntakeService"),
    (Role::Operator, "synapsor.ledger.v1.ReviewService"),
    (Role::Writer, "synapsor.ledger.v1.WritebackService"),
    (Role::Operator, "synapsor.ledger.v1.EventService"),
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

/// Every RPC that the built descriptors have.
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

/// Which process serves a service.
pub fn served_by(service: &str) -> Role {
    match service {
        "synapsor.executor.v1.AgentService" | "synapsor.executor.v1.SchemaService" => Role::Reader,
        "synapsor.executor.v1.WriterService" => Role::Writer,
        _ => Role::Ledger,
    }
}

/// Whether an identity may call a service at the process of a role.
pub fn is_allowed(caller: Role, service: &str, at: Role) -> bool {
    ALLOWED.contains(&(caller, service)) && served_by(service) == at
}

/// An instance that a certificate of this role names.
pub fn instance_of(role: Role) -> Option<&'static str> {
    match role {
        Role::Ledger => None,
        Role::Gateway | Role::Reader => Some(INSTANCE),
        Role::Writer => Some("writer-2"),
        Role::Operator => Some("alice"),
    }
}

/// Calls a method with an empty message and says how far it got.
///
/// # Errors
/// What the server answers, or that it does not.
pub async fn call(channel: &Channel, path: &str) -> Result<(), Status> {
    call_with(channel, path, ()).await
}

/// The same with a message, whatever the method expects; answers are not read.
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

/// Whether the server went on to look at the message.
pub fn is_let_in(answer: &Result<(), Status>) -> bool {
    !matches!(
        answer.as_ref().map_err(Status::code),
        Err(Code::PermissionDenied | Code::Unauthenticated | Code::Unavailable)
    )
}
