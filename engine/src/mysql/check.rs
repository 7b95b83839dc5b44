//! Preflight of the writer's account: whether it has the rights that a writeback needs, and no broader ones.
//! Runs every statement once, with a condition that no row meets, rolled back, and reads the rights from the
//! catalog.

use super::dialect::quote;
use synapsor_codes::ErrorCode;
use synapsor_domain::writeback::FindingSeverity;
use synapsor_source::Finding;

/// Collects findings.
pub struct MysqlPreflight {
    /// As GRANT expects it.
    pub account: String,
    /// As the catalog spells it.
    pub grantee: String,
    pub findings: Vec<Finding>,
}

impl MysqlPreflight {
    /// Starts empty, about an account as `CURRENT_USER()` returns it.
    pub fn of(current: &str) -> Self {
        let (user, host) = current.rsplit_once('@').unwrap_or((current, "%"));
        Self {
            account: format!("{}@{}", quote(user), quote(host)),
            grantee: format!("'{user}'@'{host}'"),
            findings: Vec::new(),
        }
    }

    pub fn add(&mut self, severity: FindingSeverity, code: ErrorCode, text: String, fix: Option<String>) {
        let finding = Finding {
            severity,
            code,
            text,
            fix,
        };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    pub fn missing(&mut self, text: String, right: &str, on: &str) {
        let fix = format!("GRANT {right} ON {on} TO {};", self.account);
        self.add(FindingSeverity::Error, ErrorCode::GrantMissing, text, Some(fix));
    }

    pub fn excessive(&mut self, text: String, right: &str, on: &str) {
        let fix = format!("REVOKE {right} ON {on} FROM {};", self.account);
        self.add(
            FindingSeverity::Warning,
            ErrorCode::GrantExcessive,
            text,
            Some(fix),
        );
    }
}
