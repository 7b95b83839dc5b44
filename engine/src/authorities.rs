//! Reads a bundle of certificate authorities.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use synapsor_source::error_cause::CertificatesProblem;

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const END: &[u8] = b"-----END CERTIFICATE-----";

/// Returns the authorities of a bundle that the TLS library accepts, without the text around them. One authority of an
/// old form must not spoil the others, but a bundle with a cut one may lack others too.
///
/// # Errors
/// When there is none, or when one is cut.
pub(crate) fn usable(bundle: &[u8]) -> Result<Vec<u8>, CertificatesProblem> {
    find(bundle, BEGIN).ok_or(CertificatesProblem::NotPem)?;
    let mut store = RootCertStore::empty();
    let mut usable = Vec::new();
    let mut rest = bundle;
    while let Some(begin) = find(rest, BEGIN) {
        rest = &rest[begin..];
        let end = find(rest, END).ok_or(CertificatesProblem::Cut)?;
        if find(&rest[BEGIN.len()..end], BEGIN).is_some() {
            return Err(CertificatesProblem::Cut);
        }
        let (block, after) = rest.split_at(end + END.len());
        rest = after;
        let parsed = CertificateDer::from_pem_slice(block);
        if parsed.is_ok_and(|certificate| store.add(certificate).is_ok()) {
            usable.extend_from_slice(block);
            usable.push(b'\n');
        }
    }
    if usable.is_empty() {
        return Err(CertificatesProblem::NoneAccepted);
    }
    Ok(usable)
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = include_str!("../tests/authority.pem");

    fn count(bundle: &[u8]) -> usize {
        let usable = usable(bundle).unwrap_or_default();
        CertificateDer::pem_slice_iter(&usable).flatten().count()
    }

    #[test]
    fn text_between_certificates_is_skipped() {
        let windows = ROOT.replace('\n', "\r\n");
        for bundle in [
            ROOT.as_bytes().to_vec(),
            windows.clone().into_bytes(),
            ["\u{feff}", ROOT].concat().into_bytes(),
            [b"# R\xe9gion 1\n".as_slice(), ROOT.as_bytes()].concat(),
            format!("Subject: CN = {ROOT}Issuer\n").into_bytes(),
        ] {
            assert_eq!(count(&bundle), 1, "{}", bundle.escape_ascii());
        }
        assert_eq!(count([ROOT, windows.as_str()].concat().as_bytes()), 2);
        assert_eq!(count(ROOT.repeat(150).as_bytes()), 150);
    }

    #[test]
    fn certificate_that_is_not_accepted_spoils_no_other() {
        let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(count([odd, ROOT].concat().as_bytes()), 1);
        assert_eq!(usable(odd.as_bytes()), Err(CertificatesProblem::NoneAccepted));
        for bundle in [b"".as_slice(), b"\x30\x82\x01\x0a"] {
            assert_eq!(usable(bundle), Err(CertificatesProblem::NotPem));
        }
    }

    #[test]
    fn cut_certificate_is_reported_wherever_it_is() {
        let cut = &ROOT[..ROOT.len() / 2];
        for parts in [&[cut][..], &[ROOT, cut], &[cut, "\n", ROOT], &[cut, ROOT, ROOT]] {
            let bundle = parts.concat();
            assert_eq!(
                usable(bundle.as_bytes()),
                Err(CertificatesProblem::Cut),
                "{bundle}"
            );
        }
    }
}
