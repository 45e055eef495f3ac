//! Every metric's name, type and meaning: a contract, all in one place.

/// A family of series.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) help: &'static str,
}

macro_rules! families {
    ($($id:ident = $name:literal $kind:literal $help:literal;)*) => {
        $(pub(super) const $id: Family = Family { name: $name, kind: $kind, help: $help };)*
    };
}

families! {
    INSTANCES_TOTAL = "tenement_instances_total" "counter" "Total instances spawned";
    SERVICE_STARTS = "tenement_service_starts_total" "counter" "Successful starts: spawns, wakes, restarts";
    SERVICE_FAILED_STARTS = "tenement_service_failed_starts_total" "counter" "Starts that did not lead to a running instance";
    SERVICE_RESTARTS = "tenement_service_restarts_total" "counter" "Restarts by hand, after a crash or failed checks";
    PANICS = "tenement_panics_total" "counter" "Panics that were caught";
    INSTANCES = "tenement_instances" "gauge" "Known instances by status";
    HEALTH_CHECKS = "tenement_health_checks" "gauge" "Health checks of the known instances, by result";
    REQUESTS = "tenement_requests_total" "counter" "Answers to tenants' requests, by class";
    REQUEST_DURATION = "tenement_request_duration_seconds" "histogram" "From the head of a request to the end of its answer";
    IN_FLIGHT = "tenement_requests_in_flight" "gauge" "Requests, streams and WebSockets that are open";
    BYTES_IN = "tenement_request_bytes_total" "counter" "Bytes of request bodies";
    BYTES_OUT = "tenement_response_bytes_total" "counter" "Bytes of response bodies";
    LOG_LINES = "tenement_log_lines" "gauge" "Log lines taken in from the instances that logs are kept of";
    LOG_BYTES = "tenement_log_bytes" "gauge" "Log bytes taken in from the instances that logs are kept of";
    LOG_DROPPED = "tenement_log_lines_dropped_total" "counter" "Log lines thrown away before they were kept";
}
