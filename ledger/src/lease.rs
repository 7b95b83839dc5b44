//! Hands jobs to writers: one stream per writer, fenced leases, and the durable start of an attempt. A lease
//! authorizes nothing. It prevents two writers from running the same job and a writer from receiving a job twice.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use subtle::ConstantTimeEq as _;
use synapsor_chassis::random;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::DecisionKind;
use synapsor_domain::canonical;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::event::{AttemptStartedBody, EventKind};
use synapsor_domain::ids::ProposalId;
use synapsor_domain::proposal::{ProposalState, ProposalTransition, transition};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::{Span, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::job::{self, Grant, JobGrant, TOKEN_BYTES};
use crate::store::leases::{self, LeaseRow};
use crate::store::listeners::Topic;
use crate::store::proposals::{self, ProposalRow};
use crate::store::queue::{self, QueueBounds};
use crate::store::{
    Committed, NewEvent, NodeCache, ParsedBody, ReadTransaction, StoreError, StoreTxError, WriteTransaction,
    events, records,
};
use crate::switches::{Stops, StopsPosition, unsent_stops};
use crate::{Ledger, RequestContext};

/// Duration of a lease without renewal, in milliseconds.
pub(crate) const LEASE_MS: u32 = 60_000;

/// Maximum number of sources of one writer.
pub(crate) const SOURCES_MAX: usize = 64;

/// Maximum number of jobs of one source that one writer holds.
pub(crate) const CAPACITY_PER_SOURCE_MAX: u32 = 24;

/// Maximum number of jobs that one writer holds: the sum over its sources, so that no source uses the share of
/// another.
pub(crate) const CAPACITY_MAX: u32 = 64 * CAPACITY_PER_SOURCE_MAX;

/// Maximum number of jobs granted before the first of them is sent.
const GRANTS_MAX: usize = 32;

/// Remaining duration of a writer's leases after its stream ended.
const ABANDONED_LEASE_TTL: Span = Span::seconds(5);

/// Interval at which a stream checks for expired leases, because no event reports their expiry.
const EXPIRY_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Minimum interval between two grants of one stream, so that jobs are granted in groups: a group costs one commit
/// here, and one verified and stored checkpoint at the writer. A busy writer holds more jobs than it finishes in this
/// time.
pub(crate) const GROUP_INTERVAL: Duration = Duration::from_millis(5);

/// Terms of a writer's lease stream.
#[derive(Debug, Clone)]
pub(crate) struct LeaseStreamTerms {
    pub(crate) writer: String,
    pub(crate) sources: Vec<String>,
    /// Maximum number of jobs at a time, 1 to [`CAPACITY_MAX`].
    pub(crate) capacity: u32,
    /// Maximum number of jobs of one source at a time, 1 to [`CAPACITY_PER_SOURCE_MAX`].
    pub(crate) capacity_per_source: u32,
    /// Log size of the writer's pinned checkpoint.
    pub(crate) known_size: u64,
    /// Minimum interval between two grants.
    pub(crate) group_interval: Duration,
}

/// One message of a lease stream.
#[derive(Debug)]
pub(crate) enum Leased {
    Job(Box<JobGrant>),
    Stops(Stops),
}

/// Round-robin position of one stream.
#[derive(Debug, Clone, Default)]
struct RoundRobinPosition {
    /// The last source served.
    source: Option<String>,
    /// The last tenant served, for each source.
    tenants: BTreeMap<String, Option<String>>,
}

/// Position of one stream.
#[derive(Debug, Default)]
struct StreamPosition {
    turns: RoundRobinPosition,
    /// Log size of the checkpoint of the last job.
    known_size: u64,
    /// Tree nodes of the proofs of earlier jobs; the proofs of new jobs share most of them.
    nodes: NodeCache,
}

/// The open stream of every writer.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    open: Mutex<HashMap<String, OpenStream>>,
}

#[derive(Debug)]
struct OpenStream {
    generation: u64,
    sources: Vec<String>,
    superseded: CancellationToken,
}

/// Entry of one writer in [`Streams`], removed when it is dropped.
#[derive(Debug)]
struct StreamGuard<'a> {
    streams: &'a Streams,
    writer: String,
    generation: u64,
    superseded: CancellationToken,
}

