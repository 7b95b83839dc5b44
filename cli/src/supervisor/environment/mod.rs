//! Selects the variables that a child may hold. Pure: from role and contract to names, and from names to
//! values.

use std::collections::{BTreeMap, BTreeSet};

use synapsor_chassis::run::ExitError;
use synapsor_chassis::settings::EnvVars;
use synapsor_codes::ErrorCode;
use synapsor_domain::context::{PRINCIPAL_ENV, TENANT_ENV};
use synapsor_domain::contract::{ContextProvider, Contract, EngineKind, Mode, Source};

/// Log format and level; every process may have them.
const LOG_VARIABLES: [&str; 2] = ["SYNAPSOR_LOG_LEVEL", "SYNAPSOR_LOG_FORMAT"];

/// File with the token issuer's keys, instead of the URL in the contract.
const JWKS_FILE_ENV: &str = "SYNAPSOR_EXECUTOR_JWKS_FILE";

/// Role of a child, for its environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    Ledger,
    Reader,
    Writer,
    Gateway,
}

/// A variable that a process requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Requirement {
    pub(crate) name: String,
    /// Its purpose, to complete the sentence "… is".
    pub(crate) purpose: String,
    pub(crate) example: &'static str,
    /// Whether the value may come from the file that `NAME_FILE` names.
    pub(crate) is_secret: bool,
}

impl Process {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Gateway => "gateway",
        }
    }
}

/// Variables that a process requires for this contract, in the contract's order.
pub(crate) fn requirements(process: Process, contract: &Contract) -> Vec<Requirement> {
    let mut found = Vec::new();
    match process {
        Process::Ledger | Process::Gateway => {}
        Process::Reader => {
            for source in used_sources(contract, false) {
                let purpose = format!("the read URL of source `{}`", source.name);
                found.push(Requirement::url(&source.read_url_env, purpose, source.engine));
                found.extend(certificates(source));
            }
            found.extend(bindings(contract));
            if contract.tokens().is_some_and(|source| source.jwks_url.is_none()) {
                found.push(Requirement::binding(
                    JWKS_FILE_ENV,
                    "the file with the token issuer's keys",
                    "/absolute/path/jwks.json",
                ));
            }
        }
        Process::Writer => {
            for source in used_sources(contract, true) {
                if let Some(name) = &source.write_url_env {
                    let purpose = format!("the write URL of source `{}`", source.name);
                    found.push(Requirement::url(name, purpose, source.engine));
                    found.extend(certificates(source));
                }
            }
        }
    }
    let mut seen = BTreeSet::new();
    found.retain(|requirement| seen.insert(requirement.name.clone()));
    found
}

/// Names that a process may hold. `token` is the variable with a gateway's HTTP token.
pub(crate) fn allowed(
    process: Process,
    contract: Option<&Contract>,
    token: Option<&str>,
) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = LOG_VARIABLES.iter().map(|name| (*name).to_owned()).collect();
    for requirement in contract
        .map(|contract| requirements(process, contract))
        .unwrap_or_default()
    {
        if requirement.is_secret {
            names.insert(format!("{}_FILE", requirement.name));
        }
        names.insert(requirement.name);
    }
    if let (Process::Reader, Some(contract)) = (process, contract) {
        names.extend(optional_bindings(contract));
        if contract.tokens().is_some() {
            names.insert(JWKS_FILE_ENV.to_owned());
        }
    }
    if let (Process::Gateway, Some(token)) = (process, token) {
        names.insert(token.to_owned());
        names.insert(format!("{token}_FILE"));
    }
    names
}

/// Returns the values of the names that are set.
pub(super) fn take(env: &EnvVars, names: &BTreeSet<String>) -> Result<BTreeMap<String, String>, ExitError> {
    let mut taken = BTreeMap::new();
    for name in names {
        if let Some(value) = env.get(name)? {
            taken.insert(name.clone(), value);
        }
    }
    Ok(taken)
}

