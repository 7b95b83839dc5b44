//! Sources that cannot be used: each is an error of its own, named by cause, and none keeps another from being
//! served.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use synapsor_e2e::agent::Agent;
use synapsor_e2e::cli::{CliFixture, CommandOutput, Running};
use synapsor_e2e::databases::{Engine, Server};
use synapsor_e2e::fixture::Fixture;
use synapsor_e2e::target::Target;

/// Maximum time until a source is opened after its file was corrected, on a busy machine.
const OPENED_WITHIN: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// First bytes of servers that break the protocol of their engine; the driver panics at some of them.
const BROKEN_ANSWERS: [(&str, &str); 8] = [
    ("postgres", "5200000003"),
    ("postgres", "5200000004"),
    ("postgres", "5200000008000000005a00000004"),
    ("postgres", "5200000008000000004b000000060000"),
    ("postgres", "520000000800000005"),
    (
        "postgres",
        "485454502f312e31203430302042616420526571756573740d0a0d0a",
    ),
    ("mysql", "0a0000000a382e302e3336000100"),
    (
        "mysql",
        "485454502f312e31203430302042616420526571756573740d0a0d0a",
    ),
];

/// Answers every connection with the same bytes and closes it.
fn answering(hex: &str) -> anyhow::Result<SocketAddr> {
    let bytes = hex::decode(hex)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut login = [0; 512];
            // A PostgreSQL server reads the login first; a MySQL server greets.
            if bytes.first() != Some(&0x0a) {
                let _ = connection.read(&mut login);
            }
            // The rest of the login is read, so that the answer arrives.
            let answered = connection
                .write_all(&bytes)
                .and_then(|()| connection.shutdown(Shutdown::Write));
            if answered.is_ok() {
                while connection.read(&mut login).is_ok_and(|read| read > 0) {}
            }
        }
    });
    Ok(address)
}

/// Port at which nothing listens.
fn closed_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Adds a source with a tool for reading, and its variable.
fn add_source(place: &mut CliFixture, name: &str, engine: &str, url: &str) -> anyhow::Result<()> {
    add_source_in(place, name, (engine, "main"), url)
}

