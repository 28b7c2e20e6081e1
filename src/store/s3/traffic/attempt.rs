//! An HTTP client that lets attempts through as there is room, watches their bytes, and notes what becomes of them.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use rustix::io::Errno;
use tokio::time::Sleep;

use super::link::{Exchange, Link, TRICKLE_BYTES_PER_SECOND};
use super::{Held, RateLimits, Route, Signals, is_failure};
use crate::store::s3::attempts::note_turn;

/// Bodies from this size on are watched as they are sent; smaller ones fit the buffers of a connection.
const WATCHED_FROM_BYTES: u64 = 64 * 1024;
/// A connection is given so much of a body at a time: it takes the next once it has sent most of what it has.
const FRAME_BYTES: usize = 64 * 1024;
/// How often an exchange is looked at, at the most.
const LOOKS: Duration = Duration::from_secs(1);

/// The client of one store.
#[derive(Debug, Clone)]
pub(in crate::store::s3) struct GatedClient {
    pub(in crate::store::s3) inner: SharedHttpClient,
    pub(in crate::store::s3) gate: Gate,
}

/// What an attempt passes, and whom it tells how it went.
#[derive(Debug, Clone)]
pub(in crate::store::s3) struct Gate {
    pub(in crate::store::s3) link: Arc<Link>,
    pub(in crate::store::s3) route: Arc<Route>,
    pub(in crate::store::s3) signals: Arc<Signals>,
    /// How long an exchange may bring nothing.
    pub(in crate::store::s3) stall_limit: Duration,
    /// How many bytes a second bodies may take, if the caller has set a limit.
    pub(in crate::store::s3) limits: Option<Arc<RateLimits>>,
}

impl HttpClient for GatedClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(GatedConnector { inner, gate: self.gate.clone() })
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.inner.connector_metadata()
    }
}

#[derive(Debug)]
struct GatedConnector {
    inner: SharedHttpConnector,
    gate: Gate,
}

impl HttpConnector for GatedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (inner, gate) = (self.inner.clone(), self.gate.clone());
        HttpConnectorFuture::new(async move { gate.exchange(&inner, request).await })
    }
}

impl Gate {
    async fn exchange(
        &self,
        inner: &SharedHttpConnector,
        mut request: HttpRequest,
    ) -> Result<HttpResponse, ConnectorError> {
        let body_bytes = request.body().content_length().unwrap_or(0);
        let is_fetch = request.method() == "GET";
        let is_watched = body_bytes >= WATCHED_FROM_BYTES;
        let held = self.enter(if is_watched { body_bytes } else { 0 }).await;
        if is_watched {
            let (body, exchange) = (request.take_body(), Arc::clone(&held.exchange));
            *request.body_mut() = SdkBody::from_body_1_x(Outgoing {
                body,
                rest: Bytes::new(),
                exchange,
                limits: self.limits.clone(),
                next: None,
            });
        } else if let Some(pause) = self.limits.as_ref().and_then(|limits| limits.up.take_all(body_bytes)) {
            pause.await;
        }
        let outcome = self.watch(&held.exchange, inner.call(request)).await;
        match outcome {
            Ok(mut response) => {
                held.exchange.replied(body_bytes);
                let is_success = self.note_status(response.status().as_u16());
                let kind = Kind { is_success, may_trickle: !is_fetch };
                let body = Incoming::new(response.take_body(), held, kind, self.clone());
                *response.body_mut() = SdkBody::from_body_1_x(body);
                Ok(response)
            }
            Err(error) => {
                self.note_failure(&error);
                Err(error)
            }
        }
    }

    /// Waits for room, in the order that the module's documentation names.
    async fn enter(&self, body_bytes: u64) -> Held {
        let began = Instant::now();
        let window = self.route.window.enter().await;
        self.route.pace.wait(|| self.signals.is_out_of_time()).await;
        let unsent = if body_bytes > 0 { self.link.begin_body(body_bytes).await } else { None };
        let connection = self.link.connections().take().await;
        note_turn(began.elapsed(), self.route.pace.is_limited());
        let exchange = Arc::new(Exchange::begin(&self.link, body_bytes, unsent));
        Held { _window: window, _connection: connection, exchange }
    }

    /// Waits for the reply's head while bytes of the request, or of anything else on the link, move.
    async fn watch(&self, exchange: &Exchange, call: HttpConnectorFuture) -> Result<HttpResponse, ConnectorError> {
        let mut call = std::pin::pin!(call);
        loop {
            tokio::select! {
                biased;
                outcome = &mut call => return outcome,
                () = tokio::time::sleep(self.look_interval()) => {
                    if let Some(silence) = exchange.stalled(self.stall_limit) {
                        return Err(ConnectorError::timeout(stalled(silence).into()));
                    }
                }
            }
        }
    }

