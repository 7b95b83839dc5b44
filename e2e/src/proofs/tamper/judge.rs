//! Detection of tampering by the check at start, the full verification, and the pinned checkpoints, in this order.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use synapsor_domain::log::{PinnedCheckpoint, verify_checkpoint};
use synapsor_domain::signing::{PublicKey, SigningKey};
use synapsor_ledger::store::{Store, StoreError, verify_file};

use super::original::Original;
use super::tree::Nodes;

/// Tables whose rows are the records: the events, and the views derived from them.
pub(super) const RECORDS: [&str; 12] = [
    "blocks",
    "block_bodies",
    "checkpoints",
    "event_index",
    "proposals",
    "decisions",
    "apply_orders",
    "attempts",
    "receipts",
    "evidence",
    "evidence_links",
    "audit",
];

/// Inputs for checking a store as its owner.
pub(super) struct TamperVerifier {
    origin: String,
    key_pem: String,
    public: PublicKey,
    witnesses: Vec<PinnedCheckpoint>,
}

/// Detecting check, and its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Detection {
    pub(super) by: By,
    pub(super) message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Start,
    Verify,
    Witness,
}

impl TamperVerifier {
    pub(super) fn new(original: &Original) -> anyhow::Result<Self> {
        let key = &original.deployment.ledger_key;
        Ok(Self {
            origin: original.deployment.trust()?.ledger_origin(),
            key_pem: key.to_pem().to_string(),
            public: key.public_key(),
            witnesses: original.witnesses.clone(),
        })
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// The ledger's key, which an attacker holds as well.
    pub(super) fn key(&self) -> SigningKey {
        SigningKey::from_pem(&self.key_pem).expect("key file of the owner")
    }

    /// Returns the first detection for a store.
    pub(super) fn alarm(&self, path: &Path) -> Option<Detection> {
        let store = |by, error: StoreError| Detection {
            by,
            message: format!("{}: {error}", error.code()),
        };
        match Store::open(path, &self.origin, self.key()) {
            Ok(open) => drop(open),
            Err(error) => return Some(store(By::Start, error)),
        }
        let report = match verify_file(path, &self.origin, &self.public) {
            Ok(report) => report,
            Err(error) => return Some(store(By::Verify, error)),
        };
        let detection = |message| Detection {
            by: By::Witness,
            message,
        };
        self.witnesses
            .iter()
            .find_map(|pinned| self.witnessed(pinned, path, &report.note).err().map(detection))
    }

    /// Checks the newest checkpoint against one pinned checkpoint, with the best proof that the store can offer.
    fn witnessed(&self, pinned: &PinnedCheckpoint, path: &Path, note: &str) -> Result<(), String> {
        let new = verify_checkpoint(note, &self.origin, &self.public).map_err(|e| e.code().to_string())?;
        let proof = if pinned.needs_proof(new.size) {
            let nodes = open_reader(path)
                .and_then(|store| Nodes::read(&store))
                .map_err(|e| e.to_string())?;
            Some(
                nodes
                    .consistency(pinned.size, new.size)
                    .map_err(|e| e.to_string())?,
            )
        } else {
            None
        };
        let mut pinned = pinned.clone();
        pinned
            .advance(&new, proof.as_ref())
            .map(|_| ())
            .map_err(|e| e.code().to_string())
    }
}

fn open_reader(path: &Path) -> anyhow::Result<Connection> {
    Ok(Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY,
    )?)
}

/// Every record of a store, as text.
pub(super) fn records(path: &Path) -> anyhow::Result<Vec<String>> {
    let store = open_reader(path)?;
    let mut records = Vec::new();
    for table in RECORDS {
        let mut query = store.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2"))?;
        let columns = query.column_count();
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let values = (0..columns).map(|i| row.get::<_, rusqlite::types::Value>(i));
            records.push(format!("{table} {:?}", values.collect::<Result<Vec<_>, _>>()?));
        }
    }
    Ok(records)
}
