//! Trust file: the keys of one deployment and what each may sign. Writer, ledger and CLI load it from disk; it
//! is never sent over a network. This module parses and evaluates it; file access is outside this module.

mod read;
mod standing;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::limits::{DECISION_MINUTES, DECISION_MINUTES_DEV, OPEN_PROPOSALS_MAX, ORDER_MINUTES};
use crate::log::{Checkpoint, LogError, TreeHead, verify_checkpoint};
use crate::signing::{DsseEnvelope, KeyId, PublicKey};
use crate::timestamp::{Span, Timestamp};

pub use standing::{KeyStanding, Position, RetiredKey};

/// Role that counts as every other role; loads only in `dev`.
pub const ANY_ROLE: &str = "*";
/// Role required for an apply order.
pub const APPLIER: &str = "applier";
/// Role required for a decision when the contract names none.
pub const APPROVER: &str = "approver";
/// Role that may erase bodies of the log.
pub const ERASER: &str = "eraser";
/// Role that may sign that the log continues from an earlier head.
pub const RECOVERY: &str = "recovery";

/// Environment of a deployment. A signature for one environment is invalid in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentEnvironment {
    Dev,
    Staging,
    Production,
}

/// Version 1 of `synapsor.trust.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustFile {
    pub version: u32,
    pub deployment_id: String,
    pub environment: DeploymentEnvironment,
    pub readers: Vec<ServiceKey>,
    pub writers: Vec<ServiceKey>,
    pub ledgers: Vec<ServiceKey>,
    pub operators: Vec<OperatorKey>,
    /// Principals that belong to an operator, for separation of duties: principal → person.
    #[serde(default)]
    pub aliases: BTreeMap<String, String>,
    #[serde(default)]
    pub separation_of_duties: Option<SeparationOfDuties>,
    #[serde(default)]
    pub ceilings: TrustLimits,
    /// Discontinuities that operators signed after events of the log were lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recoveries: Vec<DsseEnvelope>,
}

/// Key of a reader, writer or ledger. A retired key verifies only what it signed before its retirement; see
/// [`KeyStanding`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceKey {
    pub key_id: KeyId,
    pub public_key: PublicKey,
    #[serde(default)]
    pub retired: bool,
    /// Number of events in the log when the key was retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at_size: Option<u64>,
    /// Root of the log over those events, 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at_root: Option<String>,
    /// Checkpoint that this process had pinned when it read a `retired` entry without a tree head.
    #[serde(skip)]
    pub pinned_at: Option<TreeHead>,
}

/// Key of an operator. One operator may have several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorKey {
    pub person: String,
    pub key_id: KeyId,
    pub public_key: PublicKey,
    pub roles: Vec<String>,
    /// Capabilities that the key may decide on: names, or a namespace such as `billing.*`. Empty: all.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Tenants that the key may decide for. Empty: all.
    #[serde(default)]
    pub tenants: Vec<String>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// Signatures of this key no longer count for anything that is not applied, whatever their date: a thief can
    /// backdate.
    #[serde(default)]
    pub revoked: bool,
    /// Retired keys verify earlier signatures and sign nothing new; see [`KeyStanding`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub retired: bool,
    /// Number of events in the log when the key was retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at_size: Option<u64>,
    /// Root of the log over those events, 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at_root: Option<String>,
    /// Checkpoint that this process had pinned when it read a `retired` entry without a tree head.
    #[serde(skip)]
    pub pinned_at: Option<TreeHead>,
}

/// Whether the requesting operator may also decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeparationOfDuties {
    Off,
    Required,
}

/// Maximum lifetimes that a signature may claim, in minutes, and the maximum number of open proposals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustLimits {
    #[serde(default)]
    pub decision_minutes: Option<u32>,
    #[serde(default)]
    pub order_minutes: Option<u32>,
    /// Maximum number of open proposals of one tenant and principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_proposals: Option<u32>,
}

impl TrustFile {
    /// Computes the digest that is logged, and compared to detect a changed file.
    pub fn digest_of(bytes: &[u8]) -> Digest {
        Digest::of_typed("application/vnd.synapsor.trust-file.v1+json", bytes)
    }

