//! The rules of the audit. Names are compared without case and punctuation; a verb of a description counts unless a
//! negation precedes it.

use super::AuditCode;
use super::audited_tool::AuditedTool;
use super::words::{acting, affirmed, is_negated, is_verb, normalized, words};

const SQL_NAMES: [&str; 8] = [
    "executesql",
    "runsql",
    "runquery",
    "querydatabase",
    "databasequery",
    "sqlquery",
    "rawsql",
    "executequery",
];
const EXECUTES: [&str; 4] = ["execute", "run", "raw", "arbitrary"];
const SQL_WORDS: [&str; 4] = ["sql", "query", "queries", "statement"];
/// Number of words between an executing word and SQL.
const SQL_REACH: usize = 5;
const SQL_FIELDS: [&str; 4] = ["sql", "query", "statement", "rawsql"];
const SQL_ONLY_FIELDS: [&str; 2] = ["sql", "rawsql"];

const IDENTIFIER_FIELDS: [&str; 9] = [
    "table",
    "tablename",
    "schema",
    "schemaname",
    "column",
    "columns",
    "columnname",
    "database",
    "databasename",
];
const SCOPE_FIELDS: [&str; 12] = [
    "tenantid",
    "principal",
    "principalid",
    "userid",
    "projectid",
    "sourceid",
    "databaseid",
    "allowedcolumns",
    "rowversion",
    "currentversion",
    "expectedversion",
    "approvalidentity",
];
const IDEMPOTENCY_FIELDS: [&str; 4] = ["idempotencykey", "requestid", "requestkey", "dedupekey"];
const VERSION_FIELDS: [&str; 10] = [
    "version",
    "rowversion",
    "currentversion",
    "expectedversion",
    "etag",
    "ifmatch",
    "updatedat",
    "lastupdated",
    "revision",
    "lockversion",
];

const COMMITS: [&str; 5] = ["approve", "commit", "apply", "settle", "merge"];
const COMMITTED: [&str; 4] = ["proposal", "write", "change", "writeback"];
const WRITES: [&str; 20] = [
    "update", "insert", "delete", "upsert", "write", "mutate", "refund", "waive", "charge", "cancel",
    "commit", "approve", "settle", "apply", "merge", "resolve", "close", "create", "drop", "alter",
];
const READS: [&str; 11] = [
    "get", "list", "read", "show", "inspect", "find", "search", "fetch", "query", "lookup", "view",
];
/// Words of a tool whose change an operator reviews.
const BOUNDARIES: [&str; 5] = ["propose", "proposal", "proposed", "approval", "guarded"];

/// Returns the findings of one tool with their evidence.
pub(super) fn findings(tool: &AuditedTool) -> Vec<(AuditCode, Vec<String>)> {
    let facts = Facts::of(tool);
    let mut found = Vec::new();
    let mut add = |code: AuditCode, evidence: Option<Vec<String>>| {
        if let Some(evidence) = evidence {
            found.push((code, evidence));
        }
    };
    let sql = facts.sql();
    add(
        AuditCode::WriteToolAcceptsArbitrarySql,
        facts.fields_of(if sql.is_some() {
            &SQL_FIELDS
        } else {
            &SQL_ONLY_FIELDS
        }),
    );
    add(AuditCode::GenericSqlTool, sql);
    add(
        AuditCode::ArbitraryIdentifierInput,
        facts.fields_of(&IDENTIFIER_FIELDS),
    );
    add(
        AuditCode::ModelControlledTrustScope,
        facts.fields_of(&SCOPE_FIELDS),
    );
    let commit = facts.commit();
    let write = facts.write();
    let is_bounded = facts.boundary && commit.is_none();
    add(AuditCode::ModelCallableCommitOrApproval, commit);
    let direct = write.filter(|_| !is_bounded);
    if direct.is_some() {
        let none = |fields: &[&str]| facts.fields_of(fields).is_none().then(Vec::new);
        add(AuditCode::NoIdempotencyField, none(&IDEMPOTENCY_FIELDS));
        add(AuditCode::NoConflictGuard, none(&VERSION_FIELDS));
        add(AuditCode::AmbiguousReadWriteTool, facts.read());
    }
    add(AuditCode::WriteWithoutProposalBoundary, direct);
    let missing = |is_there: bool| (!is_there).then(Vec::new);
    add(
        AuditCode::NoStructuredOutputSchema,
        missing(tool.has_output_schema),
    );
    add(
        AuditCode::MissingBusinessDescription,
        missing(!tool.description.is_empty()),
    );
    add(AuditCode::MissingRiskAnnotations, missing(tool.has_annotations));
    add(AuditCode::MissingTestFixture, missing(tool.has_fixture));
    found
}

