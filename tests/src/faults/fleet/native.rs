//! Owns clients of the native protocol: `huddle-client`'s connections, one after the other for ever.

use std::{collections::HashMap, time::Duration};

use anyhow::Result;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use huddle_client::{
    Accepted, Client, ClientOptions, Disconnect, Encoding, EventPage, Incoming, IncomingFrames, ListedEvent,
    RequestError, Subscribed, Token,
};
use huddle_domain::{ClientId, Seq, TeamId};
use huddle_verify::recording::{Note, Sees};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use super::{
    Phase,
    cast::{GatewayAddress, Kind, Plan},
    event_note,
    outbox::{Message, Outbox},
    unknown_event_note,
};
use crate::{Access, faults::recorder::Recorder};

/// How long one attempt to connect may take: a gateway that stands still is given up for the next one.
const CONNECT_BOUND: Duration = Duration::from_secs(5);
/// The wait before the first attempt after a lost connection, in milliseconds.
const RECONNECT_PAUSE_MS: std::ops::Range<u64> = 20..400;
/// The longest wait before an attempt, in milliseconds; waits double with each one that fails.
const RECONNECT_PAUSE_MAX_MS: u64 = 2_000;
/// The wait before a refused or ended subscription is asked for again, in milliseconds.
const RESUBSCRIBE_PAUSE_MS: std::ops::Range<u64> = 300..700;
/// The same of a client that is no member.
const OUTSIDE_PAUSE_MS: std::ops::Range<u64> = 1_000..2_000;
/// The wait between two reads of a page, in milliseconds.
const PAGE_PAUSE_MS: std::ops::Range<u64> = 1_500..4_500;
/// Events of a page at most.
const PAGE: u32 = 50;

/// A client that follows teams, sends, and reads pages for ever.
pub(super) struct Native {
    plan: Plan,
    encoding: Encoding,
    token: Token,
    gateways: Vec<GatewayAddress>,
    recorder: Recorder,
    phase: watch::Receiver<Phase>,
    rng: StdRng,
    outbox: Outbox,
    /// By team: everything up to here was seen.
    cursors: HashMap<String, u64>,
    connection: u32,
    reads: u64,
}

/// What came of a request.
enum Reply {
    Send { number: u64, message: Message, outcome: Result<Accepted, RequestError> },
    Subscribe { team: String, outcome: Result<Subscribed, RequestError> },
    Page { read: u64, outcome: Result<EventPage, RequestError> },
}

/// One connection at work.
struct Link {
    client: Client,
    frames: IncomingFrames,
    requests: FuturesUnordered<BoxFuture<'static, Reply>>,
    /// When to ask for a team again.
    subscribe_at: HashMap<String, Instant>,
    /// When to read the next page; `None` while one is under way.
    read_at: Option<Instant>,
}

/// How a connection ended.
struct Ended {
    reason: String,
    /// When the gateway wants the client back.
    reconnect_in: Option<Duration>,
}

impl Native {
    pub(super) fn new(
        plan: &Plan,
        access: &Access,
        gateways: &[GatewayAddress],
        recorder: Recorder,
        phase: watch::Receiver<Phase>,
    ) -> Result<Self> {
        let mut rng = StdRng::seed_from_u64(plan.seed);
        let encoding = match plan.kind {
            Kind::Native(encoding) => encoding,
            Kind::SocketIo(..) | Kind::Grpc => Encoding::Proto,
        };
        let cursors =
            if plan.from_now { HashMap::new() } else { plan.teams.iter().map(|team| (team.clone(), 0)).collect() };
        Ok(Self {
            encoding,
            token: access.token(&plan.name)?.into(),
            gateways: gateways.to_vec(),
            recorder,
            phase,
            outbox: Outbox::new(&plan.name, &plan.teams, plan.messages_per_second, &mut rng),
            rng,
            cursors,
            connection: 0,
            reads: 0,
            plan: plan.clone(),
        })
    }

    pub(super) async fn run(mut self) -> Result<()> {
        let mut gateway = self.plan.gateway;
        let mut failures = 0;
        while self.phase() < Phase::Stop {
            let address = self.gateways[gateway % self.gateways.len()].clone();
            let options = ClientOptions::new(address.ws, self.token.clone()).with_encoding(self.encoding);
            let mut pause = None;
            if let Ok(Ok((client, frames))) = timeout(CONNECT_BOUND, Box::pin(Client::connect(&options))).await {
                failures = 0;
                let user = client.welcome().user.to_string();
                self.note(Note::Connected { user, gateway: address.name, sees: Sees::Events });
                let ended = Box::pin(self.serve(client, frames)).await;
                self.note(Note::Disconnected { reason: ended.reason });
                self.connection += 1;
                self.outbox.disconnected();
                pause = ended.reconnect_in;
            } else {
                failures += 1;
            }
            gateway += 1;
            self.pause(pause, failures).await;
        }
        Ok(())
    }

