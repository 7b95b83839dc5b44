//! Test CA that also issues certificates that the product's own CA refuses to create.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, SanType,
};
use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::identity::Role;
use synapsor_chassis::tls::TlsMaterial;
use time::OffsetDateTime;
use zeroize::Zeroizing;

pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// Certificate and key, PEM.
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn pair(&self, uris: &[&str], dns: &[&str], serves: bool, ends_in: i64) -> Pair {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::default();
        params.not_before = OffsetDateTime::now_utc() - Duration::from_secs(3_600);
        params.not_after = OffsetDateTime::now_utc() + time::Duration::seconds(ends_in);
        params
            .distinguished_name
            .push(DnType::CommonName, "spiffe://d1/operator/from-the-common-name");
        params.subject_alt_names = uris
            .iter()
            .map(|uri| SanType::URI((*uri).try_into().unwrap()))
            .chain(
                dns.iter()
                    .map(|name| SanType::DnsName((*name).try_into().unwrap())),
            )
            .collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if serves {
            params
                .extended_key_usages
                .push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        let cert = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair {
            cert,
            key: key.serialize_pem(),
        }
    }

    /// Returns the TLS material of a process with the identity `uri`.
    pub(crate) fn material(&self, uri: &str) -> TlsMaterial {
        let role: Role = uri.split('/').nth(3).unwrap().parse().unwrap();
        let name = role.server_name();
        self.odd_material(&self.pair(&[uri], &[&name], role.serves(), 3_600))
    }

    pub(crate) fn odd_material(&self, pair: &Pair) -> TlsMaterial {
        let key = Zeroizing::new(pair.key.clone().into_bytes());
        TlsMaterial::from_pem(
            self.pem.as_bytes(),
            pair.cert.as_bytes(),
            &key,
            SystemClock.now_ms(),
        )
        .unwrap()
    }
}
