//! One deployment on disk, fresh for each test: certificate authority, keys, trust file, contract and database.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{bail, ensure};
use synapsor_chassis::files::{self, MODE_PUBLIC};
use synapsor_chassis::identity::Role;
use synapsor_chassis::random;
use synapsor_chassis::tls::dev_ca::{DevCa, LEAF_TTL, Leaf};
use synapsor_chassis::tls::{TlsFiles, TlsMaterial};
use synapsor_domain::signing::SigningKey;
use synapsor_domain::timestamp::Span;
use synapsor_domain::trust::{
    DeploymentEnvironment, OperatorKey, SeparationOfDuties, ServiceKey, TrustFile, TrustLimits,
};

use crate::account::Account;
use crate::binaries::Build;
use crate::databases::{Database, Server};
use crate::fixture::Fixture;
use crate::now;
use crate::target::Target;

/// Contract of the tests.
pub const CONTRACT: &str = include_str!("../fixtures/billing.json");

/// Operator with a key.
#[derive(Debug)]
pub struct Person {
    pub name: String,
    pub key: SigningKey,
}

/// Files that processes are started from.
#[derive(Debug)]
pub struct Deployment {
    pub folder: tempfile::TempDir,
    /// How certificates are issued.
    pub issue: Mutex<Issue>,
    pub id: String,
    pub environment: DeploymentEnvironment,
    pub reader_key: SigningKey,
    pub writer_key: SigningKey,
    pub ledger_key: SigningKey,
    /// alice: billing_lead and applier; bob: billing_lead; carol: viewer only.
    pub people: Vec<Person>,
    pub build: Build,
    /// Database with the invoices.
    pub target: Target,
    /// User account of the processes.
    pub account: Account,
}

/// How certificates are issued: a test may replace the authority while processes run.
#[derive(Debug)]
pub struct Issue {
    pub authority: DevCa,
    /// Certificates of the trusted authorities, PEM.
    pub trusted: String,
    pub lifetime: Duration,
}

impl Issue {
    pub fn by(authority: DevCa) -> anyhow::Result<Self> {
        Ok(Self {
            trusted: std::fs::read_to_string(authority.cert_path())?,
            authority,
            lifetime: LEAF_TTL,
        })
    }
}

fn new_key() -> SigningKey {
    SigningKey::from_seed(&zeroize::Zeroizing::new(random::bytes::<32>()))
}

impl Deployment {
    /// Creates a deployment in `dev` with a sample database.
    pub fn new(build: Build) -> anyhow::Result<Self> {
        Self::in_environment(build, DeploymentEnvironment::Dev)
    }

    pub fn in_environment(build: Build, environment: DeploymentEnvironment) -> anyhow::Result<Self> {
        Self::sample(build, environment, CONTRACT)
    }

    /// Creates a deployment in `dev` with a sample database and another contract.
    pub fn with_contract(build: Build, contract: &str) -> anyhow::Result<Self> {
        Self::sample(build, DeploymentEnvironment::Dev, contract)
    }

    fn sample(build: Build, environment: DeploymentEnvironment, contract: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let target = Target::File(folder.path().join("billing.db"));
        let this = Self::made((folder, target), build, environment, contract)?;
        this.make_database()?;
        Ok(this)
    }

    /// Creates a deployment in `dev` with the invoices in a fresh server database.
    pub fn on(build: Build, server: &Server) -> anyhow::Result<Self> {
        Self::over(build, server.database()?, &Fixture::billing())
    }

    /// Creates a deployment in `dev` with the fixture's tables and contract, in an empty server database.
    pub fn over(build: Build, database: Database, fixture: &Fixture) -> anyhow::Result<Self> {
        let contract = fixture.contract_for(&database);
        let roles = fixture.fill(&database)?;
        let target = Target::Server { database, roles };
        Self::made(
            (tempfile::tempdir()?, target),
            build,
            DeploymentEnvironment::Dev,
            &contract,
        )
    }

