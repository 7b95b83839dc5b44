//! Lists every table that the account sees, with its metadata for operators.

use super::column::ColumnType;
use super::connect::TEMPORARY_TABLE;
use super::inspect::{Described, Shapes};
use super::session::{BindValue, MysqlConn, MysqlStatementError};
use synapsor_source::SchemaCatalog;
use synapsor_source::error::EngineError;
use synapsor_source::schema_catalog::{CatalogTable, TABLES_MAX};

/// Lists every table and view that the account sees, of one schema or of all but system schemas.
pub async fn catalog(
    session: &mut MysqlConn,
    shapes: &Shapes,
    schema: Option<&str>,
) -> Result<SchemaCatalog, MysqlStatementError> {
    let facts = session
        .rows("SELECT CURRENT_USER(), DATABASE()", Vec::new())
        .await?;
    let listed = session
        .rows(
            "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN \
             ('information_schema', 'mysql', 'performance_schema', 'sys') ORDER BY SCHEMA_NAME",
            Vec::new(),
        )
        .await?;
    let schemas: Vec<String> = listed
        .iter()
        .map(|row| row.text(0))
        .collect::<Result<_, EngineError>>()?;
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA NOT IN \
         ('information_schema', 'mysql', 'performance_schema', 'sys') AND (? = '' OR TABLE_SCHEMA = ?) \
         AND TABLE_TYPE <> '{TEMPORARY_TABLE}' ORDER BY TABLE_SCHEMA, TABLE_NAME LIMIT {}",
        TABLES_MAX + 1
    );
    let wanted = BindValue::Text(schema.unwrap_or_default().to_owned());
    let names = session.rows(&sql, vec![wanted.clone(), wanted]).await?;
    let mut tables = Vec::new();
    for row in names.iter().take(TABLES_MAX) {
        let (schema, table) = (row.text(0)?, row.text(1)?);
        let described = shapes.fresh(session, &schema, &table).await?;
        let can_change = can_change(session, &schema, &table).await?;
        tables.push(shown(&described, can_change));
    }
    Ok(SchemaCatalog {
        product: session.server()?.product.clone(),
        account: facts
            .first()
            .map_or_else(|| Ok(String::new()), |row| row.text(0))?,
        current_schema: facts.first().and_then(|row| row.text(1).ok()),
        schemas,
        tables,
        truncated: names.len() > TABLES_MAX,
    })
}

fn shown(described: &Described, can_change: bool) -> CatalogTable {
    let names = |is_left_out: fn(&ColumnType) -> bool| {
        let columns = described.shape.columns.iter();
        let found = columns.filter(|column| is_left_out(&ColumnType::of(column)));
        found.map(|column| column.name.clone()).collect()
    };
    CatalogTable {
        unreadable: names(|column| !column.is_readable()),
        unwritable: names(|column| !column.is_writable()),
        shape: described.shape.as_ref().clone(),
        primary_key: described.primary_key.clone(),
        defaults: described.defaults.clone(),
        unique: described.unique.clone(),
        foreign_keys: described.foreign_keys.clone(),
        indexes: described.indexes.clone(),
        can_change,
    }
}

/// Whether any right of this account, at any level, allows to change rows of a table, or of a view that takes changes.
async fn can_change(session: &mut MysqlConn, schema: &str, table: &str) -> Result<bool, MysqlStatementError> {
    // An account that may read the server's own tables sees the rights of other accounts here as well.
    let host = "SUBSTRING_INDEX(CURRENT_USER(), '@', -1)";
    let user = format!("LEFT(CURRENT_USER(), LENGTH(CURRENT_USER()) - LENGTH({host}) - 1)");
    // MySQL lists the active roles as `role`@`host`; MariaDB has one, without a host.
    let roles = "CONCAT(REPLACE(CURRENT_ROLE(), '`', ''''), ',''', CURRENT_ROLE(), '''@''''')";
    let rights = format!(
        "(GRANTEE = CONCAT('''', {user}, '''@''', {host}, '''') OR FIND_IN_SET(GRANTEE, {roles})) \
         AND PRIVILEGE_TYPE IN ('INSERT', 'UPDATE', 'DELETE', 'DROP', 'ALTER')"
    );
    let sql = format!(
        "SELECT CAST(NOT EXISTS (SELECT 1 FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? \
             AND IS_UPDATABLE = 'NO') AND (EXISTS (SELECT 1 FROM information_schema.USER_PRIVILEGES WHERE {rights}) \
           OR EXISTS (SELECT 1 FROM information_schema.SCHEMA_PRIVILEGES WHERE ? LIKE TABLE_SCHEMA AND {rights}) \
           OR EXISTS (SELECT 1 FROM information_schema.TABLE_PRIVILEGES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? \
             AND {rights}) \
           OR EXISTS (SELECT 1 FROM information_schema.COLUMN_PRIVILEGES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? \
             AND {rights})) AS CHAR)"
    );
    let args =
        [schema, table, schema, schema, table, schema, table].map(|text| BindValue::Text(text.to_owned()));
    let found = session.rows(&sql, args.into()).await?;
    Ok(found
        .first()
        .is_some_and(|row| row.text(0).is_ok_and(|is| is == "1")))
}
