//! Operators: the objects that they sign and their delivery to the ledger. A test can alter each field of a signed
//! object, beyond what the real CLI signs.

use anyhow::Context as _;
use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::identity::Role;
use synapsor_chassis::random;
use synapsor_domain::approval::{
    ApplyOrder, Decision, DecisionKind, Freeze, ReceiptAction, ReceiptOrder, ReviewedDocument,
    SignatureAudience, SignerInfo, Unfreeze,
};
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::proposal::{Proposal, ProposalState, VerifiedProposal};
use synapsor_domain::review;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Span;
use synapsor_domain::trust::APPLIER;
use synapsor_domain::writeback::{AttemptReport, ReceiptRef};
use synapsor_proto::convert::required;
use synapsor_proto::ledger::v1 as wire;
use synapsor_proto::ledger::v1::review_service_client::ReviewServiceClient;
use synapsor_proto::status::from_status;

use crate::deployment::{Deployment, Person};
use crate::now;
use crate::stack::Stack;

/// Proposal as an operator reviews it.
#[derive(Debug, Clone)]
pub struct Subject {
    pub proposal: Proposal,
    pub digest: Digest,
    pub envelope: DsseEnvelope,
}

impl Subject {
    /// Verifies the proposal of a record under the deployment's trust file.
    pub fn of(record: wire::ProposalRecord, deployment: &Deployment) -> anyhow::Result<Self> {
        let envelope: DsseEnvelope = required("proposal", record.proposal)?.try_into()?;
        Ok((&VerifiedProposal::verify_historical(envelope, &deployment.trust()?)?).into())
    }
}

impl From<&VerifiedProposal> for Subject {
    fn from(attested: &VerifiedProposal) -> Self {
        Self {
            proposal: attested.proposal().clone(),
            digest: attested.digest(),
            envelope: attested.envelope().clone(),
        }
    }
}

fn audience(deployment: &Deployment, subject: &Subject) -> SignatureAudience {
    SignatureAudience {
        deployment_id: deployment.id.clone(),
        environment: deployment.environment,
        source_id: subject.proposal.source.id.clone(),
    }
}

/// Decision as an approver signs it.
pub fn decision(deployment: &Deployment, person: &Person, subject: &Subject, kind: DecisionKind) -> Decision {
    Decision {
        v: 1,
        decision: kind,
        proposal_id: subject.proposal.id.clone(),
        proposal_digest: subject.digest,
        contract_digest: subject.proposal.contract_digest,
        audience: audience(deployment, subject),
        approver: SignerInfo {
            key_id: person.key.key_id(),
            person: person.name.clone(),
            role: subject.proposal.approval.required_role.clone(),
        },
        render: ReviewedDocument {
            renderer: review::Renderer::CURRENT.as_str().to_owned(),
            digest: review::ReviewDocument::of(&subject.proposal, subject.digest).digest(),
        },
        seen_checkpoint: None,
        issued_at: now(),
        not_before: now(),
        expires_at: now() + Span::minutes(30),
        nonce: random::hex_id(32),
        known_switch: None,
        reason: None,
    }
}

/// Apply order that refers to these decisions.
pub fn order(
    deployment: &Deployment,
    person: &Person,
    subject: &Subject,
    decisions: &[&DsseEnvelope],
) -> ApplyOrder {
    let mut decision_digests: Vec<Digest> = decisions
        .iter()
        .map(|d| Digest::of(ObjectKind::Decision, &d.payload))
        .collect();
    decision_digests.sort_unstable();
    ApplyOrder {
        v: 1,
        proposal_id: subject.proposal.id.clone(),
        proposal_digest: subject.digest,
        contract_digest: subject.proposal.contract_digest,
        decision_digests,
        audience: audience(deployment, subject),
        approver: SignerInfo {
            key_id: person.key.key_id(),
            person: person.name.clone(),
            role: APPLIER.to_owned(),
        },
        seen_checkpoint: None,
        issued_at: now(),
        not_before: now(),
        expires_at: now() + Span::minutes(10),
        nonce: random::hex_id(32),
        known_switch: None,
    }
}

/// Freeze of the deployment, signed by this operator.
pub fn freeze(deployment: &Deployment, person: &Person) -> Freeze {
    Freeze {
        v: 1,
        deployment_id: deployment.id.clone(),
        environment: deployment.environment,
        approver: SignerInfo {
            key_id: person.key.key_id(),
            person: person.name.clone(),
            role: "operator".to_owned(),
        },
        issued_at: now(),
        nonce: random::hex_id(32),
        reason: None,
    }
}

