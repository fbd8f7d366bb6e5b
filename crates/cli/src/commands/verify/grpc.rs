//! What history and directory say of a team.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use huddle_domain::{Seq, TeamId};
use huddle_proto::{
    Refusal,
    directory::v1::{ListMembersRequest, directory_service_client::DirectoryServiceClient},
    event::v1::{Event, event::Kind},
    gateway::v1::ErrorCode,
    history::v1::{ListEventsRequest, history_service_client::HistoryServiceClient},
};
use huddle_service::config::Secret;
use huddle_verify::recording::{EventNote, digest, kind};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

/// How long a connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long one page may take; a little more than history waits by itself for what is not stored yet.
const CALL_MAX: Duration = Duration::from_secs(15);
/// Events of a page, the most that history gives.
const PAGE_EVENTS: u32 = 1_000;
/// Members of a page, the most that the directory gives.
const PAGE_MEMBERS: u32 = 1_000;
/// An event of a kind that this version does not know.
const KIND_UNKNOWN: &str = "unknown";

/// Puts a token into each call.
#[derive(Clone)]
struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        request.set_timeout(CALL_MAX);
        Ok(request)
    }
}

pub(super) struct History {
    client: HistoryServiceClient<InterceptedService<Channel, Bearer>>,
    url: String,
    team: TeamId,
}

/// A page of a team's events, each with its time in milliseconds since 1970-01-01T00:00:00Z.
pub(super) struct Page {
    pub(super) events: Vec<(EventNote, i64)>,
    pub(super) has_more: bool,
}

impl History {
    pub(super) fn new(url: &str, token: &Secret, team: TeamId) -> Result<Self> {
        let client = HistoryServiceClient::with_interceptor(channel(url)?, bearer(token)?);
        Ok(Self { client, url: url.to_owned(), team })
    }

    /// The next page after `after`, which reflects at least everything up to `min_seq`; `None` when that is not stored
    /// yet.
    pub(super) async fn page(&mut self, after: u64, min_seq: Seq) -> Result<Option<Page>> {
        let team = self.team.to_string();
        let request = ListEventsRequest { team, after, limit: PAGE_EVENTS, min_seq: min_seq.get() };
        match self.client.list_events(request).await {
            Ok(response) => {
                let page = response.into_inner();
                let events = page.events.iter().map(|event| (note(event), event.time_ms));
                Ok(Some(Page { events: events.collect(), has_more: page.has_more }))
            }
            Err(status) if Refusal::from_status(&status).code == ErrorCode::NotYetStored => Ok(None),
            Err(status) => Err(refused(&status)).with_context(|| format!("cannot read history at {}", self.url)),
        }
    }
}

/// The team's members, as the directory at `url` lists them.
pub(super) async fn members(url: &str, token: &Secret, team: &TeamId) -> Result<BTreeSet<String>> {
    let mut client = DirectoryServiceClient::with_interceptor(channel(url)?, bearer(token)?);
    let mut members = BTreeSet::new();
    loop {
        let after_user = members.last().cloned().unwrap_or_default();
        let request = ListMembersRequest { team: team.to_string(), after_user, limit: PAGE_MEMBERS };
        let page = client.list_members(request).await;
        let page =
            page.map_err(|status| refused(&status)).with_context(|| format!("cannot ask the directory at {url}"))?;
        let page = page.into_inner();
        let is_last = !page.has_more || page.members.is_empty();
        members.extend(page.members.into_iter().map(|member| member.user));
        if is_last {
            return Ok(members);
        }
    }
}

/// The event without its body.
pub(super) fn note(event: &Event) -> EventNote {
    let (kind, digest, subject) = match &event.kind {
        Some(Kind::Posted(posted)) => (kind::POSTED, Some(digest(&posted.body)), None),
        Some(Kind::TeamCreated(created)) => (kind::TEAM_CREATED, None, Some(&created.owner)),
        Some(Kind::TeamRenamed(_)) => ("team_renamed", None, None),
        Some(Kind::TeamArchived(_)) => ("team_archived", None, None),
        Some(Kind::MemberAdded(added)) => (kind::MEMBER_ADDED, None, Some(&added.user)),
        Some(Kind::MemberRemoved(removed)) => (kind::MEMBER_REMOVED, None, Some(&removed.user)),
        Some(Kind::MemberRoleChanged(changed)) => ("member_role_changed", None, Some(&changed.user)),
        None => (KIND_UNKNOWN, None, None),
    };
    EventNote {
        team: event.team.clone(),
        seq: event.seq,
        prev_seq: Some(event.prev_seq),
        sender: event.sender.clone(),
        client_id: Some(event.client_id.clone()),
        digest,
        kind: kind.to_owned(),
        subject: subject.cloned(),
    }
}

fn channel(url: &str) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned()).with_context(|| format!("{url} is no URL"))?;
    Ok(endpoint.connect_timeout(CONNECT_MAX).timeout(CALL_MAX).connect_lazy())
}

fn bearer(token: &Secret) -> Result<Bearer> {
    let mut value: MetadataValue<Ascii> =
        format!("Bearer {}", token.expose()).parse().map_err(|_| anyhow!("the token cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok(Bearer(value))
}

/// What a service answered, in its own words; of a transport, its innermost.
fn refused(status: &Status) -> anyhow::Error {
    let mut text = status.message().to_owned();
    let mut next = std::error::Error::source(status);
    while let Some(source) = next {
        text = source.to_string();
        next = source.source();
    }
    anyhow!(text)
}
