//! The harness of MySQL and MariaDB: a separate database for each behavior, and two accounts with exactly
//! the rights that the product prints.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};
use synapsor_chassis::settings::EnvVars;
use synapsor_domain::contract::EngineKind;
use synapsor_domain::value::{Value, ValueKind};
use synapsor_domain::writeback::{GrantPlan, GrantTarget, RECEIPT_TABLE, grants, receipt_table_ddl};
use synapsor_engine::{Access, Credential, EngineConfig, EngineLimits};
use synapsor_source::ReceiptTable;

use super::behaviors::{Account, Db, Fixture, Sample, TestDatabase, dec, float, handing_over, sample};
use super::servers::ServerVersion;

/// The password of every account that the tests create.
pub(crate) const PASSWORD: &str = "Correct-Horse-7";
const URL: &str = "DATABASE_URL";

/// Creates a new, empty database.
pub(crate) fn fresh(server: &ServerVersion) -> Arc<MysqlDatabase> {
    fresh_at(&server.url().unwrap())
}

fn fresh_at(url: &str) -> Arc<MysqlDatabase> {
    let name = format!("conf_{}", hex::encode(synapsor_chassis::random::bytes::<6>()));
    let database = MysqlDatabase {
        url: url.to_owned(),
        name: name.clone().leak(),
    };
    let (reader, writer) = (database.account('r'), database.account('w'));
    owner(
        url,
        &format!(
            "CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
             CREATE USER `{reader}`@`%` IDENTIFIED BY '{PASSWORD}';
             CREATE USER `{writer}`@`%` IDENTIFIED BY '{PASSWORD}';
             GRANT SHOW VIEW ON `{name}`.* TO `{reader}`@`%`, `{writer}`@`%`;"
        ),
    );
    Arc::new(database)
}

/// A database with its two accounts, which are dropped with it.
pub(crate) struct MysqlDatabase {
    url: String,
    name: &'static str,
}

impl Drop for MysqlDatabase {
    fn drop(&mut self) {
        let (name, reader, writer) = (self.name, self.account('r'), self.account('w'));
        owner(
            &self.url,
            &format!("DROP DATABASE IF EXISTS `{name}`; DROP USER IF EXISTS `{reader}`, `{writer}`;"),
        );
    }
}

impl MysqlDatabase {
    pub(crate) fn account(&self, role: char) -> String {
        format!("{}_{role}", self.name)
    }

    /// Host and port of the server.
    pub(crate) fn address(&self) -> String {
        let options: sqlx::mysql::MySqlConnectOptions = self.url.parse().unwrap();
        format!("{}:{}", options.get_host(), options.get_port())
    }

    /// Returns the URL of a role: `r`, `w`, or `o` for the owner.
    pub(crate) fn url(&self, role: char) -> String {
        match role {
            'o' => {
                let server = self.url.split('?').next().unwrap();
                let (server, _) = server.rsplit_once('/').unwrap();
                format!("{server}/{}", self.name)
            }
            _ => format!(
                "mysql://{}:{PASSWORD}@{}/{}",
                self.account(role),
                self.address(),
                self.name
            ),
        }
    }

    pub(crate) fn engine_at(&self, url: &str, access: Access, timeout: Option<Duration>) -> Account {
        let env = EnvVars::fixed([(URL, url)]);
        let receipts = ReceiptTable {
            schema: None,
            table: RECEIPT_TABLE.to_owned(),
        };
        let credential = Credential::of_variable(URL, &env);
        let opening = EngineConfig {
            name: "source `test`".to_owned(),
            kind: EngineKind::Mysql,
            credential,
            receipts,
            limits: EngineLimits {
                statement_timeout: timeout,
                connections: None,
            },
        };
        Account::open(opening, access)
    }

