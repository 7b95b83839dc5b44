//! Tracks the newest known receipts of each source. A restore loses the newest rows first, so a database that
//! lacks one of these was restored, replaced or emptied. Nothing is written to it until an operator signs the
//! loss.
//!
//! Known receipts are the newest that this process committed or found itself, and the newest that the ledger
//! sent with a job. The statement that reads a proposal's own receipt reads both.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use synapsor_codes::ErrorCode;
use synapsor_domain::approval::VerifiedReceiptOrder;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::trust::TrustFile;
use synapsor_domain::writeback::{Receipt, ReceiptRef};
use synapsor_source::{FoundReceipts, KNOWN_RECEIPTS_MAX, StoredReceipt};

/// Maximum number of orders stored per source, so that a job leased before an order does not restore a
/// receipt that it gave up.
const ORDERS_MAX: usize = 32;

/// A genuine receipt, with the row that holds it.
#[derive(Debug, Clone)]
pub struct KnownReceipt {
    receipt: Receipt,
    digest: Digest,
    stored: StoredReceipt,
}

impl KnownReceipt {
    /// Verifies that a writer of the trust file signed the receipt. A retired key is accepted, since this
    /// only stops writes.
    ///
    /// # Errors
    /// `refused:receipt_integrity`.
    pub fn verify(envelope: &DsseEnvelope, trust: &TrustFile) -> Result<Self, PublicError> {
        let stored = StoredReceipt::from_envelope(envelope)?;
        let (receipt, envelope) = stored.verify_past(trust)?;
        Ok(Self::of(receipt, &envelope, stored))
    }

    pub(crate) fn of(receipt: Receipt, envelope: &DsseEnvelope, stored: StoredReceipt) -> Self {
        Self {
            receipt,
            digest: Digest::of(ObjectKind::Receipt, &envelope.payload),
            stored,
        }
    }

    pub const fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// The row as the receipt table must hold it.
    pub const fn stored(&self) -> &StoredReceipt {
        &self.stored
    }

    /// Returns the receipt without its content.
    pub fn to_ref(&self) -> ReceiptRef {
        ReceiptRef {
            proposal_id: self.receipt.proposal_id.clone(),
            receipt_digest: self.digest,
        }
    }

    /// Whether an order permits the receipt to be missing in a source.
    pub fn may_be_missing(&self, source: &str, order: &VerifiedReceiptOrder) -> bool {
        order.allows_missing(source, &self.receipt, self.digest)
    }
}

/// Required receipts that a source lacks.
#[derive(Debug, Clone)]
pub struct LostReceipts {
    pub source: String,
    /// The identity that the database reported.
    pub identity: String,
    pub receipts: Vec<KnownReceipt>,
}

impl LostReceipts {
    /// Returns the proposals of the receipts.
    pub fn proposals(&self) -> Vec<ProposalId> {
        let id = |lost: &KnownReceipt| lost.receipt.proposal_id.clone();
        self.receipts.iter().map(id).collect()
    }

    /// Returns the error of a write to the source.
    pub fn refusal(&self) -> PublicError {
        let proposals: Vec<_> = self
            .receipts
            .iter()
            .map(|lost| lost.stored.proposal_id.as_str())
            .collect();
        PublicError::new(
            ErrorCode::RefusedEffectLost,
            format!(
                "the source `{}` lacks the receipt of {}, which was committed there: a backup was restored, another \
                 database or timeline serves it, or rows were deleted; nothing is written until an operator runs \
                 `synapsor-runner receipts audit` and signs the loss with `synapsor-runner receipts give-up`",
                self.source,
                proposals.join(" and of ")
            ),
        )
    }
}

/// Newest receipts of the sources of one writer.
#[derive(Debug, Default)]
pub struct KnownReceipts(Mutex<BTreeMap<String, OfSource>>);

#[derive(Debug, Default)]
struct OfSource {
    /// The newest that this process committed or found.
    own: Option<KnownReceipt>,
    /// The one that came with the newest job.
    shown: Option<KnownReceipt>,
    /// One that a comparison with the ledger found lost, of any age.
    lost: Option<KnownReceipt>,
    orders: VecDeque<VerifiedReceiptOrder>,
}

impl OfSource {
    fn may_be_missing(&self, source: &str, known: &KnownReceipt) -> bool {
        self.orders
            .iter()
            .any(|order| known.may_be_missing(source, order))
    }
}

