//! Wrong directories, unwritable directories, ports in use and unknown commands.

use std::net::TcpListener;

use synapsor_e2e::cli::{CliFixture, PROPOSE};

use super::{ALONE, bound, fails, mode};

#[test]
fn port_in_use_is_named_and_no_process_remains() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let ran = place.run(&["mcp", "serve-streamable-http", "--dev-no-auth", "--port", &port])?;
    ran.expect_failure(1, "ADDRESS_IN_USE", &[&port])?;
    let ran = place.run(&["up", "--serve", "--dev-no-auth", "--port", &port])?;
    ran.expect_failure(1, "ADDRESS_IN_USE", &[&port])?;
    place
        .run(&["mcp", "serve-streamable-http", "--host", "0.0.0.0"])?
        .expect_failure(2, "HTTP_TLS_REQUIRED", &["0.0.0.0"])?;
    place.wait_until_alone(ALONE)
}

#[test]
fn unwritable_directory_gets_no_partial_state() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let before = place.listing()?;
    mode(place.folder(), 0o555)?;
    for command in [&["propose", PROPOSE, "--sample"][..], &["up"], &["mcp", "serve"]] {
        let ran = bound(&place, command)?;
        let folder = place.folder().display().to_string();
        ran.expect_failure(1, "FILE_PERMISSION_DENIED", &[&folder])?;
    }
    mode(place.folder(), 0o755)?;
    assert_eq!(place.listing()?, before);
    Ok(())
}

#[test]
fn find_in_wrong_directory_creates_nothing() -> anyhow::Result<()> {
    for place in [CliFixture::empty()?, CliFixture::new()?] {
        let commands: [&[&str]; 14] = [
            &["proposals", "list"],
            &["proposals", "show", "latest"],
            &["proposals", "approve", "latest", "--yes"],
            &["proposals", "reject", "latest", "--reason", "no", "--yes"],
            &["apply", "latest"],
            &["replay", "show"],
            &["receipts", "list"],
            &["evidence", "list"],
            &["events", "tail"],
            &["ledger", "verify"],
            &["store", "reset", "--yes"],
            &["certs", "issue", "operator", "bob"],
            &["operator", "list"],
            &["writeback", "freeze"],
        ];
        let folder = place.path(".synapsor").display().to_string();
        for command in commands {
            fails(
                &place,
                command,
                1,
                "STATE_NOT_FOUND",
                &[&folder, "synapsor-runner up"],
            )?;
        }
    }
    Ok(())
}

#[test]
fn unknown_command_is_exit_2_with_a_suggestion() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let cases: [(&[&str], &str); 5] = [
        (&["aply"], "apply"),
        (&["proposals", "lst"], "list"),
        (&["up", "--serv"], "--serve"),
        (&["apply", "--dryrun"], "--dry-run"),
        (&["mcp", "serve", "--transport", "stdi"], "stdio"),
    ];
    let before = place.listing()?;
    for (arguments, suggestion) in cases {
        let ran = place.run(arguments)?;
        ran.expect(2)?;
        assert!(ran.stderr.contains(suggestion) && ran.stdout.is_empty(), "{ran}");
    }
    for arguments in [
        &["proposals", "list", "--limit", "0"][..],
        &["apply", "--wait", "x"],
        &["events", "tail", "--kind", "x"],
    ] {
        place.run(arguments)?.expect(2)?;
    }
    assert_eq!(place.listing()?, before);
    Ok(())
}
