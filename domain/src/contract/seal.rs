//! The contract digest of a capability: covers all members that determine its permissions.
//!
//! Covered: mode, source name and engine, context provider with the access tokens that it accepts, handler, and
//! the capability itself. Not covered: descriptions, names of variables, timeouts, storage, result format; they
//! may change without a new review.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Arg, Capability, CapabilityKind, CapabilityTarget, Contract, ExecutorKind, ExecutorRef, ExecutorSpec,
    KeyValue, NumericBound, PatchBinding, ProposalSpec, Scalar, SideEffectAck, VersionAdvance,
};
use crate::access_token::TokenPolicy;
use crate::canonical;
use crate::decimal::Decimal;
use crate::digest::Digest;
use crate::limits::FILE_BYTES_MAX;
use crate::signing::ObjectKind;
use crate::value::Value;

/// A file's scalars become tagged values, which are longer than the scalars, but never by this factor.
const SEAL_BYTES_MAX: usize = 64 * FILE_BYTES_MAX;

impl Capability {
    /// The contract digest of this capability of `contract`.
    pub fn contract_digest(&self, contract: &Contract) -> Digest {
        let bytes = canonical::encode_within(&DigestInput::of(self, contract), SEAL_BYTES_MAX)
            .expect("a digest input has fixed depth, small integers and a bounded size");
        Digest::of(ObjectKind::Contract, &bytes)
    }
}

#[derive(Serialize)]
struct DigestInput<'a> {
    v: u8,
    mode: &'static str,
    source: SealedSource<'a>,
    context_provider: &'static str,
    // Absent for other providers, so that their files keep their digests.
    #[serde(skip_serializing_if = "Option::is_none")]
    context_token: Option<&'a TokenPolicy>,
    name: &'a str,
    kind: &'static str,
    target: SealedTarget<'a>,
    args: BTreeMap<&'a str, SealedArg>,
    // Absent if several arguments identify the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    lookup_arg: Option<&'a str>,
    // By column; absent if one argument identifies the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    lookup_args: Option<BTreeMap<&'a str, &'a str>>,
    visible_columns: &'a [String],
    // Absent without cuts, so that such files keep their digests.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    max_chars: BTreeMap<&'a str, u32>,
    max_rows: u32,
    proposal: Option<SealedProposal<'a>>,
}

#[derive(Serialize)]
struct SealedSource<'a> {
    name: &'a str,
    engine: &'static str,
}

#[derive(Serialize)]
struct SealedTarget<'a> {
    schema: &'a str,
    table: &'a str,
    primary_key: OneOrMany<'a>,
    tenant_key: Option<&'a str>,
    single_tenant_dev: bool,
}

/// A text for one name, so that such files keep their digests; a list for several.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany<'a> {
    One(&'a str),
    Many(Vec<&'a str>),
}

impl<'a> OneOrMany<'a> {
    pub(crate) fn of(names: impl Iterator<Item = &'a str>) -> Self {
        let names: Vec<&str> = names.collect();
        match names[..] {
            [one] => Self::One(one),
            _ => Self::Many(names),
        }
    }
}

#[derive(Serialize)]
struct SealedArg {
    #[serde(rename = "type")]
    arg_type: &'static str,
    required: bool,
    max_length: Option<u32>,
    minimum: Option<Value>,
    maximum: Option<Value>,
    #[serde(rename = "enum")]
    allowed: Option<Vec<Value>>,
}

#[derive(Serialize)]
struct SealedProposal<'a> {
    patch: BTreeMap<&'a str, SealedBinding<'a>>,
    allowed_columns: &'a [String],
    bounds: BTreeMap<&'a str, SealedBound>,
    transitions: BTreeMap<&'a str, SealedTransition<'a>>,
    guard_column: Option<&'a str>,
    // Absent for a guard without `advance`, so that such files keep their digests.
    #[serde(skip_serializing_if = "Option::is_none")]
    guard_advance: Option<&'static str>,
    required_role: Option<&'a str>,
    quorum: u8,
    db_managed: &'a [String],
    executor: SealedExecutor<'a>,
    // Absent for tables without acknowledged code, so that their files keep their digests.
    #[serde(skip_serializing_if = "Option::is_none")]
    side_effects_ack: Option<&'a [SideEffectAck]>,
}

#[derive(Serialize)]
struct SealedBinding<'a> {
    fixed: Option<Value>,
    from_arg: Option<&'a str>,
    // Absent for the meaning of 0.1.x, so that such files keep their digests.
    #[serde(skip_serializing_if = "Option::is_none")]
    when_absent: Option<&'static str>,
}

#[derive(Serialize)]
struct SealedBound {
    minimum: Option<Value>,
    maximum: Option<Value>,
}

#[derive(Serialize)]
struct SealedTransition<'a> {
    from_column: Option<&'a str>,
    allowed: BTreeMap<&'a str, &'a [String]>,
}

#[derive(Serialize)]
struct SealedExecutor<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    method: Option<&'static str>,
    has_bearer_token: bool,
    is_signed: bool,
}

