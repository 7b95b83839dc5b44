//! Errors of an UPDATE on a PostgreSQL table with acknowledged code: which constraint or function rejected a row, and
//! whether the statement itself or that code failed.

use synapsor_codes::ErrorCode;
use synapsor_domain::proposal::RowTarget;
use synapsor_source::EngineError;
use synapsor_source::error::source_refusal;
use synapsor_source::error_cause::{ConstraintViolation, ErrorCause};

use crate::result::RefusedBy;
use crate::write::is_of_target;

use super::postgres_preconditions::Owned;
use super::servers::POSTGRES;

fn trigger_on_invoices(body: &str) -> String {
    format!(
        "CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $f$ BEGIN {body} RETURN NULL; END $f$;
         CREATE TRIGGER t AFTER UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION t();"
    )
}

/// With acknowledged code, a constraint counts as the target's only if the statement itself violated it.
#[tokio::test(flavor = "multi_thread")]
async fn constraint_of_code_is_not_taken_for_the_targets() {
    let Some(owned) = Owned::new(&POSTGRES) else {
        return;
    };
    for (check, body, is_of_statement) in [
        ("fee <> 0 OR id <> 'INV-1'", "", true),
        (
            "fee <> 13",
            "UPDATE public.invoices SET fee = 13 WHERE id <> NEW.id;",
            false,
        ),
        (
            "fee <> 13",
            "RAISE check_violation USING SCHEMA = 'public', TABLE = 'invoices', CONSTRAINT = 'c';",
            false,
        ),
    ] {
        owned.reset();
        let sql = format!(
            "ALTER TABLE invoices ADD CONSTRAINT c CHECK ({check}); {}",
            trigger_on_invoices(body)
        );
        assert!(owned.as_owner(&sql), "{body}");
        let violation = violation_of(owned.failed_update().await);
        assert_eq!(violation.is_of_statement, is_of_statement, "{body}");
        let text = violation.to_string();
        assert_eq!(
            text, "check constraint `c` of the table `public.invoices`",
            "{body}"
        );
    }
}

fn violation_of(error: EngineError) -> ConstraintViolation {
    match error.cause {
        ErrorCause::ConstraintViolated(violation) => *violation,
        other => panic!("{other:?}"),
    }
}

/// A domain has no table: only the missing context shows that the statement itself violated its check.
#[tokio::test(flavor = "multi_thread")]
async fn domain_check_of_the_statement_differs_from_that_of_code() {
    let Some(owned) = Owned::new(&POSTGRES) else {
        return;
    };
    for (check, body, is_of_statement) in [
        ("VALUE > 0", "", true),
        ("VALUE <> 13", "PERFORM 13::public.amount;", false),
    ] {
        owned.reset();
        let sql = format!(
            "CREATE DOMAIN amount AS integer; ALTER TABLE invoices ALTER fee TYPE amount;
             ALTER DOMAIN amount ADD CONSTRAINT positive CHECK ({check}) NOT VALID; {}",
            trigger_on_invoices(body)
        );
        assert!(owned.as_owner(&sql), "{body}");
        let (acknowledged, error) = owned.failed_acknowledged_update().await;
        let violation = violation_of(error);
        assert_eq!(violation.to_string(), "check constraint `positive`");
        assert_eq!(violation.is_of_statement, is_of_statement, "{body}");
        let is_of_target = is_of_target(&invoices(), &acknowledged, &violation);
        assert_eq!(is_of_target, is_of_statement, "{body}");
    }
}

fn invoices() -> RowTarget {
    RowTarget {
        schema: "public".to_owned(),
        table: "invoices".to_owned(),
        keys: Vec::new(),
        tenant: None,
    }
}

/// Rule actions, conditions and inlined functions run as parts of the statement, and their errors have no context.
#[tokio::test(flavor = "multi_thread")]
async fn code_within_the_statement_is_not_taken_for_the_target() {
    let Some(owned) = Owned::new(&POSTGRES) else {
        return;
    };
    let narrow = "CREATE FUNCTION narrow(n bigint) RETURNS smallint LANGUAGE sql IMMUTABLE AS 'SELECT (n + 100000)::smallint';";
    let trigger = "CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';";
    for (sql, text) in [
        (
            "CREATE TABLE audit (note varchar(3));
             CREATE RULE r AS ON UPDATE TO invoices DO ALSO INSERT INTO public.audit VALUES (NEW.status)",
            "length constraint",
        ),
        (
            "CREATE RULE r AS ON UPDATE TO invoices DO ALSO INSERT INTO public.invoices VALUES (OLD.id, 'acme', 'open', 1, 1)",
            "unique constraint `invoices_pkey` of the table `public.invoices`",
        ),
        (
            "CREATE TRIGGER t AFTER UPDATE ON invoices FOR EACH ROW WHEN ((NEW.fee + 100000)::smallint > 0)
             EXECUTE FUNCTION t()",
            "range constraint",
        ),
        (
            "ALTER TABLE invoices ENABLE ROW LEVEL SECURITY;
             CREATE POLICY p ON invoices USING (true) WITH CHECK (narrow(fee) > 0)",
            "range constraint",
        ),
        (
            "CREATE INDEX i ON invoices (narrow(fee)) WHERE id = 'INV-1' AND fee = 0",
            "range constraint",
        ),
    ] {
        owned.reset();
        assert!(owned.as_owner(&format!("{narrow} {trigger} {sql}")), "{sql}");
        let (acknowledged, error) = owned.failed_acknowledged_update().await;
        let violation = violation_of(error.clone());
        assert_eq!(violation.to_string(), text, "{sql}");
        assert!(violation.is_of_statement, "the server names no code: {sql}");
        assert!(!is_of_target(&invoices(), &acknowledged, &violation), "{sql}");
        let refused = RefusedBy::Database(error).refusal();
        assert_eq!(refused.code, ErrorCode::RefusedConstraint);
        assert!(refused.public.contains("correct that code"), "{}", refused.public);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn constraint_of_another_table_is_named_with_it() {
    let Some(owned) = Owned::new(&POSTGRES) else {
        return;
    };
    owned.reset();
    let sql = format!(
        "CREATE TABLE journal (line text CONSTRAINT once UNIQUE); INSERT INTO journal VALUES ('x'); {}",
        trigger_on_invoices("INSERT INTO public.journal VALUES ('x');")
    );
    assert!(owned.as_owner(&sql));
    let error = owned.failed_update().await;
    let refused = RefusedBy::Database(error).refusal();
    assert_eq!(refused.code, ErrorCode::RefusedConstraint);
    assert!(
        refused
            .public
            .starts_with("the unique constraint `once` of the table `public.journal` rejects"),
        "{}",
        refused.public
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn error_raised_by_a_function_names_it() {
    let Some(owned) = Owned::new(&POSTGRES) else {
        return;
    };
    for body in [
        "RAISE 'a secret %', NEW.id;",
        "RAISE 'a secret' USING ERRCODE = 'ZZ001';",
        "ASSERT false, 'a secret';",
    ] {
        owned.reset();
        assert!(owned.as_owner(&trigger_on_invoices(body)), "{body}");
        let error = owned.failed_update().await;
        let operator = source_refusal(&error);
        assert_eq!(operator.public, "The source database failed.");
        let refused = RefusedBy::Database(error).refusal();
        assert_eq!(refused.code, ErrorCode::RefusedConstraint, "{body}");
        for text in [refused.public, operator.detail.unwrap()] {
            assert!(
                text.contains("the function `public.t`") && !text.contains("secret"),
                "{text}"
            );
        }
    }
}