impl Streams {
    /// Opens the stream of a writer; it supersedes an older stream of the same certificate.
    fn enter(&self, terms: &LeaseStreamTerms) -> StreamGuard<'_> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let older = open.remove(&terms.writer);
        let generation = older.as_ref().map_or(1, |stream| stream.generation + 1);
        if let Some(older) = older {
            older.superseded.cancel();
        }
        let superseded = CancellationToken::new();
        let stream = OpenStream {
            generation,
            sources: terms.sources.clone(),
            superseded: superseded.clone(),
        };
        open.insert(terms.writer.clone(), stream);
        StreamGuard {
            streams: self,
            writer: terms.writer.clone(),
            generation,
            superseded,
        }
    }

    fn is_current(&self, writer: &str, generation: u64) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(writer)
            .is_some_and(|stream| stream.generation == generation)
    }

    /// Returns the names of the connected writers.
    pub(crate) fn writers(&self) -> Vec<String> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writers: Vec<String> = open.keys().cloned().collect();
        writers.sort_unstable();
        writers
    }

    /// Returns whether a writer of this source is connected.
    pub(crate) fn serves(&self, source: &str) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values()
            .any(|stream| stream.sources.iter().any(|s| s == source))
    }
}

impl Drop for StreamGuard<'_> {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open
            .get(&self.writer)
            .is_some_and(|stream| stream.generation == self.generation)
        {
            open.remove(&self.writer);
        }
    }
}

impl Ledger {
    /// Serves one lease stream until the writer disconnects, a newer stream supersedes it, or `stop`.
    pub(crate) async fn serve_leases(
        &self,
        terms: LeaseStreamTerms,
        jobs: mpsc::Sender<Result<Leased, PublicError>>,
        stop: CancellationToken,
    ) {
        let guard = self.streams.enter(&terms);
        self.stream(&terms, &guard, jobs, &stop).await;
        if stop.is_cancelled() || !self.streams.is_current(&terms.writer, guard.generation) {
            return;
        }
        // The writer has disconnected or will reconnect, so no other writer should wait for a whole lease. A
        // writer that still works renews its leases, and the receipt's key decides in the end.
        let until = self.now() + ABANDONED_LEASE_TTL;
        let writer = terms.writer.clone();
        let shortened = self
            .write(move |step| Ok(leases::shorten(step.conn(), &writer, until)?))
            .await;
        if let Err(error) = shortened {
            tracing::warn!(code = %crate::refusal_of(error).code, "leases of a disconnected writer not shortened");
        }
    }

    async fn stream(
        &self,
        terms: &LeaseStreamTerms,
        guard: &StreamGuard<'_>,
        jobs: mpsc::Sender<Result<Leased, PublicError>>,
        stop: &CancellationToken,
    ) {
        let topics = terms.sources.iter().cloned().map(Topic::Source).collect();
        let listening = self.store.listen(topics);
        // Leases from before belong to a stream that has ended.
        let mut begun = self.end_earlier_leases(terms, guard.generation).await;
        let mut position = StreamPosition {
            known_size: terms.known_size,
            ..StreamPosition::default()
        };
        let mut sent = StopsPosition::default();
        let mut next_group = tokio::time::Instant::now();
        loop {
            listening.take();
            // Freezes and rejections go before jobs, so that the writer checks no job without them.
            if !self.send_stops(terms, &mut sent, &jobs).await {
                return;
            }
            let granted = match begun {
                Ok(()) => self.grant(terms, guard.generation, &mut position).await,
                Err(error) => Err(error),
            };
            begun = Ok(());
            let mut more = false;
            match granted {
                Ok(granted) => {
                    more = granted.len() >= GRANTS_MAX;
                    if !granted.is_empty() {
                        next_group = tokio::time::Instant::now() + terms.group_interval;
                    }
                    for job in granted {
                        // The next job's checkpoint must prove that it extends this one.
                        position.known_size = job.proposal.proof.size();
                        if jobs.send(Ok(Leased::Job(Box::new(job)))).await.is_err() {
                            return;
                        }
                    }
                }
                Err(error) => {
                    // A full queue is temporary. Any other error ends the stream, and the writer opens a new one.
                    if !matches!(error, StoreTxError::Store(StoreError::Busy)) {
                        let _ = jobs.send(Err(crate::refusal_of(error))).await;
                        return;
                    }
                }
            }
            tokio::select! {
                () = guard.superseded.cancelled() => {
                    let text = "superseded by a newer stream of the same certificate";
                    let _ = jobs.send(Err(PublicError::new(ErrorCode::LeaseSuperseded, text))).await;
                    return;
                }
                () = stop.cancelled() => return,
                () = jobs.closed() => return,
                () = async { listening.woken().await; tokio::time::sleep_until(next_group).await } => {}
                () = std::future::ready(()), if more => {}
                () = tokio::time::sleep(EXPIRY_CHECK_INTERVAL) => {}
            }
        }
    }

