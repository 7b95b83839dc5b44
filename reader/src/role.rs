//! State of a reader: its files, sources and contexts, and the ledger that stores every record before the reader
//! answers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use synapsor_chassis::clock::Clock;
use synapsor_domain::contract::{Contract, Mode};
use synapsor_domain::digest::Digest;
use synapsor_domain::evidence::query_fingerprint;
use synapsor_domain::proposal::RowTarget;
use synapsor_domain::signing::SigningKey;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::tool::Catalog;
use synapsor_domain::value::{ColumnValue, Value};

use crate::callers::CallerAuthenticator;
use crate::clients::intake::IntakeClient;
use crate::context::ContextResolver;
use synapsor_anchors::trust::TrustFileCache;
use synapsor_source::Engine;

/// Reader that is ready for calls.
pub struct ReaderRole {
    pub contract: Arc<Contract>,
    pub trust: TrustFileCache,
    /// By source name.
    pub engines: BTreeMap<String, Arc<dyn Engine>>,
    pub key: Arc<SigningKey>,
    pub intake: IntakeClient,
    pub contexts: ContextResolver,
    pub callers: CallerAuthenticator,
    pub clock: Arc<dyn Clock>,
    /// Hides and rejects proposals regardless of the contract.
    pub read_only: bool,
    /// By name, computed once.
    pub digests: BTreeMap<String, CapabilityDigests>,
    pub catalog: Catalog,
}

/// Digests of one capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapabilityDigests {
    pub contract_digest: Digest,
    /// Covers source, table, columns and tenant binding; the same for every row.
    pub query_fingerprint: Digest,
}

impl CapabilityDigests {
    /// Computes the digests of every capability of a contract.
    pub fn all(contract: &Contract) -> BTreeMap<String, Self> {
        contract
            .capabilities()
            .iter()
            .map(|capability| {
                let from = &capability.target;
                let any = |column: &str| ColumnValue::new(column, Value::null());
                let target = RowTarget {
                    schema: from.schema.clone(),
                    table: from.table.clone(),
                    keys: from.key_columns().map(any).collect(),
                    tenant: from.tenant_key.as_deref().map(any),
                };
                let digests = Self {
                    contract_digest: capability.contract_digest(contract),
                    query_fingerprint: query_fingerprint(
                        &capability.source,
                        &target,
                        &capability.read_columns(),
                    ),
                };
                (capability.name.clone(), digests)
            })
            .collect()
    }
}

impl ReaderRole {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.clock.now_ms())
    }

    /// Returns whether proposals are rejected here.
    pub(crate) fn refuses_proposals(&self) -> bool {
        self.read_only || self.contract.mode() == Mode::ReadOnly
    }

    /// Name of the mode that callers see.
    pub(crate) fn mode(&self) -> Mode {
        if self.read_only {
            Mode::ReadOnly
        } else {
            self.contract.mode()
        }
    }

    /// Returns the sources that a capability reads.
    pub fn sources_in_use(contract: &Contract) -> Vec<&str> {
        let mut names: Vec<&str> = contract
            .capabilities()
            .iter()
            .map(|c| c.source.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl fmt::Debug for ReaderRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReaderRole")
            .field("sources", &self.engines.keys())
            .finish_non_exhaustive()
    }
}
