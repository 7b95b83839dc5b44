//! `demo`: the whole loop with the real processes on an embedded database, told step by step.

mod stage;
mod teller;

use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json, json};
use synapsor_chassis::run::{EXIT_FAILURE, EXIT_OK, Exit, Failure};
use synapsor_domain::review;

use super::tools::NEVER_EXPOSED;
use crate::agent::{Agent, Answer, shown};
use crate::operations::{self, Applied, Approved, Status};
use crate::operator_key::Signer;
use crate::session::Session;
use crate::supervisor::{Child, Executor, RunningLedger, Supervisor};
use crate::{Context, contract_file, output, state};
use stage::Stage;
use teller::Teller;

const READ_TOOL: &str = "billing.inspect_invoice";
const PROPOSE_TOOL: &str = "billing.propose_late_fee_waiver";
const INVOICE: &str = "INV-3001";
const APPLY_WAIT: Duration = Duration::from_secs(20);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: synapsor-runner demo --json\nExit codes: 0 ok, 1 a step went otherwise than shown, 2 usage"
)]
pub(crate) struct Args {
    /// Facts only: no explanations and no pauses
    #[arg(long)]
    quick: bool,
    /// Leave the folder of the demonstration in place and say where it is
    #[arg(long)]
    keep: bool,
}

/// The processes of the demonstration.
struct Cast {
    ledger: RunningLedger,
    reader: Child,
    writer: Child,
    agent: Agent,
}

/// What `--json` prints, collected on the way.
type Facts = Map<String, Json>;

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let begin = Instant::now();
    let stage = Stage::build(context, args.keep).await?;
    let teller = Teller::new(args.quick, context.global.json);
    let mut facts = play(&stage, &teller).await?;
    let ok = went_as_shown(&facts);
    facts.insert("ok".to_owned(), json!(ok));
    facts.insert(
        "duration_ms".to_owned(),
        json!(u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)),
    );
    if args.keep {
        facts.insert("folder".to_owned(), json!(stage.dir().to_string_lossy()));
    }
    if context.global.json {
        output::json(&facts)?;
    } else {
        teller.end(ok, begin.elapsed(), args.keep.then(|| stage.dir()))?;
    }
    Ok(Exit(if ok { EXIT_OK } else { EXIT_FAILURE }))
}

/// Whether every step ended as the loop promises.
fn went_as_shown(facts: &Facts) -> bool {
    let is = |key: &str, wanted: Json| facts.get(key) == Some(&wanted);
    is("proposal_state", json!("applied"))
        && is("source_changed_before_approval", json!(false))
        && is("apply_status", json!("applied"))
        && is("retry_status", json!("already_applied"))
        && is("stale_status", json!("conflict"))
        && is("stale_changed_source", json!(false))
        && is("ledger_verified", json!(true))
}

async fn play(stage: &Stage, teller: &Teller) -> Result<Facts, Failure> {
    let context = stage.context();
    let contract = contract_file::load_runnable(&context.global)?;
    let state = state::find_or_create(context)?;
    let supervisor = Supervisor::new(context, &state, &contract)?;
    let ledger = supervisor.ledger().await?;
    let (reader, writer) = tokio::try_join!(
        supervisor.executor(Executor::reader(&ledger, false)),
        supervisor.executor(Executor::writer(&ledger)),
    )?;
    let agent = Agent::connect(supervisor.stdio_gateway(&reader, None, false)?, None).await?;
    let cast = Cast {
        ledger,
        reader,
        writer,
        agent,
    };
    // Interrupted or not, everybody leaves the stage before it is removed.
    let told = context
        .unless_stopped(Box::pin(tell(&cast, context, teller)))
        .await;
    cast.agent.close().await;
    cast.reader.stop().await;
    cast.writer.stop().await;
    cast.ledger.stop().await;
    told
}