/// Lift of one freeze.
pub fn lift(deployment: &Deployment, person: &Person, freeze: Digest) -> Unfreeze {
    Unfreeze {
        v: 1,
        deployment_id: deployment.id.clone(),
        environment: deployment.environment,
        writer: String::new(),
        approver: SignerInfo {
            key_id: person.key.key_id(),
            person: person.name.clone(),
            role: APPLIER.to_owned(),
        },
        issued_at: now(),
        expires_at: now() + Span::minutes(10),
        nonce: random::hex_id(32),
        freeze_digest: Some(freeze),
    }
}

/// Order about receipts of one source.
pub fn receipt_order(
    deployment: &Deployment,
    person: &Person,
    (source, action): (&str, ReceiptAction),
    receipts: Vec<ReceiptRef>,
) -> DsseEnvelope {
    let order = ReceiptOrder {
        v: 1,
        deployment_id: deployment.id.clone(),
        environment: deployment.environment,
        source: source.to_owned(),
        action,
        receipts,
        before: None,
        approver: SignerInfo {
            key_id: person.key.key_id(),
            person: person.name.clone(),
            role: APPLIER.to_owned(),
        },
        issued_at: now(),
        nonce: random::hex_id(32),
        reason: None,
    };
    DsseEnvelope::sign(ObjectKind::ReceiptOrder, &order, &person.key).expect("order has a canonical form")
}

pub fn seal_freeze(person: &Person, freeze: &Freeze) -> (DsseEnvelope, Digest) {
    let envelope =
        DsseEnvelope::sign(ObjectKind::Freeze, freeze, &person.key).expect("freeze has a canonical form");
    let digest = Digest::of(ObjectKind::Freeze, &envelope.payload);
    (envelope, digest)
}

pub fn seal_lift(person: &Person, lift: &Unfreeze) -> DsseEnvelope {
    DsseEnvelope::sign(ObjectKind::Unfreeze, lift, &person.key).expect("lift has a canonical form")
}

pub fn seal_decision(person: &Person, decision: &Decision) -> DsseEnvelope {
    DsseEnvelope::sign(ObjectKind::Decision, decision, &person.key).expect("decision has a canonical form")
}

pub fn seal_order(person: &Person, order: &ApplyOrder) -> DsseEnvelope {
    DsseEnvelope::sign(ObjectKind::ApplyOrder, order, &person.key).expect("order has a canonical form")
}

/// Operator with a connection to the ledger's review service.
#[derive(Debug, Clone)]
pub struct OperatorClient {
    client: ReviewServiceClient<Channel>,
}

impl OperatorClient {
    pub fn open(stack: &Stack, person: &str) -> anyhow::Result<Self> {
        Ok(Self {
            client: ReviewServiceClient::new(stack.ledger_as(Role::Operator, Some(person))?),
        })
    }

    /// Returns the proposal with this id, verified under the deployment's trust file.
    pub async fn subject(&mut self, deployment: &Deployment, proposal: &str) -> anyhow::Result<Subject> {
        Subject::of(self.record(proposal).await?, deployment)
    }

    /// Returns it without signature checks, for harnesses that sign in large numbers.
    pub async fn unverified(&mut self, proposal: &str) -> anyhow::Result<Subject> {
        let record = self.record(proposal).await?;
        let envelope: DsseEnvelope = required("proposal", record.proposal)?.try_into()?;
        Ok(Subject {
            proposal: envelope.decode_unverified(ObjectKind::Proposal)?,
            digest: Digest::of(ObjectKind::Proposal, &envelope.payload),
            envelope,
        })
    }

    pub async fn record(&mut self, proposal: &str) -> anyhow::Result<wire::ProposalRecord> {
        let request = wire::GetProposalRequest {
            proposal_ref: proposal.to_owned(),
            known: None,
        };
        let answer = self
            .client
            .get_proposal(request)
            .await
            .map_err(|s| from_status(&s))?;
        answer.into_inner().record.context("a record")
    }

    pub async fn state(&mut self, proposal: &str) -> anyhow::Result<String> {
        state_word(self.record(proposal).await?.state)
    }

    pub async fn decide(&mut self, decision: &DsseEnvelope) -> Result<String, PublicError> {
        self.decide_as(&random::hex_id(32), decision).await
    }

