//! The methods: each is measured and handed on to the file of its name.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use huddle_proto::history::v1::{
    FindSendsRequest, FindSendsResponse, GetMessageRequest, GetMessageResponse, ListEventsRequest, ListEventsResponse,
    ListMentionsRequest, ListMentionsResponse, ListMessagesRequest, ListMessagesResponse, StreamEventsRequest,
    StreamEventsResponse, history_service_server::HistoryService,
};
use tonic::{Request, Response, Status};

use crate::{
    find_sends::find_sends, get_message::get_message, list_events::list_events, list_mentions::list_mentions,
    list_messages::list_messages, reader::Reader, stream_events::stream_events,
};

#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) reader: Arc<Reader>,
}

#[tonic::async_trait]
impl HistoryService for Service {
    type StreamEventsStream = BoxStream<'static, Result<StreamEventsResponse, Status>>;

    async fn list_messages(
        &self,
        request: Request<ListMessagesRequest>,
    ) -> Result<Response<ListMessagesResponse>, Status> {
        self.reader.metrics.calls.observe("ListMessages", list_messages(&self.reader, request)).await
    }

    async fn get_message(&self, request: Request<GetMessageRequest>) -> Result<Response<GetMessageResponse>, Status> {
        self.reader.metrics.calls.observe("GetMessage", get_message(&self.reader, request)).await
    }

    async fn list_events(&self, request: Request<ListEventsRequest>) -> Result<Response<ListEventsResponse>, Status> {
        self.reader.metrics.calls.observe("ListEvents", list_events(&self.reader, request)).await
    }

    async fn stream_events(
        &self,
        request: Request<StreamEventsRequest>,
    ) -> Result<Response<Self::StreamEventsStream>, Status> {
        let timer = self.reader.metrics.calls.start("StreamEvents");
        stream_events(Arc::clone(&self.reader), request, timer).await.map(Response::new)
    }

    async fn list_mentions(
        &self,
        request: Request<ListMentionsRequest>,
    ) -> Result<Response<ListMentionsResponse>, Status> {
        self.reader.metrics.calls.observe("ListMentions", list_mentions(&self.reader, request)).await
    }

    async fn find_sends(&self, request: Request<FindSendsRequest>) -> Result<Response<FindSendsResponse>, Status> {
        self.reader.metrics.calls.observe("FindSends", find_sends(&self.reader, request)).await
    }
}
