//! Test database: created empty, dropped at the end. The SQL that the product prints for a database owner creates
//! its receipt table and its least-privilege roles.

use synapsor_chassis::random;
use synapsor_domain::contract;
use synapsor_domain::writeback::{GrantPlan, GrantTarget, RECEIPT_TABLE, grants, receipt_table_ddl};

use super::client::TextRow;
use super::{Engine, Server, Session};

/// Fresh database on a server.
#[derive(Debug)]
pub struct Database {
    server: Server,
    name: String,
    owner: Session,
}

/// Two accounts with passwords and exactly the privileges that the product requires.
#[derive(Debug, Clone)]
pub struct Roles {
    pub reader: String,
    pub writer: String,
    pub read_url: String,
    pub write_url: String,
}

impl Database {
    /// `options` follow the name in the statement.
    pub(super) fn create(server: &Server, options: &str) -> anyhow::Result<Self> {
        let name = format!("e2e_{}", random::hex_id(10));
        let sql = match server.engine.in_contract() {
            contract::EngineKind::Mysql => format!("CREATE DATABASE {name} CHARACTER SET utf8mb4 {options}"),
            contract::EngineKind::Postgres | contract::EngineKind::Sqlite => {
                format!("CREATE DATABASE {name} {options}")
            }
        };
        let session = server.session();
        session.execute(&sql)?;
        session.close();
        Ok(Self {
            owner: Session::new(server.engine, server.url_for(None, &name)),
            server: server.clone(),
            name,
        })
    }

    pub fn engine(&self) -> Engine {
        self.server.engine
    }
    pub fn server(&self) -> &Server {
        &self.server
    }
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Schema that a contract names for tables of this database.
    pub fn schema(&self) -> &str {
        match self.engine().in_contract() {
            contract::EngineKind::Mysql => &self.name,
            contract::EngineKind::Postgres | contract::EngineKind::Sqlite => "public",
        }
    }

    pub fn owner_url(&self) -> String {
        self.server.url_for(None, &self.name)
    }

    /// Opens another connection of the owner, for a concurrent transaction.
    pub fn session(&self) -> Session {
        Session::new(self.engine(), self.owner_url())
    }

    /// Runs statements as the owner.
    ///
    /// # Errors
    /// The database error.
    pub fn execute(&self, sql: &str) -> anyhow::Result<()> {
        self.owner.execute(sql)
    }

    /// Closes the owner's connection; the next call opens a new one.
    pub fn close(&self) {
        self.owner.close();
    }

    /// Returns rows as the owner sees them, each value in the server's text format.
    ///
    /// # Errors
    /// The database error.
    pub fn query_text(&self, sql: &str) -> anyhow::Result<Vec<TextRow>> {
        self.owner.query_text(sql)
    }

    /// Returns the first value of the first row.
    ///
    /// # Errors
    /// The database error; no row; a null value.
    pub fn value(&self, sql: &str) -> anyhow::Result<String> {
        self.owner.value(sql)
    }

    /// Creates the receipt table, a reader role and a writer role, and grants them access to these tables, all
    /// with the product's own statements.
    ///
    /// # Errors
    /// An error of the product or the database.
    pub fn prepare_writeback(&self, targets: Vec<GrantTarget>) -> anyhow::Result<Roles> {
        let engine = self.engine().in_contract();
        self.execute(&receipt_table_ddl(engine, self.schema(), RECEIPT_TABLE)?)?;
        let (reader, read_url) = self.role("r")?;
        let (writer, write_url) = self.role("w")?;
        self.execute(&grants(&GrantPlan {
            engine,
            read_role: Some(reader.clone()),
            write_role: Some(writer.clone()),
            receipt_schema: self.schema().to_owned(),
            receipt_table: RECEIPT_TABLE.to_owned(),
            targets,
        })?)?;
        Ok(Roles {
            reader,
            writer,
            read_url,
            write_url,
        })
    }

    /// Creates an account that may only connect; returns its name and URL.
    ///
    /// # Errors
    /// The database error.
    pub fn role(&self, suffix: &str) -> anyhow::Result<(String, String)> {
        let (name, password) = (format!("{}_{suffix}", self.name), random::hex_id(24));
        self.execute(&match self.engine().in_contract() {
            contract::EngineKind::Mysql => format!("CREATE USER '{name}'@'%' IDENTIFIED BY '{password}'"),
            contract::EngineKind::Postgres | contract::EngineKind::Sqlite => {
                format!("CREATE ROLE {name} LOGIN PASSWORD '{password}'")
            }
        })?;
        let url = self.server.url_for(Some((&name, &password)), &self.name);
        Ok((name, url))
    }

    fn drop_all(&self) -> anyhow::Result<()> {
        self.owner.close();
        let session = self.server.session();
        let prefix = format!("{}_", self.name);
        match self.engine().in_contract() {
            contract::EngineKind::Mysql => {
                session.execute(&format!("DROP DATABASE IF EXISTS {}", self.name))?;
                let roles = format!(
                    "SELECT user FROM mysql.user WHERE LEFT(user, {}) = '{prefix}'",
                    prefix.len()
                );
                for role in session.query_text(&roles)?.into_iter().flatten().flatten() {
                    session.execute(&format!("DROP USER '{role}'@'%'"))?;
                }
            }
            contract::EngineKind::Postgres | contract::EngineKind::Sqlite => {
                session.execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name))?;
                let roles = format!("SELECT rolname FROM pg_roles WHERE starts_with(rolname, '{prefix}')");
                for role in session.query_text(&roles)?.into_iter().flatten().flatten() {
                    session.execute(&format!("DROP ROLE {role}"))?;
                }
            }
        }
        Ok(())
    }
}

/// A database that cannot be dropped, as on a killed server, is left; its name is unique.
impl Drop for Database {
    fn drop(&mut self) {
        let _ = self.drop_all();
    }
}
