//! Sending messages over as many connections as it takes, each appearing once.

use std::collections::{BTreeMap, HashMap, VecDeque};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use huddle_domain::{ClientId, Seq, Tags, TeamId};
use huddle_proto::Refusal;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};
use uuid::Uuid;

use crate::{
    Accepted, Client, ClientOptions, ConnectError, Disconnect, Incoming, IncomingFrames, Reconnect, RequestError,
    backoff::Backoff,
};

/// Messages that wait to be taken up; more wait in [`Sender::start_send`].
const QUEUE_MAX: usize = 64;
/// Messages that are taken up and not finished, those that wait for the second receipt included.
const UNFINISHED_MAX: usize = 1_024;

/// How a [`Sender`] works.
#[derive(Debug, Clone)]
pub struct SenderOptions {
    /// Where to connect, as whom.
    pub client: ClientOptions,
    /// Messages on their way at once, at least 1. With 1, the order of the calls is the order of the positions whatever
    /// happens. With more, a message that the gateway could not take for a moment may come behind later ones that were on
    /// their way already.
    pub in_flight_max: usize,
}

/// A message to send. The `client_id` names it for good: the same one again is the same message.
#[derive(Debug, Clone)]
pub struct OutgoingMessage {
    /// The team.
    pub team: TeamId,
    /// The idempotency key.
    pub client_id: ClientId,
    /// The text.
    pub body: String,
    /// Whom it mentions, and what it is about. Part of the message: a retry has the same.
    pub tags: Tags,
}

impl OutgoingMessage {
    /// A new message, under a `client_id` of its own.
    pub fn new(team: TeamId, body: impl Into<String>) -> Self {
        let client_id = ClientId::parse(&Uuid::now_v7().simple().to_string());
        // 32 hexadecimal digits are an id.
        let client_id = client_id.unwrap_or_else(|error| unreachable!("{error}"));
        Self { team, client_id, body: body.into(), tags: Tags::default() }
    }

    /// The same message with these tags.
    #[must_use]
    pub fn with_tags(self, tags: Tags) -> Self {
        Self { tags, ..self }
    }
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// The message is in the log for good.
    Accepted,
    /// The message is also committed to the store.
    Stored,
}

/// Why a message was not sent. Whether it was accepted is unknown, unless it is [`SendError::Refused`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    /// The gateway refused it for good.
    #[error("the message is refused: {0}")]
    Refused(Refusal),
    /// There is no connection to be had.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection ended in a way that another one would not mend.
    #[error(transparent)]
    Disconnected(#[from] Disconnect),
    /// The gateway's reply does not fit.
    #[error("the gateway's reply does not fit the request")]
    UnexpectedReply,
    /// The sender's task is gone: the runtime shuts down.
    #[error("the sender has stopped")]
    Stopped,
}

type Outcome = Result<Accepted, SendError>;

/// Sends messages. Clones share one connection, which is made with the first message; it ends with the last clone, after the messages that are under way.
#[derive(Debug, Clone)]
pub struct Sender {
    jobs: mpsc::Sender<Job>,
    problem: watch::Receiver<Option<SendError>>,
}

/// A message that is queued or under way. Dropping it gives up the wait, and the retries with it; the message may be
/// sent all the same.
#[derive(Debug)]
pub struct PendingDelivery(oneshot::Receiver<Outcome>);

impl PendingDelivery {
    /// Waits for the receipt that was asked for, without bound while the gateway cannot be reached.
    pub async fn receipt(self) -> Result<Accepted, SendError> {
        self.0.await.unwrap_or(Err(SendError::Stopped))
    }
}

impl Sender {
    /// Starts the sender's task. Needs a tokio runtime.
    pub fn new(options: SenderOptions) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let (problem, problem_receiver) = watch::channel(None);
        let worker = Worker {
            options,
            queue,
            unfinished: BTreeMap::new(),
            last_number: 0,
            backoff: Backoff::default(),
            problem,
        };
        tokio::spawn(worker.run());
        Self { jobs, problem: problem_receiver }
    }

    /// Why messages are not getting through just now; `None` when none are waiting for a retry. Changes while the sender
    /// works.
    pub fn problem(&self) -> watch::Receiver<Option<SendError>> {
        self.problem.clone()
    }

    /// Sends `message` and waits for `receipt`, retrying for as long as it may help.
    pub async fn send(&self, message: OutgoingMessage, receipt: Receipt) -> Result<Accepted, SendError> {
        self.start_send(message, receipt).await?.receipt().await
    }

    /// Queues `message`; returns when there is room. Messages go out in the order in which these calls returned.
    pub async fn start_send(&self, message: OutgoingMessage, receipt: Receipt) -> Result<PendingDelivery, SendError> {
        let (outcome, receiver) = oneshot::channel();
        let job = Job { message, receipt, outcome, accepted: None };
        self.jobs.send(job).await.map_err(|_| SendError::Stopped)?;
        Ok(PendingDelivery(receiver))
    }
}

