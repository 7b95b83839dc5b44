//! Invoices and receipt table of one deployment: recreated for each case and damaged by their owner, an account
//! without superuser rights.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use synapsor_domain::writeback::{GrantPlan, GrantTarget, RECEIPT_TABLE, grants, receipt_table_ddl};
use tokio::task::block_in_place;

use super::owner::Owner;
use crate::databases::Engine;
use crate::deployment::Deployment;
use crate::proofs::checker::{Checker, Rows};
use crate::target::Target;

const IDENTITY: &str = "SELECT instance FROM synapsor_database_identity";
const READS: [&str; 7] = [
    "id",
    "tenant_id",
    "customer_name",
    "status",
    "late_fee_cents",
    "waiver_reason",
    "version",
];
const WRITES: [&str; 3] = ["late_fee_cents", "waiver_reason", "version"];
/// Receipts of one INSERT.
const CHUNK: usize = 100;
const BUSY: Duration = Duration::from_secs(10);

/// The tables, and the receipts that they must contain whenever they are recreated.
pub(super) struct Tables {
    pub(super) engine: Engine,
    pub(super) schema: String,
    /// The writer's account.
    pub(super) writer: String,
    owner: Owner,
    admin: Checker,
    grants: String,
    receipts: String,
    /// Identity of the database, if a table of the migration stores it.
    identity: Option<String>,
    kept: BTreeSet<String>,
    /// Receipts as values of an INSERT.
    values: Vec<String>,
}

impl Tables {
    pub(super) fn new(deployment: &Deployment) -> anyhow::Result<Self> {
        let engine = deployment.target.engine();
        let (schema, admin, reader, writer) = match &deployment.target {
            Target::File(path) => ("main".to_owned(), Checker::of_file(path)?, None, String::new()),
            Target::Server { database, roles } => (
                database.schema().to_owned(),
                Checker::Server(database.session()),
                Some(roles.reader.clone()),
                roles.writer.clone(),
            ),
        };
        let identity = match engine {
            Engine::Postgres => None,
            Engine::Sqlite | Engine::Mysql | Engine::Mariadb => {
                admin.query(IDENTITY)?.into_iter().flatten().next().flatten()
            }
        };
        let plan = GrantPlan {
            engine: engine.in_contract(),
            read_role: reader.clone(),
            write_role: reader.map(|_| writer.clone()),
            receipt_schema: schema.clone(),
            receipt_table: RECEIPT_TABLE.to_owned(),
            targets: vec![GrantTarget {
                schema: schema.clone(),
                table: "invoices".to_owned(),
                reads: READS.map(str::to_owned).to_vec(),
                writes: WRITES.map(str::to_owned).to_vec(),
            }],
        };
        let receipts = receipt_table_ddl(engine.in_contract(), &schema, RECEIPT_TABLE)?;
        Ok(Self {
            engine,
            owner: Owner::new(deployment)?,
            admin,
            grants: grants(&plan)?,
            receipts,
            identity,
            schema,
            writer,
            kept: BTreeSet::new(),
            values: Vec::new(),
        })
    }

    /// Qualified name of a table in SQL.
    pub(super) fn place(&self, table: &str) -> String {
        format!("{}.{}", self.engine.quote(&self.schema), self.engine.quote(table))
    }

    /// Rows as the administrator of the database sees them.
    pub(super) fn query(&self, sql: &str) -> anyhow::Result<Rows> {
        self.admin.query(sql)
    }

    /// Runs statements as the owner; returns `false` if locks blocked them.
    pub(super) fn as_owner(&self, sql: &str) -> anyhow::Result<bool> {
        block_in_place(|| self.owner.run(sql))
    }

    /// Saves the receipts since the last call. The table matches the migration.
    pub(super) fn keep_receipts(&mut self) -> anyhow::Result<()> {
        let place = self.place(RECEIPT_TABLE);
        let names = self.query(&format!("SELECT proposal_id FROM {place}"))?;
        for proposal in names.into_iter().flatten().flatten() {
            if self.kept.contains(&proposal) {
                continue;
            }
            let sql = format!("SELECT * FROM {place} WHERE proposal_id = '{proposal}'");
            let row = self.query(&sql)?.into_iter().next().context("a receipt")?;
            let cells: Vec<String> = row.iter().map(|cell| self.literal(cell.as_deref())).collect();
            self.values.push(format!("({})", cells.join(", ")));
            self.kept.insert(proposal);
        }
        Ok(())
    }

    /// Restores the receipts that a definition required to be removed, as far as the table accepts them. The
    /// newest comes first, because no writer writes without it.
    pub(super) fn put_receipts_back(&self) {
        let insert = |values: &[String]| {
            let sql = format!("INSERT INTO {RECEIPT_TABLE} VALUES {}", values.join(", "));
            self.as_owner(&sql).is_ok_and(|is_made| is_made)
        };
        if let Some((newest, older)) = self.values.split_last()
            && insert(std::slice::from_ref(newest))
            && !older.is_empty()
        {
            insert(older);
        }
    }

