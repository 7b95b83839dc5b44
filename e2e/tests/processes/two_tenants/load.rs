//! Several hundred concurrent calls of each tenant, in both protocol revisions, with ids of the other tenant among
//! them.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::ensure;
use synapsor_e2e::mcp_http::{McpHttpClient, Message, Reply, uri};
use synapsor_e2e::tenants::{ACME, GLOBEX, Tenant, Tenants};

use super::{RATE, ask};

/// Workers per tenant, half of them in a session.
const WORKERS: usize = 6;
const ROUNDS: usize = 12;

/// Ids that each tenant has received so far.
type Known = Arc<Mutex<Vec<String>>>;

fn add(known: &Known, id: String) {
    known.lock().unwrap_or_else(PoisonError::into_inner).push(id);
}

fn newest(known: &Known) -> Option<String> {
    known
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .last()
        .cloned()
}

/// One client of a tenant.
struct Worker {
    client: McpHttpClient,
    token: String,
    session: Option<String>,
    own: Tenant,
    other: Tenant,
    known: [Known; 2],
    answers: usize,
}

impl Worker {
    /// Sends one request and checks that the response contains nothing of the other tenant.
    async fn ask(&mut self, message: &Message) -> anyhow::Result<Reply> {
        let reply = ask(&self.client, &self.token, self.session.as_deref(), message).await?;
        ensure!(reply.status == 200, "{message:?}: {reply:?}");
        let text = reply.text();
        ensure!(!text.contains(self.other.canary), "{message:?}: {reply:?}");
        ensure!(!text.contains(self.other.name), "{message:?}: {reply:?}");
        let theirs = self.known[1].lock().unwrap_or_else(PoisonError::into_inner);
        let seen = theirs.iter().find(|id| text.contains(*id));
        ensure!(seen.is_none(), "{message:?}: {reply:?}");
        let scope = reply.json()?.pointer("/result/cacheScope").cloned();
        ensure!(
            scope.is_none_or(|scope| scope == "private"),
            "{message:?}: {reply:?}"
        );
        self.answers += 1;
        Ok(reply)
    }

    async fn round(&mut self, number: usize) -> anyhow::Result<()> {
        let [first, second] = self.own.invoices;
        let read = self.ask(&Message::inspect(first)).await?;
        ensure!(read.body.contains(self.own.canary), "{read:?}");
        let evidence = read.evidence()?;
        add(&self.known[0], evidence.clone());
        let shown = self.ask(&Message::read(&uri("evidence", &evidence))).await?;
        ensure!(shown.body.contains(self.own.canary), "{shown:?}");
        // Few distinct reasons, so that both new and already open proposals occur.
        let reason = format!("{} {}", self.own.canary, number % 3);
        let submitted = self.ask(&Message::propose(second, &reason)).await?;
        let proposal = match &self.session {
            None => submitted.task()?,
            Some(_) => submitted.text_at("/result/structuredContent/proposal/id")?,
        };
        add(&self.known[0], proposal.clone());
        let record = self.ask(&Message::read(&uri("proposals", &proposal))).await?;
        ensure!(record.body.contains(&proposal), "{record:?}");
        if self.session.is_none() {
            let task = self.ask(&Message::task("tasks/get", &proposal)).await?;
            ensure!(task.body.contains("working"), "{task:?}");
        }
        self.ask(&Message::new("tools/list", serde_json::json!({})))
            .await?;
        self.foreign().await
    }

    async fn foreign(&mut self) -> anyhow::Result<()> {
        let row = self.ask(&Message::inspect(self.other.invoices[0])).await?;
        ensure!(row.envelope()?["ok"] == false, "{row:?}");
        let Some(id) = newest(&self.known[1]) else {
            return Ok(());
        };
        for kind in ["proposals", "evidence", "replay"] {
            // The response is not scanned for the id, which is in the request.
            let message = Message::read(&uri(kind, &id));
            let reply = ask(&self.client, &self.token, self.session.as_deref(), &message).await?;
            ensure!(reply.body.contains("no such record"), "{reply:?}");
            self.answers += 1;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_calls_show_nothing_of_another_tenant() -> anyhow::Result<()> {
    let tenants = Tenants::start(&RATE)?;
    let (client, known) = (tenants.mcp_client(), [Known::default(), Known::default()]);
    let mut running = Vec::new();
    for number in 0..WORKERS * 2 {
        let (own, other, mine, theirs) = if number % 2 == 0 {
            (ACME, GLOBEX, 0, 1)
        } else {
            (GLOBEX, ACME, 1, 0)
        };
        let token = tenants.token(own, &format!("agent-{}", number / 4));
        let session = match number / 2 % 2 {
            0 => Some(client.open_session(&token).await?),
            _ => None,
        };
        let mut worker = Worker {
            client: client.clone(),
            token,
            session,
            own,
            other,
            known: [known[mine].clone(), known[theirs].clone()],
            answers: 0,
        };
        running.push(tokio::spawn(async move {
            for number in 0..ROUNDS {
                worker.round(number).await?;
            }
            anyhow::Ok(worker.answers)
        }));
    }
    let mut answers = 0;
    for worker in running {
        answers += worker.await??;
    }
    println!("{answers} answers");
    assert!(answers >= 800, "{answers}");
    Ok(())
}
