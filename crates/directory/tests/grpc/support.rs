//! A running directory service, and calls to it in a few words.

use std::net::SocketAddr;

use huddle_directory::{Config, Parts, Server};
use huddle_domain::{Role, TeamId};
use huddle_log::Log as _;
use huddle_proto::{
    Refusal,
    directory::v1::{
        AddMemberRequest, ArchiveTeamRequest, ChangeMemberRoleRequest, CreateTeamRequest, CreateTeamResponse,
        GetMembershipRequest, RemoveMemberRequest, RenameTeamRequest, directory_service_client::DirectoryServiceClient,
    },
    event::v1 as event,
    gateway::v1::ErrorCode,
};
use huddle_service::{health::Readiness, lifecycle::Shutdown, metrics::Metrics};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Status, transport::Channel};

use crate::backend::{Backend, SERVICE_TOKEN, connect, token, with};

pub(crate) struct Directory {
    pub(crate) backend: Backend,
    pub(crate) channel: Channel,
    pub(crate) metrics: Metrics,
    _running: AbortOnDropHandle<()>,
}

/// What a change came to: the position and whether it was stored, or the code of its refusal.
pub(crate) type Outcome = Result<(u64, bool), ErrorCode>;

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    Service,
    User(&'static str),
    Expired(&'static str),
    /// A user whose tokens have been revoked.
    Revoked,
    Nobody,
}

const REVOKED: &str = "rita";

impl Caller {
    pub(crate) fn request<T>(self, message: T) -> Request<T> {
        match self {
            Self::Service => with(SERVICE_TOKEN, message),
            Self::User(user) => with(&token(user), message),
            Self::Expired(user) => with(&crate::backend::expired_token(user), message),
            Self::Revoked => with(&token(REVOKED), message),
            Self::Nobody => Request::new(message),
        }
    }
}

impl Directory {
    pub(crate) async fn start() -> Self {
        let backend = Backend::start().await;
        backend.revoke(REVOKED);
        let (shutdown, metrics) = (Shutdown::new(), Metrics::new());
        let server = Server::bind(Parts {
            config: Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..Config::default() },
            log: backend.log.clone(),
            events: backend.store.clone(),
            directory: backend.store.clone(),
            partitions: backend.store.clone(),
            verifier: backend.verifier.clone(),
            metrics: metrics.clone(),
            readiness: Readiness::new(shutdown.clone()),
            memory: None,
        });
        let server = server.await.unwrap();
        let address = server.local_addr();
        let run = server.run(shutdown);
        let running = AbortOnDropHandle::new(tokio::spawn(async { run.await.unwrap() }));
        let channel = connect(address).await;
        Self { backend, channel, metrics, _running: running }
    }

    pub(crate) fn client(&self) -> DirectoryServiceClient<Channel> {
        DirectoryServiceClient::new(self.channel.clone())
    }

    /// Makes `team` with the owner `olga`, the admin `adam` and the members `mia` and `max`; `eve` was a member.
    pub(crate) async fn found(&self, team: &str) {
        self.create(Caller::Service, team, "olga", "").await.unwrap();
        for (user, role) in [("adam", Role::Admin), ("mia", Role::Member), ("max", Role::Member), ("eve", Role::Member)]
        {
            self.add(Caller::Service, team, user, role, "").await.unwrap();
        }
        self.remove(Caller::Service, team, "eve", "").await.unwrap();
    }

    pub(crate) async fn create(
        &self,
        caller: Caller,
        team: &str,
        owner: &str,
        client_id: &str,
    ) -> Result<CreateTeamResponse, ErrorCode> {
        let request = CreateTeamRequest {
            team: team.to_owned(),
            name: "A team".to_owned(),
            owner: owner.to_owned(),
            client_id: client_id.to_owned(),
        };
        let answer = self.client().create_team(caller.request(request)).await;
        answer.map(tonic::Response::into_inner).map_err(|status| code(&status))
    }

    pub(crate) async fn rename(&self, caller: Caller, team: &str, name: &str, client_id: &str) -> Outcome {
        let request =
            RenameTeamRequest { team: team.to_owned(), name: name.to_owned(), client_id: client_id.to_owned() };
        outcome(self.client().rename_team(caller.request(request)).await, |answer| (answer.seq, answer.stored))
    }

    pub(crate) async fn archive(&self, caller: Caller, team: &str, client_id: &str) -> Outcome {
        let request = ArchiveTeamRequest { team: team.to_owned(), client_id: client_id.to_owned() };
        outcome(self.client().archive_team(caller.request(request)).await, |answer| (answer.seq, answer.stored))
    }

    pub(crate) async fn add(&self, caller: Caller, team: &str, user: &str, role: Role, client_id: &str) -> Outcome {
        let request = AddMemberRequest {
            team: team.to_owned(),
            user: user.to_owned(),
            role: event::Role::from(role).into(),
            name: String::new(),
            client_id: client_id.to_owned(),
        };
        outcome(self.client().add_member(caller.request(request)).await, |answer| (answer.seq, answer.stored))
    }

    pub(crate) async fn remove(&self, caller: Caller, team: &str, user: &str, client_id: &str) -> Outcome {
        let request =
            RemoveMemberRequest { team: team.to_owned(), user: user.to_owned(), client_id: client_id.to_owned() };
        outcome(self.client().remove_member(caller.request(request)).await, |answer| (answer.seq, answer.stored))
    }

    pub(crate) async fn change_role(
        &self,
        caller: Caller,
        team: &str,
        user: &str,
        role: Role,
        client_id: &str,
    ) -> Outcome {
        let request = ChangeMemberRoleRequest {
            team: team.to_owned(),
            user: user.to_owned(),
            role: event::Role::from(role).into(),
            client_id: client_id.to_owned(),
        };
        outcome(self.client().change_member_role(caller.request(request)).await, |answer| (answer.seq, answer.stored))
    }

    /// What `user` is in `team`; `None` when the user is no member.
    pub(crate) async fn role(&self, team: &str, user: &str) -> Option<Role> {
        let request = GetMembershipRequest { team: team.to_owned(), user: user.to_owned(), min_seq: 0 };
        match self.client().get_membership(Caller::Service.request(request)).await {
            Ok(answer) => answer.into_inner().role().known(),
            Err(status) => {
                assert_eq!(code(&status), ErrorCode::NotFound);
                None
            }
        }
    }

    /// The position of the team's last event in the log.
    pub(crate) async fn last_seq(&self, team: &str) -> Option<u64> {
        let last = self.backend.log.last_seq(&TeamId::parse(team).unwrap()).await.unwrap();
        last.map(huddle_domain::Seq::get)
    }
}

fn outcome<T>(answer: Result<tonic::Response<T>, Status>, read: impl Fn(T) -> (u64, bool)) -> Outcome {
    answer.map(|answer| read(answer.into_inner())).map_err(|status| code(&status))
}

/// The code of the closed set that `status` carries.
pub(crate) fn code(status: &Status) -> ErrorCode {
    Refusal::from_status(status).code
}
