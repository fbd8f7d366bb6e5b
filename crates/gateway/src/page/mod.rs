//! The page at `/`: one file that shows that Huddle works, and an integrator how little it takes. It is a client like
//! any other, over the native protocol; beside it there is only `GET /v1/demo`, for a machine of one's own.

mod demo;
mod document;

use std::sync::Arc;

use actix_web::{HttpResponse, web};

pub use demo::Demo;

use document::Document;

/// What the routes of the page serve; the same for all workers.
#[derive(Debug)]
pub(crate) struct Page {
    document: Document,
    demo: Option<Demo>,
}

impl Page {
    /// Without a `demo`, `/v1/demo` is as if it did not exist, and the page asks for a token.
    pub(crate) fn new(demo: Option<Demo>) -> Self {
        Self { document: Document::new(), demo }
    }
}

/// Adds the routes.
pub(crate) fn configure(config: &mut web::ServiceConfig, page: Arc<Page>) {
    let has_demo = page.demo.is_some();
    config.app_data(web::Data::from(page)).service(
        web::resource("/")
            .route(web::get().to(document::serve))
            .route(web::head().to(document::serve))
            .default_service(web::to(|| async { HttpResponse::MethodNotAllowed().finish() })),
    );
    if has_demo {
        config.route("/v1/demo", web::get().to(demo::serve));
    }
}
