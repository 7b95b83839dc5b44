//! Test deployment in a temporary directory: a CA, a running reader, and the command of a gateway for it.

use std::process::Stdio;
use std::time::Duration;

use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::grpc_server::{AccessTable, GrpcServer, ServerLimits};
use synapsor_chassis::identity::Role;
use synapsor_chassis::tls::TlsFiles;
use synapsor_chassis::tls::dev_ca::{DevCa, LEAF_TTL};
use synapsor_proto::executor::v1::agent_service_server::AgentServiceServer;
use tempfile::TempDir;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::reader::FakeReader;

pub(crate) const DEPLOYMENT: &str = "d1";
/// Upper bound of every wait; a longer wait is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct GatewayFixture {
    pub(crate) dir: TempDir,
    pub(crate) reader: FakeReader,
    pub(crate) address: String,
    pub(crate) tls: TlsFiles,
    stop: CancellationToken,
    serving: Option<tokio::task::JoinHandle<()>>,
}

impl GatewayFixture {
    pub(crate) async fn start() -> Self {
        Self::with_format(2).await
    }

    /// `format` is the contract's result format; 0 leaves it unset.
    pub(crate) async fn with_format(format: u32) -> Self {
        Self::of(FakeReader::new(format)).await
    }

    pub(crate) async fn of(reader: FakeReader) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemClock.now_ms();
        let ca = DevCa::create(&dir.path().join("certs"), DEPLOYMENT, now).unwrap();
        let issue = |role| ca.issue(role, Some("i1"), LEAF_TTL, now).unwrap();
        let tls = issue(Role::Gateway)
            .write(&dir.path().join("own"), "gateway")
            .unwrap();
        let access =
            AccessTable::new(DEPLOYMENT).allow("synapsor.executor.v1.AgentService", &[Role::Gateway]);
        let limits = ServerLimits {
            drain_timeout: Duration::from_millis(10),
            ..ServerLimits::default()
        };
        let material = issue(Role::Reader).material(now).unwrap();
        let server = GrpcServer::bind("127.0.0.1:0".parse().unwrap(), &material, access, limits)
            .await
            .unwrap();
        let address = server.local_addr().to_string();
        let stop = CancellationToken::new();
        let routes = Routes::new(AgentServiceServer::new(reader.clone()));
        let until = stop.clone();
        let serving = tokio::spawn(async move { server.serve(routes, until).await.unwrap() });
        Self {
            dir,
            reader,
            address,
            tls,
            stop,
            serving: Some(serving),
        }
    }

    /// Stops the reader; its port is free afterwards.
    pub(crate) async fn stop_reader(&mut self) {
        self.stop.cancel();
        self.serving.take().unwrap().await.unwrap();
    }

    /// Returns the command of a gateway of this deployment, with an empty environment.
    pub(crate) fn gateway(&self, flags: &[&str]) -> Command {
        let mut command = bare();
        command
            .arg("--tls-ca")
            .arg(&self.tls.ca)
            .arg("--tls-cert")
            .arg(&self.tls.cert);
        command.arg("--tls-key").arg(&self.tls.key);
        command
            .args(["--reader", &self.address, "--deployment", DEPLOYMENT])
            .args(flags);
        command
    }
}

/// Returns the command of the binary, with pipes and an empty environment.
pub(crate) fn bare() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synapsor-gateway"));
    command.env_clear().kill_on_drop(true);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}