#[derive(Debug)]
struct Job {
    message: OutgoingMessage,
    receipt: Receipt,
    outcome: oneshot::Sender<Outcome>,
    // Set while the second receipt is waited for.
    accepted: Option<Accepted>,
}

impl Job {
    fn finish(self, outcome: Outcome) {
        // Nobody may wait for it any longer.
        let _ = self.outcome.send(outcome);
    }
}

struct Worker {
    options: SenderOptions,
    queue: mpsc::Receiver<Job>,
    // By number, in the order in which they were queued.
    unfinished: BTreeMap<u64, Job>,
    last_number: u64,
    backoff: Backoff,
    problem: watch::Sender<Option<SendError>>,
}

/// How one connection ended.
struct End {
    disconnect: Disconnect,
    reconnect_at: Option<Instant>,
}

type Reply = (u64, Result<Accepted, RequestError>);

/// The state of one connection's work.
struct Round {
    client: Client,
    // In order; those of earlier connections first.
    unsent: VecDeque<u64>,
    replies: FuturesUnordered<BoxFuture<'static, Reply>>,
    // Set after a failure that may pass: nothing new goes out before what failed has been sent again.
    retry_at: Option<Instant>,
    // The second receipts of this connection. One entry per team that it sent to.
    stored: HashMap<TeamId, Seq>,
    reconnect_at: Option<Instant>,
}

impl Worker {
    async fn run(mut self) {
        loop {
            self.unfinished.retain(|_, job| !job.outcome.is_closed());
            if self.unfinished.is_empty() {
                let Some(job) = self.queue.recv().await else { return };
                self.take_up(job);
            }
            match Box::pin(Client::connect(&self.options.client)).await {
                Err(error) => self.pause(error.reconnect(), None, &SendError::Connect(error)).await,
                Ok((client, frames)) => {
                    let Some(end) = Box::pin(self.serve(client, frames)).await else { return };
                    let reconnect = end.disconnect.reconnect();
                    self.pause(reconnect, end.reconnect_at, &SendError::Disconnected(end.disconnect)).await;
                }
            }
        }
    }

    /// Waits before the next attempt; fails what is unfinished when there is none.
    async fn pause(&mut self, reconnect: Reconnect, reconnect_at: Option<Instant>, error: &SendError) {
        match self.backoff.wait(reconnect) {
            Some(wait) => {
                tracing::debug!(%error, "sends wait for another connection");
                self.problem.send_replace(Some(error.clone()));
                sleep_until(reconnect_at.unwrap_or_else(|| Instant::now() + wait)).await;
            }
            None => {
                for (_, job) in std::mem::take(&mut self.unfinished) {
                    job.finish(Err(error.clone()));
                }
            }
        }
    }

    fn take_up(&mut self, job: Job) -> u64 {
        self.last_number += 1;
        self.unfinished.insert(self.last_number, job);
        self.last_number
    }

    /// Works over one connection until it ends; `None` when all handles are gone and nothing is left to do.
    async fn serve(&mut self, client: Client, mut frames: IncomingFrames) -> Option<End> {
        let mut round = Round {
            client,
            unsent: self.unfinished.keys().copied().collect(),
            replies: FuturesUnordered::new(),
            retry_at: None,
            stored: HashMap::new(),
            reconnect_at: None,
        };
        let mut handles_are_gone = false;
        loop {
            if handles_are_gone && self.unfinished.is_empty() {
                round.client.close().await;
                return None;
            }
            self.send_what_may_go(&mut round).await;
            tokio::select! {
                Some((number, reply)) = round.replies.next(), if !round.replies.is_empty() => {
                    self.settle(&mut round, number, reply);
                }
                frame = frames.next() => match frame {
                    Some(Incoming::Stored { team, seq }) => self.note_stored(&mut round, team, seq),
                    Some(Incoming::GoAway { reconnect_in }) => {
                        round.reconnect_at = Some(Instant::now() + reconnect_in);
                    }
                    Some(Incoming::Closed(disconnect)) => {
                        return Some(End { disconnect, reconnect_at: round.reconnect_at });
                    }
                    None => return Some(End { disconnect: Disconnect::ClosedHere, reconnect_at: None }),
                    Some(_) => {}
                },
                job = self.queue.recv(), if !handles_are_gone && self.unfinished.len() < UNFINISHED_MAX => match job {
                    Some(job) => round.unsent.push_back(self.take_up(job)),
                    None => handles_are_gone = true,
                },
                () = until(round.retry_at), if round.retry_at.is_some() && round.replies.is_empty() => {
                    round.retry_at = None;
                    round.unsent = self.unfinished.iter().filter(|(_, job)| job.accepted.is_none()).map(|(number, _)| *number).collect();
                }
            }
        }
    }

