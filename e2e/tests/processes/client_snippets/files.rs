//! Client configuration files: the CLI writes, checks and cleans them and preserves the user's content.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use serde_json::json;
use synapsor_e2e::agent::Agent;
use synapsor_e2e::cli::CliFixture;

use super::scene::{ENV_FILE, Server, project};

const CURSOR: &str = "{\n  // the tracker of the team\n  \"mcpServers\": {\n    \"tracker\": { \"url\": \"https://t.example/mcp\" }, // keep\n  },\n}\n";
const CODEX: &str = "# mine\nmodel = \"o\"\n\n[mcp_servers.tracker] # keep\nurl = 'https://t.example/mcp'\n";

fn mode_of(path: &PathBuf) -> anyhow::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o7777)
}

fn backups(place: &CliFixture, folder: &str) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(place.path(folder))?.map(|entry| Ok(entry?.path()));
    let all: Vec<PathBuf> = entries.collect::<anyhow::Result<_>>()?;
    Ok(all
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "bak"))
        .collect())
}

/// Client, its file in the project, and the user's content there.
fn cases(place: &CliFixture) -> anyhow::Result<[(&'static str, String, &'static str); 2]> {
    fs::create_dir(place.path(".cursor"))?;
    fs::create_dir(place.path("home/.codex"))?;
    Ok([
        ("cursor", ".cursor/mcp.json".to_owned(), CURSOR),
        ("codex", "home/.codex/config.toml".to_owned(), CODEX),
    ])
}

#[test]
fn config_write_and_removal_keep_user_content() -> anyhow::Result<()> {
    let place = project()?;
    for (client, name, before) in cases(&place)? {
        let folder = name.rsplit_once('/').context("a parent directory")?.0;
        place.write(&name, before)?;
        let path = place.path(&name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664))?;
        let common = ["mcp", "config", client, "--env-file", ENV_FILE];
        let with = |more: &[&'static str]| -> Vec<&str> { [&common[..], more].concat() };

        let shown = place.ok(&with(&["--write", "--dry-run"]))?;
        ensure!(
            shown.stdout.contains("+") && shown.stdout.contains("synapsor"),
            "{shown}"
        );
        assert_eq!(fs::read_to_string(&path)?, before, "a dry run wrote");
        place
            .run(&with(&["--write"]))?
            .expect_failure(2, "CONFIRMATION_REQUIRED", &[])?;
        assert_eq!(
            fs::read_to_string(&path)?,
            before,
            "an unconfirmed write changed the file"
        );
        assert_eq!(place.run(&with(&["--status"]))?.exit, Some(1));

        let written = place.json(&with(&["--write", "--yes"]))?;
        assert_eq!(written["changed"], json!(true), "{written}");
        let after = fs::read_to_string(&path)?;
        for line in before.lines() {
            ensure!(
                after.lines().any(|found| found == line),
                "{line:?} is missing in\n{after}"
            );
        }
        Server::read(client, &without_comments(client, &after))?;
        assert_eq!(mode_of(&path)?, 0o664);
        let kept = backups(&place, folder)?;
        assert_eq!(kept.len(), 1);
        assert_eq!(
            (fs::read_to_string(&kept[0])?.as_str(), mode_of(&kept[0])?),
            (before, 0o600)
        );

        let again = place.json(&with(&["--write", "--yes"]))?;
        assert_eq!(
            (&again["changed"], &again["backup"]),
            (&json!(false), &json!(null)),
            "{again}"
        );
        let status = place.json(&with(&["--status"]))?;
        assert_eq!(
            (&status["installed"], &status["matches"], &status["command_found"]),
            (&json!(true), &json!(true), &json!(true)),
            "{status}"
        );
        let other = place.run(&["mcp", "config", client, "--status"])?;
        assert_eq!(
            other.exit,
            Some(1),
            "an entry without the env file counts as the same: {other}"
        );

        let gone = place.json(&with(&["--uninstall", "--yes"]))?;
        assert_eq!(gone["changed"], json!(true), "{gone}");
        assert_eq!(fs::read_to_string(&path)?, before);
        assert_eq!(
            place.json(&with(&["--uninstall", "--yes"]))?["changed"],
            json!(false)
        );
        assert_eq!(backups(&place, folder)?.len(), 2);
    }
    Ok(())
}

