//! Joins reads of the same columns that arrive while others are running into one statement, so that a busy reader sends
//! fewer statements than it receives reads. Only for tables in which a read runs no code of others.
//!
//! Each read keeps its own key, tenant, result and error: rows are compared with their plan as for a read alone, and
//! after an error of a joined statement each read is repeated alone.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use synapsor_domain::schema::TableSchema;
use synapsor_domain::value::ColumnValue;
use synapsor_source::RowPlan;
use synapsor_source::error::EngineError;
use tokio::sync::oneshot;

use super::connect::PgPool;
use super::dialect;
use super::read;
use super::shapes::PlainTable;

/// Maximum number of reads in one statement.
const JOINED_MAX: usize = 16;
/// Number of statements for the same columns that run at once while reads are quick; further reads wait and join.
const RUNNING_MAX: usize = 2;
/// Time of one read from which reads no longer join: the reads of a statement run one after the other.
const SLOW_FROM: Duration = Duration::from_millis(2);
/// Maximum time that a read waits for others; then it runs alone.
pub(super) const JOIN_WAIT_MAX: Duration = Duration::from_millis(50);
/// Maximum number of different sets of columns; further ones are read alone.
const QUEUES_MAX: usize = 1_000;

/// Identity of the database with the rows of one plan.
type Found = (String, Vec<Vec<ColumnValue>>);

/// Reads of one process, by their columns.
#[derive(Debug, Default)]
pub(super) struct JoinedReads {
    queues: Mutex<HashMap<u64, Arc<Queue>>>,
}

/// Reads of the same columns.
#[derive(Debug, Default)]
struct Queue(Mutex<QueueState>);

#[derive(Debug, Default)]
struct QueueState {
    waiting: Vec<WaitingRead>,
    running: usize,
    /// Whether a pooler assigns connections, whose reads are transactions of their own.
    is_pooled: bool,
    /// Mean time of one read, in microseconds, over the last few statements.
    micros: u64,
}

#[derive(Debug)]
struct WaitingRead {
    plan: RowPlan,
    shape: Arc<TableSchema>,
    table: PlainTable,
    /// Closed without an answer if the read has to run alone.
    answer: oneshot::Sender<Found>,
}

/// How a read proceeds.
#[derive(Debug)]
pub(super) enum JoinedRead {
    /// It runs now, and counts as running until the guard is dropped.
    Alone(RunningRead),
    /// It waits for a statement of others; without an answer it runs alone.
    Waits(oneshot::Receiver<Found>),
}

/// A running statement.
#[derive(Debug)]
pub(super) struct RunningRead {
    queue: Option<Arc<Queue>>,
    readers: Arc<PgPool>,
    since: Instant,
    reads: u32,
}

impl JoinedReads {
    /// Starts a read, or lets it wait for others.
    pub(super) fn enter(
        &self,
        readers: &Arc<PgPool>,
        plan: &RowPlan,
        shape: &Arc<TableSchema>,
        table: &PlainTable,
    ) -> JoinedRead {
        let mut running = RunningRead {
            queue: None,
            readers: readers.clone(),
            since: Instant::now(),
            reads: 1,
        };
        let Some(queue) = self.queue(plan) else {
            return JoinedRead::Alone(running);
        };
        let mut state = queue.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.running < RUNNING_MAX || state.is_slow() || state.is_pooled {
            state.running += 1;
            drop(state);
            running.queue = Some(queue);
            return JoinedRead::Alone(running);
        }
        let (answer, answered) = oneshot::channel();
        state.waiting.push(WaitingRead {
            plan: plan.clone(),
            shape: shape.clone(),
            table: table.clone(),
            answer,
        });
        JoinedRead::Waits(answered)
    }

    fn queue(&self, plan: &RowPlan) -> Option<Arc<Queue>> {
        let key = key_of(plan);
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        match queues.get(&key) {
            Some(queue) => Some(queue.clone()),
            None if queues.len() >= QUEUES_MAX => None,
            None => Some(queues.entry(key).or_default().clone()),
        }
    }
}

/// Hashes what plans of one statement have in common. [`same_columns`] compares it.
fn key_of(plan: &RowPlan) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&plan.schema, &plan.table, &plan.columns).hash(&mut hasher);
    for key in plan.conditions() {
        key.column.hash(&mut hasher);
    }
    plan.tenant.is_some().hash(&mut hasher);
    hasher.finish()
}

fn same_columns(one: &RowPlan, other: &RowPlan) -> bool {
    let names = |plan: &RowPlan| -> Vec<String> { plan.conditions().map(|key| key.column.clone()).collect() };
    (&one.schema, &one.table, &one.columns) == (&other.schema, &other.table, &other.columns)
        && one.tenant.is_some() == other.tenant.is_some()
        && names(one) == names(other)
}

impl QueueState {
    fn is_slow(&self) -> bool {
        u128::from(self.micros) >= SLOW_FROM.as_micros()
    }

    fn ended(&mut self, took: Duration, reads: u32) {
        let micros = u64::try_from(took.as_micros() / u128::from(reads.max(1))).unwrap_or(u64::MAX);
        self.micros = self.micros / 4 * 3 + micros / 4;
        self.running -= 1;
    }

    /// Takes the reads of the next statement.
    fn take(&mut self) -> Vec<WaitingRead> {
        self.waiting.retain(|read| !read.answer.is_closed());
        let Some(first) = self.waiting.first() else {
            return Vec::new();
        };
        let is_same = |read: &WaitingRead| {
            Arc::ptr_eq(&read.shape, &first.shape) && same_columns(&read.plan, &first.plan)
        };
        let most = if self.is_slow() { 1 } else { JOINED_MAX };
        let count = self
            .waiting
            .iter()
            .take(most)
            .take_while(|read| is_same(read))
            .count();
        self.waiting.drain(..count).collect()
    }
}

