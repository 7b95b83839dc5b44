//! Checks the trust file, the operator's key, and the ledger.

use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::signing::SigningKey;
use synapsor_domain::trust::{DeploymentEnvironment, TrustFile};

use super::check::{CheckLevel, DoctorCheck};
use crate::commands::writeback::ledger_findings;
use crate::{Context, operator_key, state};

/// Checks that need no running service.
pub(super) fn key_checks(context: &Context) -> Vec<DoctorCheck> {
    const NAME: &str = "trust-file";
    let path = match state::trust_path(context) {
        Ok(path) => path,
        Err(error) => return vec![not_created(&error, context)],
    };
    let trust = match state::load_trust(&path) {
        Ok(trust) => trust,
        Err(error) if context.global.trust.is_none() => return vec![not_created(&error, context)],
        Err(error) => return vec![DoctorCheck::of_error(NAME, &error)],
    };
    let mut checks = vec![DoctorCheck::pass(
        NAME,
        format!("{}: environment {}", path.display(), trust.environment),
    )];
    checks.push(key_check(context, &trust));
    checks
}

fn key_check(context: &Context, trust: &TrustFile) -> DoctorCheck {
    const NAME: &str = "operator-key";
    let Some(path) = operator_key::path_here(context, trust)
        .filter(|path| path.exists() || context.global.signing_key.is_some())
    else {
        return DoctorCheck::pass(NAME, "no signing key here; this machine cannot approve");
    };
    let pem = match operator_key::read_pem(&path) {
        Ok(pem) => pem,
        Err(error) => return DoctorCheck::of_error(NAME, &error),
    };
    let is_protected = SigningKey::is_protected(&pem);
    if !needs_passphrase(is_protected, trust.environment) {
        return DoctorCheck::pass(NAME, operator_key::posture_of(is_protected));
    }
    DoctorCheck::finding(
        NAME,
        (CheckLevel::Fail, ErrorCode::KeyUnprotected),
        format!(
            "the signing key has no passphrase in environment {}",
            trust.environment
        ),
        "everyone who can read the file can approve",
        Some(context.global.command("operator protect")),
    )
}

/// Whether a key lacks the passphrase that its environment requires.
fn needs_passphrase(is_protected: bool, environment: DeploymentEnvironment) -> bool {
    !is_protected && environment != DeploymentEnvironment::Dev
}

/// Without a state directory there is nothing to check yet.
fn not_created(error: &ExitError, context: &Context) -> DoctorCheck {
    let is_missing = error.code() == ErrorCode::StateNotFound;
    if !is_missing {
        return DoctorCheck::of_error("trust-file", error);
    }
    DoctorCheck::finding(
        "trust-file",
        (CheckLevel::Warn, error.code()),
        error.message(),
        "nothing can be proposed or approved before the first start",
        Some(context.global.command("up")),
    )
}

/// Checks that query the ledger.
pub(super) async fn ledger_checks(context: &Context) -> Result<Vec<DoctorCheck>, ExitError> {
    const NAME: &str = "ledger";
    let Some(findings) = ledger_findings::findings(context).await? else {
        return Ok(Vec::new());
    };
    if findings.is_empty() {
        let text = "reachable and verified; no open incidents and no freeze in force";
        return Ok(vec![DoctorCheck::pass(NAME, text)]);
    }
    Ok(findings
        .iter()
        .map(|finding| DoctorCheck::of_preflight(NAME, finding))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_without_passphrase_is_for_dev_only() {
        assert!(!needs_passphrase(false, DeploymentEnvironment::Dev));
        for environment in [DeploymentEnvironment::Staging, DeploymentEnvironment::Production] {
            assert!(needs_passphrase(false, environment), "{environment}");
            assert!(!needs_passphrase(true, environment), "{environment}");
        }
    }
}
