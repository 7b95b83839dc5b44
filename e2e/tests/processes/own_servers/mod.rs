//! Checks that need a server of their own: invalid or rotated certificates, rotated passwords, copies of a
//! database, standbys, wrong clocks. The checks share one server of each kind in sequence.

mod authority;
mod bundles;
mod clock;
mod cluster;
mod copies;
mod downgrade;
mod rotation;
mod scene;
mod tls;

use std::pin::Pin;

use scene::Scene;
use synapsor_e2e::databases::Engine;

type Running<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;
type Check = (&'static str, for<'a> fn(&'a Scene) -> Running<'a>);

/// Checks on every server.
const CHECKS: &[Check] = &[
    ("the right authority is accepted, by name and by file", |s| {
        Box::pin(tls::right_authority_is_accepted_by_name_and_by_file(s))
    }),
    ("a wrong certificate is refused", |s| {
        Box::pin(tls::rejects_wrong_server_certificate(s))
    }),
    ("an expired certificate is refused", |s| {
        Box::pin(tls::rejects_expired_server_certificate(s))
    }),
    ("a bundle of many authorities is read", |s| {
        Box::pin(bundles::bundle_of_many_authorities_is_read(s))
    }),
    ("an unusable bundle is named by its variable", |s| {
        Box::pin(bundles::unusable_bundle_is_named_by_its_variable(s))
    }),
    ("an inspection takes an authority", |s| {
        Box::pin(bundles::inspection_takes_an_authority(s))
    }),
    ("verify-ca skips only the name check", |s| {
        Box::pin(tls::verify_ca_skips_only_the_name_check(s))
    }),
    ("system authorities do not trust the server", |s| {
        Box::pin(tls::system_authorities_do_not_trust_the_server(s))
    }),
    ("tls downgrade receives no login", |s| {
        Box::pin(tls::tls_downgrade_receives_no_login(s))
    }),
    ("unencrypted connections are allowed on loopback only", |s| {
        Box::pin(tls::plain_text_is_limited_to_loopback(s))
    }),
    ("client certificate is sent on request", |s| {
        Box::pin(tls::client_certificate_is_sent_on_request(s))
    }),
    ("a changed password is used without a restart", |s| {
        Box::pin(rotation::changed_password_is_used_without_a_restart(s))
    }),
    ("password change drops no running write", |s| {
        Box::pin(rotation::changed_password_is_used_for_writing(s))
    }),
    ("running writer survives a password change", |s| {
        Box::pin(rotation::running_writer_survives_a_password_change(s))
    }),
    ("a changed authority is used without a restart", |s| {
        Box::pin(rotation::changed_authority_is_used_without_a_restart(s))
    }),
    ("a database with another clock is not written", |s| {
        Box::pin(clock::database_with_another_clock_is_not_written(s))
    }),
    ("restored copy on the same server is another database", |s| {
        Box::pin(copies::restored_copy_on_the_server_is_another_database(s))
    }),
    ("a copy of the server's files is another database", |s| {
        Box::pin(copies::copied_server_files_are_another_database(s))
    }),
];

async fn run_all(engine: Engine) -> anyhow::Result<()> {
    let Some(scene) = Scene::new(engine)? else {
        return Ok(());
    };
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        if let Err(error) = check(&scene).await {
            failed.push(format!("{name}: {error:#}"));
        }
    }
    assert!(failed.is_empty(), "failed checks on {engine}: {failed:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_pass_on_a_separate_postgres() -> anyhow::Result<()> {
    run_all(Engine::Postgres).await
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_pass_on_a_separate_mysql() -> anyhow::Result<()> {
    run_all(Engine::Mysql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_pass_on_a_separate_mariadb() -> anyhow::Result<()> {
    run_all(Engine::Mariadb).await
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_node_is_written_only_if_configured() -> anyhow::Result<()> {
    cluster::cluster_node_is_written_only_if_configured().await
}
