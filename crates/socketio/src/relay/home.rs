//! The home's side: does on a session what was asked elsewhere.

use std::time::Duration;

use super::message::{Answer, Call, Frames, answer::Kind, call};
use crate::{
    Config,
    engine::{AttachRefused, End, Gone, Inner, Link, Polled, Posted, Refusal, Secret, Sessions, Taken},
};

/// How long the home keeps a call that has nothing to tell. The one who asks then asks again, which is how it notices in
/// time that the home is gone.
const HOP: Duration = Duration::from_secs(2);

/// Answers a call to a session of this worker thread, after a hop's time at the latest.
pub(crate) async fn answer(sessions: &Sessions, config: &Config, call: Call) -> Answer {
    let secret = call.secret[..].try_into().ok().map(Secret);
    let session = secret.and_then(|secret| sessions.get(secret));
    let (Some(session), Some(kind)) = (session, call.kind) else { return Answer::refused(Refusal::UnknownSid) };
    let is_request =
        matches!(kind, call::Kind::Poll(_) | call::Kind::Post(_) | call::Kind::Attach(_) | call::Kind::End(_));
    if is_request && !session.is_bound_to(call.token.as_deref()) {
        return Answer::refused(Refusal::UnknownSid);
    }
    let done = match kind {
        call::Kind::Poll(id) => match session.poll(id, Some(HOP)).await {
            Polled::Payload(payload) => Kind::Payload(payload.into()),
            Polled::Nothing => Kind::Again(true),
            Polled::Refused(refusal) => Kind::Refused(refusal.code()),
        },
        call::Kind::CancelPoll(id) => {
            session.cancel_poll(id);
            Kind::Done(true)
        }
        call::Kind::EndPoll(id) => match session.end_poll(id) {
            Some(payload) => Kind::Payload(payload.into()),
            None => Kind::Done(true),
        },
        call::Kind::SendAway(link) => {
            if let Some(link) = session.link(link) {
                session.send_away(&link);
            }
            Kind::Done(true)
        }
        call::Kind::Post(post) => match session.post(post.id, &post.payload.into()).await {
            Posted::Taken => Kind::Done(true),
            Posted::Busy => Kind::Again(true),
            Posted::Refused(refusal) => Kind::Refused(refusal.code()),
        },
        call::Kind::Attach(_) => match session.attach(Link::outbox(config), true) {
            Ok(link) => Kind::Attached(link.id),
            Err(AttachRefused::Taken) => Kind::Taken(true),
            Err(AttachRefused::Over) => Kind::Refused(Refusal::UnknownSid.code()),
        },
        call::Kind::Messages(fed) => {
            let messages: Vec<_> = fed.batch.into_iter().map(Into::into).collect();
            match session.link(fed.link) {
                None => Kind::Refused(Refusal::UnknownSid.code()),
                Some(link) => match session.feed(&link, fed.first, &messages, HOP).await {
                    Ok(next) => Kind::Next(next),
                    Err(Gone) => Kind::Refused(Refusal::UnknownSid.code()),
                },
            }
        }
        call::Kind::Take(asked) => take(&session, asked).await,
        call::Kind::End(_) => {
            session.end(End::TransportGone);
            Kind::Done(true)
        }
        call::Kind::Detach(link) => {
            if let Some(link) = session.link(link) {
                session.link_closed(&link);
            }
            Kind::Done(true)
        }
    };
    done.into()
}

async fn take(session: &Inner, asked: super::message::Take) -> Kind {
    let unknown = Kind::Refused(Refusal::UnknownSid.code());
    let Some(link) = session.link(asked.link) else { return unknown };
    match session.take(&link, asked.received, asked.has_room, HOP).await {
        Taken::Frames { frames, are_last } => Kind::Frames(Frames { frames, are_last }),
        Taken::Busy => Kind::Again(true),
        Taken::Gone => unknown,
    }
}
