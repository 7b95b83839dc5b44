//! Resolves the reader's trusted contexts: tenant and principal of every context of the contract, once at start
//! from this process's own environment, or for each call from the caller's verified token. No message carries
//! either.

use std::collections::HashMap;

use serde::Serialize;
use synapsor_chassis::secret::{Secret, SecretError};
use synapsor_chassis::settings::EnvVars;
use synapsor_codes::ErrorCode;
use synapsor_domain::canonical;
use synapsor_domain::context::{self, TrustedContext};
use synapsor_domain::contract::{ContextName, ContextSpec, Contract};
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;

use crate::callers::{CallIdentity, token_required};

/// Resolved contexts of one reader.
#[derive(Debug, Clone)]
pub struct ContextResolver {
    /// Identity in the reader's certificate: the process that the contexts are bound to.
    reader: String,
    by_name: HashMap<ContextName, ContextBinding>,
}

#[derive(Debug, Clone)]
enum ContextBinding {
    Own(Result<TrustedContext, PublicError>),
    FromToken(Box<ContextSpec>),
}

#[derive(Serialize)]
struct Bound<'a> {
    reader: &'a str,
    tenant: &'a str,
    principal: &'a str,
    provenance: &'a str,
    // Absent for contexts of this process's own environment, which keep their original digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Digest>,
}

impl ContextResolver {
    /// Resolves every context that a capability names. A missing binding is logged now, and rejects the calls
    /// that need it.
    ///
    /// # Errors
    /// When a variable of a context cannot be read.
    pub fn resolve(contract: &Contract, reader: String, env: &EnvVars) -> Result<Self, SecretError> {
        let mut by_name = HashMap::new();
        for capability in contract.capabilities() {
            let name = &capability.context;
            if by_name.contains_key(name) {
                continue;
            }
            let resolved = match contract.context(name) {
                Some(spec) if spec.tokens().is_some() => {
                    by_name.insert(name.clone(), ContextBinding::FromToken(Box::new(spec.clone())));
                    continue;
                }
                Some(spec) => {
                    let names = [spec.tenant_id_env.as_deref(), spec.principal_env.as_deref()];
                    let defaults = [context::TENANT_ENV, context::PRINCIPAL_ENV];
                    let mut values: HashMap<&str, String> = HashMap::new();
                    for name in names.into_iter().flatten().chain(defaults) {
                        if let Some(value) = Secret::read_optional(env, name)? {
                            values.insert(name, value.expose().to_owned());
                        }
                    }
                    context::resolve(spec, |name| values.get(name).cloned())
                }
                None => Err(unknown_context()),
            };
            if let Err(refusal) = &resolved {
                tracing::warn!(code = %refusal.code, "{}", refusal.public);
            }
            by_name.insert(name.clone(), ContextBinding::Own(resolved));
        }
        Ok(Self { reader, by_name })
    }

    /// Returns tenant and principal for this caller under this context.
    pub(crate) fn get(
        &self,
        name: &ContextName,
        caller: &CallIdentity,
    ) -> Result<TrustedContext, PublicError> {
        match (self.by_name.get(name), caller) {
            (Some(ContextBinding::Own(resolved)), _) => resolved.clone(),
            (Some(ContextBinding::FromToken(spec)), CallIdentity::Bearer(token)) => {
                context::of_token(spec, token)
            }
            (Some(ContextBinding::FromToken(_)), CallIdentity::Own) => Err(token_required()),
            (None, _) => Err(unknown_context()),
        }
    }

    /// Returns tenant and principal of every context that has both for this caller; several contexts may have
    /// the same.
    pub(crate) fn all(&self, caller: &CallIdentity) -> impl Iterator<Item = TrustedContext> {
        self.by_name.keys().filter_map(|name| self.get(name, caller).ok())
    }

    /// Digest in a proposal that states the origin of its context.
    pub(crate) fn binding(&self, context: &TrustedContext, caller: &CallIdentity) -> Digest {
        let binding = Bound {
            token: match caller {
                CallIdentity::Own => None,
                CallIdentity::Bearer(token) => Some(token.fingerprint()),
            },
            reader: &self.reader,
            tenant: &context.tenant,
            principal: &context.principal,
            provenance: context.provenance.as_str(),
        };
        let bytes = canonical::encode(&binding).expect("four bounded strings");
        Digest::of_typed("application/vnd.synapsor.context-binding.v1+json", &bytes)
    }
}

fn unknown_context() -> PublicError {
    PublicError::new(
        ErrorCode::TrustedContextMissing,
        "The contract has no such trusted context.",
    )
}
