//! Operator client of a reader: schema catalog and read privileges of its databases, never rows.

use std::time::Duration;

use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::grpc_channel::Endpoint;
use synapsor_chassis::grpc_server::MESSAGE_BYTES_MAX;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::inspection::Inspection;
use synapsor_domain::writeback::PreflightReport;
use synapsor_proto::executor::v1::{self as wire, schema_service_client::SchemaServiceClient};

use super::{call_within, verification_failed};
use crate::connection::ServiceChannel;

/// Timeout of an inspection; a large schema catalog takes the database some seconds.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Timeout of a preflight, which opens connections and checks every table of every source.
const PROBE_TIMEOUT: Duration = Duration::from_secs(60);

/// Connection to a running reader.
#[derive(Debug, Clone)]
pub(crate) struct SchemaClient {
    client: SchemaServiceClient<Channel>,
    target: Endpoint,
}

impl SchemaClient {
    pub(crate) fn at(link: &ServiceChannel) -> Self {
        let client = SchemaServiceClient::new(link.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Self {
            client,
            target: link.target.clone(),
        }
    }

    /// Returns the schema catalog of the named source, or of the reader's only one.
    pub(crate) async fn inspect(
        &mut self,
        source: Option<&str>,
        schema: Option<&str>,
        table: Option<&str>,
    ) -> Result<Inspection, ExitError> {
        let message = wire::InspectRequest {
            source_id: source.unwrap_or_default().to_owned(),
            schema: schema.map(str::to_owned),
            table: table.map(str::to_owned),
        };
        let answer = call_within(&self.target, INSPECT_TIMEOUT, message, async |m| {
            self.client.inspect(m).await
        })
        .await?;
        serde_json::from_slice(&answer.inspection_json).map_err(|_| {
            verification_failed(
                ErrorCode::ReaderAnswerMalformed,
                "inspection missing or malformed",
            )
        })
    }

    /// Checks that the reader's credentials can read the contract's tables on every source that it serves.
    pub(crate) async fn preflight(&mut self) -> Result<Vec<PreflightReport>, ExitError> {
        let message = wire::PreflightReadRequest::default();
        let answer = call_within(&self.target, PROBE_TIMEOUT, message, async |m| {
            self.client.preflight_read(m).await
        })
        .await?;
        let reports: Result<_, PublicError> = answer.sources.into_iter().map(TryInto::try_into).collect();
        reports.map_err(|_| {
            verification_failed(ErrorCode::ReaderAnswerMalformed, "findings missing or malformed")
        })
    }
}