    fn look_interval(&self) -> Duration {
        (self.stall_limit / 4).min(LOOKS)
    }

    /// Notes a reply; gives whether it is no failure.
    fn note_status(&self, status: u16) -> bool {
        let is_success = !is_failure(status);
        match status {
            429 | 503 => self.route.pace.refused(),
            _ if is_success => self.route.pace.succeeded(),
            _ => {}
        }
        self.signals.note_status(status);
        is_success
    }

    fn note_failure(&self, error: &ConnectorError) {
        // It says nothing of the endpoint's health: a certificate that is not trusted, a proxy that cannot be used.
        if error.is_user() {
            return;
        }
        let system_error = system_error(error);
        let no_descriptor = system_error.and_then(Errno::from_io_error).is_some_and(crate::descriptors::is_shortage);
        let is_unreachable = !error.is_timeout() && !no_descriptor && system_error.is_some_and(is_unreachable);
        // A connection that was never made says nothing of how many the endpoint bears.
        if !is_unreachable {
            self.route.window.fall();
        }
        self.signals.note_failure(is_unreachable);
    }
}

/// The system's error beneath one of the client's.
fn system_error(error: &ConnectorError) -> Option<&io::Error> {
    let mut next: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<io::Error>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Whether there was no connection at all; one that broke is none of these.
fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    !matches!(
        error.kind(),
        Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::BrokenPipe
            | Kind::UnexpectedEof
            | Kind::TimedOut
            | Kind::NotConnected
    )
}

fn stalled(silence: Duration) -> String {
    format!("no byte moved for {:.1} seconds", silence.as_secs_f32())
}

/// A frame, and until when it waits.
struct Delayed {
    frame: Frame<Bytes>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Delayed {
    /// The frame, once it has waited; to be called where there is one.
    fn poll(delayed: &mut Option<Self>, context: &mut Context<'_>) -> Poll<Frame<Bytes>> {
        if let Some(pause) = delayed.as_mut().and_then(|delayed| delayed.pause.as_mut()) {
            std::task::ready!(pause.as_mut().poll(context));
        }
        let frame = delayed.take().map(|delayed| delayed.frame);
        Poll::Ready(frame.unwrap_or_else(|| Frame::data(Bytes::new())))
    }

    fn len(delayed: Option<&Self>) -> usize {
        delayed.and_then(|delayed| delayed.frame.data_ref()).map_or(0, Bytes::len)
    }
}

/// The body of a request, in frames, each counted as the connection takes it.
struct Outgoing {
    body: SdkBody,
    /// What is left of a frame that was larger.
    rest: Bytes,
    exchange: Arc<Exchange>,
    limits: Option<Arc<RateLimits>>,
    /// The next frame, and what it waits for.
    next: Option<Delayed>,
}

impl Outgoing {
    /// Hands the next frame over, once a limit of the rate lets it pass.
    fn frame(&mut self, context: &mut Context<'_>) -> Poll<Frame<Bytes>> {
        if self.next.is_none() {
            let up = self.limits.as_ref().map(|limits| &limits.up);
            let most = up.map_or(FRAME_BYTES, |up| up.frame_bytes(FRAME_BYTES));
            let data = self.rest.split_to(self.rest.len().min(most));
            let pause = up.and_then(|up| up.take(data.len()));
            self.next = Some(Delayed { frame: Frame::data(data), pause });
        }
        let frame = std::task::ready!(Delayed::poll(&mut self.next, context));
        self.exchange.sent(frame.data_ref().map_or(0, Bytes::len) as u64);
        Poll::Ready(frame)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = <SdkBody as Body>::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if this.next.is_some() || !this.rest.is_empty() {
            return this.frame(context).map(|frame| Some(Ok(frame)));
        }
        match std::task::ready!(Pin::new(&mut this.body).poll_frame(context)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if !data.is_empty() => {
                    this.rest = data;
                    this.frame(context).map(|frame| Some(Ok(frame)))
                }
                Ok(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
                Err(other) => Poll::Ready(Some(Ok(other))),
            },
            other => Poll::Ready(other),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = (self.rest.len() + Delayed::len(self.next.as_ref())) as u64;
        let hint = Body::size_hint(&self.body);
        hint.exact().map_or_else(SizeHint::new, |bytes| SizeHint::with_exact(bytes + rest))
    }
}

/// The body of a reply. It fails where its bytes don't come; what the reader does in between takes no time here.
struct Incoming {
    body: SdkBody,
    held: Option<Held>,
    gate: Gate,
    /// Since when the reader waits, and what the link had moved then.
    waits: Option<(Instant, u64)>,
    next_look: Option<Pin<Box<Sleep>>>,
    lately: Lately,
    kind: Kind,
    /// How long the request's body and the reply's head took, and how long the reader waited since.
    took: Duration,
    /// A frame that has come and waits for its turn under a limit of the rate.
    delayed: Option<Delayed>,
}

/// What kind of exchange it is.
#[derive(Debug, Clone, Copy)]
struct Kind {
    /// Its status is that of no failure.
    is_success: bool,
    /// Its body may come slowly: S3 sends blanks while it joins the parts of a large object.
    may_trickle: bool,
}

/// What was received and moved while the reader waited, since it was last looked at whether the body trickles.
#[derive(Debug, Default)]
struct Lately {
    waited: Duration,
    received: u64,
    moved: u64,
}

impl Incoming {
    fn new(body: SdkBody, held: Held, kind: Kind, gate: Gate) -> Self {
        let took = held.exchange.age();
        let is_end = body.is_end_stream();
        let mut this = Self {
            body,
            held: Some(held),
            gate,
            waits: None,
            next_look: None,
            lately: Lately::default(),
            kind,
            took,
            delayed: None,
        };
        if is_end {
            // What has no body needs nothing any more.
            this.finish();
        }
        this
    }

