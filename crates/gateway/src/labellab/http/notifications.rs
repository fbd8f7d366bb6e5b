//! `GET /api/v1/notifications`: who mentioned the caller.

use std::{fmt, str::FromStr};

use actix_web::{HttpRequest, HttpResponse, http::header};
use huddle_domain::{Seq, TeamId};
use huddle_proto::history::v1::{ListMentionsRequest, MentionPosition, Message};
use serde::Serialize;

use super::{
    Answer, Problem, caller, core, names_of_senders,
    page::{Page, Wanted},
    problem::Failure,
    shown_name,
};
use crate::labellab::{encode::NotificationView, way::notification_id};

#[derive(Serialize)]
struct Listing<'a> {
    success: bool,
    msg: &'static str,
    body: Vec<NotificationView<'a>>,
}

/// Where a message stands among those that mention a user, written as `<time in ms>.<team>.<seq>`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    time_ms: i64,
    team: String,
    seq: u64,
}

/// The text is not a place.
#[derive(Debug)]
struct PlaceError;

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let mut parts = text.split('.');
        let (Some(time), Some(team), Some(seq), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(PlaceError);
        };
        Ok(Self {
            time_ms: time.parse().map_err(|_| PlaceError)?,
            team: TeamId::parse(team).map_err(|_| PlaceError)?.to_string(),
            seq: seq.parse().map_err(|_| PlaceError)?,
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.time_ms, self.team, self.seq)
    }
}

impl From<Place> for MentionPosition {
    fn from(place: Place) -> Self {
        Self { time_ms: place.time_ms, team: place.team, seq: place.seq }
    }
}

/// Returns notifications, newest first: those of the teams that the caller is in now.
pub(super) async fn serve(request: HttpRequest) -> Answer {
    let core = core(&request)?;
    let outcome = async {
        let (user, token) = caller(core, &request)?;
        let wanted = Wanted::<Place>::parse(request.query_string())?;
        let ask = async |before: Option<Place>, limit| {
            let question = ListMentionsRequest { user: String::new(), before: before.map(Into::into), limit };
            let page = core.history.list_mentions(token, question).await?;
            Ok((page.messages, page.has_older))
        };
        let page = wanted.read(ask, place).await?;
        Ok::<_, Problem>((user.user, wanted, page))
    };
    let (user, wanted, Page { messages, next }) =
        outcome.await.inspect_err(|problem| core.metrics.refused(problem.code()))?;
    if messages.is_empty() && wanted.before.is_none() {
        return Ok(HttpResponse::NotFound().json(Failure::new("No notifications found")));
    }
    let names = names_of_senders(core, &messages).await;
    let notification = |message: &Message| {
        let team = TeamId::parse(&message.team).ok()?;
        let id = notification_id(&team, Seq::new(message.seq));
        Some(NotificationView::mentioned(id, shown_name(&names, &message.sender), &user))
    };
    let body = messages.iter().filter_map(notification).collect();
    let mut response = HttpResponse::Ok();
    if let Some(next) = next {
        response.insert_header((header::LINK, wanted.link(format_args!("/api/v1/notifications"), &next)));
    }
    Ok(response.json(Listing { success: true, msg: "Notifications fetched successfully.", body }))
}

fn place(message: &Message) -> Place {
    Place { time_ms: message.time_ms, team: message.team.clone(), seq: message.seq }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written_and_nothing_else_is_one() {
        let message = Message { time_ms: 1_625_307_072_345, team: "team-a".to_owned(), seq: 12, ..Message::default() };
        let written = place(&message).to_string();
        assert_eq!(written, "1625307072345.team-a.12");
        assert_eq!(written.parse::<Place>().unwrap(), place(&message));
        for text in ["", "12", "1.7", "1.7.12.", "x.7.12", "1..12", "1.a b.12", "1.7.x", "1.7.-1"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