    fn made(
        (folder, target): (tempfile::TempDir, Target),
        build: Build,
        environment: DeploymentEnvironment,
        contract: &str,
    ) -> anyhow::Result<Self> {
        let id = format!("test-{}", random::hex_id(8));
        let clock = now().as_unix_millis();
        let ca = DevCa::create(&folder.path().join("ca"), &id, clock)?;
        let person = |name: &str| Person {
            name: name.to_owned(),
            key: new_key(),
        };
        let this = Self {
            issue: Mutex::new(Issue::by(ca)?),
            id,
            environment,
            reader_key: new_key(),
            writer_key: new_key(),
            ledger_key: new_key(),
            people: vec![person("alice"), person("bob"), person("carol")],
            build,
            target,
            account: Account::default(),
            folder,
        };
        this.write_trust(&this.default_trust())?;
        std::fs::write(this.contract(), contract)?;
        for (name, key) in [
            ("reader", &this.reader_key),
            ("writer", &this.writer_key),
            ("ledger", &this.ledger_key),
        ] {
            files::create_exclusive(&this.path(&format!("{name}.key.pem")), key.to_pem().as_bytes())?;
        }
        for state in ["reader-state", "writer-state", "ledger-state"] {
            files::create_private_dir(&this.path(state))?;
        }
        Ok(this)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
    pub fn contract(&self) -> PathBuf {
        self.path("synapsor.runner.json")
    }
    pub fn trust_path(&self) -> PathBuf {
        self.path("synapsor.trust.json")
    }
    /// File with the invoices, if the database is a file.
    pub fn database(&self) -> PathBuf {
        self.path("billing.db")
    }
    /// Database URL of the writer.
    pub fn database_url(&self) -> String {
        self.target.write_url()
    }
    pub fn store(&self) -> PathBuf {
        self.path("ledger-state/local.db")
    }

    pub fn person(&self, name: &str) -> &Person {
        self.people
            .iter()
            .find(|p| p.name == name)
            .expect("operator of the deployment")
    }

    /// Default trust file of a test.
    pub fn default_trust(&self) -> TrustFile {
        let service = |key: &SigningKey| {
            vec![ServiceKey {
                key_id: key.key_id(),
                public_key: key.public_key(),
                retired: false,
                retired_at_size: None,
                retired_at_root: None,
                pinned_at: None,
            }]
        };
        let roles: &[(&str, &[&str])] = &[
            ("alice", &["billing_lead", "applier"]),
            ("bob", &["billing_lead"]),
            ("carol", &["viewer"]),
        ];
        let operators = roles
            .iter()
            .map(|(name, roles)| OperatorKey {
                person: (*name).to_owned(),
                key_id: self.person(name).key.key_id(),
                public_key: self.person(name).key.public_key(),
                roles: roles.iter().map(|r| (*r).to_owned()).collect(),
                capabilities: Vec::new(),
                tenants: Vec::new(),
                not_before: now() + Span::days(-1),
                not_after: now() + Span::days(30),
                revoked: false,
                retired: false,
                retired_at_size: None,
                retired_at_root: None,
                pinned_at: None,
            })
            .collect();
        TrustFile {
            version: 1,
            deployment_id: self.id.clone(),
            environment: self.environment,
            readers: service(&self.reader_key),
            writers: service(&self.writer_key),
            ledgers: service(&self.ledger_key),
            operators,
            aliases: [("support-agent".to_owned(), "dave".to_owned())].into(),
            separation_of_duties: None::<SeparationOfDuties>,
            ceilings: TrustLimits::default(),
            recoveries: Vec::new(),
        }
    }

    pub fn write_trust(&self, trust: &TrustFile) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(trust)?;
        Ok(files::write_atomic(&self.trust_path(), &text, MODE_PUBLIC)?)
    }

    pub fn trust(&self) -> anyhow::Result<TrustFile> {
        Ok(TrustFile::parse(&std::fs::read(self.trust_path())?)?)
    }

    fn new_leaf(&self, role: Role, instance: Option<&str>) -> anyhow::Result<(Leaf, String)> {
        let issue = self.issue.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now().as_unix_millis();
        let leaf = issue.authority.issue(role, instance, issue.lifetime, now)?;
        Ok((leaf, issue.trusted.clone()))
    }

