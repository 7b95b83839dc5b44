//! The harness of PostgreSQL: a separate database, reader and writer for every behavior, with exactly the
//! rights that the product prints.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Row as _};
use synapsor_chassis::random;
use synapsor_chassis::settings::EnvVars;
use synapsor_domain::contract::EngineKind;
use synapsor_domain::value::{Value, ValueKind};
use synapsor_domain::writeback::{GrantPlan, GrantTarget, RECEIPT_TABLE, grants, receipt_table_ddl};
use synapsor_engine::{Access, Credential, EngineConfig, EngineLimits};
use synapsor_source::ReceiptTable;

use super::behaviors::{Account, Db, Fixture, Sample, TestDatabase, dec, exact, float, handing_over, sample};
use super::servers::ServerVersion;

/// Creates a new, empty database.
pub(crate) fn fresh(server: &'static ServerVersion) -> Db {
    database(server)
}

/// Like [`fresh`], with the functions of this engine.
pub(crate) fn database(server: &'static ServerVersion) -> Arc<PostgresDatabase> {
    Arc::new(PostgresDatabase {
        server,
        mark: hex::encode(random::bytes::<6>()),
        renamed: Mutex::new(0),
        made: OnceLock::new(),
        session: Mutex::new(None),
    })
}

pub(crate) struct PostgresDatabase {
    server: &'static ServerVersion,
    mark: String,
    /// Number of times that another database replaced the first.
    renamed: Mutex<u32>,
    made: OnceLock<()>,
    /// The owner's connection to the database. A login derives a key, which takes a debug build as long as many
    /// statements.
    session: Mutex<Option<OwnerSession>>,
}

struct OwnerSession {
    runtime: tokio::runtime::Runtime,
    connection: PgConnection,
}

type Rows = Vec<Vec<Option<String>>>;

impl PostgresDatabase {
    fn name(&self) -> String {
        format!("synapsor_test_{}", self.mark)
    }

    fn role(&self, access: Access) -> String {
        let word = if access == Access::Read {
            "reader"
        } else {
            "writer"
        };
        format!("synapsor_{word}_{}", self.mark)
    }

    fn owner_options(&self) -> PgConnectOptions {
        self.server.url().unwrap().parse().unwrap()
    }

    /// Host and port of the server.
    pub(crate) fn address(&self) -> String {
        let options = self.owner_options();
        format!("{}:{}", options.get_host(), options.get_port())
    }

    /// Opens a reader with this number of connections; with one, each read uses the connection of the one before.
    pub(crate) fn reader_of(&self, connections: u32) -> Account {
        let limits = EngineLimits {
            statement_timeout: None,
            connections: Some(connections),
        };
        self.engine_within(&self.address(), Access::Read, limits)
    }

    /// Opens an engine that connects to the server through this address.
    pub(crate) fn engine_through(&self, address: &str, access: Access, timeout: Option<Duration>) -> Account {
        let limits = EngineLimits {
            statement_timeout: timeout,
            connections: None,
        };
        self.engine_within(address, access, limits)
    }

    fn engine_within(&self, address: &str, access: Access, limits: EngineLimits) -> Account {
        self.make("");
        let (role, name) = (self.role(access), self.name());
        let url = format!("postgres://{role}:{}@{address}/{name}", self.mark);
        let env = EnvVars::fixed([("URL", url)]);
        let credential = Credential::of_variable("URL", &env);
        let receipts = ReceiptTable {
            schema: None,
            table: RECEIPT_TABLE.to_owned(),
        };
        let opening = EngineConfig {
            name: "source `test`".to_owned(),
            kind: EngineKind::Postgres,
            credential,
            receipts,
            limits,
        };
        Account::open(opening, access)
    }

    /// Runs statements outside of the database.
    fn on_server(&self, sql: &str) -> Rows {
        run(self.owner_options(), sql)
    }

    /// Runs statements in the database, as its owner.
    fn as_owner(&self, sql: &str) -> Rows {
        self.make("");
        self.try_as_owner(sql)
            .unwrap_or_else(|error| panic!("{error}: {sql}"))
    }