impl<'a> DigestInput<'a> {
    fn of(capability: &'a Capability, contract: &'a Contract) -> Self {
        let source = contract
            .source(&capability.source)
            .expect("a checked contract has its capabilities' sources");
        let context = contract
            .context(&capability.context)
            .expect("a checked contract has its contexts");
        let target = &capability.target;
        Self {
            v: 1,
            mode: contract.mode().as_str(),
            source: SealedSource {
                name: &source.name,
                engine: source.engine.as_str(),
            },
            context_provider: context.provider.as_str(),
            context_token: context.tokens().map(|source| &source.policy),
            name: &capability.name,
            kind: capability.kind.tool().as_str(),
            target: SealedTarget {
                schema: &target.schema,
                table: &target.table,
                primary_key: OneOrMany::of(target.key_columns()),
                tenant_key: target.tenant_key.as_deref(),
                single_tenant_dev: target.is_single_tenant_dev,
            },
            args: capability
                .args
                .iter()
                .map(|arg| (arg.name.as_str(), SealedArg::of(arg)))
                .collect(),
            lookup_arg: one_argument(target),
            lookup_args: match one_argument(target) {
                Some(_) => None,
                None => Some(arguments_of(target).collect()),
            },
            visible_columns: &capability.visible_columns,
            max_chars: capability
                .cuts
                .iter()
                .map(|cut| (cut.column.as_str(), cut.max_chars))
                .collect(),
            max_rows: capability.max_rows,
            proposal: match &capability.kind {
                CapabilityKind::Read => None,
                CapabilityKind::Proposal(spec) => Some(SealedProposal::of(spec, contract)),
            },
        }
    }
}

/// Key columns with the argument of each.
fn arguments_of(target: &CapabilityTarget) -> impl Iterator<Item = (&str, &str)> {
    target.keys.iter().filter_map(|key| match &key.value {
        KeyValue::Argument(name) => Some((key.column.as_str(), name.as_str())),
        KeyValue::Tenant => None,
    })
}

/// The argument of the row, if there is only one.
fn one_argument(target: &CapabilityTarget) -> Option<&str> {
    let mut names = target.key_arguments();
    names.next().filter(|_| names.next().is_none())
}

impl SealedArg {
    fn of(arg: &Arg) -> Self {
        Self {
            arg_type: arg.arg_type.as_str(),
            required: arg.is_required,
            max_length: arg.max_length,
            minimum: arg.minimum.as_ref().map(tagged),
            maximum: arg.maximum.as_ref().map(tagged),
            allowed: arg
                .allowed
                .as_ref()
                .map(|allowed| allowed.iter().map(Scalar::to_value).collect()),
        }
    }
}

impl<'a> SealedProposal<'a> {
    fn of(spec: &'a ProposalSpec, contract: &'a Contract) -> Self {
        let patch = spec.patch.iter().map(|(column, binding)| {
            let sealed = match binding {
                PatchBinding::Fixed(scalar) => SealedBinding {
                    fixed: Some(scalar.to_value()),
                    from_arg: None,
                    when_absent: None,
                },
                PatchBinding::Arg { name, .. } => SealedBinding {
                    fixed: None,
                    from_arg: Some(name),
                    when_absent: binding.keeps_when_absent().then_some("keep"),
                },
            };
            (column.as_str(), sealed)
        });
        let transitions = spec.transitions.iter().map(|transition| {
            let allowed = transition
                .allowed
                .iter()
                .map(|(from, to)| (from.as_str(), to.as_slice()))
                .collect();
            let sealed = SealedTransition {
                from_column: transition.from_column.as_deref(),
                allowed,
            };
            (transition.column.as_str(), sealed)
        });
        Self {
            patch: patch.collect(),
            allowed_columns: &spec.allowed_columns,
            bounds: spec
                .bounds
                .iter()
                .map(|bound| (bound.column.as_str(), SealedBound::of(bound)))
                .collect(),
            transitions: transitions.collect(),
            guard_column: spec.conflict_guard.column(),
            guard_advance: match spec.conflict_guard.advance() {
                VersionAdvance::None => None,
                VersionAdvance::Increment => Some("increment"),
                VersionAdvance::Now => Some("now"),
            },
            required_role: spec.approval.required_role.as_deref(),
            quorum: spec.approval.quorum,
            db_managed: &spec.db_managed,
            executor: SealedExecutor::of(&spec.executor, contract),
            side_effects_ack: Some(spec.side_effects_ack.as_slice()).filter(|acks| !acks.is_empty()),
        }
    }
}

impl SealedBound {
    fn of(bound: &NumericBound) -> Self {
        Self {
            minimum: bound.minimum.as_ref().map(tagged),
            maximum: bound.maximum.as_ref().map(tagged),
        }
    }
}

impl<'a> SealedExecutor<'a> {
    fn of(executor: &'a ExecutorRef, contract: &'a Contract) -> Self {
        let direct = Self {
            name: super::executor::DIRECT,
            kind: super::executor::DIRECT,
            method: None,
            has_bearer_token: false,
            is_signed: false,
        };
        let ExecutorRef::Handler(name) = executor else {
            return direct;
        };
        let ExecutorSpec { name, kind, .. } = contract
            .executor(name)
            .expect("a checked contract has its executors");
        let (method, has_bearer_token, is_signed) = match kind {
            ExecutorKind::Http {
                method,
                token_env,
                signing_secret_env,
                ..
            } => (
                Some(method.as_str()),
                token_env.is_some(),
                signing_secret_env.is_some(),
            ),
            ExecutorKind::Command { .. } | ExecutorKind::Direct => (None, false, false),
        };
        Self {
            name,
            kind: kind.as_str(),
            method,
            has_bearer_token,
            is_signed,
        }
    }
}

fn tagged(number: &Decimal) -> Value {
    Scalar::Number(number.clone()).to_value()
}
