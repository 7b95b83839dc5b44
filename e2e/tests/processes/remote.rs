//! Operator and services on two machines: each in its own network namespace, joined by one virtual cable. The
//! operator's side has addresses, a certificate and a signing key, and starts no process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_chassis::random;
use synapsor_e2e::account::Account;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::cli::{CliFixture, CommandOutput, INVOICE, PERSON, PROPOSE, Running};
use synapsor_e2e::namespaces;
use synapsor_e2e::process::{Launch, Process};

const IP: &str = "/usr/sbin/ip";
const SERVICES_ADDRESS: &str = "10.213.47.1";
const PERSON_ADDRESS: &str = "10.213.47.2";
const LIMIT: Duration = Duration::from_secs(60);

/// Two network namespaces and the virtual cable between them.
struct Cable {
    services: String,
    person: String,
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(IP)
        .args(arguments)
        .env_clear()
        .output()
        .context(IP)?;
    ensure!(
        output.status.success(),
        "ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

impl Cable {
    fn lay() -> anyhow::Result<Self> {
        let id = random::hex_id(6);
        let cable = Self {
            services: format!("syn-s-{id}"),
            person: format!("syn-p-{id}"),
        };
        let (near, far) = (format!("ve-s-{id}"), format!("ve-p-{id}"));
        ip(&["netns", "add", &cable.services])?;
        ip(&["netns", "add", &cable.person])?;
        ip(&[
            "link",
            "add",
            &near,
            "netns",
            &cable.services,
            "type",
            "veth",
            "peer",
            "name",
            &far,
            "netns",
            &cable.person,
        ])?;
        for (space, end, address) in [
            (&cable.services, &near, SERVICES_ADDRESS),
            (&cable.person, &far, PERSON_ADDRESS),
        ] {
            ip(&[
                "-n",
                space,
                "address",
                "add",
                &format!("{address}/30"),
                "dev",
                end,
            ])?;
            ip(&["-n", space, "link", "set", end, "up"])?;
        }
        // A machine reaches its own addresses over its loopback; the operator's side has none.
        ip(&["-n", &cable.services, "link", "set", "lo", "up"])?;
        Ok(cable)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for space in [&self.services, &self.person] {
            let _ = ip(&["netns", "delete", space]);
        }
    }
}

/// Creates the cable; `None` if the machine does not permit it and the run does not require it.
fn cable() -> anyhow::Result<Option<Cable>> {
    match Cable::lay() {
        Ok(cable) => Ok(Some(cable)),
        Err(reason) => {
            namespaces::missing(
                "services and command line on two machines; needs root and iproute2",
                &reason,
            )?;
            Ok(None)
        }
    }
}

/// Machine of the services.
struct Services<'a> {
    place: &'a CliFixture,
    cable: &'a Cable,
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

impl Services<'_> {
    /// Starts a service at a free port of the cable's end.
    fn start(
        &self,
        name: &str,
        binary: &str,
        leaf: &str,
        mut flags: Vec<String>,
        environment: &[&str],
    ) -> anyhow::Result<Process> {
        let state = self.place.path(".synapsor");
        let leaf_file = |ending: &str| text(&self.place.path(&format!("certs/{leaf}.{ending}")));
        for (flag, value) in [
            ("--trust", text(&state.join("synapsor.trust.json"))),
            ("--signing-key", text(&state.join(format!("keys/{name}.pem")))),
            ("--listen", format!("{SERVICES_ADDRESS}:0")),
            ("--tls-ca", text(&self.place.path("certs/ca.pem"))),
            ("--tls-cert", leaf_file("pem")),
            ("--tls-key", leaf_file("key")),
        ] {
            flags.extend([flag.to_owned(), value]);
        }
        let binary = text(&Build::Plain.binary(binary)?);
        let prefix = ["netns", "exec", &self.cable.services, &binary].map(str::to_owned);
        let is_given = |(name, _): &&(String, String)| environment.contains(&name.as_str());
        let launch = Launch {
            name: name.to_owned(),
            binary: PathBuf::from(IP),
            account: Account::default(),
            arguments: prefix.into_iter().chain(flags).collect(),
            environment: self.place.environment.iter().filter(is_given).cloned().collect(),
        };
        launch.start(self.place.folder())
    }

    fn ledger(&self) -> anyhow::Result<Process> {
        let store = text(&self.place.path("services/local.db"));
        self.start(
            "ledger",
            "synapsor-ledger",
            "ledger",
            vec!["--store".to_owned(), store],
            &[],
        )
    }

    fn executor(
        &self,
        role: &str,
        ledger: &Process,
        more: &[&str],
        environment: &[&str],
    ) -> anyhow::Result<Process> {
        let contract = text(&self.place.path("synapsor.runner.json"));
        let state = text(&self.place.path(&format!("services/{role}")));
        let flags = [
            "--role",
            role,
            "--contract",
            &contract,
            "--ledger",
            &ledger.address,
            "--state-dir",
            &state,
        ];
        let flags = flags.iter().chain(more).map(|flag| (*flag).to_owned()).collect();
        self.start(
            role,
            "synapsor-executor",
            &format!("{role}-1"),
            flags,
            environment,
        )
    }
}

/// Machine of the operator: its directory holds the delivered files, and no state directory.
struct Desk<'a> {
    place: CliFixture,
    cable: &'a Cable,
    remote: Vec<String>,
}

