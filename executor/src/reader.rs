//! What a reader works with: its own files, its own databases, its own tenant, and the ledger that everything is
//! filed at before it is answered.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use synapsor_chassis::clock::Clock;
use synapsor_domain::canonical;
use synapsor_domain::contract::{Capability, CapabilityKind, Contract, Mode};
use synapsor_domain::digest::Digest;
use synapsor_domain::signing::SigningKey;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::tool::Catalog;

use crate::clients::intake::IntakeClient;
use crate::context::Contexts;
use crate::engine::Engine;
use crate::trust::TrustStore;

/// A reader, ready to be called.
pub struct Reader {
    pub contract: Arc<Contract>,
    pub trust: TrustStore,
    /// By source name.
    pub engines: BTreeMap<String, Arc<dyn Engine>>,
    pub key: Arc<SigningKey>,
    pub intake: IntakeClient,
    pub contexts: Contexts,
    pub clock: Arc<dyn Clock>,
    /// Hides and refuses proposals whatever the contract says.
    pub read_only: bool,
    /// By name, computed once.
    pub seals: BTreeMap<String, Sealed>,
    pub catalog: Catalog,
}

/// The digests of one capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    pub contract_digest: Digest,
    /// Over source, table, columns and tenant binding; the same for every row.
    pub query_fingerprint: Digest,
}

impl Sealed {
    /// The digests of every capability of a contract.
    pub fn all(contract: &Contract) -> BTreeMap<String, Self> {
        contract
            .capabilities()
            .iter()
            .map(|capability| {
                let sealed = Self {
                    contract_digest: capability.seal(contract),
                    query_fingerprint: query_fingerprint(capability),
                };
                (capability.name.clone(), sealed)
            })
            .collect()
    }
}

#[derive(Serialize)]
struct Query<'a> {
    source: &'a str,
    schema: &'a str,
    table: &'a str,
    columns: Vec<&'a str>,
    primary_key: &'a str,
    tenant_key: Option<&'a str>,
}

fn query_fingerprint(capability: &Capability) -> Digest {
    let target = &capability.target;
    let query = Query {
        source: &capability.source,
        schema: &target.schema,
        table: &target.table,
        columns: capability.read_columns(),
        primary_key: &target.primary_key,
        tenant_key: target.tenant_key.as_deref(),
    };
    let bytes =
        canonical::encode_within(&query, usize::MAX).expect("names of a contract have a canonical form");
    Digest::of_typed("application/vnd.synapsor.query.v1+json", &bytes)
}

impl Reader {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.clock.now_ms())
    }

    /// Whether proposals are refused here.
    pub(crate) fn refuses_proposals(&self) -> bool {
        self.read_only || self.contract.mode() == Mode::ReadOnly
    }

    /// The word for the mode that callers see.
    pub(crate) fn mode(&self) -> &'static str {
        if self.read_only {
            Mode::ReadOnly.as_str()
        } else {
            self.contract.mode().as_str()
        }
    }

    /// Sources that some capability reads.
    pub(crate) fn sources_in_use(contract: &Contract) -> Vec<&str> {
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

/// The kind of a capability as results name it.
pub(crate) const fn kind_of(capability: &Capability) -> &'static str {
    match capability.kind {
        CapabilityKind::Read => "read",
        CapabilityKind::Proposal(_) => "proposal",
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("sources", &self.engines.keys())
            .finish_non_exhaustive()
    }
}
