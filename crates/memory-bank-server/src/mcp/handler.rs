//! The MCP handler: answers the methods of the protocol for one caller.

use std::sync::Arc;

use memory_bank_core::caller::{Caller, Right};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams, CompleteResult,
    CustomRequest, CustomResult, ErrorCode, ErrorData, GetPromptRequestParams, GetPromptResponse,
    Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, RequestMetaObject,
    ServerCapabilities, ServerConfig, ServerResult, SubscribeRequestParams, SubscriptionFilter,
    UnsubscribeRequestParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{RoleServer, ServerHandler};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::mcp::subscriptions::{self, Subscriptions};
use crate::mcp::tool_options::ToolOptions;
use crate::mcp::{apps, call_params, completions, instructions, panics, prompts, resources, rights, tools};
use crate::outcome::Outcome;
use crate::services::Services;
use crate::telemetry;

/// How long a client may cache a list of tools or prompts, in milliseconds. They change with the binary only.
const LISTS_FRESH_MS: u64 = 3_600_000;

/// Answers one client.
pub struct MemoryBankHandler {
    services: Services,
    caller: Arc<Caller>,
    subscriptions: Arc<Subscriptions>,
    ending: CancellationToken,
    options: ToolOptions,
    /// The id of the client's session, for the history.
    session: Option<String>,
}

impl MemoryBankHandler {
    /// A handler that acts as `caller`.
    #[must_use]
    pub fn new(services: Services, caller: Caller) -> Self {
        Self {
            services,
            caller: Arc::new(caller),
            subscriptions: Arc::default(),
            ending: CancellationToken::new(),
            options: ToolOptions::default(),
            session: None,
        }
    }

    /// Shows the tools of a toolset, and refuses changes in read-only mode.
    #[must_use]
    pub fn with_tools(self, options: ToolOptions) -> Self {
        let caller = Arc::new(options.restrict(Caller::clone(&self.caller)));
        Self { caller, options, ..self }
    }

    /// Sets the session that the history records.
    #[must_use]
    pub fn with_session(self, session: Option<String>) -> Self {
        Self { session, ..self }
    }

    /// Ends subscriptions when the token is cancelled, so that they do not delay the end of the connection.
    #[must_use]
    pub fn ending_with(self, ending: CancellationToken) -> Self {
        Self { ending, ..self }
    }

    /// Requires the right to read, for everything that shows the bank's content. Tools have their own rights.
    fn must_read(&self, method: &str) -> Result<(), ErrorData> {
        rights::require(&self.caller, Right::Read, method)
    }

    /// Runs a request; a panic becomes its error.
    async fn caught<T>(
        &self,
        what: &str,
        request: impl Future<Output = Result<T, ErrorData>> + Send,
    ) -> Result<T, ErrorData> {
        panics::caught(what, &*self.services.entropy, request).await
    }

    /// Runs a tool, unless it changes something in read-only mode.
    pub(super) async fn run_tool(
        &self,
        name: &str,
        arguments: Option<Map<String, Value>>,
    ) -> Result<CallToolResult, ErrorData> {
        let changes = tools::right_of(name, arguments.as_ref()).is_some_and(|right| right != Right::Read);
        if self.options.read_only && changes {
            return Ok(tools::refused_as_read_only(name));
        }
        self.caught(name, tools::call(&self.services, &self.caller, self.session.as_deref(), name, arguments))
            .await
    }

    /// Calls a tool in the trace that the metadata of its request names.
    pub(super) async fn call(
        &self,
        request: CallToolRequestParams,
        meta: &RequestMetaObject,
    ) -> Result<CallToolResponse, ErrorData> {
        let CallToolRequestParams { name, arguments, .. } = request;
        let span = telemetry::tool_span(tools::label(&name), meta);
        // On the heap, as the answer of a request.
        let result = Box::pin(self.run_tool(&name, arguments)).instrument(span.clone()).await;
        let result = result.map(CallToolResponse::from);
        telemetry::end_tool(&span, Outcome::of_call(&result).name());
        result
    }

    /// Whether lists of readable things are shown. For other callers they are empty, as the list of tools contains
    /// only tools that may be called.
    fn may_read(&self) -> bool {
        self.caller.may(Right::Read)
    }

    /// Whether this client shows apps: as it declared when its session began, or with this request.
    fn shows_apps(&self, context: &RequestContext<RoleServer>) -> bool {
        self.options.apps || apps::are_shown(context.client_capabilities())
    }
}

