//! Access table: which roles may call which services. It is checked before a message is read; a service that is
//! not in the table is denied to all peers.

use std::collections::{BTreeMap, BTreeSet};

use synapsor_codes::ErrorCode;

use crate::identity::{PeerIdentity, Role};

const HEALTH: &str = "grpc.health.v1.Health";

/// Services that peers may call on one server.
#[derive(Debug, Clone)]
pub struct AccessTable {
    deployment: String,
    services: BTreeMap<String, BTreeSet<Role>>,
    only: BTreeMap<Role, BTreeSet<PeerIdentity>>,
}

/// Reason for denying a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessDenied {
    /// The certificate has no valid identity.
    #[error("the client certificate has no valid identity")]
    NoIdentity,
    /// The peer belongs to another deployment.
    #[error("the client certificate belongs to another deployment")]
    OtherDeployment,
    /// The table does not contain the service.
    #[error("this server does not offer this service")]
    UnknownService,
    /// The peer's role may not call the service.
    #[error("permission denied for this role")]
    Role,
    /// The role is allowed, but this peer is not listed.
    #[error("this server does not accept this peer")]
    NotListed,
}

impl AccessDenied {
    /// Returns the stable error code.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::NoIdentity => ErrorCode::PeerIdentityInvalid,
            Self::OtherDeployment => ErrorCode::PeerDeploymentRefused,
            Self::UnknownService => ErrorCode::ServiceUnknown,
            Self::Role => ErrorCode::PeerRoleRefused,
            Self::NotListed => ErrorCode::PeerNotListed,
        }
    }
}

impl AccessTable {
    /// Creates a table for peers of `deployment` that allows health checks only.
    pub fn new(deployment: impl Into<String>) -> Self {
        Self {
            deployment: deployment.into(),
            services: BTreeMap::new(),
            only: BTreeMap::new(),
        }
    }

    /// Allows `roles` to call `service` (full name, `package.Service`).
    #[must_use]
    pub fn allow(mut self, service: &str, roles: &[Role]) -> Self {
        self.services.entry(service.to_owned()).or_default().extend(roles);
        self
    }

    /// Restricts `role` to the listed `peers`. An empty list accepts none.
    #[must_use]
    pub fn only(mut self, role: Role, peers: impl IntoIterator<Item = PeerIdentity>) -> Self {
        self.only.entry(role).or_default().extend(peers);
        self
    }

    /// Returns the deployment whose peers are accepted.
    pub fn deployment(&self) -> &str {
        &self.deployment
    }

    /// Returns the names of the services in the table.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(String::as_str)
    }

    /// Checks that `peer` may call `path` (`/package.Service/Method`). Every peer of the deployment may call
    /// health checks.
    ///
    /// # Errors
    /// The first reason for denying the call.
    pub fn check(&self, path: &str, peer: &PeerIdentity) -> Result<(), AccessDenied> {
        if peer.deployment() != self.deployment {
            return Err(AccessDenied::OtherDeployment);
        }
        let service = service_of(path).ok_or(AccessDenied::UnknownService)?;
        if service == HEALTH {
            return Ok(());
        }
        let roles = self.services.get(service).ok_or(AccessDenied::UnknownService)?;
        if !roles.contains(&peer.role()) {
            return Err(AccessDenied::Role);
        }
        match self.only.get(&peer.role()) {
            Some(listed) if !listed.contains(peer) => Err(AccessDenied::NotListed),
            Some(_) | None => Ok(()),
        }
    }
}

fn service_of(path: &str) -> Option<&str> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    (!service.is_empty() && !method.is_empty() && !method.contains('/')).then_some(service)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(uri: &str) -> PeerIdentity {
        uri.parse().unwrap()
    }

    fn table() -> AccessTable {
        AccessTable::new("d")
            .allow("a.Agent", &[Role::Gateway])
            .allow("a.Schema", &[Role::Operator, Role::Writer])
            .only(Role::Gateway, [peer("spiffe://d/gateway/mine")])
    }

    #[test]
    fn table_allows_exactly_the_listed_calls() {
        for (path, uri, outcome) in [
            ("/a.Agent/Call", "spiffe://d/gateway/mine", Ok(())),
            (
                "/a.Agent/Call",
                "spiffe://d/gateway/other",
                Err(AccessDenied::NotListed),
            ),
            (
                "/a.Agent/Call",
                "spiffe://d/operator/ann",
                Err(AccessDenied::Role),
            ),
            (
                "/a.Agent/Call",
                "spiffe://e/gateway/mine",
                Err(AccessDenied::OtherDeployment),
            ),
            ("/a.Schema/Inspect", "spiffe://d/operator/ann", Ok(())),
            ("/a.Schema/Inspect", "spiffe://d/writer/w", Ok(())),
            (
                "/a.Schema/Inspect",
                "spiffe://d/gateway/mine",
                Err(AccessDenied::Role),
            ),
            (
                "/a.Other/Call",
                "spiffe://d/gateway/mine",
                Err(AccessDenied::UnknownService),
            ),
            ("/grpc.health.v1.Health/Check", "spiffe://d/gateway/other", Ok(())),
            (
                "/grpc.health.v1.Health/Check",
                "spiffe://e/ledger",
                Err(AccessDenied::OtherDeployment),
            ),
            (
                "/grpc.reflection.v1.ServerReflection/X",
                "spiffe://d/operator/ann",
                Err(AccessDenied::UnknownService),
            ),
        ] {
            assert_eq!(table().check(path, &peer(uri)), outcome, "{path} by {uri}");
        }
    }

    #[test]
    fn malformed_paths_are_unknown_services() {
        let ann = peer("spiffe://d/operator/ann");
        for path in [
            "",
            "/",
            "a.Schema/Inspect",
            "/a.Schema",
            "/a.Schema/",
            "//a.Schema/X",
            "/a.Schema/X/Y",
            "/a.schema/X",
        ] {
            assert_eq!(
                table().check(path, &ann),
                Err(AccessDenied::UnknownService),
                "{path}"
            );
        }
    }
}
