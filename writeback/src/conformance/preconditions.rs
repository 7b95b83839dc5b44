//! Damaged receipt tables and code on the target, as data that the long proofs use too.

/// Subject of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CaseKind {
    /// The receipt table does not have its required form.
    Receipts,
    /// Code on the target without an acknowledgement.
    Code,
    /// Stays admitted.
    Harmless,
}

/// Statements of a table's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) kind: CaseKind,
    pub(crate) name: &'static str,
    /// Findings of the last check when the code is acknowledged; empty if that is not tried.
    pub(crate) findings: Vec<&'static str>,
    pub(crate) sql: String,
}

/// Returns the cases of a file, with the name of the changed column and of the writer's role.
pub(crate) fn cases(text: &'static str, fee: &str, writer: &str) -> Vec<Case> {
    let mut found: Vec<Case> = Vec::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("-- case ") {
            let (kind, name) = head.split_once(": ").unwrap();
            let (name, findings) = name.split_once(" => ").unwrap_or((name, ""));
            found.push(Case {
                kind: match kind {
                    "receipts" => CaseKind::Receipts,
                    "code" => CaseKind::Code,
                    "harmless" => CaseKind::Harmless,
                    _ => panic!("{kind}"),
                },
                name,
                findings: findings.split('|').filter(|f| !f.is_empty()).collect(),
                sql: String::new(),
            });
        } else if let Some(case) = found.last_mut() {
            case.sql += &line.replace("{fee}", fee).replace("{writer}", writer);
            case.sql.push('\n');
        }
    }
    found
}

#[test]
fn case_names_are_unique() {
    let text = include_str!("../../../e2e/fixtures/preconditions/postgres.sql");
    let cases = cases(text, "fee", "writer");
    let mut names: Vec<_> = cases.iter().map(|case| case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len());
    let count = |kind| cases.iter().filter(|case| case.kind == kind).count();
    assert!(
        count(CaseKind::Receipts) >= 24 && count(CaseKind::Code) >= 20 && count(CaseKind::Harmless) >= 10
    );
}
