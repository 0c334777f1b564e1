//! What is asked for, and the answers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderName, IF_NONE_MATCH};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use serde_json::json;
use shmflow::Error;

use super::live::{Live, Refusal};
use super::shot::{Shot, Size};
use super::{App, access};
use crate::metrics;

/// The page's files.
const FILES: [(&str, &str, &str); 6] = [
    ("style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("app.js", "text/javascript; charset=utf-8", include_str!("page/app.js")),
    ("card.js", "text/javascript; charset=utf-8", include_str!("page/card.js")),
    ("pictures.js", "text/javascript; charset=utf-8", include_str!("page/pictures.js")),
    ("draw.js", "text/javascript; charset=utf-8", include_str!("page/draw.js")),
    ("icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];
const PAGE: &str = include_str!("page/index.html");

/// One that has no picture yet waits so long for a frame.
const FIRST: Duration = Duration::from_secs(5);
/// Longest wait that can be asked for.
const LONGEST: Duration = Duration::from_secs(30);
/// Between two tries to watch a topic that is gone.
const AGAIN: Duration = Duration::from_secs(1);

type Shared = State<Arc<App>>;

pub(super) fn of(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(|| async { ([(CONTENT_TYPE, "text/html; charset=utf-8")], PAGE) }))
        .route("/page/{file}", get(file))
        .route("/api/topics", get(topics))
        .route("/api/topics/{*topic}", get(topic))
        .route("/api/history", get(history))
        .route("/metrics", get(counters))
        .route("/topics/{*picture}", get(picture))
        .fallback(|| async { (StatusCode::NOT_FOUND, "There is nothing here; the page is at /\n") })
        .layer(middleware::from_fn_with_state(Arc::clone(&app), access::guard))
        .with_state(app)
}

async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, text)) => ([(CONTENT_TYPE, *kind)], *text).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Looks at topics in a thread where that may take its time.
async fn look<T: Send + 'static>(
    app: Arc<App>,
    what: impl FnOnce(&App) -> Result<T, Error> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(move || what(&app)).await {
        Ok(result) => result.map_err(Refusal::from),
        Err(_) => Err(Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "a bug in shmflow ended the look at the topics",
        )),
    }
}