impl Drop for RunningRead {
    /// Starts a statement for the reads that wait, until as many run as may.
    fn drop(&mut self) {
        let Some(queue) = self.queue.take() else {
            return;
        };
        let next = queue.ended(self);
        // Without a runtime no caller waits; the answers close.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        for joined in next {
            let running = Self {
                queue: Some(queue.clone()),
                readers: self.readers.clone(),
                since: Instant::now(),
                reads: u32::try_from(joined.len()).unwrap_or(u32::MAX),
            };
            // Not under the lock: a runtime that shuts down drops the task, and its guard, at once.
            runtime.spawn(serve(running, joined));
        }
    }
}

impl Queue {
    /// Ends a statement, and returns the reads of the next statements, which count as running.
    fn ended(&self, ended: &RunningRead) -> Vec<Vec<WaitingRead>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.ended(ended.since.elapsed(), ended.reads);
        if state.is_slow() {
            // Their answers close, so that each runs alone.
            state.waiting.clear();
        }
        let mut next = Vec::new();
        while state.running < RUNNING_MAX {
            let joined = state.take();
            if joined.is_empty() {
                break;
            }
            state.running += 1;
            next.push(joined);
        }
        next
    }
}

/// Runs one statement for several reads, unless all of their callers have gone.
async fn serve(running: RunningRead, joined: Vec<WaitingRead>) {
    let (shape, table) = (joined[0].shape.clone(), joined[0].table.clone());
    let (plans, mut answers): (Vec<RowPlan>, Vec<_>) =
        joined.into_iter().map(|read| (read.plan, read.answer)).unzip();
    let all_gone = async {
        for answer in &mut answers {
            answer.closed().await;
        }
    };
    let found = tokio::select! {
        found = find(&running, &plans, &shape, &table) => found,
        // The dropped connection cancels the statement.
        () = all_gone => return,
    };
    // After an error each read runs alone, which gives each its own.
    let Ok(Some((identity, rows))) = found else {
        return;
    };
    for (answer, rows) in answers.into_iter().zip(rows) {
        if let Some(rows) = rows {
            let _ = answer.send((identity.clone(), rows));
        }
    }
}

/// Rows of one plan; `None` for a plan that has to be read alone.
type PlanRows = Option<Vec<Vec<ColumnValue>>>;

/// Returns the rows of each plan; `None` if all of them have to be read alone.
async fn find(
    running: &RunningRead,
    plans: &[RowPlan],
    shape: &TableSchema,
    table: &PlainTable,
) -> Result<Option<(String, Vec<PlanRows>)>, EngineError> {
    let plans: Vec<&RowPlan> = plans.iter().collect();
    let Some(statement) = dialect::select_rows(&plans, shape)? else {
        return Ok(None);
    };
    let (mut lease, _) = running.readers.lease_for(Some(table)).await?;
    if lease.is_pooled() {
        lease.give_back();
        if let Some(queue) = &running.queue {
            queue.0.lock().unwrap_or_else(PoisonError::into_inner).is_pooled = true;
        }
        return Ok(None);
    }
    let found = lease.fetch(statement).await?;
    let identity = lease.facts().identity.clone();
    lease.give_back_after(table);
    let mut rows: Vec<PlanRows> = vec![Some(Vec::new()); plans.len()];
    for row in &found {
        let number = row
            .first()
            .and_then(|text| text.as_deref()?.parse::<usize>().ok());
        let at = number.and_then(|number| number.checked_sub(1));
        let Some(at) = at.filter(|at| *at < plans.len()) else {
            return Ok(None);
        };
        match read::exact_row(&row[1..], plans[at], shape) {
            Ok(exact) => rows[at]
                .iter_mut()
                .for_each(|of_plan| of_plan.extend(exact.clone())),
            // A value that is too large or cannot be read concerns this plan alone.
            Err(_) => rows[at] = None,
        }
    }
    Ok(Some((identity, rows)))
}

#[cfg(test)]
mod tests {
    use synapsor_domain::value::Value;

    use super::*;

    fn plan(id: &str, columns: &[&str]) -> RowPlan {
        RowPlan {
            schema: "public".to_owned(),
            table: "invoices".to_owned(),
            keys: vec![ColumnValue::new("id", Value::text(id.to_owned()))],
            tenant: Some(ColumnValue::new("tenant", Value::text("acme".to_owned()))),
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn reads_of_other_columns_never_join() {
        let (one, other) = (plan("1", &["id", "fee"]), plan("2", &["id", "fee"]));
        assert!(same_columns(&one, &other) && key_of(&one) == key_of(&other));
        let mut without_tenant = other.clone();
        without_tenant.tenant = None;
        let mut of_other_key = other.clone();
        of_other_key.keys[0].column = "number".to_owned();
        let mut of_other_table = other.clone();
        of_other_table.table = "bills".to_owned();
        for different in [
            plan("2", &["fee", "id"]),
            without_tenant,
            of_other_key,
            of_other_table,
        ] {
            assert!(!same_columns(&one, &different), "{different:?}");
            assert_ne!(key_of(&one), key_of(&different));
        }
    }

    #[test]
    fn slow_reads_do_not_join() {
        let mut state = QueueState {
            running: 1,
            ..QueueState::default()
        };
        for _ in 0..8 {
            state.ended(Duration::from_millis(10), 1);
            state.running += 1;
        }
        assert!(state.is_slow(), "{}", state.micros);
        for _ in 0..20 {
            state.ended(Duration::from_micros(1_600), 16);
            state.running += 1;
        }
        assert!(!state.is_slow(), "{}", state.micros);
    }
}