    /// Returns the origin of the deployment's log.
    pub fn ledger_origin(&self) -> String {
        format!("synapsor/{}", self.deployment_id)
    }

    pub fn operator(&self, key: &KeyId) -> Option<&OperatorKey> {
        self.operators.iter().find(|o| o.key_id == *key)
    }

    /// Returns the entry of a reader, including retired ones.
    pub fn reader(&self, key: &KeyId) -> Option<&ServiceKey> {
        self.readers.iter().find(|k| k.key_id == *key)
    }

    /// Returns the entry of a writer, including retired ones: receipts outlive keys.
    pub fn writer(&self, key: &KeyId) -> Option<&ServiceKey> {
        self.writers.iter().find(|k| k.key_id == *key)
    }

    /// Reads and verifies the checkpoint of a running ledger, and returns it with the key that signed it. A
    /// retired ledger key verifies only the tree head at which it was retired. An earlier head is outdated, and
    /// a later head is signed by another key.
    ///
    /// # Errors
    /// The error of [`verify_checkpoint`] if it fails under every key, or [`LogError::NoteRetired`].
    pub fn verify_checkpoint(&self, note: &str) -> Result<(Checkpoint, &PublicKey), LogError> {
        let origin = self.ledger_origin();
        let mut last = LogError::NoteSignature;
        for key in &self.ledgers {
            match verify_checkpoint(note, &origin, &key.public_key) {
                Ok(checkpoint) => match key.standing() {
                    KeyStanding::Retired(head) if head != Some(checkpoint.head()) => {
                        last = LogError::NoteRetired
                    }
                    KeyStanding::Retired(_) | KeyStanding::InUse => return Ok((checkpoint, &key.public_key)),
                },
                Err(error) if last != LogError::NoteRetired => last = error,
                Err(_) => {}
            }
        }
        Err(last)
    }

    /// Returns the distinct tree heads at which keys of this file were retired.
    pub fn retirements(&self) -> BTreeSet<TreeHead> {
        let services = [&self.readers, &self.writers, &self.ledgers];
        let services = services.into_iter().flatten().map(ServiceKey::standing);
        let operators = self.operators.iter().map(OperatorKey::standing);
        services
            .chain(operators)
            .filter_map(|standing| match standing {
                KeyStanding::Retired(head) => head,
                KeyStanding::InUse => None,
            })
            .collect()
    }

    /// Sets the retirement head of retired keys whose entry names none: the current pinned checkpoint, or the
    /// one already set in `earlier`.
    pub fn pin_retirements(&mut self, pinned: Option<TreeHead>, earlier: Option<&Self>) {
        fn pin(keys: &mut [ServiceKey], pinned: Option<TreeHead>, earlier: Option<&[ServiceKey]>) {
            for key in keys {
                let same = |k: &&ServiceKey| k.key_id == key.key_id;
                let before = earlier.and_then(|keys| keys.iter().find(same));
                key.pin(pinned, before);
            }
        }
        let pinned = pinned.filter(|head| head.size > 0);
        pin(&mut self.readers, pinned, earlier.map(|f| f.readers.as_slice()));
        pin(&mut self.writers, pinned, earlier.map(|f| f.writers.as_slice()));
        pin(&mut self.ledgers, pinned, earlier.map(|f| f.ledgers.as_slice()));
        for operator in &mut self.operators {
            let before = earlier.and_then(|f| f.operator(&operator.key_id));
            operator.pin(pinned, before);
        }
    }

    pub fn separation_of_duties(&self) -> SeparationOfDuties {
        self.separation_of_duties.unwrap_or(match self.environment {
            DeploymentEnvironment::Dev => SeparationOfDuties::Off,
            DeploymentEnvironment::Staging | DeploymentEnvironment::Production => {
                SeparationOfDuties::Required
            }
        })
    }

    /// Returns the operator behind a principal, if the file lists it.
    pub fn person_of(&self, principal: &str) -> Option<&str> {
        self.aliases.get(principal).map(String::as_str)
    }

    pub fn decision_ceiling(&self) -> Span {
        Span::minutes(
            self.ceilings
                .decision_minutes
                .map_or_else(|| self.environment.decision_minutes(), i64::from),
        )
    }