    /// Grants both accounts exactly the rights that the product prints for all existing tables.
    fn grant(&self) {
        let (reader, writer) = (self.account('r'), self.account('w'));
        let columns = self.lines(&format!(
            "SELECT CONVERT(CONCAT(TABLE_NAME, '/', COLUMN_NAME) USING utf8mb4) FROM information_schema.COLUMNS \
             WHERE TABLE_SCHEMA = '{}' ORDER BY TABLE_NAME, ORDINAL_POSITION",
            self.name
        ));
        let mut targets: Vec<GrantTarget> = Vec::new();
        let mut has_receipts = false;
        for (table, column) in columns.iter().filter_map(|line| line.split_once('/')) {
            has_receipts |= table == RECEIPT_TABLE;
            if table == RECEIPT_TABLE || table == "synapsor_database_identity" {
                continue;
            }
            if targets.last().is_none_or(|last| last.table != table) {
                targets.push(GrantTarget {
                    schema: self.name.to_owned(),
                    table: table.to_owned(),
                    reads: Vec::new(),
                    writes: Vec::new(),
                });
            }
            let last = targets.last_mut().unwrap();
            last.reads.push(column.to_owned());
            last.writes.push(column.to_owned());
        }
        let plan = GrantPlan {
            engine: EngineKind::Mysql,
            read_role: Some(reader.clone()),
            write_role: Some(writer),
            receipt_schema: self.name.to_owned(),
            receipt_table: RECEIPT_TABLE.to_owned(),
            targets,
        };
        let text = grants(&plan).unwrap();
        // Before the migration there is neither receipt table nor procedure.
        let wanted = |line: &&str| has_receipts || !line.contains("synapsor_");
        let sql: Vec<&str> = text
            .lines()
            .filter(|l| l.starts_with("GRANT"))
            .filter(wanted)
            .collect();
        owner(&self.url('o'), &sql.join("\n"));
    }

    /// Creates tables and the receipt table.
    pub(crate) fn make(&self, sql: &str) {
        let receipts = receipt_table_ddl(EngineKind::Mysql, self.name, RECEIPT_TABLE).unwrap();
        self.execute(&format!("{sql}{receipts}"));
    }

    /// Returns the first column of every row, as the owner.
    pub(crate) fn lines(&self, sql: &str) -> Vec<String> {
        let (url, sql) = (self.url('o'), sql.to_owned());
        blocking(async move {
            let mut connection = connect(&url).await;
            let rows = sqlx::query(AssertSqlSafe(sql))
                .fetch_all(&mut connection)
                .await
                .unwrap();
            rows.iter()
                .map(|row| String::from_utf8(row.get_unchecked::<Vec<u8>, _>(0)).unwrap())
                .collect()
        })
    }

    fn invoices(&self, of_columns: &str, of_table: &str, more: &str) {
        self.make(
            &format!(
                "CREATE TABLE invoices (id VARCHAR(64) NOT NULL PRIMARY KEY, tenant VARCHAR(64) NOT NULL, \
                   status VARCHAR(64), fee BIGINT NOT NULL, version BIGINT NOT NULL{of_columns}) {of_table};
                 INSERT INTO invoices VALUES ('INV-1', 'acme', 'open', 5500, 7), ('INV-2', 'acme', 'paid', 0, 1),
                   ('INV-3', 'globex', 'due', 100, 2);
                 {more}"
            ),
        );
    }
}

