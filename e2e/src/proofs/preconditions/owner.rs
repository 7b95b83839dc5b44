//! Owner of the tables: an account with all rights on them and no others.

use anyhow::Context as _;
use std::time::Duration;

use crate::databases::{Engine, Session};
use crate::deployment::Deployment;
use crate::target::Target;

/// Lock timeout of the owner.
const WAITS: Duration = Duration::from_millis(300);

pub(super) struct Owner {
    engine: Engine,
    role: String,
    /// URL, or path of a file.
    place: String,
}

impl Owner {
    pub(super) fn new(deployment: &Deployment) -> anyhow::Result<Self> {
        let engine = deployment.target.engine();
        let Target::Server { database, .. } = &deployment.target else {
            return Ok(Self {
                engine,
                role: String::new(),
                place: deployment.database().display().to_string(),
            });
        };
        let (role, place) = database.role("o")?;
        let name = database.name();
        match engine {
            // An owner without further privileges needs this to define functions on a server with a binary log.
            Engine::Mysql | Engine::Mariadb => database.execute(&format!(
                "SET GLOBAL log_bin_trust_function_creators = 1; GRANT ALL ON {name}.* TO '{role}'@'%'"
            ))?,
            Engine::Postgres | Engine::Sqlite => {
                database.execute(&format!("GRANT CREATE ON DATABASE {name} TO {role}"))?;
            }
        }
        Ok(Self { engine, role, place })
    }

    pub(super) fn role(&self) -> &str {
        &self.role
    }

    /// Path of the tables' file, if there is one.
    pub(super) fn file(&self) -> &str {
        &self.place
    }

    /// Runs statements on a new connection; returns `false` if a lock blocked them.
    pub(super) fn run(&self, sql: &str) -> anyhow::Result<bool> {
        let waits = WAITS.as_millis();
        let before = match self.engine {
            Engine::Sqlite => return self.run_on_file(sql),
            Engine::Postgres => {
                format!("SET lock_timeout = '{waits}ms'; SET search_path = public;")
            }
            // The unit is whole seconds, at least one.
            Engine::Mysql | Engine::Mariadb => {
                "SET SESSION lock_wait_timeout = 1, innodb_lock_wait_timeout = 1;".to_owned()
            }
        };
        let session = Session::new(self.engine, self.place.clone());
        let done = session.execute(&format!("{before} {sql}"));
        session.close();
        let Err(error) = done else { return Ok(true) };
        let text = format!("{error:#}").to_lowercase();
        if text.contains("lock timeout") || text.contains("lock wait timeout") {
            return Ok(false);
        }
        Err(error)
    }

    fn run_on_file(&self, sql: &str) -> anyhow::Result<bool> {
        let connection = rusqlite::Connection::open(&self.place)?;
        connection.busy_timeout(WAITS)?;
        match connection.execute_batch(&format!("BEGIN IMMEDIATE; {sql}; COMMIT")) {
            Ok(()) => Ok(true),
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => Ok(false),
            Err(error) => Err(error).with_context(|| sql.to_owned()),
        }
    }
}
