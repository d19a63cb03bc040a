//! Sends traces to a collector, as OTLP over HTTP, from a bounded queue and a separate thread. An unreachable
//! collector costs spans, never a request.

use parking_lot::Mutex;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use memory_bank_core::clock::{Entropy, SystemEntropy};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Runtime;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{DynFilterFn, LevelFilter};
use tracing_subscriber::layer::Context as LayerContext;
use tracing_subscriber::registry::LookupSpan;

/// Time-out of one delivery.
const DELIVERY: Duration = Duration::from_secs(5);
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
            .with_filter(DynFilterFn::new(belongs).with_max_level_hint(LevelFilter::DEBUG))
    }

    /// Sends waiting spans, within a bound.
    pub(crate) fn end(self, within: Duration) {
        if let Err(error) = self.provider.shutdown_with_timeout(within) {
            tracing::debug!(%error, "the last traces were not delivered");
        }
    }
}

/// Spans of our own crates; those of databases only below a request, so that periodic tasks create no traces.
fn belongs<S>(metadata: &Metadata<'_>, context: &LayerContext<'_, S>) -> bool
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    if !metadata.is_span() || !metadata.target().starts_with("memory_bank") {
        return false;
    }
    let begins = matches!(metadata.name(), "request" | "tool");
    begins || context.lookup_current().is_some()
}

/// Delivers to a collector. The delivery thread has no tokio runtime, so this creates its own.
struct Collector {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Mutex<Runtime>,
    away: AtomicBool,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

impl Collector {
    fn new() -> anyhow::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        // Missing certificates are no error while the collector is reached without TLS.
        let (_added, _unreadable) =
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            runtime: Mutex::new(runtime),
            away: AtomicBool::new(false),
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
    fn note(&self, outcome: &Result<Response<Bytes>, HttpError>) {
        match outcome {
            Ok(_) => {
                if self.away.swap(false, Ordering::Relaxed) {
                    tracing::info!("traces are delivered again");
                }
            }
            Err(error) => {
                if !self.away.swap(true, Ordering::Relaxed) {
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
                match tokio::time::timeout(DELIVERY, self.deliver(request)).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err("the collector did not answer in time".into()),
                }
            })
        };
        self.note(&outcome);
        outcome
    }
}