    async fn pause(&mut self, told: Option<Duration>, failures: u32) {
        let drawn = self.rng.random_range(RECONNECT_PAUSE_MS) << failures.min(8);
        let pause = told.unwrap_or_else(|| Duration::from_millis(drawn.min(RECONNECT_PAUSE_MAX_MS)));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = self.phase.wait_for(|phase| *phase == Phase::Stop) => {}
        }
    }

    async fn serve(&mut self, client: Client, frames: IncomingFrames) -> Ended {
        let now = Instant::now();
        let subscribe_at = self.plan.teams.iter().map(|team| (team.clone(), now)).collect();
        let requests = FuturesUnordered::new();
        let mut link = Link { client, frames, requests, subscribe_at, read_at: Some(self.next_read()) };
        let mut reconnect_in = None;
        loop {
            let phase = self.phase();
            if phase == Phase::Stop {
                return self.leave(link).await;
            }
            self.subscribe_due(&mut link);
            self.send_due(&mut link, phase == Phase::Quiet).await;
            if phase == Phase::Run {
                self.read_due(&mut link);
            }
            let next_send = self.outbox.next_at(phase == Phase::Quiet);
            let next_read = link.read_at.filter(|_| phase == Phase::Run);
            let wake_at = link.subscribe_at.values().copied().chain(next_read).fold(next_send, Instant::min);
            tokio::select! {
                // Whoever told the phases has gone: so has the run.
                changed = self.phase.changed() => if changed.is_err() { return self.leave(link).await },
                Some(reply) = link.requests.next() => self.take_reply(&mut link, reply).await,
                frame = link.frames.next() => {
                    // A reply that came before the frame is written down before it.
                    while let Some(Some(reply)) = link.requests.next().now_or_never() {
                        self.take_reply(&mut link, reply).await;
                    }
                    match frame {
                        Some(Incoming::GoAway { reconnect_in: told }) => reconnect_in = Some(told),
                        Some(Incoming::Closed(disconnect)) => return ended(&disconnect, reconnect_in),
                        Some(frame) => self.take_frame(&mut link, frame),
                        None => return ended(&Disconnect::ClosedHere, reconnect_in),
                    }
                }
                () = sleep_until(wake_at) => {}
            }
        }
    }

    fn subscribe_due(&mut self, link: &mut Link) {
        let now = Instant::now();
        let due = link.subscribe_at.extract_if(|_, at| *at <= now).map(|(team, _)| team);
        let mut due: Vec<String> = due.collect();
        due.sort();
        for name in due {
            let Ok(team) = TeamId::parse(&name) else { continue };
            let after = self.cursors.get(&name).copied();
            self.note(Note::Subscribe { team: name.clone(), after });
            let client = link.client.clone();
            let subscribe = async move {
                let outcome = client.subscribe(&team, after.map(Seq::new)).await;
                Reply::Subscribe { team: name, outcome }
            };
            link.requests.push(subscribe.boxed());
        }
    }

    /// Asks for a page that holds what somebody got acknowledged just now.
    fn read_due(&mut self, link: &mut Link) {
        if link.read_at.is_none_or(|at| at > Instant::now()) {
            return;
        }
        link.read_at = Some(self.next_read());
        let name = self.plan.teams[self.rng.random_range(0..self.plan.teams.len())].clone();
        let accepted = self.recorder.recently_accepted(&name);
        let (Some(min_seq), Ok(team)) = (accepted.last().copied(), TeamId::parse(&name)) else { return };
        let after = accepted[self.rng.random_range(0..accepted.len())].min(min_seq).saturating_sub(1);
        let read = self.reads;
        self.reads += 1;
        link.read_at = None;
        self.note(Note::Read { read, team: name, after, min_seq });
        let client = link.client.clone();
        let page = async move {
            let outcome = client.list_events(&team, Seq::new(after), PAGE, Seq::new(min_seq)).await;
            Reply::Page { read, outcome }
        };
        link.requests.push(page.boxed());
    }

    fn next_read(&mut self) -> Instant {
        Instant::now() + Duration::from_millis(self.rng.random_range(PAGE_PAUSE_MS))
    }

    async fn send_due(&mut self, link: &mut Link, only_old: bool) {
        while let Some((number, message)) = self.outbox.next_due(only_old, &mut self.rng) {
            let ids = (TeamId::parse(&message.team), ClientId::parse(&message.client_id));
            let (Ok(team), Ok(client_id)) = ids else { continue };
            let Message { team: name, client_id: id, digest, .. } = &message;
            self.note(Note::Send { team: name.clone(), client_id: id.clone(), digest: digest.clone() });
            match link.client.start_send(&team, &client_id, message.body.clone()).await {
                Ok(pending) => {
                    let send = async move { Reply::Send { number, message, outcome: pending.accepted().await } };
                    link.requests.push(send.boxed());
                }
                // The frames tell the end of the connection.
                Err(_) => return self.outbox.unknown(number, &mut self.rng),
            }
        }
    }

    async fn take_reply(&mut self, link: &mut Link, reply: Reply) {
        match reply {
            Reply::Send { number, message, outcome } => {
                let Message { team, client_id, .. } = message;
                match outcome {
                    Ok(accepted) => {
                        let (seq, duplicate) = (accepted.seq.get(), accepted.duplicate);
                        self.note(Note::Accepted { team, client_id, seq, duplicate });
                        self.outbox.accepted(number);
                    }
                    Err(RequestError::Refused(refusal)) => {
                        let retryable = refusal.code.is_retryable();
                        let code = refusal.code.as_str_name().to_owned();
                        self.note(Note::Refused { team, client_id, code, retryable });
                        if retryable {
                            self.outbox.unknown(number, &mut self.rng);
                        } else {
                            self.outbox.refused(number);
                        }
                    }
                    Err(_) => self.outbox.unknown(number, &mut self.rng),
                }
            }
            Reply::Subscribe { team, outcome } => match outcome {
                Ok(subscribed) => {
                    let last_seq = subscribed.last_seq.get();
                    self.cursors.entry(team.clone()).or_insert(last_seq);
                    self.note(Note::Subscribed { team, last_seq });
                }
                Err(RequestError::Refused(refusal)) => self.ended(link, team, refusal.code.as_str_name()),
                Err(RequestError::Disconnected(_)) => {}
                // Whether it is subscribed is not known: a new connection settles that.
                Err(RequestError::TimedOut(_) | RequestError::UnexpectedReply) => link.client.close().await,
            },
            Reply::Page { read, outcome } => {
                link.read_at = Some(self.next_read());
                match outcome {
                    Ok(EventPage { team, events, has_more }) => {
                        let events = events.iter().map(|event| match event {
                            ListedEvent::Event(event) => event_note(event),
                            ListedEvent::Unknown { seq, prev_seq } => {
                                unknown_event_note(team.as_str(), *seq, *prev_seq)
                            }
                        });
                        self.note(Note::ReadDone { read, events: events.collect(), has_more });
                    }
                    Err(RequestError::Refused(refusal)) => {
                        self.note(Note::ReadRefused { read, code: refusal.code.as_str_name().to_owned() });
                    }
                    Err(error) => self.note(Note::ReadRefused { read, code: error.to_string() }),
                }
            }
        }
    }

    fn take_frame(&mut self, link: &mut Link, frame: Incoming) {
        match frame {
            Incoming::Event(event) => {
                self.advance(event.team.as_str(), event.seq);
                self.note(Note::Event(event_note(&event)));
            }
            Incoming::UnknownEvent { team, seq, prev_seq } => {
                self.advance(team.as_str(), seq);
                self.note(Note::Event(unknown_event_note(team.as_str(), seq, prev_seq)));
            }
            Incoming::CaughtUp { team, seq } => {
                self.advance(team.as_str(), seq);
                self.note(Note::CaughtUp { team: team.to_string(), seq: seq.get() });
            }
            Incoming::Stored { team, seq } => self.note(Note::Stored { team: team.to_string(), seq: seq.get() }),
            Incoming::SubscriptionEnded { team, refusal } => {
                self.ended(link, team.to_string(), refusal.code.as_str_name());
            }
            Incoming::TokenExpiring { .. } | Incoming::GoAway { .. } | Incoming::Closed(_) => {}
        }
    }

    fn ended(&mut self, link: &mut Link, team: String, code: &str) {
        let pause = if self.plan.is_outside { OUTSIDE_PAUSE_MS } else { RESUBSCRIBE_PAUSE_MS };
        let pause = Duration::from_millis(self.rng.random_range(pause));
        link.subscribe_at.insert(team.clone(), Instant::now() + pause);
        self.note(Note::Ended { team, code: code.to_owned() });
    }

    fn advance(&mut self, team: &str, seq: Seq) {
        let cursor = self.cursors.entry(team.to_owned()).or_default();
        *cursor = seq.get().max(*cursor);
    }

    /// Closes; what comes before the end is written down still.
    async fn leave(&mut self, mut link: Link) -> Ended {
        link.client.close().await;
        loop {
            match link.frames.next().await {
                Some(Incoming::Closed(disconnect)) => return ended(&disconnect, None),
                Some(frame) => self.take_frame(&mut link, frame),
                None => return ended(&Disconnect::ClosedHere, None),
            }
        }
    }

    fn note(&self, note: Note) {
        self.recorder.note(&self.plan.name, self.connection, note);
    }

    fn phase(&mut self) -> Phase {
        *self.phase.borrow_and_update()
    }
}

fn ended(disconnect: &Disconnect, reconnect_in: Option<Duration>) -> Ended {
    Ended { reason: disconnect.to_string(), reconnect_in }
}
