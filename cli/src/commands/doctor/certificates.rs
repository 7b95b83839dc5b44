//! Checks the expiry of certificates that `certs issue` wrote.

use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_codes::ErrorCode;
use synapsor_domain::timestamp::Timestamp;

use super::check::{CheckLevel, DoctorCheck};
use crate::commands::certs;
use crate::{Context, state};

/// Remaining validity below which a certificate is reported, in milliseconds.
const SOON_MS: i64 = 3 * 3_600_000;

pub(super) fn checks(context: &Context) -> Vec<DoctorCheck> {
    let state = match state::find(context) {
        Ok(state) => state,
        Err(error) if error.code() == ErrorCode::StateNotFound => return Vec::new(),
        Err(error) => return vec![DoctorCheck::of_error("certificates", &error)],
    };
    let leaves = match certs::leaves_below(&state.issued_certs_dir()) {
        Ok(leaves) => leaves,
        Err(error) => return vec![DoctorCheck::of_error("certificates", &error)],
    };
    let now_ms = SystemClock.now_ms();
    let mut checks = Vec::new();
    for leaf in &leaves {
        let left = leaf.not_after_ms - now_ms;
        if left > SOON_MS {
            continue;
        }
        let end = Timestamp::from_unix_millis(leaf.not_after_ms);
        let (level, text) = match left {
            ..=0 => (
                CheckLevel::Fail,
                format!("the certificate `{}` ended at {end}", leaf.name),
            ),
            _ => (
                CheckLevel::Warn,
                format!("the certificate `{}` ends at {end}", leaf.name),
            ),
        };
        checks.push(DoctorCheck::finding(
            format!("certificate:{}", leaf.name),
            (level, ErrorCode::CertificateEnds),
            text,
            "services refuse a connection with an ended certificate",
            Some(format!(
                "synapsor-runner certs issue {} {}",
                leaf.identity.role(),
                leaf.name
            )),
        ));
    }
    if checks.is_empty() && !leaves.is_empty() {
        checks.push(DoctorCheck::pass(
            "certificates",
            format!("{} issued, all valid", leaves.len()),
        ));
    }
    checks
}
