//! Peer identity: one URI in the certificate, `spiffe://<deployment>/<role>[/<instance>]`, parsed strictly. Access
//! is decided in `grpc_server`.

use std::fmt;
use std::str::FromStr;

use synapsor_codes::ErrorCode;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// Maximum size of a deployment id or an instance name, in bytes.
pub const NAME_BYTES_MAX: usize = 63;

const SCHEME: &str = "spiffe://";

/// Roles of processes that hold a certificate of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Serves MCP clients.
    Gateway,
    /// Reads the source database.
    Reader,
    /// Writes the source database.
    Writer,
    /// Stores the records.
    Ledger,
    /// CLI of an operator.
    Operator,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [
        Self::Gateway,
        Self::Reader,
        Self::Writer,
        Self::Ledger,
        Self::Operator,
    ];

    /// Returns the name used in certificates and on command lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Ledger => "ledger",
            Self::Operator => "operator",
        }
    }

    /// Whether certificates of this role are valid for servers.
    pub fn serves(self) -> bool {
        match self {
            Self::Reader | Self::Writer | Self::Ledger => true,
            Self::Gateway | Self::Operator => false,
        }
    }

    /// Whether the URI of this role has an instance name. Only the ledger's has none.
    pub fn has_instance(self) -> bool {
        self != Self::Ledger
    }

    /// Returns the DNS name in this role's server certificates. Clients require it, whatever address they connect
    /// to.
    pub fn server_name(self) -> String {
        format!("{}.synapsor.internal", self.as_str())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(IdentityError::UnknownRole)
    }
}

/// Identity in a certificate. Displays as its URI.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerIdentity {
    deployment: String,
    role: Role,
    instance: Option<String>,
}

/// Reason why a certificate or a URI has no valid identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The bytes are not a certificate.
    #[error("invalid certificate")]
    NotACertificate,
    /// The subject alternative names contain no URI; the common name is never used.
    #[error("the certificate has no URI name")]
    NoUri,
    /// More than one URI.
    #[error("the certificate has more than one URI name")]
    SeveralUris,
    /// The URI is not a valid identity.
    #[error("the URI name is not spiffe://<deployment>/<role>[/<instance>]")]
    BadForm,
    /// Unknown role.
    #[error("unknown role: expected gateway, reader, writer, ledger or operator")]
    UnknownRole,
    /// The deployment is not 1 to 63 of `a-z 0-9 . _ -`, starting with a letter or digit.
    #[error("a deployment id is 1 to 63 of a-z, 0-9, '.', '_', '-' and starts with a letter or a digit")]
    BadDeployment,
    /// The instance is not 1 to 63 of `A-Z a-z 0-9 . _ -`, starting with a letter or digit.
    #[error(
        "an instance name is 1 to 63 of A-Z, a-z, 0-9, '.', '_', '-' and starts with a letter or a digit"
    )]
    BadInstance,
}

impl IdentityError {
    /// Returns the stable error code.
    pub fn code(self) -> ErrorCode {
        ErrorCode::PeerIdentityInvalid
    }
}

