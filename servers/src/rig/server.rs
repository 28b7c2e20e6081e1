//! Connections, and the way of a request through the rig.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::body::{self, Payload};
use super::config::Config;
use super::content::Content;
use super::faults::{Fault, Faults};
use super::objects::{self, RangeTwist, text};
use super::reply::{BrokenOff, Failure, Response, empty, xml_response};
use super::request::{Operation, Query, Target, access_key, signed_region};
use super::socket::Socket;
use super::store::{Bucket, Store, lock};
use super::{control, inject, listing, multipart, xml};

/// What was asked of the rig since its last reset.
#[derive(Debug, Default)]
pub struct Stats {
    operations: [AtomicU64; Operation::ALL.len()],
    body_bytes_in: AtomicU64,
    connections: AtomicU64,
    open_connections: AtomicU64,
    in_flight: AtomicU64,
    most_in_flight: AtomicU64,
}

impl Stats {
    fn begin(&self, operation: Operation) {
        self.operations[operation as usize].fetch_add(1, Ordering::Relaxed);
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_in_flight.fetch_max(now, Ordering::Relaxed);
    }

    pub fn count(&self, operation: Operation) -> u64 {
        self.operations[operation as usize].load(Ordering::Relaxed)
    }

    /// Requests of every kind.
    pub fn total(&self) -> u64 {
        Operation::ALL.iter().map(|operation| self.count(*operation)).sum()
    }

    pub fn most_in_flight(&self) -> u64 {
        self.most_in_flight.load(Ordering::Relaxed)
    }

    fn clear(&self) {
        self.operations.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        for count in [&self.body_bytes_in, &self.connections, &self.most_in_flight] {
            count.store(0, Ordering::Relaxed);
        }
    }

    pub fn report(&self, fired: &[u64]) -> Value {
        let counted = Operation::ALL.iter().filter(|operation| self.count(**operation) > 0);
        let operations: serde_json::Map<String, Value> =
            counted.map(|operation| (operation.name(), json!(self.count(*operation)))).collect();
        json!({
            "operations": operations,
            "requests": self.total(),
            "bytes_in": self.body_bytes_in.load(Ordering::Relaxed),
            "connections": self.connections.load(Ordering::Relaxed),
            "open_connections": self.open_connections.load(Ordering::Relaxed),
            "most_in_flight": self.most_in_flight(),
            "faults": fired,
        })
    }
}

/// One of these while a request is answered, so that a request given up by its client is not counted for ever.
struct InFlight<'stats>(&'stats Stats);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Everything that connections share.
#[derive(Debug)]
pub struct Shared {
    pub store: Store,
    pub faults: Faults,
    pub stats: Stats,
    pub log: Mutex<Vec<Value>>,
    at_start: Config,
    config: RwLock<Arc<Config>>,
    token_uses: Mutex<std::collections::HashMap<String, u64>>,
}

impl Shared {
    fn new(config: Config) -> Self {
        Self {
            store: Store::default(),
            faults: Faults::default(),
            stats: Stats::default(),
            log: Mutex::default(),
            at_start: config.clone(),
            config: RwLock::new(Arc::new(config)),
            token_uses: Mutex::default(),
        }
    }