impl KnownReceipts {
    /// Whether a receipt is already one of the newest known.
    pub fn has(&self, source: &str, digest: Digest) -> bool {
        let sources = self.lock();
        let known = sources
            .get(source)
            .into_iter()
            .flat_map(|of| [&of.own, &of.shown]);
        known.flatten().any(|known| known.digest == digest)
    }

    /// Whether one of the newest known receipts was committed under another identity of the source.
    pub fn names_other_identity(&self, source: &str, identity: &str) -> bool {
        let sources = self.lock();
        let known = sources
            .get(source)
            .into_iter()
            .flat_map(|of| [&of.own, &of.shown]);
        known
            .flatten()
            .any(|known| known.receipt.database_identity != identity)
    }

    /// Stores the receipt that the ledger named as the newest of a source. Jobs arrive in the order in which
    /// the ledger created them, so the last one is decisive.
    pub fn show(&self, source: &str, known: KnownReceipt) {
        let mut sources = self.lock();
        let of_source = sources.entry(source.to_owned()).or_default();
        if !of_source.may_be_missing(source, &known) {
            of_source.shown = Some(known);
        }
    }

    /// Stores a receipt that this process just committed.
    pub(crate) fn committed(&self, source: &str, known: KnownReceipt) {
        self.lock().entry(source.to_owned()).or_default().own = Some(known);
    }

    /// Stores a receipt that this process found in the source.
    pub fn found(&self, source: &str, known: KnownReceipt) {
        let mut sources = self.lock();
        let own = &mut sources.entry(source.to_owned()).or_default().own;
        let is_newer = |own: &KnownReceipt| own.receipt.created_at < known.receipt.created_at;
        if own.as_ref().is_none_or(is_newer) {
            *own = Some(known);
        }
    }

    /// Stores a receipt that a comparison did not find in the source: nothing is written until it is there or
    /// given up.
    pub fn lost(&self, source: &str, known: &KnownReceipt) {
        let mut sources = self.lock();
        let of_source = sources.entry(source.to_owned()).or_default();
        if !of_source.may_be_missing(source, known) {
            of_source.lost.get_or_insert_with(|| known.clone());
        }
    }

    /// Removes a lost receipt that is in the source again.
    pub fn recovered(&self, source: &str, id: &ProposalId) {
        if let Some(of_source) = self.lock().get_mut(source) {
            of_source.lost.take_if(|lost| lost.receipt.proposal_id == *id);
        }
    }

    /// Stores an operator's order: the receipts that it gives up are not required again.
    pub fn take_order(&self, source: &str, order: &VerifiedReceiptOrder) {
        let mut sources = self.lock();
        let of_source = sources.entry(source.to_owned()).or_default();
        if of_source
            .orders
            .iter()
            .all(|known| known.digest() != order.digest())
        {
            if of_source.orders.len() >= ORDERS_MAX {
                of_source.orders.pop_front();
            }
            of_source.orders.push_back(order.clone());
        }
        for known in [&mut of_source.own, &mut of_source.shown, &mut of_source.lost] {
            known.take_if(|known| known.may_be_missing(source, order));
        }
    }

    /// Returns the receipts that a transaction on this source must find besides the proposal's own, whatever
    /// database signed receipts name. A backup restored into a new database lacks the newest rows too; a
    /// moved database has them.
    pub(crate) fn gate(&self, source: &str) -> ReceiptGate {
        let sources = self.lock();
        let known = sources
            .get(source)
            .into_iter()
            .flat_map(|of| [&of.lost, &of.own, &of.shown]);
        let mut required: Vec<KnownReceipt> = Vec::new();
        for known in known.flatten() {
            if required.iter().all(|other| other.stored != known.stored) {
                required.push(known.clone());
            }
        }
        required.truncate(KNOWN_RECEIPTS_MAX);
        ReceiptGate(required)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, OfSource>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Receipts that a database must hold before anything is written to it.
#[derive(Debug, Default)]
pub(crate) struct ReceiptGate(Vec<KnownReceipt>);

impl ReceiptGate {
    /// Returns the keys to read.
    pub(crate) fn keys(&self) -> Vec<&str> {
        self.0
            .iter()
            .map(|known| known.stored.proposal_id.as_str())
            .collect()
    }

    /// Returns the required receipts that are missing, or stored with other bytes.
    pub(crate) fn missing(self, found: &FoundReceipts) -> Vec<KnownReceipt> {
        let is_missing = |known: &KnownReceipt| {
            let mut rows = found.known.iter().chain(&found.receipt);
            rows.all(|row| *row != known.stored)
        };
        self.0.into_iter().filter(is_missing).collect()
    }
}
