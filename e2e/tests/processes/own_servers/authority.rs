//! Certificates of the tests: authorities, and leaves that are valid or invalid in one way each.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// Certificate authority.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// Certificate with its key, both PEM.
pub(crate) struct Leaf {
    /// Certificate of its authority.
    pub(crate) issuer: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Validity period of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    Valid,
    /// Valid for [`BRIEFLY`].
    Brief,
}

/// Long enough for a server to load a certificate: some refuse an expired one.
pub(crate) const BRIEFLY: Duration = Duration::from_secs(2);

fn now_since_1970() -> Duration {
    Duration::from_millis(synapsor_e2e::now().as_unix_millis().unsigned_abs())
}

fn params(names: &[&str], age: Age) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())?;
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = match age {
        Age::Valid => date_time_ymd(2090, 1, 1),
        Age::Brief => date_time_ymd(1970, 1, 1) + now_since_1970() + BRIEFLY,
    };
    Ok(params)
}

impl Authority {
    pub(crate) fn new(name: &str) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = params(&[], Age::Valid)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key)?.pem();
        Ok(Self {
            pem,
            issuer: Issuer::new(params, key),
        })
    }

    /// Issues a certificate for servers with these names and addresses, also valid for clients.
    pub(crate) fn leaf(&self, names: &[&str], age: Age) -> anyhow::Result<Leaf> {
        let key = KeyPair::generate()?;
        let mut params = params(names, age)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "leaf of a test");
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        Ok(Leaf {
            issuer: self.pem.clone(),
            certificate: params.signed_by(&key, &self.issuer)?.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// Issues a self-signed certificate.
pub(crate) fn self_signed(names: &[&str]) -> anyhow::Result<Leaf> {
    let key = KeyPair::generate()?;
    let certificate = params(names, Age::Valid)?.self_signed(&key)?.pem();
    Ok(Leaf {
        issuer: certificate.clone(),
        certificate,
        key: key.serialize_pem(),
    })
}

/// Writes a file that only the owner of its directory can read.
pub(crate) fn write_for_owner(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = std::fs::metadata(path.parent().unwrap_or(Path::new(".")))?;
    std::fs::write(path, text)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    if std::fs::metadata(path)?.uid() != folder.uid() {
        chown(path, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(())
}