    fn try_as_owner(&self, sql: &str) -> Result<Rows, sqlx::Error> {
        on_own_thread(|| {
            let mut kept = self.session.lock().unwrap_or_else(PoisonError::into_inner);
            let mut session = match kept.take() {
                Some(session) => session,
                None => OwnerSession::open(self.owner_options().database(&self.name()))?,
            };
            let OwnerSession { runtime, connection } = &mut session;
            let found = runtime.block_on(async {
                let found = rows(connection, sql).await?;
                // The next statements find a session without settings, roles and temporary tables.
                rows(connection, "ROLLBACK").await?;
                rows(connection, "DISCARD ALL").await?;
                Ok(found)
            });
            if found.is_ok() {
                *kept = Some(session);
            }
            found
        })
    }

    fn make(&self, options: &str) {
        self.made.get_or_init(|| {
            self.on_server(&format!(
                "CREATE DATABASE {} TEMPLATE template0 {options}",
                self.name()
            ));
            self.on_server(&format!("CREATE ROLE {}", self.owner_role()));
            for access in [Access::Read, Access::Write] {
                self.on_server(&format!(
                    "CREATE ROLE {} LOGIN PASSWORD '{}'",
                    self.role(access),
                    self.mark
                ));
            }
        });
    }

    /// Closes the owner's connection, so that the database can be renamed or dropped and counts are reported.
    pub(crate) fn end_session(&self) {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = session.take() {
            session.close();
        }
    }

    /// Runs statements of a transaction and keeps it open until it is dropped, when `end` ends it.
    pub(crate) fn hold(&self, sql: &'static str, end: &'static str) -> HeldRow {
        HeldRow::hold(self.owner_options().database(&self.name()), sql, end)
    }

    /// Runs statements as the owner without new grants.
    pub(crate) fn alter(&self, sql: &str) {
        self.as_owner(sql);
    }

    /// Like [`Self::alter`]; `false` if a lock was not granted in time.
    pub(crate) fn try_alter(&self, sql: &str) -> bool {
        self.make("");
        match self.try_as_owner(sql) {
            Ok(_) => true,
            Err(error) => {
                let code = error
                    .as_database_error()
                    .and_then(|e| e.code().map(|c| c.into_owned()));
                assert_eq!(code.as_deref(), Some("55P03"), "{error}: {sql}");
                false
            }
        }
    }

    /// Creates a role that owns tables and has no other rights.
    pub(crate) fn owner_role(&self) -> String {
        format!("synapsor_owner_{}", self.mark)
    }

    pub(crate) fn reader_role(&self) -> String {
        self.role(Access::Read)
    }

    pub(crate) fn writer_role(&self) -> String {
        self.role(Access::Write)
    }

