//! Where Python waits for Rust: the only place that long calls run through.
//!
//! Work goes on on the runtime's threads, which never touch Python. The calling thread sits here: it waits, detached, for a
//! message or for a tenth of a second; then, attached, it checks signals, hands log records to `logging`, answers requests for
//! credentials and shows progress. So callbacks are serial and on the caller's thread, what they raise is what the call
//! raises, and there is no deadlock with locks that Python code holds.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use tokio::task::JoinHandle;

use super::aio::{Wakeup, WakeupSocket};
use super::calls::call_method;
use super::credentials::{CallerCredentials, CredentialRequest, SessionFailure};
use super::errors::to_py_err;
use super::observer::Observer;
use super::panics;
use super::runtime::engine;
use crate::error::{Error, Result};
use crate::store::credentials::CredentialSource;
use crate::transfer::context::{CancellationToken, Context, LogLevel, LogRecord};
use crate::transfer::progress::Progress;
use crate::transfer::tasks::blocking;

/// Adds what this module has for Python.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Operation>()
}

/// How long the caller waits at most before it looks at signals and progress again.
const TICK: Duration = Duration::from_millis(100);
/// How long a call that ends early waits for its workers to put things in order. With the tick it stays below the half
/// second within which Ctrl-C returns.
const STOP_PATIENCE: Duration = Duration::from_millis(350);

/// How long workers may go on putting things in order after their caller has left.
const CLEAN_UP_PATIENCE: Duration = Duration::from_secs(10);

/// What workers tell the caller's thread.
pub(super) enum Message {
    Log(LogRecord),
    Credentials(CredentialRequest),
    Done(Outcome),
}

/// The end of the work: how to turn its result into a Python object, or its error.
type Outcome = Result<Convert>;
type Convert = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// What a call brings along.
#[derive(Default)]
pub(crate) struct Caller {
    /// A progress tracker, ours or the reference's.
    pub(crate) tracker: Option<Py<PyAny>>,
    /// A boto3 session that hands out credentials.
    pub(crate) session: Option<Py<PyAny>>,
}

/// A long call under way. `run` waits for it; asynchronous callers take steps instead.
#[pyclass(module = "rusty_attachments._native")]
pub(crate) struct Operation {
    messages: std::sync::Mutex<Receiver<Message>>,
    task: JoinHandle<()>,
    cancel: CancellationToken,
    wakeup: Arc<Wakeup>,
    observer: Observer,
    session: Option<Py<PyAny>>,
    /// What botocore raised when the session was asked for credentials the last time.
    session_failure: Option<SessionFailure>,
    outcome: Option<PyResult<Py<PyAny>>>,
}

/// What work gets to talk with its caller.
pub(crate) struct Call {
    /// Progress, cancellation, log.
    pub(crate) context: Context,
    /// Credentials of the caller's session, if it brought one.
    pub(crate) credentials: Option<Arc<dyn CredentialSource>>,
}

