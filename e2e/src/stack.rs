//! Processes of one deployment, started with the flags that an operator uses.

use std::path::Path;

use synapsor_chassis::files;
use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::grpc_channel::{Endpoint, connect};
use synapsor_chassis::identity::{PeerIdentity, Role};
use synapsor_chassis::tls::TlsFiles;

use crate::deployment::Deployment;
use crate::process::{Launch, Process};

/// Instance id of the reader and its gateway.
pub const INSTANCE: &str = "client-1";
/// Tenant and principal of a stack's reader.
const WHO: [(&str, &str); 2] = [("BILLING_TENANT", "acme"), ("BILLING_PRINCIPAL", "support-agent")];
/// Name of the first writer.
pub const WRITER: &str = "writer-1";

/// Deployment with running processes.
#[derive(Debug)]
pub struct Stack {
    pub deployment: Deployment,
    pub ledger: Process,
    pub reader: Process,
    pub writer: Option<Process>,
}

impl Stack {
    /// Starts ledger, reader and writer.
    pub fn start(deployment: Deployment) -> anyhow::Result<Self> {
        let mut stack = Self::without_writer(deployment)?;
        stack.start_writer(&[])?;
        Ok(stack)
    }

    pub fn without_writer(deployment: Deployment) -> anyhow::Result<Self> {
        Self::with_reader_variables(deployment, &[])
    }

    /// Starts ledger and reader for a contract whose sources need more URL variables.
    pub fn with_reader_variables(deployment: Deployment, more: &[(&str, &str)]) -> anyhow::Result<Self> {
        let ledger = ledger(&deployment, &[])?;
        let mut environment = WHO.to_vec();
        environment.extend(more);
        let reader = reader_with(&deployment, &ledger.address, &[], &environment)?;
        Ok(Self {
            deployment,
            ledger,
            reader,
            writer: None,
        })
    }

    /// Starts the writer with extra environment variables, which failpoint builds read.
    pub fn start_writer(&mut self, extra: &[(&str, &str)]) -> anyhow::Result<()> {
        self.writer = None;
        self.writer = Some(writer(&self.deployment, &self.ledger.address, WRITER, extra)?);
        Ok(())
    }

    /// Kills the ledger and starts it with the same store; its address changes.
    pub fn restart_ledger(&mut self, extra: &[(&str, &str)]) -> anyhow::Result<()> {
        self.ledger.kill();
        self.ledger = ledger(&self.deployment, extra)?;
        Ok(())
    }

    /// Kills the ledger and starts it with the same store and address, as a service manager does.
    pub fn restart_ledger_in_place(&mut self, extra: &[(&str, &str)]) -> anyhow::Result<()> {
        self.ledger.kill();
        self.ledger = ledger_at(&self.deployment, &self.ledger.address, extra)?;
        Ok(())
    }

    /// Opens a channel to the ledger with an identity.
    pub fn ledger_as(&self, role: Role, instance: Option<&str>) -> anyhow::Result<Channel> {
        channel(
            &self.deployment,
            role,
            instance,
            Role::Ledger,
            &self.ledger.address,
        )
    }

    pub fn reader_as(&self, role: Role, instance: Option<&str>) -> anyhow::Result<Channel> {
        channel(
            &self.deployment,
            role,
            instance,
            Role::Reader,
            &self.reader.address,
        )
    }

    pub fn writer_as(&self, role: Role, instance: Option<&str>) -> anyhow::Result<Channel> {
        let writer = self
            .writer
            .as_ref()
            .ok_or_else(|| anyhow::anyhow!("no writer runs"))?;
        channel(&self.deployment, role, instance, Role::Writer, &writer.address)
    }
}

/// Opens a channel from an identity to a served role.
pub fn channel(
    deployment: &Deployment,
    role: Role,
    instance: Option<&str>,
    served: Role,
    address: &str,
) -> anyhow::Result<Channel> {
    let material = deployment.material(role, instance)?;
    Ok(connect(&material, &Endpoint::new(served, address))?)
}

fn launch(
    deployment: &Deployment,
    name: &str,
    binary: &str,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
) -> anyhow::Result<Process> {
    let launch = Launch {
        name: name.to_owned(),
        binary: deployment.account.binary(deployment.build, binary)?,
        arguments,
        environment,
        account: deployment.account.clone(),
    };
    deployment.account.own(deployment.folder.path())?;
    launch.start(deployment.folder.path())
}

