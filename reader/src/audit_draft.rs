//! Audit record of a call, filled while the call is served.

use synapsor_codes::ErrorCode;
use synapsor_domain::canonical;
use synapsor_domain::context::TrustedContext;
use synapsor_domain::contract::Capability;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::evidence::AuditRecord;
use synapsor_domain::ids::AuditId;
use synapsor_domain::proposal::RowTarget;
use synapsor_domain::timestamp::Timestamp;

use crate::role::CapabilityDigests;

/// Maximum length of an unknown tool name in the audit record, in characters.
const NAME_CHARS_MAX: usize = 128;

/// Audit record of a call in progress.
#[derive(Debug)]
pub(crate) struct AuditDraft {
    pub(crate) record: AuditRecord,
    /// Log that the ledger of this call has; empty until it is known.
    pub(crate) ledger_origin: String,
}

impl AuditDraft {
    pub(crate) fn begin(capability: &str, client: &str, arguments_json: &[u8], at: Timestamp) -> Self {
        let record = AuditRecord {
            v: 1,
            id: AuditId::at(at, synapsor_chassis::random::bytes()),
            capability: capability.chars().take(NAME_CHARS_MAX).collect(),
            tenant: None,
            principal: None,
            client: client.to_owned(),
            source_id: None,
            table: None,
            columns: Vec::new(),
            tenant_bound: false,
            row_count: 0,
            result: String::new(),
            query_fingerprint: None,
            primary_key: None,
            primary_keys: Vec::new(),
            arguments_digest: Digest::of_typed("application/vnd.synapsor.arguments.v1+json", arguments_json),
            evidence_id: None,
            proposal_id: None,
            at,
        };
        Self {
            record,
            ledger_origin: String::new(),
        }
    }

    pub(crate) fn of_target(&mut self, target: &RowTarget) {
        self.record.primary_key = target.object_keys().next().cloned();
        if target.keys.len() > 1 {
            self.record.primary_keys.clone_from(&target.keys);
        }
    }

    /// Leaves out the key, whose value was rejected.
    pub(crate) fn withhold_key(&mut self) {
        self.record.primary_key = None;
        self.record.primary_keys.clear();
    }

    pub(crate) const fn set_row_found(&mut self) {
        self.record.row_count = 1;
    }

    pub(crate) fn of_capability(&mut self, capability: &Capability, digests: &CapabilityDigests) {
        let target = &capability.target;
        self.record.source_id = Some(capability.source.clone());
        self.record.table = Some(format!("{}.{}", target.schema, target.table));
        self.record.columns = capability.read_columns().into_iter().map(str::to_owned).collect();
        self.record.tenant_bound = target.tenant_key.is_some();
        self.record.query_fingerprint = Some(digests.query_fingerprint);
    }

    pub(crate) fn of_context(&mut self, context: &TrustedContext) {
        self.record.tenant = Some(context.tenant.clone());
        self.record.principal = Some(context.principal.clone());
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, PublicError> {
        canonical::encode(&self.record).map_err(|e| {
            PublicError::new(
                ErrorCode::Internal,
                "The record of this call could not be written.",
            )
            .with_detail(e.to_string())
        })
    }
}