    /// Grants both accounts the rights that the product prints for every existing table.
    fn grant(&self) {
        let listed = self.as_owner(
            "SELECT c.relname::text, string_agg(a.attname, ' '), \
               coalesce(string_agg(a.attname, ' ') FILTER (WHERE a.attgenerated = '' AND c.relkind <> 'v'), '') \
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
             WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'p') \
               AND c.relname ~ '^[a-z_0-9]+$' AND a.attname ~ '^[a-z_0-9]+$' GROUP BY c.relname",
        );
        let words = |row: &[Option<String>], at: usize| -> Vec<String> {
            let text = row[at].as_deref().unwrap();
            text.split(' ')
                .filter(|word| !word.is_empty())
                .map(ToOwned::to_owned)
                .collect()
        };
        let has_receipts = listed.iter().any(|row| row[0].as_deref() == Some(RECEIPT_TABLE));
        let targets = listed
            .iter()
            .filter(|row| row[0].as_deref() != Some(RECEIPT_TABLE))
            .map(|row| GrantTarget {
                schema: "public".to_owned(),
                table: row[0].clone().unwrap(),
                reads: words(row, 1),
                writes: words(row, 2),
            });
        let printed = grants(&GrantPlan {
            engine: EngineKind::Postgres,
            read_role: Some(self.role(Access::Read)),
            write_role: Some(self.role(Access::Write)),
            receipt_schema: "public".to_owned(),
            receipt_table: RECEIPT_TABLE.to_owned(),
            targets: targets.collect(),
        });
        let printed = printed.unwrap();
        let wanted = printed
            .lines()
            .filter(|line| has_receipts || !line.contains(RECEIPT_TABLE));
        self.as_owner(&wanted.collect::<Vec<_>>().join("\n"));
    }

    fn invoices(&self, clauses: &str, more: &str) {
        let receipts = receipt_table_ddl(EngineKind::Postgres, "public", RECEIPT_TABLE).unwrap();
        self.execute(&format!(
            "CREATE TABLE invoices (id text NOT NULL PRIMARY KEY, tenant text NOT NULL, status text, \
               fee bigint NOT NULL, version bigint NOT NULL{clauses});
             INSERT INTO invoices VALUES ('INV-1', 'acme', 'open', 5500, 7), ('INV-2', 'acme', 'paid', 0, 1),
               ('INV-3', 'globex', 'due', 100, 2);
             {more}
             {receipts}"
        ));
    }

    /// The fixtures without invoices.
    fn tables(&self, fixture: Fixture) {
        match fixture {
            Fixture::FoldedKeys => self.execute(
                "CREATE COLLATION folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
                 CREATE TABLE folded (id text COLLATE folding PRIMARY KEY, tenant text COLLATE folding, body text);
                 INSERT INTO folded VALUES ('Key', 'Acme', 'one'), ('trail ', 'Acme ', 'two');",
            ),
            Fixture::IntegerKeys => self.execute(
                "CREATE TABLE numbered (id bigint PRIMARY KEY, tenant text, body text);
                 INSERT INTO numbered VALUES (1, 'acme', 'one'), (12, 'acme', 'twelve');",
            ),
            Fixture::TextKeys => self.execute(
                "CREATE TABLE lettered (id text, tenant text, body text);
                 INSERT INTO lettered VALUES ('1', 'acme', 'one'), ('01', 'acme', 'padded'), ('1 ', 'acme', 'spaced');",
            ),
            Fixture::Twins => self.execute(
                "CREATE TABLE twins (id text, tenant text, body text);
                 INSERT INTO twins VALUES ('same', 'acme', 'a'), ('same', 'acme', 'b'), ('same', 'acme', 'c');",
            ),
            Fixture::Kinds => {
                let receipts = receipt_table_ddl(EngineKind::Postgres, "public", RECEIPT_TABLE).unwrap();
                self.execute(&format!("{KINDS} {receipts}"));
            }
            Fixture::Wide => self.execute(
                "CREATE TABLE wide (id text PRIMARY KEY, tenant text, a text, b text, c text, d text);
                 INSERT INTO wide (id, tenant, a) VALUES ('limit', 'acme', repeat('x', 65536)),
                   ('value', 'acme', repeat('x', 65537));
                 INSERT INTO wide SELECT 'row', 'acme', t, t, t, t FROM (SELECT repeat('x', 61440) AS t) AS x;",
            ),
            Fixture::Broken => {
                // Only a database without an encoding accepts any bytes as text.
                self.make("ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'");
                self.execute(
                    "CREATE TABLE broken (id text PRIMARY KEY, tenant text, body text);
                     INSERT INTO broken VALUES ('k', 'acme', E'\\xff41');",
                );
            }
            Fixture::Slow => self.execute(
                "CREATE VIEW slow AS SELECT 'k'::text AS id, 'acme'::text AS tenant, pg_sleep(60)::text AS body;",
            ),
            _ => panic!("{fixture:?} has invoices"),
        }
    }

    fn invoices_with_trigger(&self, name: &str, when: &str, body: &str) {
        self.invoices(
            "",
            &format!(
                "CREATE TABLE journal (line text);
                 CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $f$ BEGIN {body} \
                   RETURN NEW; END $f$;
                 CREATE TRIGGER {name} {when} ON invoices FOR EACH ROW EXECUTE FUNCTION {name}();"
            ),
        );
    }
}

