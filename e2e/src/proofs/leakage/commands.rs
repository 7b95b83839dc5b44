//! CLI failures: wrong arguments, files, variables, permissions and states.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use synapsor_chassis::files;

use super::scene::{Scene, TOKEN};
use crate::deployment::CONTRACT;

const READ: [&str; 5] = ["smoke", "call", "billing.inspect_invoice", "--input", "call.json"];

/// Invalid arguments. None of these needs a service.
pub(super) fn arguments(scene: &mut Scene) -> anyhow::Result<()> {
    let wrong: [&[&str]; 49] = [
        &["frobnicate"],
        &["up", "--no-such-flag"],
        &["up", "--serve", "--transport", "stdio"],
        &["mcp", "serve-streamable-http", "--host", "0.0.0.0"],
        &["mcp", "serve", "--result-format", "9"],
        &["proposals", "show", "wrp_00000000000000000000"],
        &["proposals", "approve", "no-such-proposal", "--yes"],
        &["proposals", "approve", "latest", "--yes", "--actor", "mallory"],
        &[
            "proposals",
            "approve",
            "latest",
            "--yes",
            "--expires",
            "999999999",
        ],
        &["apply", "no-such-proposal", "--yes"],
        &["replay", "show", "wrp_00000000000000000000"],
        &["evidence", "show", "ev_00000000000000000000"],
        &["receipts", "show", "wrp_00000000000000000000"],
        &["query-audit", "show", "qa_00000000000000000000"],
        &["activity", "search", "qa_00000000000000000000"],
        &["webhooks", "show", "none"],
        &["webhooks", "redeliver", "none", "--from", "0"],
        &["events", "webhook", "--url", "https://10.0.0.1/hook"],
        &["shadow", "compare", "wrp_00000000000000000000"],
        &["proposals", "writeback-job", "wrp_00000000000000000000"],
        &["validate", "--job", "call.json"],
        &["apply", "--job", "call.json"],
        &["config", "show", "--config", "call.json", "--no-such-flag"],
        &["config", "diff", "call.json", "synapsor.runner.json"],
        &["init", "--spec", "call.json", "--non-interactive", "--dry-run"],
        &["init", "--recipe", "call.json", "--dry-run"],
        &["init", "--add", "--table", "no_such_table", "--non-interactive"],
        &["init", "--wizard"],
        &["recipes", "show", "no-such-recipe"],
        &["onboard", "db", "--answers", "call.json", "--dry-run"],
        &["start"],
        &["audit", "no-such-file.json"],
        &["audit", "--stdio", "no-such-program"],
        &["ledger", "prove", "wrp_00000000000000000000"],
        &["bundle", "verify", "call.json"],
        &["bundle", "verify", "no-such-file"],
        &["store", "reset"],
        &["store", "verify", "call.json"],
        &["ledger", "recover", "--witness", "call.json"],
        &["store", "restore", "no-such-file"],
        &[
            "store", "erase", "--tenant", "acme", "--yes", "--actor", "mallory",
        ],
        &["store", "prune", "--older-than", "soon"],
        &["operator", "revoke", "ed25519:00000000000000000000000000000000"],
        &["operator", "add", "call.json"],
        &["operator", "keygen", "--person", "Not A Name"],
        &["certs", "issue", "sorcerer", "x"],
        &["config", "validate", "--config", "no-such-contract.json"],
        &["smoke", "call", "billing.no_such_tool", "--input", "call.json"],
        &[
            "smoke",
            "call",
            "billing.inspect_invoice",
            "--input",
            "no-such-input.json",
        ],
    ];
    for arguments in wrong {
        scene.fails(arguments, &[])?;
    }
    Ok(())
}