    /// Hands a frame on, once a limit of the rate lets it pass.
    fn delay(&mut self, frame: Frame<Bytes>, context: &mut Context<'_>) -> Poll<Frame<Bytes>> {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let pause = self.gate.limits.as_ref().and_then(|limits| limits.down.take(bytes));
        if pause.is_none() {
            return Poll::Ready(frame);
        }
        self.delayed = Some(Delayed { frame, pause });
        Delayed::poll(&mut self.delayed, context)
    }

    /// The exchange is over, and says whether there may be more at a time, or should be fewer.
    fn finish(&mut self) {
        let Some(held) = self.held.take() else { return };
        let window = &self.gate.route.window;
        if held.exchange.was_crowded(self.took) {
            window.crowded();
        } else if self.kind.is_success {
            window.succeeded(self.took);
        }
    }

    /// The reader begins to wait, or goes on: an error once that is for nothing.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<String> {
        let Some(held) = &self.held else { return Poll::Pending };
        if self.waits.is_none() {
            held.exchange.wait_anew();
            self.waits = Some((Instant::now(), held.exchange.moved()));
        }
        loop {
            let interval = self.gate.look_interval();
            let look = self.next_look.get_or_insert_with(|| Box::pin(tokio::time::sleep(interval)));
            std::task::ready!(look.as_mut().poll(context));
            self.next_look = None;
            if let Some(silence) = held.exchange.stalled(self.gate.stall_limit) {
                return Poll::Ready(stalled(silence));
            }
        }
    }

    /// Counts a frame; an error if the body has become a trickle. One that is complete never is, however small it is.
    fn count(&mut self, bytes: u64) -> Result<(), String> {
        let Some(held) = &self.held else { return Ok(()) };
        if let Some((since, moved)) = self.waits.take() {
            let waited = since.elapsed();
            self.took += waited;
            self.lately.waited += waited;
            self.lately.moved += held.exchange.moved().saturating_sub(moved);
        }
        self.lately.moved += bytes;
        self.lately.received += bytes;
        held.exchange.received(bytes);
        if self.kind.may_trickle || self.lately.waited < self.gate.stall_limit || self.body.is_end_stream() {
            return Ok(());
        }
        let Lately { waited, received, moved } = std::mem::take(&mut self.lately);
        if held.exchange.trickles(waited, received, moved) {
            let seconds = waited.as_secs_f32();
            return Err(format!("fewer than {TRICKLE_BYTES_PER_SECOND} bytes a second came for {seconds:.1} seconds"));
        }
        Ok(())
    }

    fn fail(&mut self, text: String) -> Poll<Option<Result<Frame<Bytes>, <SdkBody as Body>::Error>>> {
        self.gate.route.window.fall();
        self.held = None;
        Poll::Ready(Some(Err(text.into())))
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = <SdkBody as Body>::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if this.delayed.is_some() {
            return Delayed::poll(&mut this.delayed, context).map(|frame| Some(Ok(frame)));
        }
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Pending => match this.wait(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(text) => this.fail(text),
            },
            Poll::Ready(Some(Ok(frame))) => match this.count(frame.data_ref().map_or(0, Bytes::len) as u64) {
                Ok(()) => {
                    if this.body.is_end_stream() {
                        this.finish();
                    }
                    this.delay(frame, context).map(|frame| Some(Ok(frame)))
                }
                Err(text) => this.fail(text),
            },
            Poll::Ready(other) => {
                if other.is_some() {
                    this.gate.route.window.fall();
                    this.held = None;
                }
                this.finish();
                Poll::Ready(other)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.delayed.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let delayed = Delayed::len(self.delayed.as_ref());
        let hint = Body::size_hint(&self.body);
        let exact = hint.exact().filter(|_| delayed > 0);
        exact.map_or(hint, |bytes| SizeHint::with_exact(bytes + delayed as u64))
    }
}
