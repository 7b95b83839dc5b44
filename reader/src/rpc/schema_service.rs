//! gRPC service of a reader for operators: schema inspection. Metadata only, never a row.

use std::sync::Arc;

use synapsor_chassis::grpc_server::MESSAGE_BYTES_MAX;
use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_proto::executor::v1 as wire;
use synapsor_proto::executor::v1::schema_service_server::SchemaService;
use synapsor_proto::status::to_status;
use tonic::{Request, Response, Status};

use crate::inspect::{InspectFilter, inspect};
use crate::role::ReaderRole;
use synapsor_source::Engine;
use synapsor_source::error::catalog_refusal;
use synapsor_source::preflight;

/// Bytes reserved for the message around the inspection.
const FRAME_BYTES: usize = 1024;

/// Service of a reader for operators.
#[derive(Debug, Clone)]
pub struct SchemaRpc {
    reader: Arc<ReaderRole>,
}

impl SchemaRpc {
    pub const fn new(reader: Arc<ReaderRole>) -> Self {
        Self { reader }
    }

    fn engine(&self, source: &str) -> Result<&dyn Engine, PublicError> {
        let engines = &self.reader.engines;
        let found = match engines.len() {
            1 if source.is_empty() => engines.values().next(),
            _ => engines.get(source),
        };
        found.map(AsRef::as_ref).ok_or_else(|| {
            let names: Vec<&str> = engines.keys().map(String::as_str).collect();
            let text = format!("unknown source; expected one of: {}", names.join(", "));
            PublicError::new(ErrorCode::UnknownSource, text)
        })
    }

    async fn inspected(&self, request: wire::InspectRequest) -> Result<wire::InspectResponse, PublicError> {
        let engine = self.engine(&request.source_id)?;
        let scope = InspectFilter {
            schema: request.schema.as_deref(),
            table: request.table.as_deref(),
        };
        let inspection = inspect(engine, scope, self.reader.now())
            .await
            .map_err(|error| catalog_refusal(&error))?;
        let inspection_json = serde_json::to_vec(&inspection)
            .map_err(|_| PublicError::new(ErrorCode::Internal, "inspection not serializable"))?;
        if inspection_json.len() + FRAME_BYTES > MESSAGE_BYTES_MAX {
            let text = "the schema catalog exceeds the message size: name a schema or a table";
            return Err(PublicError::new(ErrorCode::InspectionTooLarge, text));
        }
        Ok(wire::InspectResponse { inspection_json })
    }

    async fn run_preflight(&self, wanted: &str) -> Result<wire::PreflightReadResponse, PublicError> {
        if !wanted.is_empty() {
            self.engine(wanted)?;
        }
        let mut sources = Vec::new();
        for (source, engine) in &self.reader.engines {
            if wanted.is_empty() || wanted == source {
                let found = preflight::reader(engine.as_ref(), source, &self.reader.contract).await;
                sources.push(found.into());
            }
        }
        Ok(wire::PreflightReadResponse { sources })
    }
}

#[tonic::async_trait]
impl SchemaService for SchemaRpc {
    async fn inspect(
        &self,
        request: Request<wire::InspectRequest>,
    ) -> Result<Response<wire::InspectResponse>, Status> {
        self.inspected(request.into_inner())
            .await
            .map(Response::new)
            .map_err(|r| to_status(&r))
    }

    async fn preflight_read(
        &self,
        request: Request<wire::PreflightReadRequest>,
    ) -> Result<Response<wire::PreflightReadResponse>, Status> {
        self.run_preflight(&request.into_inner().source_id)
            .await
            .map(Response::new)
            .map_err(|r| to_status(&r))
    }
}