fn run(options: PgConnectOptions, sql: &str) -> Rows {
    try_run(options, sql).unwrap_or_else(|error| panic!("{error}: {sql}"))
}

fn try_run(options: PgConnectOptions, sql: &str) -> Result<Rows, sqlx::Error> {
    on_own_thread(|| {
        let OwnerSession {
            runtime,
            mut connection,
        } = OwnerSession::open(options)?;
        runtime.block_on(async {
            let found = rows(&mut connection, sql).await?;
            connection.close().await?;
            Ok(found)
        })
    })
}

/// Runs work on its own thread: the callers' threads belong to a runtime that must not be blocked.
fn on_own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    handing_over(|| std::thread::scope(|scope| scope.spawn(work).join().unwrap()))
}

impl OwnerSession {
    fn open(options: PgConnectOptions) -> Result<Self, sqlx::Error> {
        let runtime = runtime();
        let connection = runtime.block_on(options.disable_statement_logging().connect())?;
        Ok(Self { runtime, connection })
    }

    /// Ends the connection; the server then reports its counts.
    fn close(self) {
        let Self { runtime, connection } = self;
        // A runtime must not be dropped on a thread of another one.
        on_own_thread(move || {
            // It can be closed already.
            let _ = runtime.block_on(connection.close());
            drop(runtime);
        });
    }
}

async fn rows(connection: &mut PgConnection, sql: &str) -> Result<Rows, sqlx::Error> {
    let found = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .fetch_all(connection)
        .await?;
    let texts = |row: &sqlx::postgres::PgRow| -> Vec<Option<String>> {
        (0..row.len())
            .map(|at| row.try_get_unchecked(at).unwrap())
            .collect()
    };
    Ok(found.iter().map(texts).collect())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        self.end_session();
        if self.made.get().is_none() {
            return;
        }
        let mut sql = vec![format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name())];
        for n in 1..=*self.renamed.lock().unwrap_or_else(PoisonError::into_inner) {
            sql.push(format!(
                "DROP DATABASE IF EXISTS {}_{n} WITH (FORCE)",
                self.name()
            ));
        }
        sql.extend(
            [Access::Read, Access::Write].map(|access| format!("DROP ROLE IF EXISTS {}", self.role(access))),
        );
        sql.push(format!("DROP ROLE IF EXISTS {}", self.owner_role()));
        for statement in sql {
            self.on_server(&statement);
        }
    }
}

