//! Source database of old records: a copy of the file, or a server with the recorded database identity, with the
//! original rows and under the original clock.

use std::path::Path;

use anyhow::{Context as _, bail};
use synapsor_domain::writeback::{RECEIPT_TABLE, mysql_procedure_grants, mysql_procedures_ddl};
use synapsor_e2e::databases::{Engine, PrivateServer, Session, Variables};
use synapsor_e2e::faketime::FakedClock;
use synapsor_e2e::target::{Rows, Target};

/// Name of the accounts and the database, and the password.
const NAME: &str = "old_records";
const PASSWORD: &str = "old-records";

pub(crate) enum Database {
    File(Target),
    Server { server: PrivateServer, owner: Session },
}

impl Database {
    /// Copies the SQLite database of the old records in `source` to `copy`.
    pub(crate) fn file(source: &Path, copy: &Path) -> anyhow::Result<Self> {
        super::scene::copy(&source.join("billing.db"), copy)?;
        Ok(Self::File(Target::File(copy.to_owned())))
    }

    /// Creates a server with the statements and rows of `source`. Returns `None` if the machine has no such
    /// server.
    pub(crate) fn server(engine: Engine, source: &Path, clock: &FakedClock) -> anyhow::Result<Option<Self>> {
        let text = |name: &str| std::fs::read_to_string(source.join(name)).with_context(|| name.to_owned());
        let mut variables = Variables {
            initialise: clock.variables(),
            server: clock.variables(),
        };
        if engine == Engine::Postgres {
            // The identifier of a cluster is derived from these.
            let pairs = text("initialise_with")?;
            let pairs = pairs.split_whitespace().filter_map(|pair| pair.split_once('='));
            variables.initialise = pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            variables.initialise.push(clock.preload());
        }
        let Some(server) = PrivateServer::start_under(engine, variables)? else {
            return Ok(None);
        };
        if engine == Engine::Mysql {
            server.stop()?;
            std::fs::write(server.folder().join("data/auto.cnf"), text("auto.cnf")?)?;
            server.start_again()?;
        }
        let session = server.server().session();
        // A database cannot be created in a transaction, and several statements in one string are one.
        for statement in text("accounts.sql")?.split(";\n") {
            if !statement.trim().is_empty() {
                session.execute(statement)?;
            }
        }
        session.close();
        let owner = Session::new(engine, server.server().url_for(None, NAME));
        owner.execute(&text("database.sql")?)?;
        owner.execute(&text("rows.sql")?)?;
        if engine == Engine::Mysql {
            // The one step of an upgrade: without it the writer refuses and names these statements.
            owner.execute(&mysql_procedures_ddl(NAME, (NAME, RECEIPT_TABLE)))?;
            for account in ["r", "w"] {
                owner.execute(&mysql_procedure_grants(NAME, &format!("'{NAME}_{account}'@'%'")))?;
            }
        }
        Ok(Some(Self::Server { server, owner }))
    }

    /// URLs of the reader and the writer.
    pub(crate) fn urls(&self) -> [String; 2] {
        match self {
            Self::File(target) => [target.read_url(), target.write_url()],
            Self::Server { server, .. } => ["r", "w"].map(|suffix| {
                let account = format!("{NAME}_{suffix}");
                server.server().url_for(Some((&account, PASSWORD)), NAME)
            }),
        }
    }

    pub(crate) fn query_text(&self, sql: &str) -> anyhow::Result<Rows> {
        match self {
            Self::File(target) => target.query_text(sql),
            Self::Server { owner, .. } => owner.query_text(sql),
        }
    }

    /// Two text values of one row.
    pub(crate) fn pair(&self, sql: &str) -> anyhow::Result<(String, String)> {
        let row = self.query_text(sql)?.into_iter().next();
        match row.map(<[Option<String>; 2]>::try_from) {
            Some(Ok([Some(first), Some(second)])) => Ok((first, second)),
            other => bail!("{sql}: {other:?}"),
        }
    }
}