impl Operation {
    /// Begins work on the runtime. `convert` makes the result a Python object on the caller's thread.
    pub(crate) fn start<T, F, W, C>(py: Python<'_>, caller: Caller, work: F, convert: C) -> PyResult<Self>
    where
        T: Send + 'static,
        F: FnOnce(Call) -> W,
        W: Future<Output = Result<T>> + Send + 'static,
        C: FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    {
        let engine = engine()?;
        let (sender, receiver) = channel();
        let wakeup = Arc::new(Wakeup::default());
        let post = Post { sender, wakeup: Arc::clone(&wakeup) };
        let progress = Arc::new(Progress::default());
        let cancel = engine.cancellation();
        let context = context(py, &post, &progress, &cancel)?;
        let credentials = caller.session.as_ref().map(|_| {
            let post = post.clone();
            CallerCredentials::source(move |request| post.send(Message::Credentials(request)))
        });
        let listener = context.clone();
        let work = listener.listen(work(Call { context, credentials }));
        let task = engine.spawn(async move {
            let outcome = match AssertUnwindSafe(work).catch_unwind().await {
                Ok(outcome) => outcome,
                Err(payload) => Err(Error::Sync(format!("a worker panicked: {}", panics::text(payload.as_ref())))),
            };
            post.send(Message::Done(outcome.map(|value| {
                let convert: Convert = Box::new(move |py| convert(py, value));
                convert
            })));
        });
        let observer = Observer::new(py, caller.tracker, progress)?;
        let messages = std::sync::Mutex::new(receiver);
        Ok(Self {
            messages,
            task,
            cancel,
            wakeup,
            observer,
            session: caller.session,
            session_failure: None,
            outcome: None,
        })
    }

    /// Begins work that blocks, such as hashing a tree, on a thread of its own.
    pub(crate) fn start_blocking<T, F, C>(py: Python<'_>, caller: Caller, work: F, convert: C) -> PyResult<Self>
    where
        T: Send + 'static,
        F: FnOnce(&Context) -> Result<T> + Send + 'static,
        C: FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    {
        let work = |call: Call| blocking(move || work(&call.context));
        Self::start(py, caller, work, convert)
    }

    /// Waits, detached, for the next message or one tick.
    fn wait(&self, py: Python<'_>, patience: Duration) -> Option<Message> {
        let messages = &self.messages;
        let received = py.detach(|| {
            let messages = messages.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            messages.recv_timeout(patience)
        });
        match received {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                Some(Message::Done(Err(Error::Sync("the workers went away without a result".to_owned()))))
            }
        }
    }

    fn take_waiting(&self) -> Option<Message> {
        self.messages.lock().unwrap_or_else(std::sync::PoisonError::into_inner).try_recv().ok()
    }

    /// Deals with one message. The last one settles the outcome.
    fn handle(&mut self, py: Python<'_>, message: Message) -> PyResult<()> {
        match message {
            Message::Log(record) => hand_to_logging(py, &record),
            Message::Credentials(request) => {
                self.session_failure = request.answer(py, self.session.as_ref())?;
                Ok(())
            }
            Message::Done(outcome) => {
                let shown = self.observer.show_last(py);
                self.outcome = Some(match (outcome, shown) {
                    // What a callback raised is what the call raises.
                    (_, Err(raised)) => Err(raised),
                    (Ok(convert), Ok(())) => converted(py, convert),
                    (Err(error), Ok(())) => Err(self.observer.add_statistics(py, self.explain(py, &error))?),
                });
                Ok(())
            }
        }
    }

    fn explain(&self, py: Python<'_>, error: &Error) -> PyErr {
        self.session_failure.as_ref().map_or_else(|| to_py_err(py, error), |failure| failure.explain(py, error))
    }

    /// One turn of the pump: everything that waits, then signals and progress.
    fn turn(&mut self, py: Python<'_>, first: Option<Message>) -> PyResult<()> {
        let mut message = first;
        while let Some(current) = message {
            self.handle(py, current)?;
            message = if self.outcome.is_some() { None } else { self.take_waiting() };
        }
        if self.outcome.is_none() {
            py.check_signals()?;
            if !self.observer.show(py)? {
                self.cancel.cancel();
            }
        }
        Ok(())
    }

    /// Lets workers go on putting things in order (on a busy machine, or a slow network, dropping the parts of an upload takes
    /// longer than the caller may wait), but not for ever.
    fn end_later(&self) {
        let task = self.task.abort_handle();
        if let Ok(engine) = engine() {
            engine.run_later(CLEAN_UP_PATIENCE, move || task.abort());
        }
    }

    /// Ends the work because of an exception on this side: workers get a moment to put things in order.
    fn stop_because(&mut self, py: Python<'_>, raised: PyErr) -> PyErr {
        self.cancel.cancel();
        let deadline = Instant::now() + STOP_PATIENCE;
        while self.outcome.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.end_later();
                break;
            }
            match self.wait(py, left) {
                Some(Message::Done(_)) => break,
                // The exception on its way is the one to tell of; what logging raises now can't be.
                Some(Message::Log(record)) => drop(hand_to_logging(py, &record)),
                Some(Message::Credentials(_)) | None => {}
            }
        }
        raised
    }
}