impl TestDatabase for MysqlDatabase {
    fn lacks(&self, fixture: Fixture) -> Option<&'static str> {
        match fixture {
            Fixture::ReplacesOnConflict => Some("a table has no conflict clause"),
            Fixture::ChangesOthers => Some("a trigger cannot change the table that fired it"),
            Fixture::CascadesUnseen => Some("a cascade is visible to the account in no case"),
            _ => None,
        }
    }

    fn create(&self, fixture: Fixture) {
        match fixture {
            Fixture::Invoices => self.invoices("", "", ""),
            Fixture::RaisesVersion => self.invoices(
                "",
                "",
                "CREATE TRIGGER raise BEFORE UPDATE ON invoices FOR EACH ROW \
                   SET NEW.version = IF(NEW.version = OLD.version, OLD.version + 1, NEW.version);",
            ),
            Fixture::WritesElsewhere => self.invoices(
                "",
                "",
                "CREATE TABLE journal (line TEXT); CREATE TRIGGER note AFTER UPDATE ON invoices FOR EACH ROW \
                   INSERT INTO journal VALUES (NEW.id);",
            ),
            Fixture::RewritesColumn => self.invoices(
                "",
                "",
                "CREATE TRIGGER rewrite BEFORE UPDATE ON invoices FOR EACH ROW SET NEW.status = 'rewritten';",
            ),
            Fixture::Cascades => self.invoices(
                ", UNIQUE (status)",
                "",
                "CREATE TABLE notes (status VARCHAR(64), FOREIGN KEY (status) REFERENCES invoices (status) \
                   ON UPDATE CASCADE); INSERT INTO notes VALUES ('open');",
            ),
            Fixture::ClusteredKey => self.invoices("", "ENGINE=InnoDB", ""),
            Fixture::Checked => self.invoices(", CHECK (fee >= 0)", "", ""),
            Fixture::FoldedKeys => self.make(
                "CREATE TABLE folded (id VARCHAR(64) COLLATE utf8mb4_general_ci PRIMARY KEY, \
                   tenant VARCHAR(64) COLLATE utf8mb4_unicode_ci, body VARCHAR(64));
                 INSERT INTO folded VALUES ('Key', 'Acme', 'one'), ('trail ', 'Acme ', 'two');",
            ),
            Fixture::IntegerKeys => self.make(
                "CREATE TABLE numbered (id BIGINT PRIMARY KEY, tenant VARCHAR(64), body TEXT);
                 INSERT INTO numbered VALUES (1, 'acme', 'one'), (12, 'acme', 'twelve');",
            ),
            Fixture::TextKeys => self.make(
                "CREATE TABLE lettered (id VARCHAR(64), tenant VARCHAR(64), body TEXT);
                 INSERT INTO lettered VALUES ('1', 'acme', 'one'), ('01', 'acme', 'padded'), ('1 ', 'acme', 'spaced');",
            ),
            Fixture::Twins => self.make(
                "CREATE TABLE twins (id VARCHAR(64), tenant VARCHAR(64), body TEXT);
                 INSERT INTO twins VALUES ('same', 'acme', 'a'), ('same', 'acme', 'b'), ('same', 'acme', 'c');",
            ),
            Fixture::Kinds => self.make(KINDS),
            Fixture::Wide => self.make(
                "CREATE TABLE wide (id VARCHAR(64) PRIMARY KEY, tenant VARCHAR(64), a MEDIUMTEXT, b MEDIUMTEXT, \
                   c MEDIUMTEXT, d MEDIUMTEXT);
                 INSERT INTO wide (id, tenant, a) VALUES ('limit', 'acme', REPEAT('x', 65536)),
                   ('value', 'acme', REPEAT('x', 65537));
                 INSERT INTO wide SELECT 'row', 'acme', t, t, t, t FROM (SELECT REPEAT('x', 61440) AS t) AS s;",
            ),
            Fixture::Broken => self.make(
                "CREATE TABLE broken (id VARCHAR(64) PRIMARY KEY, tenant VARCHAR(64), body GEOMETRY);
                 INSERT INTO broken VALUES ('k', 'acme', ST_GeomFromText('POINT(1 2)'));",
            ),
            Fixture::Slow => self.make(
                "CREATE VIEW slow AS SELECT 'k' AS id, 'acme' AS tenant, CAST(SLEEP(60) AS CHAR) AS body;",
            ),
            Fixture::ReplacesOnConflict | Fixture::ChangesOthers | Fixture::CascadesUnseen => {
                unreachable!("{fixture:?} is not applicable")
            }
        }
    }

    fn execute(&self, sql: &str) {
        owner(&self.url('o'), sql);
        self.grant();
    }

    fn text(&self, sql: &str) -> String {
        self.lines(&format!("SELECT CAST(({sql}) AS CHAR)")).remove(0)
    }

    fn schema(&self) -> String {
        self.name.to_owned()
    }

    fn another(&self) -> Db {
        fresh_at(&self.url)
    }

    fn drop_trigger(&self, name: &str) {
        self.execute(&format!("DROP TRIGGER {name}"));
    }

    fn engine(&self, access: Access, timeout: Option<Duration>) -> Account {
        let role = if access == Access::Read { 'r' } else { 'w' };
        self.engine_at(&self.url(role), access, timeout)
    }

    fn hold_lock(&self) -> Box<dyn Send> {
        Box::new(Holder::new(
            self.url('o'),
            "START TRANSACTION; SELECT * FROM invoices FOR UPDATE; \
             SELECT * FROM synapsor_writeback_receipts FOR UPDATE",
        ))
    }

    fn change_identity(&self) {
        self.execute("UPDATE synapsor_database_identity SET instance = 'another-one'");
    }

    fn bad_receipt_tables(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            (
                "without transactions",
                "ALTER TABLE synapsor_writeback_receipts ENGINE = MyISAM;",
            ),
            (
                "a trigger",
                "CREATE TRIGGER t BEFORE INSERT ON synapsor_writeback_receipts FOR EACH ROW SET NEW.reason = '';",
            ),
            (
                "another column",
                "ALTER TABLE synapsor_writeback_receipts ADD COLUMN extra TEXT;",
            ),
            (
                "a missing column",
                "ALTER TABLE synapsor_writeback_receipts DROP COLUMN reason;",
            ),
            (
                "a second unique index",
                "CREATE UNIQUE INDEX u ON synapsor_writeback_receipts (executor_id);",
            ),
            (
                "a unique index over a part",
                "CREATE UNIQUE INDEX u ON synapsor_writeback_receipts (receipt (10));",
            ),
            (
                "a view",
                "DROP TABLE synapsor_writeback_receipts; CREATE VIEW synapsor_writeback_receipts AS SELECT 1 AS proposal_id;",
            ),
            (
                "a collation that folds",
                "ALTER TABLE synapsor_writeback_receipts MODIFY proposal_id VARCHAR(64) COLLATE utf8mb4_general_ci NOT NULL;",
            ),
            (
                "a wider key",
                "ALTER TABLE synapsor_writeback_receipts DROP PRIMARY KEY, ADD PRIMARY KEY (proposal_id, outcome);",
            ),
            (
                "partitions",
                "ALTER TABLE synapsor_writeback_receipts PARTITION BY KEY (proposal_id) PARTITIONS 2;",
            ),
            (
                "a foreign key",
                "CREATE TABLE writers (id VARCHAR(255) PRIMARY KEY); ALTER TABLE synapsor_writeback_receipts \
                   ADD FOREIGN KEY (executor_id) REFERENCES writers (id);",
            ),
        ]
    }

    fn alter_receipts(&self) {
        self.execute(
            "CREATE TRIGGER alter_it BEFORE INSERT ON synapsor_writeback_receipts FOR EACH ROW \
               SET NEW.reason = 'altered';",
        );
    }

    fn kinds(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("i", Value::int(42)),
            ("r", float("0.1")),
            ("n", dec("10.5000")),
            ("t", Value::text("Zoë \"q\"")),
            ("b", Value::bytes(&[0, 255])),
            ("u", Value::null()),
            ("flag", Value::int(1)),
            ("due", Value::exact(ValueKind::Date, "2026-01-02")),
        ]
    }

    fn fits(&self) -> Vec<(&'static str, Value, Value)> {
        vec![
            ("i", Value::bool(true), Value::int(1)),
            ("flag", Value::bool(false), Value::int(0)),
            ("r", dec("10.5"), float("10.5")),
            ("r", Value::int(3), float("3.0")),
            ("n", dec("0.1"), dec("0.1000")),
            ("n", Value::int(-7), dec("-7.0000")),
            ("t", Value::text("7"), Value::text("7")),
            ("b", Value::text("00FF"), Value::bytes(&[0, 255])),
            (
                "due",
                Value::text("2026-01-02"),
                Value::exact(ValueKind::Date, "2026-01-02"),
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
            ("i", Value::bytes(&[1])),
            ("big", int("-9223372036854775809")),
            ("flag", int("128")),
            ("r", dec("0.1000000000000000055511151231257827")),
            ("r", int("9007199254740993")),
            ("r", Value::text("1")),
            ("n", dec("0.12345")),
            ("n", int("12345678901234567")),
            ("n", Value::text("1")),
            ("t", Value::int(7)),
            ("t", Value::bool(true)),
            ("t", Value::text("a\0b")),
            ("t", Value::text("x".repeat(64 * 1024))),
            ("v", Value::text("long")),
            ("b", Value::text("00f")),
            ("due", Value::text("2026-02-30")),
            ("due", Value::text("0000-00-00")),
            ("need", Value::null()),
        ]
    }

    fn samples(&self) -> Vec<Sample> {
        samples()
    }

    fn running_reads(&self) -> Option<u64> {
        let sql = format!(
            "SELECT CAST(COUNT(*) AS CHAR) FROM information_schema.PROCESSLIST WHERE USER = '{}' AND INFO IS NOT NULL",
            self.account('r')
        );
        self.lines(&sql)[0].parse().ok()
    }
}