impl TestDatabase for PostgresDatabase {
    fn lacks(&self, fixture: Fixture) -> Option<&'static str> {
        match fixture {
            Fixture::ReplacesOnConflict => Some("a table has no conflict clause"),
            Fixture::ClusteredKey => Some("a table is not stored in the order of its key"),
            _ => None,
        }
    }

    fn create(&self, fixture: Fixture) {
        match fixture {
            Fixture::Invoices => self.invoices("", ""),
            Fixture::RaisesVersion => {
                self.invoices_with_trigger("raise", "BEFORE UPDATE", "NEW.version := OLD.version + 1;");
            }
            Fixture::WritesElsewhere => self.invoices_with_trigger(
                "note",
                "AFTER UPDATE",
                "INSERT INTO public.journal VALUES (NEW.id);",
            ),
            Fixture::ChangesOthers => self.invoices_with_trigger(
                "spread",
                "AFTER UPDATE OF fee",
                "UPDATE public.invoices SET status = 'touched' WHERE id <> NEW.id;",
            ),
            Fixture::RewritesColumn => {
                self.invoices_with_trigger("rewrite", "BEFORE UPDATE OF status", "NEW.status := 'rewritten';")
            }
            Fixture::Cascades => self.invoices(
                ", UNIQUE (status)",
                "CREATE TABLE notes (status text REFERENCES invoices (status) ON UPDATE CASCADE);
                 INSERT INTO notes VALUES ('open');",
            ),
            Fixture::CascadesUnseen => self.invoices(
                ", UNIQUE (status)",
                "CREATE SCHEMA hidden;
                 CREATE TABLE hidden.notes (status text REFERENCES invoices (status) ON UPDATE CASCADE);
                 INSERT INTO hidden.notes VALUES ('open');",
            ),
            Fixture::Checked => self.invoices(", CHECK (fee >= 0)", ""),
            Fixture::FoldedKeys
            | Fixture::IntegerKeys
            | Fixture::TextKeys
            | Fixture::Twins
            | Fixture::Kinds
            | Fixture::Wide
            | Fixture::Broken
            | Fixture::Slow => self.tables(fixture),
            Fixture::ClusteredKey | Fixture::ReplacesOnConflict => {
                unreachable!("{fixture:?} is not applicable")
            }
        }
    }

    fn execute(&self, sql: &str) {
        self.as_owner(sql);
        self.grant();
    }

    fn text(&self, sql: &str) -> String {
        let rows = self.as_owner(&format!("SELECT ({sql})::text"));
        rows[0][0].clone().unwrap()
    }

    fn schema(&self) -> String {
        "public".to_owned()
    }

    fn another(&self) -> Db {
        fresh(self.server)
    }

    fn drop_trigger(&self, name: &str) {
        self.execute(&format!("DROP TRIGGER {name} ON invoices"));
    }

    fn engine(&self, access: Access, timeout: Option<Duration>) -> Account {
        self.engine_through(&self.address(), access, timeout)
    }

    fn hold_lock(&self) -> Box<dyn Send> {
        Box::new(self.hold(
            "BEGIN; SELECT 1 FROM invoices WHERE id = 'INV-1' FOR UPDATE",
            "ROLLBACK",
        ))
    }

    fn change_identity(&self) {
        self.end_session();
        let mut renamed = self.renamed.lock().unwrap();
        *renamed += 1;
        let (name, old) = (self.name(), format!("{}_{renamed}", self.name()));
        self.on_server(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
        self.on_server(&format!(
            "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE datname = '{name}'"
        ));
        while self.on_server(&format!(
            "SELECT pid::text FROM pg_stat_activity WHERE datname = '{name}'"
        )) != Rows::new()
        {}
        self.on_server(&format!("ALTER DATABASE {name} RENAME TO {old}"));
        self.on_server(&format!("CREATE DATABASE {name} TEMPLATE {old}"));
    }

    fn bad_receipt_tables(&self) -> Vec<(&'static str, &'static str)> {
        BAD_RECEIPT_TABLES.to_vec()
    }

    fn alter_receipts(&self) {
        self.execute(
            "CREATE FUNCTION alter_it() RETURNS trigger LANGUAGE plpgsql AS \
               $f$ BEGIN NEW.reason := 'altered'; RETURN NEW; END $f$; \
             CREATE TRIGGER alter_it BEFORE INSERT ON synapsor_writeback_receipts FOR EACH ROW \
               EXECUTE FUNCTION alter_it()",
        );
    }

    fn kinds(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("i", Value::int(42)),
            ("r", float("0.1")),
            ("n", dec("10.50")),
            ("t", Value::text("Zoë \"q\"")),
            ("b", Value::bytes(&[0, 255])),
            ("u", Value::null()),
            ("due", exact(ValueKind::Date, "2026-01-02")),
            ("at", exact(ValueKind::Tstz, "2026-01-02 03:04:05.000006+00")),
            ("mood", Value::text("calm")),
        ]
    }

    fn fits(&self) -> Vec<(&'static str, Value, Value)> {
        let tstz = |text| exact(ValueKind::Tstz, text);
        vec![
            ("flag", Value::bool(false), Value::bool(false)),
            ("r", dec("10.5"), float("10.5")),
            ("r", Value::int(3), float("3.0")),
            ("n", dec("1.5"), dec("1.50")),
            ("n", Value::int(-3), dec("-3.00")),
            ("t", Value::text("7"), Value::text("7")),
            ("b", Value::text("00FF"), Value::bytes(&[0, 255])),
            ("v", Value::text("äöü"), Value::text("äöü")),
            ("c", Value::text("ab"), Value::text("ab")),
            (
                "due",
                Value::text("2026-01-02"),
                exact(ValueKind::Date, "2026-01-02"),
            ),
            (
                "at",
                Value::text("2026-01-02T03:04:05.120Z"),
                tstz("2026-01-02 03:04:05.12+00"),
            ),
            ("mood", Value::text("calm"), Value::text("calm")),
            (
                "doc",
                Value::text("{\"bb\":1,\"a\":[1, 2.50]}"),
                exact(ValueKind::Json, "{\"a\": [1, 2.50], \"bb\": 1}"),
            ),
            ("u", Value::null(), Value::null()),
        ]
    }

    fn misfits(&self) -> Vec<(&'static str, Value)> {
        let int = |text: &str| Value::exact(ValueKind::Int, text);
        vec![
            ("i", dec("1.5")),
            ("i", Value::text("1.0")),
            ("i", int("2147483648")),
            ("i", Value::bool(true)),
            ("i", Value::bytes(&[1])),
            ("big", int("-9223372036854775809")),
            ("r", dec("0.1000000000000000055511151231257827")),
            ("r", int("9007199254740993")),
            ("r", Value::text("1")),
            ("n", dec("1.239")),
            ("n", int("10000000000")),
            ("n", Value::text(" 1e3 ")),
            ("t", Value::int(7)),
            ("t", Value::bool(true)),
            ("t", Value::text("a\0b")),
            ("t", Value::text("x".repeat(64 * 1024 + 1))),
            ("v", Value::text("abcd")),
            ("c", Value::text("ab ")),
            ("c", Value::text("abcde")),
            ("b", Value::text("00f")),
            ("due", Value::text("2026-02-29")),
            ("due", Value::text("02.01.2026")),
            ("at", Value::text("2026-01-02 03:04:05")),
            ("at", Value::text("2026-01-02 03:04:05.0000001Z")),
            ("at", Value::text("2026-01-02 03:04:05+01")),
            ("mood", Value::text("angry")),
            ("doc", Value::text("{a: 1}")),
            ("doc", Value::text("[1e5]")),
            ("key", Value::text("0A0EEBC9-9C0B-4EF8-BB6D-6BB9BD380A11")),
            ("net", Value::text("10.0.0.1")),
            ("need", Value::null()),
        ]
    }

    fn samples(&self) -> Vec<Sample> {
        [numbers(), texts(), times(), others()]
            .into_iter()
            .flatten()
            .collect()
    }

    fn running_reads(&self) -> Option<u64> {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND usename = '{}'",
            self.role(Access::Read)
        );
        Some(self.text(&sql).parse().unwrap())
    }
}

