//! stub
pub(super) async fn run(_plan: super::Plan) -> anyhow::Result<serde_json::Value> { anyhow::bail!("no") }