fn samples() -> Vec<Sample> {
    let mut samples = numbers();
    samples.extend(texts());
    samples.extend(moments());
    samples
}

fn numbers() -> Vec<Sample> {
    let int = |text: &str| Value::exact(ValueKind::Int, text);
    vec![
        sample("TINYINT(1)", "5", Value::int(5), true),
        sample("TINYINT UNSIGNED", "255", Value::int(255), true),
        sample("SMALLINT", "-32768", Value::int(-32768), true),
        sample("MEDIUMINT UNSIGNED", "16777215", Value::int(16_777_215), true),
        sample("INT(5) ZEROFILL", "42", Value::int(42), true),
        sample(
            "BIGINT",
            "-9223372036854775808",
            int("-9223372036854775808"),
            true,
        ),
        sample(
            "BIGINT UNSIGNED",
            "18446744073709551615",
            int("18446744073709551615"),
            true,
        ),
        sample(
            "DECIMAL(65,30)",
            "12345678901234567890123456789012345.000000000000000000000000000001",
            dec("12345678901234567890123456789012345.000000000000000000000000000001"),
            true,
        ),
        sample("DECIMAL(5,2) ZEROFILL", "1.5", dec("1.50"), true),
        sample("DECIMAL(5,2)", "-0.5", dec("-0.50"), true),
        sample("FLOAT", "0.1", float("0.1"), true),
        sample("FLOAT", "16777216", float("16777216.0"), true),
        sample("FLOAT", "3.402823466e38", float("3.4028235e38"), true),
        sample("DOUBLE", "0.1", float("0.1"), true),
        sample(
            "DOUBLE",
            "1.7976931348623157e308",
            float("1.7976931348623157e308"),
            true,
        ),
        sample("DOUBLE", "5e-324", float("5e-324"), true),
        sample("DOUBLE(8,3)", "1.5", float("1.5"), false),
    ]
}

