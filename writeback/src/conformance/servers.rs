//! Servers of the tests, by version. `e2e/databases/servers.sh` starts them and names them in variables.

use std::future::Future;

/// Server of one version of an engine.
#[derive(Debug)]
pub(crate) struct ServerVersion {
    /// Product and version, as the columns of the page have them.
    pub(super) label: &'static str,
    /// Name of the server in scripts and variables.
    name: &'static str,
    /// Whether `make test` runs it; `make prove` runs all.
    pub(super) is_in_every_run: bool,
}

pub(crate) const POSTGRES: ServerVersion = of_every_run("PostgreSQL 15", "POSTGRES");
pub(crate) const POSTGRES_13: ServerVersion = of_every_run("PostgreSQL 13", "POSTGRES13");
pub(crate) const POSTGRES_14: ServerVersion = of_prove("PostgreSQL 14", "POSTGRES14");
pub(crate) const POSTGRES_17: ServerVersion = of_prove("PostgreSQL 17", "POSTGRES17");
pub(crate) const POSTGRES_18: ServerVersion = of_every_run("PostgreSQL 18", "POSTGRES18");
pub(crate) const MYSQL: ServerVersion = of_every_run("MySQL 9", "MYSQL");
pub(crate) const MARIADB: ServerVersion = of_every_run("MariaDB 10.11", "MARIADB");
pub(crate) const MARIADB_118: ServerVersion = of_prove("MariaDB 11.8", "MARIADB118");

/// All servers, in the order of the page.
pub(super) const ALL: [&ServerVersion; 8] = [
    &POSTGRES_13,
    &POSTGRES_14,
    &POSTGRES,
    &POSTGRES_17,
    &POSTGRES_18,
    &MYSQL,
    &MARIADB,
    &MARIADB_118,
];
const POSTGRES_ALL: [&ServerVersion; 5] = [&POSTGRES_13, &POSTGRES_14, &POSTGRES, &POSTGRES_17, &POSTGRES_18];

const fn of_every_run(label: &'static str, name: &'static str) -> ServerVersion {
    ServerVersion {
        label,
        name,
        is_in_every_run: true,
    }
}

const fn of_prove(label: &'static str, name: &'static str) -> ServerVersion {
    ServerVersion {
        is_in_every_run: false,
        ..of_every_run(label, name)
    }
}

/// Runs a test on every server of PostgreSQL, one after the other.
pub(super) async fn on_every_postgres<F: Future<Output = ()>>(test: impl Fn(&'static ServerVersion) -> F) {
    for server in POSTGRES_ALL {
        test(server).await;
    }
}

impl ServerVersion {
    /// The owner's URL of the server.
    pub(crate) fn url(&self) -> Option<String> {
        let url = std::env::var(self.variable()).ok()?;
        (!url.is_empty()).then_some(url)
    }

    fn variable(&self) -> String {
        format!("SYNAPSOR_TEST_{}_URL", self.name)
    }

    /// Whether there is a server. If not, and this run should have one, prints a notice that the test was skipped.
    pub(crate) fn is_there(&self) -> bool {
        if self.url().is_some() {
            return true;
        }
        if self.is_in_every_run || is_among("SYNAPSOR_TEST_SERVERS", "all") {
            let variable = self.variable();
            let is_waived = is_among("SYNAPSOR_TEST_WAIVED", &self.name.to_lowercase());
            assert!(
                is_waived || !is_among("SYNAPSOR_TEST_DATABASES", "required"),
                "{variable} names no server, and databases are required"
            );
            did_not_run(&format!("behaviors on {variable}, which names no server"));
        }
        false
    }
}

/// Whether a variable with a list has a word.
fn is_among(variable: &str, word: &str) -> bool {
    std::env::var(variable).is_ok_and(|list| list.split(',').any(|part| part.trim() == word))
}

/// Adds a line to the list of what did not run, which `servers.sh run` prints at its end.
pub(super) fn did_not_run(what: &str) {
    use std::io::Write as _;
    if let Some(path) = std::env::var_os("SYNAPSOR_TEST_NOT_RUN") {
        let list = std::fs::OpenOptions::new().append(true).create(true).open(path);
        let _ = list.and_then(|mut list| list.write_all(format!("NOT RUN: {what}\n").as_bytes()));
    }
}
