//! A deployment for many tenants: callers show access tokens, and each sees its own rows. A canary stands in the rows
//! of each tenant, so that a test can tell whose rows an answer is made of.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::binaries::Build;
use crate::deployment::{CONTRACT, Deployment};
use crate::door::{Door, Message};
use crate::issuer::{self, AUDIENCE, ISSUER, IssuerKey, PROPOSE, READ};
use crate::process::Process;
use crate::stack::{Stack, ledger, token_gateway, token_reader};

/// A tenant of the sample database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenant {
    pub name: &'static str,
    /// Its rows.
    pub invoices: [&'static str; 2],
    /// Stands in each of its rows and in no other.
    pub canary: &'static str,
}

pub const ACME: Tenant = Tenant {
    name: "acme",
    invoices: ["INV-3001", "INV-3002"],
    canary: "CANARY-ONE-5b1f7c",
};
pub const GLOBEX: Tenant = Tenant {
    name: "globex",
    invoices: ["INV-9001", "INV-9002"],
    canary: "CANARY-TWO-c03d9e",
};

/// What somebody has on file: a proposal, and the evidence of a read.
#[derive(Debug, Clone)]
pub struct Filed {
    pub proposal: String,
    pub evidence: String,
}

/// The processes, and the issuer whose tokens they take.
pub struct Tenants {
    pub stack: Stack,
    pub gateway: Process,
    pub key: IssuerKey,
}

/// The contract of the tests for callers with tokens.
pub fn contract(jwks_url: Option<&str>) -> String {
    for_tokens(CONTRACT, jwks_url)
}

/// The same contract for callers with tokens.
pub fn for_tokens(contract: &str, jwks_url: Option<&str>) -> String {
    let mut contract: Json = serde_json::from_str(contract).expect("a contract of the tests");
    let mut values = json!({"issuer": ISSUER, "audience": AUDIENCE});
    if let Some(url) = jwks_url {
        values["jwks_url"] = json!(url);
    }
    contract["trusted_context"] = json!({"provider": "http_claims", "values": values});
    contract.to_string()
}

/// Where the reader finds the issuer's keys.
pub fn keys_file(deployment: &Deployment) -> PathBuf {
    deployment.path("issuer/keys.json")
}

impl Tenants {
    /// Ledger, reader and gateway, with the issuer's keys in a file. `more` are flags of the gateway.
    pub fn start(more: &[&str]) -> anyhow::Result<Self> {
        let key = IssuerKey::ed25519("k1")?;
        let deployment = Self::deployment(None)?;
        let file = keys_file(&deployment);
        issuer::publish(&file, &[&key])?;
        Self::of(deployment, key, Some(&file), more)
    }

    /// The same with keys that the reader fetches.
    pub fn fetching(url: &str, key: IssuerKey) -> anyhow::Result<Self> {
        Self::of(Self::deployment(Some(url))?, key, None, &[])
    }

    /// A deployment with canaries in its rows and nothing running.
    pub fn deployment(jwks_url: Option<&str>) -> anyhow::Result<Deployment> {
        let deployment = Deployment::with_contract(Build::Plain, &contract(jwks_url))?;
        std::fs::create_dir(deployment.path("issuer"))?;
        for tenant in [ACME, GLOBEX] {
            deployment.target.execute(&format!(
                "UPDATE invoices SET customer_name = '{}' || id WHERE tenant_id = '{}'",
                tenant.canary, tenant.name
            ))?;
        }
        Ok(deployment)
    }

    fn of(
        deployment: Deployment,
        key: IssuerKey,
        keys: Option<&Path>,
        more: &[&str],
    ) -> anyhow::Result<Self> {
        let ledger = ledger(&deployment, &[])?;
        let reader = token_reader(&deployment, &ledger.address, keys)?;
        let stack = Stack {
            deployment,
            ledger,
            reader,
            writer: None,
        };
        let gateway = token_gateway(&stack, more)?;
        Ok(Self { stack, gateway, key })
    }

    pub fn door(&self) -> Door {
        Door::at(&self.gateway.address)
    }

    /// A token of a principal with all scopes.
    pub fn token(&self, tenant: Tenant, principal: &str) -> String {
        self.token_for(tenant, principal, &format!("{READ} {PROPOSE}"))
    }

    pub fn token_for(&self, tenant: Tenant, principal: &str, scope: &str) -> String {
        self.key.token(&issuer::claims(tenant.name, principal, scope))
    }

    /// Files a proposal and reads a row through the gateway, as a client does that takes tasks.
    pub async fn file(&self, tenant: Tenant, token: &str, reason: &str) -> anyhow::Result<Filed> {
        let door = self.door();
        let filed = door
            .ask(token, &Message::propose(tenant.invoices[0], reason))
            .await?;
        let read = door.ask(token, &Message::inspect(tenant.invoices[0])).await?;
        Ok(Filed {
            proposal: filed.task()?,
            evidence: read.evidence()?,
        })
    }

    /// Everything that the processes have written: logs, the ledger's store, state.
    pub fn written(&self) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
        let mut files = Vec::new();
        let mut folders = vec![self.stack.deployment.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    files.push((entry.path(), std::fs::read(entry.path())?));
                }
            }
        }
        Ok(files)
    }
}
