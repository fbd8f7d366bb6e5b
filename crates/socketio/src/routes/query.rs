//! What stands in a request's query and headers.

use std::net::SocketAddr;

use actix_web::{HttpRequest, http::header, web};

use crate::{Generation, Handshake, engine::Refusal, metrics::Transport};

/// Parameters of Engine.IO itself.
const OWN: [&str; 7] = ["EIO", "transport", "sid", "t", "b64", "j", TOKEN];
const TOKEN: &str = "token";
/// Parameters of a query. The handshake's are kept as long as the session.
const PARAMETERS_MAX: usize = 32;
/// Bytes of a token, wherever it stands.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a query as it is sent: a token, and as much besides.
const QUERY_BYTES_MAX: usize = TOKEN_BYTES_MAX + 8 * 1024;

/// A request, as far as its method and body do not matter.
pub(super) struct Query {
    pub(super) transport: Transport,
    pub(super) sid: Option<String>,
    pub(super) token: Option<String>,
    version: Option<String>,
    takes_base64_only: bool,
    others: Vec<(String, String)>,
    peer: Option<SocketAddr>,
}

impl Query {
    pub(super) fn parse(request: &HttpRequest) -> Result<Self, Refusal> {
        Self::read(request.query_string(), bearer(request), request.peer_addr())
    }

    fn read(query: &str, bearer: Option<String>, peer: Option<SocketAddr>) -> Result<Self, Refusal> {
        if query.len() > QUERY_BYTES_MAX || query.split('&').count() > PARAMETERS_MAX {
            return Err(Refusal::BadRequest);
        }
        let parameters = web::Query::<Vec<(String, String)>>::from_query(query);
        let parameters = parameters.map_err(|_| Refusal::BadRequest)?.into_inner();
        let get = |name: &str| parameters.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
        let transport = match get("transport") {
            Some("polling") => Transport::Polling,
            Some("websocket") => Transport::WebSocket,
            _ => return Err(Refusal::UnknownTransport),
        };
        if get("j").is_some() {
            return Err(Refusal::BadRequest);
        }
        let non_empty = |value: &str| (!value.is_empty()).then(|| value.to_owned());
        let token = get(TOKEN).and_then(non_empty).or(bearer);
        if token.as_ref().is_some_and(|token| token.len() > TOKEN_BYTES_MAX) {
            return Err(Refusal::BadRequest);
        }
        Ok(Self {
            transport,
            sid: get("sid").and_then(non_empty),
            token,
            version: get("EIO").map(str::to_owned),
            takes_base64_only: get("b64").is_some_and(|value| !matches!(value, "" | "0" | "false")),
            peer,
            others: parameters.into_iter().filter(|(name, _)| !OWN.contains(&name.as_str())).collect(),
        })
    }

    /// The generation that the client speaks, as far as it is said.
    pub(super) fn generation(&self) -> Generation {
        if self.version.as_deref() == Some("3") { Generation::V3 } else { Generation::V4 }
    }

    /// What a handshake says, and whether the client takes binary payloads.
    pub(super) fn into_handshake(self) -> Result<(Handshake, bool), Refusal> {
        let generation = match self.version.as_deref() {
            Some("4") => Generation::V4,
            Some("3") => Generation::V3,
            _ => return Err(Refusal::UnsupportedVersion),
        };
        let handshake = Handshake { generation, token: self.token, query: self.others, peer: self.peer };
        Ok((handshake, !self.takes_base64_only))
    }
}

/// Whether `text` is a query that a handshake may have.
pub(crate) fn is_query(text: &str) -> bool {
    Query::read(text, None, None).and_then(Query::into_handshake).is_ok()
}

fn bearer(request: &HttpRequest) -> Option<String> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn parse(query: &str, authorization: Option<&str>) -> Result<Query, Refusal> {
        let mut request = TestRequest::with_uri(&format!("/socket.io/?{query}"));
        if let Some(authorization) = authorization {
            request = request.insert_header((header::AUTHORIZATION, authorization));
        }
        Query::parse(&request.to_http_request())
    }

    #[test]
    fn the_token_is_in_the_query_or_else_in_the_header() {
        let token = |query: &str, authorization| parse(query, authorization).ok().and_then(|query| query.token);
        assert_eq!(token("transport=polling&token=a%20b", Some("Bearer c")).as_deref(), Some("a b"));
        assert_eq!(token("transport=polling&token=", Some("bearer  c ")).as_deref(), Some("c"));
        assert_eq!(token("transport=polling", Some("Basic c")), None);
        assert_eq!(token("transport=polling", Some("Bearer")), None);
    }

    #[test]
    fn the_application_sees_the_parameters_that_are_not_the_engines() {
        let query = parse("EIO=3&transport=polling&t=1&b64=1&token=s&team=5&team=6", None).ok().unwrap();
        let (handshake, takes_binary) = query.into_handshake().unwrap();
        assert_eq!(handshake.generation, Generation::V3);
        assert!(!takes_binary);
        let expected = [("team", "5"), ("team", "6")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(handshake.query, expected);
    }

    #[test]
    fn what_is_not_spoken_here_is_refused() {
        let refusal = |query: &str| match parse(query, None).map(Query::into_handshake) {
            Err(refusal) | Ok(Err(refusal)) => Some(refusal),
            Ok(Ok(_)) => None,
        };
        assert_eq!(refusal("EIO=4"), Some(Refusal::UnknownTransport));
        assert_eq!(refusal("EIO=4&transport=webtransport"), Some(Refusal::UnknownTransport));
        assert_eq!(refusal("EIO=4&transport=polling&j=0"), Some(Refusal::BadRequest));
        assert_eq!(refusal("EIO=2&transport=polling"), Some(Refusal::UnsupportedVersion));
        assert_eq!(refusal("transport=polling"), Some(Refusal::UnsupportedVersion));
        assert_eq!(refusal("EIO=4&transport=polling"), None);
    }
}