/// Truncated or malformed contracts, invalid keys and broken trust files.
pub(super) fn files(scene: &mut Scene) -> anyhow::Result<()> {
    let lines: Vec<&str> = CONTRACT.lines().collect();
    for cut in [1, lines.len() / 4, lines.len() / 2, lines.len() - 1] {
        scene.place.write("broken.json", &lines[..cut].join("\n"))?;
        scene.fails(&["config", "validate", "--config", "broken.json"], &[])?;
    }
    let unknown = CONTRACT.replacen("\"version\": 1", "\"version\": 1, \"surprise\": true", 1);
    scene.place.write("broken.json", &unknown)?;
    scene.fails(&["up", "--config", "broken.json"], &[])?;
    scene.place.write("input.json", "{\"invoice_id\": ")?;
    scene.fails(
        &[
            "smoke",
            "call",
            "billing.inspect_invoice",
            "--input",
            "input.json",
        ],
        &[],
    )?;
    scene.place.write(
        "input.json",
        &json!({ "invoice_id": "INV-3001", "internal_note": true }).to_string(),
    )?;
    scene.fails(
        &[
            "smoke",
            "call",
            "billing.inspect_invoice",
            "--input",
            "input.json",
        ],
        &[],
    )?;

    let key = std::fs::read_to_string(scene.state("keys/operator-alice.pem"))?;
    let other = scene.state("keys/writer.pem");
    let other = other.to_str().context("a plain path")?;
    // A valid key of another operator, a truncated key, a key readable by others, and a directory.
    let approve = |path: &'static str| ["proposals", "approve", "latest", "--yes", "--signing-key", path];
    scene.fails(
        &["proposals", "approve", "latest", "--yes", "--signing-key", other],
        &[],
    )?;
    files::create_exclusive(&scene.place.path("cut.pem"), &key.as_bytes()[..key.len() / 2])?;
    scene.fails(&approve("cut.pem"), &[])?;
    scene.place.write("open.pem", &key)?;
    std::fs::set_permissions(
        scene.place.path("open.pem"),
        std::fs::Permissions::from_mode(0o644),
    )?;
    scene.fails(&approve("open.pem"), &[])?;
    scene.fails(&approve("."), &[])?;

    let trust = std::fs::read_to_string(scene.state("synapsor.trust.json"))?;
    let at = trust.find(&scene.alias).context("operator alias")?;
    let broken = [
        trust[..at + scene.alias.len() / 2].to_owned(),
        trust.replacen(
            "\"version\": 1",
            &format!("\"version\": 1, \"comment\": \"{}\"", scene.alias),
            1,
        ),
        trust.replacen("\"version\": 1", "\"version\": 77", 1),
        trust.replacen(
            &format!("\"{}\"", scene.alias),
            &format!("[\"{}\"]", scene.alias),
            1,
        ),
    ];
    for text in broken {
        scene.place.write("broken.trust.json", &text)?;
        scene.fails(
            &[
                "proposals",
                "approve",
                "latest",
                "--yes",
                "--trust",
                "broken.trust.json",
            ],
            &[],
        )?;
    }
    Ok(())
}

/// Variables that are missing or name a nonexistent location, with secrets in them.
pub(super) fn variables(scene: &mut Scene) -> anyhow::Result<()> {
    scene.fails(&READ, &[("BILLING_READ_URL", None)])?;
    scene.fails(&READ, &[("BILLING_TENANT", None)])?;
    scene.fails(&["up", "--serve", "--port", "0"], &[(TOKEN, None)])?;
    scene.fails(&["up"], &[("BILLING_WRITE_URL", None)])?;
    let secret = scene.url_secret.clone();
    let urls = [
        format!("sqlite://{secret}:{secret}@/var/billing.db"),
        format!("sqlite:///var/{secret}.db?key={secret}"),
        format!("postgres://app:{secret}@127.0.0.1/billing"),
        format!("sqlite:///no/such/{secret}/billing.db"),
        format!("file:{secret}"),
    ];
    for url in urls {
        scene.fails(&READ, &[("BILLING_READ_URL", Some(&url))])?;
    }
    let folder = format!("sqlite://{}", scene.place.folder().display());
    scene.fails(&READ, &[("BILLING_READ_URL", Some(&folder))])?;
    let garbage = scene.place.path("garbage.db");
    std::fs::write(&garbage, secret.repeat(64))?;
    scene.fails(
        &READ,
        &[(
            "BILLING_READ_URL",
            Some(&format!("sqlite://{}", garbage.display())),
        )],
    )?;
    scene.fails(&READ, &[("SYNAPSOR_LOG_LEVEL", Some(&secret))])?;
    Ok(())
}