    /// Writes a new certificate of one identity into the directory of that identity.
    pub fn leaf(&self, role: Role, instance: Option<&str>) -> anyhow::Result<TlsFiles> {
        let name = format!("{role}-{}", instance.unwrap_or("only"));
        let all = self.path("certificates");
        let folder = all.join(&name);
        if !all.exists() {
            files::create_private_dir(&all)?;
        }
        // The processes of an account of their own own the files until they are written again.
        self.account.disown(&all)?;
        if folder.exists() {
            self.account.disown(&folder)?;
        }
        files::create_private_dir(&folder)?;
        let (leaf, trusted) = self.new_leaf(role, instance)?;
        let written = TlsFiles::in_dir(&folder, &name);
        files::write_atomic(&written.ca, trusted.as_bytes(), MODE_PUBLIC)?;
        files::write_atomic(&written.key, leaf.key_pem().as_bytes(), files::MODE_PRIVATE)?;
        files::write_atomic(&written.cert, leaf.cert_pem().as_bytes(), MODE_PUBLIC)?;
        Ok(written)
    }

    /// Issues a certificate in memory.
    pub fn material(&self, role: Role, instance: Option<&str>) -> anyhow::Result<TlsMaterial> {
        let (leaf, trusted) = self.new_leaf(role, instance)?;
        let key = zeroize::Zeroizing::new(leaf.key_pem().as_bytes().to_vec());
        let now = now().as_unix_millis();
        Ok(TlsMaterial::from_pem(
            trusted.as_bytes(),
            leaf.cert_pem().as_bytes(),
            &key,
            now,
        )?)
    }

    fn make_database(&self) -> anyhow::Result<()> {
        let made = Command::new(self.build.binary("synapsor-executor")?)
            .args(["sample", "--path"])
            .arg(self.database())
            .env_clear()
            .stdout(Stdio::null())
            .output()?;
        ensure!(
            made.status.success(),
            "no sample database: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        Ok(())
    }

    /// Opens a connection of the test to the database file with the invoices.
    pub fn open_database(&self) -> anyhow::Result<rusqlite::Connection> {
        let connection = rusqlite::Connection::open(self.database())?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        Ok(connection)
    }

    /// Reads an invoice from the database: late fee, reason, version.
    pub fn invoice(&self, id: &str) -> anyhow::Result<(i64, Option<String>, i64)> {
        invoice(&self.target, id)
    }

    /// Receipts in the source database.
    pub fn receipts(&self) -> anyhow::Result<Vec<(String, String)>> {
        let sql = "SELECT proposal_id, outcome FROM synapsor_writeback_receipts ORDER BY proposal_id";
        let rows = self.target.query_text(sql)?;
        let pairs = rows
            .into_iter()
            .map(|row| match <[Option<String>; 2]>::try_from(row) {
                Ok([Some(proposal), Some(outcome)]) => Ok((proposal, outcome)),
                other => bail!("receipt without id or outcome: {other:?}"),
            });
        pairs.collect()
    }

    /// Content of the source database: every row of every table, in order.
    pub fn dump(&self) -> anyhow::Result<String> {
        self.target.dump()
    }
}

/// Reads an invoice from a database: late fee, reason, version.
pub fn invoice(target: &Target, id: &str) -> anyhow::Result<(i64, Option<String>, i64)> {
    let sql = format!("SELECT late_fee_cents, waiver_reason, version FROM invoices WHERE id = '{id}'");
    let row = target.query_text(&sql)?.into_iter().next();
    match row.map(<[Option<String>; 3]>::try_from) {
        Some(Ok([Some(fee), reason, Some(version)])) => Ok((fee.parse()?, reason, version.parse()?)),
        other => bail!("invoice {id}: {other:?}"),
    }
}

/// Every row of every table of a database file, as text.
pub fn dump(path: &Path) -> anyhow::Result<String> {
    Target::File(path.to_owned()).dump()
}
