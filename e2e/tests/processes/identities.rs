//! Access matrix: every identity against every existing RPC, with real certificates.

use std::collections::BTreeSet;

use synapsor_chassis::identity::Role;
use synapsor_e2e::access::{ALLOWED, all_rpcs, call, instance_of, is_allowed, is_let_in};
use synapsor_e2e::binaries::Build;
use synapsor_e2e::deployment::Deployment;
use synapsor_e2e::stack::{INSTANCE, Stack, channel};

#[tokio::test(flavor = "multi_thread")]
async fn identity_reaches_exactly_its_services() -> anyhow::Result<()> {
    let stack = Stack::start(Deployment::new(Build::Plain)?)?;
    let writer = stack.writer.as_ref().expect("a writer");
    let addresses = [
        (Role::Reader, &stack.reader.address),
        (Role::Writer, &writer.address),
        (Role::Ledger, &stack.ledger.address),
    ];
    let rpcs = all_rpcs();
    let services: BTreeSet<_> = rpcs.iter().map(|rpc| rpc.service.as_str()).collect();
    for (_, service) in ALLOWED {
        assert!(
            services.contains(service),
            "{service} is in the table and not in the protos"
        );
    }
    let mut wrong = Vec::new();
    for role in Role::ALL {
        for (served, address) in addresses {
            let channel = channel(&stack.deployment, role, instance_of(role), served, address)?;
            for rpc in &rpcs {
                let should = is_allowed(role, &rpc.service, served);
                let answer = call(&channel, &rpc.path()).await;
                if is_let_in(&answer) != should {
                    wrong.push(format!(
                        "{role} on {served}: {}: {answer:?}, expected {should}",
                        rpc.path()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn reader_rejects_gateway_of_another_instance() -> anyhow::Result<()> {
    let stack = Stack::without_writer(Deployment::new(Build::Plain)?)?;
    let path = "/synapsor.executor.v1.AgentService/GetCatalog";
    let mine = call(&stack.reader_as(Role::Gateway, Some(INSTANCE))?, path).await;
    assert!(is_let_in(&mine), "{mine:?}");
    let other = call(&stack.reader_as(Role::Gateway, Some("client-2"))?, path).await;
    assert!(!is_let_in(&other), "{other:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_certificate_of_another_deployment() -> anyhow::Result<()> {
    let stack = Stack::without_writer(Deployment::new(Build::Plain)?)?;
    let other = Deployment::new(Build::Plain)?;
    let foreign = channel(
        &other,
        Role::Operator,
        Some("alice"),
        Role::Ledger,
        &stack.ledger.address,
    )?;
    let answer = call(&foreign, "/synapsor.ledger.v1.ReviewService/ListProposals").await;
    assert!(answer.is_err(), "certificate of a foreign authority was accepted");
    Ok(())
}

#[test]
fn writer_has_no_rpc_that_applies() {
    let rpcs: Vec<_> = all_rpcs()
        .into_iter()
        .filter(|rpc| rpc.service.ends_with("WriterService"))
        .collect();
    let names: BTreeSet<_> = rpcs.iter().map(|rpc| rpc.name.as_str()).collect();
    // A preflight rolls its statements back, as a dry run does; a report or an audit of receipts only reads them.
    assert_eq!(
        names,
        BTreeSet::from([
            "AuditReceipts",
            "DryRun",
            "GetStatus",
            "PreflightWrite",
            "Reject",
            "ReportReceipts",
            "SetFrozen"
        ])
    );
}
