//! Who may call what: every identity against every RPC that exists, by real certificates.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::FileDescriptorSet;
use synapsor_chassis::identity::Role;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::deployment::Deployment;
use synapsor_e2e::stack::{INSTANCE, Stack, channel};
use tonic_prost::ProstCodec;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// Every RPC of the protos as `/package.Service/Method`.
fn all_methods() -> Vec<(String, String)> {
    let set = FileDescriptorSet::decode(synapsor_proto::FILE_DESCRIPTOR_SET).expect("the built descriptors");
    let mut methods = Vec::new();
    for file in &set.file {
        for service in &file.service {
            let name = format!("{}.{}", file.package(), service.name());
            methods.extend(service.method.iter().map(|m| (name.clone(), format!("/{name}/{}", m.name()))));
        }
    }
    methods
}

/// Calls a method with an empty message and says how far it got.
async fn call(channel: &Channel, path: &str) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.map_err(|e| Status::unavailable(e.to_string()))?;
    let path = path.parse().expect("a path");
    let codec: ProstCodec<(), ()> = ProstCodec::default();
    let answer = grpc.server_streaming(Request::new(()), path, codec).await?;
    drop(answer);
    Ok(())
}

fn is_let_in(answer: &Result<(), Status>) -> bool {
    !matches!(answer.as_ref().map_err(Status::code), Err(Code::PermissionDenied | Code::Unauthenticated))
}

/// The whole table, as the design has it.
const ALLOWED: &[(Role, &str)] = &[
    (Role::Gateway, "synapsor.executor.v1.AgentService"),
    (Role::Operator, "synapsor.executor.v1.WriterService"),
    (Role::Reader, "synapsor.ledger.v1.IntakeService"),
    (Role::Operator, "synapsor.ledger.v1.ReviewService"),
    (Role::Writer, "synapsor.ledger.v1.WritebackService"),
    (Role::Operator, "synapsor.ledger.v1.EventService"),
    (Role::Reader, "synapsor.ledger.v1.TransparencyService"),
    (Role::Writer, "synapsor.ledger.v1.TransparencyService"),
    (Role::Operator, "synapsor.ledger.v1.TransparencyService"),
];

fn served_by(service: &str) -> Role {
    match service {
        "synapsor.executor.v1.AgentService" => Role::Reader,
        "synapsor.executor.v1.WriterService" => Role::Writer,
        _ => Role::Ledger,
    }
}

fn instance_of(role: Role) -> Option<&'static str> {
    match role {
        Role::Ledger => None,
        Role::Gateway | Role::Reader => Some(INSTANCE),
        Role::Writer => Some("writer-2"),
        Role::Operator => Some("alice"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_identity_reaches_exactly_its_services() -> anyhow::Result<()> {
    let stack = Stack::start(Deployment::new(Build::Plain)?)?;
    let writer = stack.writer.as_ref().expect("a writer");
    let addresses =
        [(Role::Reader, &stack.reader.address), (Role::Writer, &writer.address), (Role::Ledger, &stack.ledger.address)];
    let methods = all_methods();
    let services: BTreeSet<_> = methods.iter().map(|(s, _)| s.as_str()).collect();
    for (_, service) in ALLOWED {
        assert!(services.contains(service), "{service} is in the table and not in the protos");
    }
    let mut wrong = Vec::new();
    for role in Role::ALL {
        for (served, address) in addresses {
            let channel = channel(&stack.deployment, role, instance_of(role), served, address)?;
            for (service, method) in &methods {
                let should = ALLOWED.contains(&(role, service.as_str())) && served_by(service) == served;
                let answer = call(&channel, method).await;
                if is_let_in(&answer) != should {
                    wrong.push(format!("{role} on {served}: {method}: {answer:?}, expected {should}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_client_s_gateway_cannot_use_my_reader() -> anyhow::Result<()> {
    let stack = Stack::without_writer(Deployment::new(Build::Plain)?)?;
    let path = "/synapsor.executor.v1.AgentService/GetCatalog";
    let mine = call(&stack.reader_as(Role::Gateway, Some(INSTANCE))?, path).await;
    assert!(is_let_in(&mine), "{mine:?}");
    let other = call(&stack.reader_as(Role::Gateway, Some("client-2"))?, path).await;
    assert!(!is_let_in(&other), "{other:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_deployment_opens_nothing() -> anyhow::Result<()> {
    let stack = Stack::without_writer(Deployment::new(Build::Plain)?)?;
    let other = Deployment::new(Build::Plain)?;
    let foreign = channel(&other, Role::Operator, Some("alice"), Role::Ledger, &stack.ledger.address)?;
    let answer = call(&foreign, "/synapsor.ledger.v1.ReviewService/ListProposals").await;
    assert!(answer.is_err(), "a foreign authority was believed");
    Ok(())
}

#[test]
fn no_rpc_of_the_writer_applies_anything() {
    let methods: Vec<_> = all_methods().into_iter().filter(|(s, _)| s.ends_with("WriterService")).collect();
    let names: BTreeSet<_> = methods.iter().filter_map(|(_, m)| m.rsplit('/').next()).collect();
    assert_eq!(names, BTreeSet::from(["Deny", "Freeze", "GetStatus", "Preview"]));
}
