//! MySQL and MariaDB: the receipt table, the identity table, a procedure that describes tables to accounts with
//! few rights, and column rights. The statements are the same for both servers.

use super::{GrantPlan, grant_columns, line, schemas, unsafe_name};
use crate::error::PublicError;

/// Name of the procedure that describes one table of its own database.
pub const TABLE_CATALOG: &str = "synapsor_table_catalogue";
/// Name of the procedure that counts the rows that the caller's own transaction modified.
pub const ROWS_MODIFIED: &str = "synapsor_rows_modified";
/// Name of the procedure that describes stored functions and procedures.
pub const ROUTINES: &str = "synapsor_routines";

/// Unique value that identifies a database; no secret. MariaDB has `RANDOM_BYTES` since 10.10 only.
const NEW_INSTANCE: &str =
    "/*!80000 LOWER(HEX(RANDOM_BYTES(16))) *//*M! MD5(CONCAT(UUID(), UUID_SHORT(), RAND())) */";
/// Maximum length of a user name on these servers, in characters.
const USER_CHARS_MAX: usize = 32;
const HOST_CHARS_MAX: usize = 255;

pub(super) fn receipt_table_ddl(schema: &str, table: &str) -> String {
    let (receipts, identity) = (name(schema, table), name(schema, "synapsor_database_identity"));
    format!(
        "CREATE TABLE IF NOT EXISTS {receipts} (
  proposal_id VARCHAR(64) NOT NULL PRIMARY KEY,
  proposal_digest VARCHAR(128) NOT NULL,
  outcome VARCHAR(64) NOT NULL,
  reason TEXT NOT NULL,
  rows_affected INT UNSIGNED NOT NULL,
  previous_version MEDIUMTEXT,
  new_version MEDIUMTEXT,
  fence BIGINT UNSIGNED NOT NULL,
  executor_id VARCHAR(255) NOT NULL,
  ledger_size BIGINT UNSIGNED NOT NULL,
  ledger_root VARCHAR(128) NOT NULL,
  db_identity VARCHAR(255) NOT NULL,
  created_at VARCHAR(32) NOT NULL,
  receipt MEDIUMTEXT NOT NULL,
  executor_key VARCHAR(128) NOT NULL,
  executor_sig VARCHAR(255) NOT NULL,
  KEY receipts_by_time (created_at, proposal_id)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS {identity} (
  id TINYINT NOT NULL PRIMARY KEY,
  instance VARCHAR(64) NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT IGNORE INTO {identity} (id, instance) VALUES (1, {NEW_INSTANCE});
{}",
        procedures_ddl(schema, (schema, table))
    )
}

/// Returns the statements that create or replace the procedures of one database. The first describes a table of
/// `schema` and counts the triggers of the receipt table. The second describes the routines that a text names.
/// The third counts the rows that the caller's own transaction modified.
pub fn procedures_ddl(schema: &str, receipts: (&str, &str)) -> String {
    table_catalog_ddl(schema, receipts) + &routines_ddl(schema) + &rows_modified_ddl(schema)
}

/// Returns the statements that let a writer's account call those procedures.
pub fn procedure_grants(schema: &str, account: &str) -> String {
    let grant = |procedure| procedure_grant(schema, procedure, account);
    [TABLE_CATALOG, ROUTINES, ROWS_MODIFIED].map(grant).concat()
}

fn procedure_grant(schema: &str, procedure: &str, account: &str) -> String {
    let procedure = name(schema, procedure);
    format!("GRANT EXECUTE ON PROCEDURE {procedure} TO {account};\n")
}

/// Describes columns, indexes, triggers, checks and foreign keys of one table of `schema`, with the rights of
/// the procedure's owner. An account that may read some columns of a table sees neither its other columns, nor
/// its triggers, nor the keys that reference it. The last rows report whether the owner itself may see triggers,
/// and how many the receipt table has. Parts in `/*!80000 */` are for MySQL and parts in `/*M! */` for MariaDB;
/// the names of both have the same meaning. The body is a separate procedure, which is already called with the
/// owner's rights: MySQL opens InnoDB's tables when it loads a procedure, and the caller's rights do not allow
/// that.
fn table_catalog_ddl(schema: &str, receipts: (&str, &str)) -> String {
    let parts: Vec<String> = own_parts(schema)
        .into_iter()
        .chain(expression_parts(schema))
        .chain(related_parts(schema))
        .chain([receipt_part(receipts)])
        .collect();
    let procedure = name(schema, TABLE_CATALOG);
    let body = name(schema, &format!("{TABLE_CATALOG}_body"));
    format!(
        "DROP PROCEDURE IF EXISTS {procedure};
DROP PROCEDURE IF EXISTS {body};
CREATE PROCEDURE {body} (IN wanted VARCHAR(64) CHARACTER SET utf8mb4)
  READS SQL DATA SQL SECURITY DEFINER
{};
CREATE PROCEDURE {procedure} (IN wanted VARCHAR(64) CHARACTER SET utf8mb4)
  READS SQL DATA SQL SECURITY DEFINER
CALL {body}(wanted);
",
        parts.join("\nUNION ALL ")
    )
}

/// Describes every stored function and procedure of `schema` whose name occurs anywhere in a text, by the
/// server's name comparison, with its parameters. The rows have the layout of a table's rows. The last two rows
/// report whether the procedure's owner sees every routine of `schema`, and whether the text may name a routine
/// of another database.
fn routines_ddl(schema: &str) -> String {
    let named = |name: &str| {
        let plain = format!("CONVERT({name} USING utf8mb4) COLLATE utf8mb4_general_ci");
        format!("INSTR(texts COLLATE utf8mb4_general_ci, {plain}) > 0")
    };
    let routine = row(
        "routine",
        [
            "ROUTINE_NAME",
            "ROUTINE_TYPE",
            "ROUTINE_DEFINITION",
            "ROUTINE_BODY",
            "DEFINER",
            "CONCAT_WS('|', SECURITY_TYPE, SQL_DATA_ACCESS, IS_DETERMINISTIC, SQL_MODE, CHARACTER_SET_CLIENT, \
             COLLATION_CONNECTION, DATABASE_COLLATION, DTD_IDENTIFIER)",
        ],
        "0",
    ) + &format!(
        " FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = '{schema}' AND {}",
        named("ROUTINE_NAME")
    );
    let parameter = row(
        "parameter",
        [
            "SPECIFIC_NAME",
            "ROUTINE_TYPE",
            "CONCAT_WS('|', PARAMETER_MODE, PARAMETER_NAME, DTD_IDENTIFIER, CHARACTER_SET_NAME, COLLATION_NAME)",
            "",
            "",
            "",
        ],
        "ORDINAL_POSITION",
    ) + &format!(
        " FROM information_schema.PARAMETERS WHERE SPECIFIC_SCHEMA = '{schema}' AND {}",
        named("SPECIFIC_NAME")
    );
    let sees = format!(
        "({} OR {})",
        has_right("EXECUTE", "USER_PRIVILEGES", ""),
        has_right(
            "EXECUTE",
            "SCHEMA_PRIVILEGES",
            &format!(" AND TABLE_SCHEMA = '{schema}'")
        )
    );
    let elsewhere = format!(
        "EXISTS (SELECT 1 FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA <> '{schema}' AND {} AND {})",
        named("ROUTINE_SCHEMA"),
        named("ROUTINE_NAME")
    );
    let parts = [
        routine,
        parameter,
        row("sees", [""; 6], &sees),
        row("elsewhere", [""; 6], &elsewhere),
    ];
    let procedure = name(schema, ROUTINES);
    format!(
        "DROP PROCEDURE IF EXISTS {procedure};
CREATE PROCEDURE {procedure} (IN texts LONGTEXT CHARACTER SET utf8mb4)
  READS SQL DATA SQL SECURITY DEFINER
{};
",
        parts.join("\nUNION ALL ")
    )
}

/// Counts the rows that the caller's own transaction modified in InnoDB, rows of triggers and cascades included,
/// and returns the text of the call. InnoDB answers from a copy that may be 0.1 s old; the text holds the
/// caller's nonce exactly when the copy was made for this call. It is one assignment, because a separate SELECT
/// would replace the text of the call with its own.
fn rows_modified_ddl(schema: &str) -> String {
    let procedure = name(schema, ROWS_MODIFIED);
    format!(
        "DROP PROCEDURE IF EXISTS {procedure};
CREATE PROCEDURE {procedure} (IN nonce VARCHAR(64) CHARACTER SET utf8mb4, OUT answer TEXT CHARACTER SET utf8mb4)
  READS SQL DATA SQL SECURITY DEFINER
SET answer = (SELECT CONCAT(trx_rows_modified, ' ', trx_query) FROM information_schema.INNODB_TRX
  WHERE trx_mysql_thread_id = CONNECTION_ID());
"
    )
}

/// Describes table, columns, indexes and triggers.
fn own_parts(schema: &str) -> [String; 4] {
    let here = here(schema);
    [
        row(
            "table",
            ["TABLE_NAME", "TABLE_TYPE", "ENGINE", "CREATE_OPTIONS", "", ""],
            "0",
        ) + &format!(" FROM information_schema.TABLES WHERE {here}"),
        row(
            "column",
            [
                "COLUMN_NAME",
                "COLUMN_TYPE",
                "IS_NULLABLE",
                "EXTRA",
                "COLLATION_NAME",
                "COLUMN_DEFAULT",
            ],
            "ORDINAL_POSITION",
        ) + &format!(" FROM information_schema.COLUMNS WHERE {here}"),
        row(
            "index",
            [
                "INDEX_NAME",
                "COLUMN_NAME",
                "NON_UNIQUE",
                "SUB_PART",
                "/*!80000 EXPRESSION *//*M! NULL */",
                "",
            ],
            "SEQ_IN_INDEX",
        ) + &format!(" FROM information_schema.STATISTICS WHERE {here}"),
        row(
            "trigger",
            [
                "TRIGGER_NAME",
                "EVENT_MANIPULATION",
                "ACTION_TIMING",
                "ACTION_STATEMENT",
                "DEFINER",
                "CONCAT_WS('|', SQL_MODE, CHARACTER_SET_CLIENT, COLLATION_CONNECTION, DATABASE_COLLATION)",
            ],
            "ACTION_ORDER",
        ) + &format!(
            " FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = '{schema}' AND EVENT_OBJECT_TABLE = wanted"
        ),
    ]
}

/// Describes expressions that the server computes when a row changes: CHECK constraints and generated columns.
fn expression_parts(schema: &str) -> [String; 2] {
    let here = here(schema);
    [
        row(
            "check",
            ["c.CONSTRAINT_NAME", "c.CHECK_CLAUSE", "", "", "", ""],
            "0",
        ) + &format!(
            " FROM information_schema.CHECK_CONSTRAINTS AS c \
             /*!80000 JOIN information_schema.TABLE_CONSTRAINTS AS t \
             ON t.CONSTRAINT_SCHEMA = c.CONSTRAINT_SCHEMA AND t.CONSTRAINT_NAME = c.CONSTRAINT_NAME \
             AND t.CONSTRAINT_TYPE = 'CHECK' */ \
             WHERE c.CONSTRAINT_SCHEMA = '{schema}' AND TABLE_NAME = wanted"
        ),
        row(
            "generation",
            ["COLUMN_NAME", "GENERATION_EXPRESSION", "", "", "", ""],
            "ORDINAL_POSITION",
        ) + &format!(" FROM information_schema.COLUMNS WHERE {here} AND GENERATION_EXPRESSION <> ''"),
    ]
}

/// Describes the receipt table, whether the procedure's owner may see its triggers, and how many it has.
fn receipt_part((schema, table): (&str, &str)) -> String {
    let (home, name) = (format!("'{schema}'"), format!("'{table}'"));
    row(
        "receipts",
        [&home, &name, &sees(schema, &name), "", "", ""],
        &format!(
            "(SELECT COUNT(*) FROM information_schema.TRIGGERS \
             WHERE EVENT_OBJECT_SCHEMA = {home} AND EVENT_OBJECT_TABLE = {name})"
        ),
    )
}

/// Returns an SQL expression for whether the procedure's owner may see the triggers of a table; `table` is an
/// expression.
fn sees(schema: &str, table: &str) -> String {
    let has_right = |list, scope: &str| has_right("TRIGGER", list, scope);
    format!(
        "({} OR {} OR {})",
        has_right("USER_PRIVILEGES", ""),
        has_right("SCHEMA_PRIVILEGES", &format!(" AND TABLE_SCHEMA = '{schema}'")),
        has_right(
            "TABLE_PRIVILEGES",
            &format!(" AND TABLE_SCHEMA = '{schema}' AND TABLE_NAME = {table}")
        ),
    )
}

/// Returns an SQL expression for whether the procedure's owner has a right in a privilege list of the catalog.
fn has_right(right: &str, list: &str, scope: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM information_schema.{list} WHERE PRIVILEGE_TYPE = '{right}' \
         AND REPLACE(GRANTEE, '''', '') = CURRENT_USER(){scope})"
    )
}

/// Describes foreign keys in both directions, and whether the owner sees triggers.
fn related_parts(schema: &str) -> [String; 3] {
    let here = here(schema);
    [
        // From all databases, regardless of read rights; the numbers are InnoDB's own.
        row(
            "reference",
            [
                "f.ID",
                "f.FOR_NAME",
                "c.FOR_COL_NAME",
                "c.REF_COL_NAME",
                "f.TYPE",
                "",
            ],
            "c.POS",
        ) + &format!(
            " FROM information_schema./*!80000 INNODB_FOREIGN *//*M! INNODB_SYS_FOREIGN */ AS f \
                 JOIN information_schema./*!80000 INNODB_FOREIGN_COLS *//*M! INNODB_SYS_FOREIGN_COLS */ AS c \
                 ON c.ID = f.ID WHERE f.REF_NAME = CONCAT('{schema}/', wanted)"
        ),
        row(
            "foreign",
            [
                "CONSTRAINT_NAME",
                "COLUMN_NAME",
                "REFERENCED_TABLE_SCHEMA",
                "REFERENCED_TABLE_NAME",
                "REFERENCED_COLUMN_NAME",
                "",
            ],
            "ORDINAL_POSITION",
        ) + &format!(
            " FROM information_schema.KEY_COLUMN_USAGE WHERE {here} AND REFERENCED_TABLE_NAME IS NOT NULL"
        ),
        row("sees", ["", "", "", "", "", ""], &sees(schema, "wanted")),
    ]
}

/// Returns the condition that selects the table in the catalog.
fn here(schema: &str) -> String {
    format!("TABLE_SCHEMA = '{schema}' AND TABLE_NAME = wanted")
}

/// Returns the start of a part: the kind of its rows, six strings, and a number that orders them.
fn row(what: &str, cells: [&str; 6], number: &str) -> String {
    let cells = cells.map(|cell| match cell {
        "" => "NULL".to_owned(),
        cell => format!("CONVERT({cell} USING utf8mb4)"),
    });
    format!(
        "SELECT '{what}' AS what, {}, CAST({number} AS CHAR) AS n",
        cells.join(", ")
    )
}

pub(super) fn grants(plan: &GrantPlan) -> Result<String, PublicError> {
    let mut text = String::new();
    let elsewhere = schemas(plan, false)
        .into_iter()
        .filter(|schema| *schema != plan.receipt_schema);
    for schema in elsewhere {
        line(
            &mut text,
            &format!(
                "-- Describes the tables of `{schema}` to accounts that see only some of their columns."
            ),
        );
        text.push_str(&procedures_ddl(
            schema,
            (&plan.receipt_schema, &plan.receipt_table),
        ));
    }
    if let Some(role) = &plan.read_role {
        text.push_str("-- The reader: the columns that capabilities read, and which database this is.\n");
        grant_role(&mut text, plan, &account(role)?, false);
    }
    if let Some(role) = &plan.write_role {
        let role = account(role)?;
        text.push_str(
            "-- The writer: the columns that it compares, the columns that it sets, and new receipts.\n",
        );
        grant_role(&mut text, plan, &role, true);
        let receipts = name(&plan.receipt_schema, &plan.receipt_table);
        line(
            &mut text,
            &format!("GRANT SELECT, INSERT ON {receipts} TO {role};"),
        );
    }
    Ok(text)
}

fn grant_role(text: &mut String, plan: &GrantPlan, role: &str, for_writing: bool) {
    grant_columns(text, plan, role, for_writing, quote);
    let mut described = schemas(plan, for_writing);
    if !described.contains(&plan.receipt_schema.as_str()) {
        described.push(&plan.receipt_schema);
    }
    for schema in described {
        text.push_str(&if for_writing {
            procedure_grants(schema, role)
        } else {
            [TABLE_CATALOG, ROUTINES]
                .map(|procedure| procedure_grant(schema, procedure, role))
                .concat()
        });
    }
    let identity = name(&plan.receipt_schema, "synapsor_database_identity");
    line(text, &format!("GRANT SELECT ON {identity} TO {role};"));
}

/// Parses an account: `name`, which means any host, or `name@host`.
fn account(role: &str) -> Result<String, PublicError> {
    let (user, host) = role.rsplit_once('@').unwrap_or((role, "%"));
    let is_fine = |text: &str, chars_max: usize| {
        !text.is_empty() && text.chars().count() <= chars_max && !text.chars().any(char::is_control)
    };
    if !is_fine(user, USER_CHARS_MAX) || !is_fine(host, HOST_CHARS_MAX) {
        return Err(unsafe_name(
            "write the account as `name` or `name@host`, with 1 to 32 characters in the name and no control characters",
        ));
    }
    Ok(format!("{}@{}", quote(user), quote(host)))
}

fn name(schema: &str, object: &str) -> String {
    format!("{}.{}", quote(schema), quote(object))
}

/// Quotes a name as an identifier.
fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use synapsor_codes::ErrorCode;

    use super::*;
    use crate::contract::EngineKind;
    use crate::writeback::migration::GrantTarget;

    fn plan(receipt_schema: &str) -> GrantPlan {
        GrantPlan {
            engine: EngineKind::Mysql,
            read_role: Some("reader".to_owned()),
            write_role: Some("wri`ter@10.0.0.%".to_owned()),
            receipt_schema: receipt_schema.to_owned(),
            receipt_table: "receipts".to_owned(),
            targets: vec![GrantTarget {
                schema: "shop".to_owned(),
                table: "invoices".to_owned(),
                reads: ["id", "fee", "id"].map(str::to_owned).to_vec(),
                writes: vec!["fee".to_owned()],
            }],
        }
    }

    #[test]
    fn mysql_accounts_get_column_rights_only() {
        let text = grants(&plan("shop")).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("--")).collect();
        assert_eq!(
            lines,
            [
                "GRANT SELECT (`id`, `fee`) ON `shop`.`invoices` TO `reader`@`%`;",
                "GRANT EXECUTE ON PROCEDURE `shop`.`synapsor_table_catalogue` TO `reader`@`%`;",
                "GRANT EXECUTE ON PROCEDURE `shop`.`synapsor_routines` TO `reader`@`%`;",
                "GRANT SELECT ON `shop`.`synapsor_database_identity` TO `reader`@`%`;",
                "GRANT SELECT (`id`, `fee`) ON `shop`.`invoices` TO `wri``ter`@`10.0.0.%`;",
                "GRANT UPDATE (`fee`) ON `shop`.`invoices` TO `wri``ter`@`10.0.0.%`;",
                "GRANT EXECUTE ON PROCEDURE `shop`.`synapsor_table_catalogue` TO `wri``ter`@`10.0.0.%`;",
                "GRANT EXECUTE ON PROCEDURE `shop`.`synapsor_routines` TO `wri``ter`@`10.0.0.%`;",
                "GRANT EXECUTE ON PROCEDURE `shop`.`synapsor_rows_modified` TO `wri``ter`@`10.0.0.%`;",
                "GRANT SELECT ON `shop`.`synapsor_database_identity` TO `wri``ter`@`10.0.0.%`;",
                "GRANT SELECT, INSERT ON `shop`.`receipts` TO `wri``ter`@`10.0.0.%`;",
            ]
        );
    }

    #[test]
    fn each_database_with_a_target_gets_its_procedures() {
        let text = grants(&plan("audit")).unwrap();
        assert!(text.contains("CREATE PROCEDURE `shop`.`synapsor_table_catalogue`"));
        assert!(text.contains("GRANT EXECUTE ON PROCEDURE `audit`.`synapsor_table_catalogue`"));
    }

    #[test]
    fn rejects_invalid_mysql_account_names() {
        for role in ["", "@host", "name@", "line\nbreak", &"x".repeat(33)] {
            let mut bad = plan("shop");
            bad.write_role = Some((*role).to_owned());
            assert_eq!(
                grants(&bad).unwrap_err().code,
                ErrorCode::UnsafeIdentifier,
                "{role:?}"
            );
        }
    }
}