    pub fn config(&self) -> Arc<Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn configure(&self, config: Config) {
        lock(&self.token_uses).clear();
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    pub fn reset(&self, with_objects: bool) {
        self.faults.replace(Vec::new());
        self.configure(self.at_start.clone());
        self.stats.clear();
        lock(&self.log).clear();
        if with_objects {
            self.store.clear();
        }
    }

    fn check_caller(&self, headers: &http::HeaderMap, config: &Config) -> Result<(), Failure> {
        if let (Some(expected), Some(account)) = (text(headers, "x-amz-expected-bucket-owner"), &config.account)
            && expected != account
        {
            return Err(Failure::new(403, "AccessDenied", "Access Denied"));
        }
        if let (Some(signed), Some(region)) = (signed_region(headers), &config.region)
            && signed != region
        {
            let message = "The bucket you are attempting to access must be addressed using the specified endpoint.";
            let failure = Failure::new(301, "PermanentRedirect", message);
            return Err(failure.with_header(http::HeaderName::from_static("x-amz-bucket-region"), region));
        }
        if config.token_requests.is_none() && config.expired_keys.is_empty() {
            return Ok(());
        }
        let key = access_key(headers).unwrap_or_default();
        let mut requests = lock(&self.token_uses);
        let used = requests.entry(key.to_owned()).or_default();
        *used += 1;
        if config.token_requests.is_some_and(|limit| *used > limit)
            || config.expired_keys.iter().any(|expired| expired == key)
        {
            return Err(Failure::new(400, "ExpiredToken", "The provided token has expired."));
        }
        Ok(())
    }
}

/// A server of its own, on 127.0.0.1; it ends when this is dropped.
#[derive(Debug)]
pub struct Rig {
    pub shared: Arc<Shared>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Rig {
    /// A rig with the usual settings on a free port.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(Config::default(), 0).await
    }

    pub async fn start_with(config: Config, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(config));
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self { shared, address, accepting })
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn create_bucket(&self, name: &str) -> Arc<Bucket> {
        self.shared.store.create_bucket(name).0
    }

    pub fn rules(&self, rules: Vec<super::Rule>) {
        self.shared.faults.replace(rules);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Ends with the accepting task, and takes the connections with it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    shared.stats.connections.fetch_add(1, Ordering::Relaxed);
                    shared.stats.open_connections.fetch_add(1, Ordering::Relaxed);
                    connections.spawn(serve(stream, shared.clone()));
                } else {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let flag = reset.clone();
    let for_requests = shared.clone();
    let service = service_fn(move |request| answer(for_requests.clone(), flag.clone(), request));
    let socket = TokioIo::new(Socket::new(stream, reset));
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(None);
    // Fails where a fault breaks the connection off or the client goes away: neither is an error of the rig.
    let _ = builder.serve_connection(socket, service).await;
    shared.stats.open_connections.fetch_sub(1, Ordering::Relaxed);
}

async fn answer(
    shared: Arc<Shared>,
    reset: Arc<AtomicBool>,
    request: Request<Incoming>,
) -> Result<Response, BrokenOff> {
    let (parts, incoming) = request.into_parts();
    if parts.uri.path().starts_with("/_rig/") {
        let Ok(payload) = body::collect(&parts.headers, incoming).await? else { return Err(BrokenOff) };
        let query = Query::parse(parts.uri.query());
        return Ok(control::handle(&shared, &parts.method, parts.uri.path(), &query, payload.content));
    }
    let target = match Target::parse(&parts) {
        Ok(target) => target,
        Err(failure) => return Ok(failure.into_response(parts.uri.path(), false)),
    };
    shared.stats.begin(target.operation);
    let _in_flight = InFlight(&shared.stats);
    let config = shared.config();
    let fault = shared.faults.decide(&target, config.seed);
    if config.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(config.delay_ms)).await;
    }
    let exchange = Exchange { shared: &shared, config: &config, target, parts };
    let response = exchange.run(incoming, fault.as_ref(), &reset).await;
    if config.log {
        exchange.log(response.as_ref().ok(), fault.as_ref());
    }
    response
}

struct Exchange<'shared> {
    shared: &'shared Shared,
    config: &'shared Config,
    target: Target,
    parts: http::request::Parts,
}

