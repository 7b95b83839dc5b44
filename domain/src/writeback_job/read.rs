//! Reads a job file: either shape, every error at once.

use serde_json::{Map, Value as Json};

use super::{JobColumn, JobGuard, LEGACY_VERSION, SCHEMA_VERSION, WritebackJob};
use crate::contract::is_identifier;
use crate::json;
use crate::timestamp::Timestamp;

/// Maximum depth of a job.
const DEPTH_MAX: usize = 8;
/// Engines of a job.
const ENGINES: [&str; 4] = ["postgres", "mysql", "mariadb", "sqlite"];

/// Error of one field of a job.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct JobIssue {
    pub path: String,
    pub message: String,
}

/// Reads a job.
///
/// # Errors
/// Every field that is missing, unknown or invalid.
pub fn read_job(bytes: &[u8]) -> Result<WritebackJob, Vec<JobIssue>> {
    let whole = |message: String| {
        vec![JobIssue {
            path: "$".to_owned(),
            message,
        }]
    };
    json::read(bytes, DEPTH_MAX).map_err(|error| {
        whole(format!(
            "not JSON with each member once: {} (line {}, column {})",
            error.reason, error.line, error.column
        ))
    })?;
    let job: Json = serde_json::from_slice(bytes).map_err(|_| whole("not JSON".to_owned()))?;
    let object = job.as_object().ok_or_else(|| whole("not an object".to_owned()))?;
    let mut reader = Reader { issues: Vec::new() };
    let read = match (object.get("schema_version"), object.get("protocol_version")) {
        (Some(version), None) if version == SCHEMA_VERSION => reader.job(object),
        (None, Some(version)) if version == LEGACY_VERSION => reader.legacy_job(object),
        _ => {
            let text = format!(
                "expected `schema_version` \"{SCHEMA_VERSION}\", or `protocol_version` \"{LEGACY_VERSION}\""
            );
            return Err(whole(text));
        }
    };
    match read {
        Some(job) if reader.issues.is_empty() => {
            reader.rules(&job);
            if reader.issues.is_empty() {
                Ok(job)
            } else {
                Err(reader.issues)
            }
        }
        _ => Err(reader.issues),
    }
}

/// Reader that collects errors.
struct Reader {
    issues: Vec<JobIssue>,
}

type Object = Map<String, Json>;

impl Reader {
    fn job(&mut self, job: &Object) -> Option<WritebackJob> {
        const KNOWN: [&str; 15] = [
            "schema_version",
            "writeback_job_id",
            "proposal_id",
            "proposal_version",
            "proposal_hash",
            "runner_scope",
            "engine",
            "operation",
            "target",
            "tenant_guard",
            "allowed_columns",
            "patch",
            "conflict_guard",
            "idempotency_key",
            "lease",
        ];
        self.only("", job, &KNOWN);
        self.count("", job, "proposal_version");
        if job.get("operation") != Some(&Json::from("single_row_update")) {
            self.issue("", "operation", "expected \"single_row_update\"");
        }
        let scope = self.object("", job, "runner_scope");
        let lease = self.object("", job, "lease");
        if let Some(scope) = scope {
            self.only("runner_scope.", scope, &["project_id", "source_id"]);
            self.text("runner_scope.", scope, "project_id");
        }
        if let Some(lease) = lease {
            self.only("lease.", lease, &["lease_id", "attempt", "expires_at"]);
            self.text("lease.", lease, "lease_id");
            self.count("lease.", lease, "attempt");
        }
        let target = self.object("", job, "target");
        if let Some(target) = target {
            self.only(
                "target.",
                target,
                &["schema", "table", "primary_key", "primary_keys"],
            );
        }
        let (job_id, hash) = (
            self.text("", job, "writeback_job_id"),
            self.digest("", job, "proposal_hash"),
        );
        let source = scope.and_then(|scope| self.text("runner_scope.", scope, "source_id"));
        let expires_at = lease.and_then(|lease| self.time("lease.", lease, "expires_at"));
        let tenant = self.column("", job, "tenant_guard");
        let guard = self.guard(job, "column");
        let parts = self.common(job, target);
        let (parts, target) = (parts?, target?);
        Some(parts.job((job_id?, hash?, source?), (tenant?, guard?), target, expires_at?))
    }

