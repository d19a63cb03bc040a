//! Sends traces to a collector, as OTLP over HTTP, from a bounded queue and a separate thread. An unreachable
//! collector costs spans, never a request.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};

use memory_bank_core::clock::{Entropy, SystemEntropy};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{DynFilterFn, LevelFilter};
use tracing_subscriber::layer::Context as LayerContext;
use tracing_subscriber::registry::LookupSpan;

use crate::cli::http_client;

/// Time-out of one delivery.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest reply of a collector that is read, in bytes.
const REPLY_BYTES: usize = 64 * 1024;

/// Traces for a collector.
#[derive(Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Starts to send traces to the endpoint of the standard variables.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let collector = Collector::new().context("traces cannot be sent")?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(collector)
            .build()
            .context("traces cannot be sent (`OTEL_EXPORTER_OTLP_ENDPOINT`)")?;
        let mut resource = Resource::builder().with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", SystemEntropy.id().to_string()),
        ]);
        if std::env::var_os("OTEL_SERVICE_NAME").is_none_or(|name| name.is_empty()) {
            resource = resource.with_service_name("memory-bank-mcp");
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        memory_bank_server::telemetry::enable();
        Ok(Self { provider })
    }

    /// Turns spans of this program into spans of traces. Log events are not part of a trace.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let tracer: SdkTracer = self.provider.tracer("memory-bank-mcp");
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_level(false)
            .with_filter(DynFilterFn::new(is_traced).with_max_level_hint(LevelFilter::DEBUG))
    }

    /// Sends queued spans, within this time.
    pub(crate) fn end(self, within: Duration) {
        if let Err(error) = self.provider.shutdown_with_timeout(within) {
            tracing::debug!(%error, "the last traces were not delivered");
        }
    }
}

/// Selects spans of our own crates; those of databases only below a request, so that periodic tasks create no traces.
fn is_traced<S>(metadata: &Metadata<'_>, context: &LayerContext<'_, S>) -> bool
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    if !metadata.is_span() || !metadata.target().starts_with("memory_bank") {
        return false;
    }
    let is_root = matches!(metadata.name(), "request" | "tool");
    is_root || context.lookup_current().is_some()
}

/// Delivers to a collector. The delivery thread has no tokio runtime, so this creates its own.
struct Collector {
    client: http_client::HttpClient,
    runtime: Mutex<Runtime>,
    is_unreachable: AtomicBool,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

impl Collector {
    fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self {
            client: http_client::new()?,
            runtime: Mutex::new(runtime),
            is_unreachable: AtomicBool::new(false),
        })
    }

    async fn deliver(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let response = self.client.request(request.map(Full::new)).await?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, REPLY_BYTES).collect().await?.to_bytes();
        if parts.status.is_success() {
            Ok(Response::from_parts(parts, body))
        } else {
            Err(format!("the collector answered {}", parts.status).into())
        }
    }

    /// Logs once when the collector becomes unreachable, and once when it is back.
    fn log_outcome(&self, outcome: &Result<Response<Bytes>, HttpError>) {
        match outcome {
            Ok(_) => {
                if self.is_unreachable.swap(false, Ordering::Relaxed) {
                    tracing::info!("traces are delivered again");
                }
            }
            Err(error) => {
                if !self.is_unreachable.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "traces cannot be delivered; they are dropped until the collector is back");
                }
            }
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let outcome = {
            let runtime = self.runtime.lock();
            runtime.block_on(async {
                match tokio::time::timeout(DELIVERY_TIMEOUT, self.deliver(request)).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err("the collector did not answer in time".into()),
                }
            })
        };
        self.log_outcome(&outcome);
        outcome
    }
}