impl Exchange<'_> {
    async fn run(&self, incoming: Incoming, fault: Option<&Fault>, reset: &AtomicBool) -> Result<Response, BrokenOff> {
        if let Some(Fault::ResetRequest { at }) = fault {
            let length =
                text(&self.parts.headers, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            body::read_some(incoming, at.within(length)).await;
            reset.store(true, Ordering::Relaxed);
            return Err(BrokenOff);
        }
        let payload = body::collect(&self.parts.headers, incoming).await?;
        if let Ok(payload) = &payload {
            self.shared.stats.body_bytes_in.fetch_add(payload.content.len(), Ordering::Relaxed);
        }
        match fault {
            Some(Fault::Delay { ms }) => tokio::time::sleep(Duration::from_millis(*ms)).await,
            Some(Fault::Stall { at: None, ms }) => {
                tokio::time::sleep(ms.map_or(inject::FOREVER, Duration::from_millis)).await;
            }
            Some(Fault::Reset { at: None }) => {
                reset.store(true, Ordering::Relaxed);
                return Err(BrokenOff);
            }
            Some(Fault::Status { status, code, message, retry_after }) => {
                let failure = inject::failure(*status, code.as_deref(), message.as_deref(), *retry_after);
                return Ok(self.failed(failure));
            }
            Some(Fault::ErrorIn200 { code }) => {
                return Ok(inject::error_in_200(code.as_deref(), &self.target.resource()));
            }
            _ => {}
        }
        let response =
            payload.and_then(|payload| self.perform(payload, fault)).unwrap_or_else(|failure| self.failed(failure));
        match fault {
            None
            | Some(Fault::Delay { .. } | Fault::IgnoreRange | Fault::OtherRange | Fault::Stall { at: None, .. }) => {
                Ok(response)
            }
            Some(Fault::LostReply) => {
                reset.store(true, Ordering::Relaxed);
                Err(BrokenOff)
            }
            Some(fault) => {
                let (response, resets) = inject::spoil(response, fault, self.other(fault));
                reset.store(resets, Ordering::Relaxed);
                Ok(response)
            }
        }
    }

    fn failed(&self, failure: Failure) -> Response {
        failure.into_response(&self.target.resource(), self.target.operation.is_head())
    }

    fn other(&self, fault: &Fault) -> Option<Content> {
        let Fault::OtherObject { key, .. } = fault else { return None };
        objects::other_content(&*self.bucket().ok()?, &self.target.key, key.as_deref())
    }

    fn bucket(&self) -> Result<Arc<Bucket>, Failure> {
        let store = &self.shared.store;
        match store.bucket(&self.target.bucket) {
            Some(bucket) => Ok(bucket),
            None if self.config.auto_buckets => Ok(store.create_bucket(&self.target.bucket).0),
            None => Err(Failure::no_such_bucket()),
        }
    }

    fn perform(&self, payload: Payload, fault: Option<&Fault>) -> Result<Response, Failure> {
        let (target, parts, config) = (&self.target, &self.parts, self.config);
        if target.operation == Operation::GetCallerIdentity {
            return Ok(caller_identity(config));
        }
        self.shared.check_caller(&parts.headers, config)?;
        if let Some(response) = self.on_buckets()? {
            return Ok(response);
        }
        let bucket = self.bucket()?;
        let twist = match fault {
            Some(Fault::IgnoreRange) => RangeTwist::Ignore,
            Some(Fault::OtherRange) => RangeTwist::OtherPlace,
            _ => RangeTwist::None,
        };
        match target.operation {
            Operation::HeadBucket => Ok(empty(StatusCode::OK)),
            Operation::HeadObject => objects::head(&bucket, target, parts),
            Operation::GetObject => objects::get(&bucket, target, parts, twist),
            Operation::PutObject => objects::put(&bucket, target, parts, payload, config),
            Operation::CopyObject => self.copy(&bucket),
            Operation::DeleteObject => Ok(objects::delete(&bucket, target)),
            Operation::DeleteObjects => Ok(objects::delete_many(&bucket, &payload)),
            Operation::ListObjectsV2 => listing::list(&bucket, target),
            Operation::CreateMultipartUpload => {
                Ok(multipart::create(&self.shared.store, &bucket, target, &parts.headers))
            }
            Operation::UploadPart => multipart::upload_part(&bucket, target, parts, payload, config),
            Operation::CompleteMultipartUpload => multipart::complete(&bucket, target, parts, &payload, config),
            Operation::AbortMultipartUpload => multipart::abort(&bucket, target),
            Operation::ListParts => multipart::list_parts(&bucket, target),
            Operation::ListMultipartUploads => Ok(multipart::list_uploads(&bucket, target)),
            _ => Err(Failure::new(501, "NotImplemented", "The rig does not do this.")),
        }
    }

    /// The operations that need no bucket to be there.
    fn on_buckets(&self) -> Result<Option<Response>, Failure> {
        let store = &self.shared.store;
        match self.target.operation {
            Operation::CreateBucket => {
                if store.create_bucket(&self.target.bucket).1 {
                    let message = "Your previous request to create the named bucket succeeded and you already own it.";
                    return Err(Failure::new(409, "BucketAlreadyOwnedByYou", message));
                }
                Ok(Some(empty(StatusCode::OK)))
            }
            Operation::DeleteBucket => {
                let bucket = store.bucket(&self.target.bucket).ok_or_else(Failure::no_such_bucket)?;
                if !bucket.is_empty() {
                    return Err(Failure::new(409, "BucketNotEmpty", "The bucket you tried to delete is not empty"));
                }
                store.delete_bucket(&self.target.bucket);
                Ok(Some(empty(StatusCode::NO_CONTENT)))
            }
            Operation::GetBucketLocation => Ok(Some(xml_response(format!(
                "{}<LocationConstraint xmlns=\"{}\"/>",
                xml::DECLARATION,
                xml::NAMESPACE
            )))),
            Operation::ListBuckets => {
                let rows = store.bucket_names().into_iter().map(|name| format!("<Bucket><Name>{name}</Name></Bucket>"));
                let rows: String = rows.collect();
                let open = format!("{}<ListAllMyBucketsResult xmlns=\"{}\">", xml::DECLARATION, xml::NAMESPACE);
                Ok(Some(xml_response(format!("{open}<Buckets>{rows}</Buckets></ListAllMyBucketsResult>"))))
            }
            _ => Ok(None),
        }
    }

    fn copy(&self, bucket: &Bucket) -> Result<Response, Failure> {
        let source = text(&self.parts.headers, "x-amz-copy-source").unwrap_or_default();
        let source = percent_encoding::percent_decode_str(source.trim_start_matches('/')).decode_utf8_lossy();
        let (name, key) = source.split_once('/').ok_or_else(|| Failure::invalid_argument("Invalid copy source"))?;
        let found = self.shared.store.bucket(name).ok_or_else(Failure::no_such_bucket)?.get(key);
        Ok(objects::copy(bucket, &found.ok_or_else(Failure::no_such_key)?, &self.target, &self.parts))
    }

    fn log(&self, response: Option<&Response>, fault: Option<&Fault>) {
        lock(&self.shared.log).push(json!({
            "operation": self.target.operation.name(),
            "bucket": self.target.bucket,
            "key": self.target.key,
            "range": text(&self.parts.headers, "range"),
            "user_agent": text(&self.parts.headers, "user-agent"),
            "expected_owner": text(&self.parts.headers, "x-amz-expected-bucket-owner"),
            "access_key": access_key(&self.parts.headers),
            "checksums": checksum_headers(&self.parts.headers),
            "status": response.map(|response| response.status().as_u16()),
            "fault": fault,
        }));
    }
}

/// The headers that say something of the body's checksum.
fn checksum_headers(headers: &http::HeaderMap) -> Vec<String> {
    let named = headers.keys().map(|name| name.as_str().to_owned());
    let mut found: Vec<String> = named.filter(|name| name.contains("checksum") || name == "x-amz-trailer").collect();
    found.sort();
    found
}

/// STS's only answer here: whose the credentials are.
fn caller_identity(config: &Config) -> Response {
    let account = config.account.as_deref().unwrap_or("123456789012");
    xml_response(format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::{account}:user/rig</Arn><UserId>RIG</UserId><Account>{account}</Account>\
         </GetCallerIdentityResult><ResponseMetadata><RequestId>rig</RequestId></ResponseMetadata>\
         </GetCallerIdentityResponse>"
    ))
}