impl ServerHandler for MemoryBankHandler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_resources_list_changed()
            .enable_prompts()
            .enable_completions()
            .build();
        let mut info = ServerConfig::new(capabilities);
        info.server_info = Implementation::new("@diazstg/memory-bank-mcp", env!("CARGO_PKG_VERSION"));
        info.server_info.title = Some("Memory Bank".to_owned());
        let mut text = instructions::short(&self.caller, &self.options.toolset, tools::TOOLS);
        if let Some(notice) = self.services.workspace.notice(&self.caller) {
            text.push_str(&format!("\nNote: {notice}."));
        }
        info.instructions = Some(text);
        info
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let listed = tools::list(&self.caller, &self.options.toolset, self.shows_apps(&context));
        let mut result = ListToolsResult::with_all_items(listed);
        result.ttl_ms = freshness(&context);
        Ok(result)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.call(request, &context.meta).await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        if !self.may_read() {
            return Ok(ListResourcesResult::with_all_items(Vec::new()));
        }
        let cursor = request.and_then(|request| request.cursor);
        let with_apps = self.shows_apps(&context);
        let listed = resources::list(&self.services, &self.caller, cursor.as_deref(), with_apps);
        self.caught("resources/list", listed).await
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let templates = if self.may_read() { resources::templates() } else { Vec::new() };
        let mut result = ListResourceTemplatesResult::with_all_items(templates);
        result.ttl_ms = freshness(&context);
        Ok(result)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        self.must_read("resources/read")?;
        let read = resources::read(&self.services, &self.caller, &request.uri);
        Ok(self.caught("resources/read", read).await?.into())
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let prompts = if self.may_read() { prompts::list() } else { Vec::new() };
        let mut result = ListPromptsResult::with_all_items(prompts);
        result.ttl_ms = freshness(&context);
        Ok(result)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        self.must_read("prompts/get")?;
        let arguments = request.arguments.unwrap_or_default();
        let prompt = prompts::get(&self.services, &self.caller, &request.name, &arguments);
        Ok(self.caught("prompts/get", prompt).await?.into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        self.must_read("completion/complete")?;
        let completed = completions::complete(&self.services, &self.caller, &request);
        self.caught("completion/complete", completed).await
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.must_read("resources/subscribe")?;
        self.subscriptions.add(&request.uri)?;
        self.subscriptions.start(&self.services, &self.caller, &context.peer);
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.subscriptions.remove(&request.uri);
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        // `listen` refuses a caller who may not read, where the reply can contain the reason.
        if self.may_read() {
            Some(subscriptions::accepted(requested))
        } else {
            Some(SubscriptionFilter::default())
        }
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.must_read("subscriptions/listen")?;
        let listened = async {
            tokio::select! {
                () = self.ending.cancelled() => {}
                () = subscriptions::listen(&self.services, &self.caller, &context) => {}
            }
            Ok(())
        };
        self.caught("subscriptions/listen", listened).await
    }

    async fn on_initialized(&self, context: rmcp::service::NotificationContext<RoleServer>) {
        // From here on the client may be notified of a changed list of resources.
        self.subscriptions.start(&self.services, &self.caller, &context.peer);
    }

    /// A method that the model types do not know, or one whose parameters do not fit them.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        if let Some(call) = call_params::recovered(&request) {
            let response = match call {
                Ok(call) => self.call_tool(call, context).await?,
                Err(refused) => refused.into(),
            };
            return as_custom(response);
        }
        let method = request.method;
        if KNOWN_METHODS.contains(&method.as_str()) {
            let message = format!(
                "the parameters of `{method}` are missing or do not have the shape that MCP gives them"
            );
            return Err(ErrorData::invalid_params(message, None));
        }
        let short: String = method.chars().take(100).collect();
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, format!("unknown method `{short}`"), None))
    }
}

/// The reply of a tool to a custom request.
pub(crate) fn as_custom(response: CallToolResponse) -> Result<CustomResult, ErrorData> {
    let value = serde_json::to_value(ServerResult::from(response))
        .map_err(|error| ErrorData::internal_error(format!("the reply cannot be written: {error}"), None))?;
    Ok(CustomResult::new(value))
}

/// The cache hint of a list that changes with the binary only. It came with 2026-07-28; older peers get none.
fn freshness(context: &RequestContext<RoleServer>) -> Option<u64> {
    let knows_hints = context.protocol_version().is_some_and(|version| !version.has_initialize());
    knows_hints.then_some(LISTS_FRESH_MS)
}

/// Existing methods; a request for one of them that is not understood is malformed.
const KNOWN_METHODS: &[&str] = &[
    "initialize",
    "tools/call",
    "tools/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "subscriptions/listen",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "server/discover",
    "ping",
];