async fn tell(cast: &Cast, context: &Context, teller: &Teller) -> Result<Facts, Failure> {
    let mut facts = Facts::new();
    tell_tools(cast, teller).await?;
    let before = tell_read(cast, teller).await?;
    let (first, second) = tell_proposals(cast, teller, &before, &mut facts).await?;

    let mut session = Session::open(context).await?;
    let signer = Signer::load(context, session.trust())?;
    let person = Person {
        context,
        signer: &signer,
        teller,
    };
    person
        .tell_approvals(&session, [&first, &second], &mut facts)
        .await?;
    person.tell_apply(&mut session, &first, &mut facts).await?;
    person.tell_stale(&mut session, &second, cast, &mut facts).await?;
    person.tell_replay(&session, &first, &mut facts).await?;
    session.close().await;

    tell_processes(cast, teller, &mut facts)?;
    Ok(facts)
}

async fn tell_tools(cast: &Cast, teller: &Teller) -> Result<(), Failure> {
    teller.step("The agent connects over MCP and lists its tools")?;
    for tool in cast.agent.tools().await? {
        let summary = tool
            .description
            .as_deref()
            .and_then(|text| text.lines().next())
            .unwrap_or_default();
        teller.fact(&tool.name, summary)?;
    }
    teller.fact("never offered", &NEVER_EXPOSED.join(", "))?;
    teller.explain("The tools come from a reviewed contract. There is no tool that approves or writes, so no prompt can.")
}

async fn tell_read(cast: &Cast, teller: &Teller) -> Result<Answer, Failure> {
    teller.step("The agent reads one invoice")?;
    let answer = answered(cast.agent.call(READ_TOOL, invoice()).await?)?;
    for (column, value) in answer.data().into_iter().flatten() {
        teller.fact(column, &shown(value))?;
    }
    teller.fact("evidence", answer.evidence_id().unwrap_or("-"))?;
    teller.explain("The tenant is the reader's setting, not an argument; other columns and other tenants' rows stay out.")?;
    Ok(answer)
}

/// Two proposals on one row; the second will be stale once the first is applied.
async fn tell_proposals(
    cast: &Cast,
    teller: &Teller,
    before: &Answer,
    facts: &mut Facts,
) -> Result<(String, String), Failure> {
    teller.step("The agent proposes to waive the late fee")?;
    let first = answered(
        cast.agent
            .call(PROPOSE_TOOL, waiver(0, "first late payment in two years"))
            .await?,
    )?;
    let first_id = id_of(&first)?;
    teller.fact("proposal", &first_id)?;
    for (column, change) in first.diff().into_iter().flatten() {
        let side = |name: &str| change.get(name).map_or_else(|| "?".to_owned(), shown);
        teller.fact(column, &format!("{} -> {}", side("before"), side("proposed")))?;
    }
    let again = answered(cast.agent.call(READ_TOOL, invoice()).await?)?;
    let changed = again.data() != before.data();
    teller.fact(
        "source changed",
        if changed {
            "YES"
        } else {
            "no (read again and compared)"
        },
    )?;
    let second = answered(
        cast.agent
            .call(PROPOSE_TOOL, waiver(2500, "half of it, as a courtesy"))
            .await?,
    )?;
    let second_id = id_of(&second)?;
    teller.fact(
        "second proposal",
        &format!("{second_id} on the same invoice, for later"),
    )?;
    teller.explain(
        "The reader saw the row, built the change and signed it; the ledger keeps it with its evidence.",
    )?;
    facts.insert("proposal_id".to_owned(), json!(first_id));
    facts.insert("evidence_id".to_owned(), json!(first.evidence_id()));
    facts.insert("diff".to_owned(), json!(first.diff()));
    facts.insert("source_changed_before_approval".to_owned(), json!(changed));
    facts.insert("stale_proposal_id".to_owned(), json!(second_id));
    Ok((first_id, second_id))
}

/// The operator's part of the story.
struct Person<'a> {
    context: &'a Context,
    signer: &'a Signer,
    teller: &'a Teller,
}

