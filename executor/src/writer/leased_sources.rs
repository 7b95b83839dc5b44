//! Open sources of a writer, which its lease stream names. Orders of other sources wait at the ledger: a writer that
//! took them could only return them, and an operator would have to sign them again.

use std::time::Duration;

use synapsor_writeback::Database;
use tokio::time::MissedTickBehavior;

/// Interval between checks whether a source can be opened; each is tried at most once a second.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// Sources of a writer when it opens a lease stream.
#[derive(Debug)]
pub(crate) struct LeasedSources {
    names: Vec<String>,
    unopened: Vec<Database>,
}

impl LeasedSources {
    /// Opens the sources that can be opened now.
    pub(crate) fn of<'a>(databases: impl Iterator<Item = (&'a str, &'a Database)>) -> Self {
        let (mut names, mut unopened) = (Vec::new(), Vec::new());
        for (name, database) in databases {
            if database.try_open() {
                names.push(name.to_owned());
            } else {
                unopened.push(database.clone());
            }
        }
        Self { names, unopened }
    }

    /// Returns the names of the open sources.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns when another source is open.
    pub(crate) async fn another_opens(&self) {
        if self.unopened.is_empty() {
            return std::future::pending().await;
        }
        let mut checks = tokio::time::interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            checks.tick().await;
            if self.unopened.iter().any(Database::try_open) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use synapsor_chassis::settings::EnvVars;
    use synapsor_domain::contract::Contract;
    use synapsor_engine::sqlite::sample;

    use super::*;

    const CONTRACT: &[u8] = br#"{"version": 1, "mode": "review", "result_format": 2,
        "sources": {"late": {"engine": "sqlite", "read_url_env": "R", "write_url_env": "LATE"},
          "billing": {"engine": "sqlite", "read_url_env": "R", "write_url_env": "W"}},
        "trusted_context": {"provider": "environment", "values": {"tenant_id_env": "T", "principal_env": "P"}},
        "capabilities": [{"name": "billing.read", "kind": "read", "source": "billing",
          "target": {"schema": "main", "table": "invoices", "primary_key": "id", "tenant_key": "tenant_id"},
          "args": {"id": {"type": "string"}}, "lookup": {"id_from_arg": "id"}, "visible_columns": ["id"]}]}"#;
    const OPENED_WITHIN: Duration = Duration::from_secs(30);

    fn databases(env: &EnvVars) -> BTreeMap<String, Database> {
        let contract = Contract::parse(CONTRACT).unwrap().contract;
        let opened = contract.sources().iter().map(|source| {
            let database = match Database::of_source(source, env, "receipts") {
                Ok(database) => database.unwrap(),
                Err(error) => Database::opened_later(source, env, "receipts", &error),
            };
            (source.name.clone(), database)
        });
        opened.collect()
    }

    fn leased(databases: &BTreeMap<String, Database>) -> LeasedSources {
        LeasedSources::of(databases.iter().map(|(name, database)| (name.as_str(), database)))
    }

    async fn is_waiting(sources: &LeasedSources) -> bool {
        tokio::select! {
            biased;
            () = sources.another_opens() => false,
            () = std::future::ready(()) => true,
        }
    }

    #[tokio::test]
    async fn source_is_leased_only_once_it_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        let (file, late_url) = (directory.path().join("app.db"), directory.path().join("late.url"));
        sample::create(&file).unwrap();
        let url = format!("sqlite://{}", file.display());
        let env = EnvVars::fixed([("W", url.as_str()), ("LATE_FILE", late_url.to_str().unwrap())]);
        let databases = databases(&env);
        let before = leased(&databases);
        assert_eq!(before.names(), ["billing"]);
        assert!(is_waiting(&before).await);
        fs::write(&late_url, &url).unwrap();
        fs::set_permissions(&late_url, fs::Permissions::from_mode(0o600)).unwrap();
        // Without a job or another use of the source.
        tokio::time::timeout(OPENED_WITHIN, before.another_opens())
            .await
            .unwrap();
        let after = leased(&databases);
        assert_eq!(after.names(), ["billing", "late"]);
        assert!(is_waiting(&after).await);
    }
}
