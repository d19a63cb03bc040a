//! Wraps the handler for one request: a panic becomes an error instead of a hanging request, and the handler stops
//! when its call is cancelled, takes too long or has no receiver.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, CustomRequest,
    CustomResult, ErrorCode, ErrorData, GetPromptRequestParams, GetPromptResponse, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, ServerConfig, SubscriptionFilter, Tool,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{RoleServer, ServerHandler};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::http::metrics::Metrics;
use crate::http::reply::TRANSPORT_ERROR;
use crate::mcp::handler::as_custom;
use crate::mcp::{call_params, tools};
use crate::outcome::Outcome;

/// A handler that catches panics, and stops when nobody waits for it.
pub(crate) struct Guarded<H> {
    handler: H,
    request: Uuid,
    metrics: Arc<Metrics>,
    /// The SDK runs handlers in its own tasks, which have no request context.
    span: Span,
}

impl<H> Guarded<H> {
    /// Wraps a handler for one request.
    pub(crate) fn new(handler: H, request: Uuid, metrics: Arc<Metrics>, span: Span) -> Self {
        Self { handler, request, metrics, span }
    }

    /// Runs a method other than a tool call, and counts it.
    async fn counted<T>(
        &self,
        method: &'static str,
        unwanted: CancellationToken,
        call: impl Future<Output = Result<T, ErrorData>> + Send,
    ) -> Result<T, ErrorData> {
        let result = self.caught(unwanted, call).await;
        self.metrics.asked(method, Outcome::of(&result));
        result
    }

    /// The SDK runs handlers in its own tasks and cancels `unwanted` when it drops a request; by itself that stops
    /// nothing.
    async fn caught<T>(
        &self,
        unwanted: CancellationToken,
        call: impl Future<Output = Result<T, ErrorData>> + Send,
    ) -> Result<T, ErrorData> {
        let outcome = tokio::select! {
            biased;
            () = unwanted.cancelled() => {
                return Err(ErrorData::new(ErrorCode(TRANSPORT_ERROR), "the call was cancelled", None));
            }
            outcome = AssertUnwindSafe(call).catch_unwind().instrument(self.span.clone()) => outcome,
        };
        outcome.unwrap_or_else(|_| {
            tracing::error!(request.id = %self.request, "a handler panicked");
            let message = format!("internal error; see the server log for the request id {}", self.request);
            Err(ErrorData::internal_error(message, None))
        })
    }
}

type Context = RequestContext<RoleServer>;

impl<H: ServerHandler> ServerHandler for Guarded<H> {
    fn get_info(&self) -> ServerConfig {
        self.handler.get_info()
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.handler.supported_protocol_versions()
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.handler.get_tool(name)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListToolsResult, ErrorData> {
        self.counted("tools/list", context.ct.clone(), self.handler.list_tools(request, context)).await
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Context,
    ) -> Result<CallToolResponse, ErrorData> {
        let tool = tools::known_name(&request.name).unwrap_or("other");
        let began = Instant::now();
        let result = self.caught(context.ct.clone(), self.handler.call_tool(request, context)).await;
        let outcome = Outcome::of_call(&result);
        self.metrics.asked("tools/call", outcome);
        self.metrics.called(tool, outcome, began.elapsed());
        result
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.counted("resources/list", context.ct.clone(), self.handler.list_resources(request, context))
            .await
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        self.counted(
            "resources/templates/list",
            context.ct.clone(),
            self.handler.list_resource_templates(request, context),
        )
        .await
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        self.counted("resources/read", context.ct.clone(), self.handler.read_resource(request, context)).await
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListPromptsResult, ErrorData> {
        self.counted("prompts/list", context.ct.clone(), self.handler.list_prompts(request, context)).await
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        self.counted("prompts/get", context.ct.clone(), self.handler.get_prompt(request, context)).await
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: Context,
    ) -> Result<CompleteResult, ErrorData> {
        self.counted("completion/complete", context.ct.clone(), self.handler.complete(request, context)).await
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        self.handler.accepted_subscription_filter(requested)
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        // A subscription ends with its stream.
        self.counted("subscriptions/listen", CancellationToken::new(), self.handler.listen(context)).await
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: Context,
    ) -> Result<CustomResult, ErrorData> {
        // It is a tool call too, and counts as one.
        if let Some(Ok(call)) = call_params::recovered(&request) {
            return as_custom(self.call_tool(call, context).await?);
        }
        self.counted("other", context.ct.clone(), self.handler.on_custom_request(request, context)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guarded() -> Guarded<()> {
        Guarded::new((), Uuid::nil(), Arc::new(Metrics::new()), Span::none())
    }

    #[tokio::test]
    async fn a_call_that_nobody_wants_any_more_is_stopped() {
        let unwanted = CancellationToken::new();
        let guarded = guarded();
        let call = guarded.caught(unwanted.clone(), std::future::pending::<Result<(), ErrorData>>());
        unwanted.cancel();
        assert_eq!(call.await.unwrap_err().message, "the call was cancelled");
    }

    #[tokio::test]
    async fn a_panic_becomes_an_error_that_names_the_request() {
        let guarded = guarded();
        let panics = async { panic!("secret") };
        let error = guarded.caught::<()>(CancellationToken::new(), panics).await.unwrap_err();
        assert!(error.message.contains(&Uuid::nil().to_string()) && !error.message.contains("secret"));
    }
}