fn numbers() -> Vec<Sample> {
    let long = "12345678901234567890.12345678901234567890";
    vec![
        sample("smallint", "-32768", Value::int(-32768), true),
        sample("integer", "2147483647", Value::int(2_147_483_647), true),
        sample(
            "bigint",
            "-9223372036854775808",
            Value::int(i64::MIN.into()),
            true,
        ),
        sample("numeric", "1.5000000000", dec("1.5000000000"), true),
        sample("numeric", "'NaN'", Value::text("NaN"), false),
        sample(
            "numeric(40,20)",
            "12345678901234567890.12345678901234567890",
            dec(long),
            true,
        ),
        sample("real", "0.1", float("0.1"), true),
        sample("double precision", "'Infinity'", float("inf"), false),
        sample("double precision", "'NaN'", float("NaN"), false),
        sample("double precision", "1e300", float("1e300"), true),
        sample("boolean", "true", Value::bool(true), true),
        sample("oid", "4294967295", Value::int(4_294_967_295), false),
    ]
}

fn texts() -> Vec<Sample> {
    let json = |text| exact(ValueKind::Json, text);
    let uuid = exact(ValueKind::Uuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
    vec![
        sample("text", "'Zo\u{eb}'", Value::text("Zo\u{eb}"), true),
        sample("text", "'Zoe\u{308}'", Value::text("Zoe\u{308}"), true),
        sample("text", "'\u{1F600}'", Value::text("\u{1F600}"), true),
        sample("text", "''", Value::text(""), true),
        sample("text", "' a '", Value::text(" a "), true),
        sample("varchar(3)", "'a  '", Value::text("a  "), true),
        sample("char(8)", "'ab'", Value::text("ab"), true),
        sample("bpchar", "'ab  '", Value::text("ab  "), false),
        sample("name", "'n'", Value::text("n"), false),
        sample("\"char\"", "'x'", Value::text("x"), false),
        sample("bytea", "'\\x00ff'", Value::bytes(&[0, 255]), true),
        sample("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", uuid, true),
        sample(
            "json",
            "'{\"b\":  1, \"a\": 2}'",
            json("{\"b\":  1, \"a\": 2}"),
            true,
        ),
        sample(
            "jsonb",
            "'{\"bb\": 1, \"a\": 1.50}'",
            json("{\"a\": 1.50, \"bb\": 1}"),
            true,
        ),
    ]
}

fn times() -> Vec<Sample> {
    let date = |text| exact(ValueKind::Date, text);
    let (ts, tstz) = (
        |text| exact(ValueKind::Ts, text),
        |text| exact(ValueKind::Tstz, text),
    );
    let time = exact(ValueKind::Time, "23:59:59.999999");
    let (micros, shifted) = ("2026-01-02 03:04:05.000006", "2026-01-02 01:04:05.5+00");
    let interval = Value::text("1 year 2 days 03:04:05.6");
    vec![
        sample("date", "'infinity'", date("infinity"), true),
        sample("date", "'0044-03-15 BC'", date("0044-03-15 BC"), false),
        sample("time", "'23:59:59.999999'", time, true),
        sample("timetz", "'13:00:00+02'", Value::text("13:00:00+02"), false),
        sample("timestamp", "'2026-01-02 03:04:05.000006'", ts(micros), true),
        sample(
            "timestamp(3)",
            "'2026-01-02 03:04:05.1'",
            ts("2026-01-02 03:04:05.1"),
            true,
        ),
        sample("timestamptz", "'2026-01-02 03:04:05.5+02'", tstz(shifted), true),
        sample("timestamptz", "'-infinity'", tstz("-infinity"), true),
        sample("interval", "'1 year 2 days 03:04:05.6'", interval, false),
    ]
}

fn others() -> Vec<Sample> {
    let of = |declared, literal, text| sample(declared, literal, Value::text(text), false);
    vec![
        of("integer[]", "'{1,NULL,3}'", "{1,NULL,3}"),
        of("text[]", "'{\"a b\",c}'", "{\"a b\",c}"),
        of("int4range", "'[1,5)'", "[1,5)"),
        of("inet", "'10.0.0.1'", "10.0.0.1"),
        of("cidr", "'10.0.0.0/8'", "10.0.0.0/8"),
        of("macaddr", "'08:00:2b:01:02:03'", "08:00:2b:01:02:03"),
        of("bit(4)", "B'1010'", "1010"),
        of("varbit", "B'101'", "101"),
        of("point", "'(1,2)'", "(1,2)"),
        of("xml", "'<a/>'", "<a/>"),
        of("tsvector", "'a b'", "'a' 'b'"),
    ]
}

/// An open transaction of a connection on its own thread.
pub(crate) struct HeldRow {
    release: Option<mpsc::Sender<()>>,
    holder: Option<JoinHandle<()>>,
}

impl HeldRow {
    fn hold(options: PgConnectOptions, sql: &'static str, end: &'static str) -> Self {
        let (release, released) = mpsc::channel::<()>();
        let (locked, is_locked) = mpsc::channel();
        let holder = std::thread::spawn(move || {
            let runtime = runtime();
            let mut connection: PgConnection = runtime.block_on(options.connect()).unwrap();
            runtime
                .block_on(sqlx::raw_sql(sql).execute(&mut connection))
                .unwrap();
            locked.send(()).unwrap();
            let _ = released.recv();
            runtime
                .block_on(sqlx::raw_sql(end).execute(&mut connection))
                .unwrap();
        });
        is_locked.recv().unwrap();
        Self {
            release: Some(release),
            holder: Some(holder),
        }
    }
}

impl Drop for HeldRow {
    fn drop(&mut self) {
        drop(self.release.take());
        if let Some(holder) = self.holder.take() {
            handing_over(|| holder.join()).unwrap();
        }
    }
}

const BAD_RECEIPT_TABLES: &[(&str, &str)] = &[
    ("unlogged", "ALTER TABLE synapsor_writeback_receipts SET UNLOGGED"),
    (
        "a trigger",
        "CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NULL; END $f$; \
                 CREATE TRIGGER t BEFORE INSERT ON synapsor_writeback_receipts FOR EACH ROW EXECUTE FUNCTION t()",
    ),
    (
        "a rule",
        "CREATE RULE r AS ON INSERT TO synapsor_writeback_receipts DO INSTEAD NOTHING",
    ),
    (
        "row security",
        "ALTER TABLE synapsor_writeback_receipts ENABLE ROW LEVEL SECURITY",
    ),
    (
        "another column",
        "ALTER TABLE synapsor_writeback_receipts ADD COLUMN extra text",
    ),
    (
        "a missing column",
        "ALTER TABLE synapsor_writeback_receipts DROP COLUMN reason",
    ),
    (
        "another type",
        "ALTER TABLE synapsor_writeback_receipts ALTER COLUMN receipt TYPE varchar(100)",
    ),
    (
        "another collation",
        "ALTER TABLE synapsor_writeback_receipts ALTER COLUMN proposal_id TYPE text COLLATE \"default\"",
    ),
    (
        "a second unique index",
        "CREATE UNIQUE INDEX u ON synapsor_writeback_receipts (executor_id)",
    ),
    (
        "a deferrable key",
        "ALTER TABLE synapsor_writeback_receipts DROP CONSTRAINT synapsor_writeback_receipts_pkey; \
                 ALTER TABLE synapsor_writeback_receipts ADD PRIMARY KEY (proposal_id) DEFERRABLE",
    ),
    (
        "a wider key",
        "ALTER TABLE synapsor_writeback_receipts DROP CONSTRAINT synapsor_writeback_receipts_pkey; \
                 ALTER TABLE synapsor_writeback_receipts ADD PRIMARY KEY (proposal_id, outcome)",
    ),
    (
        "no key",
        "ALTER TABLE synapsor_writeback_receipts DROP CONSTRAINT synapsor_writeback_receipts_pkey",
    ),
    (
        "partitions",
        "ALTER TABLE synapsor_writeback_receipts RENAME TO x; \
                 CREATE TABLE synapsor_writeback_receipts (LIKE x) PARTITION BY HASH (proposal_id)",
    ),
    (
        "an inheriting table",
        "CREATE TABLE child () INHERITS (synapsor_writeback_receipts)",
    ),
    (
        "a foreign key",
        "CREATE TABLE outcomes (o text COLLATE \"C\" PRIMARY KEY); \
                 ALTER TABLE synapsor_writeback_receipts ADD FOREIGN KEY (outcome) REFERENCES outcomes",
    ),
    (
        "a view",
        "ALTER TABLE synapsor_writeback_receipts RENAME TO x; \
                 CREATE VIEW synapsor_writeback_receipts AS SELECT * FROM x",
    ),
];

const KINDS: &str = "CREATE TYPE mood AS ENUM ('calm', 'Calm', 'glad'); CREATE DOMAIN amount AS numeric(12,2);
    CREATE TABLE kinds (id text PRIMARY KEY, tenant text, i integer, big bigint, r double precision, n amount, \
      t text, v varchar(3), c char(4), b bytea, u text, flag boolean, due date, at timestamptz, mood mood, doc jsonb, \
      key uuid, net inet, need text NOT NULL DEFAULT '');
    INSERT INTO kinds VALUES ('k', 'acme', 42, 9223372036854775807, 0.1, 10.5, 'Zoë \"q\"', 'abc', 'ab', '\\x00ff', \
      NULL, true, '2026-01-02', '2026-01-02 03:04:05.000006+00', 'calm', '{}', NULL, NULL, '');
    INSERT INTO kinds (id, tenant, i, big, r) VALUES ('low', 'acme', -1, -9223372036854775808, 1e300);";