/// The same with the schema of its table.
pub(crate) fn add_source_in(
    place: &mut CliFixture,
    name: &str,
    (engine, schema): (&str, &str),
    url: &str,
) -> anyhow::Result<()> {
    let path = place.path("synapsor.runner.json");
    let mut contract: Json = serde_json::from_slice(&std::fs::read(&path)?)?;
    let variable = format!("{}_URL", name.to_uppercase());
    contract["sources"][name] = json!({ "engine": engine, "read_url_env": variable });
    let mut tool = contract["capabilities"][0].clone();
    tool["name"] = json!(format!("{name}.inspect_invoice"));
    tool["source"] = json!(name);
    tool["target"]["schema"] = json!(schema);
    contract["capabilities"]
        .as_array_mut()
        .expect("capabilities")
        .push(tool);
    place.write("synapsor.runner.json", &contract.to_string())?;
    place.set(&variable, url);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_sources_keep_no_other_source_from_being_served() -> anyhow::Result<()> {
    let mut place = CliFixture::new()?;
    let silent: Vec<TcpListener> = (0..3)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()?;
    for (number, listener) in silent.iter().enumerate() {
        let url = format!("postgres://u:p@{}/d", listener.local_addr()?);
        add_source(&mut place, &format!("silent_{number}"), "postgres", &url)?;
    }
    let closed = closed_port()?;
    add_source(
        &mut place,
        "closed",
        "postgres",
        &format!("postgres://u:p@{closed}/d"),
    )?;
    add_source(
        &mut place,
        "unknown",
        "mysql",
        "mysql://u:p@no-such-host.invalid:3306/d?ssl-mode=VERIFY_IDENTITY",
    )?;
    for (number, (engine, answer)) in BROKEN_ANSWERS.into_iter().enumerate() {
        let url = format!("{engine}://u:p@{}/d", answering(answer)?);
        add_source(&mut place, &format!("broken_{number}"), engine, &url)?;
    }
    let wrong = [
        (
            "parameter",
            "postgres",
            "postgres://u:p@127.0.0.1/d?no_such_parameter=1",
        ),
        ("engine", "postgres", "mysql://u:p@127.0.0.1/d"),
        ("missing", "sqlite", "sqlite:///no/such/file.db"),
    ];
    for (name, engine, url) in wrong {
        add_source(&mut place, name, engine, url)?;
    }
    add_source(&mut place, "open_file", "postgres", "")?;
    place.unset("OPEN_FILE_URL");
    place.write("open.url", "postgres://u:p@127.0.0.1/d")?;
    let open = place.path("open.url");
    set_mode(&open, 0o644)?;
    place.set("OPEN_FILE_URL_FILE", &open.display().to_string());
    let agent = Agent::launched(place.command(&["mcp", "serve"])?.into()).await?;
    let tools = agent.tools().await?;
    // One tool of each source, two of the working one, and the built-in one.
    assert_eq!(
        tools.len(),
        2 + 3 + 2 + 1 + BROKEN_ANSWERS.len() + wrong.len() + 1
    );
    // The reader still waits for the silent servers: it did not wait for them before it served.
    for listener in &silent {
        let (mut connection, _) = listener.accept()?;
        connection.set_nonblocking(true)?;
        let mut bytes = Vec::new();
        let ended = connection.read_to_end(&mut bytes);
        assert!(ended.is_err(), "the reader has given up the silent server");
    }
    let read = agent.inspect("INV-3001").await?;
    assert_eq!(read["ok"], json!(true), "{read}");
    for name in [
        "closed",
        "unknown",
        "broken_0",
        "broken_6",
        "parameter",
        "engine",
        "missing",
        "open_file",
    ] {
        let arguments = json!({ "invoice_id": "INV-3001" });
        let read = agent.call(&format!("{name}.inspect_invoice"), arguments).await?;
        assert_eq!(
            read["error"]["code"],
            json!("TEMPORARILY_UNAVAILABLE"),
            "{name}: {read}"
        );
    }
    let read = agent.inspect("INV-3001").await?;
    assert_eq!(read["ok"], json!(true), "{read}");
    agent.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn corrected_file_of_a_source_needs_no_restart() -> anyhow::Result<()> {
    let mut place = CliFixture::new()?;
    add_source(&mut place, "late", "sqlite", "")?;
    place.unset("LATE_URL");
    let file = place.path("late.url");
    place.set("LATE_URL_FILE", &file.display().to_string());
    let agent = Agent::launched(place.command(&["mcp", "serve"])?.into()).await?;
    let call = async || {
        let arguments = json!({ "invoice_id": "INV-3001" });
        agent.call("late.inspect_invoice", arguments).await
    };
    let before = call().await?;
    assert_eq!(
        before["error"]["code"],
        json!("TEMPORARILY_UNAVAILABLE"),
        "{before}"
    );
    place.write(
        "late.url",
        &format!("sqlite://{}", place.path("billing.db").display()),
    )?;
    set_mode(&file, 0o600)?;
    let corrected = Instant::now();
    while call().await?["ok"] != json!(true) {
        anyhow::ensure!(corrected.elapsed() < OPENED_WITHIN, "the source is still closed");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    agent.close().await;
    Ok(())
}

#[test]
fn doctor_asks_silent_sources_side_by_side() -> anyhow::Result<()> {
    let mut place = CliFixture::new()?;
    let silent: Vec<TcpListener> = (0..6)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()?;
    for (number, listener) in silent.iter().enumerate() {
        let url = format!("postgres://u:p@{}/d", listener.local_addr()?);
        add_source(&mut place, &format!("silent_{number}"), "postgres", &url)?;
    }
    // One after another they would take longer than the doctor waits.
    let ran = place.run(&["writeback", "doctor", "--check-db", "--json"])?;
    ran.expect(6)?;
    let checked = ran.object()?;
    let sources = checked["roles"][0]["sources"].as_array().expect("sources");
    assert_eq!(sources.len(), 1 + silent.len(), "{checked}");
    let names: Vec<&str> = sources.iter().filter_map(|s| s["source_id"].as_str()).collect();
    assert_eq!(names[1..4], ["silent_0", "silent_1", "silent_2"], "{checked}");
    // Each role waits once for a silent server.
    for listener in &silent {
        listener.set_nonblocking(true)?;
        let connections = listener.incoming().map_while(Result::ok).count();
        assert!((1..=2).contains(&connections), "{connections}");
    }
    Ok(())
}

#[test]
fn cause_of_an_unusable_database_is_named_by_inspect_and_doctor() -> anyhow::Result<()> {
    let closed = closed_port()?;
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let mut causes = vec![
        (
            format!("postgres://u:p@{closed}/d"),
            "SOURCE_UNAVAILABLE",
            "refused the connection",
        ),
        (
            format!("mysql://u:p@{closed}/d"),
            "SOURCE_UNAVAILABLE",
            "refused the connection",
        ),
        (
            "postgres://u:p@no-such-host.invalid/d?sslmode=verify-full".to_owned(),
            "SOURCE_UNAVAILABLE",
            "host name has no address",
        ),
        (
            format!("postgres://u:p@{}/d?connect_timeout=1", silent.local_addr()?),
            "SOURCE_UNAVAILABLE",
            "did not answer",
        ),
    ];
    for (engine, answer) in BROKEN_ANSWERS {
        let url = format!("{engine}://u:p@{}/d", answering(answer)?);
        causes.push((url, "SOURCE_", "the database"));
    }
    // A server of the other engine.
    if let Some(server) = Server::of(Engine::Mysql)? {
        let url = format!("postgres://u:p@{}/d?connect_timeout=1", server.address());
        causes.push((url, "SOURCE_", "the database"));
    }
    if let Some(server) = Server::of(Engine::Postgres)? {
        let url = format!("mysql://u:p@{}/d", server.address());
        causes.push((url, "SOURCE_", "the database"));
    }
    for (url, code, text) in causes {
        let mut place = CliFixture::empty()?;
        place.set("DB", &url);
        let inspected = place.run(&["inspect", "--from-env", "DB"])?;
        let engine = if url.starts_with("mysql") {
            "mysql"
        } else {
            "postgres"
        };
        for ran in [&inspected, &doctor(engine, &url)?] {
            let shown = ran.to_string();
            assert!(shown.contains(code) && shown.contains(text), "{url}: {shown}");
            assert!(
                !shown.contains("u:p") && !shown.contains("PANIC"),
                "{url}: {shown}"
            );
        }
        let address = url.split(['@', '/']).nth(3).unwrap_or_default();
        assert!(inspected.stderr.contains(address), "{url}: {inspected}");
    }
    Ok(())
}

/// Runs the doctor on a contract whose only source has this read URL.
fn doctor(engine: &str, url: &str) -> anyhow::Result<synapsor_e2e::cli::CommandOutput> {
    let mut place = CliFixture::new()?;
    let path = place.path("synapsor.runner.json");
    let mut contract: Json = serde_json::from_slice(&std::fs::read(&path)?)?;
    contract["mode"] = json!("read_only");
    contract["sources"] = json!({ "billing_db": { "engine": engine, "read_url_env": "BILLING_READ_URL" } });
    contract["capabilities"]
        .as_array_mut()
        .expect("capabilities")
        .truncate(1);
    place.write("synapsor.runner.json", &contract.to_string())?;
    place.set("BILLING_READ_URL", url);
    place.unset("BILLING_WRITE_URL");
    place.run(&["writeback", "doctor", "--check-db"])
}

#[test]
fn source_that_cannot_be_written_keeps_no_other_from_it() -> anyhow::Result<()> {
    let mut place = CliFixture::new()?;
    let path = place.path("synapsor.runner.json");
    let mut contract: Json = serde_json::from_slice(&std::fs::read(&path)?)?;
    contract["sources"]["a_wrong_one"] =
        json!({ "engine": "postgres", "read_url_env": "WRONG_READ_URL", "write_url_env": "WRONG_WRITE_URL" });
    place.write("synapsor.runner.json", &contract.to_string())?;
    for name in ["WRONG_READ_URL", "WRONG_WRITE_URL"] {
        place.set(name, "postgres://u:p@127.0.0.1/d?no_such_parameter=1");
    }
    let id = place.approved("INV-3001", "customer called")?;
    let applied = place.json(&["apply", &id])?;
    assert_eq!(applied["status"], json!("applied"), "{applied}");
    Ok(())
}

#[test]
fn file_without_the_rights_of_a_role_is_named() -> anyhow::Result<()> {
    let cases = [
        (
            0o400,
            0o700,
            "cannot be written by the user of this process (uid ",
        ),
        (
            0o600,
            0o500,
            "cannot be written by the user of this process (uid ",
        ),
        (0o000, 0o700, "cannot be read by the user of this process (uid "),
    ];
    for (file_mode, directory_mode, text) in cases {
        let mut place = CliFixture::new()?;
        let directory = place.path("data");
        std::fs::create_dir(&directory)?;
        let file = directory.join("billing.db");
        std::fs::rename(place.path("billing.db"), &file)?;
        for name in ["BILLING_READ_URL", "BILLING_WRITE_URL"] {
            place.set(name, &format!("sqlite://{}", file.display()));
        }
        set_mode(&file, file_mode)?;
        set_mode(&directory, directory_mode)?;
        let ran = bound(&place, &["writeback", "doctor", "--check-db"])?;
        set_mode(&directory, 0o700)?;
        let shown = ran.to_string();
        assert!(
            shown.contains("SOURCE_DENIED") && shown.contains(text) && shown.contains("chmod"),
            "{file_mode:o} in {directory_mode:o}: {shown}"
        );
    }
    Ok(())
}

#[test]
fn dry_run_and_apply_name_why_a_file_is_not_written() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let id = place.approved("INV-3001", "customer called")?;
    set_mode(&place.path("billing.db"), 0o400)?;
    for arguments in [&["apply", &id, "--dry-run"][..], &["apply", &id]] {
        let ran = bound(&place, arguments)?;
        let shown = ran.to_string();
        assert!(
            shown.contains("SOURCE_DENIED") || shown.contains("cannot be written by the user"),
            "{shown}"
        );
        assert!(ran.exit != Some(0) && shown.contains("chmod"), "{shown}");
        assert!(
            !shown.contains("account lacks rights"),
            "a file has no accounts: {shown}"
        );
    }
    Ok(())
}

#[test]
fn column_that_a_trigger_sets_is_named_before_and_after() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let trigger = "CREATE TRIGGER renames AFTER UPDATE OF late_fee_cents ON invoices \
                   BEGIN UPDATE invoices SET customer_name = 'changed' WHERE id = new.id; END";
    place.target.execute(trigger)?;
    let checked = place.run(&["writeback", "doctor", "--check-db"])?.to_string();
    assert!(
        checked.contains("SIDE_EFFECT") && checked.contains("db_managed"),
        "{checked}"
    );
    let mut shown = Vec::new();
    let id = place.approved("INV-3001", "customer called")?;
    for arguments in [&["apply", &id, "--dry-run"][..], &["apply", &id]] {
        shown.push(place.run(arguments)?.to_string());
    }
    for shown in shown {
        assert!(
            shown.contains("post_image") && shown.contains("`customer_name`"),
            "{shown}"
        );
    }
    Ok(())
}

#[test]
fn account_that_only_reads_is_the_cause_of_a_failed_apply() -> anyhow::Result<()> {
    let Some(server) = Server::of(Engine::Postgres)? else {
        return Ok(());
    };
    let place = CliFixture::over(server.database()?, &Fixture::billing())?;
    let id = place.approved("INV-3001", "customer called")?;
    let Target::Server { roles, .. } = &place.target else {
        anyhow::bail!("a server has the target");
    };
    place.target.execute(&format!(
        "ALTER ROLE {} SET default_transaction_read_only = on",
        roles.writer
    ))?;
    let applied = place.run(&["apply", &id, "--wait", "60"])?.to_string();
    assert!(applied.contains("SOURCE_READ_ONLY"), "{applied}");
    assert!(!applied.contains("timed out"), "{applied}");
    let dry = place.run(&["apply", &id, "--dry-run"])?.to_string();
    assert!(dry.contains("SOURCE_READ_ONLY"), "{dry}");
    Ok(())
}

#[test]
fn administrators_account_is_one_finding() -> anyhow::Result<()> {
    let Some(server) = Server::of(Engine::Mysql)? else {
        return Ok(());
    };
    let mut place = CliFixture::over(server.database()?, &Fixture::billing())?;
    let Target::Server { database, .. } = &place.target else {
        anyhow::bail!("a server has the target");
    };
    let owner = database.owner_url();
    place.set("BILLING_WRITE_URL", &owner);
    let checked = place.run(&["writeback", "doctor", "--check-db"])?.to_string();
    let count = checked.matches("GRANT_EXCESSIVE").count();
    assert!(
        (1..=3).contains(&count) && checked.contains("rights on the whole server"),
        "{count}: {checked}"
    );
    Ok(())
}

/// Runs a command as a user who is subject to file permissions.
fn bound(place: &CliFixture, arguments: &[&str]) -> anyhow::Result<CommandOutput> {
    Running::of(place.bound_command(arguments)?, arguments)?.end(Duration::from_secs(60))
}

fn set_mode(path: &Path, mode: u32) -> anyhow::Result<()> {
    Ok(std::fs::set_permissions(
        path,
        std::fs::Permissions::from_mode(mode),
    )?)
}