fn as_json(result: Result<impl Into<Body>, Refusal>) -> Response {
    let (status, body) = match result {
        Ok(body) => (StatusCode::OK, body.into()),
        Err(refusal) => (refusal.status, json!({ "error": refusal.text }).to_string().into()),
    };
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

async fn topics(State(app): Shared) -> Response {
    as_json(look(app, |app| app.sampler.topics()).await)
}

async fn topic(State(app): Shared, Path(name): Path<String>) -> Response {
    as_json(look(app, move |app| app.sampler.topic(&name)).await.map(|topic| topic.to_string()))
}

async fn history(State(app): Shared) -> Response {
    as_json(look(app, |app| app.sampler.history()).await.map(|history| history.to_string()))
}

async fn counters(State(app): Shared) -> Response {
    let own = Arc::clone(&app.live);
    match look(app, |app| app.sampler.metrics()).await {
        Ok(mut text) => {
            text.push_str(&made(own.made()));
            ([(CONTENT_TYPE, metrics::TYPE)], text).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// The server's own counter.
fn made(pictures: u64) -> String {
    const NAME: &str = "shmflow_serve_pictures_total";
    let help = "Pictures made of frames, each once for all who look.";
    format!("# HELP {NAME} {help}\n# TYPE {NAME} counter\n{NAME} {pictures}\n")
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, format!("{}\n", self.text)).into_response()
    }
}

/// The query of a picture's address.
#[derive(Debug)]
struct PictureQuery {
    size: Size,
    wait: Option<Duration>,
}

impl PictureQuery {
    fn parse(query: Option<&str>) -> Result<Self, Refusal> {
        let mut parsed = Self { size: Size::Full, wait: None };
        let bad = |text: &str| Refusal::new(StatusCode::BAD_REQUEST, text);
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match (&*name, &*value) {
                ("size", "full") => parsed.size = Size::Full,
                ("size", "small") => parsed.size = Size::Small,
                ("size", _) => return Err(bad("size is full or small")),
                ("wait", seconds) => {
                    let seconds = seconds.parse().ok().and_then(|it| Duration::try_from_secs_f64(it).ok());
                    parsed.wait =
                        Some(seconds.ok_or_else(|| bad("wait is a number of seconds"))?.min(LONGEST));
                }
                _ => {}
            }
        }
        Ok(parsed)
    }
}

/// A topic's name is what is before the last ending, whatever is in it.
async fn picture(
    State(app): Shared,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let wanted = match PictureQuery::parse(query.as_deref()) {
        Ok(wanted) => wanted,
        Err(refusal) => return refusal.into_response(),
    };
    if let Some(topic) = path.strip_suffix(".mjpg") {
        return moving(&app.live, topic, wanted.size).await;
    }
    let (topic, with_meta) = match (path.strip_suffix(".jpg"), path.strip_suffix(".frame")) {
        (Some(topic), _) => (topic, false),
        (_, Some(topic)) => (topic, true),
        _ => {
            let text = "Pictures are at /topics/NAME.jpg and /topics/NAME.mjpg.\n";
            return (StatusCode::NOT_FOUND, text).into_response();
        }
    };
    let has =
        headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).map(|tag| tag.trim_matches('"'));
    let patience = wanted.wait.unwrap_or(if has.is_some() { Duration::ZERO } else { FIRST });
    match app.live.next(topic, wanted.size, has, patience).await {
        Ok(Some(shot)) => still(&shot, with_meta),
        Ok(None) if has.is_some() => StatusCode::NOT_MODIFIED.into_response(),
        Ok(None) => {
            let text = format!("topic `{}` has no frame yet", crate::text::safe(topic));
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

const SEQ: HeaderName = HeaderName::from_static("shmflow-seq");

fn still(shot: &Shot, with_meta: bool) -> Response {
    let (kind, body) = if with_meta {
        let mut body = Vec::with_capacity(4 + shot.about.len() + shot.jpeg.len());
        body.extend_from_slice(&u32::try_from(shot.about.len()).unwrap_or(u32::MAX).to_be_bytes());
        body.extend_from_slice(&shot.about);
        body.extend_from_slice(&shot.jpeg);
        ("application/octet-stream", Bytes::from(body))
    } else {
        ("image/jpeg", shot.jpeg.clone())
    };
    let mut answer = ([(CONTENT_TYPE, kind)], body).into_response();
    let headers = answer.headers_mut();
    headers.insert(SEQ, HeaderValue::from(shot.seq));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", shot.tag)) {
        headers.insert(ETAG, tag);
    }
    answer
}

/// Between two pictures of one answer.
const BOUNDARY: &str = "--shmflow-picture\r\n";
const MOVING: &str = "multipart/x-mixed-replace; boundary=shmflow-picture";

/// One picture after the other, as fast as they are taken: the next is asked for when the one before is on its way. A topic
/// that goes is waited for.
async fn moving(live: &Arc<Live>, topic: &str, size: Size) -> Response {
    let first = match live.next(topic, size, None, FIRST).await {
        Ok(first) => first,
        Err(refusal) => return refusal.into_response(),
    };
    let (live, topic) = (Arc::clone(live), topic.to_owned());
    let pictures = stream::unfold((first, None::<String>), move |(ready, mut shown)| {
        let (live, topic) = (Arc::clone(&live), topic.clone());
        async move {
            let mut ready = ready;
            let shot = loop {
                if let Some(shot) = ready.take() {
                    break shot;
                }
                if live.is_stopped() {
                    return None;
                }
                match live.next(&topic, size, shown.as_deref(), LONGEST).await {
                    Ok(next) => ready = next,
                    Err(refusal) if refusal.status == StatusCode::UNSUPPORTED_MEDIA_TYPE => return None,
                    Err(_) => drop(tokio::time::timeout(AGAIN, live.stopped()).await),
                }
            };
            let before = if shown.is_none() { BOUNDARY } else { "" };
            let len = shot.jpeg.len();
            let head = format!("{before}Content-Type: image/jpeg\r\nContent-Length: {len}\r\n\r\n");
            shown = Some(shot.tag.clone());
            // A browser shows a picture when the next one is announced.
            let parts = [Bytes::from(head), shot.jpeg.clone(), Bytes::from(format!("\r\n{BOUNDARY}"))];
            Some((stream::iter(parts.map(Ok::<_, Infallible>)), (None, shown)))
        }
    });
    let body = Body::from_stream(futures_util::StreamExt::flatten(pictures));
    ([(CONTENT_TYPE, MOVING)], body).into_response()
}