fn texts() -> Vec<Sample> {
    vec![
        sample("CHAR(8)", "'ab'", Value::text("ab"), true),
        sample("VARCHAR(8)", "' a '", Value::text(" a "), true),
        sample("VARCHAR(8)", "''", Value::text(""), true),
        sample(
            "VARCHAR(8) CHARACTER SET latin1",
            "'Zo\u{eb} €'",
            Value::text("Zo\u{eb} €"),
            true,
        ),
        sample(
            "VARCHAR(8) CHARACTER SET utf8mb3",
            "'Łód'",
            Value::text("Łód"),
            true,
        ),
        sample(
            "VARCHAR(8) CHARACTER SET utf16",
            "'\u{1F600}'",
            Value::text("\u{1F600}"),
            true,
        ),
        sample("VARCHAR(8) CHARACTER SET sjis", "'日'", Value::text("日"), false),
        sample("TEXT", "'Zoe\u{308}'", Value::text("Zoe\u{308}"), true),
        sample("TINYTEXT", "'\u{1F600}'", Value::text("\u{1F600}"), true),
        sample("LONGTEXT", "'x'", Value::text("x"), true),
        sample("BINARY(3)", "x'0001ff'", Value::bytes(&[0, 1, 255]), true),
        sample("BINARY(3)", "x'01'", Value::bytes(&[1, 0, 0]), true),
        sample("VARBINARY(8)", "x'00ff00'", Value::bytes(&[0, 255, 0]), true),
        sample("BLOB", "x'ff'", Value::bytes(&[255]), true),
    ]
}

