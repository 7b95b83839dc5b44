//! Checks that need a server of their own: invalid or rotated certificates, rotated passwords, copies of a
//! database, standbys, wrong clocks. The checks share one server of each kind in sequence.

mod authority;
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
        Box::pin(tls::the_right_authority_is_accepted_by_name_and_by_file(s))
    }),
    ("a wrong certificate is refused", |s| {
        Box::pin(tls::a_wrong_certificate_is_refused(s))
    }),
    ("an expired certificate is refused", |s| {
        Box::pin(tls::an_expired_certificate_is_refused(s))
    }),
    ("verify-ca accepts another name and nothing else", |s| {
        Box::pin(tls::verify_ca_accepts_another_name_and_nothing_else(s))
    }),
    ("the machine's own authorities do not know the server", |s| {
        Box::pin(tls::the_machines_own_authorities_do_not_know_the_server(s))
    }),
    ("a downgrade hears no login", |s| {
        Box::pin(tls::a_downgrade_hears_no_login(s))
    }),
    ("plain text is for this machine only", |s| {
        Box::pin(tls::plain_text_is_for_this_machine_only(s))
    }),
    ("a client certificate is shown where it is demanded", |s| {
        Box::pin(tls::a_client_certificate_is_shown_where_it_is_demanded(s))
    }),
    ("a changed password is used without a restart", |s| {
        Box::pin(rotation::a_changed_password_is_used_without_a_restart(s))
    }),
    ("a change of password drops no write under way", |s| {
        Box::pin(rotation::a_changed_password_is_used_for_writing(s))
    }),
    ("a running writer outlives a change of its password", |s| {
        Box::pin(rotation::a_running_writer_outlives_a_change_of_its_password(s))
    }),
    ("a changed authority is used without a restart", |s| {
        Box::pin(rotation::a_changed_authority_is_used_without_a_restart(s))
    }),
    ("a database with another clock is not written", |s| {
        Box::pin(clock::a_database_with_another_clock_is_not_written(s))
    }),
    ("a restored copy beside it is another database", |s| {
        Box::pin(copies::a_restored_copy_beside_it_is_another_database(s))
    }),
    ("a copy of the server's files is another database", |s| {
        Box::pin(copies::a_copy_of_the_servers_files_is_another_database(s))
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
    assert!(failed.is_empty(), "what does not hold on {engine}: {failed:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_holds_on_a_postgres_of_its_own() -> anyhow::Result<()> {
    run_all(Engine::Postgres).await
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_holds_on_a_mysql_of_its_own() -> anyhow::Result<()> {
    run_all(Engine::Mysql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_holds_on_a_mariadb_of_its_own() -> anyhow::Result<()> {
    run_all(Engine::Mariadb).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_a_cluster_is_written_only_where_its_owner_says_so() -> anyhow::Result<()> {
    cluster::a_node_of_a_cluster_is_written_only_where_its_owner_says_so().await
}