    pub fn order_ceiling(&self) -> Span {
        Span::minutes(self.ceilings.order_minutes.map_or(ORDER_MINUTES, i64::from))
    }

    /// Returns the maximum number of open proposals of one tenant and principal.
    pub fn open_proposals_max(&self) -> u64 {
        self.ceilings
            .open_proposals
            .map_or(OPEN_PROPOSALS_MAX as u64, u64::from)
    }

    fn problems(&self) -> Vec<String> {
        let mut out = Vec::new();
        if self.version != 1 {
            out.push("$.version: must be 1".to_owned());
        }
        if !is_name(&self.deployment_id) {
            out.push("$.deployment_id: 1 to 64 characters of a-z, 0-9, - and .".to_owned());
        }
        for (list, keys) in [
            ("readers", &self.readers),
            ("writers", &self.writers),
            ("ledgers", &self.ledgers),
        ] {
            for (i, key) in keys.iter().enumerate() {
                if key.public_key.key_id() != key.key_id {
                    out.push(format!("$.{list}[{i}].key_id: is not the id of its public_key"));
                }
                out.extend(key.retirement_problem().map(|p| format!("$.{list}[{i}].{p}")));
            }
        }
        for (i, operator) in self.operators.iter().enumerate() {
            out.extend(
                operator
                    .problems(self.environment)
                    .into_iter()
                    .map(|p| format!("$.operators[{i}].{p}{}", operator.named())),
            );
            if self.operators[..i].iter().any(|o| o.key_id == operator.key_id) {
                out.push(format!(
                    "$.operators[{i}].key_id: is duplicated{}",
                    operator.named()
                ));
            }
        }
        out
    }
}

impl OperatorKey {
    /// Returns whether the key's roles cover `role`.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|r| r == role || r == ANY_ROLE)
    }

    /// Returns whether the key may decide on this capability for this tenant.
    pub fn covers(&self, capability: &str, tenant: &str) -> bool {
        let namespace = capability.split_once('.').map_or(capability, |(n, _)| n);
        let named = |c: &String| c == capability || c.strip_suffix(".*") == Some(namespace);
        (self.capabilities.is_empty() || self.capabilities.iter().any(named))
            && (self.tenants.is_empty() || self.tenants.iter().any(|t| t == tenant))
    }

    /// Returns whether the key may sign at `now`.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        !self.is_retired() && self.was_valid_at(now)
    }

    /// Returns whether signatures that the key made before its retirement count at `now`.
    pub fn was_valid_at(&self, now: Timestamp) -> bool {
        !self.revoked && self.not_before <= now && now < self.not_after
    }

    /// Returns the operator's name, as a suffix for an error about the entry.
    fn named(&self) -> String {
        if is_name(&self.person) {
            format!(" (person `{}`)", self.person)
        } else {
            String::new()
        }
    }

    fn problems(&self, environment: DeploymentEnvironment) -> Vec<String> {
        let mut out = Vec::new();
        if !is_name(&self.person) {
            out.push("person: 1 to 64 characters of a-z, 0-9, -, _ and .".to_owned());
        }
        if self.public_key.key_id() != self.key_id {
            out.push("key_id: is not the id of its public_key".to_owned());
        }
        if self.roles.iter().any(|r| r == ANY_ROLE) && environment != DeploymentEnvironment::Dev {
            out.push("roles: `*` is allowed in dev only; name the roles".to_owned());
        }
        if self.not_after <= self.not_before {
            out.push("not_after: must be later than not_before".to_owned());
        }
        out.extend(self.retirement_problem().map(str::to_owned));
        out
    }
}

impl DeploymentEnvironment {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }

    const fn decision_minutes(self) -> i64 {
        match self {
            Self::Dev => DECISION_MINUTES_DEV,
            Self::Staging | Self::Production => DECISION_MINUTES,
        }
    }
}

impl fmt::Display for DeploymentEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Returns whether the string is safe as a name in certificates, paths and terminals.
pub fn is_name(text: &str) -> bool {
    let safe = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    (1..=64).contains(&text.len()) && text.bytes().all(safe) && !text.starts_with(['.', '-'])
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde requires a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}