    fn literal(&self, cell: Option<&str>) -> String {
        let Some(text) = cell else {
            return "NULL".to_owned();
        };
        let text = text.replace('\'', "''");
        let text = match self.engine {
            Engine::Mysql | Engine::Mariadb => text.replace('\\', "\\\\"),
            Engine::Sqlite | Engine::Postgres => text,
        };
        format!("'{text}'")
    }

    /// Recreates all tables in their first form, with these invoices unchanged and every receipt.
    pub(super) fn reset(&self, invoices: &[String]) -> anyhow::Result<()> {
        let made = self.made(invoices);
        match self.engine {
            Engine::Sqlite => block_in_place(|| self.reset_file(&made)),
            Engine::Postgres => {
                let owner = self.owner.role();
                self.query(&format!(
                    "DROP SCHEMA IF EXISTS public, aside CASCADE; CREATE SCHEMA public;
                     GRANT USAGE ON SCHEMA public TO PUBLIC; GRANT CREATE ON SCHEMA public TO {owner};
                     SET ROLE {owner}; {made} {} RESET ROLE",
                    self.grants
                ))
                .map(drop)
            }
            Engine::Mysql | Engine::Mariadb => {
                // The migration keeps an existing identity, so that no process reads a different one meanwhile.
                let (schema, identity) = (&self.schema, self.identity.as_deref().unwrap_or_default());
                self.query(&format!(
                    "DROP DATABASE IF EXISTS {schema}; CREATE DATABASE {schema} CHARACTER SET utf8mb4; USE {schema};
                     CREATE TABLE synapsor_database_identity (id TINYINT NOT NULL PRIMARY KEY,
                       instance VARCHAR(64) NOT NULL) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
                     INSERT INTO synapsor_database_identity VALUES (1, '{identity}');
                     {made} {}",
                    self.grants
                ))
                .map(drop)
            }
        }
    }

    /// Statements that create both tables.
    fn made(&self, invoices: &[String]) -> String {
        let (ty, ending) = match self.engine {
            Engine::Sqlite => (["TEXT", "INTEGER"], " STRICT"),
            Engine::Postgres => (["text", "bigint"], ""),
            Engine::Mysql | Engine::Mariadb => (["VARCHAR(200)", "BIGINT"], " ENGINE=InnoDB"),
        };
        let [text, number] = ty;
        let rows: Vec<String> = invoices
            .iter()
            .map(|id| format!("('{id}', 'acme', 'Precondition Test', 'overdue', 900, NULL, 'note', 1)"))
            .collect();
        let mut sql = format!(
            "CREATE TABLE invoices (id {text} NOT NULL PRIMARY KEY, tenant_id {text} NOT NULL, customer_name {text},
               status {text}, late_fee_cents {number} NOT NULL, waiver_reason {text}, internal_note {text},
               version {number} NOT NULL){ending};
             INSERT INTO invoices VALUES {},
               ('X-1', 'globex', 'Adventure Works', 'open', 7500, NULL, 'strategic account', 4);
             {}",
            rows.join(", "),
            self.receipts
        );
        if let Some(identity) = self.identity.as_ref().filter(|_| self.engine == Engine::Sqlite) {
            sql += &format!("UPDATE synapsor_database_identity SET instance = '{identity}';\n");
        }
        for values in self.values.chunks(CHUNK) {
            sql += &format!("INSERT INTO {RECEIPT_TABLE} VALUES {};\n", values.join(", "));
        }
        sql
    }

    /// Drops every object of the file and keeps the file itself.
    fn reset_file(&self, made: &str) -> anyhow::Result<()> {
        const NEXT: &str = "SELECT type, name FROM sqlite_schema WHERE type IN ('trigger', 'view', 'table') AND \
             name NOT LIKE 'sqlite@_%' ESCAPE '@' ORDER BY type <> 'trigger', type <> 'view', \
             sql NOT LIKE 'CREATE VIRTUAL%' LIMIT 1";
        let mut connection = rusqlite::Connection::open(Path::new(self.owner.file()))?;
        connection.busy_timeout(BUSY)?;
        connection.execute_batch("PRAGMA foreign_keys = OFF")?;
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        loop {
            let next = transaction.query_row(NEXT, [], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            });
            match next {
                Ok((kind, name)) => {
                    transaction.execute_batch(&format!("DROP {kind} {}", self.engine.quote(&name)))?;
                }
                Err(rusqlite::Error::QueryReturnedNoRows) => break,
                Err(error) => return Err(error.into()),
            }
        }
        transaction.execute_batch(made)?;
        Ok(transaction.commit()?)
    }
}