impl From<IdentityError> for crate::run::ExitError {
    fn from(error: IdentityError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl PeerIdentity {
    /// Creates an identity from its parts. The ledger has no instance; every other role requires one.
    ///
    /// # Errors
    /// When a part is malformed, or an instance is missing or not allowed.
    pub fn new(deployment: &str, role: Role, instance: Option<&str>) -> Result<Self, IdentityError> {
        if !is_name(deployment) || deployment.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(IdentityError::BadDeployment);
        }
        if instance.is_some() != role.has_instance() {
            return Err(IdentityError::BadForm);
        }
        if !instance.is_none_or(is_name) {
            return Err(IdentityError::BadInstance);
        }
        Ok(Self {
            deployment: deployment.to_owned(),
            role,
            instance: instance.map(str::to_owned),
        })
    }

    /// Parses the identity in a DER certificate: exactly one URI name, in the required form.
    ///
    /// # Errors
    /// When the bytes are not a certificate, or the names do not contain exactly one valid URI.
    pub fn from_certificate(der: &[u8]) -> Result<Self, IdentityError> {
        let (rest, certificate) =
            x509_parser::parse_x509_certificate(der).map_err(|_| IdentityError::NotACertificate)?;
        if !rest.is_empty() {
            return Err(IdentityError::NotACertificate);
        }
        only_uri(&certificate)?.parse()
    }

    /// Returns the deployment that issued the certificate.
    pub fn deployment(&self) -> &str {
        &self.deployment
    }

    /// Returns the role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Returns the instance: the process's or operator's name; `None` for the ledger only.
    pub fn instance(&self) -> Option<&str> {
        self.instance.as_deref()
    }

    /// Returns the URI.
    pub fn uri(&self) -> String {
        self.to_string()
    }
}

fn only_uri<'a>(certificate: &'a X509Certificate<'_>) -> Result<&'a str, IdentityError> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| IdentityError::NotACertificate)?
        .ok_or(IdentityError::NoUri)?;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let uri = uris.next().ok_or(IdentityError::NoUri)?;
    if uris.next().is_some() {
        Err(IdentityError::SeveralUris)
    } else {
        Ok(uri)
    }
}

/// Whether `text` is valid as a part of an identity, and therefore as a file name.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

impl FromStr for PeerIdentity {
    type Err = IdentityError;

    fn from_str(uri: &str) -> Result<Self, IdentityError> {
        let mut parts = uri.strip_prefix(SCHEME).ok_or(IdentityError::BadForm)?.split('/');
        let deployment = parts.next().ok_or(IdentityError::BadForm)?;
        let role = parts.next().ok_or(IdentityError::BadForm)?.parse()?;
        let instance = parts.next();
        if parts.next().is_some() {
            return Err(IdentityError::BadForm);
        }
        Self::new(deployment, role, instance)
    }
}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.deployment, self.role)?;
        match &self.instance {
            Some(instance) => write!(f, "/{instance}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_round_trips_through_its_uri() {
        for role in Role::ALL {
            let identity = PeerIdentity::new("d-1", role, role.has_instance().then_some("a.B_c-1")).unwrap();
            assert_eq!(identity.uri().parse::<PeerIdentity>(), Ok(identity));
        }
        assert_eq!(
            PeerIdentity::new("d", Role::Ledger, None).unwrap().uri(),
            "spiffe://d/ledger"
        );
    }

    #[test]
    fn rejects_malformed_uris() {
        let long = format!("spiffe://d/reader/{}", "a".repeat(64));
        for (uri, error) in [
            ("https://d/reader/a", IdentityError::BadForm),
            ("SPIFFE://d/reader/a", IdentityError::BadForm),
            ("spiffe://d", IdentityError::BadForm),
            ("spiffe://d/reader", IdentityError::BadForm),
            ("spiffe://d/ledger/a", IdentityError::BadForm),
            ("spiffe://d/reader/a/b", IdentityError::BadForm),
            ("spiffe://d/reader/", IdentityError::BadInstance),
            ("spiffe://d/reader/..", IdentityError::BadInstance),
            ("spiffe://d/reader/a%2fb", IdentityError::BadInstance),
            ("spiffe://d/reader/a?x", IdentityError::BadInstance),
            (long.as_str(), IdentityError::BadInstance),
            ("spiffe://D/reader/a", IdentityError::BadDeployment),
            ("spiffe:///reader/a", IdentityError::BadDeployment),
            ("spiffe://u@d/reader/a", IdentityError::BadDeployment),
            ("spiffe://d/Reader/a", IdentityError::UnknownRole),
            ("spiffe://d/admin/a", IdentityError::UnknownRole),
        ] {
            assert_eq!(uri.parse::<PeerIdentity>(), Err(error), "{uri}");
        }
    }

    #[test]
    fn rejects_bytes_that_are_not_a_certificate() {
        assert_eq!(
            PeerIdentity::from_certificate(b"junk"),
            Err(IdentityError::NotACertificate)
        );
    }
}