    /// Sends the freezes and rejections not yet sent on this stream; returns false when the stream must end.
    async fn send_stops(
        &self,
        terms: &LeaseStreamTerms,
        sent: &mut StopsPosition,
        out: &mpsc::Sender<Result<Leased, PublicError>>,
    ) -> bool {
        let (sources, before) = (terms.sources.clone(), *sent);
        let found = self
            .store
            .read(move |reader| unsent_stops(reader, &sources, before))
            .await;
        let message = match found {
            Ok((stops, now_sent)) => {
                *sent = now_sent;
                if stops.switches.is_empty() && stops.rejections.is_empty() {
                    return true;
                }
                Ok(Leased::Stops(stops))
            }
            Err(StoreTxError::Store(StoreError::Busy)) => return true,
            Err(error) => Err(crate::refusal_of(error)),
        };
        let is_open = message.is_ok();
        out.send(message).await.is_ok() && is_open
    }

    /// Ends the leases that an earlier stream of this writer was granted.
    async fn end_earlier_leases(
        &self,
        terms: &LeaseStreamTerms,
        generation: u64,
    ) -> Result<(), StoreTxError> {
        let (streams, writer) = (self.streams.clone(), terms.writer.clone());
        self.write(move |step| {
            if streams.is_current(&writer, generation) {
                leases::release_all(step.conn(), &writer)?;
            }
            Ok(())
        })
        .await
        .map(|_| ())
    }

    /// Grants waiting jobs that fit the writer's capacity, one source after the other.
    async fn grant(
        &self,
        terms: &LeaseStreamTerms,
        generation: u64,
        position: &mut StreamPosition,
    ) -> Result<Vec<JobGrant>, StoreTxError> {
        let now = self.now();
        let (scan, from) = (terms.clone(), position.turns.clone());
        let (waiting, next) = self
            .store
            .read(move |reader| waiting(reader, &scan, from, now))
            .await?;
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        position.turns = next;
        let (streams, writer) = (self.streams.clone(), terms.writer.clone());
        let granted = self
            .write(move |step| {
                if !streams.is_current(&writer, generation) {
                    return Ok(Vec::new());
                }
                waiting
                    .iter()
                    .map(|id| grant_one(step, id, &writer, now))
                    .filter_map(Result::transpose)
                    .collect()
            })
            .await?
            .value;
        let (known_size, cache) = (position.known_size, std::mem::take(&mut position.nodes));
        let (jobs, cache) = self
            .store
            .read(move |reader| Ok((job::jobs(reader, granted, known_size, &cache)?, cache)))
            .await?;
        position.nodes = cache;
        Ok(jobs)
    }

    /// Renews a lease, and reports a rejection that has arrived.
    pub(crate) async fn renew_lease(
        &self,
        caller: RequestContext,
        id: ProposalId,
        token: Vec<u8>,
    ) -> Result<Option<DsseEnvelope>, StoreTxError> {
        let until = self.now() + Span::seconds(i64::from(LEASE_MS / 1000));
        let held = self
            .write(move |step| {
                held_lease(step, &id, &caller.identity, &token)?;
                leases::extend(step.conn(), &id, until)?;
                let deny = records::decisions(step.conn(), &id)?
                    .into_iter()
                    .rfind(|d| d.kind == DecisionKind::Reject);
                Ok(deny.map(|d| events::envelope(step.conn(), d.seq)).transpose()?)
            })
            .await?;
        Ok(held.value)
    }

    /// Records the start of an attempt. Repeating it under the same lease returns the same attempt.
    pub(crate) async fn start(
        &self,
        caller: RequestContext,
        id: ProposalId,
        token: Vec<u8>,
    ) -> Result<Committed<u32>, StoreTxError> {
        let now = self.now();
        self.write(move |step| {
            let lease = held_lease(step, &id, &caller.identity, &token)?;
            if now >= lease.expires_at {
                return Err(not_held().into());
            }
            if let Some(attempt) = records::running_attempt(step.conn(), &id, lease.fence)? {
                return Ok(attempt);
            }
            let row = proposals::get(step.conn(), &id)?;
            transition(row.state, row.started, ProposalTransition::Start)?;
            let body = start_body(step, &row, &lease)?;
            let bytes = canonical::encode(&body)
                .map_err(|e| StoreError::Failed(format!("event has no canonical form: {e}")))?;
            step.append(&NewEvent {
                kind: EventKind::WritebackStarted,
                at: now,
                actor: &caller.identity,
                proposal_id: Some(&id),
                body: &bytes,
                read: ParsedBody::No,
                trace_id: caller.trace_id.as_deref(),
            })?;
            Ok(body.attempt)
        })
        .await
    }
}

