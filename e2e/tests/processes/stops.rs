//! Actions that stop a writer: freezes, rejections, two concurrent writers. A dry run never changes anything.

use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::identity::Role;
use synapsor_chassis::random;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{DecisionKind, SignerInfo, Unfreeze};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Span;
use synapsor_domain::trust::APPLIER;
use synapsor_domain::writeback::AttemptResult;
use synapsor_e2e::agent::Agent;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::deployment::{Deployment, Person};
use synapsor_e2e::operator::{OperatorClient, Subject, decision, order, seal_decision, seal_order};
use synapsor_e2e::stack::{self, Stack, WRITER};
use synapsor_proto::executor::v1 as wire;
use synapsor_proto::executor::v1::writer_service_client::WriterServiceClient;
use synapsor_proto::executor::v1::{DryRunVerdict, RejectEffect};
use synapsor_proto::status::from_status;

const INVOICE: &str = "INV-3001";

struct Scene {
    stack: Stack,
    desk: OperatorClient,
    subject: Subject,
    writer: WriterServiceClient<Channel>,
}

impl Scene {
    async fn set() -> anyhow::Result<Self> {
        let stack = Stack::start(Deployment::new(Build::Plain)?)?;
        let id = Agent::over_stdio(&stack)
            .await?
            .propose(INVOICE, "goodwill")
            .await?;
        let mut desk = OperatorClient::open(&stack, "alice")?;
        let subject = desk.subject(&stack.deployment, &id).await?;
        let writer = WriterServiceClient::new(stack.writer_as(Role::Operator, Some("alice"))?);
        Ok(Self {
            stack,
            desk,
            subject,
            writer,
        })
    }

    fn alice(&self) -> &Person {
        self.stack.deployment.person("alice")
    }

    fn deny(&self) -> DsseEnvelope {
        seal_decision(
            self.alice(),
            &decision(
                &self.stack.deployment,
                self.alice(),
                &self.subject,
                DecisionKind::Reject,
            ),
        )
    }

    /// Approves and orders; returns the order.
    async fn order(&mut self) -> anyhow::Result<DsseEnvelope> {
        let deployment = &self.stack.deployment;
        let alice = deployment.person("alice");
        let approval = seal_decision(
            alice,
            &decision(deployment, alice, &self.subject, DecisionKind::Approve),
        );
        self.desk.decide(&approval).await?;
        let order = seal_order(alice, &order(deployment, alice, &self.subject, &[&approval]));
        self.desk.request_apply(&order).await?;
        Ok(order)
    }

    async fn denied(&mut self) -> Result<RejectEffect, synapsor_domain::error::PublicError> {
        let request = wire::RejectRequest {
            proposal: Some((&self.subject.envelope).into()),
            decision: Some((&self.deny()).into()),
        };
        let answer = self
            .writer
            .reject(request)
            .await
            .map_err(|s| from_status(&s))?
            .into_inner();
        Ok(answer.effect())
    }

    async fn freeze(&mut self, frozen: bool, unfreeze: Option<DsseEnvelope>) -> Result<bool, String> {
        let request = wire::SetFrozenRequest {
            frozen,
            unfreeze: unfreeze.map(Into::into),
            freeze: None,
        };
        let answer = self
            .writer
            .set_frozen(request)
            .await
            .map_err(|s| from_status(&s).code.to_string())?;
        Ok(answer.into_inner().frozen)
    }