    fn legacy_job(&mut self, job: &Object) -> Option<WritebackJob> {
        const KNOWN: [&str; 13] = [
            "protocol_version",
            "job_id",
            "proposal_id",
            "approval_id",
            "source_id",
            "engine",
            "target",
            "allowed_columns",
            "patch",
            "conflict_guard",
            "idempotency_key",
            "lease_expires_at",
            "attempt_count",
        ];
        self.only("", job, &KNOWN);
        if job.contains_key("attempt_count") {
            self.count("", job, "attempt_count");
        }
        let target = self.object("", job, "target");
        if let Some(target) = target {
            let known = ["schema", "table", "primary_key", "primary_keys", "tenant_guard"];
            self.only("target.", target, &known);
        }
        let (job_id, hash) = (self.text("", job, "job_id"), self.digest("", job, "approval_id"));
        let source = self.text("", job, "source_id");
        let expires_at = self.time("", job, "lease_expires_at");
        let tenant = target.and_then(|target| self.column("target.", target, "tenant_guard"));
        let guard = self.guard(job, "version_column");
        let parts = self.common(job, target);
        let (parts, target) = (parts?, target?);
        Some(parts.job((job_id?, hash?, source?), (tenant?, guard?), target, expires_at?))
    }

    /// Fields that both shapes have by the same names.
    fn common(&mut self, job: &Object, target: Option<&Object>) -> Option<CommonFields> {
        let proposal_id = self.text("", job, "proposal_id");
        let idempotency_key = self.text("", job, "idempotency_key");
        let engine = self.text("", job, "engine");
        if engine.as_deref().is_some_and(|engine| !ENGINES.contains(&engine)) {
            self.issue("", "engine", &format!("expected one of {}", ENGINES.join(", ")));
        }
        let allowed_columns = self.names(job, "allowed_columns");
        let patch = self.object("", job, "patch");
        for (column, value) in patch.into_iter().flatten() {
            self.identifier("patch.", column, column);
            self.scalar(&format!("patch.{column}"), value);
        }
        if patch.is_some_and(Map::is_empty) {
            self.issue("", "patch", "expected at least one column");
        }
        let target = target?;
        for name in ["schema", "table"] {
            if let Some(text) = self.text("target.", target, name) {
                self.identifier("target.", name, &text);
            }
        }
        let keys = self.keys(target);
        Some(CommonFields {
            proposal_id: proposal_id?,
            engine: engine?,
            keys: keys?,
            allowed_columns: allowed_columns?,
            patch: patch?.clone(),
            idempotency_key: idempotency_key?,
        })
    }

    /// Several key columns are in `primary_keys`, with the first one in `primary_key`, too.
    fn keys(&mut self, target: &Object) -> Option<Vec<JobColumn>> {
        let first = self.column("target.", target, "primary_key")?;
        let Some(all) = target.get("primary_keys") else {
            return Some(vec![first]);
        };
        let columns: Option<Vec<JobColumn>> = all.as_array().and_then(|all| {
            let of = |column: &Json| {
                column
                    .as_object()
                    .and_then(|object| self.pair("target.primary_keys", object))
            };
            all.iter().map(of).collect()
        });
        match columns {
            Some(columns) if columns.len() > 1 && columns.first() == Some(&first) => Some(columns),
            Some(_) | None => {
                let text = "expected at least two columns, the first one as in `primary_key`";
                self.issue("target.", "primary_keys", text);
                None
            }
        }
    }

    fn guard(&mut self, job: &Object, by_column: &str) -> Option<JobGuard> {
        let guard = self.object("", job, "conflict_guard")?;
        let kind = self.text("conflict_guard.", guard, "kind")?;
        let known: &[&str] = match kind.as_str() {
            kind if kind == by_column => &["kind", "column", "expected_value"],
            "row_hash" => &["kind", "expected_hash"],
            "none" => &["kind"],
            _ => {
                let text = format!("expected {by_column}, row_hash or none");
                self.issue("conflict_guard.", "kind", &text);
                return None;
            }
        };
        self.only("conflict_guard.", guard, known);
        if kind == "none" {
            return Some(JobGuard::None);
        }
        if kind == "row_hash" {
            return self
                .digest("conflict_guard.", guard, "expected_hash")
                .map(JobGuard::RowHash);
        }
        let column = self.text("conflict_guard.", guard, "column")?;
        self.identifier("conflict_guard.", "column", &column);
        let Some(value) = guard.get("expected_value") else {
            self.issue("conflict_guard.", "expected_value", "missing");
            return None;
        };
        self.scalar("conflict_guard.expected_value", value);
        Some(JobGuard::Column(JobColumn {
            column,
            value: value.clone(),
        }))
    }

    /// Rules between fields.
    fn rules(&mut self, job: &WritebackJob) {
        for column in job
            .patch
            .keys()
            .filter(|column| !job.allowed_columns.contains(column))
        {
            self.issue("patch.", column, "not in allowed_columns");
        }
        let fixed = job
            .keys
            .iter()
            .map(|key| &key.column)
            .chain([&job.tenant_guard.column]);
        for column in fixed.filter(|column| job.allowed_columns.contains(column)) {
            let text = format!("{column} identifies the row or its tenant, which no job changes");
            self.issue("", "allowed_columns", &text);
        }
    }
}

