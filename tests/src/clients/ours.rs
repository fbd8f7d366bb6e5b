//! Owns clients made of `huddle-client`'s connections, in this process.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{StreamExt as _, future::try_join_all, stream::FuturesUnordered};
use huddle_client::{Client, ClientOptions, Encoding, Incoming, IncomingFrames, RequestError};
use huddle_domain::{ClientId, EventKind, Seq, TeamId};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{Accepted, ConnectionPlan, Content, Entry, EventSeen, Record, SendPlan};

const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// What the test has told the clients to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Listen,
    Send,
    Stop,
}

/// How far a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Starting,
    CaughtUp,
    Done,
}

#[derive(Debug)]
pub(super) struct OurClients {
    phase: watch::Sender<Phase>,
    members: Vec<(String, watch::Receiver<Progress>, JoinHandle<Result<Record>>)>,
}

impl Drop for OurClients {
    fn drop(&mut self) {
        for (_, _, task) in &self.members {
            task.abort();
        }
    }
}

impl OurClients {
    pub(super) fn start(plans: Vec<ConnectionPlan>) -> Self {
        let phase = watch::Sender::new(Phase::Listen);
        let members = plans.into_iter().map(|plan| {
            let (progress, watcher) = watch::channel(Progress::Starting);
            let name = plan.name.clone();
            let member = Member::new(plan, phase.subscribe(), progress);
            (name, watcher, tokio::spawn(member.run()))
        });
        let members = members.collect();
        Self { phase, members }
    }

    pub(super) async fn caught_up(&mut self, bound: Duration) -> Result<()> {
        self.reached(Progress::CaughtUp, bound).await
    }

    pub(super) fn go(&self) {
        self.phase.send_replace(Phase::Send);
    }

    pub(super) async fn done(&mut self, bound: Duration) -> Result<()> {
        self.reached(Progress::Done, bound).await
    }

    pub(super) async fn stop(mut self, bound: Duration) -> Result<Vec<Record>> {
        self.phase.send_replace(Phase::Stop);
        let members = std::mem::take(&mut self.members);
        let records = members.into_iter().map(async |(name, _, task)| {
            timeout(bound, task).await.with_context(|| format!("{name} did not stop within {bound:?}"))??
        });
        try_join_all(records).await
    }

    async fn reached(&mut self, wanted: Progress, bound: Duration) -> Result<()> {
        let waits = self.members.iter_mut().map(async |(name, progress, task)| {
            let reached = timeout(bound, progress.wait_for(|progress| *progress >= wanted)).await;
            match reached {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(_)) => match task.await? {
                    Ok(_) => bail!("{name} ended before it was {wanted:?}"),
                    Err(error) => Err(error.context(format!("{name} failed"))),
                },
                Err(_) => bail!("{name} was not {wanted:?} within {bound:?}"),
            }
        });
        try_join_all(waits).await.map(drop)
    }
}

/// A send that is not stored yet.
#[derive(Debug)]
struct Unfinished {
    send: SendPlan,
    accepted_at: Option<u64>,
}

struct Member {
    plan: ConnectionPlan,
    phase: watch::Receiver<Phase>,
    progress: watch::Sender<Progress>,
    entries: Vec<Entry>,
    attempt: u32,
    cursors: HashMap<String, u64>,
    caught_up: HashSet<String>,
    messages: HashMap<String, usize>,
    /// The last second receipt of each team on the present connection.
    stored: HashMap<String, u64>,
    /// In the order of the plan.
    unfinished: Vec<Unfinished>,
}

/// How one connection ended.
enum Ended {
    Stopped,
    Lost,
}

impl Member {
    fn new(plan: ConnectionPlan, phase: watch::Receiver<Phase>, progress: watch::Sender<Progress>) -> Self {
        let cursors = plan.subscriptions.iter().filter_map(|it| Some((it.team.clone(), it.after?))).collect();
        let unfinished = plan.sends.iter().cloned().map(|send| Unfinished { send, accepted_at: None }).collect();
        Self {
            plan,
            phase,
            progress,
            entries: Vec::new(),
            attempt: 0,
            cursors,
            caught_up: HashSet::new(),
            messages: HashMap::new(),
            stored: HashMap::new(),
            unfinished,
        }
    }