/// Returns the lease of a proposal if this writer holds it under this token.
pub(crate) fn held_lease(
    step: &WriteTransaction<'_>,
    id: &ProposalId,
    writer: &str,
    token: &[u8],
) -> Result<LeaseRow, StoreTxError> {
    let lease = leases::find(step.conn(), id)?.ok_or_else(not_held)?;
    let same_token = bool::from(token_hash(token).ct_eq(&lease.token_hash));
    if same_token && lease.writer == writer {
        Ok(lease)
    } else {
        Err(not_held().into())
    }
}

fn not_held() -> PublicError {
    PublicError::new(
        ErrorCode::LeaseNotHeld,
        "lease not held: expired, superseded or owned by another writer",
    )
}

fn token_hash(token: &[u8]) -> [u8; 32] {
    *Digest::of_typed("lease-token.v1", token).as_bytes()
}

fn start_body(
    step: &WriteTransaction<'_>,
    row: &ProposalRow,
    lease: &LeaseRow,
) -> Result<AttemptStartedBody, StoreError> {
    let order = proposals::newest_order(step.conn(), &row.id)?;
    let order = order.map(|seq| events::envelope(step.conn(), seq)).transpose()?;
    Ok(AttemptStartedBody {
        proposal_id: row.id.clone(),
        proposal_digest: row.digest,
        order_digest: order.map(|order| Digest::of(ObjectKind::ApplyOrder, &order.payload)),
        writer: lease.writer.clone(),
        fence: lease.fence,
        attempt: row.attempts + 1,
    })
}

/// Returns waiting proposals without a lease, up to the writer's capacity, one of each source in turn, and the
/// round-robin position after them.
fn waiting(
    reader: &ReadTransaction<'_>,
    terms: &LeaseStreamTerms,
    mut turns: RoundRobinPosition,
    now: Timestamp,
) -> Result<(Vec<ProposalId>, RoundRobinPosition), StoreTxError> {
    let mut held = queue::held(reader.conn(), &terms.writer, now)?;
    let own: usize = held.values().map(queue::Held::own).sum();
    let capacity = usize::try_from(terms.capacity.min(CAPACITY_MAX)).unwrap_or(usize::MAX);
    let left = capacity.saturating_sub(own).min(GRANTS_MAX);
    let per_source = terms.capacity_per_source.min(CAPACITY_PER_SOURCE_MAX);
    let bounds = QueueBounds::of(usize::try_from(per_source).unwrap_or(usize::MAX));
    let mut sources = VecDeque::new();
    for source in terms.in_turn(turns.source.as_deref()) {
        let held = held.remove(source).unwrap_or_default();
        let after = turns.tenants.get(source).cloned().flatten();
        let found = queue::next_of_source(reader.conn(), (source, after.as_deref()), &held, bounds, now)?;
        if !found.is_empty() {
            sources.push_back((source, VecDeque::from(found)));
        }
    }
    let mut given = Vec::new();
    while given.len() < left {
        let Some((source, mut found)) = sources.pop_front() else {
            break;
        };
        let Some((id, tenant)) = found.pop_front() else {
            continue;
        };
        given.push(id);
        turns.source = Some(source.to_owned());
        if tenant.is_some() {
            turns.tenants.insert(source.to_owned(), tenant);
        }
        sources.push_back((source, found));
    }
    Ok((given, turns))
}

impl LeaseStreamTerms {
    /// Returns the sources, starting after the last one served.
    fn in_turn(&self, last: Option<&str>) -> impl Iterator<Item = &str> {
        let at = self
            .sources
            .iter()
            .position(|s| Some(s.as_str()) == last)
            .map_or(0, |at| at + 1);
        let (before, behind) = self.sources.split_at(at);
        behind.iter().chain(before).map(String::as_str)
    }
}

fn grant_one(
    step: &WriteTransaction<'_>,
    id: &ProposalId,
    writer: &str,
    now: Timestamp,
) -> Result<Option<Grant>, StoreTxError> {
    let row = proposals::get(step.conn(), id)?;
    let taken = leases::find(step.conn(), id)?.is_some_and(|lease| lease.expires_at > now)
        || row.state == ProposalState::PendingWorker && queue::is_row_held(step.conn(), id, now)?;
    if taken || transition(row.state, row.started, ProposalTransition::Start).is_err() {
        return Ok(None);
    }
    let token = random::bytes::<TOKEN_BYTES>();
    let until = now + Span::seconds(i64::from(LEASE_MS / 1000));
    let fence = leases::grant(step.conn(), id, writer, &token_hash(&token), until)?;
    Ok(Some(Grant {
        id: id.clone(),
        token,
        fence,
    }))
}