/// Fields that both shapes have by the same names.
struct CommonFields {
    proposal_id: String,
    engine: String,
    keys: Vec<JobColumn>,
    allowed_columns: Vec<String>,
    patch: Object,
    idempotency_key: String,
}

impl CommonFields {
    fn job(
        self,
        (job_id, proposal_hash, source_id): (String, String, String),
        (tenant_guard, conflict_guard): (JobColumn, JobGuard),
        target: &Object,
        expires_at: Timestamp,
    ) -> WritebackJob {
        let text = |name: &str| {
            target
                .get(name)
                .and_then(Json::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        WritebackJob {
            job_id,
            proposal_id: self.proposal_id,
            proposal_hash,
            source_id,
            engine: self.engine,
            schema: text("schema"),
            table: text("table"),
            keys: self.keys,
            tenant_guard,
            allowed_columns: self.allowed_columns,
            patch: self.patch,
            conflict_guard,
            idempotency_key: self.idempotency_key,
            expires_at,
        }
    }
}

impl Reader {
    fn issue(&mut self, parent: &str, name: &str, message: &str) {
        self.issues.push(JobIssue {
            path: format!("{parent}{name}"),
            message: message.to_owned(),
        });
    }

    fn only(&mut self, parent: &str, object: &Object, known: &[&str]) {
        for name in object.keys().filter(|name| !known.contains(&name.as_str())) {
            self.issue(parent, name, "unknown");
        }
    }

    fn text(&mut self, parent: &str, object: &Object, name: &str) -> Option<String> {
        match object.get(name) {
            Some(Json::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(_) => {
                self.issue(parent, name, "expected text");
                None
            }
            None => {
                self.issue(parent, name, "missing");
                None
            }
        }
    }

    fn digest(&mut self, parent: &str, object: &Object, name: &str) -> Option<String> {
        let text = self.text(parent, object, name)?;
        if text.strip_prefix("sha256:").is_none_or(str::is_empty) {
            self.issue(parent, name, "expected sha256: and a hash");
        }
        Some(text)
    }

    fn time(&mut self, parent: &str, object: &Object, name: &str) -> Option<Timestamp> {
        let text = self.text(parent, object, name)?;
        // 0.1.x writes milliseconds; a second without them is the same.
        let whole = match text.len() {
            20 => text.replace('Z', ".000Z"),
            _ => text,
        };
        let time = whole.parse().ok();
        if time.is_none() {
            self.issue(parent, name, "expected a time such as 2026-01-02T03:04:05.000Z");
        }
        time
    }

    fn count(&mut self, parent: &str, object: &Object, name: &str) {
        if object
            .get(name)
            .and_then(Json::as_u64)
            .is_none_or(|number| number == 0)
        {
            self.issue(parent, name, "expected a number of at least 1");
        }
    }

    fn object<'o>(&mut self, parent: &str, object: &'o Object, name: &str) -> Option<&'o Object> {
        let found = object.get(name).and_then(Json::as_object);
        if found.is_none() {
            self.issue(parent, name, "expected an object");
        }
        found
    }

    fn names(&mut self, job: &Object, name: &str) -> Option<Vec<String>> {
        let names: Option<Vec<String>> = job.get(name).and_then(Json::as_array).and_then(|all| {
            let texts = all.iter().map(|name| name.as_str().map(str::to_owned));
            texts.collect()
        });
        let Some(names) = names.filter(|names| !names.is_empty()) else {
            self.issue("", name, "expected a list of column names");
            return None;
        };
        for column in &names {
            self.identifier("", name, column);
        }
        Some(names)
    }

    fn column(&mut self, parent: &str, object: &Object, name: &str) -> Option<JobColumn> {
        let pair = self.object(parent, object, name)?;
        self.only(&format!("{parent}{name}."), pair, &["column", "value"]);
        self.pair(&format!("{parent}{name}"), pair)
    }

    fn pair(&mut self, path: &str, pair: &Object) -> Option<JobColumn> {
        let column = self.text(&format!("{path}."), pair, "column")?;
        self.identifier(&format!("{path}."), "column", &column);
        let Some(value) = pair.get("value") else {
            self.issue(&format!("{path}."), "value", "missing");
            return None;
        };
        self.scalar(&format!("{path}.value"), value);
        Some(JobColumn {
            column,
            value: value.clone(),
        })
    }

    fn identifier(&mut self, parent: &str, name: &str, text: &str) {
        if !is_identifier(text) {
            self.issue(parent, name, "expected letters, digits and underscores");
        }
    }

    fn scalar(&mut self, path: &str, value: &Json) {
        if value.is_object() || value.is_array() {
            self.issue("", path, "expected text, a number, true, false or null");
        }
    }
}