#[pymethods]
impl Operation {
    /// Waits for the end and gives the result.
    fn run(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        loop {
            let message = self.wait(py, TICK);
            if let Err(raised) = self.turn(py, message) {
                return Err(self.stop_because(py, raised));
            }
            if let Some(outcome) = self.outcome.take() {
                return outcome;
            }
        }
    }

    /// Deals with what has come up, without waiting. Whether the work is done.
    fn step(&mut self, py: Python<'_>) -> PyResult<bool> {
        let message = self.take_waiting();
        if let Err(raised) = self.turn(py, message) {
            return Err(self.stop_because(py, raised));
        }
        Ok(self.outcome.is_some())
    }

    /// The result, once `step` has said that the work is done.
    fn result(&mut self) -> PyResult<Py<PyAny>> {
        self.outcome.take().unwrap_or_else(|| Err(PyRuntimeError::new_err("The operation is not done.")))
    }

    /// Has the socket's event loop woken whenever something comes up; the loop knows the operation by the number.
    fn wake_through(&self, socket: PyRef<'_, WakeupSocket>, number: u64) {
        self.wakeup.connect(&socket, number);
    }

    /// Asks the work to stop. It ends soon after, as a cancelled one.
    fn cancel(&self) {
        self.cancel.cancel();
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        // Nobody waits for it any more.
        self.cancel.cancel();
    }
}

/// The workers' end of the pump.
#[derive(Debug, Clone)]
pub(super) struct Post {
    sender: Sender<Message>,
    wakeup: Arc<Wakeup>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Log(_) => "Log",
            Self::Credentials(_) => "Credentials",
            Self::Done(_) => "Done",
        })
    }
}

impl Post {
    /// Sends a message. A caller that is gone does not miss it.
    pub(super) fn send(&self, message: Message) {
        let _ = self.sender.send(message);
        self.wakeup.ring();
    }
}

fn context(py: Python<'_>, post: &Post, progress: &Arc<Progress>, cancel: &CancellationToken) -> PyResult<Context> {
    let mut context = Context::new();
    context.progress = Arc::clone(progress);
    context.cancel = cancel.clone();
    let Some(level) = wanted_level(py)? else { return Ok(context) };
    let post = post.clone();
    Ok(context.with_log(level, Arc::new(move |record| post.send(Message::Log(record)))))
}

/// The result as a Python object. A panic is an error, as one of a worker is.
fn converted(py: Python<'_>, convert: Convert) -> PyResult<Py<PyAny>> {
    catch_unwind(AssertUnwindSafe(|| convert(py))).unwrap_or_else(|payload| {
        let text = format!("the making of the result panicked: {}", panics::text(payload.as_ref()));
        Err(to_py_err(py, &Error::Sync(text)))
    })
}

/// The loggers that records go to, as `rusty_attachments._logs` knows them.
const LOGGERS: [&str; 4] = ["upload", "download", "caches", "s3"];

/// The lowest level that somebody listens to, or `None`.
fn wanted_level(py: Python<'_>) -> PyResult<Option<LogLevel>> {
    for level in [LogLevel::Debug, LogLevel::Info, LogLevel::Warning] {
        for name in LOGGERS {
            let listens = call_method(&logger(py, name)?, intern!(py, "isEnabledFor"), (level as i32,))?;
            if listens.is_truthy()? {
                return Ok(Some(level));
            }
        }
    }
    Ok(None)
}

fn logger<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let logs = py.import(intern!(py, "rusty_attachments._logs"))?;
    call_method(&logs, intern!(py, "logger"), (name,))
}

fn hand_to_logging(py: Python<'_>, record: &LogRecord) -> PyResult<()> {
    // As an argument, so that a `%` in a file name is not taken for a format.
    let logger = logger(py, record.logger)?;
    call_method(&logger, intern!(py, "log"), (record.level as i32, "%s", &record.message)).map(drop)
}
