//! Hosts and addresses that an operator adds, and conflicting settings.

use crate::raw_http::{Served, TOKEN};
use crate::start::refused;
use crate::world::GatewayFixture;

const TOKEN_ENV: &str = "SYNAPSOR_RUNNER_HTTP_TOKEN";

#[tokio::test(flavor = "multi_thread")]
async fn added_hosts_and_origins_are_exact() {
    let world = GatewayFixture::start().await;
    let mut command = world.gateway(&[
        "--allowed-host",
        "mcp.example.com",
        "--allowed-host",
        "mcp.example.com:8443",
        "--allowed-origin",
        "https://app.example.com",
        "--tls-terminated",
    ]);
    command.env(TOKEN_ENV, TOKEN);
    let served = Served::spawn(&world, command).await;
    let own = served.address.clone();
    for (host, origin, status) in [
        ("mcp.example.com", "", 200),
        ("MCP.example.com:8443", "", 200),
        (own.as_str(), "", 200),
        ("mcp.example.com", "https://app.example.com", 200),
        ("mcp.example.com:443", "", 403),
        ("mcp.example.com.", "", 403),
        ("x.mcp.example.com", "", 403),
        ("mcp.example.com.evil.example", "", 403),
        ("example.com", "", 403),
        ("mcp.example.com", "http://app.example.com", 403),
        ("mcp.example.com", "https://app.example.com:443", 403),
        ("mcp.example.com", "https://app.example.com.evil.example", 403),
        ("mcp.example.com", "https://mcp.example.com", 403),
        ("mcp.example.com", "null", 403),
    ] {
        let origin = if origin.is_empty() {
            String::new()
        } else {
            format!("\nOrigin: {origin}")
        };
        let lines = format!("Host: {host}\nAuthorization: Bearer {TOKEN}{origin}");
        assert_eq!(
            served.post_with_lines("/mcp", &lines).await.status,
            status,
            "{lines}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicting_settings_prevent_the_start() {
    let world = GatewayFixture::start().await;
    let file = |name: &str, content: &str| {
        let path = world.dir.path().join(name);
        synapsor_chassis::files::create_exclusive(&path, content.as_bytes()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let rubbish = file("rubbish", "no PEM");
    let short = file("short", "alice short");
    for (flags, code, exit) in [
        (
            vec!["--listen", "0.0.0.0:0", "--allow-remote"],
            "HTTP_TLS_REQUIRED",
            2,
        ),
        (
            vec!["--listen", "0.0.0.0:0", "--tls-terminated"],
            "HTTP_REMOTE_NOT_ALLOWED",
            2,
        ),
        (
            vec!["--listen", "0.0.0.0:0", "--tls-terminated", "--allow-remote"],
            "HTTP_ALLOWED_HOST_MISSING",
            2,
        ),
        (
            vec![
                "--listen",
                "0.0.0.0:0",
                "--tls-terminated",
                "--allow-remote",
                "--allowed-host",
                "a",
                "--dev-no-auth",
            ],
            "HTTP_DEV_NO_AUTH_UNSAFE_HOST",
            2,
        ),
        (vec!["--tls-server-cert", &rubbish], "HTTP_TLS_INCOMPLETE", 2),
        (
            vec!["--tls-server-cert", &rubbish, "--tls-server-key", &rubbish],
            "HTTP_TLS_FILES_INVALID",
            2,
        ),
        (vec!["--auth-tokens-file", &short], "HTTP_TOKENS_FILE_INVALID", 2),
        (vec!["--allowed-host", "*"], "SETTING_INVALID", 2),
        (vec!["--allowed-origin", "null"], "SETTING_INVALID", 2),
        (vec!["--cors-origin", "*"], "SETTING_INVALID", 2),
        (vec!["--session-idle-seconds", "0"], "SETTING_INVALID", 2),
        (vec!["--rate-per-second", "1000000"], "SETTING_INVALID", 2),
    ] {
        let mut command = world.gateway(&["--transport", "streamable-http"]);
        command.args(&flags).env(TOKEN_ENV, TOKEN);
        let errors = refused(command, code, exit).await;
        assert!(!errors.contains(TOKEN), "{errors}");
    }
}
