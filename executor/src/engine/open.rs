//! From a source of the contract, or a lone variable, to the engine behind it.

use std::sync::Arc;
use std::time::Duration;

use synapsor_chassis::run::Failure;
use synapsor_chassis::secret::{Secret, SecretError};
use synapsor_domain::contract::{Engine as EngineKind, Source};
use synapsor_domain::refusal::Refusal;

use super::credential::Credential;
use super::mysql::MysqlEngine;
use super::postgres::PostgresEngine;
use super::sqlite::SqliteEngine;
use super::{Access, Engine, ReceiptTable};

/// What an engine is opened with. Nothing is connected before the first use.
#[derive(Debug, Clone)]
pub struct Opening {
    /// What messages call it: a source of the contract, or the variable that holds the URL.
    pub name: String,
    pub kind: EngineKind,
    pub credential: Credential,
    pub access: Access,
    pub receipts: ReceiptTable,
    /// The engine's own if absent.
    pub statement_timeout: Option<Duration>,
}

impl Opening {
    /// A source of the contract; `table` is the receipt table unless the source names its own.
    pub fn of_source(source: &Source, credential: Credential, access: Access, table: &str) -> Self {
        Self {
            name: format!("source `{}`", source.name),
            kind: source.engine,
            credential,
            access,
            receipts: ReceiptTable {
                schema: source.receipt_schema.clone(),
                table: source.receipt_table.clone().unwrap_or_else(|| table.to_owned()),
            },
            statement_timeout: source
                .statement_timeout_ms
                .map(|ms| Duration::from_millis(ms.into())),
        }
    }

    /// Makes the engine.
    ///
    /// # Errors
    /// A variable that is unset or unreadable, and a URL that is none of this engine; none of them shows the URL.
    pub fn open(self) -> Result<Arc<dyn Engine>, Failure> {
        if !self.credential.is_present()? {
            let name = self.credential.url_name().to_owned();
            return Err(SecretError::Missing { name }.into());
        }
        match self.kind {
            EngineKind::Sqlite => {
                let url = self.url()?;
                let table = &self.receipts.table;
                let engine = SqliteEngine::new(url.expose(), self.access, table, self.statement_timeout);
                Ok(Arc::new(engine.map_err(|refusal| named(&self.name, &refusal))?))
            }
            EngineKind::Postgres => {
                let engine = PostgresEngine::new(
                    self.credential,
                    self.access,
                    self.receipts,
                    self.statement_timeout,
                );
                Ok(Arc::new(engine.map_err(|refusal| named(&self.name, &refusal))?))
            }
            EngineKind::Mysql => {
                let engine = MysqlEngine::new(
                    self.credential,
                    self.access,
                    self.receipts,
                    self.statement_timeout,
                );
                Ok(Arc::new(engine.map_err(|refusal| named(&self.name, &refusal))?))
            }
        }
    }

    fn url(&self) -> Result<Secret, Failure> {
        let material = self.credential.read().map_err(|error| {
            let text = format!("{}: {} cannot be read", self.name, self.credential.url_name());
            Failure::usage(error.detail, text)
        })?;
        Ok(material.url)
    }
}

fn named(name: &str, refusal: &Refusal) -> Failure {
    Failure::usage(refusal.code.clone(), format!("{name}: {}", refusal.public))
        .with_fix("correct the URL, or the file that it names")
}

/// The engine that a URL is of, by its scheme.
pub fn kind_of_url(url: &Secret) -> Option<EngineKind> {
    let (scheme, _) = url.expose().split_once(':')?;
    match scheme {
        "postgres" | "postgresql" => Some(EngineKind::Postgres),
        "mysql" | "mariadb" => Some(EngineKind::Mysql),
        "sqlite" => Some(EngineKind::Sqlite),
        _ => None,
    }
}
