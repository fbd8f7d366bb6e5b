//! The file itself, and the headers that let a browser run what is in it and nothing else.

use std::fmt::Write as _;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderName},
    web,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::Page;

const HTML: &str = include_str!("index.html");

/// The file with what is computed from it, once, at the start.
#[derive(Debug)]
pub(super) struct Document {
    etag: String,
    /// The Content-Security-Policy up to the hosts that may be connected to.
    policy: String,
}

impl Document {
    pub(super) fn new() -> Self {
        let mut policy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                          require-trusted-types-for 'script'; img-src data:"
            .to_owned();
        for (element, directive) in [("style", "style-src"), ("script", "script-src")] {
            let _ = write!(policy, "; {directive}");
            for text in elements(HTML, element) {
                let _ = write!(policy, " 'sha256-{}'", hash(text));
            }
        }
        policy.push_str("; connect-src 'self'");
        Self { etag: format!("\"{}\"", hash(HTML)), policy }
    }
}

fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}

/// The texts between `<element>` and `</element>`, exactly as a browser hashes them.
fn elements<'a>(html: &'a str, element: &str) -> impl Iterator<Item = &'a str> {
    let end = format!("</{element}>");
    let starts = html.split(&format!("<{element}>")).skip(1).collect::<Vec<_>>();
    starts.into_iter().filter_map(move |rest| rest.split(&end).next())
}

pub(super) async fn serve(request: HttpRequest, page: web::Data<Page>) -> HttpResponse {
    let Document { etag, policy } = &page.document;
    let mut policy = policy.clone();
    // Not every browser counts the WebSockets of the page's own host to 'self'.
    if let Some(host) = plain_host(&request) {
        let _ = write!(policy, " ws://{host} wss://{host}");
    }
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let is_known = known.is_some_and(|known| known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag));
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, etag.as_str()))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((HeaderName::from_static("cross-origin-opener-policy"), "same-origin"));
    if is_known { response.finish() } else { response.content_type("text/html; charset=utf-8").body(HTML) }
}

/// The host that the page was asked for, when it consists of what can stand in the policy without changing it.
fn plain_host(request: &HttpRequest) -> Option<&str> {
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    (!host.is_empty() && host.bytes().all(is_plain)).then_some(host)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use actix_web::{
        App,
        dev::ServiceResponse,
        http::{Method, StatusCode},
        test,
    };

    use super::*;
    use crate::page::configure;

    async fn ask(request: test::TestRequest) -> ServiceResponse {
        let page = Arc::new(Page::new(None));
        let app = test::init_service(App::new().configure(|routes| configure(routes, page))).await;
        test::call_service(&app, request.uri("/").to_request()).await
    }

    fn header(response: &ServiceResponse, name: &str) -> String {
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    #[actix_web::test]
    async fn the_page_may_run_its_own_script_and_style_and_connect_to_its_own_host() {
        let response = ask(test::TestRequest::get().insert_header(("host", "huddle.example:8080"))).await;
        assert_eq!(response.status(), StatusCode::OK);
        let policy = header(&response, "content-security-policy");
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "style-src 'sha256-",
            "script-src 'sha256-",
            "connect-src 'self' ws://huddle.example:8080 wss://huddle.example:8080",
        ] {
            assert!(policy.contains(part), "{part} is not in: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        assert_eq!(header(&response, "referrer-policy"), "no-referrer");
        assert_eq!(header(&response, "content-type"), "text/html; charset=utf-8");
        assert_eq!(test::read_body(response).await, HTML);
    }

    #[actix_web::test]
    async fn a_host_that_would_change_the_policy_is_left_out_of_it() {
        for host in ["a; script-src *", "a 'unsafe-inline'", "*", ""] {
            let response = ask(test::TestRequest::get().insert_header(("host", host))).await;
            let policy = header(&response, "content-security-policy");
            assert!(policy.ends_with("connect-src 'self'"), "{host:?}: {policy}");
        }
    }

    #[actix_web::test]
    async fn a_browser_that_has_the_page_is_not_sent_it_again() {
        let etag = header(&ask(test::TestRequest::get()).await, "etag");
        assert!(etag.len() > 40, "{etag}");
        for (known, status) in [
            (etag.clone(), StatusCode::NOT_MODIFIED),
            (format!("\"other\", W/{etag}"), StatusCode::NOT_MODIFIED),
            ("\"other\"".to_owned(), StatusCode::OK),
        ] {
            let response = ask(test::TestRequest::get().insert_header(("if-none-match", known.as_str()))).await;
            assert_eq!(response.status(), status, "{known}");
            assert_eq!(header(&response, "etag"), etag);
            assert!(!header(&response, "content-security-policy").is_empty());
        }
    }

    #[actix_web::test]
    async fn the_page_is_only_read() {
        assert_eq!(ask(test::TestRequest::default().method(Method::HEAD)).await.status(), StatusCode::OK);
        assert_eq!(ask(test::TestRequest::post()).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[actix_web::test]
    async fn the_page_asks_nobody_else_for_anything() {
        let outside =
            HTML.match_indices("://").map(|(index, _)| &HTML[index.saturating_sub(4)..(index + 13).min(HTML.len())]);
        let outside: Vec<_> = outside.filter(|text| !text.contains("www.w3.org") && !text.contains("//$")).collect();
        assert!(outside.is_empty(), "{outside:?}");
        for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!HTML.contains(sink), "text is set as text, never as {sink}");
        }
    }
}
