//! Sandbox of the gateway: certificate, token file, run file directory, ports of its upstreams and its listener.
//! It executes no program.

use std::sync::OnceLock;

use synapsor_chassis::run::ExitError;
use synapsor_chassis::sandbox::{self, SandboxLevel};
use synapsor_chassis::settings::EnvVars;

use crate::settings::{self, GatewayArgs};

static HELD: OnceLock<SandboxLevel> = OnceLock::new();

/// Enters the sandbox before the process reads client data, and logs the sandbox level.
///
/// # Errors
/// When a setting or a file that the settings name is missing, or the kernel rejects the sandbox.
pub fn enter_sandbox(flags: &GatewayArgs) -> Result<(), ExitError> {
    let needs = settings::needs(flags, &EnvVars::of_process())?;
    let held = sandbox::enter_sandbox(&needs)?;
    match held {
        SandboxLevel::Fully => tracing::info!("{}", held.posture()),
        SandboxLevel::FilesOnly | SandboxLevel::Not => tracing::warn!("{}", held.posture()),
    }
    // The first call applies: a sandbox cannot be removed.
    let _ = HELD.set(held);
    Ok(())
}

/// Returns the sandbox level for the run file.
pub(crate) fn posture() -> &'static str {
    HELD.get().copied().unwrap_or(SandboxLevel::Not).posture()
}

#[cfg(test)]
mod tests {
    use synapsor_chassis::sandbox::SandboxPolicy;

    use super::*;

    #[test]
    fn sandbox_allows_only_files_and_ports_in_the_settings() {
        use clap::Parser as _;
        let flags = GatewayArgs::parse_from([
            "synapsor-gateway",
            "--reader",
            "127.0.0.1:5001",
            "--ledger",
            "127.0.0.1:5002",
            "--deployment",
            "d",
            "--tls-ca",
            "/c/ca.pem",
            "--tls-cert",
            "/c/own.pem",
            "--tls-key",
            "/c/own.key",
            "--run-file",
            "/r/run.json",
            "--transport",
            "streamable-http",
            "--listen",
            "127.0.0.1:0",
        ]);
        let env = EnvVars::fixed([("SYNAPSOR_RUNNER_HTTP_TOKEN_FILE", "/t/token")]);
        let needs = settings::needs(&flags, &env).unwrap();
        let expected = SandboxPolicy {
            files: ["/c/ca.pem", "/c/own.pem", "/c/own.key", "/t/token"]
                .map(Into::into)
                .to_vec(),
            folders: Vec::new(),
            outboxes: vec!["/r".into()],
            dialled: vec![5001, 5002],
            listened: vec![0],
            names: false,
        };
        assert_eq!(needs, expected);
    }
}
