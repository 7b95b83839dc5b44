//! Shadow proposals with what people did in their place: lists them, and signs and submits a human action.

use synapsor_chassis::random;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{SignatureAudience, SignerInfo};
use synapsor_domain::proposal::{Proposal, ProposalMode};
use synapsor_domain::shadow::{
    HumanAction, VerifiedHumanAction, check_human_patch, verify_human_action, verify_human_action_at,
};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::trust::Position;
use synapsor_domain::value::ColumnValue;

use super::fetch_proposal::{ProposalView, fetch_proposal_by_reference};
use super::list_part::ListPart;
use super::records::{ListedProposal, list_proposals};
use super::{check_reason, now};
use crate::clients::{LedgerClient, ProposalQuery, refused, verification_failed};
use crate::connection::LedgerConnection;
use crate::operator_key::Signer;

/// A shadow proposal with the newest human action, if there is one.
#[derive(Debug)]
pub(crate) struct ShadowProposal {
    pub(crate) listed: ListedProposal,
    pub(crate) action: Option<VerifiedHumanAction>,
}

impl ShadowProposal {
    pub(crate) fn proposal(&self) -> &Proposal {
        self.listed.attested.proposal()
    }
}

/// Returns shadow proposals of a range, newest first. That no newer human action exists is a claim of the ledger.
pub(crate) async fn shadow_proposals(
    session: &LedgerConnection,
    range: (Option<u64>, u32),
) -> Result<ListPart<ShadowProposal>, ExitError> {
    let filter = ProposalQuery {
        mode: Some(ProposalMode::Shadow),
        ..ProposalQuery::default()
    };
    let part = list_proposals(session, &filter, range).await?.part;
    let mut rows = Vec::new();
    for listed in part.rows {
        let action = action_of(&listed, session).await?;
        rows.push(ShadowProposal { listed, action });
    }
    Ok(ListPart {
        rows,
        next_before: part.next_before,
    })
}

/// Verifies the human action of a row. One of a retired key needs a proof, which a list does not have.
async fn action_of(
    listed: &ListedProposal,
    session: &LedgerConnection,
) -> Result<Option<VerifiedHumanAction>, ExitError> {
    let Some((_, envelope)) = &listed.human_action else {
        return Ok(None);
    };
    let (trust, attested) = (session.trust(), &listed.attested);
    let subject = (attested.proposal(), attested.digest());
    if let Ok(verified) = verify_human_action_at(envelope, trust, &Position::Unproven, subject) {
        return Ok(Some(verified));
    }
    let view = fetch_proposal_by_reference(session, attested.proposal().id.as_str()).await?;
    let proven = view.human_action.map(|action| action.verified);
    proven.map(Some).ok_or_else(|| {
        let text = "human action is not in the log";
        verification_failed(ErrorCode::HumanActionNotGenuine, text)
    })
}

/// Signs and submits what a person did in place of a shadow proposal. Returns the proposal as the log then holds it.
pub(crate) async fn record_human_action(
    session: &LedgerConnection,
    view: &ProposalView,
    signer: &Signer,
    (patch, notes): (Vec<ColumnValue>, Option<&str>),
) -> Result<ProposalView, ExitError> {
    let (trust, proposal) = (session.trust(), view.attested.proposal());
    check_human_patch(&patch)
        .map_err(|refusal| refused(refusal).with_fix("remove it from the patch; nothing was signed"))?;
    check_reason(notes)?;
    let action = HumanAction {
        v: 1,
        proposal_id: proposal.id.clone(),
        proposal_digest: view.attested.digest(),
        audience: SignatureAudience {
            deployment_id: trust.deployment_id.clone(),
            environment: trust.environment,
            source_id: proposal.source.id.clone(),
        },
        operator: SignerInfo {
            key_id: signer.key.key_id(),
            person: signer.person.clone(),
            role: proposal.approval.required_role.clone(),
        },
        patch,
        notes: notes.map(str::to_owned),
        issued_at: now(),
        nonce: hex::encode(random::bytes::<16>()),
    };
    let envelope = DsseEnvelope::sign(ObjectKind::HumanAction, &action, &signer.key)
        .map_err(|e| ExitError::new(ErrorCode::HumanActionUnsignable, e.to_string()))?;
    // The ledger's own checks, before anything is submitted.
    let subject = (proposal, view.attested.digest());
    verify_human_action(&envelope, trust, now(), subject).map_err(refused)?;
    LedgerClient::of(session).submit_human_action(&envelope).await?;
    fetch_proposal_by_reference(session, proposal.id.as_str()).await
}
