//! Deferred work of a transaction: it runs before COMMIT, or nothing is written.

use synapsor_domain::foreign_code::CodeForm;

use super::behaviors::{AT, receipt};
use super::postgres_preconditions::Owned;
use super::servers::{POSTGRES, ServerVersion, on_every_postgres};

#[tokio::test(flavor = "multi_thread")]
async fn deferred_work_is_checked_before_commit() {
    let Some(owned) = Owned::new(&POSTGRES) else {
        return;
    };
    let journal = "CREATE TABLE lines (line text PRIMARY KEY);
        INSERT INTO lines VALUES ('known');
        CREATE TABLE journal (line text REFERENCES lines DEFERRABLE INITIALLY DEFERRED);
        CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $f$ BEGIN
          SET CONSTRAINTS ALL DEFERRED; INSERT INTO public.journal VALUES ('{line}'); RETURN NULL; END $f$;
        CREATE TRIGGER t AFTER UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION t();";
    for (line, is_known) in [("known", true), ("unknown", false)] {
        owned.reset();
        assert!(owned.as_owner(&journal.replace("{line}", line)));
        let shape = owned.engine.table_schema("public", "invoices").await.unwrap();
        let allowed = owned.acknowledge(&shape, &[("public.journal", 1)]);
        let mut transaction = owned.engine.begin().await.unwrap().transaction;
        // The server's own check of the key fails here, and never inside COMMIT, where the result would be in
        // doubt.
        let steps = owned.steps(&mut *transaction, receipt(1, AT), &allowed, || {});
        let checked = steps.await;
        assert_eq!(checked.is_ok(), is_known, "{line}: {checked:?}");
        transaction.roll_back().await;
    }
}

/// A table that code of the target may write. Each check of its newest line queues another one, so that one
/// is left for COMMIT, in which it changes the row.
const CHAIN: &str = "CREATE FUNCTION again() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $f$ BEGIN
      IF pg_catalog.current_query() LIKE 'COMMIT%' THEN
        UPDATE public.invoices SET fee = 777 WHERE id = 'INV-1';
      ELSE
        SET CONSTRAINTS ALL DEFERRED;
        INSERT INTO public.journal SELECT line FROM public.next_line;
      END IF; END $f$;
    CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $f$ BEGIN
      IF pg_catalog.pg_trigger_depth() = 1 THEN
        SET CONSTRAINTS ALL DEFERRED; INSERT INTO public.journal {first};
      END IF;
      RETURN NULL; END $f$;
    CREATE TRIGGER t AFTER UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION t();";

/// The server's own check of a key, which casts it with a user-defined function.
const CAST_OF_KEY: &str = "CREATE TYPE word AS ENUM ('known');
    CREATE FUNCTION number_of(which word) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $f$ BEGIN
      PERFORM public.again(); RETURN 1; END $f$;
    CREATE CAST (word AS integer) WITH FUNCTION number_of(word) AS IMPLICIT;
    CREATE TABLE lines (line integer PRIMARY KEY);
    INSERT INTO lines VALUES (1);
    CREATE TABLE journal (line word REFERENCES lines DEFERRABLE INITIALLY DEFERRED);
    CREATE VIEW next_line AS SELECT 'known'::word AS line;";

/// The server's own check of an exclusion, which evaluates a user-defined function again. When a line is
/// inserted, the function returns the same value for every line.
const EXPRESSION: &str = "CREATE TABLE journal (line bigint);
    CREATE VIEW next_line AS SELECT pg_catalog.current_setting('app.last')::bigint + 1 AS line;
    CREATE FUNCTION checked(which bigint) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $f$
    DECLARE last bigint := coalesce(pg_catalog.current_setting('app.last', true), '0');
    BEGIN
      IF which > last THEN
        PERFORM pg_catalog.set_config('app.last', which::text, true);
        RETURN 0;
      END IF;
      IF which = last THEN PERFORM public.again(); END IF;
      RETURN which; END $f$;
    CREATE FUNCTION f(which bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT public.checked(which)';
    ALTER TABLE journal ADD EXCLUDE USING btree (f(line) WITH =) DEFERRABLE INITIALLY DEFERRED;";

#[tokio::test(flavor = "multi_thread")]
async fn rejects_deferrable_checks_that_run_foreign_code() {
    on_every_postgres(refuses_deferrable_checks).await;
}

async fn refuses_deferrable_checks(server: &'static ServerVersion) {
    let Some(owned) = Owned::new(server) else { return };
    let first = "SELECT line FROM public.next_line";
    for (name, journal, first) in [
        ("cast", CAST_OF_KEY, first),
        ("expression", EXPRESSION, "VALUES (1), (2)"),
    ] {
        owned.reset();
        assert!(owned.as_owner(&format!("{journal} {}", CHAIN.replace("{first}", first))));
        let shape = owned.engine.table_schema("public", "invoices").await.unwrap();
        let allowed = owned.acknowledge(&shape, &[("public.journal", 50)]);
        let written = owned.write(1, &allowed, || {}).await;
        let before = ("5500".to_owned(), "0".to_owned());
        assert_eq!(owned.state(), before, "{name}: {written:?}");
        let is_named = |error: &String| error.contains("refused:deferrable_trigger");
        assert!(written.as_ref().is_err_and(is_named), "{name}: {written:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deferrable_constraint_expression_is_rejected() {
    let Some(owned) = Owned::new(&POSTGRES) else {
        return;
    };
    let function = "CREATE FUNCTION f(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT n';
        ALTER TABLE invoices ADD EXCLUDE USING btree (f(version) WITH =)";
    for (deferrable, is_admitted) in [("", true), (" DEFERRABLE", false)] {
        owned.reset();
        assert!(owned.as_owner(&format!("{function}{deferrable}")));
        let shape = owned.engine.table_schema("public", "invoices").await.unwrap();
        let [code] = shape.foreign_code.as_slice() else {
            panic!("{:?}", shape.foreign_code);
        };
        assert_eq!(code.form == CodeForm::Acknowledgeable, is_admitted, "{code:?}");
        if is_admitted {
            let allowed = owned.acknowledge(&shape, &[]);
            owned.write(1, &allowed, || {}).await.unwrap();
        }
    }
}