fn moments() -> Vec<Sample> {
    let ts = |text: &str| Value::exact(ValueKind::Ts, text);
    vec![
        sample(
            "DATE",
            "'9999-12-31'",
            Value::exact(ValueKind::Date, "9999-12-31"),
            true,
        ),
        sample(
            "DATETIME",
            "'2026-01-02 03:04:05'",
            ts("2026-01-02 03:04:05"),
            true,
        ),
        sample(
            "DATETIME(6)",
            "'2026-01-02 03:04:05.000006'",
            ts("2026-01-02 03:04:05.000006"),
            true,
        ),
        sample(
            "DATETIME(3)",
            "'2026-01-02 03:04:05.1'",
            ts("2026-01-02 03:04:05.100"),
            true,
        ),
        sample(
            "TIMESTAMP(6) NULL",
            "'2026-01-02 03:04:05.000006'",
            Value::exact(ValueKind::Tstz, "2026-01-02 03:04:05.000006+00"),
            true,
        ),
        sample(
            "TIME",
            "'-838:59:59'",
            Value::exact(ValueKind::Time, "-838:59:59"),
            true,
        ),
        sample(
            "TIME(6)",
            "'03:04:05.000006'",
            Value::exact(ValueKind::Time, "03:04:05.000006"),
            true,
        ),
        sample("YEAR", "2026", Value::int(2026), true),
        sample("BIT(1)", "b'1'", Value::text("1"), true),
        sample("BIT(10)", "b'101'", Value::text("0000000101"), true),
        sample(
            "BIT(64)",
            "b'1111111111111111111111111111111111111111111111111111111111111111'",
            Value::text("1".repeat(64)),
            true,
        ),
        sample("ENUM('open','it''s','Ł')", "'it''s'", Value::text("it's"), true),
        sample("ENUM('1','0')", "'0'", Value::text("0"), true),
        sample("SET('a','b','c')", "'a,c'", Value::text("a,c"), true),
        sample("SET('a','b')", "''", Value::text(""), true),
    ]
}

const KINDS: &str = "CREATE TABLE kinds (id VARCHAR(64) PRIMARY KEY, tenant VARCHAR(64), i INT, big BIGINT, r DOUBLE, \
    n DECIMAL(20,4), t TEXT, v VARCHAR(3), b VARBINARY(100), u VARCHAR(9), flag TINYINT(1), due DATE, \
    need VARCHAR(9) NOT NULL DEFAULT '');
    INSERT INTO kinds VALUES ('k', 'acme', 42, 9223372036854775807, 0.1, 10.5, 'Zoë \"q\"', 'lon', x'00ff', NULL, \
      1, '2026-01-02', '');
    INSERT INTO kinds (id, tenant, i, big, r) VALUES ('low', 'acme', -1, -9223372036854775808, 1e300);";

/// An owner's connection with an open transaction, until it is dropped.
pub(crate) struct Holder {
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Holder {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Does not wait for the thread: a runtime must not be dropped by blocking inside another runtime.
            runtime.shutdown_background();
        }
    }
}

impl Holder {
    pub(crate) fn new(url: String, sql: &'static str) -> Self {
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap();
            let connection = runtime.block_on(async {
                let mut connection = connect(&url).await;
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
                connection
            });
            // Owned by a task of the runtime, which ends with it.
            runtime.spawn(async move {
                std::future::pending::<()>().await;
                drop(connection);
            });
            Self {
                runtime: Some(runtime),
            }
        })
        .join()
        .unwrap()
    }
}

pub(crate) async fn connect(url: &str) -> sqlx::MySqlConnection {
    let options: sqlx::mysql::MySqlConnectOptions = url.parse().unwrap();
    // MySQL accepts the password of an account that is not in its cache over TLS only.
    let options = options
        .ssl_mode(sqlx::mysql::MySqlSslMode::Preferred)
        .timezone(None);
    options.disable_statement_logging().connect().await.unwrap()
}

/// Runs statements as the owner.
pub(crate) fn owner(url: &str, sql: &str) {
    let (url, sql) = (url.to_owned(), sql.to_owned());
    blocking(async move {
        let mut connection = connect(&url).await;
        let done = sqlx::raw_sql(AssertSqlSafe(sql.clone()))
            .execute(&mut connection)
            .await;
        if let Err(error) = done {
            panic!("{error}\n{sql}");
        }
        connection.close().await.unwrap();
    });
}

/// Runs client work on its own thread, so that a behavior on a runtime can wait for it.
pub(crate) fn blocking<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(work)
    };
    handing_over(|| std::thread::spawn(run).join()).unwrap()
}