/// A tool with its words.
struct Facts<'a> {
    tool: &'a AuditedTool,
    name: Vec<String>,
    description: Vec<String>,
    /// Whether its words name a proposal or a review.
    boundary: bool,
}

impl<'a> Facts<'a> {
    fn of(tool: &'a AuditedTool) -> Self {
        let (name, description) = (words(&tool.name), words(&tool.description));
        let boundary =
            affirmed(&name, &BOUNDARIES).is_some() || affirmed(&description, &BOUNDARIES).is_some();
        Self {
            tool,
            name,
            description,
            boundary,
        }
    }

    /// Fields whose normalized name is one of `names`.
    fn fields_of(&self, names: &[&str]) -> Option<Vec<String>> {
        let fields = self.tool.fields.iter();
        let found: Vec<String> = fields
            .filter(|field| names.contains(&normalized(field).as_str()))
            .map(|field| format!("field `{field}`"))
            .collect();
        (!found.is_empty()).then_some(found)
    }

    /// A name or a description of a general SQL executor.
    fn sql(&self) -> Option<Vec<String>> {
        if SQL_NAMES.contains(&normalized(&self.tool.name).as_str()) {
            return Some(vec![format!("name `{}`", self.tool.name)]);
        }
        for (words, place) in [(&self.name, "name"), (&self.description, "description")] {
            let executor = words.iter().enumerate().find_map(|(at, word)| {
                let next = &words[(at + 1).min(words.len())..(at + 1 + SQL_REACH).min(words.len())];
                let sql = next.iter().find(|next| SQL_WORDS.contains(&next.as_str()))?;
                let executes = is_verb(word, &EXECUTES) && !is_negated(words, at);
                executes.then(|| format!("{place}: {word} {sql}"))
            });
            let of_database = words.windows(2).find(|pair| {
                matches!(pair[0].as_str(), "sql" | "query")
                    && matches!(pair[1].as_str(), "executor" | "database")
            });
            let of_database = of_database.map(|pair| format!("{place}: {} {}", pair[0], pair[1]));
            if let Some(text) = executor.or(of_database) {
                return Some(vec![text]);
            }
        }
        None
    }

    /// A name that approves or commits, or a description that does so without a boundary.
    fn commit(&self) -> Option<Vec<String>> {
        let committed = |words: &[String]| words.iter().any(|word| is_verb(word, &COMMITTED));
        let of_name = affirmed(&self.name, &COMMITS).filter(|_| committed(&self.name));
        if let Some(verb) = of_name {
            return Some(vec![format!("name: {verb}")]);
        }
        let of_text = affirmed(&self.description, &COMMITS);
        let verb = of_text.filter(|_| !self.boundary && committed(&self.description))?;
        Some(vec![format!("description: {verb}")])
    }

    /// Signs of a write: a verb of the name, a verb of the description, or an annotation.
    fn write(&self) -> Option<Vec<String>> {
        let mut found = Vec::new();
        if let Some(verb) = affirmed(&self.name, &WRITES) {
            found.push(format!("name: {verb}"));
        }
        if let Some(verb) = acting(&self.description, &WRITES) {
            found.push(format!("description: {verb}"));
        }
        if self.tool.destructive_hint == Some(true) {
            found.push("destructiveHint is true".to_owned());
        }
        if self.tool.read_only_hint == Some(false) {
            found.push("readOnlyHint is false".to_owned());
        }
        (!found.is_empty()).then_some(found)
    }

    fn read(&self) -> Option<Vec<String>> {
        let of_name = affirmed(&self.name, &READS).map(|verb| format!("name: {verb}"));
        let of_text = affirmed(&self.description, &READS).map(|verb| format!("description: {verb}"));
        of_name.or(of_text).map(|text| vec![text])
    }
}
