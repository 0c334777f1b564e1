//! Who may ask: the Host header, the token, and the headers that keep browsers from more than is meant.
//!
//! A page of another site can have a name of its own resolve to this address (DNS rebinding): its requests carry that name as their
//! host, and are refused. It can also refer to pictures here: browsers say so, and such requests are refused, too.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue,
    LOCATION, REFERRER_POLICY, SET_COOKIE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::App;
use crate::outcome::Failure;

/// What one has to know to look.
#[derive(Clone)]
pub(super) struct Token(String);

/// Characters that need no escape in an address, in a cookie and in a header.
const PLAIN: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
/// What is shorter can be found by trying.
const SHORTEST: usize = 16;

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    pub(super) fn make() -> Result<Self, Failure> {
        let mut bytes = [0_u8; 16];
        let failed =
            |error| Failure::Other(format!("the system gives no random numbers for a token: {error}"));
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            done += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()).map_err(failed)?;
        }
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    pub(super) fn given(text: &str) -> Result<Self, Failure> {
        if text.len() < SHORTEST || !text.chars().all(|c| PLAIN.contains(c)) {
            return Err(Failure::Other(format!(
                "the token must have at least {SHORTEST} characters, of letters, digits, and -._~; without a value, --token makes one"
            )));
        }
        Ok(Self(text.to_owned()))
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }

    fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }
}

/// Who may ask.
#[derive(Debug)]
pub(super) struct Access {
    token: Option<Token>,
    /// In lower case, without a port.
    hosts: Vec<String>,
    /// Browsers keep the cookies of all ports of a host together.
    cookie: String,
}

/// The machine's name.
pub(super) fn machine() -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.to_ascii_lowercase();
    Some(name).filter(|name| !name.is_empty())
}

impl Access {
    pub(super) fn new(token: Option<Token>, hosts: &[String], port: u16, open_to_others: bool) -> Self {
        let mut all: Vec<_> = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        all.push("localhost".into());
        if let Some(machine) = machine().filter(|_| open_to_others) {
            all.push(format!("{machine}.local"));
            all.push(machine);
        }
        Self { token, hosts: all, cookie: format!("shmflow-{port}") }
    }

    /// Whether this is what the address of a request for this page can say. An address in digits needs no name server.
    fn knows(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host().to_ascii_lowercase();
        let digits = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(&name);
        !host.contains('@') && (digits.parse::<IpAddr>().is_ok() || self.hosts.contains(&name))
    }

    /// Whether the request has the token in a header.
    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let text = |name| headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        let bearer = text(AUTHORIZATION).filter_map(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let cookies = text(COOKIE).flat_map(|value| value.split(';')).filter_map(|cookie| {
            let (name, value) = cookie.trim().split_once('=')?;
            (name == self.cookie).then_some(value)
        });
        bearer.chain(cookies).any(|candidate| token.is(candidate))
    }

    /// The answer to an address with the right token in it: the same address without it, and a cookie.
    fn welcome(&self, uri: &Uri) -> Option<Response> {
        let token = self.token.as_ref()?;
        let query = uri.query()?;
        let pairs = || form_urlencoded::parse(query.as_bytes());
        if !pairs().any(|(name, value)| name == "token" && token.is(&value)) {
            return None;
        }
        let rest: Vec<_> = pairs().filter(|(name, _)| name != "token").collect();
        // One slash: two would be another host.
        let mut to = format!("/{}", uri.path().trim_start_matches('/'));
        if !rest.is_empty() {
            to.push('?');
            to.push_str(&form_urlencoded::Serializer::new(String::new()).extend_pairs(rest).finish());
        }
        let cookie = format!("{}={}; HttpOnly; SameSite=Lax; Path=/", self.cookie, token.text());
        Some((StatusCode::SEE_OTHER, [(LOCATION, to), (SET_COOKIE, cookie)]).into_response())
    }
}

/// Lets a request in or refuses it, and adds what every answer has.
pub(super) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let answer = match refusal(&app.access, &request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    secured(answer)
}

fn refusal(access: &Access, request: &Request) -> Option<Response> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let host = request.headers().get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !access.knows(host) {
        let text = format!(
            "The host `{}` is not known here. Ask by the address in digits, or start with --host {0}.\n",
            crate::text::safe(host)
        );
        return Some((StatusCode::FORBIDDEN, text).into_response());
    }
    // Following a link is no use of it by another page.
    if matches!(header("sec-fetch-site"), Some("cross-site" | "same-site"))
        && header("sec-fetch-mode") != Some("navigate")
    {
        return Some((StatusCode::FORBIDDEN, "Other pages may not use this one.\n").into_response());
    }
    if access.admits(request.headers()) {
        // With a cookie an address that still has the token works, too, and loses it.
        return access.welcome(request.uri());
    }
    access.welcome(request.uri()).or_else(|| {
        let text = "This page wants a token: the address that `shmflow serve` printed has it. Programs send it as \
                    `Authorization: Bearer TOKEN`.\n";
        Some((StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], text).into_response())
    })
}

/// Only what comes from here, in no frame of others; and nothing is kept.
fn secured(mut answer: Response) -> Response {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                          base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers = answer.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_somebody_else_can_resolve_are_not_known() {
        let access = Access::new(None, &["Robot.Lan".into()], 8080, false);
        for host in
            ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:80", "192.168.0.7", "robot.lan:1"]
        {
            assert!(access.knows(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8080",
            "x@localhost",
            "::1",
        ] {
            assert!(!access.knows(host), "{host}");
        }
    }

    #[test]
    fn the_token_is_in_a_cookie_or_a_header() {
        let token = Token::given("0123456789abcdef").unwrap();
        let access = Access::new(Some(token), &[], 8080, true);
        let with = |name: HeaderName, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_str(value).unwrap());
            access.admits(&headers)
        };
        assert!(
            with(AUTHORIZATION, "Bearer 0123456789abcdef") && with(AUTHORIZATION, "bearer  0123456789abcdef")
        );
        assert!(with(COOKIE, "a=b; shmflow-8080=0123456789abcdef"));
        assert!(!with(AUTHORIZATION, "Bearer 0123456789abcdeX") && !with(AUTHORIZATION, "0123456789abcdef"));
        assert!(!with(COOKIE, "shmflow-80=0123456789abcdef") && !with(COOKIE, "shmflow-8080="));
        assert!(!access.admits(&HeaderMap::new()));
    }

    #[test]
    fn an_address_loses_its_token() {
        let access = Access::new(Some(Token::given("0123456789abcdef").unwrap()), &[], 8080, true);
        let to = |uri: &str| {
            let answer = access.welcome(&uri.parse().unwrap())?;
            Some(answer.headers()[LOCATION].to_str().unwrap().to_owned())
        };
        assert_eq!(to("/?token=0123456789abcdef").as_deref(), Some("/"));
        assert_eq!(
            to("//evil.example/?token=0123456789abcdef&a=b%20c").as_deref(),
            Some("/evil.example/?a=b+c")
        );
        assert_eq!((to("/"), to("/?token=no"), to("/?token=")), (None, None, None));
    }

    #[test]
    fn tokens_are_long_and_plain() {
        let made = Token::make().unwrap();
        assert!(Token::given(made.text()).is_ok() && !made.is(Token::make().unwrap().text()));
        for bad in ["short", "0123456789abcdef;", "0123456789abcde é"] {
            assert!(Token::given(bad).is_err(), "{bad}");
        }
        assert!(!format!("{made:?}").contains(made.text()), "no log has it");
    }
}
