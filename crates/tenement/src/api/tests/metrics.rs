//! Configuration, services and metrics.

use tenement_core::slot::StatusClass;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_in_force_has_every_default_and_no_secret() {
    let fixture = Fixture::new();
    let (status, shown) = fixture.call("GET", "/api/config", "").await;
    assert_eq!((status, &shown["settings"]["health_check_interval"]), (200, &json!(10)));
    assert_eq!(shown["settings"]["data_dir"], fixture.api.about.data_dir.to_str().unwrap());
    let service = &shown["services"]["api"];
    assert_eq!((&service["health"], &service["on_demand"]), (&Value::Null, &json!("known")));
    assert_eq!((&service["env"]["API_KEY"], &service["env"]["MODE"]), (&json!("***"), &json!("fast")));
    // What was shown can be checked as it is.
    let (status, verdict) = fixture.call("POST", "/api/config/validate", &shown.to_string()).await;
    assert_eq!((status, &verdict["valid"]), (200, &json!(true)), "{verdict}");
    fixture.end().await;
}

// faults: C1 C2
#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_checked_as_the_examples_of_the_reference_say() {
    let fixture = Fixture::new();
    let check = |body: &'static str| fixture.call("POST", "/api/config/validate", body);
    let good = "[service.api]\ncommand = './api'\n";
    assert_eq!(check(good).await, (200, json!({ "valid": true, "warnings": [] })));
    let wrong = json!({ "valid": false, "errors": ["Service 'api' missing required field: command"] });
    assert_eq!(check("[service.api]\n").await, (400, wrong.clone()));
    assert_eq!(check(r#"{ "service": { "api": {} } }"#).await, (400, wrong));
    let (status, stripped) = check("[service.api]command = './api'health = '/'").await;
    assert_eq!((status, stripped["warnings"].as_array().unwrap().len()), (200, 1));
    let (status, hint) = check("[service.api]# the app").await;
    assert!(status == 400 && hint["errors"][0].as_str().unwrap().contains("--data-binary"), "{hint}");
    let (status, both) = check("[service.api]\nhelth = '/'\n").await;
    assert_eq!((status, both["warnings"].as_array().unwrap().len()), (400, 1), "{both}");
    // This one has no file.
    assert_eq!(fixture.call("GET", "/api/config/validate", "").await.0, 400);
    fixture.end().await;
}

// faults: A12
#[tokio::test(flavor = "multi_thread")]
async fn strangers_wait_for_each_other_and_nobody_else_for_them() {
    let fixture = Fixture::new();
    let turn = crate::metrics::turns(&crate::metrics::Detail::Services).acquire().await.unwrap();
    let ask = Request::get("/metrics").body(Body::empty()).unwrap();
    let stranger = tokio::runtime::Handle::current().spawn(fixture.router.clone().oneshot(ask));
    for _ in 0..20 {
        assert_eq!(fixture.call("GET", "/metrics", "").await.0, 200);
    }
    assert!(!stranger.is_finished());
    drop(turn);
    assert_eq!(stranger.await.unwrap().unwrap().status(), 200);
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_listed_with_the_number_of_its_instances() {
    let fixture = Fixture::new();
    fixture.call("POST", "/api/instances", r#"{"service":"api","id":"a"}"#).await;
    let (status, list) = fixture.call("GET", "/api/services", "").await;
    assert_eq!((status, list["services"].as_array().unwrap().len()), (200, 1));
    let service = &list["services"][0];
    assert!(service["name"] == "api" && service["command"].as_str().unwrap().starts_with("python3 -c "));
    assert_eq!((&service["isolation"], &service["health"]), (&json!("process"), &Value::Null));
    let counts = &service["instances"];
    assert_eq!((&counts["total"], &counts["running"], &counts["failed"]), (&json!(1), &json!(1), &json!(0)));
    assert!(service.get("env").is_none());
    let (_, past) = fixture.call("GET", "/api/services?limit=5&offset=1", "").await;
    assert_eq!(past["pagination"], json!({ "limit": 5, "offset": 1, "total": 1, "has_more": false }));
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_measured_and_keeps_its_totals_when_it_is_down() {
    let fixture = Fixture::new();
    fixture.call("POST", "/api/instances", r#"{"service":"api","id":"user123"}"#).await;
    let slot = fixture.api.supervisor.routes().load().slot(&"api:user123".parse().unwrap()).cloned().unwrap();
    (0..7).for_each(|_| slot.traffic.count(StatusClass::Success, 1, 0, 0));
    slot.traffic.count(StatusClass::ServerError, 1, 0, 0);
    let (status, one) = loop {
        let (status, one) = fixture.call("GET", "/api/metrics/api/user123", "").await;
        if one["uptime_seconds"] != 0.0 {
            break (status, one);
        }
    };
    assert_eq!((status, &one["instance"]), (200, &json!("api:user123")));
    assert_eq!((&one["requests_total"], &one["errors_total"]), (&json!(8), &json!(1)));
    assert_eq!((&one["error_rate"], &one["health_checks"]["total"]), (&json!(12.5), &json!(0)));
    let number = |key: &str| one[key].as_f64().unwrap();
    assert!(number("memory_mb") > 1.0 && number("uptime_seconds") > 0.0, "{one}");
    assert!(number("requests_per_second") > 0.0 && number("cpu_percent") >= 0.0, "{one}");
    fixture.call("DELETE", "/api/instances/api/user123?keep=true", "").await;
    let (_, down) = fixture.call("GET", "/api/metrics/api/user123", "").await;
    let zero = json!(0.0);
    for key in ["uptime_seconds", "memory_mb", "cpu_percent", "requests_per_second"] {
        assert_eq!(down[key], zero, "{key}");
    }
    assert_eq!((&down["requests_total"], &down["error_rate"]), (&json!(8), &json!(12.5)));
    let (_, all) = fixture.call("GET", "/api/metrics?service=api&limit=1", "").await;
    assert_eq!((&all["instances"][0], &all["pagination"]["total"]), (&down, &json!(1)));
    let (_, none) = fixture.call("GET", "/api/metrics?service=web", "").await;
    assert_eq!((&none["instances"], &none["pagination"]["total"]), (&json!([]), &json!(0)));
    let (status, gone) = fixture.call("GET", "/api/metrics/api/none", "").await;
    assert_eq!((status, &gone["error"]), (404, &json!("instance_not_found")));
    fixture.end().await;
}

// faults: A3
#[tokio::test(flavor = "multi_thread")]
async fn a_bound_token_sees_what_is_its_own_and_nothing_of_the_configuration() {
    let mut fixture = Fixture::new();
    fixture.call("POST", "/api/instances", r#"{"service":"api","id":"a"}"#).await;
    let body = r#"{ "scopes": ["read"], "instance": "api:b" }"#;
    let (status, made) = fixture.call("POST", "/api/tokens", body).await;
    assert_eq!(status, 201, "{made}");
    fixture.token = made["token"].as_str().unwrap().to_owned();
    let (_, list) = fixture.call("GET", "/api/metrics", "").await;
    assert_eq!((&list["instances"], &list["pagination"]["total"]), (&json!([]), &json!(0)));
    assert_eq!(fixture.call("GET", "/api/metrics/api/a", "").await.0, 404);
    let (_, services) = fixture.call("GET", "/api/services", "").await;
    assert_eq!(services["services"][0]["instances"]["total"], 0);
    for (method, path) in
        [("GET", "/api/config"), ("GET", "/api/config/validate"), ("POST", "/api/config/validate")]
    {
        assert_eq!(fixture.call(method, path, "").await.0, 403, "{method} {path}");
    }
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_the_api_are_counted_by_class() {
    let fixture = Fixture::new();
    for path in
        ["/api/instances", "/api/services", "/api/instances/api/none", "/api/nothing", "/apis", "/health"]
    {
        let request = Request::get(path).header("Authorization", format!("Bearer {}", fixture.token));
        fixture.send(request.body(Body::empty()).unwrap()).await;
    }
    let (_, _, metrics) = fixture.send(Request::get("/metrics").body(Body::empty()).unwrap()).await;
    for (class, count) in [("2xx", 2), ("4xx", 2), ("5xx", 0)] {
        let series = format!("tenement_api_requests_total{{class=\"{class}\"}} {count}\n");
        assert!(metrics.contains(&series), "{series}{metrics}");
    }
    fixture.end().await;
}
