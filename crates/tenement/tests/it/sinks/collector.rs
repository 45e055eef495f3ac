//! A collector that takes OTLP over HTTP.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use opentelemetry_proto::tonic::{
    collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse},
    common::v1::{KeyValue, any_value::Value},
};
use prost::Message;
use tokio::runtime::Runtime;

/// What a request is answered with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Taken,
    Partial(i64),
    Status(u16),
    /// 503 and when to come back.
    Later(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) severity: i32,
    pub(super) body: String,
    pub(super) stream: String,
    pub(super) nanos: u64,
}

#[derive(Debug, Default)]
pub(super) struct Got {
    /// By instance, as `service:id`, and place. Only what was taken.
    pub(super) records: BTreeMap<String, BTreeMap<i64, Record>>,
    /// Places in the order they came, of one instance.
    pub(super) order: BTreeMap<String, Vec<i64>>,
    pub(super) requests: usize,
    pub(super) authorization: Option<String>,
    answers: VecDeque<Answer>,
}

pub(super) type Shared = Arc<Mutex<Got>>;

/// It is gone when this is dropped.
pub(super) struct Collector {
    _runtime: Runtime,
    pub(super) address: SocketAddr,
}

impl Collector {
    /// One that answers so at first, and then takes everything.
    pub(super) fn start(got: &Shared, address: &str, answers: &[Answer]) -> Self {
        got.lock().unwrap().answers = answers.iter().copied().collect();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/v1/logs", post(export)).with_state(Arc::clone(got));
        runtime.spawn(async { axum::serve(listener, router).await.unwrap() });
        Self { _runtime: runtime, address }
    }
}

async fn export(State(got): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    assert_eq!(headers[header::CONTENT_TYPE], "application/x-protobuf");
    let request = ExportLogsServiceRequest::decode(body).unwrap();
    let mut got = got.lock().unwrap();
    got.requests += 1;
    got.authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let answer = got.answers.pop_front().unwrap_or(Answer::Taken);
    if let Answer::Taken | Answer::Partial(_) = answer {
        take(&mut got, request);
    }
    let answered = |partial_success| {
        let body = ExportLogsServiceResponse { partial_success }.encode_to_vec();
        ([(header::CONTENT_TYPE, "application/x-protobuf")], body).into_response()
    };
    match answer {
        Answer::Taken => answered(None),
        Answer::Partial(rejected_log_records) => {
            let error_message = "too old".to_owned();
            answered(Some(ExportLogsPartialSuccess { rejected_log_records, error_message }))
        }
        Answer::Status(code) => (StatusCode::from_u16(code).unwrap(), "not like this").into_response(),
        Answer::Later(seconds) => {
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, seconds.to_string())]).into_response()
        }
    }
}

fn take(got: &mut Got, request: ExportLogsServiceRequest) {
    for resource in request.resource_logs {
        let of = resource.resource.unwrap().attributes;
        let instance = format!("{}:{}", text(&of, "service.name"), text(&of, "service.instance.id"));
        for record in resource.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
            let Some(Value::StringValue(body)) = record.body.unwrap().value else { panic!("no text") };
            let Some(Value::IntValue(seq)) = value(&record.attributes, "tenement.seq") else {
                panic!("no seq")
            };
            let stream = text(&record.attributes, "log.iostream");
            let record =
                Record { severity: record.severity_number, body, stream, nanos: record.time_unix_nano };
            got.order.entry(instance.clone()).or_default().push(seq);
            got.records.entry(instance.clone()).or_default().insert(seq, record);
        }
    }
}

fn value(attributes: &[KeyValue], key: &str) -> Option<Value> {
    attributes.iter().find(|pair| pair.key == key)?.value.clone()?.value
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    match value(attributes, key) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{key}: {other:?}"),
    }
}