    /// Decides under the caller's request id, so that the caller can retry.
    pub async fn decide_as(
        &mut self,
        request_id: &str,
        decision: &DsseEnvelope,
    ) -> Result<String, PublicError> {
        let request = wire::SubmitDecisionRequest {
            request_id: request_id.to_owned(),
            decision: Some(decision.into()),
        };
        let answer = self
            .client
            .submit_decision(request)
            .await
            .map_err(|s| from_status(&s))?
            .into_inner()
            .state();
        Ok(ProposalState::try_from(answer)?.to_string())
    }

    pub async fn request_apply(&mut self, order: &DsseEnvelope) -> Result<u64, PublicError> {
        self.request_apply_as(&random::hex_id(32), order).await
    }

    /// Requests an apply under the caller's request id, so that the caller can retry.
    pub async fn request_apply_as(
        &mut self,
        request_id: &str,
        order: &DsseEnvelope,
    ) -> Result<u64, PublicError> {
        Ok(self.submit_order(request_id, order).await?.seq)
    }

    /// Requests an apply; returns whether a writer that takes jobs of the source is connected, as the ledger reports it with the order.
    pub async fn request_apply_with_writer(&mut self, order: &DsseEnvelope) -> Result<bool, PublicError> {
        Ok(self
            .submit_order(&random::hex_id(32), order)
            .await?
            .writer_present)
    }

    async fn submit_order(
        &mut self,
        request_id: &str,
        order: &DsseEnvelope,
    ) -> Result<wire::SubmitApplyOrderResponse, PublicError> {
        let request = wire::SubmitApplyOrderRequest {
            request_id: request_id.to_owned(),
            apply_order: Some(order.into()),
        };
        let answer = self.client.submit_apply_order(request).await;
        Ok(answer.map_err(|s| from_status(&s))?.into_inner())
    }

    /// Approves and orders as alice, with valid signatures.
    pub async fn approve_and_order(
        &mut self,
        deployment: &Deployment,
        subject: &Subject,
    ) -> anyhow::Result<()> {
        let alice = deployment.person("alice");
        let approval = seal_decision(
            alice,
            &decision(deployment, alice, subject, DecisionKind::Approve),
        );
        self.decide(&approval).await?;
        self.request_apply(&seal_order(
            alice,
            &order(deployment, alice, subject, &[&approval]),
        ))
        .await?;
        Ok(())
    }

    /// Follows the log until the proposal's record satisfies `wanted`.
    pub async fn until(
        &mut self,
        stack: &Stack,
        proposal: &str,
        wanted: impl Fn(&wire::ProposalRecord) -> bool,
    ) -> anyhow::Result<wire::ProposalRecord> {
        use synapsor_proto::ledger::v1::event_service_client::EventServiceClient;
        let mut events = EventServiceClient::new(stack.ledger_as(Role::Operator, Some("alice"))?);
        let request = wire::TailRequest {
            from_seq: 0,
            proposal_id: proposal.to_owned(),
            kind: String::new(),
            follow: true,
            limit: 0,
            ..Default::default()
        };
        let mut tail = events.tail(request).await?.into_inner();
        let wait = async {
            loop {
                let record = self.record(proposal).await?;
                if wanted(&record) {
                    return anyhow::Ok(record);
                }
                tail.message().await?.context("log stream ended")?;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(90), wait)
            .await
            .context("outcome timed out")?
    }

    /// Final state of a proposal.
    pub async fn outcome(&mut self, stack: &Stack, proposal: &str) -> anyhow::Result<String> {
        let ended = |r: &wire::ProposalRecord| {
            ProposalState::try_from(r.state()).is_ok_and(|state| state.is_terminal())
        };
        state_word(self.until(stack, proposal, ended).await?.state)
    }

    /// Report of the next attempt for this order.
    pub async fn attempt(
        &mut self,
        stack: &Stack,
        proposal: &str,
        order: &DsseEnvelope,
    ) -> anyhow::Result<AttemptReport> {
        let digest = Some(Digest::of(ObjectKind::ApplyOrder, &order.payload));
        let report = |r: &wire::ProposalRecord| {
            let envelope: DsseEnvelope = r.attempt.clone()?.try_into().ok()?;
            envelope
                .decode_unverified::<AttemptReport>(ObjectKind::Attempt)
                .ok()
                .filter(|a| a.order_digest == digest)
        };
        let record = self.until(stack, proposal, |r| report(r).is_some()).await?;
        report(&record).context("a report")
    }
}

/// Returns the word of a state on the wire.
pub fn state_word(state: i32) -> anyhow::Result<String> {
    let wire = synapsor_proto::common::v1::ProposalState::try_from(state)?;
    Ok(ProposalState::try_from(wire)?.to_string())
}
