//! Passwords and authorities that change in their files: new connections use the new ones, and running work ends
//! unchanged.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use serde_json::json;
use synapsor_chassis::files;
use synapsor_e2e::agent::Agent;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::databases::Engine;
use synapsor_e2e::deployment::Deployment;
use synapsor_e2e::operator::OperatorClient;
use synapsor_e2e::stack::Stack;
use synapsor_e2e::target::Target;

use super::authority::{Age, Authority, write_for_owner};
use super::scene::{NAMES, Scene, sessions_of, until_it, with_detail};
use super::tls::refused;

/// URL in a file, and its account.
struct Login<'a> {
    scene: &'a Scene,
    role: &'a str,
    url: &'a str,
    folder: tempfile::TempDir,
}

impl<'a> Login<'a> {
    fn new(scene: &'a Scene, role: &'a str, url: &'a str) -> anyhow::Result<Self> {
        let this = Self {
            scene,
            role,
            url,
            folder: tempfile::tempdir()?,
        };
        this.write(url)?;
        Ok(this)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("url")
    }

    fn write(&self, url: &str) -> anyhow::Result<()> {
        write_for_owner(&self.file(), url)
    }

    fn with_password(&self, password: &str) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or_default();
        let (_, place) = rest.split_once('@').unwrap_or_default();
        format!("{scheme}://{}:{password}@{place}", self.role)
    }

    fn change_password(&self, password: &str) -> anyhow::Result<()> {
        let sql = change_of_password(self.scene.engine, self.role, password);
        self.scene.database.execute(&sql)
    }
}

fn change_of_password(engine: Engine, role: &str, password: &str) -> String {
    match engine {
        Engine::Mysql | Engine::Mariadb => format!("ALTER USER '{role}'@'%' IDENTIFIED BY '{password}'"),
        Engine::Postgres | Engine::Sqlite => {
            format!("ALTER ROLE {role} PASSWORD '{password}'")
        }
    }
}

pub(crate) async fn changed_password_is_used_without_a_restart(scene: &Scene) -> anyhow::Result<()> {
    let login = Login::new(scene, &scene.roles.reader, &scene.roles.read_url)?;
    let file = login.file().display().to_string();
    let reader = scene.open(None, &[("BILLING_READ_URL_FILE", &file)])?;
    reader.read(&scene.plan()).await.map_err(with_detail)?;
    let before = scene.sessions_of(login.role)?;
    ensure!(!before.is_empty());

    login.change_password("second")?;
    login.write(&login.with_password("second"))?;
    until_it("only connections with the new password are used", async || {
        reader.read(&scene.plan()).await.map_err(with_detail)?;
        let now = scene.sessions_of(login.role)?;
        Ok(!now.is_empty() && now.iter().all(|session| !before.contains(session)))
    })
    .await?;

    for wrong in [
        login.with_password("third-and-wrong"),
        "postgres://third-and-wrong".to_owned(),
    ] {
        login.write(&wrong)?;
        until_it("a wrong URL is an error", async || {
            Ok(reader.read(&scene.plan()).await.is_err())
        })
        .await?;
        refused(reader.as_ref(), "third-and-wrong").await?;
    }
    login.write(&login.with_password("second"))?;
    until_it("the right URL is accepted", async || {
        Ok(reader.read(&scene.plan()).await.is_ok())
    })
    .await?;
    login.change_password(password(login.url))
}

fn password(url: &str) -> &str {
    let login = url.split('@').next().unwrap_or_default();
    login.rsplit(':').next().unwrap_or_default()
}

pub(crate) async fn changed_password_is_used_for_writing(scene: &Scene) -> anyhow::Result<()> {
    let login = Login::new(scene, &scene.roles.writer, &scene.roles.write_url)?;
    let file = login.file().display().to_string();
    let writer = scene.writer(None, &[("BILLING_WRITE_URL_FILE", &file)])?;
    let plan = scene.plan();
    writer.try_begin().await.map_err(with_detail)?;

    login.change_password("second")?;
    login.write(&login.with_password("second"))?;
    until_it("reads continue with the new password", async || {
        Ok(writer.reading().read(&plan).await.is_ok())
    })
    .await?;
    writer.try_begin().await.map_err(with_detail)?;
    login.change_password(password(login.url))
}