impl Desk<'_> {
    fn run(&self, arguments: &[&str]) -> anyhow::Result<CommandOutput> {
        let mut command = Command::new(IP);
        command
            .args(["netns", "exec", &self.cable.person])
            .arg(Build::Plain.binary("synapsor-runner")?);
        command
            .args(arguments)
            .args(&self.remote)
            .current_dir(self.place.folder())
            .env_clear();
        let started = Running::of(command, arguments)?;
        let ran = started.end(LIMIT)?;
        ensure!(
            self.place.processes()?.is_empty(),
            "a process runs on the operator's side: {ran}"
        );
        Ok(ran)
    }

    fn json(&self, arguments: &[&str]) -> anyhow::Result<Json> {
        let ran = self.run(&[arguments, &["--json"]].concat())?;
        ran.expect(0)?;
        ran.object()
    }
}

/// Files of a deployment: state, certificates and directories for the services.
fn deployment() -> anyhow::Result<CliFixture> {
    let place = CliFixture::new()?;
    // The first command creates the deployment; its ledger is not the one of this test.
    place.propose("INV-3002", "to found the state")?;
    for (role, name) in [
        ("ledger", "ledger"),
        ("reader", "reader-1"),
        ("writer", "writer-1"),
        ("gateway", "gateway-1"),
        ("operator", PERSON),
    ] {
        let dir = if role == "gateway" {
            "certs-gateway"
        } else {
            "certs"
        };
        place.ok(&["certs", "issue", role, name, "--out", dir])?;
    }
    for folder in ["services", "services/reader", "services/writer"] {
        synapsor_chassis::files::create_private_dir(&place.path(folder))?;
    }
    Ok(place)
}

/// Delivers to the operator: three files of the certificate, the trust file and the signing key.
fn hand_over<'a>(
    from: &CliFixture,
    cable: &'a Cable,
    ledger: &Process,
    writer: &Process,
) -> anyhow::Result<Desk<'a>> {
    let place = CliFixture::empty()?;
    let (cert, key) = (format!("certs/{PERSON}.pem"), format!("certs/{PERSON}.key"));
    let sign = format!(".synapsor/keys/operator-{PERSON}.pem");
    for (file, name) in [
        ("certs/ca.pem", "ca.pem"),
        (cert.as_str(), "alice.pem"),
        (key.as_str(), "alice.key"),
        (".synapsor/synapsor.trust.json", "synapsor.trust.json"),
        (sign.as_str(), "signing.pem"),
    ] {
        std::fs::copy(from.path(file), place.path(name)).with_context(|| file.to_owned())?;
    }
    let remote = [
        "--ledger",
        &ledger.address,
        "--writer",
        &writer.address,
        "--ca",
        "ca.pem",
        "--cert",
        "alice.pem",
        "--key",
        "alice.key",
        "--trust",
        "synapsor.trust.json",
        "--signing-key",
        "signing.pem",
    ];
    Ok(Desk {
        place,
        cable,
        remote: remote.map(str::to_owned).to_vec(),
    })
}

