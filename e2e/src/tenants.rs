//! Deployment for many tenants: callers use access tokens, and each sees the rows of its own tenant. The rows of
//! each tenant contain a canary, so that a test can detect rows of another tenant in a response.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::binaries::Build;
use crate::deployment::{CONTRACT, Deployment};
use crate::issuer::{self, AUDIENCE, ISSUER, IssuerKey, PROPOSE, READ};
use crate::mcp_http::{McpHttpClient, Message};
use crate::process::Process;
use crate::stack::{Stack, ledger, token_gateway, token_reader};

/// A tenant of the sample database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenant {
    pub name: &'static str,
    /// Rows of the tenant.
    pub invoices: [&'static str; 2],
    /// Value in each of its rows and in no others.
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

/// Records of a caller: a proposal, and the evidence of a read.
#[derive(Debug, Clone)]
pub struct Filed {
    pub proposal: String,
    pub evidence: String,
}

/// Processes, and the issuer of their tokens.
pub struct Tenants {
    pub stack: Stack,
    pub gateway: Process,
    pub key: IssuerKey,
}

/// Test contract for callers with tokens.
pub fn contract(jwks_url: Option<&str>) -> String {
    for_tokens(CONTRACT, jwks_url)
}

/// Adapts a contract for callers with tokens.
pub fn for_tokens(contract: &str, jwks_url: Option<&str>) -> String {
    let mut values = json!({"issuer": ISSUER, "audience": AUDIENCE});
    if let Some(url) = jwks_url {
        values["jwks_url"] = json!(url);
    }
    for_issuer(contract, &values)
}

/// Adapts a contract for callers with tokens that these values describe.
pub fn for_issuer(contract: &str, values: &Json) -> String {
    let mut contract: Json = serde_json::from_str(contract).expect("a contract of the tests");
    contract["trusted_context"] = json!({"provider": "http_claims", "values": values});
    contract.to_string()
}

/// Key file of the issuer for the reader.
pub fn keys_file(deployment: &Deployment) -> PathBuf {
    deployment.path("issuer/keys.json")
}

impl Tenants {
    /// Starts ledger, reader and gateway, with the issuer's keys in a file. `more` are gateway flags.
    pub fn start(more: &[&str]) -> anyhow::Result<Self> {
        Self::start_as(Build::Plain, &[], more)
    }

    /// Starts the same with the binaries of a build; `ledger` are variables of the ledger.
    pub fn start_as(build: Build, ledger: &[(&str, &str)], more: &[&str]) -> anyhow::Result<Self> {
        let key = IssuerKey::ed25519("k1")?;
        let deployment = Self::deployment_as(build, &contract(None))?;
        let file = keys_file(&deployment);
        issuer::publish(&file, &[&key])?;
        Self::of(deployment, key, Some(&file), ledger, more)
    }

    /// Starts the same for tokens that these values of the contract describe.
    pub fn of_issuer(values: &Json, key: IssuerKey) -> anyhow::Result<Self> {
        let deployment = Self::deployment_as(Build::Plain, &for_issuer(CONTRACT, values))?;
        let file = keys_file(&deployment);
        issuer::publish(&file, &[&key])?;
        Self::of(deployment, key, Some(&file), &[], &[])
    }

    /// Starts the same with keys that the reader fetches.
    pub fn fetching(url: &str, key: IssuerKey) -> anyhow::Result<Self> {
        Self::of(Self::deployment(Some(url))?, key, None, &[], &[])
    }

    /// Creates a deployment with canaries in its rows, without processes.
    pub fn deployment(jwks_url: Option<&str>) -> anyhow::Result<Deployment> {
        Self::deployment_as(Build::Plain, &contract(jwks_url))
    }

    fn deployment_as(build: Build, contract: &str) -> anyhow::Result<Deployment> {
        let deployment = Deployment::with_contract(build, contract)?;
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
        variables: &[(&str, &str)],
        more: &[&str],
    ) -> anyhow::Result<Self> {
        let ledger = ledger(&deployment, variables)?;
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

    pub fn mcp_client(&self) -> McpHttpClient {
        McpHttpClient::at(&self.gateway.address)
    }

    /// Token of a principal with all scopes.
    pub fn token(&self, tenant: Tenant, principal: &str) -> String {
        self.token_for(tenant, principal, &format!("{READ} {PROPOSE}"))
    }

    pub fn token_for(&self, tenant: Tenant, principal: &str, scope: &str) -> String {
        self.key.token(&issuer::claims(tenant.name, principal, scope))
    }

    /// Creates a proposal and reads a row through the gateway, as a client with task support does.
    pub async fn file(&self, tenant: Tenant, token: &str, reason: &str) -> anyhow::Result<Filed> {
        let client = self.mcp_client();
        let submitted = client
            .ask(token, &Message::propose(tenant.invoices[0], reason))
            .await?;
        let read = client.ask(token, &Message::inspect(tenant.invoices[0])).await?;
        Ok(Filed {
            proposal: submitted.task()?,
            evidence: read.evidence()?,
        })
    }

    /// All files that the processes have written: logs, the ledger's store, state.
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
