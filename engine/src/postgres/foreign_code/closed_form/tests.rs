//! Tests of the closed form of trigger functions.

use super::is_closed;

fn body(statements: &str) -> String {
    format!("\nBEGIN\n  {statements}\n  RETURN NEW;\nEND;\n")
}

#[test]
fn usual_triggers_have_the_closed_form() {
    for statements in [
        "",
        "NEW.updated_at := now();",
        "NEW.updated_at = now();",
        "new.Updated_At := CURRENT_TIMESTAMP;",
        "NEW.updated_at := clock_timestamp();",
        "NEW.updated_at := pg_catalog . statement_timestamp ( );",
        "NEW.\"updatedAt\" := transaction_timestamp();",
        "NEW.version := OLD.version + 1;",
        "NEW.version := (OLD.version + 1);",
        "NEW.version := OLD.\"version\" +1; NEW.updated_at := now();",
        "NEW.created_at := OLD.created_at;",
        "NEW.total := NEW.net + NEW.tax - 0.5;",
        "NEW.balance := -1;",
        "NEW.state := 'open'; -- the state ' of \" a row $$\n",
        "/* a remark with ; and ' */ NEW.flag := TRUE; NEW.note := NULL;",
    ] {
        assert!(is_closed(&body(statements)), "{statements}");
    }
    assert!(is_closed("begin return new; end"));
}

const CALLS: &[&str] = &[
    "NEW.x := f(OLD.x);",
    "NEW.x := now(1);",
    "NEW.x := public.now();",
    "NEW.x := pg_catalog.set_config('a', 'b', true);",
    "NEW.x := \"now\"();",
    "NEW.x := now;",
    "NEW.x := pg_catalog.now;",
    "NEW.x := left('a', 1);",
    "NEW.x := CURRENT_TIMESTAMP(3);",
];
const STATEMENTS: &[&str] = &[
    "PERFORM f();",
    "EXECUTE 'SELECT 1';",
    "SELECT f() INTO NEW.x;",
    "INSERT INTO t VALUES (1);",
    "IF NEW.x > 1 THEN NEW.y := 1; END IF;",
    "GET DIAGNOSTICS NEW.x = ROW_COUNT;",
    "OPEN c FOR SELECT 1;",
    "SET LOCAL search_path = public;",
    "NULL;",
    "RAISE NOTICE 'x';",
    "RETURN f();",
    "<<l>> NEW.x := 1;",
    "x := 1;",
    "OLD.x := 1;",
    "NEW := OLD;",
    "NEW.x.y := 1;",
    "NEW.x[1] := 1;",
    "NEW.x := 1",
];
const OPERATORS: &[&str] = &[
    "NEW.x := OLD.x * 2;",
    "NEW.x := OLD.x || 'a';",
    "NEW.x := OLD.x +- 1;",
    "NEW.x := OLD.x ++ 1;",
    "NEW.x := OLD.x + + 1;",
    "NEW.x := OLD.x +/* */ 1;",
    "NEW.x := + 1;",
    "NEW.x := - OLD.x;",
    "NEW.x := OLD.x @+ 1;",
    "NEW.x := OLD.x OPERATOR(public.+) 1;",
    "NEW.x := OLD.x::mood;",
    "NEW.x := CAST(OLD.x AS mood);",
    "NEW.x := mood 'a';",
    "NEW.x := interval '1 day';",
    "NEW.x := OLD.x = 1;",
    "NEW.x := OLD.x COLLATE c;",
    "NEW.x := OLD.x AT TIME ZONE 'UTC';",
    "NEW.x :=: 1;",
    "NEW.x := (SELECT 1);",
    "NEW.x := ROW(1, 2);",
    "NEW.x := OLD;",
    "NEW.x := OLD.*;",
    "NEW.x := version + 1;",
    "NEW.x := CASE WHEN TRUE THEN 1 END;",
    "NEW.x := CURRENT_USER;",
];
const SPELLINGS: &[&str] = &[
    "NEW.x := E'a\\'; PERFORM f(); --';",
    "NEW.x := 'a\\';",
    "NEW.x := 'it''s';",
    "NEW.x := U&'a';",
    "NEW.x := B'1';",
    "NEW.x := $$a$$;",
    "NEW.x := $1;",
    "NEW.x := 'a' 'b';",
    "NEW.x := 1e5;",
    "NEW.x := 0x10;",
    "NEW.x := 1_000;",
    "NEW.x := 1..2;",
    "NEW.x := .5;",
    "NEW.\"a\"\"b\" := 1;",
    "NEW.\"\" := 1;",
    "NEW.größe := 1;",
    "NEW.x := ünow();",
    "NEW.x\u{a0}:= 1;",
];
const COMMENTS: &[&str] = &["/* /* */ NEW.x := 1; */", "/* NEW.x := 1;"];

#[test]
fn rejects_other_content_in_a_body() {
    for statements in [CALLS, STATEMENTS, OPERATORS, SPELLINGS, COMMENTS].concat() {
        assert!(!is_closed(&body(statements)), "{statements}");
    }
    // A comment hides the rest of its line.
    assert!(!is_closed("BEGIN -- a remark RETURN NEW; END"));
}

#[test]
fn rejects_other_bodies() {
    for source in [
        "",
        "BEGIN END",
        "BEGIN RETURN OLD; END",
        "BEGIN RETURN NULL; END",
        "BEGIN RETURN; END",
        "BEGIN RETURN NEW END",
        "BEGIN RETURN NEW; END;;",
        "BEGIN RETURN NEW; END; SELECT 1",
        "BEGIN RETURN NEW; NEW.x := 1; END",
        "BEGIN RETURN NEW; EXCEPTION WHEN OTHERS THEN RETURN NEW; END",
        "BEGIN BEGIN RETURN NEW; END; END",
        "DECLARE x int DEFAULT f(); BEGIN RETURN NEW; END",
        "DECLARE BEGIN RETURN NEW; END",
        "<<l>> BEGIN RETURN NEW; END l",
        "BEGIN RETURN NEW; END l",
        "#variable_conflict use_column\nBEGIN RETURN NEW; END",
        "\u{feff}BEGIN RETURN NEW; END",
        "BEGIN RETURN NEW; END \0",
    ] {
        assert!(!is_closed(source), "{source:?}");
    }
    let deep = format!(
        "BEGIN NEW.x := {}1{}; RETURN NEW; END",
        "(".repeat(40),
        ")".repeat(40)
    );
    assert!(!is_closed(&deep));
    let long = format!("BEGIN {} RETURN NEW; END", "NEW.x := 1; ".repeat(2_000));
    assert!(!is_closed(&long));
}
