//! The metrics of a service's calls: how many, with which outcome, how long.

use std::fmt;

use huddle_service::metrics::Metrics;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Unit,
};
use tokio::time::Instant;
use tonic::{Code, Response, Status};

use crate::CallError;

/// Upper bounds of the duration histogram, in seconds: a read from memory to the longest deadline.
const SECONDS_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// The metrics of one service's calls. Clones share them.
#[derive(Debug, Clone)]
pub struct CallMetrics {
    calls: Family<Outcome, Counter>,
    durations: Family<Method, Histogram, fn() -> Histogram>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    method: &'static str,
    code: CodeLabel,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    method: &'static str,
}

/// A gRPC code by the name that the specification gives it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct CodeLabel(Code);

impl CallMetrics {
    /// Registers `<service>_calls` and `<service>_call_seconds`.
    pub fn register(metrics: &Metrics, service: &'static str) -> Self {
        let durations: fn() -> Histogram = || Histogram::new(SECONDS_BUCKETS);
        let registered = Self { calls: Family::default(), durations: Family::new_with_constructor(durations) };
        metrics.register(|registry| {
            let registry = registry.sub_registry_with_prefix(service);
            registry.register("calls", "Calls answered, streams when they ended", registered.calls.clone());
            registry.register_with_unit(
                "call",
                "Time from a call's arrival to its answer, of a stream to its end",
                Unit::Seconds,
                registered.durations.clone(),
            );
        });
        registered
    }

    /// Begins to measure a call of `method`, which is of a closed set: it becomes a label.
    pub fn start(&self, method: &'static str) -> CallTimer {
        CallTimer { metrics: self.clone(), method, start: Instant::now(), code: Code::Cancelled }
    }

    /// Runs a unary call, measures it, logs its failure, and makes the answer of it.
    pub async fn observe<T>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<Response<T>, Status> {
        let mut timer = self.start(method);
        match call.await {
            Ok(answer) => {
                timer.end(Code::Ok);
                Ok(Response::new(answer))
            }
            Err(error) => Err(timer.fail(error)),
        }
    }
}

/// A call that is being measured. It counts when it is dropped: as cancelled, unless [`end`](Self::end) or
/// [`fail`](Self::fail) said otherwise.
#[derive(Debug)]
pub struct CallTimer {
    metrics: CallMetrics,
    method: &'static str,
    start: Instant,
    code: Code,
}

impl CallTimer {
    /// The call ends with `code`.
    pub const fn end(&mut self, code: Code) {
        self.code = code;
    }

    /// The call ends with `error`; returns the answer.
    pub fn fail(&mut self, error: CallError) -> Status {
        self.code = error.grpc_code();
        error.into_status(self.method)
    }
}

impl Drop for CallTimer {
    fn drop(&mut self) {
        let method = self.method;
        let outcome = Outcome { method, code: CodeLabel(self.code) };
        self.metrics.calls.get_or_create(&outcome).inc();
        self.metrics.durations.get_or_create(&Method { method }).observe(self.start.elapsed().as_secs_f64());
    }
}

impl EncodeLabelValue for CodeLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), fmt::Error> {
        let name = match self.0 {
            Code::Ok => "OK",
            Code::Cancelled => "CANCELLED",
            Code::Unknown => "UNKNOWN",
            Code::InvalidArgument => "INVALID_ARGUMENT",
            Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Code::NotFound => "NOT_FOUND",
            Code::AlreadyExists => "ALREADY_EXISTS",
            Code::PermissionDenied => "PERMISSION_DENIED",
            Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Code::FailedPrecondition => "FAILED_PRECONDITION",
            Code::Aborted => "ABORTED",
            Code::OutOfRange => "OUT_OF_RANGE",
            Code::Unimplemented => "UNIMPLEMENTED",
            Code::Internal => "INTERNAL",
            Code::Unavailable => "UNAVAILABLE",
            Code::DataLoss => "DATA_LOSS",
            Code::Unauthenticated => "UNAUTHENTICATED",
        };
        EncodeLabelValue::encode(&name, encoder)
    }
}