    fn unfreeze_by(&self, person: &str, writer: &str) -> DsseEnvelope {
        let person = self.stack.deployment.person(person);
        let unfreeze = Unfreeze {
            v: 1,
            deployment_id: self.stack.deployment.id.clone(),
            environment: self.stack.deployment.environment,
            writer: writer.to_owned(),
            approver: SignerInfo {
                key_id: person.key.key_id(),
                person: person.name.clone(),
                role: APPLIER.to_owned(),
            },
            issued_at: synapsor_e2e::now(),
            expires_at: synapsor_e2e::now() + Span::minutes(5),
            nonce: random::hex_id(32),
            freeze_digest: None,
        };
        DsseEnvelope::sign(ObjectKind::Unfreeze, &unfreeze, &person.key).expect("canonical")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_writer_writes_nothing_until_the_lift() -> anyhow::Result<()> {
    let mut scene = Scene::set().await?;
    assert_eq!(scene.freeze(true, None).await, Ok(true));
    // The freeze survives the process.
    scene.stack.start_writer(&[])?;
    scene.writer = WriterServiceClient::new(scene.stack.writer_as(Role::Operator, Some("alice"))?);
    let order = scene.order().await?;
    let id = scene.subject.proposal.id.to_string();
    let report = scene.desk.attempt(&scene.stack, &id, &order).await?;
    assert_eq!(report.result, AttemptResult::of_code(ErrorCode::RefusedFrozen));
    assert_eq!(scene.stack.deployment.receipts()?, []);

    assert_eq!(scene.freeze(false, None).await, Err("MALFORMED".to_owned()));
    let by_bob = scene.unfreeze_by("bob", WRITER);
    assert_eq!(
        scene.freeze(false, Some(by_bob)).await,
        Err("refused:role".to_owned())
    );
    let for_another = scene.unfreeze_by("alice", "writer-9");
    assert_eq!(
        scene.freeze(false, Some(for_another)).await,
        Err("refused:audience".to_owned())
    );
    let signed = scene.unfreeze_by("alice", WRITER);
    assert_eq!(scene.freeze(false, Some(signed)).await, Ok(false));
    scene.order().await?;
    assert_eq!(scene.desk.outcome(&scene.stack, &id).await?, "applied");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejection_at_the_writer_ends_an_approved_proposal() -> anyhow::Result<()> {
    let mut scene = Scene::set().await?;
    let before = scene.stack.deployment.invoice(INVOICE)?;
    assert_eq!(scene.denied().await?, RejectEffect::Tombstoned);
    let id = scene.subject.proposal.id.to_string();
    assert_eq!(
        scene.stack.deployment.receipts()?,
        [(id.clone(), "tombstoned:denied".to_owned())]
    );
    assert_eq!(scene.desk.outcome(&scene.stack, &id).await?, "canceled");
    assert!(
        scene.order().await.is_err(),
        "a rejected proposal accepted an order"
    );
    assert_eq!(scene.denied().await?, RejectEffect::AlreadyFinal);
    assert_eq!(scene.stack.deployment.invoice(INVOICE)?, before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejection_after_the_end_reports_the_outcome() -> anyhow::Result<()> {
    let mut scene = Scene::set().await?;
    scene.order().await?;
    let id = scene.subject.proposal.id.to_string();
    assert_eq!(scene.desk.outcome(&scene.stack, &id).await?, "applied");
    assert_eq!(scene.denied().await?, RejectEffect::AlreadyFinal);
    assert_eq!(scene.stack.deployment.receipts()?, [(id, "applied".to_owned())]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn unsigned_rejection_stops_nothing() -> anyhow::Result<()> {
    let mut scene = Scene::set().await?;
    let deny = decision(
        &scene.stack.deployment,
        scene.alice(),
        &scene.subject,
        DecisionKind::Reject,
    );
    let forged = DsseEnvelope::sign(ObjectKind::Decision, &deny, &scene.stack.deployment.reader_key)?;
    let request = wire::RejectRequest {
        proposal: Some((&scene.subject.envelope).into()),
        decision: Some((&forged).into()),
    };
    let refused = from_status(&scene.writer.reject(request).await.unwrap_err());
    assert_eq!(refused.code, ErrorCode::RefusedKey);
    scene.order().await?;
    let id = scene.subject.proposal.id.to_string();
    assert_eq!(scene.desk.outcome(&scene.stack, &id).await?, "applied");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_run_changes_no_data() -> anyhow::Result<()> {
    let mut scene = Scene::set().await?;
    let before = scene.stack.deployment.dump()?;
    let request = || wire::DryRunRequest {
        proposal: Some((&scene.subject.envelope).into()),
    };
    let preview = scene.writer.dry_run(request()).await?.into_inner();
    assert_eq!(preview.verdict(), DryRunVerdict::WouldApply);
    let after: serde_json::Value =
        serde_json::from_slice(preview.after_image_json.as_deref().unwrap_or_default())?;
    assert_eq!(after["late_fee_cents"]["v"], serde_json::json!("0"));
    assert_eq!(scene.stack.deployment.dump()?, before);
    let id = scene.subject.proposal.id.to_string();
    assert_eq!(scene.desk.state(&id).await?, "pending_review");
    scene
        .stack
        .deployment
        .open_database()?
        .execute("UPDATE invoices SET status = 'paid' WHERE id = ?1", [INVOICE])?;
    let preview = scene.writer.dry_run(request()).await?.into_inner();
    assert_eq!(
        (preview.verdict(), preview.code.as_deref()),
        (
            DryRunVerdict::Conflict,
            Some(ErrorCode::ConflictVersionChanged.as_str())
        )
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_with_the_same_job_have_one_effect() -> anyhow::Result<()> {
    let mut scene = Scene::set().await?;
    let _second = stack::writer(
        &scene.stack.deployment,
        &scene.stack.ledger.address,
        "writer-2",
        &[],
    )?;
    let version = scene.stack.deployment.invoice(INVOICE)?.2;
    scene.order().await?;
    let id = scene.subject.proposal.id.to_string();
    assert_eq!(scene.desk.outcome(&scene.stack, &id).await?, "applied");
    assert_eq!(scene.stack.deployment.invoice(INVOICE)?.2, version + 1);
    assert_eq!(scene.stack.deployment.receipts()?.len(), 1);
    Ok(())
}
