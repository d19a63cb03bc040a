//! Wraps the handler for one request of a transport that runs each request by itself: reports requests and calls to
//! an observer, and stops when the call is cancelled, takes too long or has no receiver.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams, CompleteResult,
    CustomRequest, CustomResult, ErrorData, GetPromptRequestParams, GetPromptResponse, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, RequestMetaObject, ServerConfig,
    SubscriptionFilter, Tool,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{RoleServer, ServerHandler};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::mcp::errors::CANCELLED;
use crate::mcp::handler::{MemoryBankHandler, as_custom};
use crate::mcp::{call_params, tools};
use crate::outcome::Outcome;

/// Counts requests and calls of tools. The names are constants of the program.
pub(crate) trait Observer: Send + Sync + 'static {
    /// A request of a method was answered.
    fn request_answered(&self, method: &'static str, outcome: Outcome);

    /// A call of a tool was answered; `reply` is absent without a result.
    fn tool_answered(
        &self,
        tool: &'static str,
        outcome: Outcome,
        took: Duration,
        reply: Option<&CallToolResult>,
    );
}

/// A handler that is observed, and stops when nobody waits for it.
pub(crate) struct ObservedHandler<H> {
    handler: H,
    observer: Arc<dyn Observer>,
    /// The SDK runs handlers in its own tasks, which have no request context.
    span: Span,
}

impl<H> ObservedHandler<H> {
    /// Wraps a handler for one request.
    pub(crate) fn new(handler: H, observer: Arc<dyn Observer>, span: Span) -> Self {
        Self { handler, observer, span }
    }

    /// Runs a method other than a tool call, and counts it.
    async fn counted<T>(
        &self,
        method: &'static str,
        unwanted: CancellationToken,
        call: impl Future<Output = Result<T, ErrorData>> + Send,
    ) -> Result<T, ErrorData> {
        let result = self.unless_cancelled(unwanted, call).await;
        self.observer.request_answered(method, Outcome::of(&result));
        result
    }

    /// The SDK runs handlers in its own tasks and cancels `unwanted` when it drops a request; by itself that stops
    /// nothing.
    async fn unless_cancelled<T>(
        &self,
        unwanted: CancellationToken,
        call: impl Future<Output = Result<T, ErrorData>> + Send,
    ) -> Result<T, ErrorData> {
        tokio::select! {
            biased;
            () = unwanted.cancelled() => Err(ErrorData::new(CANCELLED, "the call was cancelled", None)),
            outcome = call.instrument(self.span.clone()) => outcome,
        }
    }
}

impl ObservedHandler<MemoryBankHandler> {
    /// Calls a tool in the task of the caller, without the SDK's. The call is stopped when it is dropped.
    ///
    /// # Errors
    /// As [`ServerHandler::call_tool`].
    pub(crate) async fn call_here(
        &self,
        request: CallToolRequestParams,
        meta: &RequestMetaObject,
    ) -> Result<CallToolResponse, ErrorData> {
        let running = RunningCall::new(&*self.observer, &request.name);
        let result = self.handler.call(request, meta).await;
        running.answered(&result);
        result
    }
}

/// A call of a tool that is reported once: with its reply, or as cancelled when it is dropped before.
struct RunningCall<'a> {
    observer: &'a dyn Observer,
    tool: &'static str,
    began: Instant,
    is_answered: bool,
}

impl<'a> RunningCall<'a> {
    fn new(observer: &'a dyn Observer, tool: &str) -> Self {
        Self { observer, tool: tools::label(tool), began: Instant::now(), is_answered: false }
    }

    fn answered(mut self, result: &Result<CallToolResponse, ErrorData>) {
        self.is_answered = true;
        let reply = match result {
            Ok(CallToolResponse::Complete(reply)) => Some(reply),
            _ => None,
        };
        self.report(Outcome::of_call(result), reply);
    }

    fn report(&self, outcome: Outcome, reply: Option<&CallToolResult>) {
        self.observer.request_answered("tools/call", outcome);
        self.observer.tool_answered(self.tool, outcome, self.began.elapsed(), reply);
    }
}

impl Drop for RunningCall<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.report(Outcome::Cancelled, None);
        }
    }
}

type Context = RequestContext<RoleServer>;

impl<H: ServerHandler> ServerHandler for ObservedHandler<H> {
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
        let running = RunningCall::new(&*self.observer, &request.name);
        let result =
            self.unless_cancelled(context.ct.clone(), self.handler.call_tool(request, context)).await;
        running.answered(&result);
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

    struct Unobserved;

    impl Observer for Unobserved {
        fn request_answered(&self, _: &'static str, _: Outcome) {}

        fn tool_answered(&self, _: &'static str, _: Outcome, _: Duration, _: Option<&CallToolResult>) {}
    }

    #[tokio::test]
    async fn an_abandoned_call_is_stopped() {
        let unwanted = CancellationToken::new();
        let observed = ObservedHandler::new((), Arc::new(Unobserved), Span::none());
        let call =
            observed.unless_cancelled(unwanted.clone(), std::future::pending::<Result<(), ErrorData>>());
        unwanted.cancel();
        assert_eq!(call.await.unwrap_err().message, "the call was cancelled");
    }
}