    async fn run(mut self) -> Result<Record> {
        loop {
            let url = self.plan.urls[self.attempt as usize % self.plan.urls.len()].clone();
            let options = ClientOptions::new(url, self.plan.token.clone()).with_encoding(Encoding::Proto);
            match Box::pin(Client::connect(&options)).await {
                Ok((client, frames)) => {
                    let ended = Box::pin(self.connection(&client, frames)).await;
                    if matches!(ended?, Ended::Stopped) {
                        return Ok(Record { connection: self.plan.name, entries: self.entries });
                    }
                }
                Err(error) if error.reconnect() == huddle_client::Reconnect::Never => return Err(error.into()),
                Err(_) => {}
            }
            self.attempt += 1;
            self.stored.clear();
            sleep(RECONNECT_PAUSE).await;
        }
    }

    async fn connection(&mut self, client: &Client, mut frames: IncomingFrames) -> Result<Ended> {
        let subscribe = async {
            for subscription in &self.plan.subscriptions {
                let after = self.cursors.get(&subscription.team).copied().map(Seq::new);
                let subscribed = client.subscribe(&TeamId::parse(&subscription.team)?, after).await;
                match subscribed {
                    Ok(_) => {}
                    Err(error) if error.is_retryable() => return Ok(false),
                    Err(error) => return Err(anyhow::Error::new(error)),
                }
            }
            Ok(true)
        };
        // Replies wait behind frames that nobody takes.
        let mut early = Vec::new();
        let subscribed = tokio::select! {
            subscribed = subscribe => subscribed?,
            () = async { while let Some(frame) = frames.next().await { early.push(frame); } } => false,
        };
        for frame in early {
            if self.note(frame)?.is_some() {
                return Ok(Ended::Lost);
            }
        }
        if !subscribed {
            return Ok(Ended::Lost);
        }
        self.serve(client, frames).await
    }

    async fn serve(&mut self, client: &Client, mut frames: IncomingFrames) -> Result<Ended> {
        let mut waiting: VecDeque<SendPlan> =
            self.unfinished.iter().map(|unfinished| unfinished.send.clone()).collect();
        let mut in_flight = FuturesUnordered::new();
        loop {
            self.report();
            let phase = *self.phase.borrow_and_update();
            if phase == Phase::Stop {
                return self.leave(client, frames).await;
            }
            while phase == Phase::Send && in_flight.len() < self.plan.in_flight_max {
                let Some(send) = waiting.pop_front() else { break };
                let (team, client_id) = (TeamId::parse(&send.team)?, ClientId::parse(&send.client_id)?);
                let Ok(pending) = client.start_send(&team, &client_id, send.body.clone()).await else { break };
                in_flight.push(async move { (send, pending.accepted().await) });
            }
            tokio::select! {
                changed = self.phase.changed() => changed.context("the test has gone")?,
                Some((send, outcome)) = in_flight.next() => match outcome {
                    Ok(accepted) => self.accept(&send, &accepted),
                    Err(RequestError::Disconnected(_)) => {}
                    Err(error) if error.is_retryable() => {
                        sleep(RETRY_PAUSE).await;
                        waiting.push_front(send);
                    }
                    Err(error) => return Err(error).with_context(|| format!("send {}", send.client_id)),
                },
                frame = frames.next() => {
                    let Some(frame) = frame else { return Ok(Ended::Lost) };
                    if let Some(ended) = self.note(frame)? {
                        return Ok(ended);
                    }
                }
            }
        }
    }

    /// Unsubscribes and closes; what comes before the end is noted down still.
    async fn leave(&mut self, client: &Client, mut frames: IncomingFrames) -> Result<Ended> {
        for index in 0..self.plan.subscriptions.len() {
            let team = TeamId::parse(&self.plan.subscriptions[index].team)?;
            let mut early = Vec::new();
            tokio::select! {
                unsubscribed = client.unsubscribe(&team) => unsubscribed?,
                () = async { while let Some(frame) = frames.next().await { early.push(frame); } } => {}
            }
            for frame in early {
                self.note(frame)?;
            }
        }
        client.close().await;
        while let Some(frame) = frames.next().await {
            self.note(frame)?;
        }
        Ok(Ended::Stopped)
    }