impl Person<'_> {
    async fn tell_approvals(
        &self,
        session: &Session,
        ids: [&str; 2],
        facts: &mut Facts,
    ) -> Result<(), Failure> {
        self.teller
            .step("A person reads the proposal and signs exactly these bytes")?;
        for id in ids {
            let looked = operations::look(session, id).await?;
            let digest = looked.attested.digest();
            let is_first = !facts.contains_key("approval");
            if is_first {
                for line in review::document(looked.attested.proposal(), digest).lines() {
                    self.teller.quote(line)?;
                }
            }
            let reason = Some("fee waived by agreement");
            let approved = operations::approve(session, &looked, self.signer, reason, None).await?;
            let code = digest.short_code();
            if is_first {
                self.tell_approval(&approved, &code)?;
                facts.insert("approval".to_owned(), approval_facts(&approved, &code));
            } else {
                self.teller
                    .fact("second proposal", &format!("approved too, short code {code}"))?;
            }
        }
        self.teller
            .explain("Approval happens outside MCP with the person's own key; the agent has no way to it.")?;
        self.teller
            .explain(&format!("posture: {} (environment dev)", self.signer.posture()))
    }

    fn tell_approval(&self, approved: &Approved, code: &str) -> Result<(), Failure> {
        self.teller.fact("approved by", &approved.person)?;
        self.teller.fact("key", approved.key_id.as_str())?;
        self.teller.fact("short code", code)?;
        self.teller
            .fact("decision", &approved.decision_digest.to_string())?;
        self.teller.fact("valid until", &approved.expires_at.to_string())
    }

    async fn tell_apply(&self, session: &mut Session, id: &str, facts: &mut Facts) -> Result<(), Failure> {
        self.teller.step(
            "The person orders it applied; the writer checks every signature itself and changes one row",
        )?;
        let applied = self.apply(session, id).await?;
        self.tell_outcome("apply", &applied)?;
        facts.insert("apply_status".to_owned(), json!(applied.status.as_str()));
        facts.insert("receipt".to_owned(), receipt_facts(&applied));
        self.teller.explain("The receipt was written in the same transaction as the row. Effect and receipt exist together or not at all.")?;

        self.teller.step("The same order again changes nothing")?;
        let retried = self.apply(session, id).await?;
        self.tell_outcome("retry", &retried)?;
        facts.insert("retry_status".to_owned(), json!(retried.status.as_str()));
        let state = operations::look(session, id).await?.state;
        facts.insert("proposal_state".to_owned(), json!(state.as_str()));
        Ok(())
    }

    /// The row is no longer what the second approval was about.
    async fn tell_stale(
        &self,
        session: &mut Session,
        id: &str,
        cast: &Cast,
        facts: &mut Facts,
    ) -> Result<(), Failure> {
        self.teller
            .step("The second proposal was approved too, but its row has changed since")?;
        let before = answered(cast.agent.call(READ_TOOL, invoice()).await?)?;
        let stale = self.apply(session, id).await?;
        let after = answered(cast.agent.call(READ_TOOL, invoice()).await?)?;
        self.tell_outcome("apply", &stale)?;
        let changed = before.data() != after.data();
        self.teller.fact(
            "written",
            if changed {
                "SOMETHING"
            } else {
                "nothing (read again and compared)"
            },
        )?;
        facts.insert("stale_status".to_owned(), json!(stale.status.as_str()));
        facts.insert("stale_changed_source".to_owned(), json!(changed));
        self.teller.explain("The writer compares version and before-image under lock: an approval counts for the row that was seen.")
    }

    async fn tell_replay(&self, session: &Session, id: &str, facts: &mut Facts) -> Result<(), Failure> {
        self.teller
            .step("The replay tells the story, and the ledger proves that it is the whole one")?;
        let replayed = operations::replay(session, id).await?;
        let story = &replayed.verified.story;
        for event in &story.events {
            self.teller.fact(
                &format!("event {}", event.seq),
                &format!("{} {}", event.at, event.kind),
            )?;
        }
        let checked = operations::verify_ledger(session).await?;
        let ok = checked.findings.is_empty();
        let verdict = if ok {
            "every record, tree node and signature fits"
        } else {
            "DAMAGED"
        };
        self.teller.fact(
            "ledger",
            &format!("{} events, {verdict}", checked.checkpoint.size),
        )?;
        facts.insert("ledger_verified".to_owned(), json!(ok));
        facts.insert("ledger_events".to_owned(), json!(checked.checkpoint.size));
        self.teller.explain(
            "Reader, writer and this program each remember the log; a cut or rewritten one is noticed.",
        )
    }

    async fn apply(&self, session: &mut Session, id: &str) -> Result<Applied, Failure> {
        let looked = operations::look(session, id).await?;
        operations::apply(session, self.context, &looked, self.signer, APPLY_WAIT).await
    }

    fn tell_outcome(&self, what: &str, applied: &Applied) -> Result<(), Failure> {
        self.teller.fact(what, applied.status.as_str())?;
        if applied.status != Status::Applied {
            return self.teller.fact("because", &applied.message);
        }
        let Some(signed) = &applied.receipt else {
            return Ok(());
        };
        self.teller.fact("receipt", &signed.digest.to_string())?;
        self.teller.fact("signed by writer", signed.writer_key.as_str())?;
        self.teller
            .fact("rows", &signed.receipt.rows_affected.to_string())
    }
}

