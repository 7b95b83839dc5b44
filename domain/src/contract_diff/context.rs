//! Differences of where tenant and principal come from.

use super::ChangeList;
use crate::contract::{ContextProvider, ContextSpec};

/// Variables that the reader takes if the file names none.
const TENANT: &str = "SYNAPSOR_TENANT_ID";
const PRINCIPAL: &str = "SYNAPSOR_PRINCIPAL";

pub(super) fn compare(before: Option<&ContextSpec>, after: Option<&ContextSpec>, changes: &mut ChangeList) {
    let (Some(before), Some(after)) = (before, after) else {
        if before.is_some() != after.is_some() {
            changes.widens("tenant and principal come from another context");
        }
        return;
    };
    if before.provider != after.provider {
        changes.widens(format!(
            "tenant and principal come from `{}` instead of `{}`",
            after.provider.as_str(),
            before.provider.as_str()
        ));
        return;
    }
    let named = |name: &Option<String>, default: &str| {
        let name = name.clone().unwrap_or_else(|| default.to_owned());
        Some(name).filter(|_| before.provider == ContextProvider::Environment)
    };
    for (word, from, to) in [
        (
            "the variable of the tenant",
            &named(&before.tenant_id_env, TENANT),
            &named(&after.tenant_id_env, TENANT),
        ),
        (
            "the variable of the principal",
            &named(&before.principal_env, PRINCIPAL),
            &named(&after.principal_env, PRINCIPAL),
        ),
        ("the tenant", &before.tenant_id, &after.tenant_id),
        ("the principal", &before.principal, &after.principal),
    ] {
        if from != to {
            let shown = |value: &Option<String>| value.as_deref().unwrap_or("none").to_owned();
            changes.widens(format!("{word} is `{}` instead of `{}`", shown(to), shown(from)));
        }
    }
    let tokens = |spec: &ContextSpec| spec.tokens().map(|tokens| tokens.policy.clone());
    if tokens(before) != tokens(after) {
        changes.widens("other access tokens are accepted");
    }
    let keys = |spec: &ContextSpec| spec.tokens().and_then(|tokens| tokens.jwks_url.clone());
    if keys(before) != keys(after) {
        changes.widens("the keys of access tokens come from another URL");
    }
}
