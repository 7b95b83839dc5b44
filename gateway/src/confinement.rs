//! What a gateway keeps when it locks itself in: its certificate, the file of its token, the folder of its run file,
//! the ports of its upstreams and of its listener. It executes nothing.

use std::sync::OnceLock;

use synapsor_chassis::run::ExitError;
use synapsor_chassis::sandbox::{self, SandboxLevel};
use synapsor_chassis::settings::EnvVars;

use crate::settings::{self, Flags};

static HELD: OnceLock<SandboxLevel> = OnceLock::new();

/// Locks the process in, before it has read anything that a client sent, and says how well that holds.
///
/// # Errors
/// When a setting is missing, a file of the settings is not there, or the kernel refuses.
pub fn confine(flags: &Flags) -> Result<(), ExitError> {
    let needs = settings::needs(flags, &EnvVars::of_process())?;
    let held = sandbox::enter_sandbox(&needs)?;
    match held {
        SandboxLevel::Fully => tracing::info!("{}", held.posture()),
        SandboxLevel::FilesOnly | SandboxLevel::Not => tracing::warn!("{}", held.posture()),
    }
    // Only the first time counts: nothing undoes it.
    let _ = HELD.set(held);
    Ok(())
}

/// How well this process is locked in, for whoever started it.
pub(crate) fn posture() -> &'static str {
    HELD.get().copied().unwrap_or(SandboxLevel::Not).posture()
}

#[cfg(test)]
mod tests {
    use synapsor_chassis::sandbox::SandboxPolicy;

    use super::*;

    #[test]
    fn a_gateway_keeps_its_own_files_and_the_ports_that_it_uses() {
        use clap::Parser as _;
        let flags = Flags::parse_from([
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