/// Services that are unavailable, or whose certificates do not authenticate.
pub(super) fn remote(scene: &mut Scene) -> anyhow::Result<()> {
    scene.ok(&["certs", "issue", "operator", "alice", "--out", "issued"])?;
    scene.fails(
        &["certs", "issue", "gateway", "elsewhere", "--out", "issued"],
        &[],
    )?;
    scene.ok(&[
        "certs",
        "issue",
        "gateway",
        "elsewhere",
        "--out",
        "issued-gateway",
    ])?;
    let ledger = scene.address("ledger")?;
    let list = |address: &str, dir: &str, name: &str| {
        let (ca, cert, key) = (
            format!("{dir}/ca.pem"),
            format!("{dir}/{name}.pem"),
            format!("{dir}/{name}.key"),
        );
        let words = [
            "proposals",
            "list",
            "--ledger",
            address,
            "--ca",
            &ca,
            "--cert",
            &cert,
            "--key",
            &key,
        ];
        words.map(ToOwned::to_owned)
    };
    for words in [
        list("127.0.0.1:1", "issued", "alice"),
        list("nonsense", "issued", "alice"),
        list(&ledger, "issued-gateway", "elsewhere"),
    ] {
        scene.fails(&words.each_ref().map(String::as_str), &[])?;
    }
    let missing = ["proposals", "list", "--ledger", &ledger];
    scene.fails(&missing, &[])
}

/// A locked database, a changed row, a missing approval.
pub(super) fn writeback(scene: &mut Scene, applied: &str) -> anyhow::Result<()> {
    scene.fails(&["proposals", "approve", applied, "--yes"], &[])?;
    let stale = scene.place.propose("INV-3002", "goodwill")?;
    scene.fails(&["apply", &stale, "--yes"], &[])?;
    scene.ok(&["proposals", "approve", &stale, "--yes"])?;
    let connection = rusqlite::Connection::open(&scene.database)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute(
        "UPDATE invoices SET customer_name = 'Renamed Ltd' WHERE id = 'INV-3002'",
        [],
    )?;
    scene.fails(&["apply", &stale, "--yes"], &[])?;
    let locked = scene.place.propose("INV-3004", "goodwill")?;
    scene.ok(&["proposals", "approve", &locked, "--yes"])?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    scene.fails(&["apply", &locked, "--yes", "--wait", "3"], &[])?;
    connection.execute_batch("ROLLBACK")?;
    Ok(())
}

/// Invalid state directories, and finally an edited store. No process runs any more.
pub(super) fn state(scene: &mut Scene) -> anyhow::Result<()> {
    scene.place.wait_until_alone(Duration::from_secs(30))?;
    let state = scene.place.path(".synapsor");
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o777))?;
    scene.fails(&["proposals", "list"], &[])?;
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o700))?;
    scene.fails(
        &["proposals", "list", "--store", "elsewhere/.synapsor/local.db"],
        &[],
    )?;
    let operator = scene.state("keys/operator-alice.pem");
    std::fs::rename(&operator, scene.place.path("away.pem"))?;
    scene.fails(&["proposals", "approve", "latest", "--yes"], &[])?;
    std::fs::rename(scene.place.path("away.pem"), &operator)?;
    scene.place.wait_until_alone(Duration::from_secs(30))?;
    let store = scene.state("local.db");
    let connection = rusqlite::Connection::open(&store)?;
    let triggers = "SELECT name FROM sqlite_schema WHERE type = 'trigger'";
    let names: Vec<String> = connection
        .prepare(triggers)?
        .query_map([], |r| r.get(0))?
        .collect::<Result<_, _>>()?;
    for name in names {
        connection.execute_batch(&format!("DROP TRIGGER \"{name}\""))?;
    }
    connection.execute(
        "UPDATE blocks SET events = zeroblob(64) WHERE first = (SELECT min(first) FROM blocks)",
        [],
    )?;
    drop(connection);
    scene.fails(&["ledger", "verify"], &[])?;
    scene.fails(&["proposals", "list"], &[])
}