    async fn send_what_may_go(&mut self, round: &mut Round) {
        while round.retry_at.is_none() && round.replies.len() < self.options.in_flight_max.max(1) {
            let Some(number) = round.unsent.pop_front() else { return };
            let Some(job) = self.unfinished.get(&number) else { continue };
            if job.outcome.is_closed() {
                self.unfinished.remove(&number);
                continue;
            }
            match round.client.start_message(&job.message).await {
                Ok(pending) => round.replies.push(Box::pin(async move { (number, pending.accepted().await) })),
                Err(error) => self.settle(round, number, Err(error)),
            }
        }
    }

    fn settle(&mut self, round: &mut Round, number: u64, reply: Result<Accepted, RequestError>) {
        let outcome = match reply {
            Ok(accepted) => {
                self.backoff.reset();
                self.problem.send_replace(None);
                let stored = round.stored.get(&accepted.team).is_some_and(|stored| *stored >= accepted.seq);
                if let Some(job) = self.unfinished.get_mut(&number)
                    && job.receipt == Receipt::Stored
                    && !stored
                {
                    job.accepted = Some(accepted);
                    return;
                }
                Ok(accepted)
            }
            Err(error) if error.is_retryable() => {
                if let RequestError::Refused(refusal) = error {
                    self.problem.send_replace(Some(SendError::Refused(refusal)));
                }
                // The end of the connection shows among its frames as well, and ends this round.
                let wait = self.backoff.wait(Reconnect::AfterWait).unwrap_or_default();
                round.retry_at = Some(Instant::now() + wait);
                return;
            }
            Err(RequestError::Refused(refusal)) => Err(SendError::Refused(refusal)),
            Err(_) => Err(SendError::UnexpectedReply),
        };
        if let Some(job) = self.unfinished.remove(&number) {
            job.finish(outcome);
        }
    }

