//! Running server with two services whose methods respond, hang or wait, and calls to it over real TLS.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::grpc_channel::{self, Endpoint};
use synapsor_chassis::grpc_server::{
    AccessTable, ConnectionCount, Deadline, GrpcServer, ServerError, ServerLimits,
};
use synapsor_chassis::identity::{PeerIdentity, Role};
use synapsor_chassis::tls::TlsMaterial;
use synapsor_chassis::trace_context::TraceParent;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::{Service, ServiceExt as _};

use crate::authority::Authority;

pub(crate) const ECHO: &str = "/test.Agent/Echo";
pub(crate) const NEVER: &str = "/test.Agent/Never";
pub(crate) const STREAMING: &str = "/test.Agent/Streaming";
pub(crate) const ON_RELEASE: &str = "/test.Agent/OnRelease";
pub(crate) const REVIEW: &str = "/test.Review/Echo";
pub(crate) const UNLISTED: &str = "/test.Unlisted/Echo";

/// State that the services of a server share with the test.
#[derive(Clone, Default)]
pub(crate) struct Stage {
    pub(crate) calls: Arc<AtomicUsize>,
    pub(crate) begun: Arc<Notify>,
    pub(crate) release: Arc<Notify>,
}

impl Stage {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn answer(&self, request: http::Request<Body>) -> Answer {
        let stage = self.clone();
        Box::pin(async move {
            stage.calls.fetch_add(1, Ordering::SeqCst);
            stage.begun.notify_one();
            match request.uri().path() {
                NEVER => std::future::pending().await,
                ON_RELEASE => stage.release.notified().await,
                STREAMING => tokio::time::sleep(Duration::from_millis(200)).await,
                _ => {}
            }
            let trace = TraceParent::extract(&MetadataMap::from_headers(request.headers().clone()));
            let peer = request.extensions().get::<PeerIdentity>().unwrap();
            let due = request
                .extensions()
                .get::<Deadline>()
                .map(|due| due.remaining().as_secs());
            let message = format!(
                "{peer} {due:?} {}",
                trace.map_or(String::new(), |t| t.to_string())
            );
            Ok(Status::new(Code::Ok, message).into_http())
        })
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

/// The same service under several names.
#[derive(Clone)]
struct Named<const N: u8>(Stage);

impl NamedService for Named<0> {
    const NAME: &'static str = "test.Agent";
}

impl NamedService for Named<1> {
    const NAME: &'static str = "test.Review";
}

impl NamedService for Named<2> {
    const NAME: &'static str = "test.Unlisted";
}

impl<const N: u8> Service<http::Request<Body>> for Named<N> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        self.0.answer(request)
    }
}

/// Server with the reader's identity in deployment `d1`; it runs until it is stopped.
pub(crate) struct Running {
    pub(crate) address: String,
    pub(crate) stage: Stage,
    pub(crate) stop: CancellationToken,
    pub(crate) connections: ConnectionCount,
    pub(crate) ended: JoinHandle<Result<(), ServerError>>,
}

pub(crate) fn table() -> AccessTable {
    AccessTable::new("d1")
        .allow("test.Agent", &[Role::Gateway])
        .allow("test.Review", &[Role::Operator, Role::Writer])
        .only(Role::Gateway, ["spiffe://d1/gateway/mine".parse().unwrap()])
}

pub(crate) fn limits() -> ServerLimits {
    ServerLimits::default().with_streaming(&[("test.Agent", "Streaming")])
}

pub(crate) async fn start(tls: &TlsMaterial, limits: ServerLimits) -> Running {
    start_at("127.0.0.1:0".parse().unwrap(), tls, limits).await
}

pub(crate) async fn start_at(address: SocketAddr, tls: &TlsMaterial, limits: ServerLimits) -> Running {
    let server = GrpcServer::bind(address, tls, table(), limits).await.unwrap();
    let stage = Stage::default();
    let routes = Routes::new(Named::<0>(stage.clone()))
        .add_service(Named::<1>(stage.clone()))
        .add_service(Named::<2>(stage.clone()));
    let stop = CancellationToken::new();
    Running {
        address: server.local_addr().to_string(),
        stage,
        stop: stop.clone(),
        connections: server.connections(),
        ended: tokio::spawn(server.serve(routes, stop)),
    }
}

impl Running {
    pub(crate) async fn with_default_limits(authority: &Authority) -> Self {
        start(&authority.material("spiffe://d1/reader/r1"), limits()).await
    }

    pub(crate) fn target(&self) -> Endpoint {
        Endpoint::new(Role::Reader, self.address.clone())
    }

    pub(crate) fn dial(&self, own: &TlsMaterial) -> Channel {
        grpc_channel::connect(own, &self.target()).unwrap()
    }
}

/// Calls `path` and returns the response status.
pub(crate) async fn call<C: Transport>(channel: &C, path: &str) -> Status {
    call_with(channel, path, &[]).await
}

/// Channel of the product, or one without its checks.
pub(crate) trait Transport:
    Service<http::Request<Body>, Response = http::Response<Body>, Error = tonic::transport::Error> + Clone
{
}

impl Transport for Channel {}
impl Transport for tonic::transport::Channel {}

pub(crate) async fn call_with<C: Transport>(channel: &C, path: &str, headers: &[(&str, &str)]) -> Status {
    let mut request = http::Request::post(path).header("content-type", "application/grpc");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    match channel
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
    {
        Ok(response) => {
            Status::from_header_map(response.headers()).expect("a status in the response headers")
        }
        Err(error) => Status::from_error(Box::new(error)),
    }
}
