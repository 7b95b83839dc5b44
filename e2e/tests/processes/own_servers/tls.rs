//! TLS verification of servers by authority, name and validity; a rejected server receives no data.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;
use synapsor_chassis::files;
use synapsor_e2e::databases::Engine;
use synapsor_source::EngineErrorKind;

use super::authority::{Age, Authority, BRIEFLY, self_signed, write_for_owner};
use super::downgrade::Downgrade;
use super::scene::{NAMES, READ_URL, Scene, WRITE_URL, with_detail};

/// Refused when connecting: reported as an unavailable database, without the server's message.
pub(crate) async fn refused(engine: &dyn synapsor_source::Engine, secret: &str) -> anyhow::Result<()> {
    match engine.identity().await {
        Ok(_) => anyhow::bail!("connected"),
        Err(error) => {
            ensure!(
                error.kind == EngineErrorKind::Unavailable && error.is_retryable(),
                "{error:?}: {}",
                error.detail
            );
            let shown = format!("{error} {error:?} {}", error.detail);
            for word in [secret, "127.0.0.1", "localhost", "://", "CERTIFICATE"] {
                ensure!(!shown.contains(word), "shows `{word}`: {shown}");
            }
            Ok(())
        }
    }
}

fn password(url: &str) -> &str {
    let login = url.split('@').next().unwrap_or_default();
    login.rsplit(':').next().unwrap_or_default()
}

pub(crate) async fn right_authority_is_accepted_by_name_and_by_file(scene: &Scene) -> anyhow::Result<()> {
    let ssl = json!({ "mode": "verify-full", "ca_env": "DB_CA" });
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("ca.pem");
    files::write_atomic(&file, scene.authority.pem.as_bytes(), files::MODE_PUBLIC)?;
    let file = file.display().to_string();
    let named = scene.roles.read_url.replacen("127.0.0.1", "localhost", 1);
    for (url, more) in [
        (&scene.roles.read_url, ("DB_CA", scene.authority.pem.as_str())),
        (&named, ("DB_CA", scene.authority.pem.as_str())),
        (&named, ("DB_CA_FILE", file.as_str())),
    ] {
        let engine = scene.reader(ssl.clone(), url, &[more])?;
        ensure!(engine.read(&scene.plan()).await.map_err(with_detail)?.rows.len() == 1);
    }
    let writer = scene.writer(
        Some(ssl),
        &[(WRITE_URL, &scene.roles.write_url), ("DB_CA_FILE", &file)],
    )?;
    writer.try_begin().await.map_err(with_detail)?;
    Ok(())
}

pub(crate) async fn rejects_wrong_server_certificate(scene: &Scene) -> anyhow::Result<()> {
    let stranger = Authority::new("another authority")?;
    let ssl = json!({ "mode": "verify-full", "ca_env": "DB_CA" });
    let good = scene.authority.leaf(&NAMES, Age::Valid)?;
    let wrong = [
        ("another authority's", stranger.leaf(&NAMES, Age::Valid)?),
        (
            "another host's",
            scene.authority.leaf(&["db.example"], Age::Valid)?,
        ),
        ("its own authority", self_signed(&NAMES)?),
    ];
    let ca = ("DB_CA", scene.authority.pem.as_str());
    for (what, leaf) in &wrong {
        scene
            .present(leaf)
            .with_context(|| format!("presenting {what}"))?;
        let reader = scene.reader(ssl.clone(), &scene.roles.read_url, &[ca])?;
        let secret = password(&scene.roles.read_url);
        refused(reader.as_ref(), secret)
            .await
            .map_err(|e| e.context(*what))?;
        let variables = [(WRITE_URL, scene.roles.write_url.as_str()), ca];
        let writer = scene.writer(Some(ssl.clone()), &variables)?;
        ensure!(writer.try_begin().await.is_err(), "a writer started with {what}");
    }
    scene.present(&good)?;
    let reader = scene.reader(ssl, &scene.roles.read_url, &[ca])?;
    ensure!(reader.identity().await.is_ok());
    Ok(())
}

pub(crate) async fn rejects_expired_server_certificate(scene: &Scene) -> anyhow::Result<()> {
    scene.present(&scene.authority.leaf(&NAMES, Age::Brief)?)?;
    let ca = ("DB_CA", scene.authority.pem.as_str());
    // Valid to the end of its last second.
    tokio::time::sleep(BRIEFLY + Duration::from_millis(1100)).await;
    for mode in ["verify-ca", "verify-full"] {
        let ssl = json!({ "mode": mode, "ca_env": "DB_CA" });
        let reader = scene.reader(ssl, &scene.roles.read_url, &[ca])?;
        refused(reader.as_ref(), password(&scene.roles.read_url)).await?;
    }
    scene.present(&scene.authority.leaf(&NAMES, Age::Valid)?)
}

pub(crate) async fn verify_ca_skips_only_the_name_check(scene: &Scene) -> anyhow::Result<()> {
    let ssl = json!({ "mode": "verify-ca", "ca_env": "DB_CA" });
    let ca = ("DB_CA", scene.authority.pem.as_str());
    let stranger = Authority::new("another authority")?;
    scene.present(&scene.authority.leaf(&["db.example"], Age::Valid)?)?;
    let reader = scene.reader(ssl.clone(), &scene.roles.read_url, &[ca])?;
    ensure!(reader.identity().await.is_ok(), "another name was refused");
    for leaf in [stranger.leaf(&NAMES, Age::Valid)?, self_signed(&NAMES)?] {
        scene.present(&leaf)?;
        let reader = scene.reader(ssl.clone(), &scene.roles.read_url, &[ca])?;
        refused(reader.as_ref(), password(&scene.roles.read_url)).await?;
    }
    scene.present(&scene.authority.leaf(&NAMES, Age::Valid)?)
}