pub(crate) async fn changed_authority_is_used_without_a_restart(scene: &Scene) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("ca.pem");
    let write = |pem: &str| files::write_atomic(&file, pem.as_bytes(), files::MODE_PUBLIC);
    write(&scene.authority.pem)?;
    let path = file.display().to_string();
    let ssl = json!({ "mode": "verify-full", "ca_env": "DB_CA" });
    let reader = scene.reader(ssl, &scene.roles.read_url, &[("DB_CA_FILE", &path)])?;
    reader.read(&scene.plan()).await.map_err(with_detail)?;

    let next = Authority::new("the next authority")?;
    scene.present(&next.leaf(&NAMES, Age::Valid)?)?;
    write(&next.pem)?;
    let before = scene.sessions_of(&scene.roles.reader)?;
    until_it("a connection that trusts the new authority only", async || {
        reader.read(&scene.plan()).await.map_err(with_detail)?;
        let now = scene.sessions_of(&scene.roles.reader)?;
        Ok(now.iter().any(|session| !before.contains(session)))
    })
    .await?;
    write(&scene.authority.pem)?;
    until_it("the old authority rejects the server", async || {
        Ok(reader.read(&scene.plan()).await.is_err())
    })
    .await?;
    scene.present(&scene.authority.leaf(&NAMES, Age::Valid)?)?;
    until_it("the old authority accepts the server again", async || {
        Ok(reader.read(&scene.plan()).await.is_ok())
    })
    .await
    .context("with the first certificate")
}

/// Through the real processes: the writer waits for a row while its password changes.
pub(crate) async fn running_writer_survives_a_password_change(scene: &Scene) -> anyhow::Result<()> {
    let mut stack = Stack::without_writer(Deployment::on(Build::Plain, scene.server.server())?)?;
    let Target::Server { database, roles } = &stack.deployment.target else {
        anyhow::bail!("a server has the target");
    };
    let (role, url) = (roles.writer.clone(), roles.write_url.clone());
    let owner = database.session();
    let file = stack.deployment.path("write-url");
    write_for_owner(&file, &url)?;
    let named = [
        ("BILLING_WRITE_URL", ""),
        ("BILLING_WRITE_URL_FILE", &*file.display().to_string()),
    ];
    stack.start_writer(&named)?;
    let agent = Agent::over_stdio(&stack).await?;
    let first = agent.propose("INV-3001", "goodwill").await?;
    let second = agent.propose("INV-3002", "goodwill").await?;

    owner.execute("BEGIN")?;
    owner.execute("UPDATE invoices SET internal_note = 'held' WHERE id = 'INV-3001'")?;
    let mut desk = OperatorClient::open(&stack, "alice")?;
    let subject = desk.subject(&stack.deployment, &first).await?;
    desk.approve_and_order(&stack.deployment, &subject).await?;
    let watcher = scene.server.server().session();
    until_it("the writer waits for the row", async || {
        Ok(!sessions_of(&watcher, scene.engine, &role)?.is_empty())
    })
    .await?;
    watcher.execute(&change_of_password(scene.engine, &role, "second"))?;
    write_for_owner(&file, &url.replacen(password(&url), "second", 1))?;
    owner.execute("COMMIT")?;
    let ended = desk.outcome(&stack, &first).await?;
    ensure!(ended == "applied", "under way: {ended}");
    let subject = desk.subject(&stack.deployment, &second).await?;
    desk.approve_and_order(&stack.deployment, &subject).await?;
    let ended = desk.outcome(&stack, &second).await?;
    ensure!(ended == "applied", "with the new password: {ended}");
    ensure!(stack.deployment.receipts()?.len() == 2);
    Ok(())
}