fn launch_behind(
    deployment: &Deployment,
    (name, binary): (&str, &str),
    prefix: &[String],
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
) -> anyhow::Result<Process> {
    let Some((program, words)) = prefix.split_first() else {
        return launch(deployment, name, binary, arguments, environment);
    };
    let mut behind = words.to_vec();
    behind.push(text(&deployment.account.binary(deployment.build, binary)?));
    behind.extend(arguments);
    deployment.account.own(deployment.folder.path())?;
    let launch = Launch {
        name: name.to_owned(),
        binary: program.into(),
        arguments: behind,
        environment,
        account: deployment.account.clone(),
    };
    launch.start(deployment.folder.path())
}

fn flags(pairs: &[(&str, String)]) -> Vec<String> {
    pairs
        .iter()
        .flat_map(|(flag, value)| [(*flag).to_owned(), value.clone()])
        .collect()
}

fn owned_flags<'a>(pairs: &[(&'a str, &str)]) -> Vec<(&'a str, String)> {
    pairs
        .iter()
        .map(|(flag, value)| (*flag, (*value).to_owned()))
        .collect()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn tls_flags(files: &TlsFiles) -> Vec<String> {
    flags(&[
        ("--tls-ca", text(&files.ca)),
        ("--tls-cert", text(&files.cert)),
        ("--tls-key", text(&files.key)),
    ])
}

fn owned(extra: &[(&str, &str)]) -> Vec<(String, String)> {
    extra
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

/// Starts a ledger with the deployment's store.
pub fn ledger(deployment: &Deployment, extra: &[(&str, &str)]) -> anyhow::Result<Process> {
    ledger_at(deployment, "127.0.0.1:0", extra)
}

/// Starts a ledger with the deployment's store at an address.
pub fn ledger_at(deployment: &Deployment, address: &str, extra: &[(&str, &str)]) -> anyhow::Result<Process> {
    wrapped_ledger(deployment, address, &[], extra)
}

/// Starts it through a wrapper command that executes the ledger; the command precedes the ledger's own arguments.
pub fn wrapped_ledger(
    deployment: &Deployment,
    address: &str,
    prefix: &[String],
    extra: &[(&str, &str)],
) -> anyhow::Result<Process> {
    let files = deployment.leaf(Role::Ledger, None)?;
    let mut arguments = flags(&[
        ("--store", text(&deployment.store())),
        ("--trust", text(&deployment.trust_path())),
        ("--signing-key", text(&deployment.path("ledger.key.pem"))),
        ("--listen", address.to_owned()),
    ]);
    arguments.extend(tls_flags(&files));
    launch_behind(
        deployment,
        ("ledger", "synapsor-ledger"),
        prefix,
        arguments,
        owned(extra),
    )
}

fn executor_flags(
    deployment: &Deployment,
    role: Role,
    instance: &str,
    ledger: &str,
) -> anyhow::Result<Vec<String>> {
    let files = deployment.leaf(role, Some(instance))?;
    let mut arguments = flags(&[
        ("--role", role.to_string()),
        ("--contract", text(&deployment.contract())),
        ("--trust", text(&deployment.trust_path())),
        ("--listen", "127.0.0.1:0".to_owned()),
        ("--ledger", ledger.to_owned()),
        (
            "--signing-key",
            text(&deployment.path(&format!("{role}.key.pem"))),
        ),
    ]);
    arguments.extend(tls_flags(&files));
    Ok(arguments)
}

/// Starts a reader for one tenant; only the gateway of [`INSTANCE`] may call it.
pub fn reader(deployment: &Deployment, ledger: &str, tenant: &str) -> anyhow::Result<Process> {
    let who = [("BILLING_TENANT", tenant), ("BILLING_PRINCIPAL", "support-agent")];
    reader_with(deployment, ledger, &[], &who)
}

/// Starts a reader for callers with access tokens; without a file it fetches the keys that the contract names.
pub fn token_reader(deployment: &Deployment, ledger: &str, keys: Option<&Path>) -> anyhow::Result<Process> {
    let keys = keys.map(|path| ("--jwks-file", text(path)));
    reader_with(deployment, ledger, keys.as_slice(), &[])
}

fn reader_with(
    deployment: &Deployment,
    ledger: &str,
    more: &[(&str, String)],
    who: &[(&str, &str)],
) -> anyhow::Result<Process> {
    let mut arguments = executor_flags(deployment, Role::Reader, INSTANCE, ledger)?;
    let gateway = PeerIdentity::new(&deployment.id, Role::Gateway, Some(INSTANCE))?;
    arguments.extend(flags(&[
        ("--state-dir", text(&deployment.path("reader-state"))),
        ("--allow-gateway", gateway.uri()),
    ]));
    arguments.extend(flags(more));
    let mut environment = owned(&[("BILLING_READ_URL", &deployment.target.read_url())]);
    environment.extend(owned(who));
    launch(deployment, "reader", "synapsor-executor", arguments, environment)
}

/// Starts a writer with its own name. Two names are two writers with the same key and separate state directories.
/// Values of `extra` take precedence, including the database URL.
pub fn writer(
    deployment: &Deployment,
    ledger: &str,
    name: &str,
    extra: &[(&str, &str)],
) -> anyhow::Result<Process> {
    wrapped_writer(deployment, ledger, (name, &[]), extra)
}

/// Starts it through a wrapper command that executes the writer; the command precedes the writer's own arguments.
pub fn wrapped_writer(
    deployment: &Deployment,
    ledger: &str,
    (name, prefix): (&str, &[String]),
    extra: &[(&str, &str)],
) -> anyhow::Result<Process> {
    let mut arguments = executor_flags(deployment, Role::Writer, name, ledger)?;
    let state = deployment.path(&if name == WRITER {
        "writer-state".to_owned()
    } else {
        format!("{name}-state")
    });
    if !state.exists() {
        files::create_private_dir(&state)?;
    }
    arguments.extend(flags(&[("--state-dir", text(&state))]));
    let mut environment = owned(&[("BILLING_WRITE_URL", &deployment.database_url())]);
    environment.extend(owned(extra));
    launch_behind(
        deployment,
        (name, "synapsor-executor"),
        prefix,
        arguments,
        environment,
    )
}

/// Command line of the gateway for the stack's reader.
pub fn gateway_flags(stack: &Stack) -> anyhow::Result<Vec<String>> {
    let files = stack.deployment.leaf(Role::Gateway, Some(INSTANCE))?;
    let mut arguments = flags(&[
        ("--reader", stack.reader.address.clone()),
        ("--deployment", stack.deployment.id.clone()),
    ]);
    arguments.extend(tls_flags(&files));
    Ok(arguments)
}

/// Starts the gateway over HTTP with a static token.
pub fn http_gateway(stack: &Stack, token: &str) -> anyhow::Result<Process> {
    http_gateway_with(stack, token, &[])
}

/// Starts the same with more flags.
pub fn http_gateway_with(stack: &Stack, token: &str, more: &[(&str, &str)]) -> anyhow::Result<Process> {
    let mut arguments = gateway_flags(stack)?;
    arguments.extend(flags(&owned_flags(more)));
    arguments.extend(flags(&[
        ("--transport", "streamable-http".to_owned()),
        ("--listen", "127.0.0.1:0".to_owned()),
    ]));
    let environment = owned(&[("SYNAPSOR_RUNNER_HTTP_TOKEN", token)]);
    launch(
        &stack.deployment,
        "gateway",
        "synapsor-gateway",
        arguments,
        environment,
    )
}

/// Starts the gateway over HTTP for callers with access tokens, with the ledger's record services.
pub fn token_gateway(stack: &Stack, more: &[&str]) -> anyhow::Result<Process> {
    let mut arguments = gateway_flags(stack)?;
    arguments.extend(flags(&[
        ("--ledger", stack.ledger.address.clone()),
        ("--transport", "streamable-http".to_owned()),
        ("--listen", "127.0.0.1:0".to_owned()),
    ]));
    arguments.push("--access-tokens".to_owned());
    arguments.extend(more.iter().map(|flag| (*flag).to_owned()));
    launch(
        &stack.deployment,
        "gateway",
        "synapsor-gateway",
        arguments,
        Vec::new(),
    )
}