pub(crate) async fn system_authorities_do_not_trust_the_server(scene: &Scene) -> anyhow::Result<()> {
    let reader = scene.reader(json!({ "mode": "verify-full" }), &scene.roles.read_url, &[])?;
    refused(reader.as_ref(), password(&scene.roles.read_url)).await
}

/// An attacker in the middle denies TLS: there is no login, in plain text or otherwise.
pub(crate) async fn tls_downgrade_receives_no_login(scene: &Scene) -> anyhow::Result<()> {
    let ca = ("DB_CA", scene.authority.pem.as_str());
    for mode in ["verify-ca", "verify-full"] {
        let between = Downgrade::start(scene.engine, scene.server.server().address()).await?;
        let address = between.address.to_string();
        let url = |url: &str| url.replacen(scene.server.server().address(), &address, 1);
        let ssl = json!({ "mode": mode, "ca_env": "DB_CA" });
        let reader = scene.reader(ssl.clone(), &url(&scene.roles.read_url), &[ca])?;
        refused(reader.as_ref(), password(&scene.roles.read_url)).await?;
        let variables = [(WRITE_URL, &*url(&scene.roles.write_url)), ca];
        let writer = scene.writer(Some(ssl), &variables)?;
        ensure!(writer.try_begin().await.is_err());
        let received = between.received().await?;
        ensure!(
            received.len() >= 2,
            "no client connected: the proxy was not tested"
        );
        ensure!(received.iter().all(Vec::is_empty), "received {received:?}");
    }
    Ok(())
}

/// Without a setting in the contract the address decides, and the contract cannot require less.
pub(crate) async fn plain_text_is_limited_to_loopback(scene: &Scene) -> anyhow::Result<()> {
    let far = scene.roles.read_url.replacen("127.0.0.1", "db.example.test", 1);
    let secret = password(&far);
    for ssl in [Some(json!({ "mode": "disable" })), None] {
        let weak = match scene.engine {
            Engine::Mysql | Engine::Mariadb => format!("{far}?ssl-mode=DISABLED"),
            Engine::Postgres | Engine::Sqlite => format!("{far}?sslmode=disable"),
        };
        let url = if ssl.is_some() { far.clone() } else { weak };
        let refusal = scene.open(ssl, &[(READ_URL, &url)]);
        let text = format!("{:?}", refusal.err());
        ensure!(text.contains("SOURCE_TLS_REQUIRED"), "{text}");
        ensure!(!text.contains(secret) && !text.contains("db.example"), "{text}");
    }
    let near = scene.reader(json!({ "mode": "disable" }), &scene.roles.read_url, &[])?;
    ensure!(near.identity().await.is_ok());
    Ok(())
}

pub(crate) async fn client_certificate_is_sent_on_request(scene: &Scene) -> anyhow::Result<()> {
    let (role, url) = scene.database.role("c")?;
    grant_and_demand(scene, &role)?;
    let plain = json!({ "mode": "verify-full", "ca_env": "DB_CA" });
    let ca = ("DB_CA", scene.authority.pem.as_str());
    let without = scene.reader(plain, &url, &[ca])?;
    ensure!(
        without.identity().await.is_err(),
        "the server demanded no certificate"
    );
    let ssl = json!({ "mode": "verify-full", "ca_env": "DB_CA", "cert_env": "DB_CERT", "key_env": "DB_KEY" });
    let stranger = Authority::new("another authority")?.leaf(&["client"], Age::Valid)?;
    let known = scene.authority.leaf(&["client"], Age::Valid)?;
    let more = [
        ca,
        ("DB_CERT", stranger.certificate.as_str()),
        ("DB_KEY", stranger.key.as_str()),
    ];
    let reader = scene.reader(ssl.clone(), &url, &more)?;
    ensure!(
        reader.identity().await.is_err(),
        "a foreign client certificate was accepted"
    );
    let folder = tempfile::tempdir()?;
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    files::write_atomic(&cert, known.certificate.as_bytes(), files::MODE_PUBLIC)?;
    write_for_owner(&key, &known.key)?;
    let (cert, key) = (cert.display().to_string(), key.display().to_string());
    let more = [ca, ("DB_CERT_FILE", cert.as_str()), ("DB_KEY_FILE", key.as_str())];
    let reader = scene.reader(ssl.clone(), &url, &more)?;
    reader.identity().await.map_err(with_detail)?;
    // A key that other users can read is rejected.
    files::write_atomic(
        std::path::Path::new(&key),
        known.key.as_bytes(),
        files::MODE_PUBLIC,
    )?;
    let refusal = scene.reader(ssl, &url, &more);
    ensure!(refusal.is_err(), "a key file readable by others was accepted");
    Ok(())
}

fn grant_and_demand(scene: &Scene, role: &str) -> anyhow::Result<()> {
    match scene.engine {
        Engine::Mysql | Engine::Mariadb => {
            let database = scene.database.name();
            scene
                .database
                .execute(&format!("GRANT SELECT ON {database}.* TO '{role}'@'%'"))?;
            scene
                .database
                .execute(&format!("ALTER USER '{role}'@'%' REQUIRE X509"))
        }
        Engine::Postgres | Engine::Sqlite => {
            let rules = scene.server.folder().join("data/pg_hba.conf");
            let others = std::fs::read_to_string(&rules)?;
            let first = format!(
                "hostssl all {role} 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\nhost all {role} all reject\n"
            );
            write_for_owner(&rules, &format!("{first}{others}"))?;
            scene.reload()
        }
    }
}