/// Removes the whole-line and trailing comments of the cases above.
fn without_comments(client: &str, text: &str) -> String {
    if client == "codex" {
        return text.to_owned();
    }
    let line = |line: &str| {
        line.find("// ")
            .map_or(line.to_owned(), |at| line[..at].to_owned())
    };
    let text: String = text.lines().map(line).collect();
    // Removes the remaining trailing commas.
    let mut plain = text.replace(' ', "");
    while plain.contains(",}") {
        plain = plain.replace(",}", "}");
    }
    plain
}

/// Writes a fresh file of each client with a file of its own, and uses it as that client does.
#[tokio::test(flavor = "multi_thread")]
async fn written_client_file_starts_a_session() -> anyhow::Result<()> {
    let place = project()?;
    fs::create_dir_all(place.path("home/.config/Claude"))?;
    for (client, name) in [
        ("claude-desktop", "home/.config/Claude/claude_desktop_config.json"),
        ("claude-code", ".mcp.json"),
        ("cursor", ".cursor/mcp.json"),
        ("vscode", ".vscode/mcp.json"),
        ("codex", "home/.codex/config.toml"),
    ] {
        if client == "claude-desktop" && !cfg!(target_os = "linux") {
            continue;
        }
        place.ok(&[
            "mcp",
            "config",
            client,
            "--env-file",
            ENV_FILE,
            "--write",
            "--yes",
        ])?;
        let text = fs::read_to_string(place.path(name)).with_context(|| name.to_owned())?;
        assert_eq!(mode_of(&place.path(name))?, 0o600, "a new file is private");
        let agent = Agent::launched(Server::read(client, &text)?.command(&place)?).await?;
        assert_eq!(agent.inspect("INV-3001").await?["ok"], json!(true));
        agent.close().await;
    }
    Ok(())
}

#[test]
fn unsafe_client_file_is_left_unchanged() -> anyhow::Result<()> {
    let place = project()?;
    let write = [
        "mcp",
        "config",
        "cursor",
        "--write",
        "--yes",
        "--destination",
        "f.json",
    ];
    for (text, code) in [
        ("{ \"mcpServers\": ", "CLIENT_FILE_UNPARSABLE"),
        ("[]", "CLIENT_FILE_SHAPE"),
        (
            "{ \"mcpServers\": {}, \"mcpServers\": {} }",
            "CLIENT_FILE_AMBIGUOUS",
        ),
    ] {
        place.write("f.json", text)?;
        for act in ["--write", "--uninstall", "--status"] {
            let arguments = ["mcp", "config", "cursor", act, "--destination", "f.json"];
            let ran = place.run(&arguments)?;
            if act == "--status" && code != "CLIENT_FILE_UNPARSABLE" {
                continue;
            }
            ran.expect_failure(1, code, &[])?;
            assert_eq!(place.path("f.json").metadata()?.len(), text.len() as u64);
        }
    }
    place.write("real.json", "{}")?;
    fs::remove_file(place.path("f.json"))?;
    symlink("real.json", place.path("f.json"))?;
    place
        .run(&write)?
        .expect_failure(1, "CLIENT_FILE_IS_LINK", &["f.json"])?;
    assert_eq!(fs::read_to_string(place.path("real.json"))?, "{}");
    ensure!(place.path("f.json").is_symlink());
    assert_eq!(backups(&place, ".")?, Vec::<PathBuf>::new());
    Ok(())
}

#[test]
fn unsupported_options_fail_before_any_write() -> anyhow::Result<()> {
    let place = project()?;
    for (arguments, code) in [
        (&["openai-agents", "--write", "--yes"][..], "CLIENT_HAS_NO_FILE"),
        (&["generic", "--write", "--yes"], "CLIENT_DESTINATION_NEEDED"),
        (
            &["claude-desktop", "--transport", "streamable-http"],
            "CLIENT_TRANSPORT_UNSUPPORTED",
        ),
        (
            &["cursor", "--transport", "http", "--host", "0.0.0.0"],
            "CLIENT_URL_NEEDED",
        ),
        (&["cursor", "--url", "https://a.example/mcp"], "CLIENT_URL_UNUSED"),
    ] {
        let before = place.listing()?;
        place
            .run(&[&["mcp", "config"][..], arguments].concat())?
            .expect_failure(2, code, &[])?;
        assert_eq!(place.listing()?, before);
    }
    Ok(())
}