    fn note_stored(&mut self, round: &mut Round, team: TeamId, seq: Seq) {
        let is_done = |job: &Job| job.accepted.as_ref().is_some_and(|it| it.team == team && it.seq <= seq);
        let done: Vec<u64> =
            self.unfinished.iter().filter(|(_, job)| is_done(job)).map(|(number, _)| *number).collect();
        for number in done {
            if let Some(mut job) = self.unfinished.remove(&number)
                && let Some(accepted) = job.accepted.take()
            {
                job.finish(Ok(accepted));
            }
        }
        let stored = round.stored.entry(team).or_default();
        *stored = seq.max(*stored);
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use huddle_domain::{Entity, EntityId, EntityKind, UserId};
    use huddle_proto::gateway::v1::{self as proto, ErrorCode, client_frame::Request, server_frame::Content};

    use super::*;
    use crate::test_gateway::{Peer, TestGateway, within};

    fn message(client_id: &str) -> OutgoingMessage {
        OutgoingMessage {
            team: TeamId::parse("demo").unwrap(),
            client_id: ClientId::parse(client_id).unwrap(),
            body: format!("body of {client_id}"),
            tags: Tags::default(),
        }
    }

    fn sender(gateway: &TestGateway, in_flight_max: usize) -> Sender {
        Sender::new(SenderOptions { client: gateway.options(), in_flight_max })
    }

    async fn send_request(peer: &mut Peer) -> (String, proto::Send) {
        let (id, Request::Send(send)) = peer.request().await else { panic!("not a send") };
        (id, send)
    }

    async fn accept(peer: &mut Peer, seq: u64) -> String {
        let (id, send) = send_request(peer).await;
        let client_id = send.client_id.clone();
        let accepted = proto::Accepted { team: send.team, seq, client_id: send.client_id, duplicate: false };
        peer.reply(id, Content::Accepted(accepted)).await;
        client_id
    }

    #[tokio::test]
    async fn a_message_takes_its_tags_along_on_each_retry() {
        let gateway = TestGateway::start().await;
        let sender = sender(&gateway, 1);
        let entity = Entity { kind: EntityKind::parse("issue").unwrap(), id: EntityId::parse("7").unwrap() };
        let tags = Tags::new(["bob", "carol"].map(|id| UserId::parse(id).unwrap()), Some(entity)).unwrap();
        let pending = sender.start_send(message("a").with_tags(tags), Receipt::Accepted).await.unwrap();
        let mut first = gateway.welcome().await;
        let (_, sent) = send_request(&mut first).await;
        assert_eq!(sent.mentions, ["bob", "carol"]);
        let entity = sent.entity.clone().unwrap();
        assert_eq!((entity.kind.as_str(), entity.id.as_str()), ("issue", "7"));
        drop(first);
        let mut second = gateway.welcome().await;
        let (id, again) = send_request(&mut second).await;
        assert_eq!(again, sent);
        let accepted = proto::Accepted { team: again.team, seq: 7, client_id: again.client_id, duplicate: false };
        second.reply(id, Content::Accepted(accepted)).await;
        assert_eq!(within(pending.receipt()).await.unwrap().seq, Seq::new(7));
    }

    #[tokio::test]
    async fn what_was_not_acknowledged_goes_out_again_in_order_on_the_next_connection() {
        let gateway = TestGateway::start().await;
        let sender = sender(&gateway, 8);
        let mut pending = Vec::new();
        for client_id in ["a", "b", "c"] {
            pending.push(sender.start_send(message(client_id), Receipt::Accepted).await.unwrap());
        }
        let mut peer = gateway.welcome().await;
        assert_eq!(accept(&mut peer, 1).await, "a");
        assert_eq!(send_request(&mut peer).await.1.client_id, "b");
        assert_eq!(send_request(&mut peer).await.1.client_id, "c");
        peer.close(4000).await;

        let mut peer = gateway.welcome().await;
        assert_eq!(accept(&mut peer, 2).await, "b");
        assert_eq!(accept(&mut peer, 3).await, "c");
        for (pending, seq) in pending.into_iter().zip(1..) {
            assert_eq!(within(pending.receipt()).await.unwrap().seq, Seq::new(seq));
        }
    }

    #[tokio::test]
    async fn one_at_a_time_keeps_the_order_over_a_refusal_that_passes() {
        let gateway = TestGateway::start().await;
        let sender = sender(&gateway, 1);
        let first = sender.start_send(message("a"), Receipt::Accepted).await.unwrap();
        let second = sender.start_send(message("b"), Receipt::Accepted).await.unwrap();
        let mut peer = gateway.welcome().await;
        let (id, _) = send_request(&mut peer).await;
        let code = ErrorCode::Unavailable.into();
        peer.reply(id, Content::Error(proto::Error { code, ..proto::Error::default() })).await;
        assert_eq!(accept(&mut peer, 1).await, "a");
        assert_eq!(accept(&mut peer, 2).await, "b");
        assert_eq!(within(first.receipt()).await.unwrap().seq, Seq::new(1));
        assert_eq!(within(second.receipt()).await.unwrap().seq, Seq::new(2));
    }

    #[tokio::test]
    async fn the_second_receipt_is_asked_for_again_after_a_reconnect() {
        let gateway = TestGateway::start().await;
        let sender = sender(&gateway, 1);
        let pending = sender.start_send(message("a"), Receipt::Stored).await.unwrap();
        let mut peer = gateway.welcome().await;
        accept(&mut peer, 9).await;
        peer.close(4000).await;

        let mut peer = gateway.welcome().await;
        assert_eq!(accept(&mut peer, 9).await, "a");
        peer.push(Content::Stored(proto::Stored { team: "demo".to_owned(), seq: 9 })).await;
        assert_eq!(within(pending.receipt()).await.unwrap().seq, Seq::new(9));
    }

    #[tokio::test]
    async fn a_refusal_for_good_concerns_its_message_only() {
        let gateway = TestGateway::start().await;
        let sender = sender(&gateway, 2);
        let first = sender.start_send(message("a"), Receipt::Accepted).await.unwrap();
        let second = sender.start_send(message("b"), Receipt::Accepted).await.unwrap();
        let mut peer = gateway.welcome().await;
        let (id, _) = send_request(&mut peer).await;
        let code = ErrorCode::Conflict.into();
        peer.reply(id, Content::Error(proto::Error { code, ..proto::Error::default() })).await;
        accept(&mut peer, 1).await;
        let outcome = within(first.receipt()).await;
        assert!(matches!(outcome, Err(SendError::Refused(refusal)) if refusal.code == ErrorCode::Conflict));
        assert_eq!(within(second.receipt()).await.unwrap().seq, Seq::new(1));
    }

    #[tokio::test]
    async fn a_refused_token_fails_what_waits_instead_of_retrying() {
        let gateway = TestGateway::start().await;
        let sender = sender(&gateway, 1);
        let pending = sender.start_send(message("a"), Receipt::Accepted).await.unwrap();
        gateway.accept().await.close(4401).await;
        let outcome = within(pending.receipt()).await;
        assert!(matches!(outcome, Err(SendError::Connect(ConnectError::Ended(_)))), "{outcome:?}");
    }
}
