//! Receipt orders of the operator: selects the receipts, signs the order, and reports the recorded result.

use std::collections::{BTreeMap, BTreeSet};

use synapsor_chassis::random;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{ReceiptAction, ReceiptOrder, SignerInfo, verify_receipt_order};
use synapsor_domain::digest::Digest;
use synapsor_domain::limits::RECEIPT_REFS_MAX;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::trust::APPLIER;
use synapsor_domain::writeback::{ReceiptIncidentKind, ReceiptRef};

use super::{check_reason, fetch_proposal_by_reference, now};
use crate::clients::{LedgerClient, ReceiptIncident, refused};
use crate::connection::LedgerConnection;
use crate::operator_key::Signer;
use crate::output::safe;

/// Number of incidents on one page of a list.
const PAGE_ROWS: u32 = 200;
/// Maximum number of incidents that one command reads.
const INCIDENTS_MAX: usize = 200_000;

/// An order before signing.
#[derive(Debug, Clone)]
pub(crate) struct Ordering {
    pub(crate) source: String,
    pub(crate) action: ReceiptAction,
    pub(crate) receipts: BTreeSet<ReceiptRef>,
    pub(crate) before: Option<Timestamp>,
    pub(crate) reason: Option<String>,
}

/// An order that the ledger recorded.
#[derive(Debug)]
pub(crate) struct OrderedReceipts {
    pub(crate) digest: Digest,
    pub(crate) person: String,
    pub(crate) seq: u64,
    /// Number of receipts that it covers, as the ledger counts them.
    pub(crate) receipts: u64,
}

/// Returns the open incidents, newest first, and the total number; an empty source matches any.
pub(crate) async fn incidents(
    session: &LedgerConnection,
    source: &str,
    kind: Option<ReceiptIncidentKind>,
) -> Result<(Vec<ReceiptIncident>, u64), ExitError> {
    let mut ledger = LedgerClient::of(session);
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let page = ledger.incidents(source, kind, PAGE_ROWS, &token).await?;
        found.extend(page.incidents);
        if page.next_page_token.is_empty() || page.next_page_token == token || found.len() >= INCIDENTS_MAX {
            return Ok((found, page.open));
        }
        token = page.next_page_token;
    }
}

/// Returns the receipts of proposals of one source that the ledger holds under a writer's signature.
pub(crate) async fn held_receipts(
    session: &LedgerConnection,
    source: &str,
    proposals: &[String],
) -> Result<BTreeSet<ReceiptRef>, ExitError> {
    let mut found = BTreeSet::new();
    for reference in proposals {
        let view = fetch_proposal_by_reference(session, reference).await?;
        let proposal = view.attested.proposal();
        if proposal.source.id != source {
            let text = format!(
                "{} is a proposal of source `{}`",
                proposal.id,
                safe(&proposal.source.id)
            );
            return Err(
                ExitError::new(ErrorCode::SourceMismatch, text).with_fix("pass that source with --source")
            );
        }
        let Some(signed) = &view.receipt else {
            let text = format!("ledger has no receipt of {}", proposal.id);
            return Err(ExitError::new(ErrorCode::ReceiptNotFound, text)
                .with_fix("list missing receipts with `synapsor-runner receipts audit`"));
        };
        found.insert(ReceiptRef {
            proposal_id: proposal.id.clone(),
            receipt_digest: signed.digest,
        });
    }
    Ok(found)
}

/// Returns the reported receipt of a proposal that an operator can adopt, with its source and incident kinds.
pub(crate) async fn adoptable(
    session: &LedgerConnection,
    reference: &str,
    digest: Option<Digest>,
) -> Result<(String, ReceiptRef, Vec<ReceiptIncidentKind>), ExitError> {
    let (open, _) = incidents(session, "", None).await?;
    let mut found: BTreeMap<(String, ReceiptRef), Vec<ReceiptIncidentKind>> = BTreeMap::new();
    for incident in open {
        let is_named = incident.named.proposal_id.as_str().starts_with(reference)
            && digest.is_none_or(|digest| incident.named.receipt_digest == digest);
        if is_named && incident.kind != ReceiptIncidentKind::EffectLost {
            let key = (incident.source, incident.named);
            found.entry(key).or_default().push(incident.kind);
        }
    }
    if found.len() > 1 {
        let text = format!("{} reported receipts match this id prefix", found.len());
        return Err(ExitError::new(ErrorCode::AmbiguousReceipt, text)
            .with_fix("pass the whole id, and --receipt with the digest in the database"));
    }
    found
        .pop_first()
        .map(|((source, named), kinds)| (source, named, kinds))
        .ok_or_else(|| {
            ExitError::new(
                ErrorCode::ReceiptNotReported,
                "no reported receipt of this proposal can be adopted",
            )
            .with_fix("run `synapsor-runner receipts audit` to report receipts")
        })
}

/// Signs the order, split into several if it names many receipts, and submits it.
pub(crate) async fn order_receipts(
    session: &LedgerConnection,
    signer: &Signer,
    ordering: &Ordering,
) -> Result<Vec<OrderedReceipts>, ExitError> {
    check_reason(ordering.reason.as_deref())?;
    let receipts: Vec<ReceiptRef> = ordering.receipts.iter().cloned().collect();
    let chunks: Vec<&[ReceiptRef]> = if receipts.is_empty() {
        vec![&[]]
    } else {
        receipts.chunks(RECEIPT_REFS_MAX).collect()
    };
    let mut done = Vec::new();
    for receipts in chunks {
        done.push(order_chunk(session, signer, ordering, receipts).await?);
    }
    Ok(done)
}

async fn order_chunk(
    session: &LedgerConnection,
    signer: &Signer,
    ordering: &Ordering,
    receipts: &[ReceiptRef],
) -> Result<OrderedReceipts, ExitError> {
    let trust = session.trust();
    let order = ReceiptOrder {
        v: 1,
        deployment_id: trust.deployment_id.clone(),
        environment: trust.environment,
        source: ordering.source.clone(),
        action: ordering.action,
        receipts: receipts.to_vec(),
        before: ordering.before,
        approver: SignerInfo {
            key_id: signer.key.key_id(),
            person: signer.person.clone(),
            role: APPLIER.to_owned(),
        },
        issued_at: now(),
        nonce: hex::encode(random::bytes::<16>()),
        reason: ordering.reason.clone(),
    };
    let envelope = DsseEnvelope::sign(ObjectKind::ReceiptOrder, &order, &signer.key)
        .map_err(|e| ExitError::new(ErrorCode::OrderUnsignable, e.to_string()))?;
    let verified = verify_receipt_order(&envelope, trust, now()).map_err(refused)?;
    let recorded = LedgerClient::of(session).submit_receipt_order(&envelope).await?;
    Ok(OrderedReceipts {
        digest: verified.digest(),
        person: signer.person.clone(),
        seq: recorded.seq,
        receipts: recorded.receipts,
    })
}