/// Returns the requirements that the environment does not meet.
pub(crate) fn missing(env: &EnvVars, requirements: Vec<Requirement>) -> Result<Vec<Requirement>, ExitError> {
    let mut missing = Vec::new();
    for requirement in requirements {
        let file = format!("{}_FILE", requirement.name);
        let is_set =
            env.get(&requirement.name)?.is_some() || (requirement.is_secret && env.get(&file)?.is_some());
        if !is_set {
            missing.push(requirement);
        }
    }
    Ok(missing)
}

/// Rejects the start of `process` while a required variable is not set.
pub(super) fn require(process: Process, env: &EnvVars, contract: &Contract) -> Result<(), ExitError> {
    let missing = missing(env, requirements(process, contract))?;
    let Some(first) = missing.first() else {
        return Ok(());
    };
    let list: Vec<String> = missing
        .iter()
        .map(|m| format!("{} ({})", m.name, m.purpose))
        .collect();
    Err(ExitError::new(
        ErrorCode::EnvMissing,
        format!("the {} needs {}", process.as_str(), list.join(" and ")),
    )
    .with_fix(format!("export {}={}", first.name, first.example)))
}

/// TLS variables of the connection to a source.
fn certificates(source: &Source) -> impl Iterator<Item = Requirement> {
    let ssl = source.ssl.as_ref();
    let names = ssl.map(|ssl| [&ssl.ca_env, &ssl.cert_env, &ssl.key_env]);
    let names = names.into_iter().flatten().flatten();
    names.map(|name| Requirement {
        name: name.clone(),
        purpose: format!("TLS material of source `{}`", source.name),
        example: "\"$(cat FILE.pem)\"",
        is_secret: true,
    })
}

fn used_sources(contract: &Contract, for_writes: bool) -> impl Iterator<Item = &Source> {
    contract.sources().iter().filter(move |source| {
        let uses = |c: &&synapsor_domain::contract::Capability| c.source == source.name;
        let mut capabilities = contract.capabilities().iter().filter(uses);
        if for_writes {
            contract.mode() == Mode::Review && capabilities.any(|c| c.proposal().is_some())
        } else {
            capabilities.next().is_some()
        }
    })
}

/// Tenant and principal of contexts from the environment.
fn bindings(contract: &Contract) -> Vec<Requirement> {
    let contexts = contract
        .capabilities()
        .iter()
        .filter_map(|c| contract.context(&c.context));
    contexts
        .filter(|spec| spec.provider == ContextProvider::Environment)
        .flat_map(|spec| {
            let tenant = spec.tenant_id_env.as_deref().unwrap_or(TENANT_ENV);
            let principal = spec.principal_env.as_deref().unwrap_or(PRINCIPAL_ENV);
            [
                Requirement::binding(tenant, "the trusted tenant", "acme"),
                Requirement::binding(principal, "the trusted principal", "support-agent"),
            ]
        })
        .collect()
}

/// Variables of contexts that also have literals.
fn optional_bindings(contract: &Contract) -> Vec<String> {
    let contexts = contract
        .capabilities()
        .iter()
        .filter_map(|c| contract.context(&c.context));
    contexts
        .flat_map(|spec| spec.tenant_id_env.iter().chain(&spec.principal_env).cloned())
        .collect()
}

impl Requirement {
    fn url(name: &str, purpose: String, engine: EngineKind) -> Self {
        let example = match engine {
            EngineKind::Sqlite => "sqlite:///absolute/path/app.db",
            EngineKind::Postgres => "'postgres://USER:PASSWORD@127.0.0.1:5432/DATABASE'",
            EngineKind::Mysql => "'mysql://USER:PASSWORD@127.0.0.1:3306/DATABASE'",
        };
        Self {
            name: name.to_owned(),
            purpose,
            example,
            is_secret: true,
        }
    }

    fn binding(name: &str, purpose: &str, example: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            purpose: purpose.to_owned(),
            example,
            is_secret: false,
        }
    }
}

#[cfg(test)]
mod tests;
