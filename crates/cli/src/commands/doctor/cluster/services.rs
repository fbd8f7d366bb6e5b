//! Whether history and directory answer, and accept the service token.

use std::time::Duration;

use huddle_proto::{
    Refusal,
    directory::v1::{GetTeamRequest, directory_service_client::DirectoryServiceClient},
    gateway::v1::ErrorCode,
    history::v1::{FindSendsRequest, history_service_client::HistoryServiceClient},
};
use huddle_service::config::Secret;
use tokio::time::{Instant, timeout};
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::commands::doctor::{
    check::Outcome,
    finding::{Finding, Id},
};

/// How long one call may take.
const CALL_MAX: Duration = Duration::from_secs(4);
/// An answer that takes longer than this is felt by people.
const SLOW: Duration = Duration::from_secs(1);
/// A team that is asked for to see whether the token is accepted. Whether it exists does not matter.
const ASKED_TEAM: &str = "huddle-doctor";

pub(super) async fn history(url: &str, token: Option<&Secret>) -> Outcome {
    let service =
        Service { id: Id::History, name: "history", command: "huddle history", setting: "gateway.history_url", url };
    service
        .check(token, async |channel, token| {
            // Refused for its emptiness, once the token is accepted.
            let request = request(FindSendsRequest::default(), token)?;
            HistoryServiceClient::new(channel).find_sends(request).await.map(drop)
        })
        .await
}

pub(super) async fn directory(url: &str, token: Option<&Secret>) -> Outcome {
    let service = Service {
        id: Id::Directory,
        name: "directory",
        command: "huddle directory",
        setting: "gateway.directory_url",
        url,
    };
    service
        .check(token, async |channel, token| {
            let message = GetTeamRequest { team: ASKED_TEAM.to_owned() };
            DirectoryServiceClient::new(channel).get_team(request(message, token)?).await.map(drop)
        })
        .await
}

struct Service<'a> {
    id: Id,
    name: &'static str,
    command: &'static str,
    setting: &'static str,
    url: &'a str,
}

impl Service<'_> {
    async fn check(
        &self,
        token: Option<&Secret>,
        call: impl AsyncFnOnce(Channel, &Secret) -> Result<(), Status>,
    ) -> Outcome {
        let channel = match Endpoint::from_shared(self.url.to_owned()) {
            Ok(endpoint) => endpoint.connect_timeout(CALL_MAX).connect_lazy(),
            Err(_) => return self.unreachable("it is no URL").into(),
        };
        let asked = Instant::now();
        let mut client = HealthClient::new(channel.clone());
        let Ok(health) = timeout(CALL_MAX, client.check(HealthCheckRequest::default())).await else {
            return self.unreachable(&format!("no answer within {CALL_MAX:?}")).into();
        };
        let took = asked.elapsed();
        let mut findings = Vec::new();
        match health {
            Ok(answer) if answer.get_ref().status() == ServingStatus::Serving => {}
            Ok(_) => {
                let remedy =
                    format!("see the other findings, and the log of `{}`: most often it misses Postgres", self.command);
                findings.push(self.finding(Id::ServiceNotServing, "it says that it cannot serve", remedy));
            }
            Err(status) => return self.unreachable(&cause(&status)).into(),
        }
        if took > SLOW {
            let remedy = "look at the load of its machine and of the network in between";
            let finding =
                Finding::warning(Id::ServiceSlow, format!("its answer took {:.1} s", took.as_secs_f64()), remedy);
            findings.push(finding.about(self.name));
        }
        match token {
            // Without an answer there is nothing to say of the token.
            Some(token) => match timeout(CALL_MAX, call(channel, token)).await {
                Ok(outcome) => findings.extend(self.token_finding(outcome)),
                Err(_) => {
                    let remedy = format!("look at the log of `{}` and at the database's load", self.command);
                    findings.push(self.finding(
                        Id::ServiceNotServing,
                        format!("no answer within {CALL_MAX:?}"),
                        remedy,
                    ));
                }
            },
            None => {
                let remedy =
                    "set `auth.service_token` (`openssl rand -base64 48` makes one), the same for all services";
                findings.push(self.finding(Id::ServiceTokenMissing, "`auth.service_token` is not set", remedy));
            }
        }
        let fine =
            format!("{} answers within {:.0} ms and accepts the service token", self.url, took.as_secs_f64() * 1e3);
        Outcome::found_or(findings, self.id, fine)
    }

    fn token_finding(&self, outcome: Result<(), Status>) -> Option<Finding> {
        let refusal = Refusal::from_status(&outcome.err()?);
        // Anything else is said by somebody who has accepted the token, or by a service that is not well.
        matches!(refusal.code, ErrorCode::InvalidToken | ErrorCode::TokenExpired | ErrorCode::Forbidden).then(|| {
            let remedy = format!(
                "set `auth.service_token` to the same for all services, and start `{}` again after a change",
                self.command
            );
            self.finding(Id::ServiceTokenRefused, "it refuses the service token of this configuration", remedy)
        })
    }

    fn unreachable(&self, reason: &str) -> Finding {
        let found = format!("nothing answers at {} (`{}`): {reason}", self.url, self.setting);
        self.finding(
            Id::ServiceUnreachable,
            found,
            format!("start `{}`, or set `{}` to where it listens", self.command, self.setting),
        )
    }

    fn finding(&self, id: Id, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding::problem(id, found, remedy).about(self.name)
    }
}

fn request<T>(message: T, token: &Secret) -> Result<Request<T>, Status> {
    let mut value: tonic::metadata::MetadataValue<_> = format!("Bearer {}", token.expose())
        .parse()
        .map_err(|_| Status::from(Refusal::new(ErrorCode::InvalidToken, "the token cannot stand in a header")))?;
    value.set_sensitive(true);
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", value);
    request.set_timeout(CALL_MAX);
    Ok(request)
}

/// What the transport says, down to the system's own words.
fn cause(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut next = std::error::Error::source(status);
    while let Some(source) = next {
        text = source.to_string();
        next = source.source();
    }
    text
}
