//! What the schema catalog reports as changeable: tables with a right, and views only if the database can change rows
//! through them.

use super::behaviors::{Db, Fixture};
use super::mysql;
use super::postgres::database;
use super::servers::{MARIADB, MARIADB_118, MYSQL, POSTGRES, POSTGRES_18};
use super::sqlite;

/// Asserts for each relation whether the writer's account can change it.
async fn can_change(db: &Db, expected: &[(&str, bool)]) {
    let schema = db.schema();
    let found = db.writer().catalog(Some(&schema)).await.unwrap();
    for (name, expected) in expected {
        let table = found.tables.iter().find(|table| table.shape.table == *name);
        assert_eq!(table.unwrap().can_change, *expected, "{name}");
    }
}

const VIEWS: &str = "CREATE VIEW simple AS SELECT id, fee FROM invoices;
    CREATE VIEW summed AS SELECT tenant, sum(fee) AS fee FROM invoices GROUP BY tenant;";

#[tokio::test(flavor = "multi_thread")]
async fn postgres_relations_are_changeable_by_kind() {
    for server in [&POSTGRES, &POSTGRES_18] {
        if !server.is_there() {
            continue;
        }
        let postgres = database(server);
        let db: Db = postgres.clone();
        db.set_up(Fixture::Invoices);
        db.execute(&format!(
            "{VIEWS} CREATE VIEW ruled AS SELECT * FROM summed;
             CREATE RULE r AS ON UPDATE TO ruled DO INSTEAD NOTHING;
             CREATE VIEW triggered AS SELECT * FROM summed;
             CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NEW; END $f$;
             CREATE TRIGGER t INSTEAD OF UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION t();
             CREATE MATERIALIZED VIEW stored AS SELECT * FROM summed;
             CREATE TABLE parted (id text NOT NULL, fee integer) PARTITION BY LIST (id)"
        ));
        let relations = "simple, summed, ruled, triggered, stored, parted";
        postgres.alter(&format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON {relations} TO {}",
            postgres.writer_role()
        ));
        let expected = [
            ("invoices", true),
            ("simple", true),
            ("summed", false),
            ("ruled", true),
            ("triggered", true),
            ("stored", false),
            ("parted", true),
        ];
        can_change(&db, &expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_views_are_changeable_by_kind() {
    for server in [&MYSQL, &MARIADB, &MARIADB_118] {
        if !server.is_there() {
            continue;
        }
        let database = mysql::fresh(server);
        let db: Db = database.clone();
        db.set_up(Fixture::Invoices);
        db.execute(VIEWS);
        db.execute(&format!(
            "GRANT SELECT, UPDATE ON `{}`.* TO `{}`@`%`",
            db.schema(),
            database.account('w')
        ));
        let expected = [("invoices", true), ("simple", true), ("summed", false)];
        can_change(&db, &expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_views_are_changeable_by_their_triggers_only() {
    let db: Db = sqlite::fresh();
    db.set_up(Fixture::Invoices);
    db.execute(&format!(
        "{VIEWS} CREATE TRIGGER t INSTEAD OF UPDATE ON summed BEGIN UPDATE invoices SET fee = new.fee; END;"
    ));
    let expected = [("invoices", true), ("simple", false), ("summed", true)];
    can_change(&db, &expected).await;
}
