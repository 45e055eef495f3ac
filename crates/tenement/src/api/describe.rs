//! The description of the API (OpenAPI 3.1), made from the handlers; what is the same for all of them is added here.

use axum::http::Method;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Content, HeaderBuilder, ObjectBuilder, OpenApi as Document, Ref, RefOr, Required, Response,
        ResponseBuilder,
        header::Header,
        path::{Operation, ParameterBuilder, ParameterIn},
        schema::{KnownFormat, SchemaFormat, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{
    access::{BEARER, demand},
    body,
    error::Envelope,
    logs::PAGED,
};

/// Where it is served.
pub(super) const PATH: &str = "/api/openapi.json";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "tenement",
        description = "One process per tenant, woken by requests. Every answer under `/api` that is not a success \
            has the form of `Envelope`. A token says what it may do (`read`, `write`, `admin`) and may be bound to a \
            service or an instance: it then sees nothing else, and what it does not see answers as if it did not \
            exist. On the Unix socket in the data directory no token is needed.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(Envelope)),
    modifiers(&Scheme),
    tags(
        (name = "instances", description = "One process each"),
        (name = "logs", description = "What they print"),
        (name = "metrics", description = "What they use and answer"),
        (name = "history", description = "What happened, and who did it"),
        (name = "configuration", description = "What is in force"),
        (name = "tokens", description = "Who may"),
        (name = "daemon", description = "tenement itself"),
    ),
)]
pub(super) struct Description;

struct Scheme;

impl Modify for Scheme {
    fn modify(&self, document: &mut Document) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
            "A token: `tenement_…`. `read`, `write` and `admin` are the scopes a route needs, each including the \
             ones before it; `unbound` is said of routes that are about the whole machine.",
        ));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(BEARER, SecurityScheme::Http(bearer.build()));
    }
}

/// Adds what every route may answer.
pub(super) fn complete(document: &mut Document) {
    for (path, item) in &mut document.paths.paths {
        let all = [
            (Method::GET, &mut item.get),
            (Method::POST, &mut item.post),
            (Method::PUT, &mut item.put),
            (Method::DELETE, &mut item.delete),
        ];
        for (method, operation) in all {
            if let Some(operation) = operation {
                if demand(&method, operation).is_some_and(|demand| demand.keyed) {
                    repeatable(operation);
                }
                common(&method, path, operation);
            }
        }
    }
}

/// What changes something may be sent again.
fn repeatable(operation: &mut Operation) {
    let key = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[!-~]{1,255}$"));
    let header = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("For 24 hours the same key gives the same answer, and has no other effect"))
        .schema(Some(key));
    operation.parameters.get_or_insert_default().push(RefOr::T(header.build()));
    let used = || RefOr::T(failure("The key was used for another request"));
    operation.responses.responses.entry("422".to_owned()).or_insert_with(used);
}

fn common(method: &Method, path: &str, operation: &mut Operation) {
    if operation.security.is_none() {
        return;
    }
    if path.contains("{service}") {
        // The path says it.
        let said = |name: &str| name == "service" || name == "instance";
        let parameters = operation.parameters.get_or_insert_default();
        parameters.retain(|one| match one {
            RefOr::T(one) => one.parameter_in == ParameterIn::Path || !said(&one.name),
            RefOr::Ref(_) => true,
        });
    }
    if matches!(path, "/api/logs/export" | "/api/logs/histogram") {
        // They have no pages and no end to wait for.
        let parameters = operation.parameters.get_or_insert_default();
        parameters.retain(|one| match one {
            RefOr::T(one) => !PAGED.contains(&one.name.as_str()),
            RefOr::Ref(_) => true,
        });
    }
    let too_large = body::too_large(body::most(path));
    let mut may = vec![
        ("401", "No valid token"),
        ("403", "The token's scope is too small, or it is bound"),
        ("429", "Too many requests"),
        ("500", "Something failed that should not"),
    ];
    if operation.parameters.as_ref().is_some_and(|all| !all.is_empty()) || operation.request_body.is_some() {
        may.push(("400", "Something in the request is wrong"));
    }
    if demand(method, operation).is_some_and(|demand| demand.changes) {
        may.push(("503", "The disk of the daemon's state fails, or it ends"));
        may.push(("507", "The disk of the daemon's state is full"));
    }
    if operation.request_body.is_some() {
        may.push(("408", "The body did not come in time"));
        may.push(("413", &too_large));
        may.push(("415", "The body is said to be something else than JSON"));
    }
    if operation.request_body.is_some() || path.contains('{') {
        may.push(("404", "There is no such thing, or the token does not see it"));
    }
    let all = &mut operation.responses.responses;
    for (status, what) in may {
        all.entry(status.to_owned()).or_insert_with(|| RefOr::T(failure(what)));
    }
    for (status, response) in all.iter_mut() {
        if let RefOr::T(response) = response
            && status != "401"
        {
            response.headers.extend(headers());
        }
    }
}

fn failure(what: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name("Envelope")));
    ResponseBuilder::new().description(what).content("application/json", content).build()
}

fn headers() -> impl Iterator<Item = (String, RefOr<Header>)> {
    let all = [
        ("X-RateLimit-Limit", "Requests of this token in a window"),
        ("X-RateLimit-Remaining", "Those that are left in it"),
        ("X-RateLimit-Reset", "When the next window begins, in seconds since the epoch"),
    ];
    all.into_iter().map(|(name, what)| {
        let number = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)));
        (name.to_owned(), RefOr::T(HeaderBuilder::new().schema(Some(number)).description(Some(what)).build()))
    })
}