/// Calls as an agent through a gateway on the reader's machine; returns the proposal id.
fn propose(services: &Services<'_>, reader: &Process) -> anyhow::Result<String> {
    let place = services.place;
    place.write(
        "call.json",
        &json!({ "invoice_id": INVOICE, "reason": "goodwill" }).to_string(),
    )?;
    let arguments = [
        "propose",
        PROPOSE,
        "--input",
        "call.json",
        "--json",
        "--reader",
        &reader.address,
        "--ca",
        "certs/ca.pem",
        "--cert",
        "certs-gateway/gateway-1.pem",
        "--key",
        "certs-gateway/gateway-1.key",
    ];
    let mut command = Command::new(IP);
    command
        .args(["netns", "exec", &services.cable.services])
        .arg(Build::Plain.binary("synapsor-runner")?);
    command.args(arguments).current_dir(place.folder()).env_clear();
    let ran = Running::of(command, &arguments)?.end(LIMIT)?;
    ran.expect(0)?;
    let made = ran.object()?;
    Ok(made
        .pointer("/result/proposal/id")
        .and_then(Json::as_str)
        .context("an id")?
        .to_owned())
}

#[test]
fn proposal_is_applied_across_two_machines() -> anyhow::Result<()> {
    let Some(cable) = cable()? else { return Ok(()) };
    let place = deployment()?;
    let services = Services {
        place: &place,
        cable: &cable,
    };
    let ledger = services.ledger()?;
    let trust: Json = serde_json::from_slice(&std::fs::read(place.path(".synapsor/synapsor.trust.json"))?)?;
    let gateway = format!(
        "spiffe://{}/gateway/gateway-1",
        trust["deployment_id"].as_str().context("an id")?
    );
    let reads = ["BILLING_READ_URL", "BILLING_TENANT", "BILLING_PRINCIPAL"];
    let reader = services.executor("reader", &ledger, &["--allow-gateway", &gateway], &reads)?;
    let writer = services.executor("writer", &ledger, &[], &["BILLING_WRITE_URL"])?;
    let id = propose(&services, &reader)?;
    let (_, _, version) = place.invoice(INVOICE)?;

    let desk = hand_over(&place, &cable, &ledger, &writer)?;
    let listed = desk.json(&["proposals", "list"])?;
    assert_eq!(listed["proposals"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed["proposals"][0]["proposal_id"], json!(id));
    assert_eq!(
        desk.json(&["proposals", "show", "latest"])?["state"],
        json!("pending_review")
    );
    assert_eq!(
        desk.json(&["proposals", "approve", &id, "--yes"])?["state"],
        json!("approved")
    );
    let rehearsed = desk.json(&["apply", &id, "--dry-run"])?;
    assert!(
        rehearsed["result"]
            .as_str()
            .is_some_and(|r| r.starts_with("would_apply")),
        "{rehearsed}"
    );
    assert_eq!(place.invoice(INVOICE)?.2, version);
    assert_eq!(desk.json(&["apply", &id])?["status"], json!("applied"));
    assert_eq!(
        place.invoice(INVOICE)?,
        (0, Some("goodwill".to_owned()), version + 1)
    );
    assert_eq!(desk.json(&["apply", &id])?["status"], json!("already_applied"));
    assert_eq!(
        desk.json(&["replay", "show", &id])?["replay"]["state"],
        json!("applied")
    );
    desk.run(&["replay", "export", &id, "--output", "replay.json"])?
        .expect(0)?;
    assert_eq!(desk.json(&["ledger", "verify"])?["verified"], json!(true));
    assert_eq!(
        desk.json(&["bundle", "verify", "replay.json"])?["verified"],
        json!(true)
    );

    // No ledger and no state directory were created here; the checkpoint is pinned beside the trust file.
    let mut expected = [
        "alice.key",
        "alice.pem",
        "ca.pem",
        "replay.json",
        "signing.pem",
        "synapsor.trust.json",
        "synapsor.witness",
    ]
    .to_vec();
    let mut found = desk.place.listing()?;
    found.retain(|name| !name.ends_with(".lock"));
    expected.sort_unstable();
    assert_eq!(found, expected);
    drop(writer);
    drop(ledger);
    desk.run(&["proposals", "list"])?
        .expect_failure(6, "UNREACHABLE", &[SERVICES_ADDRESS])
}