fn tell_processes(cast: &Cast, teller: &Teller, facts: &mut Facts) -> Result<(), Failure> {
    let gateway = cast.agent.gateway();
    let rows = [
        ("gateway", gateway.pid(), gateway.environment()),
        ("reader", cast.reader.pid(), cast.reader.environment()),
        ("writer", cast.writer.pid(), cast.writer.environment()),
        ("ledger", cast.ledger.pid, cast.ledger.environment.as_slice()),
    ];
    teller.step("Who held what: the variables of each process")?;
    for (name, pid, environment) in &rows {
        let names = if environment.is_empty() {
            "none".to_owned()
        } else {
            environment.join(", ")
        };
        teller.fact(name, &format!("pid {pid}: {names}"))?;
    }
    teller.explain(
        "The process that faces the model holds no database credential; only the writer can write.",
    )?;
    let processes: Vec<Json> = rows
        .iter()
        .map(|(name, pid, environment)| json!({"name": name, "pid": pid, "environment": environment}))
        .collect();
    facts.insert("processes".to_owned(), Json::Array(processes));
    Ok(())
}

fn approval_facts(approved: &Approved, code: &str) -> Json {
    json!({
        "person": approved.person, "key_id": approved.key_id, "short_code": code,
        "decision_digest": approved.decision_digest, "expires_at": approved.expires_at,
    })
}

fn receipt_facts(applied: &Applied) -> Json {
    applied.receipt.as_ref().map_or(Json::Null, |signed| {
        json!({
            "digest": signed.digest, "writer_key_id": signed.writer_key,
            "rows_affected": signed.receipt.rows_affected, "created_at": signed.receipt.created_at,
        })
    })
}

fn invoice() -> Map<String, Json> {
    Map::from_iter([("invoice_id".to_owned(), json!(INVOICE))])
}

fn waiver(cents: u32, reason: &str) -> Map<String, Json> {
    let mut arguments = invoice();
    arguments.insert("late_fee_cents".to_owned(), json!(cents));
    arguments.insert("reason".to_owned(), json!(reason));
    arguments
}

fn answered(answer: Answer) -> Result<Answer, Failure> {
    if !answer.is_error {
        return Ok(answer);
    }
    let (code, message) = answer
        .refusal()
        .unwrap_or_else(|| ("INTERNAL".to_owned(), answer.envelope.to_string()));
    Err(Failure::new(
        "DEMO_CALL_REFUSED",
        format!("a tool call was refused: {code}: {message}"),
    ))
}

fn id_of(answer: &Answer) -> Result<String, Failure> {
    let id = answer.proposal_id().map(str::to_owned);
    id.ok_or_else(|| Failure::new("DEMO_CALL_REFUSED", "the call made no proposal"))
}