    fn accept(&mut self, send: &SendPlan, accepted: &huddle_client::Accepted) {
        let seq = accepted.seq.get();
        self.entry(Content::Accepted(Accepted {
            team: accepted.team.to_string(),
            seq,
            client_id: accepted.client_id.to_string(),
            duplicate: accepted.duplicate,
        }));
        let is_this = |it: &&mut Unfinished| it.send.team == send.team && it.send.client_id == send.client_id;
        if let Some(unfinished) = self.unfinished.iter_mut().find(is_this) {
            unfinished.accepted_at = Some(seq);
        }
        // A second receipt may have overtaken this one on its way through the client's two queues.
        self.finish(&send.team);
    }

    fn note(&mut self, frame: Incoming) -> Result<Option<Ended>> {
        match frame {
            Incoming::Event(event) => {
                let (team, seq) = (event.team.to_string(), event.seq.get());
                let body = match &event.kind {
                    EventKind::Posted { body, .. } => Some(body.as_str().to_owned()),
                    _ => None,
                };
                self.cursors.insert(team.clone(), seq);
                if body.is_some() {
                    *self.messages.entry(team.clone()).or_default() += 1;
                }
                self.entry(Content::Event(EventSeen {
                    team,
                    seq,
                    prev_seq: event.prev_seq.get(),
                    sender: event.sender.to_string(),
                    client_id: event.client_id.to_string(),
                    body,
                }));
            }
            Incoming::CaughtUp { team, seq } => {
                let (team, seq) = (team.to_string(), seq.get());
                self.cursors.insert(team.clone(), seq);
                self.caught_up.insert(team.clone());
                self.entry(Content::CaughtUp { team, seq });
            }
            Incoming::Stored { team, seq } => {
                let (team, seq) = (team.to_string(), seq.get());
                self.entry(Content::Stored { team: team.clone(), seq });
                let stored = self.stored.entry(team.clone()).or_default();
                *stored = seq.max(*stored);
                self.finish(&team);
            }
            Incoming::Closed(disconnect) => {
                ensure!(
                    disconnect.reconnect() != huddle_client::Reconnect::Never || self.is_stopping(),
                    "{disconnect}"
                );
                return Ok(Some(Ended::Lost));
            }
            Incoming::SubscriptionEnded { refusal, .. } => {
                ensure!(refusal.code.is_retryable(), "a subscription ended: {refusal}");
                return Ok(Some(Ended::Lost));
            }
            other => self.entry(Content::Other(format!("{other:?}"))),
        }
        Ok(None)
    }

    /// Forgets the sends to `team` that are stored, as this connection knows.
    fn finish(&mut self, team: &str) {
        let Some(stored) = self.stored.get(team) else { return };
        self.unfinished.retain(|it| it.send.team != team || it.accepted_at.is_none_or(|seq| seq > *stored));
    }

    fn entry(&mut self, content: Content) {
        self.entries.push(Entry { attempt: self.attempt, at: None, content });
    }

    fn is_stopping(&self) -> bool {
        *self.phase.borrow() == Phase::Stop
    }

    fn report(&self) {
        let all_caught_up = self.plan.subscriptions.iter().all(|it| self.caught_up.contains(&it.team));
        let received = |team: &str| self.messages.get(team).copied().unwrap_or_default();
        let all_received = self.plan.subscriptions.iter().all(|it| received(&it.team) >= it.messages);
        let progress = match (all_caught_up, all_received && self.unfinished.is_empty()) {
            (true, true) => Progress::Done,
            (true, false) => Progress::CaughtUp,
            (false, _) => Progress::Starting,
        };
        self.progress.send_if_modified(|present| {
            let is_further = progress > *present;
            *present = progress.max(*present);
            is_further
        });
    }
}
